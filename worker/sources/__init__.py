"""
Senders of webhooks: what each of them says, in our words. One file a vendor: a mapping, or code.

A mapping ``<kind>.yaml`` is found by itself; code needs its line here. Both need ``examples/<kind>/``,
``docs/reference/sources/<kind>.md``, and bodies under ``tests/payloads/<kind>/``; the contract tests run over this
registry. Sources are pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.ports import Sender, Source
from worker.sources._shipped import shipped
from worker.sources.alertmanager import Alertmanager, AlertmanagerSender
from worker.sources.aws_sns import AwsSns
from worker.sources.cloudevents import CloudEvents
from worker.sources.github import GitHub
from worker.sources.grafana import Grafana
from worker.sources.incident_io import IncidentIo, IncidentIoSender
from worker.sources.json_mapping import JsonSource
from worker.sources.pagerduty import PagerDuty
from worker.sources.sentry import Sentry

SOURCES: Mapping[str, Source] = {
    "alertmanager": Alertmanager(),
    "aws_sns": AwsSns(),
    "cloudevents": CloudEvents(),
    "github": GitHub(),
    "grafana": Grafana(),
    "incident_io": IncidentIo(),
    "json": JsonSource(),
    "pagerduty": PagerDuty(),
    "sentry": Sentry(),
    **shipped(),
}

SENDERS: Mapping[str, Callable[[], Sender]] = {
    "alertmanager": AlertmanagerSender,
    "incident_io": IncidentIoSender,
}
"""Who sends for a rehearsal what a rule test writes in short; any other body is written in full."""
