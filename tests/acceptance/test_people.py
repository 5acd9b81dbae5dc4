"""Real time, real processes: what people do on the page is seen, obeyed, and left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, Running, alert, notification, post, running, until, write_rules
from worker.sandbox import SandboxServer

ADOPTS = "    adopt_maintenance: {title: {regex: Planned.*}, start: It began., complete: It is over.}\n"
OFTEN = {**SECRETS, "STATUSBRIDGE_WATCH": "0.3"}


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to watch."""
    with rehearsed_page() as server:
        yield server


def _rules(folder: Path, page: SandboxServer) -> Path:
    rules = write_rules(folder, page.url)
    text = (rules / "rules.yaml").read_text()
    (rules / "rules.yaml").write_text(text.replace("    settle: 1s\n", f"    settle: 1s\n{ADOPTS}"))
    return rules


def _run(rules: Path, ledger: Path) -> AbstractContextManager[Running]:
    args = ("run", "--rules", str(rules), "--ledger", f"sqlite:///{ledger}", "--port", "0")
    return running("worker", *args, environ=OFTEN)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  (real time)


def _said(page: SandboxServer) -> list[tuple[str, datetime]]:
    (window,) = page.state.maintenances.shelf.all()
    return [(update.status, update.published_at) for update in window.updates]


def test_a_window_that_a_person_makes_three_seconds_ahead_is_moved_at_its_times(
    page: SandboxServer, tmp_path: Path
) -> None:
    with _run(_rules(tmp_path / "rules", page), tmp_path / "ledger.db") as run:
        starts = _now() + timedelta(seconds=3)
        ends = starts + timedelta(seconds=3)
        page.state.person_schedules("Planned work", "We work on it.", ["Checkout API"], starts, ends, now=page.now())
        until(lambda: len(_said(page)) == 3, "completed")
        assert run.terminate() == 0
    statuses = [status for status, _ in _said(page)]
    assert statuses == ["maintenance_scheduled", "maintenance_in_progress", "maintenance_complete"]
    for (_, at), due in zip(_said(page)[1:], (starts, ends), strict=True):
        assert 0 <= (at - due).total_seconds() < 2


def test_a_window_is_moved_at_its_times_although_the_worker_was_killed_meanwhile(
    page: SandboxServer, tmp_path: Path
) -> None:
    rules = _rules(tmp_path / "rules", page)
    starts = _now() + timedelta(seconds=8)
    ends = starts + timedelta(seconds=3)
    page.state.person_schedules("Planned work", "We work on it.", ["Checkout API"], starts, ends, now=page.now())
    with _run(rules, tmp_path / "ledger.db") as run:
        until(lambda: _windows(run.url) == 1, "adopted")
        run.kill()
    with _run(rules, tmp_path / "another.db") as run:
        until(lambda: len(_said(page)) == 3, "completed, though the ledger was lost")
    for (_, at), due in zip(_said(page)[1:], (starts, ends), strict=True):
        assert 0 <= (at - due).total_seconds() < 2


def test_a_person_who_posts_on_an_incident_is_seen_without_a_write_of_ours(page: SandboxServer, tmp_path: Path) -> None:
    with _run(_rules(tmp_path / "rules", page), tmp_path / "ledger.db") as run:
        post(run.url, notification(alert("Down", "shop", "critical", "firing")))
        until(lambda: page.state.ongoing_incidents(page.state.page.id), "opened")
        (incident,) = page.state.ongoing_incidents(page.state.page.id)
        page.state.person_posts(incident.id, "We are people.", "identified", now=page.now())
        until(lambda: _metric(run.url, "statusbridge_takeovers_total"), "taken over")
        until(lambda: any("a person has taken over" in line for line in run.lines), "told")
        post(run.url, notification(alert("Worse", "shop", "critical", "firing")))
        post(run.url, notification(alert("Down", "shop", "critical", "resolved")))
        assert run.terminate() == 0
    (incident,) = page.state.ongoing_incidents(page.state.page.id)
    assert [update.message for update in incident.updates] == ["It began.", "We are people."]


def _metric(url: str, name: str) -> float:
    with httpx.Client(trust_env=False, timeout=5) as client:
        found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", client.get(f"{url}/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0


def _windows(url: str) -> float:
    return _metric(url, 'statusbridge_ledger_windows{phase="scheduled"}')
