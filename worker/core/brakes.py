"""
Brakes: how much may reach a page by itself, before a person must look, or readers and subscribers are spared.

Counted is what the ledger says that a page has, so that a restart changes nothing. Resolves and everything about
maintenance windows pass, and so does what a person has approved; pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.core.model import Action, ActionKind, ActionState, Post
from worker.core.ruleset import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An action that the page has, or may have, and since when."""

    action: Action
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """
    Why an action may not go out as it is.

    Args:
        until: When it may; None: once a person approves it, or at once where it is only to be silent.
        silent: It may go out, and mail nobody.
    """

    why: str
    until: datetime | None = None
    silent: bool = False


def reach(limits: Limits) -> timedelta:
    """Give how far back the brakes of a page count."""
    return max(window for _, window in (limits.incidents, limits.updates, limits.mails))


def braked(
    action: Action, posted: Sequence[Posted], limits: Limits, now: datetime, *, may_wait: bool = True
) -> Brake | None:
    """
    Say whether an action must wait, or be silent; None: it may go out as it is.

    Args:
        posted: What its page has, as far back as ``reach``, or may have.
        may_wait: Whether it may be kept back; else it can only be silent.
    """
    if action.kind.of_window or action.post is Post.RESOLVE or action.approved_by:
        return None
    others = [each for each in posted if each.action.id != action.id and not _behind(each.action, action)]
    if action.kind is ActionKind.OPEN_INCIDENT:
        opened = (each.at for each in others if each.action.kind is ActionKind.OPEN_INCIDENT)
        if _free_at(opened, limits.incidents, now):
            return Brake(why=f"more than {_said(limits.incidents)} new incidents")
    if action.kind is ActionKind.UPDATE_INCIDENT and may_wait:
        updates = (each.at for each in others if each.action.aggregate == action.aggregate and _updates(each.action))
        if until := _free_at(updates, limits.updates, now):
            return Brake(why=f"more than {_said(limits.updates)} updates of one incident", until=until)
    mailed = (each.at for each in others if each.action.content.notify)
    if action.content.notify and _free_at(mailed, limits.mails, now):
        return Brake(why=f"more than {_said(limits.mails)} posts that mail", silent=True)
    return None


def _behind(other: Action, action: Action) -> bool:
    """Of two that are worked on at once, only the later counts the other."""
    return other.state is ActionState.QUEUED and (other.created_at, other.id) > (action.created_at, action.id)


def _updates(action: Action) -> bool:
    return action.kind is ActionKind.UPDATE_INCIDENT


def _free_at(times: Iterable[datetime], limit: tuple[int, timedelta], now: datetime) -> datetime | None:
    """When there is room for one more; None: there is now."""
    most, window = limit
    counted = sorted(at for at in times if at > now - window)
    return counted[len(counted) - most] + window if len(counted) >= most > 0 else None


def _said(limit: tuple[int, timedelta]) -> str:
    most, window = limit
    return f"{most} per {int(window.total_seconds()) // 60}m"
