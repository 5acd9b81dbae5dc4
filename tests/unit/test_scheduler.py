"""Loops do their work and give way; bells and alarms ring late rather than never; one fault stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.processes import until
from worker import scheduler
from worker.errors import LedgerUnavailable
from worker.scheduler import LONGEST_REST_S, MOST_AT_ONCE, AlarmClock, Courtesy, Loop, Sweep, ring_some

pytestmark = pytest.mark.timeout(30)
LONG = 3600.0


def soon(seconds: float = 0) -> datetime:
    """A time from now on; the alarm clock lives on the machine's."""
    return datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251


@contextmanager
def looping(step: Callable[[], object], poll: float = LONG) -> Iterator[Loop]:
    """Run a loop for the length of a block."""
    loop = Loop("test", step, poll)
    loop.start()
    try:
        yield loop
    finally:
        assert loop.stop(10)


@contextmanager
def alarm(wake: Callable[[], object], every: float = LONG) -> Iterator[AlarmClock]:
    """Run an alarm clock for the length of a block."""
    clock = AlarmClock(wake, every)
    clock.start()
    try:
        yield clock
    finally:
        clock.stop()


class Steps:
    """A step that counts its rounds and does as it is told."""

    def __init__(self, work: int = 0) -> None:
        self.rounds = 0
        self.work = work
        self.fault: Exception | None = None

    def __call__(self) -> bool:
        self.rounds += 1
        if self.fault is not None:
            raise self.fault
        self.work -= 1
        return self.work >= 0


# -- loops


def test_a_loop_works_until_there_is_no_work_and_then_sleeps() -> None:
    step = Steps(work=20)
    with looping(step) as loop:
        until(lambda: loop.idle, "sleep")
        assert step.rounds == 21


def test_a_bell_wakes_a_loop_that_sleeps() -> None:
    step = Steps()
    with looping(step) as loop:
        until(lambda: loop.idle, "sleep")
        loop.ring()
        until(lambda: step.rounds == 2, "a round")


def test_a_bell_that_rings_during_a_round_is_heard_after_it() -> None:
    inside, go = threading.Event(), threading.Event()
    rounds: list[int] = []

    def step() -> bool:
        rounds.append(1)
        inside.set()
        assert go.wait(10)
        return False

    with looping(step) as loop:
        assert inside.wait(10)
        loop.ring()
        go.set()
        until(lambda: len(rounds) == 2, "the round that was rung for")


def test_a_loop_looks_by_itself_without_a_bell() -> None:
    step = Steps()
    with looping(step, poll=0.01):
        until(lambda: step.rounds > 3, "rounds")


@pytest.mark.parametrize("fault", [LedgerUnavailable("disk full"), KeyError("bug"), RuntimeError("bug")])
def test_a_fault_is_told_and_the_loop_goes_on(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler, "REST_AFTER_FAULT_S", 0.01)
    step = Steps(work=5)
    step.fault = fault
    with looping(step, poll=0.01) as loop:
        until(lambda: step.rounds > 2, "rounds that fail")
        assert loop.alive
        step.fault = None
        until(lambda: step.work < 0, "rounds that work")
    told = capsys.readouterr()
    assert "step failed" in told.out + told.err


def test_a_fault_rests_a_while_instead_of_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    step = Steps()
    step.fault = LedgerUnavailable("disk full")
    loop = Loop("test", step, LONG)
    monkeypatch.setattr(loop._ended, "wait", rests.append)
    assert loop._round() is False
    assert rests == [scheduler.REST_AFTER_FAULT_S]


def test_stop_lets_the_round_that_runs_finish_and_starts_no_other() -> None:
    inside, go, finished = threading.Event(), threading.Event(), threading.Event()
    rounds: list[int] = []

    def step() -> bool:
        rounds.append(1)
        inside.set()
        assert go.wait(10)
        finished.set()
        return True

    loop = Loop("test", step, LONG)
    loop.start()
    assert inside.wait(10)
    assert loop.stop(0.01) is False, "the round still runs"
    assert loop.alive
    go.set()
    assert loop.stop(10) is True
    assert finished.is_set()
    assert len(rounds) == 1
    assert not loop.alive


def test_an_end_waits_for_nobody_and_lets_no_further_round_begin() -> None:
    inside, go = threading.Event(), threading.Event()
    rounds: list[int] = []

    def step() -> bool:
        rounds.append(1)
        inside.set()
        assert go.wait(10)
        return True

    with looping(step) as loop:
        assert inside.wait(10)
        loop.end()
        assert loop.alive
        go.set()
        until(lambda: not loop.alive, "the end")
    assert len(rounds) == 1


