"""
When maintenance windows happen: wall time that recurs, and the instants that it stands for.

What belongs here: recurrence rules, time zones, and what a change of the clocks does to both. Instants are compared in
UTC and wall times as naive ones, never two aware local times: those of one zone are compared without ``fold``. It is
told the time, and knows no page.

* The clocks skip a wall time: what is meant to happen then happens so much later as the clocks go forward.
* A wall time comes twice: the first one counts.
* A zone skips a whole day: what is meant for that day does not happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from worker.core.ruleset import WindowEntry

FIRST_YEAR, LAST_YEAR = 2000, 2300
"""Nothing starts before or after."""
_LAST = f"{LAST_YEAR}1231"
_DAY = timedelta(days=1)
_LATE = timedelta(days=2 * 365 + 1)
_LOOKED_AT = 60
"""So many occurrences are looked at for what is odd."""
_EARLIEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - _DAY
_LATEST = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) + _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """
    One time that a window happens.

    Args:
        key: What it is known by: of the plan's id and ``wall``, so that neither another duration nor news about a time
            zone make another occurrence of it.
        wall: The start as it is written, naive.
        starts_at: UTC.
        ends_at: UTC; later than the start.
        local_start: The same instant as ``starts_at``, in the plan's zone: what the clocks show then.
        local_end: The same instant as ``ends_at``, in the plan's zone.
        shifted: What a change of the clocks does to it, in words; "" where it does nothing.
    """

    key: str
    wall: datetime
    starts_at: datetime
    ends_at: datetime
    local_start: datetime
    local_end: datetime
    shifted: str


def occurrences(plan: WindowEntry, after: datetime, *, most: int) -> list[Occurrence]:
    """
    Give the next occurrences, in order.

    Args:
        plan: One in which ``fault`` finds nothing.
        after: Aware; what starts at this instant counts.
        most: How many at most.
    """
    after = min(max(after, _EARLIEST), _LATEST)
    # No offset from UTC and no shift is longer than a day.
    soonest = after.astimezone(UTC).replace(tzinfo=None) - 2 * _DAY
    walls = (wall for wall in _walls(plan) if wall >= soonest and wall.date() not in plan.except_days)
    coming = (found for wall in walls if (found := _occurrence(plan, wall)) and found.starts_at >= after)
    return list(islice(coming, most))


# --- wall times

_CYCLE = 400 * 19
"""
Years. The calendar repeats every 400 years, days of the week included. ``rrule`` looks for a next day until the year
9999: with 2000 played as 9600, a rule that no day fits ends after a tenth of a second, not after several.
"""


def _walls(plan: WindowEntry) -> Iterator[datetime]:
    """Give every start as it is written, naive, in order."""
    if not plan.repeat:
        yield plan.starts
        return
    parts = _parts(plan.repeat)
    until = _until(parts.pop("UNTIL", _LAST), ZoneInfo(plan.timezone))
    # Without WKST it would follow `calendar.setfirstweekday`, which is the whole process's.
    rule = ";".join(f"{name}={value}" for name, value in ({"WKST": "MO"} | parts).items())
    for played in rrulestr(rule, dtstart=plan.starts.replace(year=plan.starts.year + _CYCLE)):
        wall = played.replace(year=played.year - _CYCLE)
        if wall > until:
            return
        yield wall


def _parts(repeat: str) -> dict[str, str]:
    """Give "FREQ" and all others to what they are."""
    return dict(part.split("=") for part in repeat.split(";"))


def _until(day: str, zone: ZoneInfo) -> datetime:
    """Read UNTIL as wall time, with a Z from UTC; a day without a time includes all of itself."""
    until = datetime.fromisoformat(day.removesuffix("Z") if "T" in day else f"{day}T235959")
    until = min(until, datetime.fromisoformat(f"{_LAST}T235959"))
    return until.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if day.endswith("Z") else until


# --- instants


def _occurrence(plan: WindowEntry, wall: datetime) -> Occurrence | None:
    """Give the occurrence that is written as *wall*; None where the zone does not have that day."""
    zone = ZoneInfo(plan.timezone)
    starts_at = _instant(wall, zone)
    local_start = starts_at.astimezone(zone)
    if local_start.replace(tzinfo=None) - wall >= _DAY:
        return None
    ends_at = _ends_at(plan, wall, starts_at, zone)
    return Occurrence(
        key=f"{plan.id}@{wall.isoformat(timespec='seconds' if wall.second else 'minutes')}",
        wall=wall,
        starts_at=starts_at,
        ends_at=ends_at,
        local_start=local_start,
        local_end=ends_at.astimezone(zone),
        shifted=_shifted(wall, starts_at, ends_at, zone),
    )


def _instant(wall: datetime, zone: ZoneInfo, fold: int = 0) -> datetime:
    """
    Give the instant of a wall time in UTC.

    One that comes twice is the first (fold 0) or second; one that does not come at all is read with the offset before
    (fold 0), which is later, or after the clocks change. Source: PEP 495.
    """
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _ends_at(plan: WindowEntry, wall: datetime, starts_at: datetime, zone: ZoneInfo) -> datetime:
    if plan.until is None:
        return starts_at + (plan.duration or timedelta())
    end = datetime.combine(wall.date(), plan.until)
    end += _DAY if end <= wall else timedelta()
    ends_at = _instant(end, zone)
    # A start that the clocks skipped may be as late as the end by now: then it lasts as long as is written.
    return ends_at if ends_at > starts_at else starts_at + (end - wall)


# --- words


def _shifted(wall: datetime, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
    second = _instant(wall, zone, fold=1)
    if second < starts_at:
        return f"{_change(zone, second, starts_at)}: starts at {starts_at.astimezone(zone):%H:%M}"
    if second > starts_at:
        return f"{_change(zone, starts_at, second)}: starts at the first {wall:%H:%M}"
    if _offset(starts_at, zone) != _offset(ends_at, zone):
        return f"{_change(zone, starts_at, ends_at)}: ends at {ends_at.astimezone(zone):%H:%M}"
    return ""


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> str:
    """Say when, between two instants of different offsets, the clocks change, and which way."""
    before, after = _offset(low, zone), _offset(high, zone)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return f"clocks go {'forward' if after > before else 'back'} at {high + before:%H:%M}"


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


# --- what is wrong with it

_LARGEST = {"BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}
"""Source: RFC 5545, section 3.3.10."""
_LARGEST_DAY = {"DAILY": 0, "WEEKLY": 0, "MONTHLY": 5, "YEARLY": 53}
"""How far the days in BYDAY can be numbered; with BYMONTH as in a month."""


def fault(plan: WindowEntry) -> tuple[str, str]:
    """Give what keeps a plan from being used: key of the entry, and what is wrong; ("", "") where nothing does."""
    if not FIRST_YEAR <= plan.starts.year <= LAST_YEAR:
        return "starts", f"`starts` must lie in the years {FIRST_YEAR} to {LAST_YEAR}"
    if plan.repeat and (wrong := _out_of_range(_parts(plan.repeat))):
        return "repeat", wrong
    try:
        first = occurrences(plan, _EARLIEST, most=1)
    except ValueError as error:
        return "repeat", f"`repeat` cannot be understood: {error}"
    if first:
        return "", ""
    if plan.repeat:
        return "repeat", "`repeat` never happens: no day fits all of it"
    return "starts", f"`starts` never happens: {plan.timezone} skips that day"


def _out_of_range(parts: Mapping[str, str]) -> str:
    """Say which number is too large; ``rrule`` passes it over in silence, or fails at it years later."""
    by_day = min(_LARGEST_DAY[parts["FREQ"]], 5 if "BYMONTH" in parts else 53)
    for name, largest in (_LARGEST | {"BYDAY": by_day}).items():
        for number in re.findall("[0-9]+", parts.get(name, "")):
            if not 1 <= int(number) <= largest:
                right = f"1 to {largest}" if largest else "numbers with FREQ=MONTHLY and FREQ=YEARLY only"
                return f"`repeat` cannot have {number} in {name}; here it takes {right}"
    return ""


def oddity(plan: WindowEntry) -> str:
    """Give what is probably not meant by the ``repeat`` of a plan without faults, or ""."""
    coming = occurrences(plan, _EARLIEST, most=_LOOKED_AT)
    for one, after in pairwise(coming):
        if after.starts_at < one.ends_at:
            return f"`repeat` lets it overlap itself: it begins again on {after.wall:%Y-%m-%dT%H:%M}, before it is over"
    first = coming[0].wall
    if first == plan.starts or plan.starts.date() in plan.except_days:
        return ""
    late = ", more than two years later" if first - plan.starts > _LATE else ""
    return f"`repeat` does not fall on `starts`; it happens first on {first:%A}, {first:%Y-%m-%dT%H:%M}{late}"
