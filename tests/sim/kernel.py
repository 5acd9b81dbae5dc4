"""
Virtual time: a heap of what is due, and tasks that wait in it. One seed decides everything.

A task is a greenlet, so that production code which blocks needs no change: where it would wait, others run. Knows
nothing of workers or pages.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

Call = Callable[[], object]


class Due:
    """Something that will happen, unless it is called off."""

    __slots__ = ("call", "off")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.off = False


class Kernel:
    """
    Args:
        seed: The same seed gives the same run, to the last byte.
    """

    def __init__(self, seed: int) -> None:
        self.now = START
        self.chance = random.Random(seed)
        self._heap: list[tuple[datetime, int, Due]] = []
        self._numbers = itertools.count()
        self._hub = getcurrent()

    def at(self, when: datetime, call: Call) -> Due:
        """Let *call* happen at *when*; what is past happens next."""
        due = Due(call)
        heapq.heappush(self._heap, (max(when, self.now), next(self._numbers), due))
        return due

    def after(self, seconds: float, call: Call) -> Due:
        """Let *call* happen in so many seconds."""
        return self.at(self.now + timedelta(seconds=seconds), call)

    def run(self, until: datetime) -> None:
        """Let everything happen that is due up to *until*."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, due = heapq.heappop(self._heap)
            if not due.off:
                due.call()
        self.now = until

    def sleep(self, seconds: float) -> None:
        """Let the task that calls this wait."""
        task = Task.current()
        self.after(seconds, task.resumption())
        task.suspend()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning; never run back."""
        return (self.now - START).total_seconds()


class Gate:
    """What all tasks of a process pass whenever they go on; while it is shut they stand still, as after SIGSTOP."""

    def __init__(self) -> None:
        self.shut = False
        self._waiting: list[Call] = []

    def passes(self, call: Call) -> bool:
        """Whether it is open; else *call* is done once it opens."""
        if self.shut:
            self._waiting.append(call)
        return not self.shut

    def open(self) -> None:
        """Let everybody go on."""
        self.shut = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


class Task:
    """
    One thread of a simulated process.

    Args:
        body: What it does; whatever it raises is raised out of ``Kernel.run``.
        gate: Its process's.

    Attributes:
        writing: What the write that it makes next is for.
        read_at: When it last read the page.
    """

    writing: Any = None
    read_at = START

    def __init__(self, kernel: Kernel, name: str, body: Call, gate: Gate | None = None) -> None:
        self.name = name
        self._gate = gate or Gate()
        self._turn = 0
        self._killed = False
        self._greenlet = greenlet(lambda _: body(), parent=kernel._hub)
        self._greenlet.task = self  # type: ignore[attr-defined]
        kernel.at(kernel.now, self.resumption())

    @staticmethod
    def current() -> Task:
        """Give the task that runs."""
        task: Task = getcurrent().task  # type: ignore[attr-defined]
        return task

    def resumption(self, value: Any = None) -> Call:
        """Give what lets the task go on from where it is next suspended; of several, the first to happen does."""
        turn = self._turn + 1

        def resume() -> None:
            if self._turn == turn - 1 and not self._greenlet.dead and self._gate.passes(resume):
                self._turn = turn
                self._greenlet.switch(value)

        return resume

    def suspend(self) -> Any:
        """Wait for a resumption, and give the value that it bears."""
        return getcurrent().parent.switch()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._killed and not self._greenlet.dead

    def kill(self) -> None:
        """End it where it is; not to be called by itself."""
        self._turn += 1
        self._killed = True
        if self._greenlet:
            self._greenlet.throw(GreenletExit)


class Bell:
    """Wakes one task that waits for it; a ring that nobody waits for is kept."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._rung = False
        self._resume: Call | None = None

    def ring(self) -> None:
        """There may be work."""
        if self._resume is None:
            self._rung = True
        else:
            self._kernel.at(self._kernel.now, self._resume)
            self._resume = None

    def wait(self, seconds: float) -> None:
        """Wait for a ring, at most so long."""
        if not self._rung:
            task = Task.current()
            self._resume = task.resumption()
            due = self._kernel.after(seconds, self._resume)
            task.suspend()
            due.off = True
            self._resume = None
        self._rung = False


class TaskLock:
    """A lock for tasks, as ``threading.Lock`` is for threads."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._taken = False

    def __enter__(self) -> None:
        while self._taken:
            self._kernel.sleep(0.01)
        self._taken = True

    def __exit__(self, *exc: object) -> None:
        self._taken = False
