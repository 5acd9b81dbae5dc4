"""Real processes: a ledger is backed up while its worker runs, lost, put back, and nothing is said twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.processes import SECRETS, Running, alert, notification, post, running, until, write_rules
from worker.sandbox import SandboxServer


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to watch."""
    with SandboxServer() as server:
        yield server


def _run(rules: Path, ledger: Path, *more: str) -> AbstractContextManager[Running]:
    args = ("run", "--rules", str(rules), "--ledger", f"sqlite:///{ledger}", "--port", "0", *more)
    return running("worker", *args, environ={**SECRETS, "STATUSBRIDGE_WATCH": "0.3"})


def _said(page: SandboxServer) -> list[list[str]]:
    return [[update.message for update in each.updates] for each in page.state.incidents.shelf.all()]


def _alerts(*severities: str) -> dict[str, object]:
    return notification(*(alert(severity, "shop", severity, "firing") for severity in severities))


def test_a_ledger_that_was_put_back_is_matched_and_says_nothing_twice(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    with _run(rules, ledger) as run:
        post(run.url, _alerts("warning"))
        until(lambda: _said(page) == [["It began."]], "opened")
        until(lambda: not list(tmp_path.glob("backup.db")) and _backed_up(ledger, tmp_path / "backup.db"), "backed up")
        post(run.url, _alerts("warning", "critical"))
        until(lambda: _said(page) == [["It began.", "It got worse."]], "worse")
        run.kill()
    for each in tmp_path.glob("ledger.db*"):
        if not each.name.endswith(".mark"):
            each.unlink()
    shutil.copyfile(tmp_path / "backup.db", ledger)
    with _run(rules, ledger) as run:
        until(lambda: any("it is written to again" in line for line in run.lines), "matched")
        assert any("the ledger may be older than the pages: it is a backup" in line for line in run.lines)
        post(run.url, _alerts("warning", "critical"))
        until(lambda: not _unmatched(run.url), "ready")
        resolved = notification(
            *(alert(severity, "shop", severity, "resolved") for severity in ("warning", "critical"))
        )
        post(run.url, resolved)
        until(lambda: _said(page)[0][-1] == "It is over.", "resolved")
        assert run.terminate() == 0
    assert _said(page) == [["It began.", "It got worse.", "It is over."]]
    with _run(rules, ledger) as run:
        assert not any("may be older" in line for line in run.lines), "not again"
        assert run.terminate() == 0


def test_reconcile_asks_for_it_where_nothing_tells_so(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    with _run(rules, tmp_path / "ledger.db", "--reconcile") as run:
        until(lambda: any("it is written to again" in line for line in run.lines), "matched")
        assert any("the ledger may be older than the pages: it was asked for" in line for line in run.lines)
        assert run.terminate() == 0


def _backed_up(ledger: Path, target: Path) -> bool:
    command = [sys.executable, "-m", "worker", "backup", "--ledger", f"sqlite:///{ledger}", str(target)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "sound" in made.stdout
    return True


def _unmatched(url: str) -> bool:
    with httpx.Client(trust_env=False, timeout=5) as client:
        return "not matched" in client.get(f"{url}/readyz").text
