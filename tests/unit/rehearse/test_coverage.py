"""Coverage names what no test has reached, at its place, and forgets nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.unit.rehearse.test_stage import alert, sent, staged
from tests.unit.steps.rig import rule
from worker.bootstrap import load_rules
from worker.rehearse.coverage import Coverage
from worker.rehearse.stage import Stage

ROOT = Path(__file__).parents[3]
START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def watched(stage: Stage) -> Coverage:
    coverage = Coverage(stage.book.rules)
    stage.heed = coverage.watch(stage)
    return coverage


def missed(coverage: Coverage) -> set[str]:
    return {point.what for point in coverage.missed}


def test_at_first_nothing_is_reached_and_every_text_is_a_point() -> None:
    coverage = Coverage(load_rules(ROOT / "rules"))
    assert len(coverage.missed) == len(coverage.points)
    owners = {(point.owner, point.what) for point in coverage.points}
    assert owners >= {
        ("checkout-outage", "say.monitoring"),
        ("checkout-outage", "`checkout` at severity `warning`"),
        ("checkout-outage", "`if` lets one pass by"),
        ("checkout-outage", "yields to `database-outage`"),
        ("database-outage", "say.keepalive"),
        ("database-outage", "is reopened"),
        ("major-incidents", "resolve.canceled"),
        ("db-work", "remind"),
    }


def test_an_incident_that_comes_and_goes_reaches_its_texts_and_its_severity() -> None:
    stage = staged(rule(hold="3m", quiet="5m"))
    coverage = watched(stage)
    before = missed(coverage)
    sent(stage, 0, alert())
    sent(stage, 10, alert(status="resolved"))
    stage.until(START + timedelta(hours=1))
    assert before - missed(coverage) == {
        "matches a signal",
        "say.open",
        "say.resolve",
        "`checkout` at severity `critical`",
    }
    assert missed(coverage) == {
        "say.worsen",
        "say.improve",
        "`checkout` at severity `warning`",
        "clears while it is held",
        "fires again before `quiet` is over",
    }


def test_a_blip_and_a_flap_reach_what_only_they_do() -> None:
    blip = staged(rule(hold="3m", quiet="5m"))
    coverage = watched(blip)
    sent(blip, 0, alert())
    sent(blip, 1, alert(status="resolved"))
    assert "clears while it is held" not in missed(coverage)
    assert "say.open" in missed(coverage)
    flap = staged(rule(hold="3m", quiet="5m"))
    flap.heed = coverage.watch(flap)
    sent(flap, 0, alert())
    sent(flap, 5, alert(status="resolved"))
    sent(flap, 6, alert(started=START + timedelta(minutes=6)))
    assert "fires again before `quiet` is over" not in missed(coverage)


def test_a_text_that_can_never_be_said_is_no_point() -> None:
    fixed = Coverage(staged(rule(components="{checkout: full_outage}")).book.rules)
    assert not {"say.worsen", "say.improve"} & {point.what for point in fixed.points}


def test_yielding_counts_only_when_it_kept_something_back() -> None:
    rules = [rule("database", match="{labels.service: database}", hold="0s"), rule(hold="3m", yield_to="[database]")]
    alone = staged(*rules)
    coverage = watched(alone)
    sent(alone, 0, alert())
    alone.until(START + timedelta(minutes=10))
    assert "yields to `database`" in missed(coverage)
    both = staged(*rules)
    both.heed = coverage.watch(both)
    sent(both, 0, alert("db", service="database"), alert())
    both.until(START + timedelta(minutes=10))
    assert "yields to `database`" not in missed(coverage)
