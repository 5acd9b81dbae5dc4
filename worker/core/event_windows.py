"""
Maintenance windows that signals make: when these want one, at what times, and how they say that the work failed.

Pure. What a window does once it is there is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.bindings import event_bindings
from worker.core.drafts import occurrence_key
from worker.core.membership import Item, joined
from worker.core.model import Event, Member, Origin, SignalId, Window, WindowPhase, digest, window_id
from worker.core.ruleset import EventWindowPlan, Impact, Program, Rule, WindowPlan
from worker.core.spec.scalars import LONGEST, parse_duration
from worker.core.words import Standing
from worker.errors import EvaluationFailed

FAILED = frozenset({"failed", "failure", "error", "errored"})
"""What a signal that is over says, as ``status_name`` or ``category``, when the work went wrong."""


def begun(
    line: str,
    last: Window | None,
    rule: Rule,
    page: str,
    group: Mapping[str, str],
    items: Iterable[Item],
    now: datetime,
) -> Window | None:
    """
    Make the next window of a line; None where no statement asks for one.

    A signal that fired in the last window and never stopped asks for another only by a later end than that had. Where
    all that is asked for is over already, a window is made all the same: so it is known why nothing was said.

    Args:
        line: Its name.
        last: Its newest window, which is not live; None: there was none.
        rule: One with ``maintenance``.

    Raises:
        EvaluationFailed: The times cannot be told.
    """
    plan = rule.plan
    assert isinstance(plan, EventWindowPlan)
    there = _still_firing(last)
    members = {key: each for key, each in joined(there, items, now).items() if each.firing}
    spans = {key: _times_of(plan, each) for key, each in members.items()}
    over = max(now, last.asked[1]) if last is not None and last.asked else now
    ahead = {key: each for key, each in members.items() if spans[key][1] > (over if key in there else now)}
    wanted = ahead or {key: each for key, each in members.items() if key not in there}
    if not wanted:
        return None
    leading = Standing(Impact(), wanted.values()).leading()
    assert leading is not None
    number = last.number + 1 if last else 1
    key = occurrence_key(page, rule.identity, group, leading.signal)
    again = last is not None and leading.signal.since <= _lived_until(last)
    occurrence = f"{line.replace(f'@{page}', '', 1)}#{number}"
    starts_at, ends_at = _span(spans[key] for key in wanted)
    return Window(
        id=window_id(page, occurrence),
        plan_id=rule.identity,
        page=page,
        occurrence=occurrence,
        phase=WindowPhase.PLANNED,
        starts_at=starts_at,
        ends_at=ends_at,
        components=plan.components,
        plan_hash=plan.hash,
        created_at=now,
        origin=Origin.RULE,
        line=line,
        number=number,
        group=group,
        key=digest(key, number) if again else key,  # what fired before has made a window under its key already
        members=wanted,
        asked=(starts_at, ends_at),
        grace=plan.grace,
    )


def _still_firing(last: Window | None) -> dict[SignalId, Member]:
    """Give the members that have fired since before their window ended."""
    if last is None:
        return {}
    ended_at = _lived_until(last)
    return {key: each for key, each in last.members.items() if each.firing and each.signal.since <= ended_at}


def _lived_until(window: Window) -> datetime:
    """When it was there the last time; its end may have been moved to before it was heard of."""
    return max(window.created_at, window.ended_at or window.created_at)


def times(plan: WindowPlan, firing: Iterable[Member], window: Window) -> tuple[datetime, datetime]:
    """
    Say when the signals that fire want their window to be: from the earliest start to the latest end.

    Raises:
        EvaluationFailed: That cannot be told.
    """
    if not isinstance(plan, EventWindowPlan):
        return window.starts_at, window.ends_at
    return _span(_times_of(plan, member) for member in firing)


def failed(window: Window) -> bool:
    """Whether a signal that is over says that the work went wrong."""
    return any(
        not member.signal.firing and not FAILED.isdisjoint(_said_of_itself(member.signal.event))
        for member in window.members.values()
    )


def _said_of_itself(event: Event) -> tuple[str, str]:
    return event.status_name.casefold(), event.category.casefold()


def _span(times: Iterable[tuple[datetime, datetime]]) -> tuple[datetime, datetime]:
    starts, ends = zip(*times, strict=True)
    return min(starts), max(ends)


def _times_of(plan: EventWindowPlan, member: Member) -> tuple[datetime, datetime]:
    event = member.signal.event
    heard_at = max(member.joined_at, member.signal.since)
    bindings = event_bindings(event)
    starts_at = _time("starts", plan.starts, bindings, event) or heard_at
    if plan.ends is not None:
        ends_at = _time("ends", plan.ends, bindings, event)
        if ends_at is None:
            raise EvaluationFailed(f"ends: `{plan.ends}` gives no time")
    else:
        ends_at = starts_at + _length(plan.duration, bindings, event)
    if ends_at <= starts_at:
        raise EvaluationFailed(f"ends: {ends_at.isoformat()} is not after the start, {starts_at.isoformat()}")
    if ends_at - starts_at > LONGEST or starts_at - heard_at > LONGEST:
        raise EvaluationFailed(f"ends: {ends_at.isoformat()} is more than {LONGEST.days} days ahead")
    return starts_at, ends_at


def _time(name: str, program: Program | None, bindings: Mapping[str, Any], event: Event) -> datetime | None:
    """Give a time in UTC; None where there is none."""
    value = program.evaluate(bindings, event) if program is not None else None
    if value in (None, ""):
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("no zone")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise EvaluationFailed(f"{name}: `{str(value)[:60]}` is no time like 2026-12-06T01:00:00Z") from None


def _length(length: timedelta | Program | None, bindings: Mapping[str, Any], event: Event) -> timedelta:
    value = length if isinstance(length, timedelta) or length is None else length.evaluate(bindings, event)
    try:
        found = value if isinstance(value, timedelta) else parse_duration(value)
    except ValueError:
        found = timedelta()
    if not timedelta() < found <= LONGEST:
        raise EvaluationFailed(f"duration: `{str(value)[:60]}` is no length like 15m, of at most {LONGEST.days} days")
    return found
