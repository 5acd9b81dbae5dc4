"""The writer groups what others submit, answers when it is on disk, and survives what a disk can do."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError

from tests.fakes.ledger_rows import entry
from worker.errors import Conflict, LedgerUnavailable, Overloaded
from worker.ledger.backlog import Backlog, Limits
from worker.ledger.faults import LedgerBroken
from worker.ledger.writer import LARGEST_GROUP, Writer
from worker.ports import Entry, Recorded

ROOMY = Limits(queued=1000, pending=1000)


class Desk:
    """A writer over one small table, whose commits can be counted, held up, and made to fail."""

    def __init__(self, path: Path, limits: Limits = ROOMY) -> None:
        self.path = path
        self.commits = 0
        self.fatal: list[Exception] = []
        self.on_commit: Callable[[], None] = lambda: None
        self._engine = self._make_engine()
        self._connection = self._engine.connect()
        with self._connection.begin():
            self._connection.exec_driver_sql("CREATE TABLE kept (word TEXT NOT NULL)")
        self.writer = Writer(self._begin, self._insert, Backlog(limits), self.fatal.append)

    def _make_engine(self) -> Engine:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self._connection.begin():
            yield self._connection
            self.on_commit()
        self.commits += 1

    def _insert(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Recorded]:
        for each in entries:
            if each.inbound.body == b"poison":
                raise ValueError("poison")
            keep(each.inbound.body.decode())(connection)
        return [Recorded(seq, duplicate=False) for seq, _ in enumerate(entries, 1)]

    def kept(self) -> list[str]:
        """Read what is committed, over a connection of its own."""
        connection = sqlite3.connect(self.path)
        try:
            return [word for (word,) in connection.execute("SELECT word FROM kept ORDER BY rowid")]
        finally:
            connection.close()

    def close(self) -> None:
        self.writer.close()
        self._connection.close()
        self._engine.dispose()


def keep(word: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.exec_driver_sql("INSERT INTO kept VALUES (?)", (word,))
        return word

    return work


def refuse(connection: Connection) -> None:
    keep("half done")(connection)
    raise Conflict("somebody was faster")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "kept.db")
    yield desk
    desk.close()


class Together:
    """Submits from many threads while the writer is busy, so that all of it lands in the next group."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._go, self._busy = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.answers: list[Any] = []

    def __enter__(self) -> Together:
        def hold(connection: Connection) -> None:
            self._busy.set()
            assert self._go.wait(10)

        self._start(hold)
        assert self._busy.wait(10)
        return self

    def submit(self, work: Callable[[Connection], Any]) -> None:
        before = self._desk.writer._queue.qsize()
        self._start(work)
        while self._desk.writer._queue.qsize() == before:
            pass

    def record(self, body: bytes) -> None:
        self._desk.writer.record(entry(body=body), self.answers.append)

    def __exit__(self, *exc: object) -> None:
        self._go.set()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[[Connection], Any]) -> None:
        def run() -> None:
            try:
                self.answers.append(self._desk.writer.submit(work))
            except Exception as error:
                self.answers.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)


def test_whatever_was_queued_meanwhile_is_one_commit(desk: Desk) -> None:
    with Together(desk) as together:
        for number in range(20):
            together.submit(keep(str(number)))
            together.record(b"entry")
    assert desk.commits == 2
    assert len(desk.kept()) == 40


def test_a_group_has_an_end(desk: Desk) -> None:
    with Together(desk) as together:
        for _ in range(LARGEST_GROUP + 1):
            together.record(b"entry")
    desk.writer.submit(keep("last"))
    assert desk.commits in (3, 4)
    assert len(desk.kept()) == LARGEST_GROUP + 2


def test_a_conflict_undoes_only_itself(desk: Desk) -> None:
    with Together(desk) as together:
        together.submit(keep("before"))
        together.submit(refuse)
        together.submit(keep("after"))
        together.record(b"entry")
    assert desk.commits == 2
    assert sorted(desk.kept()) == ["after", "before", "entry"]
    assert sum(isinstance(answer, Conflict) for answer in together.answers) == 1


@pytest.mark.parametrize("beside", [[], ["work"]], ids=["nothing but arrivals", "beside other work"])
def test_an_entry_that_cannot_be_stored_does_not_harm_the_others(desk: Desk, beside: list[str]) -> None:
    with Together(desk) as together:
        for body in (b"one", b"poison", b"two"):
            together.record(body)
        for word in beside:
            together.submit(keep(word))
    desk.writer.submit(keep("last"))
    assert desk.kept() == ["one", "two", *beside, "last"]
    of_entries = [type(answer) for answer in together.answers if not isinstance(answer, str | None)]
    assert of_entries == [Recorded, ValueError, Recorded]


