"""A real Alertmanager, pointed at a running worker: a flapping, grouped alert becomes exactly one incident."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.leaks import rehearsed_page
from tests.processes import TOKEN, until, worker, write_rules
from worker.sandbox import SandboxServer

CONFIG = """
route: {{receiver: statusbridge, group_by: [service], group_wait: 100ms, group_interval: 500ms, repeat_interval: 2s}}
receivers:
  - name: statusbridge
    webhook_configs:
      - url: {url}/hooks/alertmanager
        http_config: {{authorization: {{credentials: {token}}}}}
"""


@pytest.fixture
def binary() -> str:
    """The Alertmanager; missing it skips on a laptop and fails in CI."""
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if found is None:
        message = "Alertmanager is not installed: apt-get install prometheus-alertmanager"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


class Alertmanager:
    """A real one, on loopback."""

    def __init__(self, binary: str, folder: Path, receiver: str) -> None:
        config = folder / "alertmanager.yml"
        config.write_text(CONFIG.format(url=receiver, token=TOKEN))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = httpx.Client(trust_env=False)
        until(self._ready, "Alertmanager ready")

    def _ready(self) -> bool:
        try:
            return self.client.get(f"{self.url}/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def says(self, name: str, severity: str, started: datetime, ended: datetime | None = None) -> None:
        """An alert as Prometheus would push it."""
        alert = {
            "labels": {"alertname": name, "service": "checkout", "severity": severity},
            "startsAt": started.isoformat(),
        }
        alert["endsAt"] = (ended or datetime.now(UTC) + timedelta(minutes=5)).isoformat()  # noqa: TID251  (a real sender)
        self.client.post(f"{self.url}/api/v2/alerts", json=[alert]).raise_for_status()

    def stop(self) -> None:
        """End it."""
        self.client.close()
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to watch."""
    with rehearsed_page() as server:
        yield server


def test_a_flapping_grouped_alert_is_one_incident(binary: str, page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url, hold="1s", quiet="3s", min_gap="0s")
    with worker(rules, tmp_path / "ledger.db") as run:
        sender = Alertmanager(binary, tmp_path, run.url)
        try:
            began = datetime.now(UTC)  # noqa: TID251
            sender.says("Slow", "warning", began)
            until(lambda: _said(page) == ["investigating"], "open")
            for _ in range(2):
                flap = datetime.now(UTC)  # noqa: TID251
                sender.says("Flap", "warning", flap)
                sender.says("Flap", "warning", flap, datetime.now(UTC))  # noqa: TID251
            worse = datetime.now(UTC)  # noqa: TID251
            sender.says("Errors", "critical", worse)
            until(lambda: _said(page) == ["investigating"] * 2, "worse")
            sender.says("Errors", "critical", worse, datetime.now(UTC))  # noqa: TID251
            until(lambda: _said(page) == ["investigating"] * 3, "better")
            sender.says("Slow", "warning", began, datetime.now(UTC))  # noqa: TID251
            until(lambda: _said(page)[-1:] == ["resolved"], "resolved")
        finally:
            sender.stop()
        assert run.terminate() == 0
    assert len(page.state.incidents.shelf.all()) == 1
    assert _said(page) == ["investigating"] * 3 + ["resolved"]


def _said(page: SandboxServer) -> list[str]:
    return [update.status for incident in page.state.incidents.shelf.all() for update in incident.updates]
