"""How long to wait, and how fast to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.providers._outcomes import LONGEST_WAIT, told_wait
from worker.providers._pace import Pace, shared

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (["30"], 30),
        ([" 30 "], 30),
        (["1.5"], 1.5),
        ([30], 30),
        ([2.5], 2.5),
        (["Mon, 23 Nov 2026 10:01:00 GMT"], 60),
        (["2026-11-23T10:01:00Z"], 60),
        (["2026-11-23T11:01:00+01:00"], 60),
        (["2026-11-23T10:01:00"], 60),
        (["30", "2026-11-23T10:01:00Z"], 60),
        ([None, "30"], 30),
        (["rubbish", "30"], 30),
        (["99999999999999"], 900),
        ([1e300], 900),
        ([float("inf")], 900),
        (["9" * 400], None),
        (["9999-12-31T23:59:59Z"], 900),
        (["9999-12-31T23:59:59-23:00"], None),
        (["0"], None),
        ([0], None),
        (["-5"], None),
        ([-5], None),
        ([float("nan")], None),
        (["Mon, 23 Nov 2020 10:01:00 GMT"], None),
        ([""], None),
        (["soon"], None),
        ([None], None),
        ([[], {}], None),
        ([], None),
    ],
)
def test_the_latest_readable_time_ahead_counts_at_most_15_minutes(words: list[object], seconds: float | None) -> None:
    assert told_wait(words, NOW) == (None if seconds is None else NOW + timedelta(seconds=seconds))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.datetimes().map(str))))
def test_no_word_breaks_the_reader(words: list[object]) -> None:
    at = told_wait(words, NOW)
    assert at is None or NOW < at <= NOW + LONGEST_WAIT


class Time:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_no_minute_ever_holds_more_than_the_limit() -> None:
    time = Time()
    pace = Pace(per_minute=60, reserve=6, monotonic=time, sleep=time.sleep)
    taken = []
    while time.now < 600:
        assert pace.take(write=True, patience=120) == 0
        taken.append(time.now)
        time.now += 0.25
    for index, at in enumerate(taken[60:]):
        assert at - taken[index] >= 60
    assert len(taken) >= 600, "and it is used up"


def test_where_places_are_scarce_writes_go_first() -> None:
    time = Time()
    pace = Pace(per_minute=10, reserve=2, monotonic=time, sleep=time.sleep)
    for _ in range(8):
        assert pace.take(write=False, patience=0) == 0
    assert pace.take(write=False, patience=1) == 60, "the last places are not for reads"
    assert pace.take(write=True, patience=0) == 0
    assert pace.take(write=True, patience=0) == 0
    assert pace.take(write=True, patience=1) == 60
    assert time.now == 0, "nobody slept for what would not come in time"
    assert pace.take(write=True, patience=90) == 0
    assert time.now == 60


def test_a_hold_stops_everything_and_is_never_shortened() -> None:
    time = Time()
    pace = Pace(monotonic=time, sleep=time.sleep)
    pace.hold(30)
    pace.hold(5)
    assert pace.take(write=True, patience=2) == 30
    time.now = 29
    assert pace.take(write=False, patience=2) == 0
    assert time.now == 30


def test_pages_with_one_key_share_its_pace() -> None:
    assert shared("a") is shared("a")
    assert shared("a") is not shared("b")
