"""A worker that runs in a process of its own, and the commands that speak to it or look at it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from worker.sandbox import SandboxServer

from .desk import SECRETS, Desk, write_rules

FIRING = {
    "version": "4",
    "groupKey": '{}:{alertname="Down"}',
    "status": "firing",
    "receiver": "statusbridge",
    "groupLabels": {"alertname": "Down"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alerts.example",
    "truncatedAlerts": 0,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "Down", "service": "checkout", "severity": "critical"},
            "annotations": {"summary": "Checkout is down"},
            "startsAt": "2026-11-23T10:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": "1a2b3c4d5e6f7081",
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Live:
    """A running worker."""

    process: subprocess.Popen[str]
    banner: str
    directory: Path
    page: SandboxServer

    @property
    def url(self) -> str:
        found = re.search(r"http://[^ ]+", self.banner)
        assert found, self.banner
        return found[0]


def _start(directory: Path) -> subprocess.Popen[str]:
    flags = ["--rules", "rules", "--ledger", "sqlite:///ledger.db", "--port", "0", "--log-format", "json"]
    return subprocess.Popen(
        [sys.executable, "-m", "worker", "run", *flags],
        cwd=directory,
        env={**os.environ, **SECRETS, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    directory = tmp_path_factory.mktemp("live")
    with SandboxServer() as page:
        write_rules(directory / "rules", page.url)
        with _start(directory) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            banner = process.stdout.readline()
            assert banner, process.stderr.read()
            yield Live(process, banner, directory, page)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert not (directory / "ledger.db.run").exists()


@pytest.fixture
def there(live: Live, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The command line in the directory of the worker."""
    monkeypatch.chdir(live.directory)
    monkeypatch.setenv("STATUSBRIDGE_LEDGER", "sqlite:///ledger.db")
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    return desk


