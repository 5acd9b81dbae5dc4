"""Every undocumented behaviour can be had both ways."""

from __future__ import annotations

from typing import Any

import pytest

from worker.errors import ConfigError
from worker.sandbox import Switches

from .desk import Clock, Desk


def resolved(desk: Desk) -> str:
    made: str = desk.new_incident(idempotency_key="old")["status_page_incident"]["id"]
    desk.post(made, incident_status="resolved")
    return made


def test_a_key_can_expire(desk: Desk, clock: Clock) -> None:
    desk.state.switches.key_expiry = 60
    first = desk.new_incident(idempotency_key="same")
    clock.pass_(59)
    assert desk.new_incident(idempotency_key="same") == first
    clock.pass_(1)
    assert desk.new_incident(idempotency_key="same") != first


@pytest.mark.parametrize(("setting", "status"), [("replay", 201), ("409", 409), ("422", 422)])
def test_another_body_under_a_known_key(desk: Desk, setting: Any, status: int) -> None:
    desk.state.switches.same_key_other_body = setting
    desk.new_incident(idempotency_key="same")
    desk.new_incident(201, idempotency_key="same")
    desk.new_incident(status, idempotency_key="same", name="Another")


@pytest.mark.parametrize(("setting", "status"), [("free", 201), ("spent", 422)])
def test_a_refused_create_and_its_key(desk: Desk, setting: Any, status: int) -> None:
    desk.state.switches.refused_key = setting
    desk.new_incident(422, idempotency_key="same", name="")
    desk.new_incident(status, idempotency_key="same")


@pytest.mark.parametrize(("setting", "status"), [("original", "investigating"), ("current", "resolved")])
def test_what_a_repeated_create_shows(desk: Desk, setting: Any, status: str) -> None:
    desk.state.switches.replay_shows = setting
    resolved(desk)
    assert desk.new_incident(idempotency_key="old")["status_page_incident"]["incident_status"] == status


def test_a_deleted_object_is_still_the_answer_to_its_key(desk: Desk, clock: Clock) -> None:
    desk.state.switches.replay_shows = "current"
    first = desk.new_incident(idempotency_key="old")
    desk.state.person_deletes(first["status_page_incident"]["id"], now=clock())
    assert desk.new_incident(idempotency_key="old") == first


@pytest.mark.parametrize(("setting", "status"), [("reopen", 201), ("refuse", 422)])
def test_an_update_on_a_resolved_incident(desk: Desk, setting: Any, status: int) -> None:
    desk.state.switches.update_on_resolved = setting
    made = resolved(desk)
    desk.post(made, status, incident_status="investigating")
    assert bool(desk.state.ongoing_incidents(desk.page.id)) is (status == 201)
    desk.state.switches.update_on_resolved = "reopen"
    desk.post(made, incident_status="resolved")


@pytest.mark.parametrize(("setting", "status"), [("accept", 201), ("refuse", 422)])
def test_a_second_resolve(desk: Desk, setting: Any, status: int) -> None:
    desk.state.switches.second_resolve = setting
    desk.post(resolved(desk), status, incident_status="resolved")


@pytest.mark.parametrize(
    ("setting", "kept"),
    [
        ("exact", ' It\'s "down"\r\n'),
        ("trimmed", 'It\'s "down"'),
        ("typographic", "It\N{RIGHT SINGLE QUOTATION MARK}s \N{LEFT DOUBLE QUOTATION MARK}down\u201d"),
    ],
)
def test_what_becomes_of_text(desk: Desk, setting: Any, kept: str) -> None:
    desk.state.switches.text = setting
    made = desk.new_incident(message=' It\'s "down"\r\n')["status_page_incident"]
    assert made["updates"][0]["message"] == kept


def test_lists_can_lag_and_single_objects_too(desk: Desk, clock: Clock) -> None:
    desk.state.switches.list_lag = 10
    made = desk.new_incident()["status_page_incident"]["id"]
    path = "/v2/status_page_incidents"
    assert desk.get(path, status_page_id=desk.page.id)["status_page_incidents"] == []
    assert desk.get(f"{path}/{made}")["status_page_incident"]["id"] == made
    clock.pass_(10)
    desk.post(made)
    assert len(desk.get(path, status_page_id=desk.page.id)["status_page_incidents"][0]["updates"]) == 1
    desk.state.switches.show_lag = 5
    assert len(desk.get(f"{path}/{made}")["status_page_incident"]["updates"]) == 1
    clock.pass_(5)
    assert len(desk.get(f"{path}/{made}")["status_page_incident"]["updates"]) == 2


def test_switches_are_read_from_options() -> None:
    read = Switches.parse(["list_lag=2.5", "second_resolve=refuse", "same_key_other_body=409"])
    assert read == Switches(list_lag=2.5, second_resolve="refuse", same_key_other_body="409")


def test_every_wrong_option_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        Switches.parse(["gravity=off", "second_resolve=maybe", "list_lag=soon"])
    assert [word in str(caught.value) for word in ("gravity", "maybe", "soon")] == [True] * 3
