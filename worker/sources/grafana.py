"""
Grafana: webhooks of its alerting, in their default shape (https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/).

A "resolved" of which Grafana gives a reason is no recovery: the series is gone, the rule was paused, edited or removed,
or there is no data. It is a remark here, so that nothing is said to be well that nobody looks at. So are the alerts
about missing data and failing queries, which Grafana makes in place of the rule's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from worker.core.model import Event, Inbound, Status
from worker.core.ruleset import SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _alerts, _auth, _json

NO_DATA = "no_data"

_OTHER_SHAPE = "if the contact point has a payload of its own, use a source of kind json"
_ABOUT_DATA = frozenset({"DatasourceNoData", "DatasourceError"})
_TEST = {"alertname": "TestAlert", "instance": "Grafana"}
_REASON = "grafana_state_reason"


class Grafana:
    """Reads the webhook of Grafana's alerting."""

    kind = "grafana"
    schemes: Mapping[str, Mapping[str, str]] = {"hmac": {"header": "X-Grafana-Alerting-Signature"}, **_auth.TOKENS}
    event_kinds = frozenset({_alerts.KIND, NO_DATA})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """See ``_alerts.statements``."""
        body = _json.read(inbound.body)
        if type(body) is dict and "evalMatches" in body:
            raise PayloadNotUnderstood("a dashboard alert of Grafana 8 and before; switch to unified alerting")
        if type(body) is not dict or type(body.get("alerts")) is not list or body.get("version", "1") != "1":
            raise PayloadNotUnderstood(f"not the webhook of Grafana's alerting; {_OTHER_SHAPE}")
        return _alerts.statements(body, config.name, _OTHER_SHAPE, _doubted)

    def delivery_id(self, inbound: Inbound) -> str:  # noqa: ARG002 - what the protocol asks for
        """Grafana names no deliveries."""
        return ""


def _doubted(event: Event) -> Event:
    if event.labels.get("alertname") in _ABOUT_DATA:
        return replace(event, kind=NO_DATA, status=Status.INFO)
    if event.status is Status.RESOLVED and (reason := event.annotations.get(_REASON)):
        return replace(event, status=Status.INFO, status_name=reason)
    return replace(event, test=True) if event.labels.items() >= _TEST.items() else event
