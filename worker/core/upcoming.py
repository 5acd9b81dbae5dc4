"""
Which windows there should be: the coming occurrences of every entry, held against those that the ledger has.

Pure, and idempotent: asked again, it has nothing to say. What a window does is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.core.model import Origin, Window, WindowPhase, window_id
from worker.core.recurrence import Occurrence, occurrences
from worker.core.ruleset import RuleSet, WindowEntry
from worker.core.window_drafts import WAITING, Planned, Stimulus, Tick

LEAST_HORIZON = timedelta(days=8)
"""How far ahead windows are planned at least, so that people can see them."""

_DAY = timedelta(days=1)


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


def steps(rules: RuleSet, known: Sequence[Window], now: datetime) -> list[Step]:
    """
    Compare what is planned with what there is.

    Args:
        known: Every window that is live or has not ended by its time.
        now: Aware, UTC.
    """
    lines = {(entry.id, page): entry for entry in rules.maintenance for page in entry.pages}
    own = [window for window in known if window.origin is Origin.ENTRY]
    found = [step for (_, page), entry in lines.items() for step in _line(entry, page, own, now)]
    orphans = (window for window in own if (window.plan_id, window.page) not in lines)
    gone = [_gone(window) for window in orphans if window.phase in WAITING]
    return [*found, *gone, *_revised(rules, known)]


def _revised(rules: RuleSet, known: Sequence[Window]) -> Iterator[Step]:
    """Look at the windows of rules and pages that are not what they were."""
    hashes = {(rule.identity, page): rule.hash for rule in rules.rules for page in rule.plan.pages}
    adopts = {name: page.adoption.plan.hash for name, page in rules.pages.items() if page.adoption is not None}
    for window in known:
        if window.origin is Origin.ENTRY or not window.phase.live:
            continue
        now = adopts.get(window.page) if window.origin is Origin.PAGE else hashes.get((window.plan_id, window.page))
        if now != window.plan_hash and (now is not None or window.phase in WAITING):
            yield Step(window=window, stimulus=Tick(cause="the rules"))


def _line(plan: WindowEntry, page: str, known: Sequence[Window], now: datetime) -> list[Step]:
    own = [window for window in known if (window.plan_id, window.page) == (plan.id, page)]
    coming = {each.key: each for each in coming_of(plan, now)}
    there = {window.occurrence: window for window in own}
    both = [(there[key], each) for key, each in coming.items() if key in there]
    found = [_planned(window, each) for window, each in both if _differs(window, each, plan)]
    new = [each for key, each in coming.items() if key not in there]
    for window in (w for w in own if w.phase.live and w.occurrence not in coming):
        still = _still(plan, window)
        if still is not None:
            found += [_planned(window, still)] if _differs(window, still, plan) else []
        elif new and _takes_over(window, new[0]):
            found.append(_planned(window, new.pop(0)))
        elif window.phase in WAITING:
            found.append(_gone(window))
    return [*found, *(_planned(_fresh(plan, page, each, now), each) for each in new)]


def _takes_over(window: Window, each: Occurrence) -> bool:
    """
    Whether a window whose time is gone from its entry is what another time in there is about.

    What was announced moves with its entry, and what nobody has heard of is planned anew. What has begun keeps its
    start: a time that begins before it is over is about its end.
    """
    if window.phase is WindowPhase.IN_PROGRESS:
        return each.starts_at < window.ends_at
    return window.phase is WindowPhase.SCHEDULED


def coming_of(plan: WindowEntry, now: datetime) -> list[Occurrence]:
    """Give the occurrences that are not over, as far ahead as windows are planned."""
    longest = plan.duration or _DAY
    texts = [plan.announce, *plan.reminders]
    horizon = max([LEAST_HORIZON, *(said.before + _DAY for said in texts if said is not None)])
    most = (horizon + longest) // _DAY + 2  # nothing repeats more often than daily
    found = occurrences(plan, now - longest, most=most)
    return [each for each in found if each.ends_at > now and each.starts_at <= now + horizon]


def _differs(window: Window, each: Occurrence, plan: WindowEntry) -> bool:
    moved = window.asked != (each.starts_at, each.ends_at)
    return window.withdrawn or (window.phase.live and (moved or window.plan_hash != plan.hash))


def _still(plan: WindowEntry, window: Window) -> Occurrence | None:
    """Give what the entry says of it: farther ahead than windows are planned, past its end, or moved on the page."""
    found = occurrences(plan, window.asked[0] if window.asked else window.starts_at, most=1)
    return found[0] if found and found[0].key == window.occurrence else None


def _fresh(plan: WindowEntry, page: str, each: Occurrence, now: datetime) -> Window:
    return Window(
        id=window_id(page, each.key),
        plan_id=plan.id,
        page=page,
        occurrence=each.key,
        phase=WindowPhase.PLANNED,
        starts_at=each.starts_at,
        ends_at=each.ends_at,
        asked=(each.starts_at, each.ends_at),
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
