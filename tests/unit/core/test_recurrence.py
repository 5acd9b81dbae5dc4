"""Windows recur as they are written, on the clock of their zone."""

from __future__ import annotations

import calendar
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from dateutil.rrule import rrulestr

from worker.core.compiling import compile_window
from worker.core.recurrence import Occurrence, fault, occurrences, oddity
from worker.core.ruleset import WindowEntry
from worker.core.spec.maintenance import MaintenanceSpec

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def plan(starts: str, repeat: str | None = None, zone: str = "Europe/Berlin", **keys: Any) -> WindowEntry:
    written = {"id": "w", "page": "main", "components": ["api"], "title": "Work", "starts": starts, "timezone": zone}
    length = {} if "until" in keys else {"duration": "1h"}
    spec = MaintenanceSpec.model_validate(written | length | ({"repeat": repeat} if repeat else {}) | keys)
    return compile_window(spec, lambda *_: pytest.fail("the plan is right"))


def first(window: WindowEntry, most: int = 5, after: datetime = LONG_AGO) -> list[Occurrence]:
    return occurrences(window, after, most=most)


def days(window: WindowEntry, most: int = 5) -> list[str]:
    return [f"{one.local_start:%Y-%m-%d}" for one in first(window, most)]


def local(window: WindowEntry, most: int = 5) -> list[str]:
    return [f"{one.local_start:%d %H:%M%z} {one.local_end:%d %H:%M%z}" for one in first(window, most)]


def utc(window: WindowEntry, most: int = 5) -> list[str]:
    return [f"{one.starts_at:%m-%d %H:%M} {one.ends_at:%m-%d %H:%M}" for one in first(window, most)]


# --- which days


@pytest.mark.parametrize(
    ("starts", "repeat", "expected"),
    [
        ("2024-02-29T02:00", "FREQ=YEARLY", ["2024-02-29", "2028-02-29", "2032-02-29"]),
        ("2096-02-29T02:00", "FREQ=YEARLY", ["2096-02-29", "2104-02-29", "2108-02-29"]),
        ("2027-01-31T02:00", "FREQ=MONTHLY", ["2027-01-31", "2027-03-31", "2027-05-31"]),
        ("2027-01-31T02:00", "FREQ=MONTHLY;BYMONTHDAY=-1", ["2027-01-31", "2027-02-28", "2027-03-31"]),
        ("2027-01-31T02:00", "FREQ=MONTHLY;BYDAY=-1SU", ["2027-01-31", "2027-02-28", "2027-03-28"]),
        ("2027-01-31T02:00", "FREQ=MONTHLY;BYDAY=SU;BYSETPOS=-1", ["2027-01-31", "2027-02-28", "2027-03-28"]),
        ("2026-12-06T02:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU", ["2026-12-06", "2026-12-20", "2027-01-03"]),
        ("2026-12-31T02:00", "FREQ=DAILY;INTERVAL=999", ["2026-12-31", "2029-09-25", "2032-06-20"]),
        ("2027-12-31T02:00", "FREQ=YEARLY;BYYEARDAY=-1", ["2027-12-31", "2028-12-31", "2029-12-31"]),
    ],
)
def test_leap_days_month_ends_and_last_sundays(starts: str, repeat: str, expected: list[str]) -> None:
    assert days(plan(starts, repeat), 3) == expected


def test_without_repeat_it_happens_once() -> None:
    assert days(plan("2027-01-10T22:00")) == ["2027-01-10"]


def test_count_and_until_end_it_and_an_until_day_includes_itself() -> None:
    assert days(plan("2026-12-06T02:00", "FREQ=DAILY;COUNT=2")) == ["2026-12-06", "2026-12-07"]
    assert days(plan("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20261207")) == ["2026-12-06", "2026-12-07"]
    assert days(plan("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20261207T020000")) == ["2026-12-06", "2026-12-07"]
    assert days(plan("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20261207T015959")) == ["2026-12-06"]
    assert days(plan("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20261207T010000Z")) == ["2026-12-06", "2026-12-07"]
    assert days(plan("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20261207T005959Z")) == ["2026-12-06"]
    assert len(days(plan("2300-12-30T02:00", "FREQ=DAILY;UNTIL=99991231T235959Z"))) == 2


