"""
What a worker has around its steps, for tasks in virtual time: loops, the alarm clock, and the port before the ledger.

Each stands for a part of ``bootstrap.worker`` that has threads or sockets, and behaves as that does.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.sim.kernel import Bell, Due
from worker.core.model import ActionState
from worker.errors import LedgerUnavailable, WorkerError
from worker.ports import Commit
from worker.scheduler import REST_AFTER_FAULT_S

if TYPE_CHECKING:
    from tests.sim.node import Node

SELDOM = 30.0
POLL = 600.0
"""So rarely, as polling costs much; what polling every two seconds mends, ``Alarm`` imitates."""

WRITES = frozenset({"commit", "record", "claim", "release"})


class SimLoop:
    """As ``scheduler.Loop``."""

    def __init__(self, node: Node, name: str, step: Callable[[], object], poll: float) -> None:
        self.name = name
        self.idle = False
        self.alive = True
        self._node = node
        self._step = step
        self._poll = poll if poll >= SELDOM else POLL
        self._bell = Bell(node.kernel)
        self._alarm = Alarm(node, self._bell.ring)

    def start(self) -> None:
        """Begin."""
        self._node.spawn(self.name, self._run)

    def ring(self) -> None:
        """There may be work."""
        self._alarm.set(self._node.clock())

    def _run(self) -> None:
        while True:
            if not self._round():
                self.idle = True
                self._bell.wait(self._poll)
                self.idle = False

    def _round(self) -> object:
        try:
            return self._step()
        except WorkerError as known:
            self._node.world.tell(self.name, f"{type(known).__name__}: {known}")
        except Exception:
            self._node.world.wrong("fault", f"{self.name}: {traceback.format_exc()}")
        self._node.kernel.sleep(REST_AFTER_FAULT_S)
        return False


class SimAlarmClock(SimLoop):
    """As ``scheduler.AlarmClock``."""

    def __init__(self, node: Node, wake: Callable[[], object], every: float) -> None:
        super().__init__(node, "alarm", lambda: wake() and False, every)

    def set(self, at: datetime | None) -> None:
        """Ring at *at* too; an earlier time that is set already stays."""
        self._alarm.set(at)

    def overdue(self, now: datetime) -> bool:
        """It always rings."""
        return False


class Alarm:
    """Rings at the earliest of the times set; not always heard, and then found by looking, up to two seconds later."""

    def __init__(self, node: Node, ring: Callable[[], None]) -> None:
        self._node = node
        self._ring = ring
        self._due = Due(ring)
        self._at: datetime | None = None

    def set(self, at: datetime | None) -> None:
        """Ring at a time of the worker's clock."""
        if at is None or (self._at is not None and self._at <= at):
            return
        self._at = at
        self._due.off = True
        kernel, deaf = self._node.kernel, self._node.deaf
        late = kernel.chance.uniform(0, 2) if deaf and kernel.chance.random() < deaf else 0
        self._due = kernel.at(at - self._node.offset + timedelta(seconds=late), self._rings)

    def _rings(self) -> None:
        self._at = None
        self._ring()


class Port:
    """Stands before the ledger: at each call, something may happen to the worker."""

    def __init__(self, inner: Any, node: Node) -> None:
        self._inner = inner
        self._node = node

    def __getattr__(self, name: str) -> Any:
        call = self._guarded(name)
        setattr(self, name, call)
        return call

    def _guarded(self, name: str) -> Callable[..., Any]:
        node, method, writes = self._node, getattr(self._inner, name), name in WRITES

        def call(*args: Any, **kwargs: Any) -> Any:
            node.passing(name)
            if writes and node.disk_full:
                raise LedgerUnavailable("the disk is full")
            answer = method(*args, **kwargs)
            node.passing(f"{name}, done")
            return answer

        return call

    def commit(self, commit: Commit) -> None:
        """Commit; and look again when what is decided is due."""
        self._guarded("commit")(commit)
        self._node.world.committed(commit)
        for action in commit.actions:
            if action.state in (ActionState.QUEUED, ActionState.UNKNOWN, ActionState.HELD):
                self._node.deliver_at.set(action.not_before)
        if commit.flags:  # they keep everything from a page, or let it go on
            self._node.deliver_at.set(self._node.clock())

    def claim(self, now: datetime, *args: Any) -> Any:
        """Claim; and where there is nothing yet, look again when there may be."""
        claimed = self._guarded("claim")(now, *args)
        if claimed is None:
            due = self._inner.next_due(now)
            self._node.deliver_at.set(due if due != now else None)
        return claimed

    def release(self, action_id: str, not_before: datetime) -> None:
        """Release, and look again when that is due."""
        self._guarded("release")(action_id, not_before)
        self._node.deliver_at.set(not_before)
