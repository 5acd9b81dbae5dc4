"""
The version of the tables: read, checked, brought up to date.

Every migration is one transaction, so that a crash leaves the old tables or the new ones, never something between.
Alembic is imported only when there is something to do. This file may not know what the tables hold.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table, text

from worker.errors import ConfigError
from worker.ledger.tables import Row

NEWEST = 1
"""The version that this program writes: the newest file in ``migrations/versions``."""

VERSION_TABLE = "ledger_version"

_LOCK = 0x6C656467  # any number that is ours alone: "ledg"


def stored_version(connection: Connection, where: str) -> int:
    """
    Give the version of the tables; 0: there are none.

    Args:
        where: The ledger as the person knows it, for error texts.

    Raises:
        ConfigError: The tables are newer than this program, or somebody else's.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        # A SQLite file is ours alone; in a PostgreSQL schema others may live, under other names.
        strangers = tables if connection.dialect.name == "sqlite" else tables & Row.metadata.tables.keys()
        if strangers:
            raise ConfigError(
                f"{where}: this database holds the tables of another program ({', '.join(sorted(strangers)[:3])}); "
                "give the ledger a database of its own"
            )
        return 0
    version = int(connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE))) or 0)
    if version > NEWEST:
        raise ConfigError(
            f"{where}: the ledger has schema {version}, this program knows schemas up to {NEWEST}; "
            "run the newer release again that wrote it, or restore a backup from before the upgrade"
        )
    return version


def check_readable(connection: Connection, where: str) -> None:
    """
    Make sure that the tables are of this version, for a ledger that may not be changed.

    Raises:
        ConfigError: They are not.
    """
    version = stored_version(connection, where)
    if version < NEWEST:
        raise ConfigError(
            f"{where}: the ledger has schema {version}, this program reads schema {NEWEST}; start the worker on it once"
        )


def migrate(connection: Connection, where: str) -> None:
    """
    Bring the tables up to date, one transaction for each version.

    Raises:
        ConfigError: The tables are newer than this program, or somebody else's.
    """
    while True:
        with connection.begin():
            if connection.dialect.name == "postgresql":  # two workers may start at once
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            if stored_version(connection, where) == NEWEST:
                return
            _upgrade_by_one(connection)


def _upgrade_by_one(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "+1")
