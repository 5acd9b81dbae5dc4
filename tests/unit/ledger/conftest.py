"""A real SQLite ledger in a file of its own; the tables are made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.ledger_rows import NOW
from worker.ledger import Ledger, open_ledger


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with the newest tables."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    open_ledger(f"sqlite:///{path}", clock=lambda: NOW).close()
    return path


@pytest.fixture
def path(tmp_path: Path, migrated_file: Path) -> Path:
    """A ledger that nobody has open."""
    path = tmp_path / "ledger.db"
    shutil.copyfile(migrated_file, path)
    return path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """An open ledger."""
    ledger = open_ledger(f"sqlite:///{path}", clock=lambda: NOW)
    yield ledger
    ledger.close()
