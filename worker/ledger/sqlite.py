"""
A ledger in one SQLite file: one process writes it, through one connection; readers never write.

WAL with ``synchronous=FULL``: a commit has been synced when it returns. This file may not know what tables hold.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from worker.errors import ConfigError, LedgerUnavailable
from worker.ledger import inbox, schema
from worker.ledger.backlog import Backlog, Limits
from worker.ledger.faults import LedgerBroken, faults_told
from worker.ledger.files import OpenFiles
from worker.ledger.lock import FileLock
from worker.ledger.writer import Done, OnFatal, Writer
from worker.ports import Entry

T = TypeVar("T")

_BUSY_SECONDS = 5
_WAL_BYTES = 64 << 20
_READERS = 16

_PRAGMAS = ("foreign_keys=ON", "temp_store=MEMORY", "cache_size=-4000")
_WRITER_PRAGMAS = (
    "page_size=8192",
    "journal_mode=WAL",
    "synchronous=FULL",
    f"journal_size_limit={_WAL_BYTES}",
    *_PRAGMAS,
)
_READER_PRAGMAS = ("query_only=ON", *_PRAGMAS)

# https://sqlite.org/wal.html#walresetbug: the first release with the fix, and its backports
_WAL_FIXED = (3, 51, 3)
_WAL_BACKPORTS = {(3, 50): 7, (3, 44): 6}


def sqlite_faults(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str | None:
    """Name the known fault of the SQLite library that endangers a ledger; None where there is none."""
    if version >= _WAL_FIXED or version[2] >= _WAL_BACKPORTS.get(version[:2], version[2] + 1):
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} can corrupt a database in WAL mode when several connections reset the "
        "log at once; fixed in 3.51.3, 3.50.7 and 3.44.6. The worker keeps to one writing connection; upgrade anyway"
    )


class SqliteDatabase:
    """
    One open file.

    Args:
        path: The file; made, for its owner alone, where it is missing.
        on_fatal: Called once when the file can be trusted no more.
        read_only: Take no lock and write nothing; a worker may be running.
        patience: Seconds to wait for another process that holds it.

    Raises:
        ConfigError: The file cannot be a ledger.
        LedgerLocked: Another process writes it.
    """

    def __init__(self, path: str, *, limits: Limits, on_fatal: OnFatal, read_only: bool, patience: float = 0) -> None:
        self._path = Path(os.path.realpath(path))
        if self._path.is_dir():
            raise ConfigError(f"{path}: the ledger cannot be opened: it is a directory; name a file in it")
        self.backlog = Backlog(limits)
        if read_only and not self._path.exists():
            raise ConfigError(
                f"{path}: there is no ledger here; name that of your worker with --ledger or STATUSBRIDGE_LEDGER "
                "(`statusbridge run` makes one where there is none)"
            )
        self._files: OpenFiles | None = None
        self._lock: FileLock | None = None
        self._writer: Writer | None = None
        self._connection: Connection | None = None
        self._readers = _engine(self._path, "ro", _READER_PRAGMAS, "BEGIN")
        with _opening(self._path):
            try:
                self._open(read_only, on_fatal, patience)
            except BaseException:
                self.close()
                raise

    def _open(self, read_only: bool, on_fatal: OnFatal, patience: float) -> None:
        if read_only:
            with self._readers.connect() as connection:
                schema.check_readable(connection, str(self._path))
            return
        self._lock = FileLock(self._path, patience)
        _make_private(self._path)
        with self._readers.connect() as connection:  # before the file of another program is switched to WAL
            schema.stored_version(connection, str(self._path))
            _check_pages(connection, self._path)
        self._connection = _engine(self._path, "rw", _WRITER_PRAGMAS, "BEGIN IMMEDIATE").connect()
        schema.migrate(self._connection, str(self._path))
        with self._begin() as connection:
            recorder = inbox.SqliteRecorder(connection)
            self.backlog.recounted(inbox.count_pending(connection))
        self._files = OpenFiles(self._path)
        self._writer = Writer(self._begin, recorder, self.backlog, on_fatal)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        assert self._connection is not None
        with self._connection.begin():
            yield self._connection
        self._check_files()

    def _check_files(self) -> None:
        """Believe nothing that was read from or written to a file that is not there any more."""
        if self._files is not None:
            self._files.check()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See ``Database.read``."""
        try:
            with faults_told(), self._readers.connect() as connection:
                self._check_files()
                yield connection
        except LedgerBroken as failure:
            if self._writer is not None:
                self._writer.break_off(failure)
            raise

    def write(self, work: Callable[[Connection], T]) -> T:
        """See ``Database.write``."""
        return self._writing().submit(work)

    def record(self, entry: Entry, done: Done) -> None:
        """See ``Database.record``."""
        self._writing().record(entry, done)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise LedgerUnavailable("the ledger is closed, or was opened to be read only")
        return self._writer

    @property
    def _mark(self) -> Path:
        return Path(f"{self._path}.mark")

    def doubt(self, mark: str) -> str:
        """A number that goes up stands in the file and beside it: a file that was put back bears an older one."""
        beside = self._mark.read_text("ascii", "replace").strip() if self._mark.exists() else ""
        if not beside:
            return f"{self._mark} is not there: the ledger was put here, or that was deleted" if mark else ""
        if not mark:
            return "it is new, but there was another one here before"
        older = beside.isdecimal() and mark.isdecimal() and int(mark) < int(beside)
        return "it is older than the one that was here before" if older else ""

    def next_mark(self, mark: str) -> str:
        """See ``Database.next_mark``; never below what stands beside."""
        beside = self._mark.read_text("ascii", "replace").strip() if self._mark.exists() else ""
        return str(1 + max(int(each) for each in (mark, beside, "0") if each.isdecimal()))

    def leave_mark(self, mark: str) -> None:
        """See ``Database.leave_mark``."""
        new = Path(f"{self._mark}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{mark}\n")
        new.replace(self._mark)

    def facts(self) -> Mapping[str, str]:
        """
        See ``Database.facts``.

        Raises:
            ConfigError: The file is corrupt.
        """
        with _opening(self._path), self._readers.connect() as connection:
            _check_pages(connection, self._path)
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return {
            "database": f"SQLite {sqlite3.sqlite_version}",
            "file": str(self._path),
            "mode": f"{stat.S_IMODE(self._path.stat().st_mode):04o}",
            "bytes": str(self._path.stat().st_size),
            "journal": str(journal),
            "faults": sqlite_faults() or "",
        }

    def close(self) -> None:
        """See ``Database.close``."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._readers.dispose()
        if self._connection is not None:  # the last to close, so that the log is written back and removed
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _engine(path: Path, mode: str, pragmas: tuple[str, ...], begin: str) -> Engine:
    def connect() -> sqlite3.Connection:
        # Without an isolation level the driver begins no transaction of its own, and DDL stays inside ours.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    pool: Any = {"poolclass": NullPool} if mode == "rw" else {"poolclass": QueuePool, "pool_size": _READERS}
    engine = create_engine("sqlite://", creator=connect, hide_parameters=True, **pool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _check_pages(connection: Connection, path: Path) -> None:
    """
    Look at the form of every page: a ledger that is damaged must not decide what is published.

    Raises:
        ConfigError: The file is corrupt.
    """
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise ConfigError(f"{path}: the ledger is corrupt: {' '.join(str(found).split())}; {_way_out(path)}")


def _make_private(path: Path) -> None:
    """Make the file for its owner alone; SQLite gives its side files the same mode."""
    # Only where it is missing: closing any handle of an open database drops SQLite's locks on it.
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if not os.access(path, os.R_OK | os.W_OK):  # SQLite would open it to read only, and say so at the first write
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


# What another start will not mend, unlike a full disk or a lock that somebody holds for a moment.
_WRONG_FILE = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_AUTH,
    }
)


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: the ledger cannot be opened: {error.strerror}; {_way_out(path)}") from error
    except UnicodeDecodeError as error:  # in the names of tables, or what SQLite says of them
        raise ConfigError(f"{path}: the ledger is corrupt: {error.reason}; {_way_out(path)}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in _WRONG_FILE:
            raise LedgerUnavailable(f"{path}: the ledger cannot be opened now: {error.orig}") from error
        raise ConfigError(f"{path}: the ledger cannot be opened: {error.orig}; {_way_out(path)}") from error


def _way_out(path: Path) -> str:
    if not path.parent.is_dir():
        return f"make the directory first: mkdir -p {path.parent}"
    if not path.exists():
        return f"to make one {path.parent} must be writable for this user"
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        return f"the file and {path.parent} must be readable and writable for this user"
    return "name a file that does not exist yet, or restore a backup; this file was left as it is"
