"""
Request bodies, read into drafts: types, lengths, vocabularies and times, with every problem told at once.

What a draft may do on the page is decided later (``incidents.py``, ``maintenances.py``).

Source: incident.io API, official SDK 2.29.0 (``StatusPages*PayloadV2``), read 2026-11-23.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from worker.sandbox.incidents import IncidentDraft, PastUpdate, RetrospectiveDraft, UpdateDraft
from worker.sandbox.maintenances import MaintenanceDraft
from worker.sandbox.model import (
    INCIDENT_COMPONENT_STATUSES,
    INCIDENT_STATUSES,
    MAINTENANCE_COMPONENT_STATUSES,
    MAINTENANCE_STATUSES,
    ComponentStatuses,
)
from worker.sandbox.wire import Complaint, Refused

MAX_NAME = 200
MAX_MESSAGE = 4096
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NEVER = datetime.min.replace(tzinfo=UTC)


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in ``body``; Refused(400) if it is none."""
    try:
        data = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Refused(400, Complaint("invalid_json", f"The body is not valid JSON: {type(error).__name__}")) from None
    if not isinstance(data, dict):
        raise Refused(400, Complaint("invalid_json", "The body must be a JSON object"))
    return data


def moment(text: str) -> datetime | None:
    """An RFC 3339 time as aware UTC; None if ``text`` is none."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class Fields:
    """
    Reads one JSON object field by field and collects what is wrong with it.

    A reader returns something of the right type even for a bad field; ``check`` then refuses the whole.
    A field that is null counts as left out. Fields that nobody reads are ignored, as the vendor does.
    """

    def __init__(self, data: Mapping[str, Any], pointer: str = "", complaints: list[Complaint] | None = None) -> None:
        self._data = data
        self._pointer = pointer
        self._complaints = [] if complaints is None else complaints

    def check(self) -> None:
        """Refused(422) with every complaint, if there is any."""
        if self._complaints:
            raise Refused(422, *self._complaints)

    def text(self, name: str, limit: int | None = None) -> str:
        """A required text that is not blank, of at most ``limit`` characters."""
        value = self._get(name, str, "a text", required=True)
        if value is None:
            return ""
        if not value.strip():
            self.complain(name, "is_required", "must not be blank")
        if limit is not None and len(value) > limit:
            self.complain(name, "too_long", f"must be at most {limit} characters, not {len(value)}")
        return _whole(value)

    def flag(self, name: str, *, required: bool) -> bool:
        """A boolean; False where it may be left out and is."""
        return bool(self._get(name, bool, "true or false", required=required))

    def choice(self, name: str, allowed: Collection[str], *, required: bool = True) -> str | None:
        """One of the allowed words; None where it may be left out and is."""
        value: str | None = self._get(name, str, "a text", required=required)
        if value is not None and value not in allowed:
            self.complain(name, "invalid_value", f"must be one of {', '.join(allowed)}")
        return value

    def time(self, name: str) -> datetime:
        """A required RFC 3339 time."""
        value = self._get(name, str, "an RFC 3339 time", required=True)
        if value is None:
            return _NEVER
        at = moment(value)
        if at is None:
            self.complain(name, "invalid_value", "must be an RFC 3339 time with an offset")
        return at or _NEVER

    def texts(self, name: str) -> tuple[str, ...]:
        """A required list of texts."""
        values = self._get(name, list, "a list", required=True) or []
        if not all(isinstance(value, str) for value in values):
            self.complain(name, "invalid_value", "must be a list of texts")
            return ()
        return tuple(values)

    def objects(self, name: str, *, required: bool) -> list[Fields] | None:
        """A list of objects, each to be read in turn; None where it may be left out and is."""
        values = self._get(name, list, "a list", required=required)
        if values is None:
            return None
        if not all(isinstance(value, dict) for value in values):
            self.complain(name, "invalid_value", "must be a list of objects")
            return []
        pointer = f"{self._pointer}/{name}"
        return [Fields(value, f"{pointer}/{index}", self._complaints) for index, value in enumerate(values)]

    def component_statuses(self, allowed: Collection[str]) -> ComponentStatuses | None:
        """The optional ``component_statuses``; no component twice."""
        entries = self.objects("component_statuses", required=False)
        if entries is None:
            return None
        statuses: dict[str, str] = {}
        for entry in entries:
            component_id = entry.text("component_id")
            if component_id in statuses:
                entry.complain("component_id", "invalid_value", "this component is named twice")
            statuses[component_id] = entry.choice("component_status", allowed) or ""
        return tuple(statuses.items())

    def complain(self, name: str, code: str, message: str) -> None:
        """Note that something is wrong with the field."""
        self._complaints.append(Complaint(code, f"{name} {message}", f"{self._pointer}/{name}"))

    def _get(self, name: str, kind: type, what: str, *, required: bool) -> Any:
        value = self._data.get(name)
        if value is None:
            if required:
                self.complain(name, "is_required", "is required")
            return None
        if not isinstance(value, kind):
            self.complain(name, "invalid_value", f"must be {what}")
            return None
        return value


def incident(data: Mapping[str, Any]) -> IncidentDraft:
    """The body of CreateStatusPageIncident."""
    fields = Fields(data)
    fields.text("idempotency_key")
    draft = IncidentDraft(
        page_id=fields.text("status_page_id"),
        name=fields.text("name", MAX_NAME),
        message=fields.text("message", MAX_MESSAGE),
        status=fields.choice("incident_status", INCIDENT_STATUSES) or "",
        component_statuses=fields.component_statuses(INCIDENT_COMPONENT_STATUSES),
        notify=fields.flag("notify_subscribers", required=True),
    )
    fields.check()
    return draft


def incident_update(data: Mapping[str, Any]) -> UpdateDraft:
    """The body of CreateStatusPageIncidentUpdate."""
    return _update(data, "status_page_incident_id", "incident_status", INCIDENT_STATUSES, INCIDENT_COMPONENT_STATUSES)


def maintenance_update(data: Mapping[str, Any]) -> UpdateDraft:
    """The body of CreateStatusPageMaintenanceUpdate."""
    return _update(
        data, "status_page_maintenance_id", "maintenance_status", MAINTENANCE_STATUSES, MAINTENANCE_COMPONENT_STATUSES
    )


def _update(
    data: Mapping[str, Any],
    subject: str,
    status: str,
    statuses: Collection[str],
    component_statuses: Collection[str],
) -> UpdateDraft:
    fields = Fields(data)
    draft = UpdateDraft(
        subject_id=fields.text(subject),
        message=fields.text("message", MAX_MESSAGE),
        status=fields.choice(status, statuses, required=False),
        component_statuses=fields.component_statuses(component_statuses),
        notify=fields.flag("notify_subscribers", required=True),
    )
    fields.check()
    return draft


def incident_name(data: Mapping[str, Any]) -> str:
    """The body of UpdateStatusPageIncident."""
    fields = Fields(data)
    name = fields.text("name", MAX_NAME)
    fields.check()
    return name


def retrospective(data: Mapping[str, Any]) -> RetrospectiveDraft:
    """The body of CreateStatusPageRetrospectiveIncident."""
    fields = Fields(data)
    fields.text("idempotency_key")
    entries = fields.objects("updates", required=True)
    if entries == []:
        fields.complain("updates", "is_required", "must have at least one entry")
    draft = RetrospectiveDraft(
        page_id=fields.text("status_page_id"),
        name=fields.text("name", MAX_NAME),
        updates=tuple(_past_update(entry) for entry in entries or ()),
    )
    fields.check()
    return draft


def _past_update(fields: Fields) -> PastUpdate:
    return PastUpdate(
        message=fields.text("message", MAX_MESSAGE),
        status=fields.choice("incident_status", INCIDENT_STATUSES) or "",
        published_at=fields.time("published_at"),
        component_statuses=fields.component_statuses(INCIDENT_COMPONENT_STATUSES),
    )


def maintenance(data: Mapping[str, Any]) -> MaintenanceDraft:
    """The body of CreateStatusPageMaintenance."""
    fields = Fields(data)
    fields.text("idempotency_key")
    draft = MaintenanceDraft(
        page_id=fields.text("status_page_id"),
        name=fields.text("name", MAX_NAME),
        message=fields.text("message", MAX_MESSAGE),
        status=fields.choice("maintenance_status", MAINTENANCE_STATUSES) or "",
        start_at=fields.time("start_at"),
        end_at=fields.time("end_at"),
        affected=fields.texts("affected_component_ids"),
        notify=fields.flag("notify_subscribers", required=True),
        automate=fields.flag("automate_maintenance_status", required=False),
    )
    fields.check()
    return draft


def schedule(data: Mapping[str, Any]) -> tuple[str, datetime, datetime]:
    """The body of UpdateStatusPageMaintenance: name, start, end."""
    fields = Fields(data)
    read = fields.text("name", MAX_NAME), fields.time("start_at"), fields.time("end_at")
    fields.check()
    return read


def _whole(text: str) -> str:
    """``text`` with lone surrogates replaced, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
