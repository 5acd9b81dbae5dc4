"""
A ledger in PostgreSQL, for more than one worker: commits run as they come, inbox entries are gathered in groups.

This file may not know what tables hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import URL, Connection, create_engine, text

from worker.errors import ConfigError, LedgerUnavailable
from worker.ledger import inbox, schema
from worker.ledger.backlog import Backlog, Limits
from worker.ledger.faults import faults_told
from worker.ledger.writer import Done, OnFatal, Writer
from worker.ports import Entry

T = TypeVar("T")

_WHERE = """
SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || 'meta'::regclass::oid
FROM pg_control_system()
"""

_CONNECTIONS = 16
_CONNECT_SECONDS = 10


class PostgresDatabase:
    """
    One pool of connections.

    Args:
        url: With its driver.
        on_fatal: Never called: the server keeps its own files.
        read_only: Bring no tables up to date, refuse to write.

    Raises:
        ConfigError: The driver is missing, or the database cannot be a ledger.
        LedgerUnavailable: The server cannot be reached, or lets us not in.
    """

    def __init__(self, url: URL, *, limits: Limits, on_fatal: OnFatal, read_only: bool) -> None:
        self._where = url.render_as_string(hide_password=True)
        self.backlog = Backlog(limits)
        self._writer: Writer | None = None
        try:
            self._engine = create_engine(
                url,
                pool_size=_CONNECTIONS,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "statusbridge"},
            )
        except ImportError as error:
            raise ConfigError("a PostgreSQL ledger needs its driver: pip install 'statusbridge[postgres]'") from error
        # One moment for all selects of a read, as SQLite gives it.
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            with faults_told():
                self._open(read_only, on_fatal)
        except BaseException:
            self.close()
            raise

    def _open(self, read_only: bool, on_fatal: OnFatal) -> None:
        with self._engine.connect() as connection:
            if connection.scalar(text("SHOW synchronous_commit")) == "off":
                raise ConfigError(
                    f"{self._where}: synchronous_commit is off, so a crash would lose what was acknowledged; "
                    "switch it on for this role: ALTER ROLE … SET synchronous_commit = on"
                )
            connection.rollback()
            if read_only:
                schema.check_readable(connection, self._where)
                return
            schema.migrate(connection, self._where)
        with self._engine.begin() as connection:
            self.backlog.recounted(inbox.count_pending(connection))
        self._writer = Writer(self._engine.begin, inbox.PostgresRecorder(), self.backlog, on_fatal)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See ``Database.read``."""
        with faults_told(), self._reading.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """See ``Database.write``."""
        self._writing()
        with faults_told(), self._engine.begin() as connection:
            return work(connection)

    def record(self, entry: Entry, done: Done) -> None:
        """See ``Database.record``."""
        self._writing().record(entry, done)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise LedgerUnavailable("the ledger is closed, or was opened to be read only")
        return self._writer

    def doubt(self, mark: str) -> str:
        """A server that was restored or promoted, and tables that were made again, go by other numbers."""
        told = mark and self.next_mark(mark) not in ("", mark)
        return "it is on another server or timeline than before, or was put back" if told else ""

    def next_mark(self, mark: str) -> str:  # noqa: ARG002
        """Name the server, its timeline, and a table itself; "" where we may not ask."""
        try:
            with self.read() as connection:
                return str(connection.scalar(text(_WHERE)))
        except LedgerUnavailable:
            return ""

    def leave_mark(self, mark: str) -> None:
        """The server itself is the witness."""

    def facts(self) -> Mapping[str, str]:
        """See ``Database.facts``."""
        with self.read() as connection:
            version = connection.scalar(text("SHOW server_version"))
            synced = connection.scalar(text("SHOW synchronous_commit"))
        return {"database": f"PostgreSQL {version}", "address": self._where, "synchronous_commit": str(synced)}

    def close(self) -> None:
        """See ``Database.close``."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._engine.dispose()
