"""``explain``: which rules match, which line fails with which value, and what would, or did, come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.desk import Desk
from tests.unit.steps.rig import HEAD, START, Rig, alert, notification, rule

ROOT = Path(__file__).parents[3]
RULES = ROOT / "rules"
DURING = "2026-12-06T01:30Z"


def payload(tmp_path: Path, *alerts: Any) -> Path:
    path = tmp_path / "payload.json"
    path.write_text(json.dumps(notification(*alerts)))
    return path


@pytest.fixture
def firing(tmp_path: Path) -> Path:
    return payload(tmp_path, alert(env="prod", region="eu"))


def explained(desk: Desk, path: Path | str, *more: object, rules: Path = RULES) -> list[str]:
    said = desk("explain", path, "--source", "alertmanager", "--rules", rules, *more)
    assert said.code == 0, said.err
    return [line.strip().replace(f"{rules}/", "") for line in said.out.splitlines()]


def test_a_rule_that_matches_shows_every_line_and_what_it_does(desk: Desk, firing: Path) -> None:
    lines = explained(desk, firing)
    at = lines.index("matches  checkout-outage  (checkout.yaml:3:5)")
    assert lines[at + 1 : at + 6] == [
        "`source` is `alertmanager`",
        "`labels.service` is `checkout`",
        "`labels.severity` is `critical`",
        '`if` gives `true`: label("env") in ["", "prod"]',
        "components: checkout full_outage",
    ]


def test_a_rule_that_does_not_match_shows_the_first_line_that_fails_and_where(desk: Desk, firing: Path) -> None:
    lines = explained(desk, firing)
    at = lines.index("no match  database-outage  (database.yaml:3:5)")
    assert lines[at + 1] == "`labels.service` is `checkout`; wanted: `database`  (database.yaml:6:7)"


def test_what_would_come_of_it_is_told_with_times_and_texts(desk: Desk, firing: Path) -> None:
    lines = explained(desk, firing, "--at", "2026-11-23T10:00Z", "--for", "1h")
    assert lines[-6:] == [
        "0s     alertmanager: alert “a” fires",
        "0s     held: first signal fires",
        "3m     by `hold: 3m`, checkout.yaml:14:7",
        "3m     open_incident checkout-outage#1: investigating; checkout full_outage; mails",
        "“Checkout problems in eu”",
        "“Some customers in eu cannot complete checkout. We are investigating.”",
    ]


def test_what_maintenance_keeps_back_says_so(desk: Desk, firing: Path) -> None:
    lines = explained(desk, firing, "--at", DURING, "--for", "2h")
    assert any("40m    maintenance `db-work`, and its `grace`, kept it back until now" in line for line in lines)


def test_what_is_held_to_the_end_is_told_as_not_said(desk: Desk, firing: Path) -> None:
    lines = explained(desk, firing, "--for", "1m")
    assert lines[-1] == "checkout-outage@main#1: held: first signal fires; nothing is said"


def test_a_severity_without_a_status_counts_for_nothing_and_says_so(desk: Desk, tmp_path: Path) -> None:
    path = payload(tmp_path, alert(severity="page", service="search"))
    rules = tmp_path / "rules"
    rules.mkdir()
    head = (RULES / "pages.yaml").read_text() + (RULES / "sources.yaml").read_text() + "rules:\n"
    search = rule("search", match="{labels.service: search}", components="{checkout: {critical: full_outage}}")
    (rules / "rules.yaml").write_text(head + search)
    assert "counts for nothing: its severity has no status in `components`" in explained(desk, path, rules=rules)


def test_a_resolved_signal_asks_no_rule(desk: Desk, tmp_path: Path) -> None:
    lines = explained(desk, payload(tmp_path, alert(status="resolved")))
    assert "no rule is asked: it is resolved, and whatever it was part of hears of it" in lines
    assert lines[-1] == "nothing comes of it"


def test_what_cannot_be_understood_says_why(desk: Desk, firing: Path) -> None:
    said = desk("explain", firing, "--source", "ci", "--rules", RULES)
    assert said.code == 1
    assert "not understood: each.job: `body.jobs`" in said.err


def test_the_source_must_be_told_and_known(desk: Desk, firing: Path) -> None:
    assert desk("explain", firing, "--rules", RULES).code == 2
    unknown = desk("explain", firing, "--source", "alertmanger", "--rules", RULES)
    assert (unknown.code, unknown.err) == (
        2,
        "--source: there is no source `alertmanger`; did you mean `alertmanager`?\n",
    )


def test_json_has_every_line_of_every_rule(desk: Desk, firing: Path) -> None:
    said = desk("explain", firing, "--source", "alertmanager", "--rules", RULES, "--json", "--for", "10m")
    (statement,) = said.data["statements"]
    found = {each["rule"]: each for each in statement["rules"]}
    assert found["checkout-outage"]["matches"]
    lines = {line["field"]: line for line in found["database-outage"]["lines"]}
    assert lines["labels.service"] == {
        "field": "labels.service",
        "wanted": "`database`",
        "actual": "checkout",
        "held": False,
    }
    assert [action["do"] for action in said.data["ahead"]["actions"]] == ["open_incident"]


def test_an_inbound_of_the_ledger_tells_what_came_of_it(desk: Desk, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "ledger.db", rule(hold="3m"))
    rig.fires().passes("5m")
    rig.close()
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "rules.yaml").write_text(HEAD + rule(hold="3m"))
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    said = desk("explain", "inbound/1", "--ledger", ledger, "--rules", rules)
    assert said.code == 0, said.err
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[0] == f"inbound 1 from alerts, {START:%Y-%m-%d %H:%M:%S} UTC, done"
    assert lines[1].endswith("fires  → news")
    at = lines.index("what was decided because of it")
    assert lines[at + 1] == "2026-11-23 10:00:00  checkout@main#1: held: first signal fires"
    assert lines[at + 2 :] == [
        "what was said since then about the same",
        "2026-11-23 10:03:00  open_incident: investigating; checkout full_outage; mails",
        "“Checkout problems”",
        "“It began.”",
    ]
    assert desk("explain", "inbound/99", "--ledger", ledger, "--rules", rules).code == 1