def test_an_excepted_day_is_the_local_one_and_counts() -> None:
    """00:30 in Auckland on the 7th is the 6th in UTC; COUNT counts what is excepted."""
    window = plan(
        "2026-12-06T00:30", "FREQ=DAILY;COUNT=3", "Pacific/Auckland", **{"except": ["2026-12-07", "2027-01-01"]}
    )
    assert days(window) == ["2026-12-06", "2026-12-08"]


def test_an_excepted_day_is_the_one_that_is_written_even_when_the_clocks_move_the_start_to_the_next() -> None:
    """In Nuuk the clocks go from 23:00 to 00:00 of the next day."""
    shifting = plan("2027-03-26T23:30", "FREQ=DAILY;COUNT=3", "America/Nuuk")
    assert local(shifting) == [
        "26 23:30-0200 27 00:30-0200",
        "28 00:30-0100 28 01:30-0100",
        "28 23:30-0100 29 00:30-0100",
    ]
    assert days(replace(shifting, except_days=frozenset({date(2027, 3, 27)}))) == ["2027-03-26", "2027-03-28"]


def test_the_week_begins_on_monday_whatever_the_process_believes() -> None:
    window = plan("2026-12-06T02:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO")
    before, was = days(window), calendar.firstweekday()
    calendar.setfirstweekday(calendar.SUNDAY)
    try:
        assert days(window) == before == ["2026-12-06", "2026-12-14", "2026-12-20", "2026-12-28", "2027-01-03"]
    finally:
        calendar.setfirstweekday(was)


@pytest.mark.parametrize(
    "repeat",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=7",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,FR",
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,SA",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
        "FREQ=MONTHLY;INTERVAL=5;BYDAY=2TU,-1WE",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=MO",
        "FREQ=YEARLY;BYYEARDAY=1,100,366",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
    ],
)
@pytest.mark.parametrize("starts", ["2000-01-01T02:00", "2026-12-06T23:30", "2096-02-29T12:00", "2199-12-31T02:00"])
def test_years_played_as_later_ones_have_the_same_days(starts: str, repeat: str) -> None:
    """dateutil itself, in the years that are meant, is the oracle."""
    expected = list(islice(rrulestr(repeat, dtstart=datetime.fromisoformat(starts)), 40))
    found = [one.wall for one in first(plan(starts, repeat, "UTC"), 40)]
    assert found == [wall for wall in expected if wall.year <= 2300]
    assert found


# --- after


def test_what_starts_at_the_moment_that_is_asked_for_counts_and_nothing_before() -> None:
    window = plan("2026-12-06T02:00", "FREQ=WEEKLY")
    at = datetime(2027, 3, 28, 1, tzinfo=UTC)
    assert first(window, 1, at)[0].starts_at == at
    assert first(window, 1, at + timedelta(microseconds=1))[0].starts_at == datetime(2027, 4, 4, tzinfo=UTC)
    assert first(window, 1, datetime.max.replace(tzinfo=UTC)) == []
    assert first(window, 1, datetime.min.replace(tzinfo=UTC))[0].wall == window.starts


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "Pacific/Apia", "America/Nuuk"])
def test_asking_from_each_occurrence_on_gives_all_others(zone: str) -> None:
    window = plan("2011-12-25T23:30", "FREQ=DAILY;COUNT=20", zone)
    every = first(window, 99)
    for index, one in enumerate(every):
        assert first(window, 99, one.starts_at) == every[index:]


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(TypeError):
        occurrences(plan("2026-12-06T02:00"), datetime(2026, 1, 1), most=1)  # noqa: DTZ001


# --- the clocks change


def test_wall_time_stays_wall_time_when_the_clocks_change() -> None:
    window = plan("2027-03-21T04:00", "FREQ=WEEKLY;COUNT=3")
    assert utc(window) == ["03-21 03:00 03-21 04:00", "03-28 02:00 03-28 03:00", "04-04 02:00 04-04 03:00"]
    assert [one.shifted for one in first(window)] == ["", "", ""]


def test_a_start_that_is_skipped_is_as_much_later_as_the_clocks_go_forward() -> None:
    [exact] = first(plan("2027-03-28T02:00"))
    assert (exact.starts_at.hour, exact.local_start.hour, exact.wall.hour) == (1, 3, 2)
    assert exact.shifted == "clocks go forward at 02:00: starts at 03:00"
    [half] = first(plan("2027-03-28T02:30"))
    assert half.shifted == "clocks go forward at 02:00: starts at 03:30"
    assert half.starts_at == exact.starts_at + timedelta(minutes=30)