def test_a_loop_that_never_started_stops_at_once() -> None:
    assert Loop("test", Steps(), LONG).stop(0) is True


# -- bells


class Bell:
    """A loop as far as a bell is concerned."""

    def __init__(self, idle: bool) -> None:
        self.idle = idle
        self.rung = 0

    def ring(self) -> None:
        self.rung += 1


@pytest.mark.parametrize(
    ("idle", "count", "rung"),
    [
        ([True, True, True], 1, [1, 0, 0]),
        ([False, True, True], 2, [0, 1, 1]),
        ([False, True, True], 3, [1, 1, 1]),
        ([False, False], 1, [1, 1]),
        ([True], 5, [1]),
        ([], 1, []),
    ],
)
def test_as_many_sleepers_are_woken_as_there_is_work_and_all_where_there_are_too_few(
    idle: list[bool], count: int, rung: list[int]
) -> None:
    bells = [Bell(each) for each in idle]
    ring_some(bells, count)  # type: ignore[arg-type]
    assert [bell.rung for bell in bells] == rung


# -- courtesy


class Day:
    """Time, intake and a step whose rounds take as long as a test says."""

    def __init__(self, took: float, arrivals: int = 0, work: int = 1000) -> None:
        self.now = 0.0
        self.arrived = 0
        self.took, self.arrivals, self.work = took, arrivals, work
        self.rests: list[float] = []
        self.asked: list[int] = []
        self.courtesy = Courtesy(self.step, lambda: self.arrived, elapsed=lambda: self.now, rest=self.rests.append)

    def step(self, most: int) -> int:
        self.asked.append(most)
        self.now += self.took
        self.arrived += self.arrivals
        return min(most, self.work)


def test_a_step_rests_four_times_as_long_as_it_worked_while_intake_is_busy() -> None:
    day = Day(took=0.04, arrivals=100)
    assert day.courtesy() == MOST_AT_ONCE
    assert day.rests == [pytest.approx(0.16)]


def test_a_step_never_rests_long_and_never_starves() -> None:
    day = Day(took=5, arrivals=100_000)
    for _ in range(20):
        assert day.courtesy() >= 1
    assert set(day.rests) == {LONGEST_REST_S}


def test_a_step_does_not_rest_while_intake_is_quiet() -> None:
    day = Day(took=0.04, arrivals=5)
    day.courtesy()
    assert day.rests == []


def test_rounds_get_shorter_while_they_take_long_and_longer_again() -> None:
    day = Day(took=0.2)
    for _ in range(10):
        day.courtesy()
    assert day.asked == [64, 32, 16, 8, 4, 2, 1, 1, 1, 1]
    day.took = 0.001
    day.asked.clear()
    for _ in range(8):
        day.courtesy()
    assert day.asked == [1, 2, 4, 8, 16, 32, 64, 64]


def test_a_round_without_work_changes_nothing() -> None:
    day = Day(took=0.2, work=0)
    assert day.courtesy() == 0
    assert day.courtesy.most == MOST_AT_ONCE


# -- the alarm clock


def test_an_alarm_rings_at_its_time_and_not_before() -> None:
    rung: list[datetime] = []
    with alarm(lambda: rung.append(soon())) as clock:
        at = soon(0.15)
        clock.set(at)
        until(lambda: rung, "the ring")
    assert rung[0] >= at


def test_an_alarm_whose_time_has_passed_rings_late_rather_than_never() -> None:
    rung = threading.Event()
    with alarm(rung.set) as clock:
        clock.set(soon(-86400))
        assert rung.wait(5)


def test_an_alarm_that_is_set_before_the_start_rings_after_it() -> None:
    rung = threading.Event()
    clock = AlarmClock(rung.set, LONG)
    clock.set(soon(-1))
    clock.start()
    try:
        assert rung.wait(5)
    finally:
        clock.stop()


def test_an_earlier_alarm_goes_before_a_later_one_and_a_later_one_moves_it_not() -> None:
    rung = threading.Event()
    with alarm(rung.set) as clock:
        clock.set(soon(LONG))
        clock.set(soon(0.05))
        clock.set(soon(LONG * 2))
        clock.set(None)
        assert rung.wait(5)


def test_an_alarm_that_is_set_for_now_while_it_rings_rings_again() -> None:
    inside, go = threading.Event(), threading.Event()
    rings: list[int] = []

    def wake() -> None:
        rings.append(1)
        inside.set()
        assert go.wait(10)

    with alarm(wake) as clock:
        clock.set(soon(-1))
        assert inside.wait(5)
        clock.set(soon(-1))
        until(lambda: clock._scheduler.get_job("alarm") is None, "the second ring handed over")
        go.set()
        until(lambda: len(rings) == 2, "the second ring", 5)
        clock.set(soon(0.01))
        until(lambda: len(rings) == 3, "and one later", 5)


