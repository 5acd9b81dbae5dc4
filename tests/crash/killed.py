"""
A worker that kills itself with SIGKILL when it comes to a named point for the n-th time.

``python -m tests.crash.killed RULES LEDGER POINT N``; the point "" kills nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from worker.bootstrap.server import serve
from worker.bootstrap.worker import Worker
from worker.ledger import Ledger
from worker.ports import Commit, Entry, Recorded
from worker.settings import Settings
from worker.steps import deliver
from worker.telemetry import set_up_logs

POINTS = (
    "before_store",
    "after_store",
    "before_commit",
    "after_commit",
    "claimed",
    "before_intent",
    "after_intent",
    "after_send",
    "after_confirm",
)


class Killer:
    """Counts visits to a point, and ends the process at the n-th."""

    def __init__(self, point: str, visits: int) -> None:
        self.point, self.left = point, visits

    def __call__(self, point: str) -> None:
        """Come to a point."""
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def armed(ledger: type[Ledger], at: Killer) -> None:
    """Put the points of intake and commits around the ledger's methods."""
    record, commit = ledger.record, ledger.commit

    def recorded(self: Ledger, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        def after(result: Recorded | Exception) -> None:
            at("after_store")
            done(result)

        at("before_store")
        record(self, entry, after)

    def committed(self: Ledger, rows: Commit) -> None:
        at("before_commit")
        commit(self, rows)
        at("after_commit")

    ledger.record, ledger.commit = recorded, committed  # type: ignore[method-assign]


def main() -> None:
    """Serve until killed."""
    rules, ledger, point, visits = sys.argv[1:5]
    # A shorter deadline, so that a read-back is believed in seconds: the protocol stays the same.
    deliver.DEADLINE, deliver.BETWEEN_READS = timedelta(seconds=1), timedelta(seconds=1)
    set_up_logs("console", "warning")
    killer = Killer(point, int(visits))
    armed(Ledger, killer)
    settings = Settings(rules=Path(rules), ledger=f"sqlite:///{ledger}", port=0, poll=0.2)
    worker = Worker(settings, environ=os.environ, checkpoint=killer)
    serve(worker, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
