"""
Commits entries to a ledger, and says so: ``python -m tests.powercut.writes FILE MODE COUNT``.

What stands on standard output was acknowledged: it must be there whatever happens next.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime

from worker.core.model import Inbound
from worker.ledger import open_ledger, sqlite
from worker.ports import Entry, Recorded

START = datetime(2026, 11, 24, tzinfo=UTC)
AT_ONCE = 4


def entry(number: int) -> Entry:
    """Make one of a kilobyte."""
    inbound = Inbound(source="alerts", body=b"%d " % number + b"x" * 1000, headers={}, received_at=START)
    return Entry(inbound=inbound, delivery=f"d{number}", statements=1)


def main(path: str, mode: str, count: int) -> None:
    """Write *count* entries, a few at a time."""
    pragmas = (pragma for pragma in sqlite._WRITER_PRAGMAS if not pragma.startswith("synchronous"))
    sqlite._WRITER_PRAGMAS = (*pragmas, f"synchronous={mode}", "wal_autocheckpoint=40")
    ledger = open_ledger(f"sqlite:///{path}", clock=lambda: START)
    room = threading.Semaphore(AT_ONCE)

    def told(number: int, result: Recorded | Exception) -> None:
        assert isinstance(result, Recorded), result
        os.write(1, b"ACK %d\n" % number)
        room.release()

    for number in range(count):
        room.acquire()
        ledger.record(entry(number), lambda result, number=number: told(number, result))  # type: ignore[misc]
    for _ in range(AT_ONCE):
        room.acquire()
    os._exit(0)  # no clean end: that would write the log back


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
