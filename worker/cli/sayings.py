"""
What was heard and what was said on a stage, in words and as data: what ``test``, ``explain`` and ``plan`` share.

Pure: nothing is read or printed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.core.model import Event, Status
from worker.rehearse.play import Saying
from worker.telling.words import deed

MOST_LABELS = 120
"""Characters of an alert's labels that people see."""

_STATUSES = {Status.FIRING: "fires", Status.RESOLVED: "is resolved", Status.INFO: "is told of"}


def heard(event: Event, more: int) -> str:
    """Say what was heard: "alertmanager: alert fires {service: checkout}, and 39 more"."""
    labels = ", ".join(f"{name}: {value}" for name, value in event.labels.items())
    called = f"“{event.title}”" if event.title else "{" + labels[:MOST_LABELS] + "}"
    status = f"{_STATUSES[event.status]}{f' as `{event.status_name}`' if event.status_name else ''}"
    return f"{event.source}: {event.kind} {called} {status}" + (f", and {more} more" if more else "")


def called(saying: Saying) -> str:
    """Say what is done: "open_incident checkout-outage#1: investigating; checkout full_outage; mails"."""
    number = f"#{saying.number}" if saying.number else ""
    group = " {" + ", ".join(f"{k}: {v}" for k, v in saying.group.items()) + "}" if saying.group else ""
    kind, _, rest = deed(saying.action).partition(":")
    state = "" if saying.said else f" [{saying.action.state}]"
    return f"{kind} {saying.who}{number}{group}{state}:{rest}"


def saying_data(saying: Saying) -> Mapping[str, Any]:
    """Give an action for programs."""
    content = saying.action.content
    status = content.incident_status or content.window_status
    return {
        "at": saying.at,
        "do": saying.action.kind.value,
        "rule": saying.rule,
        "maintenance": saying.window,
        "page": saying.action.page,
        "group": dict(saying.group),
        "post": saying.action.post.value,
        "status": status.value if status else None,
        "components": {name: each.value for name, each in content.components.items()},
        "mails": content.notify,
        "title": content.title,
        "text": saying.text,
        "state": saying.action.state.value,
    }