def _until(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_worker_says_where_it_listens_by_which_rules_for_which_pages(live: Live) -> None:
    assert re.fullmatch(
        r"statusbridge listens on http://127\.0\.0\.1:\d+ · rules [0-9a-f]{12}: 1 rule, 2 sources, 1 page · "
        r"sources: alerts, ci · pages: main \(auto\)\n",
        live.banner,
    )
    assert json.loads((live.directory / "ledger.db.run").read_text())["url"] == live.url


def test_a_payload_that_is_sent_reaches_the_page_and_can_be_followed(live: Live, there: Desk) -> None:
    Path("firing.json").write_text(json.dumps(FIRING))
    first = there("send", "alerts", "firing.json")
    assert (first.code, first.out) == (0, "accepted 1, duplicates 0\n"), first.err
    again = there("send", "alerts", "-", stdin=json.dumps(FIRING))
    assert again.out in ("accepted 0, duplicates 1\n", "accepted 1, duplicates 0\n")  # another 10 minutes may begin
    _until(lambda: (lines := there("history", "--json").data["actions"]) and lines[0]["said_at"])
    (incident,) = live.page.state.ongoing_incidents(live.page.state.page.id)
    assert incident.name == "Checkout is down"
    line = there("history")
    assert "checkout-outage#1" in line.out
    assert "open_incident: investigating; checkout full_outage" in line.out
    story = there("show", "checkout-outage#1")
    assert story.code == 0
    places = [story.out.index(text) for text in ("alerts alert ", "decided", "action ", "attempt ", "page got")]
    assert places == sorted(places)


def test_a_signed_payload_is_signed_as_its_source_needs(live: Live, there: Desk) -> None:
    sent = there("send", "ci", "-", "--header", "X-Event: done", stdin='{"job": "build"}')
    assert (sent.code, sent.out) == (0, "accepted 1, duplicates 0\n"), sent.err


def test_what_is_not_understood_is_taken_and_remarked(live: Live, there: Desk) -> None:
    sent = there("send", "alerts", "-", stdin="not json")
    assert (sent.code, sent.out) == (0, "accepted 0, duplicates 0, unparsed 1\n")
    assert "could not read events" in sent.err


def test_a_wrong_secret_is_a_no(live: Live, there: Desk) -> None:
    sent = there("send", "alerts", "-", stdin="{}", ALERTS_TOKEN="another")
    assert (sent.code, sent.out) == (1, "")
    assert "401: not authentic" in sent.err


@pytest.fixture
def here(there: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The command line, fit to call `run` in this process: it leaves logs and signals as they were."""
    monkeypatch.setattr("worker.telemetry.set_up_logs", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    yield there
    signal.signal(signal.SIGTERM, before)


def test_a_pause_goes_through_the_worker_and_is_seen_everywhere(live: Live, there: Desk) -> None:
    said = there("pause", "--reason", "a drill", "--by", "ann")
    assert (said.code, said.out) == (0, "all pages are paused: nothing is written until `statusbridge resume`\n"), (
        said.err
    )
    try:
        told = httpx.get(f"{live.url}/readyz", trust_env=False)
        assert told.status_code == 503
        assert told.json()["wrong"]["pause of all pages"].startswith("since ")
        assert "drill" not in told.text
        assert "statusbridge_ledger_pauses 1.0" in httpx.get(f"{live.url}/metrics", trust_env=False).text
        (check,) = (each for each in there("doctor", "--json").data["checks"] if each["check"] == "pause")
        assert check["verdict"] == "warn"
        assert check["text"].endswith("by ann: a drill")
        assert check["way_out"] == "statusbridge resume"
    finally:
        assert there("resume").out == "all pages are written to again\n"
    assert httpx.get(f"{live.url}/readyz", trust_env=False).status_code == 200


def test_a_window_by_hand_goes_through_the_worker_and_reaches_the_page(live: Live, there: Desk) -> None:
    said = there(
        *("maintenance", "schedule", "--page", "main", "--components", "europe", "--title", "Switch replaced"),
        *("--starts", "now", "--for", "1h", "--text", "We replace a switch."),
    )
    assert said.code == 0, said.err
    window = said.out.split()[0]
    shelf = live.page.state.maintenances.shelf

    def statuses() -> list[str]:
        return [update.status for shown in shelf.all() for update in shown.updates]

    _until(lambda: statuses() == ["maintenance_in_progress"])
    (shown,) = shelf.all()
    ends_at = shown.end_at
    extended = there("maintenance", "extend", window, "15m")
    assert extended.code == 0, extended.err
    _until(lambda: shelf.all()[0].end_at == ends_at + timedelta(minutes=15))
    completed = there("maintenance", "complete", window, "--text", "It works.")
    assert completed.code == 0, completed.err
    _until(lambda: statuses()[-1] == "maintenance_complete")
    (listed,) = there("maintenance", "list", "--json").data["windows"]
    assert (listed["phase"], listed["title"]) == ("complete", "Switch replaced")
    calendar = httpx.get(f"{live.url}/maintenance.ics", trust_env=False)
    assert "SUMMARY:Switch replaced" in calendar.text


def test_what_the_worker_refuses_is_told_as_here(live: Live, there: Desk) -> None:
    assert there("pause", "--page", "mian").err == "there is no page `mian`; did you mean `main`?\n"
    said = there("pause", "--by", " ")
    assert (said.code, said.err) == (2, "by: String should have at least 1 character\n")


def test_the_token_is_for_its_owner_alone_and_in_no_process_list(live: Live) -> None:
    run_file = live.directory / "ledger.db.run"
    assert run_file.stat().st_mode & 0o777 == 0o600
    token = json.loads(run_file.read_text())["token"]
    assert len(token) > 40
    assert token not in Path(f"/proc/{live.process.pid}/cmdline").read_text()
    assert token not in Path(f"/proc/{live.process.pid}/environ").read_text()


def test_a_second_worker_is_refused_and_told_who_holds_the_ledger(live: Live, here: Desk) -> None:
    said = here("run", "--rules", "rules", "--port", "0")
    assert said.code == 2
    assert f"process {live.process.pid}" in said.err


def test_doctor_finds_who_holds_the_ledger(live: Live, there: Desk) -> None:
    said = there("doctor", "--online", "--json")
    checks = {check["check"]: check for check in said.data["checks"]}
    assert said.code == 0, checks
    assert checks["worker"]["text"] == f"process {live.process.pid} holds the ledger and listens on {live.url}"
    assert "answers" in checks["page main"]["text"]


def test_a_port_that_is_taken_is_a_wrong_call(live: Live, here: Desk) -> None:
    port = live.url.rpartition(":")[2]
    said = here("run", "--rules", "rules", "--ledger", "sqlite:///another.db", "--port", port)
    assert said.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in said.err
    assert not Path("another.db.run").exists()
