"""
What a person approves, and what waits for that. This file may not know what comes of it.
"""

from __future__ import annotations

from dataclasses import asdict

from worker.core.model import Action, ActionKind, ActionState, digest

SHOWN = 12
"""How many characters of a hash people see."""


def approval_hash(action: Action) -> str:
    """Name what a person approves: page, kind of write, texts, statuses, components, times and mailing; SHA-256."""
    return digest("approval", "v1", action.page, action.kind, asdict(action.content))


WINDOW_WAITS = "until then the window is not on the page and mutes nothing"


def offer(action: Action) -> str:
    """Say what would be said, where, until when that can be approved, and how."""
    content = action.content
    texts = (content.title, content.message, *(step.message for step in content.steps))
    facts = (
        str(action.kind) + ("" if action.kind.startswith(action.post) else f" ({action.post})"),
        *(f"“{text.strip()}”" for text in texts if text.strip()),
        ", ".join(f"{name} {status}" for name, status in content.components.items()),
        "mails" if content.notify else "mails nobody",
        WINDOW_WAITS if action.kind is ActionKind.SCHEDULE_MAINTENANCE else "",
    )
    until = f" until {action.deadline:%Y-%m-%d %H:%M} UTC" if action.deadline else ""
    how = f"statusbridge approve {action.id} --hash {approval_hash(action)[:SHOWN]}"
    return f"{action.id} awaits approval{until}: {'; '.join(filter(None, facts))}. To approve it: {how}"


def to_be_approved(action: Action) -> bool:
    """Whether it goes out only if a person approves; also where nobody did in time."""
    late = action.state is ActionState.HELD and action.deadline is not None
    return action.state is ActionState.AWAITING_APPROVAL or late
