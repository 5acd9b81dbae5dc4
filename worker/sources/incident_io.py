"""
incident.io: outbound webhooks about incidents, alerts and status page posts (https://docs.incident.io/api-reference/webhooks).

A body is ``{"event_type": T, T: {…}}``. Deliveries come in any order; every statement about an incident or alert is
stamped with its ``updated_at``. Names of statuses are the customer's own, so the *category* tells whether it fires.

What must not become public by accident: a test, a tutorial and every mode that is not known count as a rehearsal; a
retrospective incident is of its own kind and never fires; of private ones only the id is told, and kept, as private.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt

from worker.core.model import Event, Inbound, SharedPost, Status
from worker.core.ruleset import SourceConfig
from worker.core.spec.scalars import Flag, Line, Strict, whole
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _json

INCIDENT = "incident"
RETROSPECTIVE = "retrospective_incident"
ALERT = "alert"

_STATUSES: Mapping[str, Status] = {
    "triage": Status.FIRING,
    "live": Status.FIRING,
    "paused": Status.FIRING,
    "learning": Status.RESOLVED,
    "closed": Status.RESOLVED,
    "canceled": Status.RESOLVED,
    "declined": Status.RESOLVED,
    "merged": Status.RESOLVED,
}
_PRIVATE = (("private_incident.incident_", INCIDENT), ("private_alert.alert_", ALERT))
_REAL_MODES = frozenset({"", "standard", "retrospective"})


class IncidentIo:
    """Reads incident.io's webhooks."""

    kind = "incident_io"
    schemes: Mapping[str, Mapping[str, str]] = {"standard_webhooks": {}}
    event_kinds = frozenset({INCIDENT, RETROSPECTIVE, ALERT})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give the one statement of the body; none for event types that say nothing about a signal or a page."""
        body = _json.read(inbound.body)
        if type(body) is not dict:
            raise PayloadNotUnderstood("not incident.io's webhook: the body is not an object")
        event_type = _fields.required(body, "event_type")
        read = _READERS.get(event_type) or _private_reader(event_type)
        if read is None:
            return ()
        try:
            return (read(config.name, _fields.child(body, event_type)),)
        except PayloadNotUnderstood as error:
            raise PayloadNotUnderstood(f"{event_type}: {error}") from None

    def delivery_id(self, inbound: Inbound) -> str:
        """Give the id of the message, which the signature covers."""
        return _auth.message_id(inbound.headers)


_Read = Callable[[str, dict[str, Any]], Statement]


def _incident(source: str, incident: dict[str, Any]) -> Statement:
    status = _fields.child(incident, "incident_status")
    return _incident_event(source, incident, status, _fields.text(incident, "most_recent_update_message"))


def _status_change(source: str, change: dict[str, Any]) -> Statement:
    incident, status = _fields.child(change, "incident"), _fields.child(change, "new_status")
    return _incident_event(source, incident, status, _fields.text(change, "message"))


def _incident_event(source: str, incident: dict[str, Any], status: dict[str, Any], message: str) -> Event:
    mode, category = _fields.text(incident, "mode"), _fields.required(status, "category")
    severity, summary = _fields.child(incident, "severity"), _fields.text(incident, "summary")
    retrospective = mode == "retrospective"
    return Event(
        source=source,
        kind=RETROSPECTIVE if retrospective else INCIDENT,
        key=_fields.required(incident, "id"),
        status=Status.INFO if retrospective else _STATUSES.get(category, Status.INFO),
        severity=_fields.text(severity, "name"),
        severity_rank=_rank(severity),
        status_name=_fields.text(status, "name"),
        category=category,
        title=_fields.one_line(_fields.text(incident, "name")),
        message=message,
        labels=_incident_labels(incident, mode, _fields.text(severity, "name")),
        annotations={"summary": summary} if summary else {},
        url=_fields.text(incident, "permalink"),
        started_at=_fields.time(incident, "created_at"),
        occurred_at=_stamp(incident),
        private=_fields.text(incident, "visibility") not in ("", "public"),
        test=mode not in _REAL_MODES,
    )


def _alert(status: Status, source: str, alert: dict[str, Any]) -> Statement:
    """The event type tells the status: the field of that name may still say what was before."""
    labels = _alert_labels(alert)
    resolved_at = _fields.time(alert, "resolved_at") if status is Status.RESOLVED else None
    return Event(
        source=source,
        kind=ALERT,
        key=_fields.required(alert, "id"),
        status=status,
        severity=labels.get("severity") or labels.get("priority") or "",
        title=_fields.one_line(_fields.text(alert, "title")),
        message=_fields.text(alert, "description"),
        labels=labels,
        url=_fields.text(alert, "source_url"),
        started_at=_fields.time(alert, "created_at"),
        occurred_at=max(filter(None, (_stamp(alert), resolved_at))),
    )


def _private(kind: str, source: str, resource: dict[str, Any]) -> Statement:
    return Event(source=source, kind=kind, key=_fields.required(resource, "id"), status=Status.INFO, private=True)


def _shared_post(_: str, shared: dict[str, Any]) -> Statement:
    incident, update = _fields.child(shared, "status_page_incident"), _fields.child(shared, "update")
    return SharedPost(remote_id=_fields.required(incident, "id"), update_id=_fields.required(update, "id"))


_READERS: Mapping[str, _Read] = {
    "public_incident.incident_created_v2": _incident,
    "public_incident.incident_updated_v2": _incident,
    "public_incident.incident_status_updated_v2": _status_change,
    "public_alert.alert_created_v1": partial(_alert, Status.FIRING),
    "public_alert.alert_resolved_v1": partial(_alert, Status.RESOLVED),
    "status_page_incident.update_shared_v1": _shared_post,
}


def _private_reader(event_type: str) -> _Read | None:
    kind = next((kind for prefix, kind in _PRIVATE if event_type.startswith(prefix)), None)
    return partial(_private, kind) if kind else None


def _stamp(resource: dict[str, Any]) -> datetime:
    stamp = _fields.time(resource, "updated_at")
    if stamp is None:
        raise PayloadNotUnderstood("updated_at: missing")
    return stamp


def _rank(severity: dict[str, Any]) -> int:
    rank = severity.get("rank", 0)
    if type(rank) is not int:
        raise PayloadNotUnderstood("severity.rank: not a whole number")
    return rank


def _incident_labels(incident: dict[str, Any], mode: str, severity: str) -> dict[str, str]:
    custom = dict(map(_custom_field, _fields.children(incident, "custom_field_entries")))
    kind = _fields.text(_fields.child(incident, "incident_type"), "name")
    fixed = {"mode": mode, "severity": severity, "type": kind, "reference": _fields.text(incident, "reference")}
    return _filled({"custom_" + name: value for name, value in custom.items() if name}) | _filled(fixed)


def _custom_field(entry: dict[str, Any]) -> tuple[str, str]:
    name = _fields.text(_fields.child(entry, "custom_field"), "name")
    return _slug(name), _joined(map(_custom_value, _fields.children(entry, "values")))


def _custom_value(value: dict[str, Any]) -> str:
    """By the field's type exactly one of these is set."""
    return (
        _fields.text(_fields.child(value, "value_option"), "value")
        or _fields.text(_fields.child(value, "value_catalog_entry"), "name")
        or _fields.text(value, "value_text")
        or _fields.text(value, "value_numeric")
        or _fields.text(value, "value_link")
    )


