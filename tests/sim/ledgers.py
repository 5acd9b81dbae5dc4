"""
The ledger of a simulated worker, which outlives it: a real SQLite file, or the one in memory that keeps its contract.

Durability is proven by ``make powercut``; here nothing is synced, and commits run in the thread that asks for them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from tests.sim.kernel import START
from worker.errors import Overloaded
from worker.ledger import open_ledger, sqlite
from worker.ledger.writer import Done, Writer, _Arrival, _Step
from worker.ports import Clock, Entry
from worker.rehearse.memory import MemoryLedger

IN_MEMORY = Path("/dev/shm")


class Store(Protocol):
    """What is left when the worker is gone."""

    def open(self, clock: Clock) -> Any:
        """Give the ledger to a worker that starts."""
        ...

    def close(self) -> None:
        """The worker is gone: roll back what is open, keep what is committed."""
        ...


class _Memory(MemoryLedger):
    """The one in memory; a run is too short for anything to be old, and nobody puts it back."""

    def prune(self, **_: object) -> int:
        return 0

    def mark(self) -> None: ...

    def forget_leases(self) -> None:
        self._leases.clear()


class MemoryStore:
    """See ``rehearse.memory``."""

    def __init__(self) -> None:
        self._ledger = _Memory()

    def open(self, clock: Clock) -> MemoryLedger:
        """See ``Store``."""
        self._ledger.forget_leases()
        return self._ledger

    def close(self) -> None:
        """See ``Store``."""


class SqliteStore:
    """A file, opened as in production but for syncing and the thread of the writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: Any = None

    def open(self, clock: Clock) -> Any:
        """See ``Store``."""
        self._open = open_ledger(f"sqlite:///{self._path}", clock=clock)
        return self._open

    def close(self) -> None:
        """See ``Store``."""
        self._open.close()


class _InlineWriter(Writer):
    """Commits at once, in the thread that submits."""

    def __init__(self, *parts: Any) -> None:
        with mock.patch("threading.Thread"):
            super().__init__(*parts)

    def submit(self, work: Callable[[Any], Any]) -> Any:
        future: Future[Any] = Future()
        self._settle([_Step(work, future.set_result)])
        answer = future.result()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def record(self, entry: Entry, done: Done) -> None:
        if not self._backlog.admit(len(entry.inbound.body)):
            raise Overloaded
        self._settle([_Arrival(entry, done)])


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory, gone at the end."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@contextmanager
def sqlite_files(folder: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Give a maker of fresh ledgers in files of *folder*, one at a time in each process."""
    pragmas = ["synchronous=OFF" if p.startswith("synchronous") else p for p in sqlite._WRITER_PRAGMAS]
    with (
        mock.patch.object(sqlite, "_WRITER_PRAGMAS", tuple(pragmas)),
        mock.patch.object(sqlite, "Writer", _InlineWriter),
    ):
        empty, used = folder / f"empty-{os.getpid()}.db", folder / f"used-{os.getpid()}.db"

        def fresh() -> SqliteStore:
            for side in ("", "-wal", "-shm"):
                Path(f"{used}{side}").unlink(missing_ok=True)
            shutil.copy(empty, used)
            return SqliteStore(used)

        store = SqliteStore(empty)
        store.open(lambda: START)
        store.close()
        yield fresh
