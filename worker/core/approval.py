"""
What a person approves, and what waits for that. This file may not know what comes of it.
"""

from __future__ import annotations

from dataclasses import asdict

from worker.core.model import Action, ActionState, digest


def approval_hash(action: Action) -> str:
    """Name what a person approves: page, kind of write, texts, statuses, components, times and mailing; SHA-256."""
    return digest("approval", "v1", action.page, action.kind, asdict(action.content))


def to_be_approved(action: Action) -> bool:
    """Whether it goes out only if a person approves; also where nobody did in time."""
    late = action.state is ActionState.HELD and action.deadline is not None
    return action.state is ActionState.AWAITING_APPROVAL or late