def test_nothing_but_arrivals_costs_one_transaction_and_no_savepoint(desk: Desk) -> None:
    seen: list[str] = []
    event.listen(desk._engine, "before_cursor_execute", lambda *of: seen.append(of[2].split()[0]))
    with Together(desk) as together:
        together.record(b"one")
        together.record(b"two")
    desk.writer.submit(keep("last"))
    arrivals = seen[seen.index("RELEASE") + 1 :]
    assert arrivals[:4] == ["BEGIN", "INSERT", "INSERT", "BEGIN"]


def test_an_answer_comes_after_the_commit(desk: Desk) -> None:
    seen: list[list[str]] = []
    desk.writer.record(entry(body=b"entry"), lambda answer: seen.append(desk.kept()))
    assert desk.writer.submit(keep("work")) == "work"
    assert seen == [["entry"]] or seen == [["entry", "work"]]


def test_a_waiter_that_fails_stops_nobody(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def fail(answer: object) -> None:
        raise RuntimeError("a fault of the waiter")

    with caplog.at_level(logging.ERROR):
        desk.writer.record(entry(body=b"one"), fail)
        desk.writer.submit(keep("two"))
    assert desk.kept() == ["one", "two"]
    assert "a waiter of the ledger failed" in caplog.text


def test_closing_commits_what_is_queued_and_then_refuses(desk: Desk) -> None:
    answers: list[object] = []
    for _ in range(2 * LARGEST_GROUP):
        desk.writer.record(entry(body=b"x"), answers.append)
    desk.writer.close()
    assert len(answers) == len(desk.kept()) == 2 * LARGEST_GROUP
    with pytest.raises(LedgerUnavailable, match="closed"):
        desk.writer.submit(keep("late"))
    with pytest.raises(LedgerUnavailable, match="closed"):
        desk.writer.record(entry(), answers.append)
    desk.writer.close()


def disk_error(code: int) -> OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return OperationalError("COMMIT", None, error)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY])
def test_a_commit_that_fails_is_answered_whole_and_the_next_one_is_tried(desk: Desk, code: int) -> None:
    def fail() -> None:
        raise disk_error(code)

    desk.on_commit = fail
    with Together(desk) as together:
        together.submit(keep("one"))
        together.record(b"two")
    assert [type(answer) for answer in together.answers] == [LedgerUnavailable] * 3
    assert desk.kept() == []
    desk.on_commit = lambda: None
    desk.writer.submit(keep("again"))
    assert desk.kept() == ["again"]
    assert desk.fatal == []


@pytest.mark.parametrize("works", [0, 1], ids=["nothing but arrivals", "beside other work"])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_CORRUPT])
def test_after_a_failed_sync_nothing_is_tried_again(desk: Desk, code: int, works: int) -> None:
    tries = []

    def fail() -> None:
        if desk.commits:  # what holds the others up succeeds
            tries.append(1)
            raise disk_error(code)

    desk.on_commit = fail
    with Together(desk) as together:
        for _ in range(works):
            together.submit(keep("one"))
        together.record(b"two")
    while not desk.fatal:
        pass
    for _ in range(3):
        with pytest.raises(LedgerUnavailable, match="broken"):
            desk.writer.submit(keep("more"))
        with pytest.raises(LedgerUnavailable, match="broken"):
            desk.writer.record(entry(), together.answers.append)
    desk.writer.close()
    assert len(tries) == 1
    assert [type(answer) for answer in together.answers if answer is not None] == [LedgerBroken] * (works + 1)
    assert [type(error) for error in desk.fatal] == [LedgerBroken]


def test_a_rollback_that_fails_hides_no_broken_sync(desk: Desk) -> None:
    def fail() -> None:
        try:
            raise disk_error(sqlite3.SQLITE_IOERR_FSYNC)
        finally:
            raise disk_error(sqlite3.SQLITE_IOERR)

    desk.on_commit = fail
    with pytest.raises(LedgerBroken):
        desk.writer.submit(keep("one"))


@pytest.mark.parametrize(
    "limits",
    [Limits(queued=3, pending=1000), Limits(queued=1000, pending=3), Limits(queued=9, pending=9, queued_bytes=30)],
    ids=["entries in memory", "inbounds in all", "bytes in memory"],
)
def test_what_is_queued_is_bounded_until_it_is_committed(tmp_path: Path, limits: Limits) -> None:
    desk = Desk(tmp_path / "kept.db", limits)
    with Together(desk) as together:
        for _ in range(3):
            together.record(b"ten bytes.")
        with pytest.raises(Overloaded):
            together.record(b"x")
    desk.writer.submit(keep("x"))
    if limits.pending > 3:
        together.record(b"x")
    else:
        with pytest.raises(Overloaded):
            together.record(b"x")
    desk.close()


def test_a_failed_entry_does_not_count_as_pending(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "kept.db", Limits(queued=9, pending=1))
    answers: list[object] = []
    for body in (b"poison", b"poison", b"good"):
        desk.writer.record(entry(body=body), answers.append)
        desk.writer.submit(keep("x"))
    assert [type(answer) for answer in answers] == [ValueError, ValueError, Recorded]
    with pytest.raises(Overloaded):
        desk.writer.record(entry(), answers.append)
    desk.close()
