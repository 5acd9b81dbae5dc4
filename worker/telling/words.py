"""
Actions, attempts and events in words: the same on the command line and in the dashboard.

Pure: nothing is read or printed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.core.model import Action, Attempt, Content, Event
from worker.ports import HistoryLine, Received

HASH = 12
"""How many characters of a hash people see."""


def label(line: HistoryLine) -> str:
    """Name the episode as people do: ``checkout-outage#3``; a window by its id."""
    return f"{line.rule_id}#{line.number}" if line.rule_id and line.number else line.episode


def pairs(values: Mapping[str, Any], sign: str = "=", between: str = ", ") -> str:
    """Write a map on one line."""
    return between.join(f"{name}{sign}{value}" for name, value in values.items())


def deed(action: Action) -> str:
    """Say what is done to the page: "update_incident (worsen): identified; checkout full_outage; mails"."""
    content = action.content
    why = "" if action.kind.value.startswith(action.post.value) else f" ({action.post.value})"
    facts = (
        "on somebody else's incident" if action.guest else "",
        action.incident_status.value if action.incident_status else "",
        pairs({name: status.value for name, status in content.components.items()}, " "),
        _window(content),
        "mails" if content.notify else "",
    )
    told = "; ".join(filter(None, facts))
    return f"{action.kind.value}{why}{': ' + told if told else ''}"


def _window(content: Content) -> str:
    if content.starts_at is None or content.ends_at is None:
        return ""
    clock = clock_of(content.starts_at, content.ends_at)
    return f"{content.starts_at:%Y-%m-%d {clock}} to {content.ends_at:%Y-%m-%d {clock}} UTC"


def clock_of(*times: datetime) -> str:
    """Give the form in which the times of day of a window are written: to the second where any of them has seconds."""
    return "%H:%M:%S" if any(time.second for time in times) else "%H:%M"


def words(content: Content) -> str:
    """Give the public texts, quoted; a backfill's one per line."""
    texts = [content.title, content.message, *(step.message for step in content.steps)]
    return "\n".join(f"“{text.strip()}”" for text in texts if text.strip())


def statement(event: Event) -> str:
    """Say what an event said: "alertmanager alert 1a2b: firing, critical, “Checkout is down”"."""
    facts = (event.status.value, event.severity, event.status_name, f"“{event.title}”" if event.title else "")
    return f"{event.source} {event.kind} {event.key}: {', '.join(filter(None, facts))}"


def trial(attempt: Attempt) -> str:
    """Say how an attempt went: "POST /v2/x, 312 bytes, sha256 1a2b…: done after 0.3 s"."""
    sent = f"{attempt.method} {attempt.target}, {len(attempt.body)} bytes, sha256 {attempt.sha256[:HASH]}…"
    if attempt.result is None:
        return f"{sent}: no answer yet"
    took = f" after {(attempt.finished_at - attempt.started_at).total_seconds():.1f} s" if attempt.finished_at else ""
    return f"{sent}: {attempt.result.value}{took}{'; ' + attempt.detail if attempt.detail else ''}"


def amount(received: Received) -> str:
    """Count what an inbound says: "3 events, 1 not understood"."""
    parts = [_many(received.statements, "event")] if received.statements or not received.unparsed else []
    return ", ".join([*parts, *([f"{received.unparsed} not understood"] if received.unparsed else [])])


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
