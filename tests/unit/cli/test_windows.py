"""``maintenance list|schedule|start|complete|extend|cancel`` on a real ledger, without a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from tests.fakes.ledger_rows import window
from worker.ledger import open_ledger
from worker.ports import Commit

from .desk import Desk, Said

SCHEDULE = (
    "maintenance",
    "schedule",
    "--page",
    "main",
    "--components",
    "checkout, europe",
    "--title",
    "Switch replaced",
)
NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  (commands have the clock of the machine)


def at(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


@pytest.fixture
def planned(desk: Desk, ledger: str, rules: Path) -> str:
    """A window two hours ahead; its id."""
    said = desk(*SCHEDULE, "--starts", at(2), "--for", "1h", "--text", "Soon.", "--by", "ann")
    assert said.code == 0, said.err
    return said.out.split()[0]


def windows(desk: Desk, *more: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = desk("maintenance", "list", "--json", *more).data["windows"]
    return data


def asks(desk: Desk, name: str, *more: str) -> Said:
    return desk("maintenance", name, *more, "--by", "ann")


def test_a_window_is_scheduled_and_listed(desk: Desk, planned: str) -> None:
    (window,) = windows(desk)
    assert window["id"] == planned
    assert window["phase"] == "planned"
    assert window["origin"] == "command"
    assert window["title"] == "Switch replaced"
    assert window["components"] == ["checkout", "europe"]
    assert window["starts_at"] == (NOW + timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    assert window["ends_at"] == (NOW + timedelta(hours=3)).isoformat().replace("+00:00", "Z")
    table = desk("maintenance", "list")
    assert table.err == "1 in all\n"
    for text in (planned, "planned", "Switch replaced", "page main: checkout, europe"):
        assert text in table.out
    assert windows(desk, "--page", "other") == []


def test_where_nothing_is_planned_that_is_said(desk: Desk, ledger: str) -> None:
    said = desk("maintenance", "list")
    assert (said.code, said.out, said.err) == (0, "", "no maintenance window that fits\n")


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        (["--starts", "2036-12-06T02:00", "--for", "1h"], "--starts: `2036-12-06T02:00` has no zone"),
        (["--starts", "tomorrow", "--for", "1h"], "--starts: `tomorrow` is no time like 2026-12-06T02:00+01:00"),
        (["--starts", "now"], "--for: say how long it takes, or --until"),
        (["--starts", "now", "--for", "1h", "--until", "now"], "--for: say how long it takes, or --until"),
        (["--starts", "now", "--for", "soon"], "--for: must be a duration like 90s"),
        (["--starts", "2036-12-06T02:00", "--timezone", "Mars", "--for", "1h"], "--timezone: `Mars` is no time zone"),
        (["--starts", "now", "--for", "1h", "--title", " "], "'--title': is empty; give it a value"),
        (["--starts", "now", "--for", "1h", "--components", ","], "components: "),
    ],
)
def test_a_wrong_call_names_what_is_wrong(desk: Desk, ledger: str, rules: Path, more: list[str], wrong: str) -> None:
    said = desk(*SCHEDULE, *more)
    assert said.code == 2
    assert wrong in said.err
    assert windows(desk) == []


def test_wall_time_in_a_zone_is_what_the_clocks_there_show(desk: Desk, ledger: str, rules: Path) -> None:
    day = (NOW + timedelta(days=1)).date()
    said = desk(*SCHEDULE, "--starts", f"{day}T12:00", "--until", f"{day}T13:00", "--timezone", "Asia/Kolkata")
    assert said.code == 0, said.err
    (window,) = windows(desk)
    assert (window["starts_at"], window["ends_at"]) == (f"{day}T06:30:00Z", f"{day}T07:30:00Z")


def test_nonsense_is_refused_with_a_sentence(desk: Desk, planned: str) -> None:
    again = desk(*SCHEDULE, "--starts", at(2), "--for", "1h", "--text", "Soon.")
    assert (again.code, again.err) == (1, f"{planned} is planned already\n")
    past = desk(*SCHEDULE, "--starts", at(-5), "--for", "1h")
    assert past.code == 1
    assert "it would have started at" in past.err


def test_a_window_is_started_extended_and_completed_by_hand(desk: Desk, planned: str) -> None:
    entry = planned.partition("@")[0].partition("/")[2]
    assert asks(desk, "complete", entry).err == f"no window of `{entry}` can be meant: {planned} is planned\n"
    assert asks(desk, "complete", planned).code == 1
    started = asks(desk, "start", entry, "--text", "We begin.")
    assert (started.code, started.out.splitlines()[0]) == (0, "in progress, before its time"), started.err
    assert asks(desk, "extend", planned, "30m").code == 0
    (window,) = windows(desk)
    assert window["phase"] == "in_progress"
    assert window["ends_at"] == (NOW + timedelta(hours=3.5)).isoformat().replace("+00:00", "Z")
    assert asks(desk, "complete", planned, "--text", "Done.").code == 0
    again = asks(desk, "complete", planned)
    assert again.code == 1
    assert again.err.startswith(f"{planned} is ")


def test_what_is_past_its_end_is_extended_from_now_on(desk: Desk, planned: str) -> None:
    assert asks(desk, "start", planned).code == 0
    with time_machine.travel(NOW + timedelta(hours=3, minutes=1), tick=False):
        said = asks(desk, "extend", planned, "20s")
        assert (said.code, said.err) == (0, "")
        (window,) = windows(desk)
    assert window["ends_at"] == (NOW + timedelta(hours=3, minutes=1, seconds=20)).isoformat().replace("+00:00", "Z")


def test_a_window_is_called_off(desk: Desk, planned: str) -> None:
    assert asks(desk, "cancel", planned).code == 0
    assert [window["phase"] for window in windows(desk)] == ["cancelled"]
    assert asks(desk, "cancel", planned).code == 1


def test_an_end_may_be_named(desk: Desk, planned: str) -> None:
    assert asks(desk, "extend", planned, "--until", at(4)).code == 0
    said = asks(desk, "extend", planned, "--until", at(4))
    assert said.code == 1
    assert "UTC already: name a later end" in said.err
    for more in ([], ["15m", "--until", at(4)]):
        assert asks(desk, "extend", planned, *more).code == 2


def test_what_is_not_there_is_told(desk: Desk, planned: str) -> None:
    for name, more in (("start", []), ("complete", []), ("extend", ["15m"]), ("cancel", [])):
        said = asks(desk, name, "nonsense", *more)
        assert (said.code, said.err) == (
            1,
            "there is no window `nonsense`; `statusbridge maintenance list` names them\n",
        )


def test_where_more_than_one_is_meant_all_are_named(desk: Desk, ledger: str, rules: Path) -> None:
    two = [window(f"db@{day}", starts_at=NOW + timedelta(days=day), ends_at=NOW + timedelta(days=9)) for day in (1, 2)]
    book = open_ledger(ledger, clock=lambda: NOW)
    book.commit(Commit(now=NOW, windows=two))
    book.close()
    said = asks(desk, "start", "db")
    assert (said.code, said.err) == (1, "more than one window is meant; name one: page/db@1, page/db@2\n")


def test_who_moved_a_window_is_told(desk: Desk, planned: str) -> None:
    asks(desk, "start", planned, "--text", "We begin.")
    told = desk("show", planned, COLUMNS="300")
    assert told.code == 0, told.err
    for text in (f"window   {planned}", "by       command by-hand-", "phase    in_progress"):
        assert text in told.out
    assert "in progress, before its time ← ann (maintenance start)" in told.out
    assert "← ann (maintenance schedule)" in told.out
    assert "“We begin.”" in desk("history").out
    data = desk("show", planned, "--json").data
    assert data["window"]["id"] == planned
    assert data["decisions"][0]["cause"] == "ann (maintenance schedule)"
