"""The tables: what migrations make is what the program expects, on both databases, whatever happens meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from tests.contract.conftest import BORN, Postgres
from tests.fakes.ledger_rows import NOW, signal
from worker.errors import ConfigError
from worker.ledger import Ledger, open_ledger, schema
from worker.ledger.database import parse_url
from worker.ledger.schema import NEWEST, VERSION_TABLE
from worker.ledger.tables import Row
from worker.ports import Commit


class Place:
    """A database without tables, and a way to look into it past the ledger."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, **options: Any) -> Ledger:
        return open_ledger(self.url, clock=lambda: BORN, **options)

    def look(self, ask: Callable[[Connection], Any]) -> Any:
        engine = create_engine(parse_url(self.url))
        try:
            with engine.begin() as connection:
                return ask(connection)
        finally:
            engine.dispose()

    def run(self, statement: str) -> None:
        self.look(lambda connection: connection.execute(text(statement)))

    def tables(self) -> set[str]:
        return set(self.look(lambda connection: inspect(connection).get_table_names()))


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(f"sqlite:///{tmp_path}/new.db")
    return Place(request.getfixturevalue("postgres").empty())


@pytest.fixture
def migrated(place: Place) -> Place:
    place.open().close()
    return place


def test_migrations_make_what_the_program_expects(migrated: Place) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Row.metadata))

    assert migrated.look(differences) == []


def test_tables_made_by_migrations_have_every_column_as_expected(migrated: Place) -> None:
    def columns(connection: Connection) -> dict[str, dict[str, bool]]:
        inspector = inspect(connection)
        return {
            name: {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
            for name in Row.metadata.tables
        }

    expected = {
        name: {str(column.name): bool(column.nullable) for column in table.columns}
        for name, table in Row.metadata.tables.items()
    }
    assert migrated.look(columns) == expected


def test_a_file_that_was_migrated_is_what_the_tables_would_make(tmp_path: Path) -> None:
    def statements(connection: Connection) -> set[str]:
        made = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")).scalars()
        return {" ".join(statement.replace(" ,", ",").split()) for statement in made if VERSION_TABLE not in statement}

    migrated, plain = Place(f"sqlite:///{tmp_path}/migrated.db"), Place(f"sqlite:///{tmp_path}/plain.db")
    migrated.open().close()
    plain.look(Row.metadata.create_all)
    assert migrated.look(statements) == plain.look(statements)


def test_the_newest_version_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == str(NEWEST)
    assert sorted(int(script.revision) for script in scripts.walk_revisions()) == list(range(1, NEWEST + 1))


def test_opening_again_changes_nothing(migrated: Place) -> None:
    ledger = migrated.open()
    ledger.commit(Commit(now=NOW, signals=[signal()]))
    ledger.close()
    again = open_ledger(migrated.url, clock=lambda: NOW)
    assert again.describe()["created_at"] == BORN.isoformat()
    assert again.totals()["signals_firing"] == 1
    again.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_newer_tables_are_refused_with_both_versions_and_a_way_out(migrated: Place, read_only: bool) -> None:
    migrated.run(f"UPDATE {VERSION_TABLE} SET version_num = '{NEWEST + 6}'")
    wanted = rf"schema {NEWEST + 6}, this program knows schemas up to {NEWEST}; run the newer release again"
    with pytest.raises(ConfigError, match=wanted):
        migrated.open(read_only=read_only)


def test_a_ledger_to_read_is_not_migrated(place: Place) -> None:
    place.run("SELECT 1")  # makes the file
    with pytest.raises(ConfigError, match="start the worker on it once"):
        place.open(read_only=True)
    assert place.tables() == set()


def test_tables_of_another_program_are_left_alone(place: Place) -> None:
    place.run("CREATE TABLE signal (strength INTEGER)")
    with pytest.raises(ConfigError, match=r"another program \(signal\)"):
        place.open()
    assert place.tables() == {"signal"}


def test_in_a_shared_postgres_others_may_keep_tables_of_other_names(postgres: Postgres) -> None:
    place = Place(postgres.empty())
    place.run("CREATE TABLE songs (title TEXT)")
    place.open().close()
    assert "songs" in place.tables()


def test_a_migration_that_fails_leaves_nothing_behind(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = schema._upgrade_by_one

    def fail(connection: Connection) -> None:
        upgrade(connection)
        assert len(inspect(connection).get_table_names()) > 10
        raise KeyboardInterrupt  # as late as can be

    monkeypatch.setattr(schema, "_upgrade_by_one", fail)
    with pytest.raises(KeyboardInterrupt):
        place.open()
    assert place.tables() == set()
    monkeypatch.undo()
    place.open().close()


def test_two_workers_that_start_at_once_make_the_tables_once(postgres: Postgres) -> None:
    place = Place(postgres.empty())
    faults: list[BaseException] = []

    def start() -> None:
        try:
            place.open().close()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert place.tables() > Row.metadata.tables.keys()


def test_a_ledger_that_goes_on_is_not_doubted(place: Place) -> None:
    for _ in range(2):
        ledger = place.open()
        assert ledger.doubt() == ""
        ledger.mark()
        assert ledger.doubt() == ""
        ledger.close()


def test_tables_that_were_put_back_are_doubted_until_they_are_marked(place: Place) -> None:
    if place.url.startswith("sqlite"):
        pytest.skip("of a file, tests/unit/ledger/test_backup.py tells more")
    ledger = place.open()
    ledger.mark()
    ledger.close()
    for statement in (
        "CREATE TABLE kept AS SELECT * FROM meta",
        "DROP TABLE meta",
        "ALTER TABLE kept RENAME TO meta",
        "ALTER TABLE meta ADD PRIMARY KEY (name)",
    ):
        place.run(statement)
    ledger = place.open()
    assert "was put back" in ledger.doubt()
    ledger.mark()
    assert ledger.doubt() == ""
    ledger.close()
