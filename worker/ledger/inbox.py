"""
The inbox: inbounds from receipt until they were reacted to.

An entry is inserted first and looked for afterwards: only the unique (source, delivery) decides what is a repeat.
This file may not know what an inbound says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Text, func, select, text, type_coerce
from sqlalchemy.dialects import sqlite

from worker.core.model import Inbound
from worker.ledger.columns import handle
from worker.ledger.database import Part
from worker.ledger.rows import PENDING, inbound_of, inbound_values
from worker.ledger.statements import Values, insert_new, one_of, run_many
from worker.ledger.tables import INBOUND
from worker.ports import Entry, Recorded

_INSERT = insert_new(INBOUND, ["source", "delivery"])


class Inbox(Part):
    """Implements ``ports.Inbox``."""

    def record(self, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        """Queue an entry; *done* is called once it is on disk, or failed, from the writer's thread."""
        self._database.record(entry, done)

    def pending(self, limit: int) -> Sequence[Inbound]:
        """Give the oldest inbounds that wait for react, at most *limit*, in order of receipt."""
        query = select(INBOUND).where(INBOUND.c.state == PENDING).order_by(INBOUND.c.seq).limit(limit)
        with self._database.read() as connection:
            found = [inbound_of(row) for row in connection.execute(query)]
        if len(found) < limit:
            self._database.backlog.recounted(len(found))
        return found


def count_pending(connection: Connection) -> int:
    """Count the inbounds that wait for react."""
    return connection.scalar(select(func.count()).where(INBOUND.c.state == PENDING)) or 0


class SqliteRecorder:
    """Inserts entries and numbers them; nobody else does, so the next number is known."""

    def __init__(self, connection: Connection) -> None:
        last = connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'inbound'"))
        self._next = (last or 0) + 1

    def __call__(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Recorded]:
        """Insert *entries* in their order; tell the place of each, or of the one that it repeats."""
        seqs = range(self._next, self._next + len(entries))
        self._next = seqs.stop  # also where this is rolled back: a gap is harmless, a number given twice is not
        return _insert(connection, entries, seqs, _write_some)


class PostgresRecorder:
    """Inserts entries; the database numbers them."""

    def __call__(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Recorded]:
        """Insert *entries* in their order; tell the place of each, or of the one that it repeats."""
        numbers = text("SELECT nextval(pg_get_serial_sequence('inbound', 'seq')) FROM generate_series(1, :count)")
        return _insert(connection, entries, connection.scalars(numbers, {"count": len(entries)}).all(), _write)


def _write(connection: Connection, rows: Sequence[Values]) -> int:
    return run_many(connection, _INSERT, rows)


def _write_some(connection: Connection, rows: Sequence[Values]) -> int:
    """
    Write many rows with one statement.

    The driver lets go of the interpreter at every statement, and then waits for it while the event loop is at work:
    one statement a row made intake wait once a row. Measured with ``make bench``.
    """
    written = 0
    for start in range(0, len(rows), _MOST):
        some = rows[start : start + _MOST]
        values = [bind(row[name]) for row in some for name, bind in _BINDS]
        written += connection.exec_driver_sql(_statement(len(some)), tuple(values)).rowcount
    return written


def _as_it_is(value: Any) -> Any:
    return value


def _binds() -> list[tuple[str, Callable[[Any], Any]]]:
    dialect = sqlite.dialect()
    return [(column.name, column.type.bind_processor(dialect) or _as_it_is) for column in INBOUND.c]


@cache
def _statement(rows: int) -> str:
    names = ", ".join(name for name, _ in _BINDS)
    row = f"({', '.join('?' * len(_BINDS))})"
    return f"INSERT INTO inbound ({names}) VALUES {', '.join([row] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608


_BINDS = _binds()
_MOST = 64


def _insert(
    connection: Connection,
    entries: Sequence[Entry],
    seqs: Sequence[int],
    write: Callable[[Connection, Sequence[Values]], int],
) -> Sequence[Recorded]:
    rows = list(map(inbound_values, entries, seqs))
    if write(connection, rows) == len(rows):
        return [Recorded(seq, duplicate=False) for seq in seqs]
    inserted = _inserted(connection, seqs)
    firsts = _firsts(connection, (entry for entry, seq in zip(entries, seqs, strict=True) if seq not in inserted))
    return [
        Recorded(seq, duplicate=False) if seq in inserted else Recorded(firsts[_name(entry)], duplicate=True)
        for entry, seq in zip(entries, seqs, strict=True)
    ]


def _inserted(connection: Connection, seqs: Sequence[int]) -> set[int]:
    return set(connection.scalars(select(INBOUND.c.seq).where(INBOUND.c.seq.in_(list(seqs)))))


def _firsts(connection: Connection, entries: Iterable[Entry]) -> dict[tuple[str, str], int]:
    names = {(entry.inbound.source, entry.delivery or "") for entry in entries}
    stored = type_coerce(INBOUND.c.delivery, Text).label("stored")
    query = select(INBOUND.c.source, stored, INBOUND.c.seq).where(one_of(INBOUND.c.source, INBOUND.c.delivery, names))
    return {(row.source, row.stored): row.seq for row in connection.execute(query)}


def _name(entry: Entry) -> tuple[str, str]:
    return entry.inbound.source, handle(entry.delivery or "")
