"""Zabbix' own script engine runs the script of its page against a running worker: a problem, then its recovery."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaks import rehearsed_page
from tests.processes import TOKEN, Running, until, worker, write_rules
from worker.sandbox import SandboxServer

PAGE = Path(__file__).parents[2] / "docs/reference/sources/zabbix.md"
MACROS = {
    "event_id": "20417",
    "event_update_status": "0",
    "event_name": 'Checkout says "503" é',
    "event_severity": "High",
    "event_nseverity": "4",
    "event_opdata": "",
    "host_name": "checkout.example.org",
    "trigger_id": "14077",
    "tags": '[{"tag": "service", "value": "checkout"}]',
}


@pytest.fixture
def engine() -> str:
    """What runs scripts for Zabbix; missing it skips on a laptop and fails in CI."""
    found = shutil.which("zabbix_js")
    if found is None:
        message = "zabbix_js is not installed: apt-get install --no-install-recommends zabbix-server-pgsql"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with rehearsed_page() as server:
        yield server


def rules_for(folder: Path, page: SandboxServer) -> Path:
    rules = write_rules(folder, page.url)
    file = rules / "rules.yaml"
    text = (
        file.read_text()
        .replace("alertmanager", "zabbix")
        .replace("labels.severity: [critical, warning]", "kind: problem")
    )
    file.write_text(text.replace("{critical: full_outage, warning: degraded_performance}", "full_outage"))
    return rules


class Zabbix:
    """A media type with the script of our page."""

    def __init__(self, engine: str, folder: Path, run: Running) -> None:
        scripts = re.findall(r"```text\n(var .*?)```", PAGE.read_text(), re.DOTALL)
        self._script = folder / "script.js"
        self._script.write_text(scripts[0])
        self._engine, self._input, self._url = engine, folder / "input.json", f"{run.url}/hooks/zabbix"

    def sends(self, value: str, token: str = TOKEN) -> str:
        self._input.write_text(json.dumps({**MACROS, "event_value": value, "url": self._url, "token": token}))
        command = [self._engine, "-s", str(self._script), "-i", str(self._input)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return (done.stdout + done.stderr).strip()


def test_zabbix_opens_and_resolves_one_incident(engine: str, page: SandboxServer, tmp_path: Path) -> None:
    with worker(rules_for(tmp_path / "rules", page), tmp_path / "ledger.db") as run:
        zabbix = Zabbix(engine, tmp_path, run)
        assert "answered 401" in zabbix.sends("1", token="wrong"), "what is not taken is an error to Zabbix"
        assert zabbix.sends("1") == "OK"
        until(lambda: page.state.incidents.shelf.all(), "an incident")
        assert zabbix.sends("0") == "OK"
        until(lambda: [i.status for i in page.state.incidents.shelf.all()] == ["resolved"], "its end")
        (incident,) = page.state.incidents.shelf.all()
        assert incident.name == "Trouble with checkout"
