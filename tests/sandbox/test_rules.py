"""The sandbox enforces what the vendor documents."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .desk import Clock, Desk

MINUTE = 60
HOUR = 3600


def resolve(desk: Desk, incident_id: str, expect: int = 201) -> Any:
    return desk.post(incident_id, expect, incident_status="resolved")


def statuses(desk: Desk) -> dict[str, str]:
    return desk.state.component_statuses(desk.page.id)


def window(desk: Desk, made: str) -> Any:
    return desk.get(f"/v2/status_page_maintenances/{made}")["status_page_maintenance"]


def test_a_component_shows_the_worst_of_all_that_is_ongoing(desk: Desk) -> None:
    first = desk.new_incident()["status_page_incident"]["id"]
    slow = [{"component_id": desk.checkout, "component_status": "degraded_performance"}]
    desk.new_incident(component_statuses=slow)
    desk.new_window(maintenance_status="maintenance_in_progress")
    assert statuses(desk)[desk.checkout] == "partial_outage"
    assert statuses(desk)[desk.api] == "under_maintenance"
    resolve(desk, first)
    assert statuses(desk)[desk.checkout] == "degraded_performance"


def test_impacts_follow_the_updates_and_end_with_the_incident(desk: Desk, clock: Clock) -> None:
    made = desk.new_incident()["status_page_incident"]
    for seconds, status in ((60, "partial_outage"), (60, "full_outage"), (60, "operational")):
        clock.pass_(seconds)
        desk.post(made["id"], component_statuses=[{"component_id": desk.checkout, "component_status": status}])
    clock.pass_(60)
    desk.post(made["id"], component_statuses=[{"component_id": desk.api, "component_status": "partial_outage"}])
    clock.pass_(60)
    resolve(desk, made["id"])
    shown = desk.get(f"/v2/status_page_incidents/{made['id']}")["status_page_incident"]
    minute = "2026-11-23T10:{:02d}:00Z".format
    assert [(i["component_status"], i["start_at"], i["end_at"]) for i in shown["component_impacts"]] == [
        ("partial_outage", minute(0), minute(2)),
        ("full_outage", minute(2), minute(3)),
        ("partial_outage", minute(4), minute(5)),
    ]
    assert shown["updates"][-1]["component_statuses"] == [{"component_id": desk.api, "component_status": "operational"}]


def test_an_update_without_status_leaves_it(desk: Desk) -> None:
    made = desk.new_incident(incident_status="identified")["status_page_incident"]
    assert desk.post(made["id"])["status_page_incident_update"]["incident_status"] == "identified"


@pytest.mark.parametrize("kind", ["incident", "window"])
def test_there_are_at_most_a_hundred_updates(desk: Desk, kind: str) -> None:
    if kind == "incident":
        post = partial(desk.post, desk.new_incident()["status_page_incident"]["id"])
    else:
        post = partial(desk.post_window, desk.new_window()["status_page_maintenance"]["id"])
    for _ in range(99):
        post()
    assert post(422)["errors"][0]["code"] == "too_many_updates"


def test_mails_go_out_where_asked_for_and_only_there(desk: Desk) -> None:
    silent = desk.new_incident()["status_page_incident"]["id"]
    told = desk.new_incident(notify_subscribers=True)["status_page_incident"]["id"]
    desk.post(silent, notify_subscribers=True, incident_status="resolved")
    desk.post(told)
    assert [(mail.subject_id, mail.status, mail.recipients) for mail in desk.state.mails] == [
        (told, "investigating", 42),
        (silent, "resolved", 42),
    ]


def test_mailing_is_refused_above_a_thousand_subscribers(desk: Desk) -> None:
    made = desk.new_incident()["status_page_incident"]["id"]
    desk.page.subscribers = 1000
    desk.post(made, notify_subscribers=True)
    desk.page.subscribers = 1001
    assert desk.post(made, 422, notify_subscribers=True)["errors"][0]["source"]["pointer"] == "/notify_subscribers"
    desk.new_incident(422, notify_subscribers=True)
    desk.new_window(422, notify_subscribers=True)
    desk.post(made)
    assert len(desk.state.mails) == 1


def test_names_and_messages_may_be_just_as_long_as_documented(desk: Desk) -> None:
    desk.new_incident(name="n" * 200, message="\N{BUG}" * 4096)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"{}", 422),
        (b'{"name": 5, "message": null}', 422),
        (b" " * 1_048_577, 413),
    ],
    ids=["broken", "array", "no-utf8", "deep", "empty", "wrong-types", "huge"],
)
def test_a_bad_body_is_refused_in_the_vendors_words(desk: Desk, body: bytes, status: int) -> None:
    answer = desk.tell("POST", "/v2/status_page_incidents", body, status)
    assert answer["status"] == status
    assert answer["errors"]


def test_all_problems_of_a_body_are_told_at_once(desk: Desk) -> None:
    pointers = {e["source"]["pointer"] for e in desk.tell("POST", "/v2/status_page_maintenances", {}, 422)["errors"]}
    assert pointers >= {"/name", "/message", "/start_at", "/affected_component_ids", "/notify_subscribers"}


def test_half_a_character_is_replaced_not_passed_on(desk: Desk) -> None:
    made = desk.new_incident(name="half \ud83d")["status_page_incident"]
    assert made["name"] == "half \N{REPLACEMENT CHARACTER}"


def test_unknown_paths_and_methods(desk: Desk) -> None:
    desk.tell("GET", "/v2/status_page_subscribers", None, 404)
    assert desk.tell("DELETE", "/v2/status_page_incidents/01X", None, 405)["type"] == "method_not_allowed"


def test_a_known_key_gets_the_original_answer_whatever_the_body(desk: Desk) -> None:
    first = desk.new_incident(idempotency_key="same")
    desk.post(first["status_page_incident"]["id"], incident_status="resolved")
    assert desk.new_incident(idempotency_key="same", name="Another") == first
    assert len(desk.state.incidents.shelf.all()) == 1


def test_keys_of_different_operations_do_not_meet(desk: Desk) -> None:
    desk.new_incident(idempotency_key="same")
    assert "status_page_maintenance" in desk.new_window(idempotency_key="same")


PAST = [
    {"message": "Down", "incident_status": "investigating", "published_at": "2026-11-23T08:00:00Z"},
    {"message": "Up", "incident_status": "resolved", "published_at": "2026-11-23T08:30:00Z"},
]


@pytest.mark.parametrize(
    ("updates", "field"),
    [
        ([], "updates"),
        (PAST[:1], "updates.0.incident_status"),
        ([PAST[1], PAST[1] | {"published_at": "2026-11-23T08:10:00Z"}], "updates.1.published_at"),
        ([PAST[0], PAST[1] | {"published_at": "2026-11-23T10:00:00Z"}], "updates.1.published_at"),
        ([PAST[0], PAST[1] | {"published_at": "2026-11-23 08:30"}], "updates.1.published_at"),
        ([PAST[0], PAST[1] | {"component_statuses": []}], "component_statuses"),
    ],
    ids=["none", "not-resolved", "not-ordered", "not-past", "no-time", "components-when-resolving"],
)
def test_a_retrospective_incident_must_be_over_and_in_order(desk: Desk, updates: Any, field: str) -> None:
    body = {"status_page_id": desk.page.id, "idempotency_key": "past", "name": "Disk", "updates": updates}
    answer = desk.tell("POST", "/v2/status_page_retrospective_incidents", body, 422)
    assert [error["source"]["field"] for error in answer["errors"]] == [field]


def test_a_retrospective_incident_mails_nobody(desk: Desk) -> None:
    body = {"status_page_id": desk.page.id, "idempotency_key": "past", "name": "Disk", "updates": PAST}
    desk.tell("POST", "/v2/status_page_retrospective_incidents", body)
    assert desk.state.mails == []


def test_an_automated_window_moves_at_its_times_and_mails_as_it_was_asked(desk: Desk, clock: Clock) -> None:
    made = desk.new_window(automate_maintenance_status=True, notify_subscribers=True)["status_page_maintenance"]
    clock.pass_(HOUR - 1)
    assert window(desk, made["id"])["maintenance_status"] == "maintenance_scheduled"
    clock.pass_(1)
    assert window(desk, made["id"])["maintenance_status"] == "maintenance_in_progress"
    assert statuses(desk)[desk.checkout] == "under_maintenance"
    clock.pass_(2 * HOUR)
    shown = window(desk, made["id"])
    assert [update["published_at"][11:16] for update in shown["updates"]] == ["10:00", "11:00", "12:00"]
    assert [mail.author for mail in desk.state.mails] == ["api", "automation", "automation"]
    assert statuses(desk)[desk.checkout] == "operational"


def test_a_window_that_is_not_automated_stays(desk: Desk, clock: Clock) -> None:
    made = desk.new_window()["status_page_maintenance"]
    clock.pass_(5 * HOUR)
    assert window(desk, made["id"])["maintenance_status"] == "maintenance_scheduled"


def test_an_update_that_sets_a_status_ends_automation(desk: Desk, clock: Clock) -> None:
    made = desk.new_window(automate_maintenance_status=True)["status_page_maintenance"]
    desk.post_window(made["id"])
    assert window(desk, made["id"])["automate_maintenance_status"] is True
    clock.pass_(HOUR + 1)
    desk.post_window(made["id"], maintenance_status="maintenance_in_progress")
    clock.pass_(5 * HOUR)
    shown = window(desk, made["id"])
    assert (shown["automate_maintenance_status"], shown["maintenance_status"]) == (False, "maintenance_in_progress")


def test_rescheduling_publishes_nothing_and_moves_nothing_back(desk: Desk, clock: Clock) -> None:
    made = desk.new_window(automate_maintenance_status=True)["status_page_maintenance"]
    clock.pass_(HOUR)
    later = {"name": "Longer", "start_at": "2026-11-23T13:00:00Z", "end_at": "2026-11-23T14:00:00Z"}
    desk.tell("PUT", f"/v2/status_page_maintenances/{made['id']}", later, 200)
    shown = window(desk, made["id"])
    assert (shown["name"], shown["maintenance_status"]) == ("Longer", "maintenance_in_progress")
    assert len(shown["updates"]) == 2
    assert {period["end_at"] for period in shown["component_maintenance_periods"]} == {later["end_at"]}
    desk.tell("PUT", f"/v2/status_page_maintenances/{made['id']}", later | {"end_at": later["start_at"]}, 422)


def test_completing_restores_components_which_must_not_be_named(desk: Desk) -> None:
    made = desk.new_window(maintenance_status="maintenance_in_progress")["status_page_maintenance"]
    named = [{"component_id": desk.api, "component_status": "operational"}]
    desk.post_window(made["id"], 422, maintenance_status="maintenance_complete", component_statuses=named)
    desk.post_window(made["id"], component_statuses=named)
    assert statuses(desk)[desk.api] == "operational"
    assert statuses(desk)[desk.checkout] == "under_maintenance"
    desk.post_window(made["id"], maintenance_status="maintenance_in_progress")
    assert statuses(desk)[desk.api] == "operational"
    desk.post_window(made["id"], maintenance_status="maintenance_complete")
    assert statuses(desk)[desk.checkout] == "operational"


def test_a_person_comes_after_what_was_due_before(desk: Desk, clock: Clock) -> None:
    made = desk.new_window(automate_maintenance_status=True)["status_page_maintenance"]
    desk.state.person_posts(made["id"], "Looking good.", now=clock.pass_(HOUR + 1))
    shown = [update["maintenance_status"] for update in window(desk, made["id"])["updates"]]
    assert shown == ["maintenance_scheduled", "maintenance_in_progress", "maintenance_in_progress"]


def test_a_list_by_time_includes_what_ended_or_began_just_then(desk: Desk, clock: Clock) -> None:
    made = desk.new_incident()["status_page_incident"]["id"]
    clock.pass_(HOUR)
    resolve(desk, made)
    for times, found in (
        ({"start_at": "2026-11-23T11:00:00Z"}, 1),
        ({"start_at": "2026-11-23T11:00:01Z"}, 0),
        ({"end_at": "2026-11-23T10:00:00+00:00"}, 1),
        ({"end_at": "2026-11-23T10:59:59+01:00"}, 0),
    ):
        answer = desk.get("/v2/status_page_incidents", status_page_id=desk.page.id, **times)
        assert len(answer["status_page_incidents"]) == found, times


def test_a_window_knows_no_outages(desk: Desk) -> None:
    made = desk.new_window()["status_page_maintenance"]
    named = [{"component_id": desk.api, "component_status": "partial_outage"}]
    desk.post_window(made["id"], 422, component_statuses=named)


def test_deleting_a_window_tells_nobody(desk: Desk, clock: Clock) -> None:
    made = desk.new_window(automate_maintenance_status=True)["status_page_maintenance"]
    desk.tell("DELETE", f"/v2/status_page_maintenances/{made['id']}", None, 204)
    clock.pass_(5 * HOUR)
    desk.tell("GET", f"/v2/status_page_maintenances/{made['id']}", None, 404)
    desk.tell("DELETE", f"/v2/status_page_maintenances/{made['id']}", None, 404)
    assert desk.state.mails == []


def test_the_rate_limit_refills_with_the_clock(desk: Desk, clock: Clock) -> None:
    desk.state.switches.rate_limit = 60
    asked = [desk.ask("GET", "/v2/status_pages") for _ in range(61)]
    assert [reply.status for reply in asked if reply] == [200] * 60 + [429]
    assert asked[-1] is not None
    assert ("retry-after", "1") in asked[-1].headers
    clock.pass_(1)
    desk.get("/v2/status_pages")


def test_availability_merges_outages_and_ignores_slowness(desk: Desk, clock: Clock) -> None:
    slow = [{"component_id": desk.checkout, "component_status": "degraded_performance"}]
    desk.new_incident(component_statuses=slow)
    first = desk.new_incident()["status_page_incident"]["id"]
    clock.pass_(10 * MINUTE)
    second = desk.new_incident()["status_page_incident"]["id"]
    clock.pass_(10 * MINUTE)
    resolve(desk, first)
    clock.pass_(10 * MINUTE)
    resolve(desk, second)
    clock.pass_(30 * MINUTE)
    path = f"/v2/status_pages/{desk.page.id}/components/{desk.checkout}/availability"
    known = desk.get(path, start_at="2026-11-20T00:00:00Z", end_at="2026-11-30T00:00:00Z")["availability"]
    assert known["availability_percent"] == "50.00"
    unknown = desk.get(path, start_at="2026-11-20T00:00:00Z", end_at="2026-11-21T00:00:00Z")["availability"]
    assert "availability_percent" not in unknown


def test_what_a_person_does_looks_like_any_other_update_and_mails(desk: Desk, clock: Clock) -> None:
    desk.page.subscribers = 5000
    incident = desk.state.person_opens("Fire", "We see smoke.", {"Europe / API": "full_outage"}, now=clock())
    desk.state.person_renames(incident.id, "Small fire", now=clock())
    desk.state.person_resolves(incident.id, now=clock.pass_(60))
    planned = (clock.pass_(0), clock.pass_(HOUR))
    maintenance = desk.state.person_schedules("Paint", "New walls.", ["Dashboard"], *planned, now=clock())
    desk.state.person_posts(maintenance.id, "Wet paint.", "maintenance_in_progress", now=clock())
    shown = desk.get(f"/v2/status_page_incidents/{incident.id}")["status_page_incident"]
    assert (shown["name"], shown["incident_status"], len(shown["updates"])) == ("Small fire", "resolved", 2)
    assert [mail.author for mail in desk.state.mails] == ["person"] * 4
    desk.state.person_deletes(incident.id, now=clock())
    desk.tell("GET", f"/v2/status_page_incidents/{incident.id}", None, 404)