def test_a_start_that_comes_twice_happens_once_the_first_time() -> None:
    window = plan("2027-10-30T02:30", "FREQ=DAILY;COUNT=3")
    assert utc(window) == ["10-30 00:30 10-30 01:30", "10-31 00:30 10-31 01:30", "11-01 01:30 11-01 02:30"]
    assert local(window)[1] == "31 02:30+0200 31 02:30+0100"
    assert first(window)[1].shifted == "clocks go back at 03:00: starts at the first 02:30"


def test_a_duration_is_on_a_stopwatch_and_an_end_on_the_clock() -> None:
    assert local(plan("2027-03-28T01:30", duration="2h")) == ["28 01:30+0100 28 04:30+0200"]
    assert first(plan("2027-03-28T01:30", duration="2h"))[0].shifted == "clocks go forward at 02:00: ends at 04:30"
    [spring] = first(plan("2027-03-28T01:30", until="04:30"))
    [autumn] = first(plan("2027-10-31T01:30", until="04:30"))
    assert [one.ends_at - one.starts_at for one in (spring, autumn)] == [timedelta(hours=2), timedelta(hours=4)]
    assert autumn.shifted == "clocks go back at 03:00: ends at 04:30"


def test_an_end_that_the_clocks_skip_or_show_twice() -> None:
    assert local(plan("2027-03-28T01:00", until="02:30")) == ["28 01:00+0100 28 03:30+0200"]
    assert local(plan("2027-10-31T01:00", until="02:30")) == ["31 01:00+0200 31 02:30+0200"]


@pytest.mark.parametrize("until", ["03:00", "03:30"])
def test_a_window_never_ends_before_it_starts(until: str) -> None:
    """02:30 becomes 03:30: nothing would be left until 03:00, so it lasts as long as is written."""
    [one] = first(plan("2027-03-28T02:30", until=until))
    assert one.ends_at - one.starts_at == timedelta(minutes=30 if until == "03:00" else 60)


def test_an_end_that_is_not_after_the_start_is_on_the_next_day() -> None:
    assert local(plan("2026-12-31T22:00", until="03:00")) == ["31 22:00+0100 01 03:00+0100"]
    assert local(plan("2026-12-31T22:00", until="22:00")) == ["31 22:00+0100 01 22:00+0100"]
    assert local(plan("2027-03-27T22:00", until="03:00")) == ["27 22:00+0100 28 03:00+0200"]


def test_half_an_hour_on_lord_howe() -> None:
    """The clocks there go from 02:00 to 02:30, and back again."""
    spring = plan("2027-10-02T02:15", "FREQ=DAILY;COUNT=2", "Australia/Lord_Howe")
    assert local(spring) == ["02 02:15+1030 02 03:15+1030", "03 02:45+1100 03 03:45+1100"]
    assert first(spring)[1].shifted == "clocks go forward at 02:00: starts at 02:45"
    autumn = plan("2027-04-04T01:45", zone="Australia/Lord_Howe")
    assert local(autumn) == ["04 01:45+1100 04 02:15+1030"]
    assert first(autumn)[0].shifted == "clocks go back at 02:00: starts at the first 01:45"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Etc/GMT+12", "Pacific/Kiritimati"])
def test_where_the_clocks_never_change_every_day_is_a_day(zone: str) -> None:
    every = first(plan("2027-01-01T02:30", "FREQ=DAILY", zone), 800)
    gaps = {later.starts_at - earlier.starts_at for earlier, later in pairwise(every)}
    assert gaps == {timedelta(days=1)}
    assert {one.shifted for one in every} == {""}


def test_a_day_that_a_zone_skips_has_no_window_and_the_next_has_one() -> None:
    """Samoa went from 29 to 31 December 2011 to change the side of the date line."""
    window = plan("2011-12-29T02:00", "FREQ=DAILY;COUNT=3", "Pacific/Apia")
    assert days(window) == ["2011-12-29", "2011-12-31"]
    assert utc(window) == ["12-29 12:00 12-29 13:00", "12-30 12:00 12-30 13:00"]
    into = plan("2011-12-29T23:00", zone="Pacific/Apia", until="01:00")
    assert first(into)[0].ends_at - first(into)[0].starts_at == timedelta(hours=2)


