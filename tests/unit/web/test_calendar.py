"""``GET /maintenance.ics``: what calendars make of it, and who may read it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import icalendar
import pytest

from tests.fakes.ledger_rows import NOW as THEN
from tests.fakes.ledger_rows import window
from tests.unit.web.site import ADMIN, CALENDAR, RUN, Site, answer, connected, served
from worker.core.model import Window, WindowPhase
from worker.web.calendar import feed

NOW = THEN.replace(microsecond=0)  # calendars know seconds
HOUR = timedelta(hours=1)
PATH = "/maintenance.ics"


def one(**given: Any) -> Window:
    return window("db@1", starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR, version=1, **given)


def read(raw: bytes) -> list[icalendar.Event]:
    """Parse it as a calendar does; nothing may be out of order."""
    calendar = icalendar.Calendar.from_ical(raw)
    assert (calendar["version"], calendar["method"]) == ("2.0", "PUBLISH")
    assert not calendar.errors
    events = list(calendar.walk("VEVENT"))
    for event in events:
        assert not event.errors
        assert {"UID", "DTSTAMP", "DTSTART", "DTEND", "SEQUENCE", "SUMMARY", "STATUS"} <= set(event)
    return events


def event_of(told: Window, title: str = "Database maintenance") -> icalendar.Event:
    (event,) = read(feed([(told, title)]))
    return event


def test_a_window_is_an_event_in_utc() -> None:
    raw = feed([(one(phase=WindowPhase.SCHEDULED), "Database maintenance")])
    (event,) = read(raw)
    assert event.decoded("dtstart") == NOW + HOUR
    assert event.decoded("dtend") == NOW + 2 * HOUR
    assert event["summary"] == "Database maintenance"
    assert event["uid"] == "page/db@1@statusbridge"
    assert event["status"] == "CONFIRMED"
    assert event["description"] == "scheduled; page page: api, checkout"
    assert f"DTSTART:{NOW + HOUR:%Y%m%dT%H%M%SZ}\r\n".encode() in raw
    assert b"TZID" not in raw


def test_no_window_is_a_calendar_too() -> None:
    assert read(feed([])) == []


def test_one_that_moves_keeps_its_name_and_grows_in_sequence() -> None:
    before, after = one(), replace(one(), starts_at=NOW + 5 * HOUR, ends_at=NOW + 6 * HOUR, version=2)
    old, new = event_of(before), event_of(after)
    assert old["uid"] == new["uid"]
    assert int(old["sequence"]) < int(new["sequence"])
    assert new.decoded("dtstart") == NOW + 5 * HOUR


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (WindowPhase.PLANNED, "TENTATIVE"),
        (WindowPhase.SCHEDULED, "CONFIRMED"),
        (WindowPhase.IN_PROGRESS, "CONFIRMED"),
        (WindowPhase.COMPLETE, "CONFIRMED"),
        (WindowPhase.CANCELLED, "CANCELLED"),
        (WindowPhase.SKIPPED, "TENTATIVE"),
    ],
)
def test_what_became_of_it_is_its_status(phase: WindowPhase, status: str) -> None:
    assert event_of(one(phase=phase))["status"] == status


def test_an_early_end_is_shown_and_a_cancelled_one_where_it_was_to_be() -> None:
    early = event_of(one(phase=WindowPhase.COMPLETE, ended_at=NOW + 1.5 * HOUR))
    assert early.decoded("dtend") == NOW + 1.5 * HOUR
    off = event_of(one(phase=WindowPhase.CANCELLED, ended_at=NOW))
    assert (off.decoded("dtstart"), off.decoded("dtend")) == (NOW + HOUR, NOW + 2 * HOUR)
    assert off.decoded("dtstamp") == max(NOW, off.decoded("dtstamp"))


def test_one_that_was_begun_and_completed_before_its_time_is_shown_where_it_was() -> None:
    event = event_of(one(phase=WindowPhase.COMPLETE, begun_at=NOW - HOUR, ended_at=NOW))
    assert (event.decoded("dtstart"), event.decoded("dtend")) == (NOW - HOUR, NOW)
    event = event_of(one(phase=WindowPhase.COMPLETE, ended_at=NOW))
    assert event.decoded("dtend") >= event.decoded("dtstart")


@pytest.mark.parametrize(
    "title", ['a,b;c\\d:"e"', "line\nEND:VEVENT\r\nBEGIN:VEVENT", "ü" * 200, "🛠️" * 70, "x" * 1000, "{{ x }}"]
)
def test_no_title_breaks_the_calendar(title: str) -> None:
    raw = feed([(one(), title), (window("db@2"), "another")])
    first, second = read(raw)
    assert str(first["summary"]).replace("\r\n", "\n") == title.replace("\r\n", "\n")
    assert second["summary"] == "another"
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))


def test_a_hundred_windows_keep_a_hundred_names() -> None:
    windows = [(window(f"db@{number}"), f"Window {number}") for number in range(100)]
    assert len({str(event["uid"]) for event in read(feed(windows))}) == 100


# -- who may read it


def test_on_this_machine_it_is_free() -> None:
    site = Site(windows=[(one(), "Database maintenance")])
    told = site.ask("GET", PATH)
    assert (told.status_code, told.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert [str(event["summary"]) for event in read(told.content)] == ["Database maintenance"]


def test_where_an_admin_token_is_set_its_own_token_opens_it_and_nothing_else() -> None:
    site = Site(admin=ADMIN)
    for query in ("", "?token=", "?token=wrong", f"?token={ADMIN}", f"?token={RUN}", f"?x={CALENDAR}"):
        assert site.ask("GET", PATH + query).status_code == 401, query
    assert site.ask("GET", f"{PATH}?token={CALENDAR}").status_code == 200
    assert site.ask("HEAD", f"{PATH}?token={CALENDAR}").status_code in (200, 405)
    assert site.ask("GET", PATH, headers={"authorization": f"Bearer {ADMIN}"}).status_code == 200
    for path in ("/metrics", "/api/v1/openapi.json", "/maintenance.ics/", "/MAINTENANCE.ICS"):
        assert site.ask("GET", f"{path}?token={CALENDAR}").status_code == 401, path
    reply = site.ask("POST", f"/api/v1/pause?token={CALENDAR}", json={"by": "ann"})
    assert reply.status_code == 401
    assert site.ask("POST", f"{PATH}?token={CALENDAR}").status_code == 401


def test_without_a_token_of_its_own_no_address_opens_it() -> None:
    site = Site(admin=ADMIN)
    site.app.rest.user_middleware[0].kwargs["access"] = replace(
        site.app.rest.user_middleware[0].kwargs["access"], calendar_token=""
    )
    assert site.ask("GET", f"{PATH}?token=").status_code == 401


def test_the_token_in_the_address_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site = Site(admin=ADMIN)
    with served(site) as address, connected(address) as wire:
        wire.sendall(f"GET {PATH}?token={CALENDAR} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert answer(wire)[0] == 200
    site.windows = None  # type: ignore[assignment]
    with served(site) as address, connected(address) as wire:
        wire.sendall(f"GET {PATH}?token={CALENDAR} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert answer(wire)[0] == 500
    assert CALENDAR not in caplog.text


def test_times_are_those_of_the_window_to_the_second() -> None:
    at = datetime(2027, 3, 28, 1, 0, 0, tzinfo=UTC)
    event = event_of(window("dst@1", starts_at=at, ends_at=at + HOUR))
    assert event.decoded("dtstart") == at
