"""A clock that was set, or stood still with its machine, is noticed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.bootstrap.evenness import Evenness

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class Clocks:
    def __init__(self) -> None:
        self.wall, self.seconds = START, 5000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(seconds=3)])
def test_a_clock_that_is_set_runs_evenly_since_then(jump: timedelta) -> None:
    clocks = Clocks()
    evenness = Evenness(lambda: clocks.wall, lambda: clocks.seconds)
    clocks.pass_by(600)
    assert evenness() < START - timedelta(days=365)
    clocks.wall += jump
    assert evenness() == clocks.wall
    set_at = clocks.wall
    clocks.pass_by(600)
    assert evenness() == set_at


def test_a_clock_that_is_slewed_runs_evenly() -> None:
    clocks = Clocks()
    evenness = Evenness(lambda: clocks.wall, lambda: clocks.seconds)
    for _ in range(100):
        clocks.pass_by(60)
        clocks.wall += timedelta(milliseconds=30)
        assert evenness() < START
