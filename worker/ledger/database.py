"""
What the parts of the ledger need of a database, and which database a URL means.

This file may not know tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from worker.errors import ConfigError
from worker.ledger.backlog import Backlog
from worker.ledger.writer import Done
from worker.ports import Entry

T = TypeVar("T")

_FORMS = "use sqlite:///relative/path, sqlite:////absolute/path or postgresql://user:password@host/database"
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


class Database(Protocol):
    """One open database; every method may be called from any thread."""

    @property
    def backlog(self) -> Backlog: ...

    def read(self) -> AbstractContextManager[Connection]:
        """
        Open a connection that sees one moment of the ledger and cannot write.

        Raises:
            LedgerUnavailable: The database cannot be read now; also raised inside the block.
        """
        ...

    def write(self, work: Callable[[Connection], T]) -> T:
        """
        Do *work* in one transaction; return what it returns once that is on disk.

        Raises:
            LedgerUnavailable: The database cannot be written now, or was opened to be read only.
            Exception: Whatever *work* raised; nothing of it was stored.
        """
        ...

    def record(self, entry: Entry, done: Done) -> None:
        """
        Queue an inbox entry; *done* is called once it is on disk, or failed.

        Raises:
            Overloaded: Too much waits.
            LedgerUnavailable: The database cannot be written now, or was opened to be read only.
        """
        ...

    def doubt(self, mark: str) -> str:
        """Say why these may not be the tables that were written last, which bear *mark*; "" where nothing tells so."""
        ...

    def next_mark(self, mark: str) -> str:
        """Give what the tables are to be marked with after *mark*; "" is none."""
        ...

    def leave_mark(self, mark: str) -> None:
        """
        Keep outside the tables what they are marked with.

        Raises:
            OSError: It cannot be kept.
        """
        ...

    def facts(self) -> Mapping[str, str]:
        """Describe it for people; free of secrets."""
        ...

    def close(self) -> None:
        """Commit what is queued, then let go."""
        ...


class Part:
    """A part of the ledger: methods of one port over the database that all parts share."""

    def __init__(self, database: Database) -> None:
        self._database = database


def parse_url(text: str) -> URL:
    """
    Read the address of a ledger; the driver is made explicit.

    Raises:
        ConfigError: It is of no known form.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigError(f"not the address of a ledger; {_FORMS}") from None
    if url.drivername in _POSTGRES:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite":
        raise ConfigError(f"{url.drivername}: no ledger can be kept there; {_FORMS}")
    if url.host or url.query or url.database in (None, "", ":memory:"):
        raise ConfigError(f"{text}: a SQLite ledger is a file on disk, without options; {_FORMS}")
    return url
