"""On the stage the real steps run on a clock that is moved: every alarm at its time, and no work is left."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.steps.rig import HEAD, alert, notification, rule
from worker.bootstrap import source_facts
from worker.bootstrap.rehearsal import stage_for
from worker.core.model import ActionState, Inbound, IncidentStatus
from worker.core.rules import load
from worker.providers import PROVIDERS
from worker.rehearse.play import Saying, sayings
from worker.rehearse.stage import Stage

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def staged(*rules: str) -> Stage:
    text = HEAD + "".join(rules or (rule(hold="3m"),))
    loaded = load({"rules.yaml": text}, {}, source_kinds=source_facts(), provider_names=PROVIDERS)
    return stage_for(loaded, START)


def sent(stage: Stage, minute: float, *alerts: Any) -> Inbound:
    inbound = Inbound(
        source="alerts",
        body=json.dumps(notification(*alerts)).encode(),
        headers={},
        received_at=START + minute * MINUTE,
    )
    stage.receive(inbound)
    return inbound


def told(stage: Stage) -> list[tuple[float, str]]:
    return [((saying.at - START) / MINUTE, str(saying.action.post)) for saying in sayings(stage)]


def only(stage: Stage) -> Saying:
    (saying,) = sayings(stage)
    return saying


def test_what_is_due_on_the_way_happens_at_its_time() -> None:
    stage = staged()
    sent(stage, 0, alert())
    sent(stage, 10, alert(status="resolved", ended=START + 10 * MINUTE))
    stage.until(START + timedelta(days=30))
    assert told(stage) == [(3, "open"), (11, "resolve")]
    assert stage.now == START + timedelta(days=30)


def test_the_clock_never_runs_back() -> None:
    stage = staged()
    stage.until(START + 5 * MINUTE)
    stage.until(START)
    assert stage.now == START + 5 * MINUTE


def test_a_person_is_noticed_a_minute_after_they_posted() -> None:
    stage = staged()
    sent(stage, 0, alert())
    stage.until(START + 5 * MINUTE)
    page = stage.pages["main"]
    page.post(only(stage).action.remote_id, "It is the provider.", IncidentStatus.IDENTIFIED)
    stage.watch("main")
    stage.until(START + 5.9 * MINUTE)
    assert not stage.notices
    stage.until(START + 6 * MINUTE)
    assert [(at, notice.code) for at, notice in stage.notices] == [(START + 6 * MINUTE, "taken_over")]
    assert stage.ledger.story("checkout#1").about.hands_off  # type: ignore[union-attr]


def test_a_page_out_of_reach_is_written_to_once_it_is_back() -> None:
    stage = staged()
    stage.pages["main"].unreachable_until = START + 60 * MINUTE
    sent(stage, 0, alert())
    stage.until(START + 59 * MINUTE)
    assert only(stage).action.state is ActionState.QUEUED
    stage.until(START + 62 * MINUTE)
    assert only(stage).said
    assert START + 60 * MINUTE <= only(stage).at <= START + 61 * MINUTE


def test_the_page_tells_our_writes_apart_by_their_key() -> None:
    stage = staged()
    sent(stage, 0, alert())
    stage.until(START + 5 * MINUTE)
    page, action = stage.pages["main"], only(stage).action
    again = page.send(action, page.request(action, page.directory()))
    assert again.remote_id == action.remote_id
    assert len(page.ongoing(page.directory())) == 1


def test_other_rules_take_over_as_at_a_reload() -> None:
    stage = staged()
    sent(stage, 0, alert())
    stage.until(START + MINUTE)
    stage.use(staged(rule(hold="10m")).book)
    stage.until(START + 20 * MINUTE)
    assert told(stage) == [(10, "open")]


def test_a_body_that_nobody_understands_is_parked_and_told() -> None:
    stage = staged()
    stage.receive(Inbound(source="alerts", body=b"<html>", headers={}, received_at=START))
    assert [notice.code for _, notice in stage.notices] == ["inbound_parked"]


def test_what_never_ends_is_a_fault_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged()
    monkeypatch.setattr(stage._advance, "run_once", lambda: 1)
    with pytest.raises(RuntimeError, match="always something to do"):
        stage.until(START + MINUTE)
