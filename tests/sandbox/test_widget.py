"""The Widget API has the fields of live pages, and no others."""

from __future__ import annotations

import json
from typing import Any

from worker.sandbox import Reply, Request

from .desk import Clock, Desk

EVENT = {"id", "name", "url", "status", "last_update_at", "last_update_message", "affected_components"}


def ask(desk: Desk, method: str = "GET", path: str = "/api/v1/summary") -> Reply:
    reply = desk.service.exchange(Request(method=method, path=path))
    assert reply is not None
    return reply


def summary(desk: Desk) -> Any:
    return json.loads(ask(desk).body)


def test_a_quiet_page_has_three_empty_lists(desk: Desk) -> None:
    assert summary(desk) == {
        "page_title": "Acme Status",
        "page_url": desk.state.base_url,
        "ongoing_incidents": [],
        "in_progress_maintenances": [],
        "scheduled_maintenances": [],
    }


def test_an_ongoing_incident(desk: Desk, clock: Clock) -> None:
    europe = [{"component_id": desk.page.component_id("Europe / API"), "component_status": "full_outage"}]
    made = desk.new_incident(component_statuses=europe)["status_page_incident"]["id"]
    clock.pass_(60)
    desk.post(made, incident_status="identified")
    [incident] = summary(desk)["ongoing_incidents"]
    assert set(incident) == EVENT | {"current_worst_impact"}
    assert (incident["status"], incident["current_worst_impact"]) == ("identified", "full_outage")
    assert (incident["last_update_at"], incident["last_update_message"]) == ("2026-11-23T10:01:00Z", "News.")
    [component] = incident["affected_components"]
    assert component == {
        "id": europe[0]["component_id"],
        "name": "API",
        "group_name": "Europe",
        "current_status": "full_outage",
    }
    desk.post(made, incident_status="resolved")
    assert summary(desk)["ongoing_incidents"] == []


def test_windows_planned_and_running(desk: Desk, clock: Clock) -> None:
    desk.new_window(automate_maintenance_status=True)
    [planned] = summary(desk)["scheduled_maintenances"]
    assert set(planned) == EVENT | {"starts_at", "ends_at"}
    assert (planned["starts_at"], planned["ends_at"]) == ("2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z")
    clock.pass_(3700)
    answer = summary(desk)
    [running] = answer["in_progress_maintenances"]
    assert answer["scheduled_maintenances"] == []
    assert set(running) == EVENT | {"started_at", "scheduled_end_at"}
    assert (running["started_at"], running["scheduled_end_at"]) == ("2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z")
    assert [c["current_status"] for c in running["affected_components"]] == ["under_maintenance"] * 2


def test_it_is_open_to_every_origin_and_its_owner_may_close_it(desk: Desk) -> None:
    assert ("access-control-allow-origin", "*") in ask(desk).headers
    assert ask(desk, "OPTIONS").status == 204
    desk.page.widget = False
    assert ask(desk).status == 404
