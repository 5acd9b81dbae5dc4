"""A worker in shadow, with everything that it can be asked beside it: the page is read, and never written to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, Running, alert, notification, post, soon, until, worker, write_rules
from worker.cli.reading import ledger_to_read
from worker.sandbox import SandboxServer

pytestmark = pytest.mark.timeout(90)
WINDOW = """
maintenance:
  - id: db
    page: main
    components: [api]
    title: Database maintenance
    starts: {starts:%Y-%m-%dT%H:%M:%S}
    timezone: UTC
    duration: 2s
    announce: {{before: 1h, text: Coming.}}
    start: {{text: It began.}}
    complete: {{text: It is over.}}
"""
EVERYTHING = {
    *("open_incident", "update_incident", "resolve_incident"),
    *("schedule_maintenance", "start_maintenance", "complete_maintenance"),
}


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with rehearsed_page() as server:
        yield server


def in_shadow(folder: Path, page: SandboxServer) -> Path:
    rules = write_rules(folder, page.url)
    file = rules / "rules.yaml"
    file.write_text(file.read_text().replace("publish: auto", "publish: shadow") + WINDOW.format(starts=soon(4)))
    return rules


class Shell:
    """Commands beside a worker, as a person types them."""

    def __init__(self, rules: Path, ledger: Path) -> None:
        self._environ = {"STATUSBRIDGE_RULES": str(rules), "STATUSBRIDGE_LEDGER": f"sqlite:///{ledger}", **SECRETS}

    def __call__(self, *words: str) -> Any:
        """Give what a command says, as data."""
        command = [sys.executable, "-m", "worker", *words, "--json"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, env=self._environ)
        assert said.returncode == 0, said.stdout + said.stderr
        return json.loads(said.stdout)


def decided(ledger: Path) -> list[tuple[str, str]]:
    """Give kind and state of every action, while the worker runs."""
    with ledger_to_read(f"sqlite:///{ledger}") as book:
        return [(line.action.kind, line.action.state) for line in book.history()]


def says(run: Running, name: str, severity: str, status: str = "firing") -> None:
    assert post(run.url, notification(alert(name, "shop", severity, status))).status_code == 202


def test_in_shadow_nothing_but_reads_reaches_the_page(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = in_shadow(tmp_path / "rules", page), tmp_path / "ledger.db"
    ask = Shell(rules, ledger)
    page.state.person_opens("People were faster", "We see it.", {"Checkout API": "full_outage"}, now=page.now())
    with worker(rules, ledger) as run:
        says(run, "a", "warning")
        until(lambda: len(decided(ledger)) >= 2, "the window announced, the incident opened")
        says(run, "b", "critical")
        until(lambda: ("update_incident", "shadowed") in decided(ledger), "it got worse")
        says(run, "a", "warning", "resolved")
        says(run, "b", "critical", "resolved")
        until(lambda: {kind for kind, _ in decided(ledger)} == EVERYTHING, "resolved, and the window over", 40)
        assert ask("check", "--online")["ok"]
        ask("pages")
        ask("drift")
        report = ask("report", "--online")["pages"]["main"]
        assert run.terminate() == 0
    assert {state for _, state in decided(ledger)} == {"shadowed"}
    assert report["counts"]["shadowed"]["incidents"] == 1
    assert [opening["people"] is not None for opening in report["openings"]] == [True]
    methods = {request.method for request in page.state.requests}
    assert methods == {"GET"}
    assert [incident.name for incident in page.state.incidents.shelf.all()] == ["People were faster"]
    assert not page.state.maintenances.shelf.all()
