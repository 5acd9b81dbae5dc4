"""
Workers that kill themselves with SIGKILL when they come to a named point for the n-th time.

``python -m tests.crash.killed RULES LEDGER`` imports everything once, and forks a worker for each line ``POINT N`` that
it reads, one after the other; the point ``-`` kills nothing. It prints the number of its process, where it listens, and
when it has ended. Their time runs ``SPEED`` times as fast as ours: a page is waited for as long as always, so nothing
of the protocol is changed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn.lifespan.on
import uvicorn.loops.uvloop
import uvicorn.protocols.http.httptools_impl  # noqa: F401  (with what else is only imported when it is needed)

import worker.providers.incident_io
import worker.sources  # noqa: F401
from worker.bootstrap.server import serve
from worker.bootstrap.worker import Worker
from worker.ledger import Ledger
from worker.ports import Commit, Entry, Recorded
from worker.settings import Settings
from worker.telemetry import set_up_logs

SPEED = 20
BEGINNING = datetime(2026, 11, 23, tzinfo=UTC)

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


def seconds() -> float:
    """Give the seconds since the machine has started, in fast time; every process has the same."""
    return time.monotonic() * SPEED


def clock() -> datetime:
    """Give the time, which all share: worker, page and senders."""
    return BEGINNING + timedelta(seconds=seconds())


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


def serve_until_killed(rules: Path, ledger: Path, point: str, visits: int) -> None:
    """Be one worker."""
    set_up_logs("console", "warning")
    killer = Killer(point, visits)
    armed(Ledger, killer)
    settings = Settings(rules=rules, ledger=f"sqlite:///{ledger}", port=0, poll=0.2)
    worker = Worker(settings, environ=os.environ, clock=clock, monotonic=seconds, checkpoint=killer)
    serve(worker, lambda url: print(url, flush=True))


def main() -> None:
    """Fork one worker after the other."""
    rules, ledger = map(Path, sys.argv[1:3])
    for line in sys.stdin:
        point, visits = line.split()
        pid = os.fork()
        if not pid:
            serve_until_killed(rules, ledger, point, int(visits))
            os._exit(0)
        print(f"pid {pid}", flush=True)
        os.waitpid(pid, 0)
        print(f"ended {pid}", flush=True)


if __name__ == "__main__":
    main()
