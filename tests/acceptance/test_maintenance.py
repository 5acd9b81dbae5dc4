"""Real time, real processes: a window starts and completes within two seconds of its times, also after a crash."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, Running, soon, until, worker, write_rules
from worker.bootstrap.worker import Worker
from worker.sandbox import SandboxServer
from worker.settings import Settings

ENTRY = """
maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: {starts:%Y-%m-%dT%H:%M:%S}
    timezone: UTC
    duration: {seconds}s
    announce: {{before: 1h, text: Coming.}}
    start: {{text: It began.}}
    complete: {{text: It is over.}}
"""


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to watch."""
    with rehearsed_page() as server:
        yield server


def _rules(folder: Path, page: SandboxServer, starts: datetime, seconds: int) -> Path:
    rules = write_rules(folder, page.url)
    with (rules / "rules.yaml").open("a") as file:
        file.write(ENTRY.format(starts=starts, seconds=seconds))
    return rules


def _said(page: SandboxServer) -> list[tuple[str, datetime]]:
    (window,) = page.state.maintenances.shelf.all() or (None,)
    return [(update.status, update.published_at) for update in window.updates] if window else []


def _lateness(page: SandboxServer, index: int, due: datetime) -> float:
    return (_said(page)[index][1] - due).total_seconds()


def test_a_window_starts_and_completes_within_two_seconds_of_its_times(page: SandboxServer, tmp_path: Path) -> None:
    starts = soon(5)
    with worker(_rules(tmp_path / "rules", page, starts, 3), tmp_path / "ledger.db") as run:
        until(lambda: len(_said(page)) == 3, "completed", 40)
        assert run.terminate() == 0
    statuses = [status for status, _ in _said(page)]
    assert statuses == ["maintenance_scheduled", "maintenance_in_progress", "maintenance_complete"]
    assert 0 <= _lateness(page, 1, starts) < 2
    assert 0 <= _lateness(page, 2, starts + timedelta(seconds=3)) < 2


def test_a_worker_that_was_killed_across_the_start_catches_up(page: SandboxServer, tmp_path: Path) -> None:
    starts = soon(5)
    rules = _rules(tmp_path / "rules", page, starts, 8)
    with worker(rules, tmp_path / "ledger.db") as run:
        until(lambda: len(_said(page)) == 1, "announced")
        run.kill()
    _sleep_until(starts + timedelta(seconds=1))
    assert len(_said(page)) == 1
    with worker(rules, tmp_path / "ledger.db") as run:
        until(lambda: len(_said(page)) == 3, "completed", 40)
        _stays(run)
    assert [status for status, _ in _said(page)][1:] == ["maintenance_in_progress", "maintenance_complete"]
    assert 0 <= _lateness(page, 2, starts + timedelta(seconds=8)) < 2


def _sleep_until(at: datetime) -> None:
    until(lambda: datetime.now(UTC) >= at, "the start")  # noqa: TID251  (real time)


def _stays(run: Running) -> None:
    time.sleep(0.3)  # what is posted twice would come right after
    assert run.terminate() == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is killed, that is the point
def test_windows_move_in_time_although_the_thread_of_the_alarm_clock_is_dead(
    page: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.scheduler.LEAST_SILENCE_S", 1.0)
    starts = soon(2)
    rules = _rules(tmp_path / "rules", page, starts, 2)
    whole = Worker(Settings(rules=rules, ledger=f"sqlite:///{tmp_path}/ledger.db", poll=0.2), environ=SECRETS)
    whole.start()
    try:
        until(lambda: len(_said(page)) == 1, "announced")
        thread = whole._alarm._scheduler._thread
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        until(lambda: not thread.is_alive(), "the end of the thread")
        until(lambda: len(_said(page)) == 3, "completed", 40)
        assert whole.alive() == {"alarm": "does not ring; the sweep does its work"}
        assert b"statusbridge_alarms_missed_total" in whole.meter.exposition()
    finally:
        whole.stop()
    assert 0 <= _lateness(page, 1, starts) < 2
    assert 0 <= _lateness(page, 2, starts + timedelta(seconds=2)) < 2
