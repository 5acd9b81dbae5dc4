"""Real processes for tests: a worker on a free port, waited for by condition and ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from tests.leaks import LEFT, PAGE_KEY, TOKEN

SECRETS = {"TOKEN": TOKEN, "PAGE_KEY": PAGE_KEY}

RULES = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${{PAGE_KEY}}
    base_url: {page}
    publish: auto
    settle: {settle}
    limits: {{incidents: 1000 per 10m, updates: 1000 per 1h, mails: 1000 per 1h}}
    components: {{checkout: Checkout API, api: Public API}}
sources:
  alertmanager: {{kind: alertmanager, auth: {{bearer: "${{TOKEN}}"}}}}
rules:
  - id: outage
    source: alertmanager
    match: {{labels.severity: [critical, warning]}}
    group_by: [service]
    incident:
      page: main
      components: {{checkout: {{critical: full_outage, warning: degraded_performance}}}}
      hold: {hold}
      quiet: {quiet}
      min_gap: {min_gap}
      existing: open
      title: "Trouble with {{{{ service }}}}"
      say: {{open: "It began.", worsen: "It got worse.", improve: "It got better.", resolve: "It is over."}}
"""


def write_rules(
    folder: Path, page: str, *, hold: str = "0s", quiet: str = "1s", min_gap: str = "0s", settle: str = "1s"
) -> Path:
    """Write a rules directory whose page is at *page*."""
    folder.mkdir(exist_ok=True)
    text = RULES.format(page=page, hold=hold, quiet=quiet, min_gap=min_gap, settle=settle)
    (folder / "rules.yaml").write_text(text)
    return folder


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a condition, and fail naming it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.02)


def soon(seconds: float) -> datetime:
    """Give a whole second, so many ahead; more where the machine is too busy to start a process in that time."""
    seconds += 10 * (os.getloadavg()[0] > 2 * (os.cpu_count() or 1))
    ahead = datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251  (real time)
    return ahead.replace(microsecond=0) + timedelta(seconds=1)


@dataclass
class Running:
    """A process and what it printed."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """End it as a power failure would, as far as the process can tell."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> int:
        """Ask it to end, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def running(*command: str, environ: Mapping[str, str] = SECRETS) -> Iterator[Running]:
    """Run a Python module for the length of a block; its address is the first line with ``http://`` that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environ},
    )
    run = Running(process)
    reader = threading.Thread(target=_read, args=(run,), daemon=True)
    reader.start()
    try:
        until(lambda: run.url or process.poll() is not None, f"{command} listening", 30)
        yield run
    finally:
        if process.poll() is None:
            run.kill()
        reader.join(5)
        LEFT.printed.append((f"output of {command!r:.80}", "\n".join(run.lines)))
        assert process.stdout is not None
        process.stdout.close()


def _read(run: Running) -> None:
    assert run.process.stdout is not None
    for line in run.process.stdout:
        run.lines.append(line.rstrip())
        if not run.url and "http://127.0.0.1" in line:
            run.url = "http://127.0.0.1" + line.split("http://127.0.0.1", 1)[1].split()[0].strip("'\",")


@contextmanager
def worker(rules: Path, ledger: Path, **environ: str) -> Iterator[Running]:
    """Run ``statusbridge run``; *environ* besides the secrets."""
    args = ("worker", "run", "--rules", str(rules), "--ledger", f"sqlite:///{ledger}", "--port", "0")
    with running(*args, environ={**SECRETS, **environ}) as run:
        assert run.url, "\n".join(run.lines)
        yield run


def post(url: str, body: Mapping[str, object], **more: object) -> httpx.Response:
    """Post a webhook as Alertmanager does."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(trust_env=False, timeout=5) as client:
        return client.post(f"{url}/hooks/alertmanager", json=body, headers=headers, **more)  # type: ignore[arg-type]


def notification(*alerts: Mapping[str, object]) -> dict[str, object]:
    """Wrap alerts as Alertmanager does."""
    firing = any(alert["status"] == "firing" for alert in alerts)
    return {
        "receiver": "statusbridge",
        "status": "firing" if firing else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.org",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
    }


def alert(
    name: str, service: str, severity: str, status: str, started: str = "2026-11-23T10:00:00Z"
) -> dict[str, object]:
    """Make one alert."""
    return {
        "status": status,
        "labels": {"alertname": name, "service": service, "severity": severity},
        "annotations": {},
        "startsAt": started,
        "endsAt": "2026-11-23T10:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": f"{name}-{service}",
    }
