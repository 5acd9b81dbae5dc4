"""
A notification about a group of alerts, in the form that more than one sender has.

One request repeats the whole group: firing alerts again and again, a resolved one once. The status at the top is
"firing" while any alert fires, so only the alerts' own are read. Nothing is stamped: events carry no ``occurred_at``,
and an alert's ``endsAt`` is none either (it may be a guess about the future). This file may not know any vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from worker.core.model import Event, Status, Unreadable, digest
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _fields

KIND = "alert"

_STATUSES: Mapping[str, Status] = {"firing": Status.FIRING, "resolved": Status.RESOLVED}


def statements(
    body: dict[str, Any], source: str, other_shape: str, doubted: Callable[[Event], Event] = lambda event: event
) -> list[Statement]:
    """
    Give one event an alert; and one for the whole group, where it is resolved and not listed in full.

    Args:
        body: The notification; ``alerts`` is a list.
        other_shape: What to do where an alert is of another shape, for people.
        doubted: Gives what the sender's own words make of an event.
    """
    scope = _fields.identity(body, "groupKey")
    read = [_numbered(source, scope, index, alert, other_shape, doubted) for index, alert in enumerate(body["alerts"])]
    in_doubt = any(isinstance(event, Event) and event.status is Status.INFO for event in read)
    if body.get("status") == "resolved" and scope and body.get("truncatedAlerts") and not in_doubt:
        read.append(_group_resolved(source, scope))
    return read


def _numbered(
    source: str, scope: str, index: int, alert: Any, other_shape: str, doubted: Callable[[Event], Event]
) -> Statement:
    try:
        return doubted(_event(source, scope, alert))
    except PayloadNotUnderstood as error:
        return Unreadable(why=f"alerts[{index}].{error}; {other_shape}")


def _event(source: str, scope: str, alert: Any) -> Event:
    if type(alert) is not dict:
        raise PayloadNotUnderstood("not an object")
    labels, annotations = _fields.texts(alert, "labels"), _fields.texts(alert, "annotations")
    return Event(
        source=source,
        kind=KIND,
        key=_key(alert, labels),
        status=_status(alert),
        severity=labels.get("severity") or labels.get("priority") or "",
        title=_fields.one_line(annotations.get("summary") or labels.get("alertname") or ""),
        message=annotations.get("description", ""),
        labels=labels,
        annotations=annotations,
        url=_fields.text(alert, "generatorURL"),
        started_at=_fields.time(alert, "startsAt"),
        scope=scope,
    )


def _key(alert: dict[str, Any], labels: Mapping[str, str]) -> str:
    fingerprint = _fields.identity(alert, "fingerprint")
    if not fingerprint and not labels:
        raise PayloadNotUnderstood("fingerprint: missing, and there are no labels to make one of")
    return fingerprint or digest(labels)[:16]


def _status(alert: dict[str, Any]) -> Status:
    status = _STATUSES.get(_fields.text(alert, "status"))
    if status is None:
        raise PayloadNotUnderstood('status: neither "firing" nor "resolved"')
    return status


def _group_resolved(source: str, scope: str) -> Event:
    """Alerts beyond the sender's limit are only counted; once all are resolved, so are those."""
    return Event(source=source, kind=KIND, key=scope, status=Status.RESOLVED, scope=scope, whole_scope=True)
