"""
What a page says now, in one object that anybody may read: made of what we have published there.

For pages whose service has no word for that. Pure. It knows nothing of what people post there by themselves: what they
have taken over is left out, because what it says by now is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.core.footprints import Footprint
from worker.core.model import (
    ActionState,
    ComponentStatus,
    Directory,
    Episode,
    IncidentStatus,
    Window,
    WindowStatus,
)
from worker.core.ruleset import ComponentRef

Json = Mapping[str, Any]


def summary(directory: Directory, components: Mapping[str, ComponentRef], footprints: Iterable[Footprint]) -> Json:
    """
    Sum up a page, with the fields of incident.io's Widget API.

    Args:
        components: Our names to what the page calls them.
        footprints: At least of everything that is live there.
    """
    url = directory.public_url
    public = [each for each in footprints if each.subject.remote_id and not each.subject.hands_off]
    return {
        "page_title": directory.name,
        "page_url": url,
        "ongoing_incidents": [_incident(each, each.subject, url, components) for each in public if _ongoing(each)],
        "in_progress_maintenances": _windows(public, WindowStatus.IN_PROGRESS, url, components),
        "scheduled_maintenances": _windows(public, WindowStatus.SCHEDULED, url, components),
    }


def _ongoing(footprint: Footprint) -> bool:
    subject = footprint.subject
    if not isinstance(subject, Episode) or subject.guest or subject.known is None:
        return False
    return subject.known.incident_status is not IncidentStatus.RESOLVED


def _incident(footprint: Footprint, episode: Any, url: str, components: Mapping[str, ComponentRef]) -> Json:
    statuses = episode.known.components
    worst = max(statuses.values(), key=lambda each: each.rank, default=ComponentStatus.OPERATIONAL)
    mildest = ComponentStatus.DEGRADED_PERFORMANCE
    return {
        **_event(footprint, url),
        "status": episode.known.incident_status.value,
        "affected_components": [_component(name, components.get(name), status) for name, status in statuses.items()],
        "current_worst_impact": (worst if worst.rank > mildest.rank else mildest).value,
    }


def _windows(
    footprints: Sequence[Footprint], status: WindowStatus, url: str, components: Mapping[str, ComponentRef]
) -> list[Json]:
    return [
        _window(each, each.subject, url, components)
        for each in footprints
        if isinstance(each.subject, Window) and each.subject.known is status
    ]


def _window(footprint: Footprint, window: Window, url: str, components: Mapping[str, ComponentRef]) -> Json:
    under_way = window.known is WindowStatus.IN_PROGRESS
    status = ComponentStatus.UNDER_MAINTENANCE if under_way else ComponentStatus.OPERATIONAL
    names = ("started_at", "scheduled_end_at") if under_way else ("starts_at", "ends_at")
    times = (window.begun_at or window.starts_at, window.ends_at)
    return {
        **_event(footprint, url),
        "status": window.known,
        "affected_components": [_component(name, components.get(name), status) for name in window.components],
        **{name: _time(at) for name, at in zip(names, times, strict=True)},
    }


def _event(footprint: Footprint, url: str) -> Json:
    subject = footprint.subject
    said = [each for each in footprint.actions if each.state is ActionState.DONE and each.content.message]
    return {
        "id": subject.remote_id,
        "name": subject.known_name,
        "url": url,
        "last_update_at": _time(subject.posted_at) if subject.posted_at else None,
        "last_update_message": said[-1].content.message if said else "",
    }


def _component(name: str, ref: ComponentRef | None, status: ComponentStatus) -> Json:
    """The page's word for it, as far as the rules tell it: "Group / Name", a name, or a whole group."""
    group, _, own = (ref.group or ref.name if ref is not None else name).rpartition(" / ")
    return {"id": name, "name": own, **({"group_name": group} if group else {}), "current_status": status.value}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
