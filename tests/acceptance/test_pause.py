"""Real processes: somebody pauses a worker in the middle of a backlog, from another process, again and again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.leaks import rehearsed_page
from tests.processes import alert, notification, post, until, worker, write_rules
from worker.sandbox.faults import slow

MANY = 60
"""So many that a page that takes half a second for each keeps the worker busy for ten."""


def command(ledger: Path, *words: str) -> str:
    """Run a command as a person would; give what it says."""
    line = [sys.executable, "-m", "worker", *words, "--ledger", f"sqlite:///{ledger}"]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=30, check=True)
    return ended.stdout + ended.stderr


def test_no_write_reaches_the_page_after_a_pause_was_acknowledged(tmp_path: Path) -> None:
    with rehearsed_page() as page:
        rules, ledger = write_rules(tmp_path / "rules", page.url, quiet="10m"), tmp_path / "ledger.db"
        page.faults.next("POST", "", *[slow(0.5)] * MANY)
        incidents = page.state.incidents.shelf
        with worker(rules, ledger) as run:
            alerts = [alert("down", f"service-{number}", "critical", "firing") for number in range(MANY)]
            assert post(run.url, notification(*alerts)).status_code == 202
            until(lambda: len(incidents.all()) >= 3, "a part of the backlog")
            said = command(ledger, "pause", "--reason", "a drill")
            assert "nothing is written until" in said
            assert "may still arrive" not in said
            reached = len(incidents.all())
            assert reached < MANY
            time.sleep(0.6)  # what slips through would come now
            assert (len(incidents.all()), page.state.live_writes) == (reached, 0)
            assert run.terminate() == 0
        with worker(rules, ledger) as run:
            time.sleep(0.5)
            assert len(incidents.all()) == reached
            page.faults.clear()
            command(ledger, "resume")
            until(lambda: len(incidents.all()) == MANY, "the rest")
            assert run.terminate() == 0
    names = [incident.name for incident in incidents.all()]
    assert len(set(names)) == len(names)
