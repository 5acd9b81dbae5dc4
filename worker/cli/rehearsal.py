"""
The stage of ``demo``: a local page, a worker on time that runs fast, who sends, and who watches.

The worker, its ledger, its HTTP server and the page are the real ones; only the clock is ours. What is played stands in
``cli.acts``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from worker.bootstrap import endpoints, load_rules
from worker.bootstrap.worker import Worker
from worker.cli import staging
from worker.cli.posting import signed
from worker.core.model import Event, Inbound, digest
from worker.core.ruleset import RuleSet, SourceConfig
from worker.sandbox import DEFAULT_KEY, SandboxServer, State, build_pages
from worker.settings import Settings
from worker.steps.intake import Endpoint
from worker.telemetry import set_up_logs
from worker.web.server import Server

SPEED = 150
"""Virtual seconds per second."""

HURRY = 1500
"""The same, while nothing is to be seen."""

PATIENCE_S = 50
SIGNING_KEY = "whsec_" + base64.b64encode(b"a throw-away signing key").decode()
TOKEN = "demo-token"  # noqa: S105  (guards a throw-away server on loopback)
SECRETS = {"": TOKEN, "standard_webhooks": SIGNING_KEY}
SERVICE = "checkout"
SEVERITIES = ("warning", "critical")
"""What the alerts are about that some rule must open an incident for."""

Tell = Callable[[str, str, str], None]
"""Prints one line of the timeline: when (virtual mm:ss), who ("in", "page", …), what."""


@dataclass(slots=True)
class FastClock:
    """Virtual time: starts now and runs ``SPEED`` times as fast, or as fast as it is told."""

    start: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    _mark: tuple[float, float, float] = field(default_factory=lambda: (time.monotonic(), 0.0, SPEED))

    def __call__(self) -> datetime:
        """Give the virtual time: aware, UTC."""
        since, passed, speed = self._mark
        return self.start + timedelta(seconds=passed + (time.monotonic() - since) * speed)

    def run(self, speed: float) -> None:
        """Go on at another *speed*, virtual seconds per second."""
        self._mark = (time.monotonic(), (self() - self.start).total_seconds(), speed)

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Stand still, at a full second, for the length of a block: what happens in it happens at once."""
        speed = self._mark[2]
        self._mark = (time.monotonic(), math.ceil((self() - self.start).total_seconds()), 0)
        try:
            yield
        finally:
            self.run(speed)

    def until(self, moment: datetime) -> None:
        """Wait for a virtual time."""
        while (ahead := (moment - self()).total_seconds()) > 0:
            time.sleep(min(ahead / self._mark[2], 0.05))

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
        alerts: The source that alerts are posted to.
        others: All sources, by name.
    """

    url: str
    clock: FastClock
    alerts: Endpoint
    others: Mapping[str, Endpoint]
    count: int = 0
    _template: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        captured = files("worker.cli").joinpath("demo-alertmanager.json").read_text()
        self._template = json.loads(captured)

    def post(self, client: httpx.Client, problem: Problem, *, ended: bool = False) -> None:
        """Send one notification about one alert."""
        self._send(client, self.alerts, self.notification(problem, ended=ended))
        self.count += 1

    def notification(self, problem: Problem, *, ended: bool = False) -> bytes:
        """Write one notification about one alert."""
        alert = dict(self._template["alerts"][0])
        told = {"service": problem.service, "severity": problem.severity, "instance": problem.instance}
        alert |= {
            "status": "resolved" if ended else "firing",
            "labels": {**alert["labels"], **told},
            "startsAt": problem.started.isoformat(),
            "endsAt": self.clock().isoformat() if ended else "0001-01-01T00:00:00Z",
            "fingerprint": digest(told)[:16],
        }
        group = f'{{}}:{{service="{problem.service}"}}'
        return json.dumps({**self._template, "status": alert["status"], "alerts": [alert], "groupKey": group}).encode()

    def announce(self, client: httpx.Client, source: str, change: Mapping[str, object]) -> None:
        """Send what a change ticket says to *source*."""
        self._send(client, self.others[source], json.dumps({"change": change}).encode())

    def _send(self, client: httpx.Client, endpoint: Endpoint, body: bytes) -> None:
        now, headers = self.clock(), {"content-type": "application/json"}
        inbound = Inbound(source=endpoint.config.name, body=body, headers=headers, received_at=now)
        path, proven = signed(endpoint, inbound)
        client.post(f"{self.url}{path}", content=body, headers=proven).raise_for_status()

    def sample(self) -> list[Event]:
        """Give what the worker will read out of the notifications that matter."""
        config, now = self.alerts.config, self.clock()
        bodies = [self.notification(Problem(SERVICE, severity, "node0:9100", now)) for severity in SEVERITIES]
        sent = [Inbound(source=config.name, body=body, headers={}, received_at=now) for body in bodies]
        read = [statement for inbound in sent for statement in self.alerts.source.normalise(inbound, config)]
        return [statement for statement in read if isinstance(statement, Event)]


@dataclass(slots=True)
class Watcher:
    """Tells what the page was made to say, as it is said."""

    page: SandboxServer
    clock: FastClock
    tell: Tell
    seen: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Tell what is new."""
        for shown in (*self.incidents(), *self.windows()):
            for update in shown.updates:
                if update.id not in self.seen:
                    self.seen.add(update.id)
                    status = update.status.replace("_", " ")
                    self.tell(self.clock.minute(), "page", f"{shown.name} · {status} · {update.message}")

    def incidents(self) -> list[Any]:
        """Give every incident of the page, the oldest first."""
        return list(self.page.state.incidents.shelf.all())

    def windows(self) -> list[Any]:
        """Give every maintenance window of the page, the oldest first."""
        return list(self.page.state.maintenances.shelf.all())

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for the page; fail where it takes too long."""
        end = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"the page never came to: {what}")
            time.sleep(0.05)
            self.look()
        self.look()


@dataclass(frozen=True, slots=True)
class Stage:
    """
    What an act is played on.

    Args:
        sources: The sources that the rules know, by name.
        heard: Whether the worker has heard all that was sent.
    """

    clock: FastClock
    sender: Sender
    watcher: Watcher
    client: httpx.Client
    tell: Tell
    sources: Mapping[str, SourceConfig]
    heard: Callable[[], bool]

    def note(self, text: str) -> None:
        """Tell what comes in."""
        self.tell(self.clock.minute(), "in", text)

    def send(self, note: str, *problems: Problem, ended: bool = False) -> None:
        """Let alerts fire, or end, all of them at once; and tell so."""
        with self.clock.still():
            self.note(note)
            for problem in problems:
                self.sender.post(self.client, problem, ended=ended)
            while not self.heard():
                time.sleep(0.01)


@contextlib.contextmanager
def stage(rules: Path, *, keep: bool, tell: Tell) -> Iterator[Stage]:
    """
    Set everything up, for the length of a block.

    Args:
        rules: The rules directory to use; its pages are pointed at the local one.
        keep: Stay up after the block, until interrupted.
        tell: See ``Tell``.
    """
    set_up_logs("console", "error")
    clock, loaded = FastClock(), load_rules(rules)
    alerts = staging.sender(loaded, rules)
    with tempfile.TemporaryDirectory(prefix="statusbridge-demo-") as scratch:
        ledger = os.environ.get("STATUSBRIDGE_DEMO_LEDGER") or f"{scratch}/demo.db"
        settings = Settings(rules=rules, ledger=f"sqlite:///{ledger}", port=0, poll=0.1, log_level="error")
        with SandboxServer(State(build_pages(staging.page_content(loaded), clock())), clock=clock) as page:
            ready, environ = staging.staged(loaded, page.url, DEFAULT_KEY, SECRETS)
            known = endpoints(ready, environ)
            sender = Sender("", clock, known[alerts], known)
            staging.check_cast(ready, rules, sender.sample())
            running = _running(settings, environ, clock, ready)
            with running as sender.url, httpx.Client(trust_env=False) as client:
                tell("00:00", "page", f"public page on {page.url}")
                tell("00:00", "worker", f"listens on {sender.url}, rules from {rules}")
                if staging.holds_back(loaded):
                    tell("00:00", "worker", "here it publishes by itself, whatever `publish` says in the rules")
                yield Stage(clock, sender, Watcher(page, clock, tell), client, tell, loaded.sources, running.heard)
                if keep:
                    _stay(page.url, sender.url, ledger, tell)


class _running:  # noqa: N801  (reads as a verb where it is used)
    """The worker on a free port, for the length of a block; gives its address."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], clock: FastClock, rules: RuleSet) -> None:
        self._worker = Worker(
            settings, environ=environ, clock=clock, monotonic=lambda: clock().timestamp(), load=lambda: rules
        )
        self._url = ""
        self._up = threading.Event()
        self._server = Server(self._worker.app, settings.host, settings.port, self._started)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    def heard(self) -> bool:
        """Say whether nothing waits in the inbox."""
        return not self._worker.ledger.pending(1)

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


def _stay(page: str, worker: str, ledger: str, tell: Tell) -> None:
    tell("", "up", f"public page {page} · worker {worker} · ledger {ledger} · Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
