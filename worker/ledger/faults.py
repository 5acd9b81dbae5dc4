"""
What a database's error means to the worker: somebody was faster, come back later, stop, or a mistake of ours.

Source of the codes: https://www.sqlite.org/rescode.html and PostgreSQL's Appendix A. This file may not know tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.errors import Conflict, LedgerUnavailable

# A sync that failed may have dropped the pages that it should have written, and the next one may well report success:
# nothing that was not synced can be trusted. A corrupt file must not be written to any more.
_FATAL_EXTENDED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_FATAL_PRIMARY = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_READ_ONLY = "25006"  # read_only_sql_transaction: a standby, or a server that was told to write nothing
_SERIALISATION = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected


class LedgerBroken(LedgerUnavailable):
    """The ledger can be trusted no more; the process must end, and the next start looks at the file."""


def fault(error: Exception) -> Exception:
    """
    Translate a failure of the database.

    Returns:
        Conflict, LedgerBroken or LedgerUnavailable; ValueError for what no repetition can cure; any other exception
        as it is.
    """
    broken = next((e for e in _causes(error) if isinstance(e, sqlite3.Error) and is_fatal(e)), None)
    if broken is not None:
        return LedgerBroken(f"the ledger is broken: {broken}")
    if isinstance(error, PoolTimeout):
        return LedgerUnavailable("every connection to the ledger is in use")
    if not isinstance(error, SQLAlchemyError):
        return error
    text = _first_line(getattr(error, "orig", error))
    if not isinstance(error, DBAPIError):
        return ValueError(f"the ledger cannot store this: {text}")
    state = getattr(error.orig, "sqlstate", None)
    if state in _SERIALISATION:
        return Conflict(text)
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated or state == _READ_ONLY:
        return LedgerUnavailable(f"the ledger cannot be used now: {text}")
    return ValueError(f"the ledger cannot store this: {text}")


def _first_line(error: object) -> str:
    # What follows may quote rows and whole statements.
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # A rollback that fails hides the failure that made it necessary.
    while error is not None:
        yield getattr(error, "orig", error)
        error = error.__cause__ or error.__context__


def is_fatal(error: sqlite3.Error) -> bool:
    """Say whether nothing may be written after this."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _FATAL_EXTENDED or code & 0xFF in _FATAL_PRIMARY


@contextmanager
def faults_told() -> Iterator[None]:
    """Raise what ``fault`` makes of any failure inside."""
    try:
        yield
    except SQLAlchemyError as error:
        raise fault(error) from error
