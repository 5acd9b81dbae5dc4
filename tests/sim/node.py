"""
One worker: ``bootstrap.worker.Worker`` itself, with tasks in place of threads, a simulated network, and no sockets.

At every call of the ledger it may lose its turn, or die. What it kept in memory is gone then; the ledger stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol
from unittest import mock

import structlog

from tests.sim.kernel import Gate, Kernel, Task, TaskLock
from tests.sim.ledgers import Store
from tests.sim.network import Network
from tests.sim.plans import ENVIRON, Plan
from tests.sim.shell import POLL, Alarm, Port, SimAlarmClock, SimLoop
from worker.bootstrap import in_force
from worker.bootstrap import worker as real
from worker.core.commands import Command, Done
from worker.core.model import Action, Inbound, Outcome, Request
from worker.errors import WorkerError
from worker.ports import Commit, Recorded
from worker.providers.incident_io import IncidentIo
from worker.scheduler import ring_some
from worker.settings import Settings

SETTINGS = Settings(rules=Path("unused"), ledger="unused", poll=POLL, deliver_threads=3, reload=0, watch=1200)


class World(Protocol):
    """Who is told of what the worker does; see ``network.Observer``."""

    def tell(self, who: str, what: str) -> None: ...
    def seen(self, what: str) -> None: ...
    def wrong(self, kind: str, what: str) -> None: ...
    def committed(self, commit: Commit) -> None: ...
    def fell(self) -> None: ...


class _Counting:
    """A meter that counts into what was seen."""

    def __init__(self, world: World) -> None:
        self._seen = world.seen

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        self._seen(" ".join([name, *(value for key, value in sorted(labels.items()) if key not in ("page", "source"))]))

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...
    def show(self, name: str, value: float, **labels: str) -> None: ...
    def watch(self, *asked: object) -> None: ...

    exposition = None


class _Page(IncidentIo):
    """The provider; notes for whom a write leaves."""

    def send(self, action: Action, request: Request) -> Outcome:
        Task.current().writing = action
        return super().send(action, request)


@dataclass(eq=False)
class Interruption:
    """Something that happens when a worker has come to so many more points, or to a named one."""

    calls: int
    happens: Callable[[], None]
    named: str = ""

    def comes(self, point: str) -> bool:
        """Come to a point; say whether this is the one."""
        self.calls -= self.named in ("", point)
        return self.calls <= 0


class Node:
    """
    Args:
        restlessness: Probability that a task loses its turn at a call of the ledger.
        deaf: Probability that a bell is not heard, and only the next look finds the work.
    """

    starting: ClassVar[Node]
    """The one that is being put together."""

    def __init__(
        self,
        kernel: Kernel,
        plan: Plan,
        store: Store,
        network: Network,
        world: World,
        *,
        restlessness: float,
        deaf: float,
    ) -> None:
        self.kernel = kernel
        self.plan = plan
        self.network = network
        self.world = world
        self.deaf = deaf
        self.offset = timedelta()
        self.up = False
        self.ledger: Any = None
        self.interruptions: list[Interruption] = []
        self.disk_full = False
        self.gate = Gate()
        self.point = ""
        self._store = store
        self._restlessness = restlessness
        self._tasks: list[Task] = []

    def clock(self) -> datetime:
        """Give the time that the worker's machine shows."""
        return self.kernel.now + self.offset

    # -- life

    def start(self) -> None:
        """Start, with an empty memory."""
        Node.starting = self
        self.up, self.disk_full = True, False
        self.interruptions.clear()
        self.gate = Gate()
        self._tasks = []
        self.deliver_at = Alarm(self, self._ring_deliver)
        self.worker = real.Worker(
            SETTINGS,
            environ=ENVIRON,
            clock=self.clock,
            monotonic=lambda: self.kernel.seconds,
            checkpoint=self.passing,
            load=lambda: self.plan.rules,
        )
        for directory in self.worker._force.directories.values():
            directory._lock = TaskLock(self.kernel)  # type: ignore[assignment]
        for loop in (*self.worker._loops, self.worker._alarm):
            loop.start()

    def opened(self, *_: object, **__: object) -> Port:
        """Open the ledger."""
        self.ledger = self._store.open(self.clock)
        return Port(self.ledger, self)

    def crash(self) -> None:
        """Die where it stands; not to be called by a task of its own."""
        self.world.tell("worker", "killed")
        self.up = False
        for task in self._tasks:
            task.kill()
        self._store.close()
        self.world.fell()

    def spawn(self, name: str, body: Callable[[], object]) -> None:
        """Start a task of this process."""
        self._tasks.append(Task(self.kernel, name, body, self.gate))

    def passing(self, point: str) -> None:
        """A task comes to a point where its turn, or the process, may end."""
        due_now = [each for each in self.interruptions if each.comes(point)]
        self.interruptions = [each for each in self.interruptions if each not in due_now]
        for due in due_now:
            self.point = point
            due.happens()
            self.kernel.sleep(0)
        if self._restlessness and self.kernel.chance.random() < self._restlessness:
            self.kernel.sleep(self.kernel.chance.choice([0.001, 0.01, 0.1, 2.0]))

    def interrupt(self, calls: int, happens: Callable[[], None], named: str = "") -> None:
        """Let something happen at the so-manieth point from now (of that name), in the midst of what is done there."""
        self.interruptions.append(Interruption(calls, happens, named))

    def die(self) -> None:
        """Die at the point that was come to; only as an interruption."""
        self.world.seen(f"killed at {self.point}")
        self.kernel.at(self.kernel.now, self.crash)
        Task.current().suspend()

    def look(self) -> None:
        """Everybody looks for work, as they do every two seconds."""
        for loop in (*self.worker._loops, self.worker._alarm):
            loop.ring()  # type: ignore[union-attr]

    def _ring_deliver(self) -> None:
        ring_some(self.worker._delivering, self.kernel.chance.choice([1, 1, 3]))

    # -- what is asked of it

    def command(self, command: Command, then: Callable[[Done], None]) -> None:
        """A person asks something, in a task of its own."""

        def run() -> None:
            try:
                done = self.worker.app["run"](command)
            except WorkerError as refused:
                self.world.tell("command", f"{command}: {type(refused).__name__}: {refused}")
                return
            self.world.tell("command", f"{command}: {'; '.join(done.said)}")
            then(done)

        self.spawn("command", run)

    def receive(self, source: str, body: bytes, headers: Mapping[str, str], stored: Callable[[], None]) -> bool:
        """
        Take a request, in a task of the sender's.

        Args:
            stored: Called where it is stored, whatever the sender gets to know.

        Returns:
            Whether the sender is answered 2xx.
        """
        if not self.up:
            return False
        waiting = Task.current()
        answers: list[bool] = []
        go_on = waiting.resumption()
        given_up = self.kernel.after(10, go_on)
        intake, ring = self.worker._hooks._intake, self.worker._reacting.ring

        def serve() -> None:
            def done(recorded: Recorded | Exception) -> None:
                if isinstance(recorded, Recorded):
                    stored()
                    intake.receipt(entry, recorded)
                answers.append(isinstance(recorded, Recorded))

            try:
                inbound = Inbound(source=source, body=body, headers=headers, received_at=self.clock())
                entry = intake.understood(inbound)
                intake.record(entry, done)
            except WorkerError:
                answers.append(False)
            ring()
            go_on()

        self.spawn("intake", serve)
        waiting.suspend()
        given_up.off = True
        return bool(answers and answers[0])


@contextmanager
def simulated() -> Iterator[None]:
    """Let workers that are made in the block live in virtual time."""

    def clients(*_: object) -> Mapping[str, IncidentIo]:
        node = Node.starting
        config = node.plan.rules.pages["main"]
        return {"main": _Page(config, ENVIRON["KEY"], node.clock, http=node.network.http)}

    parts: dict[str, Any] = {
        "Loop": lambda name, step, poll: SimLoop(Node.starting, name, step, poll),
        "AlarmClock": lambda wake, every: SimAlarmClock(Node.starting, wake, every),
        "Courtesy": lambda step, arrived: partial(step, 64),
        "PrometheusMeter": lambda: _Counting(Node.starting.world),
        "make_app": lambda *hooks, **parts: parts,
        "open_ledger": lambda *args, **kwargs: Node.starting.opened(),
    }
    config = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with mock.patch.multiple(real, **parts), mock.patch.object(in_force, "providers", clients):
            yield
    finally:
        structlog.configure(**config)
