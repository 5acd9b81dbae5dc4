"""
Who belongs: statements as an aggregate hears them, and what they make of its members.

Membership sticks: what is said later of a member is heard, whether it still matches or not. Phases, pages and what
follows from a membership are not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from worker.core.model import Event, Member, Signal, SignalId
from worker.core.signals import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    One statement as an episode or a window hears it.

    Args:
        signal: As it is after the statement.
        matches: Whether the rule wants it in this group; None where that could not be told.
    """

    event: Event
    signal: Signal
    change: Change
    matches: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The statements of one inbound that concern an episode or a window, in order."""

    items: Sequence[Item]
    cause: str


def joined(members: Mapping[SignalId, Member], items: Iterable[Item], now: datetime) -> Mapping[SignalId, Member]:
    """Take statements into *members*."""
    found = dict(members)
    for item in items:
        member = taken(found.get(item.signal.id), item, now)
        if member is not None:
            found[item.signal.id] = member
    return found


def taken(member: Member | None, item: Item, now: datetime) -> Member | None:
    """Give what a statement makes of its signal's membership; None where it changes nothing."""
    if item.change in (Change.REPEAT, Change.STALE, Change.REMARK):
        return None
    if member is None:
        wanted = item.matches is True and item.signal.firing
        return Member(signal=item.signal, joined_at=now) if wanted else None
    cleared = member.cleared
    if item.signal.firing and item.matches is not None:
        cleared = not item.matches
    elif not item.signal.firing:
        cleared = False
    return replace(member, signal=item.signal, cleared=cleared)
