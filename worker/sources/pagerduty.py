"""
PagerDuty: webhooks V3 (https://developer.pagerduty.com/docs/webhooks-overview), one event in each body.

Every event is stamped with its ``occurred_at``. What is about an incident itself carries its status; notes and status
updates only name the incident, so they are remarks: taken for statements, one that is written after the incident was
resolved would open it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.core.model import Event, Inbound, Status
from worker.core.ruleset import SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _json

KIND = "incident"

_STATUSES: Mapping[str, Status] = {
    "triggered": Status.FIRING,
    "acknowledged": Status.FIRING,
    "resolved": Status.RESOLVED,
}


class PagerDuty:
    """Reads PagerDuty's webhooks."""

    kind = "pagerduty"
    schemes: Mapping[str, Mapping[str, str]] = {"hmac": {"header": "X-PagerDuty-Signature", "prefix": "v1="}}
    event_kinds = frozenset({KIND})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give the one statement of the body; none for a ping, and for what is about no incident."""
        body = _json.read(inbound.body)
        if type(body) is not dict or type(body.get("event")) is not dict:
            raise PayloadNotUnderstood("not PagerDuty's webhook V3: `event` is missing")
        event = body["event"]
        event_type, data = _fields.required(event, "event_type"), _fields.child(event, "data")
        read = _READERS.get(_fields.text(data, "type"))
        if read is None:
            return ()
        stamp = _fields.time(event, "occurred_at")
        if stamp is None:
            raise PayloadNotUnderstood("event.occurred_at: missing")
        told = {"annotations": {"event_type": event_type}, "occurred_at": stamp, **read(data)}
        return (Event(source=config.name, kind=KIND, **told),)

    def delivery_id(self, inbound: Inbound) -> str:
        """Give the webhook's id, the same over all its retries."""
        return inbound.headers.get("x-webhook-id", "")


def _incident(data: dict[str, Any]) -> dict[str, Any]:
    status, priority = _fields.text(data, "status"), _summary(data, "priority")
    merged = _fields.text(_fields.child(data, "resolve_reason"), "type") == "merge_resolve_reason"
    return {
        "key": _fields.required(data, "id"),
        "status": _STATUSES.get(status, Status.INFO),
        "status_name": status,
        "category": "merged" if merged else status,
        "severity": priority or _fields.text(data, "urgency"),
        "title": _fields.one_line(_fields.text(data, "title")),
        "labels": _labels(data, priority),
        "url": _fields.text(data, "html_url"),
        "started_at": _fields.time(data, "created_at"),
    }


def _labels(data: dict[str, Any], priority: str) -> dict[str, str]:
    teams = (_fields.text(team, "summary") for team in _fields.children(data, "teams"))
    labels = {
        "service": _summary(data, "service"),
        "service_id": _fields.text(_fields.child(data, "service"), "id"),
        "priority": priority,
        "urgency": _fields.text(data, "urgency"),
        "teams": ", ".join(filter(None, teams)),
        "escalation_policy": _summary(data, "escalation_policy"),
        "type": _fields.text(_fields.child(data, "incident_type"), "name"),
        "incident_key": _fields.text(data, "incident_key"),
    }
    return {name: value for name, value in labels.items() if value}


def _summary(data: dict[str, Any], name: str) -> str:
    return _fields.text(_fields.child(data, name), "summary")


def _remark(words: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Read what only names its incident; *words* is the field with what people wrote."""

    def read(data: dict[str, Any]) -> dict[str, Any]:
        incident = _fields.child(data, "incident")
        return {
            "key": _fields.required(incident, "id"),
            "status": Status.INFO,
            "title": _fields.one_line(_fields.text(incident, "summary")),
            "message": _fields.text(data, words),
        }

    return read


_READERS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "incident": _incident,
    "incident_note": _remark("content"),
    "incident_status_update": _remark("message"),
}
"""By the type of the data: new event types about an incident are added over time, and carry its status too."""