# --- identity


def test_the_key_is_the_plan_and_the_written_start() -> None:
    window = plan("2027-03-21T02:00", "FREQ=WEEKLY;COUNT=2")
    keys = [one.key for one in first(window)]
    assert keys == ["w@2027-03-21T02:00", "w@2027-03-28T02:00"]
    longer = replace(window, duration=timedelta(hours=5), until=None)
    elsewhere = replace(window, timezone="Africa/Lagos")  # what Berlin is, should it give up changing its clocks
    assert [one.key for one in first(longer)] == [one.key for one in first(elsewhere)] == keys
    assert first(plan("2027-03-21T02:00:30"))[0].key == "w@2027-03-21T02:00:30"


# --- what is wrong with it


@pytest.mark.parametrize(
    ("starts", "repeat", "key", "words"),
    [
        ("2026-12-06T02:00", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "repeat", "never happens"),
        ("2026-12-06T02:00", "FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30", "repeat", "never happens"),
        ("2026-12-06T02:00", "FREQ=MONTHLY;BYSETPOS=2", "repeat", "never happens"),
        ("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20261205", "repeat", "never happens"),
        ("2026-12-06T02:00", "FREQ=DAILY;UNTIL=20269999", "repeat", "cannot be understood"),
        ("2026-12-06T02:00", "FREQ=YEARLY;BYYEARDAY=1,-400", "repeat", "400 in BYYEARDAY; here it takes 1 to 366"),
        ("2026-12-06T02:00", "FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=999", "repeat", "999 in BYSETPOS"),
        ("2026-12-06T02:00", "FREQ=MONTHLY;BYDAY=MO,0SU", "repeat", "0 in BYDAY"),
        ("2026-12-06T02:00", "FREQ=MONTHLY;BYDAY=MO,53MO", "repeat", "53 in BYDAY; here it takes 1 to 5"),
        ("2026-12-06T02:00", "FREQ=YEARLY;BYMONTH=2;BYDAY=6MO", "repeat", "6 in BYDAY; here it takes 1 to 5"),
        ("2026-12-06T02:00", "FREQ=WEEKLY;BYDAY=2SU", "repeat", "2 in BYDAY"),
        ("2026-12-06T02:00", "FREQ=WEEKLY;BYMONTH=1;BYDAY=2SU", "repeat", "2 in BYDAY"),
        ("1999-12-31T02:00", "FREQ=DAILY", "starts", "2000 to 2300"),
        ("9999-12-31T23:59", None, "starts", "2000 to 2300"),
    ],
)
def test_what_can_never_happen_is_told_in_bounded_time(starts: str, repeat: str | None, key: str, words: str) -> None:
    began = time.perf_counter()
    told = fault(plan(starts, repeat))
    assert told[0] == key
    assert words in told[1]
    assert time.perf_counter() - began < 2  # dateutil alone takes over three seconds for the first


def test_a_single_day_that_the_zone_skips_is_told() -> None:
    assert fault(plan("2011-12-30T02:00", zone="Pacific/Apia")) == (
        "starts",
        "`starts` never happens: Pacific/Apia skips that day",
    )


def test_excepting_all_of_it_is_told() -> None:
    assert fault(plan("2026-12-06T02:00", "FREQ=DAILY;COUNT=1", **{"except": ["2026-12-06"]}))[0] == "repeat"


def test_the_last_year_is_the_last() -> None:
    window = plan("2300-12-30T02:00", "FREQ=DAILY;UNTIL=99991231")
    assert fault(window) == ("", "")
    assert days(window) == ["2300-12-30", "2300-12-31"]


def test_a_repeat_that_does_not_fall_on_the_start_is_odd() -> None:
    assert oddity(plan("2026-12-06T02:00", "FREQ=WEEKLY;BYDAY=SU")) == ""
    assert oddity(plan("2026-12-06T02:00", "FREQ=WEEKLY;BYDAY=SU", **{"except": ["2026-12-06"]})) == ""
    assert (
        oddity(plan("2026-12-05T02:00", "FREQ=WEEKLY;BYDAY=SU"))
        == "`repeat` does not fall on `starts`; it happens first on Sunday, 2026-12-06T02:00"
    )
    assert oddity(plan("2025-03-01T02:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29")).endswith(
        "2028-02-29T02:00, more than two years later"
    )