def test_it_rings_every_few_seconds_besides() -> None:
    rings: list[int] = []
    with alarm(lambda: rings.append(1), every=0.02):
        until(lambda: len(rings) > 2, "rings that nobody set")


def test_rings_never_overlap() -> None:
    inside: list[int] = []
    most: list[int] = []

    def wake() -> None:
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    with alarm(wake, every=0.01) as clock:
        for _ in range(50):
            clock.set(soon())
        until(lambda: len(most) > 5, "rings")
    assert set(most) == {1}


def test_a_ring_that_fails_is_told_and_the_next_one_comes(capsys: pytest.CaptureFixture[str]) -> None:
    rings: list[int] = []

    def wake() -> None:
        rings.append(1)
        raise KeyError("bug")

    with alarm(wake) as clock:
        clock.set(soon(-1))
        until(lambda: len(rings) == 1, "the ring")
        clock.set(soon(-1))
        until(lambda: len(rings) == 2, "the next")
        assert clock.alive
    told = capsys.readouterr()
    assert "advance failed" in told.out + told.err


def test_stop_does_not_hang_where_the_ring_that_runs_sets_the_next_one() -> None:
    inside, go = threading.Event(), threading.Event()

    def wake() -> None:
        inside.set()
        assert go.wait(10)
        clock.set(soon(60))

    clock = AlarmClock(wake, LONG)
    clock.start()
    clock.set(soon(-1))
    assert inside.wait(5)
    stopping = threading.Thread(target=clock.stop, daemon=True)
    stopping.start()
    until(lambda: not clock.alive, "the end under way")
    go.set()
    stopping.join(5)
    assert not stopping.is_alive()


def test_an_end_at_the_moment_of_a_ring_leaves_no_thread_behind_that_failed() -> None:
    for _ in range(60):
        with alarm(lambda: None) as clock:
            clock.set(soon(-1))


def test_stop_waits_for_the_ring_that_runs() -> None:
    inside, finished = threading.Event(), threading.Event()
    go = threading.Event()

    def wake() -> None:
        inside.set()
        assert go.wait(10)
        finished.set()

    clock = AlarmClock(wake, LONG)
    clock.start()
    clock.set(soon(-1))
    assert inside.wait(5)
    threading.Timer(0.05, go.set).start()
    clock.stop()
    assert finished.is_set()
    assert not clock.alive
    clock.stop()
    clock.set(soon())


# -- who stands in for a dead alarm clock


class Sweeping:
    """A sweep over an alarm clock whose scheduler does nothing more."""

    def __init__(self, clock: AlarmClock) -> None:
        self.woken = self.missed = 0
        self.sweep = Sweep(clock, self._wake, soon, self._miss)

    def _wake(self) -> None:
        self.woken += 1

    def _miss(self) -> None:
        self.missed += 1


def test_a_time_that_passes_without_a_ring_is_swept_up_once_and_at_once() -> None:
    with alarm(lambda: None) as clock:
        clock._scheduler.pause()
        swept = Sweeping(clock)
        clock.set(soon(-10))
        swept.sweep()
        swept.sweep()
        assert (swept.woken, swept.missed) == (1, 0)
        clock.set(soon(10))
        swept.sweep()
        assert swept.woken == 1


def test_an_alarm_clock_that_falls_silent_is_told_once_and_its_work_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler, "LEAST_SILENCE_S", 0.05)
    with alarm(lambda: None, every=0.01) as clock:
        swept = Sweeping(clock)
        assert clock.alive
        clock._scheduler.pause()
        until(lambda: not clock.alive, "silence", 5)
        for _ in range(3):
            swept.sweep()
        assert (swept.woken, swept.missed) == (3, 3)
        clock._scheduler.resume()
        until(lambda: clock.alive, "rings", 5)
        swept.sweep()
        assert swept.woken == 3
    told = capsys.readouterr()
    assert (told.out + told.err).count("does not ring") == 1
    assert (told.out + told.err).count("rings again") == 1


def test_a_ring_that_takes_long_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "LEAST_SILENCE_S", 0.0)
    inside, go = threading.Event(), threading.Event()

    def wake() -> None:
        inside.set()
        assert go.wait(10)

    with alarm(wake, every=0.001) as clock:
        assert inside.wait(5)
        assert not threading.Event().wait(0.05)
        assert clock.alive
        go.set()
