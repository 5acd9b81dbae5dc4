"""
A copy of a SQLite ledger by SQLite's own backup, while a worker may be writing; looked at before it counts.

The file is never copied, nor opened by anything but SQLite: closing a handle of it would drop SQLite's locks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from worker.errors import ConfigError, LedgerUnavailable
from worker.ledger.database import parse_url
from worker.ledger.marks import COPIED
from worker.ledger.schema import VERSION_TABLE

_BUSY_SECONDS = 5
_COUNTED = ("inbound", "episode", "maintenance", "action")


def back_up(url: str, target: Path, now: datetime) -> Mapping[str, int]:
    """
    Copy a ledger as it is at one moment.

    Args:
        url: As for ``open_ledger``.
        target: A file that does not exist yet; mode 0600. It is there whole, or not at all.
        now: Written into the copy, so that a worker knows it as one.

    Returns:
        How many rows the copy has, by table.

    Raises:
        ConfigError: There is no ledger to copy, or it is no file; or the copy cannot be made there.
        LedgerUnavailable: It could not be copied now, or the copy is not sound.
    """
    address = parse_url(url)
    if address.drivername != "sqlite":
        raise ConfigError("a ledger in PostgreSQL is backed up with pg_dump, or with what its server offers")
    source = Path(os.path.realpath(str(address.database)))
    if not source.is_file():
        raise ConfigError(f"{source}: there is no such ledger")
    if target.exists():
        raise ConfigError(f"{target}: exists already; a backup overwrites nothing")
    _check_is_ledger(source)
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error
    try:
        counts = _copied(source, unfinished, now)
        _synced(unfinished)
        os.link(unfinished, target)  # unlike a rename, it replaces nothing
        _synced(target.parent)
    except FileExistsError:
        raise ConfigError(f"{target}: exists already; a backup overwrites nothing") from None
    except (sqlite3.Error, OSError) as error:
        raise LedgerUnavailable(f"{source}: could not be copied to {target}: {error}") from error
    finally:
        for left in ("", "-journal", "-wal", "-shm"):
            Path(f"{unfinished}{left}").unlink(missing_ok=True)
    return counts


def _check_is_ledger(source: Path) -> None:
    try:
        with closing(_opened(source, "ro")) as live:
            live.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608  (a constant)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise ConfigError(f"{source}: is no ledger: {error}") from error
        raise LedgerUnavailable(f"{source}: cannot be read now: {error}") from error


def _copied(source: Path, copy: Path, now: datetime) -> Mapping[str, int]:
    with closing(_opened(source, "ro")) as live, closing(_opened(copy, "rw")) as made:
        live.backup(made)  # in one go: one moment of the ledger, and writers go on meanwhile
        made.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        with made:
            made.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (COPIED, f"{now.isoformat()}"))
        return _looked_at(made, source)


def _looked_at(made: sqlite3.Connection, source: Path) -> Mapping[str, int]:
    found = [row[0] for row in made.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise LedgerUnavailable(f"{source}: its copy is damaged: {'; '.join(map(str, found))}")
    if made.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise LedgerUnavailable(f"{source}: its copy has rows that belong to nothing")
    return {name: made.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _COUNTED}  # noqa: S608


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=_BUSY_SECONDS)


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