def _alert_labels(alert: dict[str, Any]) -> dict[str, str]:
    fixed = {name: _fields.text(alert, name) for name in ("deduplication_key", "alert_source_id")}
    fixed["tags"] = _joined(_fields.text(tag, "name") for tag in _fields.children(alert, "tags"))
    return _filled(dict(map(_attribute, _fields.children(alert, "attributes")))) | _filled(fixed)


def _attribute(entry: dict[str, Any]) -> tuple[str, str]:
    values = _fields.children(entry, "array_value") or [_fields.child(entry, "value")]
    name = _fields.text(_fields.child(entry, "attribute"), "name")
    return _slug(name), _joined(_fields.text(value, "label") or _fields.text(value, "literal") for value in values)


def _filled(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name and value}


def _joined(values: Iterable[str]) -> str:
    return ", ".join(value for value in values if value)


def _slug(name: str) -> str:
    """Make a label name of what people called a field: "Affected Team" is ``affected_team``."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


# --- sending, for rehearsals


class IncidentItem(Strict):
    """A change of an incident, as incident.io tells of it."""

    id: Line = Field(default="incident-1", description="What the incident is known by. Default: incident-1.")
    name: Line = Field(default="An incident", description="Its name. Default: An incident.")
    status: Line = Field(default="Investigating", description="The name of its status. Default: Investigating.")
    category: Literal["triage", "live", "paused", "learning", "closed", "canceled", "declined", "merged"] = Field(
        default="live", description="The category of its status. Default: live."
    )
    severity: Line = Field(default="Major", description="The name of its severity. Default: Major.")
    severity_rank: Annotated[StrictInt, *whole(0, 1000)] = Field(
        default=2, description="The rank of its severity; larger is worse. Default: 2."
    )
    message: str = Field(default="", description="What people wrote with the change. Default: nothing.")
    summary: str = Field(default="", description="Its summary. Default: none.")
    custom_fields: dict[str, Line] = Field(default_factory=dict, description="Custom field to its text. Default: {}.")
    private: Flag = Field(default=False, description="Only the id of a private incident is told. Default: false.")
    test: Flag = Field(default=False, description="A test, not the real thing. Default: false.")


class IncidentIoSender:
    """Tells of one change in each body, each with a later stamp than the last."""

    inline = "incidents"
    item = IncidentItem

    def __init__(self) -> None:
        self._created: dict[str, datetime] = {}
        self._last: datetime | None = None

    def bodies(self, items: Sequence[IncidentItem], now: datetime) -> Sequence[bytes]:
        """See ``ports.Sender``."""
        return [json.dumps(self._body(item, now)).encode() for item in items]

    def _body(self, item: IncidentItem, now: datetime) -> Mapping[str, Any]:
        created = self._created.setdefault(item.id, now)
        self._last = stamp = now if self._last is None else max(now, self._last + timedelta(milliseconds=1))
        if item.private:
            event_type = "private_incident.incident_updated_v2"
            return {"event_type": event_type, event_type: {"id": item.id}}
        status = {"name": item.status, "category": item.category}
        incident = {
            "id": item.id,
            "name": item.name,
            "mode": "test" if item.test else "standard",
            "visibility": "public",
            "incident_status": status,
            "severity": {"name": item.severity, "rank": item.severity_rank},
            "summary": item.summary,
            "custom_field_entries": [
                {"custom_field": {"name": name}, "values": [{"value_text": text}]}
                for name, text in item.custom_fields.items()
            ],
            "created_at": created.isoformat(),
            "updated_at": stamp.isoformat(),
        }
        event_type = "public_incident.incident_status_updated_v2"
        told = {"incident": incident, "new_status": status, "message": item.message}
        return {"event_type": event_type, event_type: told}
