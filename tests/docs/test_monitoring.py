"""Alerts and dashboard: they use what there is, and each alert leads to the words that say what mends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.test_docs import anchors
from worker.ledger import open_ledger
from worker.telemetry import PrometheusMeter

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs/monitoring"
PRODUCTION = ROOT / "docs/how-to/run-in-production.md"
ALERTS: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
PANELS: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
OF_PROMETHEUS = {"up"}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that there may be, with the labels that the reference names for it."""
    meter = PrometheusMeter()
    path = tmp_path_factory.mktemp("monitoring") / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}", clock=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    meter.watch(ledger.totals, lambda: {"main": True})
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", meter.exposition().decode(), re.MULTILINE):
        row = next((line for line in _reference() if f"`{name}`" in line), "")
        labels = set(re.findall(r"`(\w+)`", row)) | {"job", "instance"}
        found |= {name + tail: labels for tail in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}
    ledger.close()
    return found


def _reference() -> list[str]:
    return (ROOT / "docs/reference/metrics.md").read_text().splitlines()


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((alert["alert"], alert["expr"]) for alert in ALERTS)
    yield from ((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"])


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_every_expression_uses_series_and_labels_that_there_are(
    name: str, expression: str, exposed: dict[str, set[str]]
) -> None:
    series = set(re.findall(r"\b((?:statusbridge|process)_\w+|up)\b", expression))
    assert series
    assert series <= exposed.keys() | OF_PROMETHEUS
    for metric, selector in re.findall(r"\b(statusbridge_\w+)\{([^}]*)\}", expression):
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selector):
            assert label in exposed[metric], (metric, label)
            assert label == "job" or set(values.split("|")) <= exposed[metric] | _kinds(), (metric, values)


def _kinds() -> set[str]:
    return set(re.findall(r"`(\w+)`", (ROOT / "docs/reference/glossary.md").read_text()))


def test_every_alert_leads_to_its_own_paragraph_and_every_paragraph_has_its_alert() -> None:
    text = PRODUCTION.read_text()
    known = anchors(PRODUCTION)
    for alert in ALERTS:
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert page == PRODUCTION.name
        assert anchor in known, alert["alert"]
        assert f"`{alert['alert']}`" in text
    told = text.partition("## What each alert means")[2]
    assert len(re.findall(r"^### ", told, re.MULTILINE)) == len(ALERTS)
    assert all("`" in paragraph for paragraph in told.split("### ")[1:])


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    taken = [
        (x, y)
        for panel in PANELS
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("words", ["check rules docs/monitoring/alerts.yaml", "test rules tests/docs/alerts.yaml"])
def test_prometheus_takes_the_alerts_and_they_ring_when_they_should(words: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None and not os.environ.get("CI"):
        pytest.skip("promtool is not installed: apt-get install prometheus")
    assert promtool is not None
    done = subprocess.run([promtool, *words.split()], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
