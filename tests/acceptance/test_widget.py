"""Real processes: what a site shows of a page that the worker keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, Running, alert, notification, post, running, until, write_rules
from worker.sandbox import SandboxServer

QUICK = {**SECRETS, "STATUSBRIDGE_WIDGET_TTL": "1"}


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with rehearsed_page() as server:
        yield server


def shown(run: Running, query: str = "") -> Any:
    with httpx.Client(trust_env=False, timeout=10) as client:
        return client.get(f"{run.url}/widget/main{query}").raise_for_status().json()


def test_the_widget_shows_what_was_published_from_the_page_from_the_ledger_or_not_at_all(
    page: SandboxServer, tmp_path: Path
) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    args = ("run", "--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db", "--port", "0")
    with running("worker", *args, environ=QUICK) as run:
        until(lambda: httpx.get(f"{run.url}/readyz").status_code == 200, "ready")
        assert shown(run)["ongoing_incidents"] == []
        post(run.url, notification(alert("Down", "shop", "critical", "firing")))
        until(lambda: shown(run)["ongoing_incidents"], "shown from the page")
        (from_page,) = shown(run, "?component=Checkout%20API")["ongoing_incidents"]
        assert shown(run, "?component=Public%20API")["ongoing_incidents"] == []
        _set(rules, "widget: ledger")
        until(
            lambda: shown(run)["ongoing_incidents"][0]["affected_components"][0]["id"] == "checkout", "from the ledger"
        )
        (from_ledger,) = shown(run, "?component=Checkout%20API")["ongoing_incidents"]
        _set(rules, "widget: off")
        until(lambda: httpx.get(f"{run.url}/widget/main").status_code == 404, "switched off")
        assert run.terminate() == 0
    for field in ("id", "name", "status", "last_update_message", "current_worst_impact"):
        assert from_page[field] == from_ledger[field], field


def _set(rules: Path, line: str) -> None:
    file = rules / "rules.yaml"
    lines = [each for each in file.read_text().splitlines() if "widget:" not in each]
    at = lines.index("    settle: 1s")
    file.write_text("\n".join([*lines[:at], f"    {line}", *lines[at:], ""]))
