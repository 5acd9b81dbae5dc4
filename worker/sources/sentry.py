"""
Sentry: webhooks of an integration, about metric alerts, issues, and issue alerts.

Issue alerts only ever begin. They are of the scope of their issue, so that its being resolved ends them too. Nothing
is stamped: the time that Sentry sends along is that of an attempt, and is not signed.

Source: https://docs.sentry.io/organization/integrations/integration-platform/webhooks/, read 2026-11-25.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.core.model import Event, Inbound, Status
from worker.core.ruleset import SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _json

METRIC_ALERT = "metric_alert"
ISSUE = "issue"
ISSUE_ALERT = "issue_alert"

_METRIC_ALERTS: Mapping[str, Status] = {
    "critical": Status.FIRING,
    "warning": Status.FIRING,
    "resolved": Status.RESOLVED,
}
_ISSUES: Mapping[str, Status] = {
    "created": Status.FIRING,
    "unresolved": Status.FIRING,
    "resolved": Status.RESOLVED,
}


class Sentry:
    """Reads Sentry's webhooks."""

    kind = "sentry"
    schemes: Mapping[str, Mapping[str, str]] = {"hmac": {"header": "Sentry-Hook-Signature"}}
    event_kinds = frozenset({METRIC_ALERT, ISSUE, ISSUE_ALERT})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give what the body says; nothing for comments, installations and whatever is no alert or issue."""
        body = _json.read(inbound.body)
        if type(body) is not dict or type(body.get("data")) is not dict:
            raise PayloadNotUnderstood("not Sentry's webhook: `data` is missing")
        action, data = _fields.required(body, "action"), body["data"]
        read = next((reader for name, reader in _READERS.items() if name in data), None)
        return [Event(source=config.name, **told) for told in read(action, data)] if read else ()

    def delivery_id(self, inbound: Inbound) -> str:  # noqa: ARG002 - what the protocol asks for
        """Sentry's ids are new for each attempt."""
        return ""


_Told = dict[str, Any]


def _metric_alert(action: str, data: _Told) -> Sequence[_Told]:
    alert = _fields.child(data, "metric_alert")
    rule = _fields.child(alert, "alert_rule")
    labels = {
        "rule": _fields.text(rule, "name"),
        "environment": _fields.text(rule, "environment"),
        "projects": ", ".join(each for each in _fields.items(alert, "projects") if isinstance(each, str)),
    }
    told = {
        "kind": METRIC_ALERT,
        "key": f"metric_alert/{_fields.required(alert, 'id')}",
        "status": _METRIC_ALERTS.get(action, Status.INFO),
        "status_name": action,
        "severity": action,
        "title": _fields.one_line(_fields.text(rule, "name") or _fields.text(alert, "title")),
        "message": _fields.text(data, "description_text"),
        "labels": _filled(labels),
        "url": _fields.text(data, "web_url"),
        "started_at": _fields.time(alert, "date_started"),
    }
    return (told,)


def _issue(action: str, data: _Told) -> Sequence[_Told]:
    issue = _fields.child(data, "issue")
    ident, status = _fields.required(issue, "id"), _ISSUES.get(action, Status.INFO)
    scope, level = f"issue/{ident}", _fields.text(issue, "level")
    labels = {
        "project": _fields.text(_fields.child(issue, "project"), "slug"),
        "level": level,
        "platform": _fields.text(issue, "platform"),
        "short_id": _fields.text(issue, "shortId"),
    }
    told: _Told = {
        "kind": ISSUE,
        "key": scope,
        "status": status,
        "status_name": action,
        "severity": level,
        "title": _fields.one_line(_fields.text(issue, "title")),
        "labels": _filled(labels),
        "url": _fields.text(issue, "permalink"),
        "scope": scope,
    }
    if status is not Status.RESOLVED:
        return (told,)
    return (told, {"kind": ISSUE_ALERT, "key": scope, "status": status, "scope": scope, "whole_scope": True})


def _issue_alert(action: str, data: _Told) -> Sequence[_Told]:
    event = _fields.child(data, "event")
    rule, level = _fields.text(data, "triggered_rule"), _fields.text(event, "level")
    scope = f"issue/{_fields.required(event, 'issue_id')}"
    told = {
        "kind": ISSUE_ALERT,
        "key": _fields.bounded(f"{scope}/{rule}"),
        "status": Status.FIRING if action == "triggered" else Status.INFO,
        "status_name": action,
        "severity": level,
        "title": _fields.one_line(_fields.text(event, "title")),
        "labels": {**_event_tags(event), **_filled({"rule": rule, "level": level})},
        "url": _fields.text(event, "web_url"),
        "scope": scope,
    }
    return (told,)


def _event_tags(event: _Told) -> dict[str, str]:
    """Sentry writes tags as pairs."""
    pairs = [pair for pair in _fields.items(event, "tags") if isinstance(pair, list) and len(pair) == 2]
    return _fields.tags([{"name": name, "value": value} for name, value in pairs], "tags")


def _filled(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in labels.items() if text}


_READERS: Mapping[str, Callable[[str, _Told], Sequence[_Told]]] = {
    "metric_alert": _metric_alert,
    "issue": _issue,
    "triggered_rule": _issue_alert,
}
"""By what the body has; the header Sentry-Hook-Resource says the same, and is not signed."""
