"""Waits grow, stay bounded, are never shorter than asked for, and are the same for the same retry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.core.retry import FIRST, LONGEST, again

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
subjects = st.text(max_size=20)
tries = st.integers(1, 10_000)


def least(number: int) -> timedelta:
    """The wait without jitter."""
    return min(LONGEST, FIRST * 2 ** min(number - 1, 20))


@given(subjects, tries)
def test_a_wait_doubles_up_to_a_minute_and_jitter_only_adds_a_quarter_at_most(subject: str, number: int) -> None:
    wait = again(subject, number, None, NOW) - NOW
    assert least(number) <= wait <= least(number) * 1.25


@given(subjects, tries, st.integers(-86_400, 86_400))
def test_what_the_other_side_asked_for_is_never_undercut(subject: str, number: int, seconds: int) -> None:
    asked = NOW + timedelta(seconds=seconds)
    at = again(subject, number, asked, NOW)
    assert at >= asked
    assert at >= NOW + least(number)
    assert at <= max(asked, NOW + least(number)) + least(number) * 0.25


@given(subjects, tries)
def test_the_same_retry_waits_the_same_time(subject: str, number: int) -> None:
    assert again(subject, number, None, NOW) == again(subject, number, None, NOW)


@given(subjects, st.integers(1, 4))
def test_the_next_wait_is_longer_until_the_longest(subject: str, number: int) -> None:
    assert least(number + 1) >= least(number)
    assert again(subject, number + 2, None, NOW) >= again(subject, number, None, NOW)


def test_many_that_failed_at_once_do_not_come_back_at_once() -> None:
    assert len({again(f"action-{n}", 5, None, NOW) for n in range(50)}) > 40


def test_the_first_wait_is_short_and_the_last_is_a_minute() -> None:
    assert timedelta(seconds=2) <= again("a", 1, None, NOW) - NOW <= timedelta(seconds=2.5)
    assert again("a", 10**9, None, NOW) - NOW <= timedelta(seconds=75)
