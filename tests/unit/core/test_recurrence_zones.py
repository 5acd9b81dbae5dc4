"""
Every zone, every change of its clocks from 2025 to 2035: a daily window is never missed, doubled or an hour off.

The oracle does not ask what a wall time means. It watches each zone's clock, minute by minute of UTC, and notes when it
shows what.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from worker.core.compiling import compile_window
from worker.core.recurrence import Occurrence, occurrences
from worker.core.ruleset import WindowEntry
from worker.core.spec.maintenance import MaintenanceSpec

FROM, TO = datetime(2025, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SAMPLING = timedelta(days=3)
WATCHED = 29 * 60
LENGTH = timedelta(minutes=45)


def clock(instant: datetime, zone: ZoneInfo) -> datetime:
    """What a clock there shows."""
    return instant.astimezone(zone).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Change:
    """The clocks of *zone* go, at the minute *at*, from *old* ahead of UTC to *new*."""

    zone: str
    at: datetime
    old: timedelta
    new: timedelta

    def walls(self) -> set[datetime]:
        """Wall times before, at the ends of, inside and after what is skipped or comes twice."""
        low, high = sorted((self.at + self.old, self.at + self.new))
        near = (-30, -1, 0, 1, 30)
        moments = {end + n * MINUTE for end in (low, high) for n in near} | {low + (high - low) / 2}
        return {moment.replace(tzinfo=None) for moment in moments}


class Watch:
    """What a zone's clock shows, each minute, from more than a day before a change to more than a day after."""

    def __init__(self, change: Change) -> None:
        zone, last = ZoneInfo(change.zone), None
        self.shown: dict[datetime, datetime] = {}
        """Wall time to the first instant when it is shown."""
        self._jumps: list[tuple[datetime, datetime, datetime]] = []
        """The last minute before each jump forward, what the clock shows then, and what it shows next."""
        for minute in range(-WATCHED, WATCHED):
            instant = change.at + minute * MINUTE
            wall = clock(instant, zone)
            self.shown.setdefault(wall, instant)
            if last is not None and wall - last > MINUTE:
                self._jumps.append((instant - MINUTE, last, wall))
            last = wall

    def means(self, wall: datetime) -> datetime:
        """The first time that it is shown; or, where it is skipped, as long after the last minute as is written."""
        if wall in self.shown:
            return self.shown[wall]
        [instant] = [at + (wall - before) for at, before, after in self._jumps if before < wall < after]
        return instant


def changes(name: str) -> Iterator[Change]:
    """All changes of a zone, found by looking at its clock every three days, then closer."""
    zone = ZoneInfo(name)

    def offset(instant: datetime) -> timedelta:
        return clock(instant, zone) - instant.replace(tzinfo=None)

    low, old = FROM, offset(FROM)
    while low < TO:
        high = end = low + SAMPLING
        new = offset(end)
        if old != new:
            while high - low > MINUTE:
                middle = low + (high - low) // MINUTE // 2 * MINUTE
                low, high = (middle, high) if offset(middle) == old else (low, middle)
            assert offset(high - timedelta(seconds=1)) == old, "the clocks change within a minute"
            yield Change(name, high, old, new)
        low, old = end, new


@pytest.fixture(scope="module")
def every_change() -> list[Change]:
    """Each change once; zones whose clocks do the same are one."""
    clocks: dict[tuple[object, ...], list[Change]] = {}
    for name in sorted(available_timezones()):
        found = list(changes(name))
        clocks[tuple((change.at, change.old, change.new) for change in found)] = found
    return [change for found in clocks.values() for change in found]


PLAN = compile_window(
    MaintenanceSpec.model_validate(
        {
            "id": "w",
            "page": "main",
            "components": ["api"],
            "title": "Work",
            "starts": "2027-01-01T02:00",
            "timezone": "UTC",
            "duration": "45m",
            "repeat": "FREQ=DAILY;COUNT=3",
        }
    ),
    lambda *_: pytest.fail("the plan is right"),
)


def three_days(change: Change, wall: datetime, plan: WindowEntry = PLAN) -> list[Occurrence]:
    """A daily window on the day before, on that of the change, and on the day after."""
    plan = replace(plan, timezone=change.zone, starts=wall - DAY)
    return occurrences(plan, change.at - 4 * DAY, most=9)


def test_the_zones_are_there(every_change: list[Change]) -> None:
    assert len(available_timezones()) > 400
    assert len(every_change) > 500
    assert {change.at.year for change in every_change} == set(range(2025, 2036))
    assert {abs(change.new - change.old) for change in every_change} >= {30 * MINUTE, 60 * MINUTE}


def test_no_window_is_missed_doubled_or_an_hour_off(every_change: list[Change]) -> None:
    for change in every_change:
        watch, zone = Watch(change), ZoneInfo(change.zone)
        for wall in change.walls():
            found = three_days(change, wall)
            starts = [watch.means(day) for day in (wall - DAY, wall, wall + DAY)]
            assert [one.starts_at for one in found] == starts, (change, wall)
            assert [one.ends_at - one.starts_at for one in found] == [LENGTH] * 3, (change, wall)
            shown = [clock(start, zone) for start in starts]
            assert [one.local_start.replace(tzinfo=None) for one in found] == shown, (change, wall)

            until = three_days(change, wall, replace(PLAN, duration=None, until=(wall + LENGTH).time()))
            ends = [watch.means(one.wall + LENGTH) for one in until]
            due = [end if end > start else start + LENGTH for start, end in zip(starts, ends, strict=True)]
            assert [(one.starts_at, one.ends_at) for one in until] == list(zip(starts, due, strict=True)), (
                change,
                wall,
            )
