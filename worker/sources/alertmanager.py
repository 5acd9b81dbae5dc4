"""
Prometheus Alertmanager: webhook version 4, in its default shape (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from worker.core.model import Inbound, digest
from worker.core.ruleset import SourceConfig
from worker.core.spec.scalars import Count, Line, Strict
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _alerts, _auth, _json

_OTHER_SHAPE = "if the receiver's payload is templated, or another tool sends it, use a source of kind json"


class Alertmanager:
    """Reads Alertmanager's webhook."""

    kind = "alertmanager"
    schemes = _auth.TOKENS
    event_kinds = frozenset({_alerts.KIND})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """See ``_alerts.statements``."""
        body = _json.read(inbound.body)
        if type(body) is not dict or type(body.get("alerts")) is not list or body.get("version", "4") != "4":
            raise PayloadNotUnderstood(f"not Alertmanager's webhook version 4; {_OTHER_SHAPE}")
        return _alerts.statements(body, config.name, _OTHER_SHAPE)

    def delivery_id(self, inbound: Inbound) -> str:  # noqa: ARG002 - what the protocol asks for
        """Alertmanager names no deliveries."""
        return ""


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
