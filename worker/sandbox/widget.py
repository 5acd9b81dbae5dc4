"""
The Widget API: what a page's owner may show of it elsewhere, as one JSON object.

Source: incident.io help pages on the Widget API, and the fields seen on live pages, read 2026-11-23. Chosen here: an
incident that impacts no component at the moment has the mildest impact as its ``current_worst_impact``.
"""

from __future__ import annotations

from typing import Any

from worker.sandbox.model import (
    DEGRADED,
    IN_PROGRESS,
    OPERATIONAL,
    SCHEDULED,
    Incident,
    Maintenance,
    Page,
    worst,
)
from worker.sandbox.shapes import public_url
from worker.sandbox.state import State
from worker.sandbox.wire import timestamp

Json = dict[str, Any]


def summary(state: State, page: Page) -> Json:
    """The body of ``GET <page>/api/v1/summary``."""
    url = public_url(page, state.base_url)
    running, planned = state.windows(page.id, IN_PROGRESS), state.windows(page.id, SCHEDULED)
    return {
        "page_title": page.name,
        "page_url": url,
        "ongoing_incidents": [_incident(page, url, it) for it in state.ongoing_incidents(page.id)],
        "in_progress_maintenances": [_in_progress(page, url, it) for it in running],
        "scheduled_maintenances": [_scheduled(page, url, it) for it in planned],
    }


def _incident(page: Page, url: str, incident: Incident) -> Json:
    impact = worst(incident.component_statuses().values())
    current = DEGRADED if impact == OPERATIONAL else impact
    return _event(page, f"{url}/incidents", incident) | {"current_worst_impact": current}


def _in_progress(page: Page, url: str, window: Maintenance) -> Json:
    started = next(update.published_at for update in window.updates if update.status == IN_PROGRESS)
    times = {"started_at": timestamp(started), "scheduled_end_at": timestamp(window.end_at)}
    return _event(page, f"{url}/maintenances", window) | times


def _scheduled(page: Page, url: str, window: Maintenance) -> Json:
    times = {"starts_at": timestamp(window.start_at), "ends_at": timestamp(window.end_at)}
    return _event(page, f"{url}/maintenances", window) | times


def _event(page: Page, url: str, posting: Incident | Maintenance) -> Json:
    last = posting.updates[-1]
    return {
        "id": posting.id,
        "name": posting.name,
        "url": f"{url}/{posting.id}",
        "status": posting.status,
        "last_update_at": timestamp(last.published_at),
        "last_update_message": last.message,
        "affected_components": _affected(page, posting),
    }


def _affected(page: Page, posting: Incident | Maintenance) -> list[Json]:
    places = page.places()
    affected = []
    for key, status in posting.component_statuses().items():
        if key not in places or places[key].hidden:
            continue
        group = places[key].group
        grouped = {"group_name": group.name} if group else {}
        affected.append({"id": key, "name": places[key].component.name, **grouped, "current_status": status})
    return affected
