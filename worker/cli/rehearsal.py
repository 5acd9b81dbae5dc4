"""
What ``demo`` plays: an alert storm against a local page, on time that runs fast, told as it happens.

The worker, its ledger, its HTTP server and the page are the real ones; only the clock is ours.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from worker.bootstrap import load_rules
from worker.bootstrap.worker import Worker
from worker.core.model import digest
from worker.core.ruleset import RuleSet
from worker.sandbox import DEFAULT_KEY, SandboxServer
from worker.settings import Settings
from worker.telemetry import set_up_logs
from worker.web.server import Server

SPEED = 150
"""Virtual seconds per second."""

STORM = 200
PATIENCE_S = 50
SERVICES = ("checkout", "cart", "payments", "search", "mail")
SIGNING_KEY = "whsec_" + base64.b64encode(b"a throw-away signing key").decode()
TOKEN = "demo-token"  # noqa: S105  (guards a throw-away server on loopback)

Tell = Callable[[str, str, str], None]
"""Prints one line of the timeline: when (virtual mm:ss), who ("in", "page", …), what."""


@dataclass(slots=True)
class FastClock:
    """Virtual time: starts now and runs ``SPEED`` times as fast."""

    start: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    began: float = field(default_factory=time.monotonic)

    def __call__(self) -> datetime:
        """Give the virtual time: aware, UTC."""
        return self.start + timedelta(seconds=(time.monotonic() - self.began) * SPEED)

    def minute(self) -> str:
        """Give the virtual minutes since the start, for a timeline."""
        seconds = int((self() - self.start).total_seconds())
        return f"{seconds // 60:02d}:{seconds % 60:02d}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What one alert is about."""

    service: str
    severity: str
    instance: str
    started: datetime


@dataclass(slots=True)
class Sender:
    """
    Posts notifications as Alertmanager does, made from one that was captured.

    Args:
        url: The worker's.
    """

    url: str
    clock: FastClock
    count: int = 0
    _template: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        captured = files("worker.cli").joinpath("demo-alertmanager.json").read_text()
        self._template = json.loads(captured)

    def post(self, client: httpx.Client, problem: Problem, *, ended: bool = False) -> None:
        """Send one notification about one alert."""
        alert = dict(self._template["alerts"][0])
        told = {"service": problem.service, "severity": problem.severity, "instance": problem.instance}
        alert |= {
            "status": "resolved" if ended else "firing",
            "labels": {**alert["labels"], **told},
            "startsAt": problem.started.isoformat(),
            "endsAt": self.clock().isoformat() if ended else "0001-01-01T00:00:00Z",
            "fingerprint": digest(told)[:16],
        }
        body = {
            **self._template,
            "status": alert["status"],
            "alerts": [alert],
            "groupKey": f'{{}}:{{service="{problem.service}"}}',
        }
        answer = client.post(f"{self.url}/hooks/alertmanager", json=body, headers={"authorization": f"Bearer {TOKEN}"})
        answer.raise_for_status()
        self.count += 1


@dataclass(slots=True)
class Watcher:
    """Tells what the page was made to say, as it is said."""

    page: SandboxServer
    clock: FastClock
    tell: Tell
    seen: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Tell what is new."""
        for incident in self.incidents():
            for update in incident.updates:
                if update.id not in self.seen:
                    self.seen.add(update.id)
                    self.tell(self.clock.minute(), "page", f"{incident.name} · {update.status} · {update.message}")

    def incidents(self) -> list[Any]:
        """Give every incident of the page, the oldest first."""
        return list(self.page.state.incidents.shelf.all())

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for the page; fail where it takes too long."""
        end = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"the page never came to: {what}")
            time.sleep(0.05)
            self.look()
        self.look()


def rehearse(rules: Path, *, keep: bool, tell: Tell) -> dict[str, int]:
    """
    Run the rehearsal.

    Args:
        rules: The rules directory to use; its pages are pointed at the local one.
        keep: Stay up afterwards, until interrupted.
        tell: See ``Tell``.

    Returns:
        Counts of what came in and what the page got; also ``duplicates``.
    """
    set_up_logs("console", "error")
    clock = FastClock()
    with tempfile.TemporaryDirectory(prefix="statusbridge-demo-") as scratch:
        ledger = os.environ.get("STATUSBRIDGE_DEMO_LEDGER") or f"{scratch}/demo.db"
        page = SandboxServer(clock=clock)
        with page, _running(rules, page, ledger, clock) as url:
            tell("00:00", "page", f"public page on {page.url}")
            tell("00:00", "worker", f"listens on {url}, rules from {rules}")
            watcher = Watcher(page, clock, tell)
            sender = Sender(url, clock)
            _play(sender, watcher, tell)
            counts = _counts(sender, watcher)
            if keep:
                _stay(page.url, url, ledger, tell)
    return counts


