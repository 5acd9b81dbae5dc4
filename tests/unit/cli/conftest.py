"""A rules directory, a page to ask, a filled ledger, and the command line to ask about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.sandbox import SandboxServer

from .desk import Desk, fill, write_rules


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The command line in an empty directory, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return Desk()


@pytest.fixture(scope="session")
def page() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def rules(desk: Desk, page: SandboxServer) -> Path:
    return write_rules(Path("rules"), page.url)


@pytest.fixture
def ledger(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a ledger of the test's own, with the same two episodes as ``filled``; the one that commands find."""
    fill("sqlite:///own.db")
    monkeypatch.setenv("STATUSBRIDGE_LEDGER", "sqlite:///own.db")
    return "sqlite:///own.db"


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a ledger with two episodes: one that was published, one that was refused."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
    fill(url)
    return url
