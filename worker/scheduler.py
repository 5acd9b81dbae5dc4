"""
What runs when: loops that do a step until there is no work, bells that wake them, the alarm clock, and its stand-in.

Nothing here is a truth. A bell that is not heard and an alarm that does not ring cost a few seconds, because
every loop also looks by itself; late or twice is harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from worker.errors import WorkerError

LOG = structlog.get_logger("worker.scheduler")
REST_AFTER_FAULT_S = 1.0

RINGS_MISSED = 3
LEAST_SILENCE_S = 5.0
"""How many of its rings must be missing, and how long, before an alarm clock is taken for dead."""
OVERDUE_AFTER = timedelta(seconds=0.5)

MOST_AT_ONCE = 64
ROUND_S = 0.05
BUSY_PER_S = 200
RESTS_TO_WORK = 4
LONGEST_REST_S = 0.5


class Loop:
    """
    A thread that does a step over and over, and sleeps when there is no work.

    Args:
        name: For logs and health.
        step: Does one round; says whether there was work.
        poll: Seconds after which it looks again without a bell.
    """

    def __init__(self, name: str, step: Callable[[], object], poll: float) -> None:
        self.name = name
        self._step = step
        self._poll = poll
        self._bell = threading.Event()
        self.idle = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ring(self) -> None:
        """There may be work."""
        self._bell.set()

    def stop(self, timeout: float) -> bool:
        """Let the round that runs finish, then end; say whether it did within *timeout* seconds."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def end(self) -> None:
        """Begin no further round; do not wait for the one that runs."""
        self._ended.set()
        self._bell.set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            if not self._round():
                self.idle = True
                self._bell.wait(self._poll)
                self.idle = False
            self._bell.clear()

    def _round(self) -> object:
        try:
            return self._step()
        except WorkerError as known:
            LOG.warning("step failed", step=self.name, error=str(known) or type(known).__name__)
        except Exception:
            LOG.exception("step failed", step=self.name)
        self._ended.wait(REST_AFTER_FAULT_S)
        return False


class Courtesy:
    """
    Makes a step give way while intake is busy: a sender that is not answered in time sends again, and may give up.

    Rounds are kept short, and after each the step rests four times as long as it worked; it is never starved.

    Args:
        step: Takes how much it may do in one round, and says how much it did.
        arrived: Counts what intake has taken so far.
        elapsed: A monotonic clock, seconds.
        rest: Sleeps, seconds.
    """

    def __init__(
        self,
        step: Callable[[int], int],
        arrived: Callable[[], int],
        *,
        elapsed: Callable[[], float] = time.monotonic,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._step = step
        self._arrived = arrived
        self._elapsed = elapsed
        self._rest = rest
        self.most = MOST_AT_ONCE

    def __call__(self) -> int:
        """Do one round."""
        before, began = self._arrived(), self._elapsed()
        done = self._step(self.most)
        took = self._elapsed() - began
        if done:
            self._adapt(took, done)
        if self._arrived() - before > BUSY_PER_S * took + 1:
            self._rest(min(took * RESTS_TO_WORK, LONGEST_REST_S))
        return done

    def _adapt(self, took: float, done: int) -> None:
        if took > ROUND_S and self.most > 1:
            self.most //= 2
        elif took < ROUND_S / 4 and done == self.most and self.most < MOST_AT_ONCE:
            self.most *= 2


def ring_some(loops: Sequence[Loop], count: int) -> None:
    """Wake *count* loops that sleep; where fewer do, those at work look again once they are done."""
    idle = [loop for loop in loops if loop.idle][:count]
    for loop in idle if len(idle) == count else loops:
        loop.ring()


class AlarmClock:
    """
    APScheduler as an alarm clock: rings *wake* at a set time, and every few seconds besides.

    Args:
        wake: Called in a thread of the scheduler's, never twice at once.
        every: Seconds between the rings that nobody set.
    """

    def __init__(self, wake: Callable[[], object], every: float) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._next: datetime | None = None
        self._ended = False
        # Misfires must ring late, never be skipped: the default grace is one second. Source: APScheduler 3.11 docs.
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._every = every
        self._ringing = False
        self._rang = 0.0

    def start(self) -> None:
        """Begin."""
        self._rang = time.monotonic()
        self._scheduler.start()
        self._scheduler.add_job(self._ring, "interval", seconds=self._every, id="every")

    def set(self, at: datetime | None) -> None:
        """Ring at *at* too; an earlier time that is set already stays."""
        if at is None:
            return
        with self._lock:
            if self._ended or (self._next is not None and self._next <= at):
                return
            self._next = at
            # Two: a ring that is set while one runs waits for its turn in the only thread; with one it were skipped.
            self._scheduler.add_job(self._ring, "date", run_date=at, id="alarm", replace_existing=True, max_instances=2)

    def stop(self) -> None:
        """End; a ring that runs finishes."""
        with self._lock:
            self._ended = True  # the scheduler holds, while it waits for a ring to finish, the lock that adding needs
        if self._scheduler.running:
            self._scheduler.remove_all_jobs()  # else its thread may stumble over the end while it starts one
            self._scheduler.shutdown(wait=True)

    @property
    def alive(self) -> bool:
        """Whether it would ring; its thread may be dead, or stuck, without a sign but silence."""
        silent = time.monotonic() - self._rang > max(RINGS_MISSED * self._every, LEAST_SILENCE_S)
        return bool(self._scheduler.running) and (self._ringing or not silent)

    def overdue(self, now: datetime) -> bool:
        """Whether a time that was set has passed without a ring; told once."""
        with self._lock:
            passed = not self._ended and self._next is not None and now >= self._next + OVERDUE_AFTER
            self._next = None if passed else self._next
            return passed

    def _ring(self) -> None:
        with self._lock:
            self._next = None
        self._ringing = True
        try:
            self._wake()
        except Exception:
            LOG.exception("advance failed")
        finally:
            self._rang = time.monotonic()
            self._ringing = False


class Sweep:
    """
    A step that does what the alarm clock is for, where that does not ring.

    Args:
        wake: As the alarm clock's; it may run beside that.
        clock: The time by which alarms are set.
        missed: Called each time that the alarm clock is found silent.
    """

    def __init__(
        self, alarm: AlarmClock, wake: Callable[[], object], clock: Callable[[], datetime], missed: Callable[[], None]
    ) -> None:
        self._alarm = alarm
        self._wake = wake
        self._clock = clock
        self._missed = missed
        self._told = False

    def __call__(self) -> bool:
        """Look once; never asks for another round at once."""
        alive = self._alarm.alive
        if not alive:
            self._missed()
        if alive is self._told:
            self._told = not alive
            LOG.log(*_SAID[alive])
        if self._alarm.overdue(self._clock()) or not alive:
            self._wake()
        return False


_SAID = {
    True: (logging.INFO, "the alarm clock rings again"),
    False: (logging.ERROR, "the alarm clock does not ring: what is due is done by the sweep; restart the worker"),
}
