"""
Prometheus Alertmanager: webhook version 4, in its default shape (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

One request repeats the whole group: firing alerts again and again, a resolved one once. The status at the top is
"firing" while any alert fires, so only the alerts' own are read. Alertmanager stamps nothing: events carry no
``occurred_at``, and an alert's ``endsAt`` is none either (Prometheus puts a guess about the future there).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from worker.core.model import Event, Inbound, Status, Unreadable, digest
from worker.core.ruleset import SourceConfig
from worker.core.spec.scalars import Count, Line, Strict
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _json

KIND = "alert"

_STATUSES: Mapping[str, Status] = {"firing": Status.FIRING, "resolved": Status.RESOLVED}
_OTHER_SHAPE = "if the receiver's payload is templated, or another tool sends it, use a source of kind json"


class Alertmanager:
    """Reads Alertmanager's webhook."""

    kind = "alertmanager"
    schemes = _auth.TOKENS
    event_kinds = frozenset({KIND})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give one event an alert; and one for the whole group, where it is resolved and not listed in full."""
        body = _json.read(inbound.body)
        if type(body) is not dict or type(body.get("alerts")) is not list or body.get("version", "4") != "4":
            raise PayloadNotUnderstood(f"not Alertmanager's webhook version 4; {_OTHER_SHAPE}")
        scope = _fields.identity(body, "groupKey")
        read = [_numbered(config.name, scope, index, alert) for index, alert in enumerate(body["alerts"])]
        if body.get("status") == "resolved" and scope and body.get("truncatedAlerts"):
            read.append(_group_resolved(config.name, scope))
        return read

    def delivery_id(self, inbound: Inbound) -> str:  # noqa: ARG002 - what the protocol asks for
        """Alertmanager names no deliveries."""
        return ""


def _numbered(source: str, scope: str, index: int, alert: Any) -> Statement:
    try:
        return _event(source, scope, alert)
    except PayloadNotUnderstood as error:
        return Unreadable(why=f"alerts[{index}].{error}; {_OTHER_SHAPE}")


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
    """With ``max_alerts`` set, alerts beyond it are only counted; once all are resolved, so are those."""
    return Event(source=source, kind=KIND, key=scope, status=Status.RESOLVED, scope=scope, whole_scope=True)


# --- sending, for rehearsals


class AlertItem(Strict):
    """An alert as Alertmanager tells of it."""

    labels: dict[str, Line] = Field(description="Label to text; what the alert is known by. Required.")
    status: Literal["firing", "resolved"] = Field(default="firing", description="Default: firing.")
    annotations: dict[str, Line] = Field(default_factory=dict, description="Annotation to text. Default: {}.")
    count: Count = Field(
        default=1, description="So many alerts, told apart by a label `copy`: 1, 2, 3 … Default: 1, without that label."
    )


class AlertmanagerSender:
    """Tells of alerts in one notification; an alert keeps the start that it was first told with until it is over."""

    inline = "alerts"
    item = AlertItem

    def __init__(self) -> None:
        self._firing_since: dict[str, datetime] = {}

    def bodies(self, items: Sequence[AlertItem], now: datetime) -> Sequence[bytes]:
        """See ``ports.Sender``."""
        alerts = [self._alert(item, labels, now) for item in items for labels in _copies(item)]
        firing = any(alert["status"] == "firing" for alert in alerts)
        body = {
            "version": "4",
            "status": "firing" if firing else "resolved",
            "receiver": "statusbridge",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
            "alerts": alerts,
        }
        return [json.dumps(body).encode()]

    def _alert(self, item: AlertItem, labels: Mapping[str, str], now: datetime) -> Mapping[str, Any]:
        key = digest(labels)
        started = self._firing_since.setdefault(key, now)
        if item.status == "resolved":
            del self._firing_since[key]
        return {
            "status": item.status,
            "labels": labels,
            "annotations": item.annotations,
            "startsAt": started.isoformat(),
            "endsAt": now.isoformat() if item.status == "resolved" else "0001-01-01T00:00:00Z",
        }


def _copies(item: AlertItem) -> Iterator[Mapping[str, str]]:
    if item.count == 1:
        yield item.labels
        return
    for number in range(1, item.count + 1):
        yield {**item.labels, "copy": str(number)}
