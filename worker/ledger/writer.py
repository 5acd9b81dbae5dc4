"""
The one thread that writes: it gathers what all others submit and commits it in groups.

A group is whatever was queued while the last commit ran: nothing waits on purpose. Each piece of work stands in a
savepoint of its own, so that a Conflict undoes only itself. Waiters are called once the group is on disk.
This file may not know tables.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from worker.errors import LedgerUnavailable, Overloaded
from worker.ledger.backlog import Backlog
from worker.ledger.faults import LedgerBroken, fault
from worker.ports import Entry, Recorded

T = TypeVar("T")

Work = Callable[[Connection], Any]


class Insert(Protocol):
    """Inserts entries, in their order, and tells the place of each."""

    def __call__(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Recorded]: ...


Begin = Callable[[], AbstractContextManager[Connection]]
Done = Callable[[Recorded | Exception], None]
OnFatal = Callable[[Exception], None]

LARGEST_GROUP = 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Step:
    work: Work
    done: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class _Arrival:
    entry: Entry
    done: Done


_Item = _Step | _Arrival


class Writer:
    """
    Commits what others submit, from a thread of its own.

    Args:
        begin: Opens a transaction that is committed, to disk, when its block ends.
        insert: Inserts inbox entries and tells their places.
        backlog: What waits.
        on_fatal: Called once, from the writer's thread, when the ledger can be trusted no more.
    """

    def __init__(self, begin: Begin, insert: Insert, backlog: Backlog, on_fatal: OnFatal) -> None:
        self._begin = begin
        self._insert = insert
        self._backlog = backlog
        self._on_fatal = on_fatal
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._refusal = ""
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T]) -> T:
        """
        Do *work* in a transaction; return what it returns once that is on disk. Not to be called by a waiter.

        Raises:
            LedgerUnavailable: Nothing of it was stored; only after a failed sync nobody knows.
            Exception: Whatever *work* raised; nothing of it was stored.
        """
        future: Future[T] = Future()

        def done(answer: Any) -> None:
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        with self._gate:
            self._check_open()
            self._queue.put(_Step(work, done))
        return future.result()

    def record(self, entry: Entry, done: Done) -> None:
        """
        Queue an entry; *done* is called from the writer's thread once it is on disk, or failed.

        Raises:
            Overloaded: Too much waits.
            LedgerUnavailable: The ledger is closed or broken.
        """
        with self._gate:
            self._check_open()
            if not self._backlog.admit(len(entry.inbound.body)):
                raise Overloaded("too many inbounds wait")
            self._queue.put(_Arrival(entry, done))

    def close(self) -> None:
        """Commit what is queued, then stop."""
        with self._gate:
            if not self._refusal:
                self._refusal = "the ledger is closed"
                self._queue.put(None)
        self._thread.join()

    def _check_open(self) -> None:
        # Called behind the gate, so that nothing can be queued behind the end.
        if self._refusal:
            raise LedgerUnavailable(self._refusal)

    def _run(self) -> None:
        ended = False
        while not ended:
            group = [self._queue.get()]
            while len(group) < LARGEST_GROUP and not self._queue.empty():
                group.append(self._queue.get())
            ended = group[-1] is None  # nothing is queued behind it
            if work := [item for item in group if item is not None]:
                self._settle(work)

    def _settle(self, group: Sequence[_Item]) -> None:
        failure: LedgerUnavailable | None = None
        try:
            answers = self._commit(group)
        except Exception as error:
            failure = _failure(error)
            answers = [failure] * len(group)
        for item, answer in zip(group, answers, strict=True):
            if isinstance(item, _Arrival):
                self._backlog.left_queue(len(item.entry.inbound.body))
            _call(item.done, answer)
        if isinstance(failure, LedgerBroken):
            self.break_off(failure)

    def break_off(self, failure: LedgerBroken) -> None:
        """Refuse everything from now on; tell ``on_fatal`` once."""
        with self._gate:
            first, self._broken = not self._broken, True
            if not self._refusal:
                self._refusal = str(failure)
                self._queue.put(None)
        if first:
            _call(self._on_fatal, failure)

    def _commit(self, group: Sequence[_Item]) -> list[Any]:
        if self._broken:
            raise LedgerBroken(self._refusal)
        entries = [item.entry for item in group if isinstance(item, _Arrival)]
        if len(entries) == len(group):
            recorded: Sequence[Recorded | Exception] = self._record_alone(entries)
            answers: list[Any] = list(recorded)
        else:
            with self._begin() as connection:
                recorded = self._record(connection, entries)
                places = iter(recorded)
                answers = [_attempt(connection, i.work) if isinstance(i, _Step) else next(places) for i in group]
        self._backlog.pends(sum(map(_waits, entries, recorded)))
        return answers

    def _record_alone(self, entries: Sequence[Entry]) -> Sequence[Recorded | Exception]:
        """Record a group of nothing but arrivals: without a savepoint, as nothing else would be undone with them."""
        try:
            with self._begin() as connection:
                return self._insert(connection, entries)
        except Exception as error:
            if isinstance(fault(error), LedgerUnavailable):
                raise
        with self._begin() as connection:
            return self._record_each(connection, entries)

    def _record(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Recorded | Exception]:
        if not entries:
            return ()
        together = _attempt(connection, partial(self._insert, entries=entries))
        return self._record_each(connection, entries) if isinstance(together, Exception) else together

    def _record_each(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Recorded | Exception]:
        """Record one by one: one of them cannot be stored; the others shall not suffer for it."""
        alone = [_attempt(connection, partial(self._insert, entries=[entry])) for entry in entries]
        return [places if isinstance(places, Exception) else places[0] for places in alone]


def _failure(error: Exception) -> LedgerUnavailable:
    failure = fault(error)
    if isinstance(failure, LedgerUnavailable):
        return failure
    _log.error("a group of commits failed", exc_info=error)
    return LedgerUnavailable(f"the ledger failed: {failure}")


def _attempt(connection: Connection, work: Work) -> Any:
    """Do *work* by itself; give its failure as a value, unless the whole transaction is lost with it."""
    connection.exec_driver_sql("SAVEPOINT work")
    try:
        answer = work(connection)
    except Exception as error:
        answer = fault(error)
        if isinstance(answer, LedgerUnavailable):
            raise
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT work")
    connection.exec_driver_sql("RELEASE SAVEPOINT work")
    return answer


def _waits(entry: Entry, place: Recorded | Exception) -> bool:
    return isinstance(place, Recorded) and not place.duplicate and bool(entry.statements or entry.unparsed)


def _call(waiter: Callable[[Any], None], answer: Any) -> None:
    try:
        waiter(answer)
    except Exception:
        _log.exception("a waiter of the ledger failed")