def pointed_at(rules: RuleSet, url: str) -> RuleSet:
    """Give the rules with every page at *url*."""
    pages = {name: replace(page, base_url=url) for name, page in rules.pages.items()}
    return replace(rules, pages=pages)


class _running:  # noqa: N801  (reads as a verb where it is used)
    """The worker on a free port, for the length of a block; gives its address."""

    def __init__(self, rules: Path, page: SandboxServer, ledger: str, clock: FastClock) -> None:
        settings = Settings(rules=rules, ledger=f"sqlite:///{ledger}", port=0, poll=0.1, log_level="error")
        loaded = pointed_at(load_rules(rules), page.url)
        self._worker = Worker(settings, environ=secrets_of(loaded), clock=clock, rules=loaded)
        self._url = ""
        self._up = threading.Event()
        settings = self._worker.settings
        self._server = Server(self._worker.app, settings.host, settings.port, self._started)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    def _started(self, url: str) -> None:
        self._url = url
        self._up.set()

    def __enter__(self) -> str:
        self._worker.start()
        self._thread.start()
        if not self._up.wait(20):
            raise TimeoutError("the worker does not listen")
        return self._url

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._worker.stop()


def secrets_of(rules: RuleSet) -> dict[str, str]:
    """Make throw-away secrets for every variable that the rules name."""
    found = {page.api_key.name: DEFAULT_KEY for page in rules.pages.values() if page.api_key}
    for source in rules.sources.values():
        value = SIGNING_KEY if source.auth.scheme == "standard_webhooks" else TOKEN
        found |= {ref.name: value for ref in source.auth.secrets}
    return found


def _play(sender: Sender, watcher: Watcher, tell: Tell) -> None:
    clock = sender.clock

    def note(text: str) -> None:
        tell(clock.minute(), "in", text)

    with httpx.Client(trust_env=False) as client:
        blip = Problem("checkout", "critical", "node0:9100", clock())
        note("checkout fires …")
        sender.post(client, blip)
        time.sleep(90 / SPEED)
        sender.post(client, blip, ended=True)
        note("… and is well again after 90 s: shorter than the rule's hold, so the page stays silent")
        time.sleep(60 / SPEED)

        storm = list(_storm(clock()))
        note(f"a storm: {len(storm)} alerts over {', '.join(SERVICES)}")
        for alert in storm:
            sender.post(client, alert)
        watcher.until(lambda: bool(watcher.incidents()), "one incident open")

        worse = Problem("checkout", "critical", "node999:9100", clock())
        note("checkout gets worse: critical")
        sender.post(client, worse)
        watcher.until(lambda: _posts(watcher) >= 2, "an update that it got worse")
        sender.post(client, worse, ended=True)
        note("the critical alert is over; the warnings remain")
        watcher.until(lambda: _posts(watcher) >= 3, "an update that it got better")

        note("every alert is resolved; the rule's quiet time runs")
        for alert in storm:
            sender.post(client, alert, ended=True)
        watcher.until(lambda: all(i.status == "resolved" for i in watcher.incidents()), "resolved")


def _storm(started: datetime) -> Iterator[Problem]:
    for n in range(STORM):
        yield Problem(SERVICES[n % len(SERVICES)], "warning", f"node{n}:9100", started)


def _posts(watcher: Watcher) -> int:
    return sum(len(incident.updates) for incident in watcher.incidents())


def _counts(sender: Sender, watcher: Watcher) -> dict[str, int]:
    incidents = watcher.incidents()
    texts = [(i.id, u.status, u.message) for i in incidents for u in i.updates]
    doubled = len(incidents) - len({i.name for i in incidents}) + len(texts) - len(set(texts))
    return {
        "notifications": sender.count,
        "incidents": len(incidents),
        "updates": len(texts) - len(incidents),
        "duplicates": doubled,
    }


def _stay(page: str, worker: str, ledger: str, tell: Tell) -> None:
    tell("", "up", f"public page {page} · worker {worker} · ledger {ledger} · Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
