"""What a page says now, made of what we have published there: the same object as the vendor's Widget API gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.ledger_rows import MINUTE, NOW, action, episode, window
from worker.core.footprints import Footprint
from worker.core.model import (
    ActionState,
    ComponentStatus,
    Content,
    Directory,
    Episode,
    IncidentStatus,
    PageState,
    Window,
    WindowStatus,
)
from worker.core.ruleset import ComponentRef
from worker.core.summary import summary
from worker.sandbox import DEFAULT, State, build_pages
from worker.sandbox.widget import summary as vendors

DIRECTORY = Directory(page_id="p", name="Acme", public_url="https://status.acme.com", components={})
REFS = {"api": ComponentRef(name="Europe / API"), "checkout": ComponentRef(name="Checkout")}
KNOWN = PageState(
    incident_status=IncidentStatus.IDENTIFIED,
    components={"checkout": ComponentStatus.PARTIAL_OUTAGE, "api": ComponentStatus.OPERATIONAL},
)


def footprint(subject: Episode | Window, *messages: str) -> Footprint:
    actions = [
        action(seq=n, state=ActionState.DONE, content=Content(message=message)) for n, message in enumerate(messages, 1)
    ]
    waits = action(seq=9, state=ActionState.AWAITING_APPROVAL, content=Content(message="Nobody may read this."))
    return Footprint(subject=subject, actions=(*actions, waits), attempts=(), own=frozenset())


def opened(**given: Any) -> Episode:
    return episode(**{"remote_id": "inc", "known": KNOWN, "known_name": "Slow", "posted_at": NOW, **given})


def shown(*footprints: Footprint) -> Any:
    return summary(DIRECTORY, REFS, footprints)


def test_an_incident_says_what_was_published_of_it_last_and_nothing_that_waits() -> None:
    (incident,) = shown(footprint(opened(), "It began.", "Found."))["ongoing_incidents"]
    assert incident == {
        "id": "inc",
        "name": "Slow",
        "url": "https://status.acme.com",
        "status": "identified",
        "last_update_at": "2026-11-23T10:00:00Z",
        "last_update_message": "Found.",
        "current_worst_impact": "partial_outage",
        "affected_components": [
            {"id": "checkout", "name": "Checkout", "current_status": "partial_outage"},
            {"id": "api", "name": "API", "group_name": "Europe", "current_status": "operational"},
        ],
    }


def test_what_is_not_public_is_ours_no_more_or_is_over_is_not_shown() -> None:
    over = replace(KNOWN, incident_status=IncidentStatus.RESOLVED)
    hidden = [
        opened(remote_id="", known=None),
        opened(known=None),
        opened(known=over),
        opened(hands_off=True),
        opened(guest=True),
        window(known=None),
        window(remote_id="w", known=WindowStatus.COMPLETE),
    ]
    assert shown(*map(footprint, hidden)) == {
        "page_title": "Acme",
        "page_url": "https://status.acme.com",
        "ongoing_incidents": [],
        "in_progress_maintenances": [],
        "scheduled_maintenances": [],
    }


def test_windows_stand_where_the_page_has_them() -> None:
    planned = window(remote_id="a", known=WindowStatus.SCHEDULED)
    running = window(remote_id="b", known=WindowStatus.IN_PROGRESS, begun_at=NOW + MINUTE)
    told = shown(footprint(planned), footprint(running, "We began."))
    assert [each["id"] for each in told["scheduled_maintenances"]] == ["a"]
    assert told["scheduled_maintenances"][0]["starts_at"] == "2026-11-23T10:10:00Z"
    (under_way,) = told["in_progress_maintenances"]
    assert (under_way["started_at"], under_way["scheduled_end_at"]) == ("2026-11-23T10:01:00Z", "2026-11-23T10:20:00Z")
    assert {each["current_status"] for each in under_way["affected_components"]} == {"under_maintenance"}


def test_it_has_the_fields_of_the_vendors_own() -> None:
    at = datetime(2026, 11, 23, 10, tzinfo=UTC)
    state = State(build_pages(DEFAULT, at), api_key="k")
    state.person_opens("Slow", "We look.", {"Checkout API": "full_outage"}, now=at)
    state.person_schedules(
        "Work", "Planned.", ["Checkout API"], at + timedelta(hours=1), at + timedelta(hours=2), now=at
    )
    theirs = vendors(state, state.page)
    ours = shown(footprint(opened(), "It began."), footprint(window(remote_id="a", known=WindowStatus.SCHEDULED)))
    assert ours.keys() == theirs.keys()
    for kind in ("ongoing_incidents", "scheduled_maintenances"):
        assert ours[kind][0].keys() == theirs[kind][0].keys()
        assert {*theirs[kind][0]["affected_components"][0]} <= {*ours[kind][0]["affected_components"][-1], "group_name"}
