"""``maintenance preview``: when windows come, in both times, with what the clocks do to them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from .desk import Desk, write_rules

WINDOWS = """
maintenance:
  - id: db-weekly
    page: main
    components: [checkout]
    title: Weekly database work
    starts: 2026-12-06T02:00
    timezone: Europe/Berlin
    duration: 1h
    repeat: FREQ=WEEKLY;BYDAY=SU
  - id: move
    page: main
    components: [checkout, europe]
    title: Move
    starts: 2027-03-27T22:00
    timezone: America/New_York
    until: "01:00"
"""


@pytest.fixture
def windows(desk: Desk) -> Path:
    """Rules whose page cannot be reached and whose secrets are not there."""
    rules = write_rules(Path("rules"), "http://127.0.0.1:9")
    (rules / "maintenance.yaml").write_text(WINDOWS)
    return rules


def test_the_next_occurrences_of_all_windows_come_in_order_with_both_times(desk: Desk, windows: Path) -> None:
    said = desk("maintenance", "preview", "--from", "2027-03-21", "--next", "4")
    assert (said.code, said.err) == (0, "")
    note = "clocks go forward at 02:00: starts at 03:00"
    assert [" ".join(line.split()) for line in said.out.splitlines()] == [
        "WINDOW LOCAL ZONE UTC NOTE",
        "db-weekly Sun 2027-03-21 02:00 – 03:00 +01:00 Europe/Berlin Sun 2027-03-21 01:00 – 02:00",
        f"db-weekly Sun 2027-03-28 03:00 – 04:00 +02:00 Europe/Berlin Sun 2027-03-28 01:00 – 02:00 {note}",
        "move Sat 2027-03-27 22:00 – Sun 2027-03-28 01:00 -04:00 America/New_York Sun 2027-03-28 02:00 – 05:00",
        "db-weekly Sun 2027-04-04 02:00 – 03:00 +02:00 Europe/Berlin Sun 2027-04-04 00:00 – 01:00",
    ]


def test_seconds_are_shown_where_there_are_any_and_each_end_with_its_offset_where_they_differ(
    desk: Desk, windows: Path
) -> None:
    common = "page: main, components: [checkout], title: x"
    fold = f"{{id: fold, {common}, starts: 2027-10-31T02:30, timezone: Europe/Berlin, duration: 1h}}"
    short = f'{{id: short, {common}, starts: "2027-11-01T02:49:20", timezone: UTC, duration: 40s}}'
    (windows / "maintenance.yaml").write_text(f"maintenance: [{fold}, {short}]")
    said = desk("maintenance", "preview", "--from", "2027-10-21")
    assert "Sun 2027-10-31 02:30 +02:00 – 02:30 +01:00" in said.out, said.err
    assert "Mon 2027-11-01 02:49:20 – 02:50:00 +00:00" in said.out


def test_a_change_of_the_offset_is_marked_where_it_takes_effect(desk: Desk, windows: Path) -> None:
    found = desk("maintenance", "preview", "--from", "2027-10-24", "--id", "db-weekly", "--json").data["occurrences"]
    assert [one["note"] for one in found[:4]] == [
        "",
        "clocks go back at 03:00: starts at the first 02:00",
        "offset changes to +01:00",
        "",
    ]


def test_the_clock_counts_where_no_time_is_given(desk: Desk, windows: Path) -> None:
    with time_machine.travel(datetime(2027, 1, 3, 1, 0, 1, tzinfo=UTC), tick=False):
        found = desk("maintenance", "preview", "--json", "--next", "1").data["occurrences"]
        back = desk("maintenance", "preview", "--json", "--next", "1", "--from", "1d").data["occurrences"]
    assert found == [
        {
            "window": "db-weekly",
            "key": "db-weekly@2027-01-10T02:00",
            "starts_at": "2027-01-10T01:00:00Z",
            "ends_at": "2027-01-10T02:00:00Z",
            "local_start": "2027-01-10T02:00:00+01:00",
            "local_end": "2027-01-10T03:00:00+01:00",
            "timezone": "Europe/Berlin",
            "pages": ["main"],
            "components": ["checkout"],
            "note": "",
        }
    ]
    assert back[0]["key"] == "db-weekly@2027-01-03T02:00"


def test_ten_are_shown_unless_more_are_asked_for(desk: Desk, windows: Path) -> None:
    assert len(desk("maintenance", "preview").out.splitlines()) == 11
    assert len(desk("maintenance", "preview", "--next", "20").out.splitlines()) == 21


def test_a_window_that_is_over_is_said_to_be(desk: Desk, windows: Path) -> None:
    said = desk("maintenance", "preview", "--from", "2027-03-29", "--id", "move")
    assert (said.code, said.out, said.err) == (0, "", "`move` does not happen any more\n")
    far = desk("maintenance", "preview", "--from", "9999-12-31T23:59-12:00", "--json")
    assert (far.code, far.data) == (0, {"occurrences": []})


def test_without_windows_it_says_so(desk: Desk, rules: Path) -> None:
    said = desk("maintenance", "preview")
    assert (said.code, said.out, said.err) == (0, "", "there is no `maintenance` in these rules\n")


def test_a_wrong_call_names_the_way_out(desk: Desk, windows: Path) -> None:
    unknown = desk("maintenance", "preview", "--id", "db-wekly")
    assert (unknown.code, unknown.out) == (2, "")
    assert "did you mean `db-weekly`?" in unknown.err
    assert desk("maintenance", "preview", "--from", "soon").code == 2
    assert desk("maintenance", "preview", "--next", "0").code == 2
    assert desk("maintenance", "preview", "--rules", "nowhere").code == 2


def test_check_tells_a_window_that_never_happens_and_one_that_starts_on_another_day(desk: Desk, windows: Path) -> None:
    text = WINDOWS.replace("FREQ=WEEKLY;BYDAY=SU", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30")
    (windows / "maintenance.yaml").write_text(text)
    never = desk("check", "rules")
    assert never.code == 2
    assert never.err == "rules/maintenance.yaml:10:13: `repeat` never happens: no day fits all of it\n"
    (windows / "maintenance.yaml").write_text(WINDOWS.replace("BYDAY=SU", "BYDAY=MO"))
    odd = desk("check", "rules")
    assert odd.code == 0
    assert "10:13: warning: `repeat` does not fall on `starts`; it happens first on Monday, 2026-12-07" in odd.err
