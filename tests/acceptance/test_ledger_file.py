"""The worker and what happens to its ledger's file: it stops before it can say anything that nobody would remember."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, alert, notification, post, until, worker, write_rules
from worker.bootstrap import utc_now
from worker.bootstrap.worker import Worker
from worker.ledger import open_ledger
from worker.sandbox import SandboxServer
from worker.settings import Settings
from worker.steps import deliver

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to write to."""
    with rehearsed_page() as server:
        yield server


def down(number: int) -> dict[str, object]:
    """An outage of its own."""
    return notification(alert(f"A{number}", f"service-{number}", "warning", "firing"))


def deleted(ledger: Path) -> None:
    ledger.unlink()


def replaced(ledger: Path) -> None:
    copy = ledger.with_name("backup.db")
    shutil.copyfile(ledger, copy)
    copy.replace(ledger)


@pytest.mark.parametrize(("harm", "busy"), [(deleted, False), (replaced, True)], ids=["deleted", "replaced"])
def test_a_ledger_that_is_gone_ends_the_worker_and_nothing_is_published_from_its_ghost(
    page: SandboxServer, tmp_path: Path, harm: Callable[[Path], None], busy: bool
) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    with worker(rules, ledger) as run:
        harm(ledger)
        if busy:
            with suppress(httpx.TransportError):  # it may have ended already
                assert post(run.url, down(1)).status_code == 503
        assert run.process.wait(10) == 74
        until(lambda: any(f"{ledger} was {harm.__name__}" in line for line in run.lines), "why it ended")
    assert page.state.incidents.shelf.all() == []
    assert not any("Traceback" in line for line in run.lines)


def test_a_ledger_that_is_damaged_keeps_the_worker_from_starting(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    open_ledger(f"sqlite:///{ledger}", clock=utc_now).close()
    damaged = bytearray(ledger.read_bytes())
    damaged[8192:8300] = b"\xff" * 108
    ledger.write_bytes(damaged)
    run = [sys.executable, "-m", "worker", "run", "--rules", str(rules), "--ledger", f"sqlite:///{ledger}"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=30, env={**os.environ, **SECRETS})
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{ledger}: the ledger ")
    assert "restore a backup" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ledger.read_bytes() == bytes(damaged)


def test_a_full_disk_makes_everything_wait_and_room_makes_it_go_on(
    page: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "LEASE", timedelta(seconds=1))  # what was claimed just before waits so long
    rules, ledger = write_rules(tmp_path / "rules", page.url), f"sqlite:///{tmp_path}/ledger.db"
    whole = Worker(Settings(rules=rules, ledger=ledger, poll=0.05), environ=SECRETS)

    async def answer(body: dict[str, object]) -> int:
        headers = {"authorization": f"Bearer {SECRETS['TOKEN']}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(whole.app), base_url="http://w.test") as client:
            return (await client.post("/hooks/alertmanager", json=body, headers=headers)).status_code

    def most_pages(count: int) -> None:
        whole.ledger._database.write(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {count}"))

    assert asyncio.run(answer(down(1))) == 202
    most_pages(1)
    whole.start()
    try:
        codes = [asyncio.run(answer(down(number))) for number in range(2, 30)]
        assert 503 in codes
        assert set(codes) <= {202, 503}
        assert whole.alive() == {}
        most_pages(1_000_000)
        assert asyncio.run(answer(down(99))) == 202
        taken = 2 + codes.count(202)
        until(lambda: whole.ledger.totals()["actions_done"] == taken, "everything that was accepted, published")
        assert len(page.state.incidents.shelf.all()) == taken
    finally:
        whole.stop()
