"""``test``: what passes is quiet, what fails says what came instead, why, and by which line of the rules."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.cli.desk import Desk, Said

ROOT = Path(__file__).parents[3]
BLIP = "a two-minute blip never reaches the page"
BUSY = """
tests:
  - name: a hundred days of a service that fails every six hours, and is told of every hour
    steps:
      - at: 0m
        send: {source: alertmanager, alerts: [{labels: {service: checkout, severity: critical}, count: 3}]}
        repeat: {every: 6h, times: 400}
      - at: 10m
        send: {source: alertmanager, alerts: [{labels: {service: mail, severity: warning}, count: 3}]}
        repeat: {every: 1h, times: 2400}
      - at: 20m
        send:
          source: alertmanager
          alerts: [{labels: {service: checkout, severity: critical}, count: 3, status: resolved}]
        repeat: {every: 6h, times: 400}
      - {at: 100d}
    totals: {incidents: 400, updates: 800, mails: 800}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the rules that come along, with their tests."""
    return Path(shutil.copytree(ROOT / "rules", tmp_path / "rules"))


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_rules_that_come_along_do_what_their_tests_claim(desk: Desk) -> None:
    said = desk("test", ROOT / "rules")
    assert (said.code, said.err) == (0, ""), said.out
    assert " 0 failures" in said.out


def test_their_tests_reach_every_rule_text_and_branch(desk: Desk) -> None:
    found = desk("test", ROOT / "rules", "--coverage", "--json").data["coverage"]
    assert found["missed"] == []
    assert found["points"] > 30


def test_a_shortened_hold_turns_red_and_says_why(desk: Desk, rules: Path) -> None:
    changed(rules / "checkout.yaml", "hold: 3m ", "hold: 1m ")
    said = desk("test", rules, "-k", "blip never")
    assert said.code == 1
    checkout = rules / "checkout.yaml"
    lines = [line.strip() for line in said.out.replace(f"{rules}/", "").splitlines()]
    assert lines[:9] == [
        f"FAIL  {BLIP}  (tests/checkout.yaml:3:5)",
        "+ 1m     open_incident checkout-outage#1: investigating; checkout full_outage; mails",
        "“Checkout problems in all regions”",
        "“Some customers in all regions cannot complete checkout. We are investigating.”",
        "came, but is not expected",
        "because",
        "0s     alertmanager: alert {service: checkout, severity: critical} fires  (tests/checkout.yaml:5:9)",
        "0s     held: first signal fires",
        f"1m     by `hold: 1m`, checkout.yaml:{place_of(checkout, 'hold:')}",
    ]


def place_of(file: Path, text: str) -> str:
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if text in line:
            return f"{number}:{line.index(text) + 1}"
    raise AssertionError(text)


def test_a_changed_text_turns_red_and_shows_both_and_where_it_stands(desk: Desk, rules: Path) -> None:
    changed(rules / "checkout.yaml", "More customers in", "More people in")
    said = desk("test", rules, "-k", "worse, better")
    assert said.code == 1
    assert "text: expected “More customers in all regions are affected now." in said.out
    assert "got “More people in all regions are affected now." in said.out
    assert f"by `say.worsen`, {rules}/checkout.yaml:{place_of(rules / 'checkout.yaml', 'worsen: ')}" in said.out


def test_what_does_not_come_any_more_says_which_line_of_the_rule_no_signal_meets(desk: Desk, rules: Path) -> None:
    changed(rules / "database.yaml", "labels.severity: critical", "labels.severity: page")
    said = desk("test", rules, "-k", "three components")
    assert said.code == 1
    assert "- 2m     open_incident database-outage" in said.out
    place = f"{rules}/database.yaml:{place_of(rules / 'database.yaml', 'labels.severity')}"
    assert f"`labels.severity` is `critical`; wanted: `page`  ({place})" in said.out


def test_a_rule_that_fails_fails_a_test_that_expects_nothing(desk: Desk, rules: Path) -> None:
    changed(rules / "checkout.yaml", 'if: label("env") in ["", "prod"]', "if: event.labels.env == 'prod'")
    said = desk("test", rules, "-k", "blip never")
    assert said.code == 1
    assert "! inbound 1: rule `checkout-outage`: if: " in said.out


def test_only_those_that_are_asked_for_run(desk: Desk) -> None:
    said = desk("test", ROOT / "rules", "-k", "BLIP NEVER", "--verbose")
    assert said.out.splitlines()[0].startswith(f"ok    {BLIP}")
    assert "1 test, 0 failures" in said.out
    nothing = desk("test", ROOT / "rules", "-k", "no such test")
    assert (nothing.code, nothing.err) == (2, f"-k: no test has `no such test` in its name; there are {count(desk)}\n")


def count(desk: Desk) -> int:
    return len(desk("test", ROOT / "rules", "--json").data["tests"])


def test_rules_without_tests_and_wrong_tests_are_wrong_calls(desk: Desk, rules: Path) -> None:
    (rules / "tests/checkout.yaml").write_text("tests:\n  - {name: x, steps: [{at: 0m}], expct: []}\n")
    assert "unknown key `expct` in test `x`; did you mean `expect`?" in refused(desk("test", rules))
    (rules / "tests/latin.yaml").write_bytes(b"# caf\xe9")
    said = refused(desk("test", rules))
    assert "unknown key `expct`" in said
    assert "latin.yaml:1:6: this is not UTF-8; save the file as UTF-8" in said
    shutil.rmtree(rules / "tests")
    assert "there are no rule tests here" in refused(desk("test", rules))


def refused(said: Said) -> str:
    assert (said.code, said.out) == (2, "")
    return said.err


def test_a_junit_report_has_every_test_and_the_words_of_those_that_fail(
    desk: Desk, rules: Path, tmp_path: Path
) -> None:
    changed(rules / "checkout.yaml", "hold: 3m ", "hold: 1m ")
    desk("test", rules, "--junit", tmp_path / "report.xml")
    root = ElementTree.parse(tmp_path / "report.xml").getroot()
    cases = root.findall(".//testcase")
    assert len(cases) == count(desk)
    failed = {case.get("name"): case.findtext("failure", "") for case in cases if case.find("failure") is not None}
    assert "by `hold: 1m`" in failed[BLIP]
    assert root.get("failures") == str(len(failed))


def test_json_has_every_action_with_all_that_the_public_reads(desk: Desk) -> None:
    (case,) = desk("test", ROOT / "rules", "-k", "storm of forty", "--json").data["tests"]
    (action,) = case["actions"]
    assert case["ok"]
    assert action["at"] == "2026-01-05T10:03:00Z"
    assert action["title"] == "Checkout problems in eu"
    assert (action["do"], action["rule"], action["mails"]) == ("open_incident", "checkout-outage", True)


def test_a_hundred_days_of_a_busy_source_take_seconds(desk: Desk, rules: Path) -> None:
    shutil.rmtree(rules / "tests")
    (rules / "tests").mkdir()
    (rules / "tests/busy.yaml").write_text(BUSY)
    began = time.process_time()
    said = desk("test", rules)
    took = time.process_time() - began
    assert said.code == 0, said.out
    assert took < 5
