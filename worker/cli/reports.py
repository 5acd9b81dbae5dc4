"""
Actions, attempts and events in words, and as data for programs: what ``history`` and ``show`` share.

Pure: nothing is read or printed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.core.approval import approval_hash, to_be_approved
from worker.core.model import Action, ActionState, Attempt, Content, Event
from worker.ports import HistoryLine

HASH = 12
"""How many characters of a hash people see."""


def label(line: HistoryLine) -> str:
    """Name the episode as people do: ``checkout-outage#3``; a window by its id."""
    return f"{line.rule_id}#{line.number}" if line.rule_id and line.number else line.episode


def footing(shown: int, limit: int) -> str:
    """Say how much of what there is was shown."""
    if not shown:
        return "nothing yet that fits"
    return f"the newest {limit}; there may be more: --limit" if shown == limit else f"{shown} in all"


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
    return f"{content.starts_at:%Y-%m-%d %H:%M} to {content.ends_at:%Y-%m-%d %H:%M} UTC"


def way_on(action: Action) -> str:
    """Say how a person moves on what waits for one; "" where it waits for nobody."""
    if to_be_approved(action):
        until = f", until {action.deadline:%Y-%m-%d %H:%M} UTC" if action.deadline else ""
        return f"statusbridge approve {action.id} --hash {approval_hash(action)[:HASH]}{until}"
    if action.state in (ActionState.HELD, ActionState.PARKED):
        return f"statusbridge retry {action.id}"
    return ""


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


def line_data(line: HistoryLine) -> dict[str, Any]:
    """One action for programs."""
    action, content = line.action, line.action.content
    return {
        "id": action.id,
        "episode": line.episode,
        "rule": line.rule_id,
        "number": line.number,
        "group": dict(line.group),
        "page": action.page,
        "kind": action.kind.value,
        "post": action.post.value,
        "state": action.state.value,
        "decided_at": action.created_at,
        "said_at": line.said_at,
        "cause": action.cause,
        "reason": action.reason,
        "rule_hash": action.rule_hash,
        "title": content.title,
        "message": content.message,
        "incident_status": action.incident_status.value if action.incident_status else None,
        "guest": action.guest,
        "components": {name: status.value for name, status in content.components.items()},
        "notify": content.notify,
        "starts_at": content.starts_at,
        "ends_at": content.ends_at,
        "remote_id": action.remote_id,
        "update_id": line.update_id,
        "attempts": line.attempts,
        "approved_by": action.approved_by,
        "approve_until": action.deadline,
        "approval_hash": approval_hash(action) if to_be_approved(action) else None,
    }
