"""
The vendor's JSON shapes of what stands on the page.

Field for field what the SDK's ``from_dict`` asks for; an optional field without a value is left out, never null.

Source: incident.io API, official SDK 2.29.0 (``StatusPage*V2``), read 2026-11-23.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from worker.sandbox.model import Component, Group, Incident, Maintenance, Page, Span, SubPage, Update
from worker.sandbox.wire import timestamp

Json = dict[str, Any]


def public_url(page: Page, base_url: str) -> str:
    """Where customers see the page, without a slash at the end."""
    return f"{base_url}/{page.slug}" if page.slug else base_url


def page(page: Page, base_url: str) -> Json:
    """``StatusPageV2``."""
    described = {"description": page.description} if page.description else {}
    return {"id": page.id, "name": page.name, "public_url": public_url(page, base_url), **described}


def structure(page: Page) -> Json:
    """``StatusPagesShowStatusPageStructureResultV2``."""
    return {
        "current_structure": {"items": [_item(item) for item in page.items]},
        "display_uptime_mode": "chart_and_percentage",
        "management_meta": {"annotations": {}, "managed_by": "dashboard"},
    }


def _item(item: Component | Group | SubPage) -> Json:
    if isinstance(item, SubPage):
        return {"sub_page": {"id": item.id, "name": item.name, "items": [_item(part) for part in item.items]}}
    if isinstance(item, Group):
        return {"group": _group(item)}
    return {"component": _component(item)}


def _group(group: Group) -> Json:
    described = {"description": group.description} if group.description else {}
    return {
        "id": group.id,
        "name": group.name,
        "hidden": group.hidden,
        "display_aggregated_uptime": True,
        "components": [_component(component) for component in group.components],
        **described,
    }


def _component(component: Component) -> Json:
    return {
        "component_id": component.id,
        "name": component.name,
        "hidden": component.hidden,
        "display_uptime": True,
    }


def incident(incident: Incident) -> Json:
    """``StatusPageIncidentV2``."""
    return {
        "id": incident.id,
        "status_page_id": incident.page_id,
        "name": incident.name,
        "incident_status": incident.status,
        "published_at": timestamp(incident.published_at),
        "component_impacts": [_span(span) | {"component_status": span.status} for span in incident.spans()],
        "updates": [incident_update(incident, update) for update in incident.updates],
    }


def incident_update(incident: Incident, update: Update) -> Json:
    """``StatusPageIncidentUpdateV2``."""
    return {**_update(update), "incident_status": update.status, "status_page_incident_id": incident.id}


def maintenance(window: Maintenance) -> Json:
    """``StatusPageMaintenanceV2``; the planned times stand in its component maintenance periods only."""
    return {
        "id": window.id,
        "status_page_id": window.page_id,
        "name": window.name,
        "maintenance_status": window.status,
        "automate_maintenance_status": window.automate,
        "published_at": timestamp(window.published_at),
        "component_maintenance_periods": [_span(span) for span in window.spans()],
        "updates": [maintenance_update(window, update) for update in window.updates],
    }


def maintenance_update(window: Maintenance, update: Update) -> Json:
    """``StatusPageMaintenanceUpdateV2``."""
    return {**_update(update), "maintenance_status": update.status, "status_page_maintenance_id": window.id}


def _update(update: Update) -> Json:
    return {
        "id": update.id,
        "message": update.message,
        "published_at": timestamp(update.published_at),
        "component_statuses": [
            {"component_id": component, "component_status": status} for component, status in update.component_statuses
        ],
    }


def _span(span: Span) -> Json:
    end = {"end_at": timestamp(span.end_at)} if span.end_at else {}
    return {"component_id": span.component_id, "start_at": timestamp(span.start_at), **end}


def availability(page: Page, component_id: str, start_at: datetime, end_at: datetime, percent: str | None) -> Json:
    """``StatusPageComponentAvailabilityV2``; ``percent`` is None where nothing is known of that time."""
    known = {"availability_percent": percent} if percent is not None else {}
    return {
        "status_page_id": page.id,
        "component_id": component_id,
        "start_at": timestamp(start_at),
        "end_at": timestamp(end_at),
        "data_available_since": timestamp(page.created_at),
        **known,
    }
