"""Commands on a ledger in PostgreSQL: they write themselves, also while workers run, and all heed them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.contract.conftest import Postgres
from worker.cli.app import app
from worker.core.model import PAUSE
from worker.ledger import open_ledger

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_a_command_needs_no_worker_and_no_lock_and_is_heeded_by_all(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.emptied()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATUSBRIDGE_LEDGER", url)
    workers = [open_ledger(url, clock=lambda: NOW) for _ in range(2)]
    try:
        paused = CliRunner().invoke(app, ["pause", "--by", "ann", "--reason", "a drill"])
        assert paused.exit_code == 0, paused.stderr
        assert [ledger.paused("main") for ledger in workers] == [True, True]
        assert [flag.value for flag in workers[0].flags(PAUSE)] == ["ann: a drill"]
        assert CliRunner().invoke(app, ["resume"]).exit_code == 0
        assert [ledger.paused("main") for ledger in workers] == [False, False]
    finally:
        for ledger in workers:
            ledger.close()
    assert list(tmp_path.iterdir()) == []
