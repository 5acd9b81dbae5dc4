"""The worker as a process: how it starts, how it says no, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.fakes.ledger_rows import entry, event, record_all
from tests.fakes.ledger_rows import signal as signal_of
from tests.leaks import rehearsed_page
from tests.processes import SECRETS, alert, notification, post, until, worker, write_rules
from worker.bootstrap import pages, utc_now
from worker.bootstrap import worker as pipeline
from worker.core.model import Status
from worker.ledger import open_ledger
from worker.ports import Commit, Handled, Recorded
from worker.sandbox import SandboxServer
from worker.sandbox.faults import hang, slow
from worker.settings import Settings

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to write to."""
    with rehearsed_page() as server:
        yield server


def storm(count: int) -> dict[str, object]:
    """So many alerts, each of an incident of its own."""
    return notification(*(alert(f"A{n}", f"service-{n}", "warning", "firing") for n in range(count)))


def refused(*args: str, **environ: str) -> tuple[int, str]:
    """Start a worker that cannot start: its exit code and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "worker", "run", "--port", "0", *args],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], **environ},
    )
    return ended.returncode, ended.stdout + ended.stderr


def ready(url: str) -> httpx.Response:
    """Ask whether it can do its work."""
    with httpx.Client(trust_env=False, timeout=5) as client:
        return client.get(f"{url}/readyz")


def known(ledger: Path) -> dict[str, int]:
    """Reopen a ledger, as the next worker does; give its totals."""
    opened = open_ledger(f"sqlite:///{ledger}", clock=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    try:
        return dict(opened.totals())
    finally:
        opened.close()


# -- how it ends


def test_sigterm_lets_a_write_that_is_on_its_way_finish(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    page.faults.next("POST", "", slow(1.5))
    with worker(rules, ledger) as run:
        run_file = Path(f"{ledger}.run")
        left = json.loads(run_file.read_text())
        assert (left["url"], left["pid"]) == (run.url, run.process.pid)
        assert stat.S_IMODE(run_file.stat().st_mode) == 0o600
        assert post(run.url, storm(1)).status_code == 202
        until(lambda: page.state.live_writes, "a write on its way")
        began = time.monotonic()
        assert run.terminate() == 0
        assert time.monotonic() - began < 15
        assert not run_file.exists()
    assert "Traceback" not in "\n".join(run.lines)
    assert len(page.state.incidents.shelf.all()) == 1
    totals = known(ledger)
    assert (totals["actions_done"], totals["actions_sending"], totals["actions_unknown"]) == (1, 0, 0)


def test_no_write_begins_after_sigterm(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    page.faults.next("POST", "", *[slow(1.5)] * 8)
    with worker(rules, ledger) as run:
        post(run.url, storm(8))
        until(lambda: page.state.live_writes == 3, "three writes on their way; one thread is kept for windows")
        assert run.terminate() == 0
    assert len(page.state.incidents.shelf.all()) == 3
    totals = known(ledger)
    assert (totals["actions_done"], totals["actions_queued"]) == (3, 5)


def test_an_end_does_not_wait_for_a_page_that_never_answers_and_the_next_start_settles_it(
    page: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "DRAIN_S", 0.2)
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    page.faults.next("POST", "", hang(applied=True))
    with started(rules, ledger) as first:
        say(first, storm(1))
        until(lambda: page.state.live_writes, "a write on its way")
    assert known(ledger)["actions_sending"] == 1
    with started(rules, ledger) as again:
        until(lambda: again.ledger.totals()["actions_done"] == 1, "the write settled")
    assert len(page.state.incidents.shelf.all()) == 1


@contextmanager
def started(rules: Path, ledger: Path) -> Iterator[pipeline.Worker]:
    """Run the pipeline in this process, for what must be shortened to be tested."""
    whole = pipeline.Worker(Settings(rules=rules, ledger=f"sqlite:///{ledger}", poll=0.05), environ=SECRETS)
    whole.start()
    try:
        yield whole
    finally:
        whole.stop()


def say(whole: pipeline.Worker, body: dict[str, object]) -> None:
    """Post a webhook to it."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(whole.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://worker.test") as client:
            headers = {"authorization": f"Bearer {SECRETS['TOKEN']}"}
            return await client.post("/hooks/alertmanager", json=body, headers=headers)

    assert asyncio.run(send()).status_code == 202


