"""A pipeline on a real SQLite ledger; the tables are made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.provider import FakePage
from tests.unit.steps.rig import HEAD, START, Rig
from worker.ledger import open_ledger

Make = Callable[..., Rig]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with the newest tables."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    open_ledger(f"sqlite:///{path}", clock=lambda: START).close()
    return path


@pytest.fixture
def make(tmp_path: Path, migrated_file: Path) -> Iterator[Make]:
    """Build a pipeline with rules; a second one has a ledger of its own, and may be given the first one's page."""
    made: list[Rig] = []

    def build(rules: str = "", *, page: FakePage | None = None, path: Path | None = None, head: str = HEAD) -> Rig:
        if path is None:
            path = tmp_path / f"ledger-{len(made)}.db"
            shutil.copyfile(migrated_file, path)
        made.append(Rig(path, rules, page=page, head=head))
        return made[-1]

    yield build
    for rig in made:
        rig.close()
