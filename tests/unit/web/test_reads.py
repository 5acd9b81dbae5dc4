"""The reading part of the API: what is told, in parts, and what is no question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.ledger_rows import NOW, action, episode
from tests.unit.web.shelf import OPEN, WAITS, WINDOW, filled
from tests.unit.web.site import Site
from worker.core.model import ActionState
from worker.ports import Commit
from worker.rehearse.memory import MemoryLedger


def told(site: Site, path: str, **query: Any) -> Any:
    reply = site.ask("GET", f"/api/v1/{path}", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def names(part: Any) -> list[str]:
    return [item["id"] for item in part["items"]]


@pytest.fixture
def site() -> Site:
    return Site(inbox=filled(), clock=lambda: NOW + timedelta(minutes=1))


def test_the_status_says_what_waits_and_what_is_open(site: Site) -> None:
    status = told(site, "status")
    assert sorted(each["id"] for each in status["waiting"]) == [f"{OPEN}/2", WAITS]
    assert sorted(each["id"] for each in status["episodes"]) == [OPEN, "rule@main#2"]
    first = next(each for each in status["episodes"] if each["id"] == OPEN)
    assert (first["says"], first["firing"], first["components"]["api"]) == ("investigating", 1, "partial_outage")
    assert [each["inbound"] for each in status["parked_webhooks"]] == [2]
    assert status["lag"] == {"posts": 1, "median": 2.0, "worst": 2.0}
    assert [each["id"] for each in status["windows"]] == [WINDOW]


def test_a_story_has_everything(site: Site) -> None:
    story = told(site, "story", of=OPEN)
    assert story["episode"]["id"] == OPEN
    assert story["window"] is None
    assert [len(story[name]) for name in ("events", "decisions", "actions", "attempts")] == [1, 1, 2, 1]
    assert told(site, "story", of=WINDOW)["window"]["id"] == WINDOW


def test_history_is_filtered(site: Site) -> None:
    assert len(names(told(site, "history"))) == 3
    assert names(told(site, "history", state=["held", "awaiting_approval"], text="TITLE")) == [WAITS]
    assert names(told(site, "history", page="other")) == []
    assert names(told(site, "history", since=(NOW + timedelta(days=1)).isoformat())) == []


def test_what_waits_can_be_approved_by_what_is_told_of_it(site: Site) -> None:
    (item,) = told(site, "history", state="awaiting_approval")["items"]
    assert len(item["approval_hash"]) == 64


def test_long_lists_come_in_parts_that_lose_and_repeat_nothing() -> None:
    ledger = MemoryLedger()
    acts = [action(seq=n, created_at=NOW, state=ActionState.DONE) for n in range(1, 8)]
    over = [episode(n, key="old@page", ended_at=NOW + timedelta(minutes=n)) for n in range(1, 8)]
    ledger.commit(Commit(now=NOW, episodes=[episode(), *over], actions=acts))
    site = Site(inbox=ledger)
    for path, count in (("history", 7), ("episodes", 8)):
        found: list[str] = []
        after = ""
        while True:
            part = told(site, path, limit=3, after=after)
            found += names(part)
            after = part["next"]
            if after is None:
                break
        assert len(found) == len(set(found)) == count


def test_an_inbound_is_told_without_what_proved_its_sender(site: Site) -> None:
    assert told(site, "inbounds/1")["body"] == '{"a": "text"}'
    assert [item["inbound"] for item in told(site, "inbounds", state="parked")["items"]] == [2]
    assert told(site, "inbounds/1/explanation")[0]["key"] == "k"


def test_notices_rules_windows_and_activity_are_told(site: Site) -> None:
    assert told(site, "notices", severity="error")["items"][0]["code"] == "held"
    assert told(site, "rules") == {"hash": "f" * 64, "rules": [], "warnings": []}
    assert names(told(site, "windows", page="main")) == [WINDOW]
    spans = told(site, "activity", days=1)
    assert (len(spans), sum(span["heard"] for span in spans)) == (96, 1)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("story?of=nothing", 404, "not_found"),
        ("story", 422, "invalid"),
        ("inbounds/99", 404, "not_found"),
        ("inbounds/99/explanation", 404, "not_found"),
        ("inbounds/x", 422, "invalid"),
        ("inbounds/99999999999999999999", 422, "invalid"),
        ("history?state=nonsense", 422, "invalid"),
        ("history?limit=0", 422, "invalid"),
        ("history?limit=1001", 422, "invalid"),
        ("history?since=yesterday", 422, "invalid"),
        ("history?since=2026-11-23T10:00:00", 422, "invalid"),
        ("history?after=x", 422, "invalid"),
        ("history?after=W10", 422, "invalid"),
        ("history?after=WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiYSIsMV0", 422, "invalid"),  # a time without a zone
        ("inbounds?after=WzFlNDAwXQ", 422, "invalid"),
        ("notices?severity=loud", 422, "invalid"),
        ("activity?days=91", 422, "invalid"),
    ],
)
def test_what_is_no_question_is_told_as_a_problem(site: Site, path: str, status: int, code: str) -> None:
    reply = site.ask("GET", f"/api/v1/{path}")
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