def test_what_was_accepted_just_before_sigterm_is_not_lost(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    with worker(rules, ledger) as run:
        for n in range(20):
            assert post(run.url, notification(alert(f"A{n}", "checkout", "warning", "firing"))).status_code == 202
        assert run.terminate() == 0
    assert known(ledger)["inbounds"] == 20


# -- how it forgets


def test_what_is_old_goes_while_it_runs_and_what_is_needed_stays(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    now = utc_now()
    filled = open_ledger(f"sqlite:///{ledger}", clock=utc_now)
    entries = [entry(inbound=replace(entry().inbound, received_at=now - timedelta(days=age))) for age in (31, 29)]
    seqs = [answer.seq for answer in record_all(filled, entries) if isinstance(answer, Recorded)]
    firing = replace(signal_of("firing"), since=now - timedelta(days=900), stamp=now - timedelta(days=900))
    fresh = replace(firing, event=event("fresh", Status.RESOLVED), since=now - timedelta(days=29))
    stale = replace(firing, event=event("stale", Status.RESOLVED))
    filled.commit(Commit(now=now, handled=[Handled(seq=seq) for seq in seqs], signals=[firing, fresh, stale]))
    filled.close()
    with started(rules, ledger) as whole:
        until(lambda: whole.ledger.totals()["inbounds"] == 1, "the old inbound gone")
        names = [("am", key) for key in ("firing", "fresh", "stale")]
        until(lambda: whole.ledger.signals(names).keys() == {*names[:2]}, "the old tombstone gone")
        until(lambda: b"statusbridge_rows_removed_total 2.0" in whole.meter.exposition(), "how many")
        assert whole.alive() == {}


# -- how it says no


def test_a_second_worker_on_one_ledger_exits_2_and_leaves_the_first_alone(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    with worker(rules, ledger) as run:
        code, said = refused("--rules", str(rules), "--ledger", f"sqlite:///{ledger}", **SECRETS)
        assert code == 2
        assert str(run.process.pid) in said
        assert "Traceback" not in said
        assert json.loads(Path(f"{ledger}.run").read_text())["pid"] == run.process.pid
        assert post(run.url, storm(1)).status_code == 202
        assert run.terminate() == 0


def test_missing_secrets_exit_2_naming_every_variable(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    code, said = refused("--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db")
    assert code == 2
    assert "TOKEN" in said
    assert "Traceback" not in said
    code, said = refused("--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db", TOKEN="canary-tt")
    assert code == 2
    assert "PAGE_KEY" in said
    assert "canary-tt" not in said
    assert not (tmp_path / "ledger.db.run").exists()


def test_a_bad_rule_set_exits_2_with_all_faults_at_their_places(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    file = rules / "rules.yaml"
    text = file.read_text().replace("hold: 0s", "hold: soon").replace("group_by: [service]", "group-by: [service]")
    file.write_text(text)
    code, said = refused("--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db", **SECRETS)
    assert code == 2
    assert said.count("rules.yaml:") >= 2
    assert "soon" in said
    assert "group-by" in said
    assert "Traceback" not in said


def test_listening_for_others_without_a_token_exits_2(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    args = ("--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db", "--host", "0.0.0.0")
    code, said = refused(*args, **SECRETS)
    assert code == 2
    assert "STATUSBRIDGE_ADMIN_TOKEN" in said


# -- how it starts


def test_the_run_file_of_a_worker_that_was_killed_is_replaced(page: SandboxServer, tmp_path: Path) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    with worker(rules, ledger) as run:
        run.process.send_signal(signal.SIGKILL)
        run.process.wait(10)
        assert Path(f"{ledger}.run").exists()
    with worker(rules, ledger) as again:
        left = json.loads(Path(f"{ledger}.run").read_text())
        assert (left["url"], left["pid"]) == (again.url, again.process.pid)
        assert again.terminate() == 0


def test_webhooks_are_taken_at_once_while_a_page_lets_us_wait_for_its_answer(
    page: SandboxServer, tmp_path: Path
) -> None:
    page.faults.next("GET", "", *[hang(applied=False)] * 20)
    with worker(write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db") as run:
        until(lambda: page.state.requests, "the page asked")
        assert post(run.url, storm(1)).status_code == 202
        assert ready(run.url).json()["wrong"] == {"page main": "not resolved yet"}
        run.kill()


def test_a_component_that_the_page_does_not_have_costs_no_other(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    file = rules / "rules.yaml"
    chosen = "components: {from: event.labels.service, status: degraded_performance}"
    text = re.sub(r"components: {checkout: {.*}", chosen, file.read_text())
    file.write_text(text.replace("checkout: Checkout API", "checkout: Old name"))
    with worker(rules, tmp_path / "ledger.db") as run:
        down = [alert(f"A-{service}", service, "critical", "firing") for service in ("checkout", "api", "ap")]
        assert post(run.url, notification(*down)).status_code == 202
        until(lambda: page.state.incidents.shelf.all(), "the other component's incident")
        told = ready(run.url)
        assert told.status_code == 503
        assert "rules.yaml:" in told.json()["wrong"]["page main"]
        until(lambda: known_parked(tmp_path / "ledger.db") == 2, "the others parked")
        assert run.terminate() == 0
    said = "\n".join(run.lines)
    assert [incident.name for incident in page.state.incidents.shelf.all()] == ["Trouble with api"]
    assert re.search(r"error.*no component `Old name`.*all others go out", said)
    assert re.search(r"error.*open_incident \(outage@main.*is parked: it names what cannot be found.*`Old name`", said)
    assert re.search(r"error.*open_incident .*is parked: .*`ap` .*did you mean `api`\?", said)


def known_parked(ledger: Path) -> int:
    """Look into the ledger of a worker that runs."""
    reader = open_ledger(f"sqlite:///{ledger}", clock=utc_now, read_only=True)
    try:
        return reader.totals()["actions_parked"]
    finally:
        reader.close()


def test_a_page_that_is_unreachable_at_the_start_keeps_it_unready_but_taking_webhooks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rules, ledger = write_rules(tmp_path / "rules", f"http://127.0.0.1:{port}"), tmp_path / "ledger.db"
    with worker(rules, ledger) as run:
        told = ready(run.url)
        assert told.status_code == 503
        assert list(told.json()["wrong"]) == ["page main"]
        assert post(run.url, storm(1)).status_code == 202
        assert run.terminate() == 0
    assert known(ledger)["actions_queued"] == 1


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(True, id="with an action that waits"),
        pytest.param(False, id="with nothing to do"),
    ],
)
def test_a_page_that_comes_back_makes_it_ready(asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "AGAIN", timedelta(seconds=0.1))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rules = write_rules(tmp_path / "rules", f"http://127.0.0.1:{port}")
    with started(rules, tmp_path / "ledger.db") as whole:
        assert whole.ready()
        if asked:
            say(whole, storm(1))
        with rehearsed_page(port) as page:
            until(lambda: not whole.ready(), "ready", 8 if asked else 2)
            assert whole.alive() == {}
            if asked:
                until(page.state.incidents.shelf.all, "the incident")
