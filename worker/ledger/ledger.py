"""
The ledger as the rest of the worker knows it: all its ports in one object, opened by URL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import select

from worker.ledger import schema
from worker.ledger.activity import Activity
from worker.ledger.backlog import Limits
from worker.ledger.commits import Commits
from worker.ledger.database import Database, parse_url
from worker.ledger.episodes import Episodes
from worker.ledger.footprints import Footprints
from worker.ledger.inbox import Inbox
from worker.ledger.marks import Marks
from worker.ledger.notices import Notices
from worker.ledger.outbox import Outbox
from worker.ledger.postgres import PostgresDatabase
from worker.ledger.queries import Queries
from worker.ledger.recordings import Recordings
from worker.ledger.retention import Retention
from worker.ledger.sqlite import SqliteDatabase
from worker.ledger.statements import insert_new, run_many
from worker.ledger.switches import Switches
from worker.ledger.tables import META
from worker.ledger.windows import Windows
from worker.ports import Clock


class Ledger(
    Commits,
    Inbox,
    Episodes,
    Windows,
    Outbox,
    Footprints,
    Switches,
    Notices,
    Queries,
    Activity,
    Retention,
    Recordings,
    Marks,
):
    """
    Implements ``Committer``, ``Inbox``, ``Episodes``, ``Windows``, ``Outbox``, ``Footprints``, ``Switches``,
    ``Notices``, ``Queries``, ``Retention`` and ``Recordings``; and ``Marks``, for whoever starts a worker on it.

    Every method may be called from any thread, is one transaction, and raises LedgerUnavailable where the database
    cannot be used now.
    """

    schema_version = schema.NEWEST

    def describe(self) -> Mapping[str, str]:
        """
        Give facts about the ledger, for people; free of secrets.

        Raises:
            ConfigError: Its file is corrupt.
        """
        facts = self._database.facts()
        with self._database.read() as connection:
            meta = {row.name: row.value for row in connection.execute(select(META))}
        return {**facts, "schema": str(self.schema_version), **meta}

    def close(self) -> None:
        """Commit what is queued, then let go of the database."""
        self._database.close()


def open_ledger(
    url: str,
    *,
    clock: Clock,
    on_fatal: Callable[[Exception], None] = lambda error: None,
    read_only: bool = False,
    patience: float = 0,
    most_queued: int = 20_000,
    most_pending: int = 100_000,
) -> Ledger:
    """
    Open a ledger, make it where there is none, bring its tables up to date.

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``.
        clock: Dates a new ledger.
        on_fatal: Called once, from another thread, when a sync failed or the file is corrupt: the ledger refuses
            everything from then on, and the process must end.
        read_only: Neither lock nor change anything; a worker may be running on it.
        patience: Seconds to wait for another process that holds the file.
        most_queued: How many inbox entries may wait for the disk before more are refused.
        most_pending: How many inbounds may wait for react before more are refused.

    Raises:
        ConfigError: There cannot be a ledger, or its tables are newer than this program.
        LedgerLocked: Another process writes this file.
        LedgerUnavailable: The database server cannot be reached.
    """
    address = parse_url(url)
    limits = Limits(queued=most_queued, pending=most_pending)
    database: Database
    if address.drivername == "sqlite":
        database = SqliteDatabase(
            str(address.database), limits=limits, on_fatal=on_fatal, read_only=read_only, patience=patience
        )
    else:
        database = PostgresDatabase(address, limits=limits, on_fatal=on_fatal, read_only=read_only)
    ledger = Ledger(database)
    if read_only:
        return ledger
    try:
        born = {"name": "created_at", "value": clock().isoformat()}
        database.write(lambda connection: run_many(connection, insert_new(META, ["name"]), [born]))
        if address.drivername == "sqlite":
            ledger.forget_leases()
    except BaseException:
        ledger.close()
        raise
    return ledger
