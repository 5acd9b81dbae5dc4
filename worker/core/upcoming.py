"""
Which windows there should be: the coming occurrences of every entry, held against those that the ledger has.

Pure, and idempotent: asked again, it has nothing to say. What a window does is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.core.model import Window, WindowPhase, window_id
from worker.core.recurrence import Occurrence, occurrences
from worker.core.ruleset import WindowPlan
from worker.core.windows import Planned, Stimulus, Tick

LEAST_HORIZON = timedelta(days=8)
"""How far ahead windows are planned at least, so that people can see them."""

_DAY = timedelta(days=1)
_WAITING = (WindowPhase.PLANNED, WindowPhase.SCHEDULED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What is to be decided about one window.

    Args:
        window: As the ledger has it; version 0: it is new.
        gone: Its entry does not have this occurrence any more.
    """

    window: Window
    stimulus: Stimulus
    gone: bool = False


def steps(plans: Sequence[WindowPlan], known: Sequence[Window], now: datetime) -> list[Step]:
    """
    Compare what is planned with what there is.

    Args:
        known: Every window that is live or has not ended by its time.
        now: Aware, UTC.
    """
    lines = {(plan.id, page): plan for plan in plans for page in plan.pages}
    found = [step for (_, page), plan in lines.items() for step in _line(plan, page, known, now)]
    orphans = (window for window in known if (window.plan_id, window.page) not in lines)
    return [*found, *(_gone(window) for window in orphans if window.phase in _WAITING)]


def _line(plan: WindowPlan, page: str, known: Sequence[Window], now: datetime) -> list[Step]:
    own = [window for window in known if (window.plan_id, window.page) == (plan.id, page)]
    coming = {each.key: each for each in coming_of(plan, now)}
    there = {window.occurrence: window for window in own}
    both = [(there[key], each) for key, each in coming.items() if key in there]
    found = [_planned(window, each) for window, each in both if window.withdrawn or _differs(window, each, plan)]
    new = [each for key, each in coming.items() if key not in there]
    orphans = [w for w in own if w.occurrence not in coming and w.phase in _WAITING and not _still(plan, w)]
    for window in orphans:
        # What was announced moves with its entry; what nobody has heard of is planned anew.
        if window.phase is WindowPhase.SCHEDULED and new:
            found.append(_planned(window, new.pop(0)))
        else:
            found.append(_gone(window))
    return [*found, *(_planned(_fresh(plan, page, each, now), each) for each in new)]


def coming_of(plan: WindowPlan, now: datetime) -> list[Occurrence]:
    """Give the occurrences that are not over, as far ahead as windows are planned."""
    longest = plan.duration or _DAY
    texts = [plan.announce, *plan.reminders]
    horizon = max([LEAST_HORIZON, *(said.before + _DAY for said in texts if said is not None)])
    most = (horizon + longest) // _DAY + 2  # nothing repeats more often than daily
    found = occurrences(plan, now - longest, most=most)
    return [each for each in found if each.ends_at > now and each.starts_at <= now + horizon]


def _differs(window: Window, each: Occurrence, plan: WindowPlan) -> bool:
    moved = (window.starts_at, window.ends_at) != (each.starts_at, each.ends_at)
    return window.phase in _WAITING and (moved or window.plan_hash != plan.hash)


def _still(plan: WindowPlan, window: Window) -> bool:
    """Whether the entry has it, only farther ahead than windows are planned."""
    found = occurrences(plan, window.starts_at, most=1)
    return bool(found) and found[0].key == window.occurrence


def _fresh(plan: WindowPlan, page: str, each: Occurrence, now: datetime) -> Window:
    return Window(
        id=window_id(page, each.key),
        plan_id=plan.id,
        page=page,
        occurrence=each.key,
        phase=WindowPhase.PLANNED,
        starts_at=each.starts_at,
        ends_at=each.ends_at,
        components=plan.components,
        plan_hash=plan.hash,
        created_at=now,
        grace=plan.grace,
    )


def _planned(window: Window, each: Occurrence) -> Step:
    stimulus = Planned(occurrence=each.key, starts_at=each.starts_at, ends_at=each.ends_at)
    return Step(window=window, stimulus=stimulus)


def _gone(window: Window) -> Step:
    return Step(window=window, stimulus=Tick(cause="the rules"), gone=True)
