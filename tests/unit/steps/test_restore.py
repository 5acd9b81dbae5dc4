"""A ledger that is older than the page: nothing is published before it was matched, and nothing twice after that."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.provider import Answer
from tests.unit.core.transcript import minutes
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import Rig, alert, rule
from worker.bootstrap.doubt import hold_back
from worker.core.model import UNMATCHED, ActionState, ComponentStatus, IncidentStatus, WindowPhase

ENTRY = """maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: 2026-11-23T12:00
    timezone: Europe/Berlin
    duration: 30m
    announce: {before: 50m, text: Coming.}
    start: {text: It began.}
    complete: {text: It is over.}
    grace: 10m
"""


class Lost:
    """A ledger that is copied at one time, lived on with, lost, and put back from the copy."""

    def __init__(self, make: Make, rig: Rig, tmp_path: Path) -> None:
        self.make = make
        self.rig = rig
        self.copy = tmp_path / "backup.db"
        with closing(sqlite3.connect(rig.path)) as live, closing(sqlite3.connect(self.copy)) as made:
            live.backup(made)

    def put_back(self, *, rules: str = "", matched: bool = True) -> Rig:
        """Start a worker on the copy, in front of the same page."""
        later = Path(shutil.copyfile(self.copy, self.copy.with_name("ledger-again.db")))
        again = self.make(rules, page=self.rig.page, path=later)
        again.now = self.rig.now
        again.ledger.forget_leases()
        hold_back(again.ledger, again.committer, ["main"], again.clock, asked=True)
        return again.looks() if matched else again


@pytest.fixture
def copies(make: Make, tmp_path: Path) -> object:
    return lambda rig: Lost(make, rig, tmp_path)


def opened(make: Make, **more: str) -> Rig:
    """One warning fires, and its incident is open."""
    return make(rule(**more)).fires("a", severity="warning").passes("5m")


def test_nothing_is_published_before_the_ledger_was_matched_with_the_page(make: Make, copies: type[Lost]) -> None:
    lost = copies(opened(make))
    again = lost.put_back(matched=False)
    posts = len(again.page.sent)
    again.page.down = True
    again.fires("b").fires("c", service="api").passes("20m").looks()
    assert len(again.page.sent) == posts
    assert [flag.page for flag in again.ledger.flags(UNMATCHED)] == ["main"]
    again.page.down = False
    again.passes("10s").looks()
    assert [sent.action.post for sent in again.page.sent[posts:]] == ["worsen"]
    assert again.ledger.flags(UNMATCHED) == []
    assert [code for code in again.codes if code != "page_reads_failed"] == ["ledger_doubted", "matched"]


def test_an_update_of_the_lost_time_is_not_posted_again(make: Make, copies: type[Lost]) -> None:
    rig = opened(make)
    lost = copies(rig)
    rig.fires("b").passes("10m")
    assert rig.page.said("inc-1") == ["It began.", "It got worse."]
    again = lost.put_back()
    known = again.episode().known
    assert known is not None
    assert known.components == {"checkout": ComponentStatus.FULL_OUTAGE}
    again.fires("b").passes("1h").looks()
    assert again.page.said("inc-1") == ["It began.", "It got worse."]
    assert not again.episode().hands_off, "nobody is asked who said it"
    again.clears("a", severity="warning").clears("b").passes("10m")
    assert again.page.said("inc-1")[2:] == ["It is over."]


@pytest.mark.parametrize("matches", [1, 2], ids=["matched once", "matched again, as another incident was not readable"])
def test_what_the_page_says_stands_until_something_is_heard_of_it(make: Make, copies: type[Lost], matches: int) -> None:
    rig = opened(make)
    lost = copies(rig)
    rig.fires("b").passes("10m")
    again = lost.put_back()
    for _ in range(matches - 1):
        hold_back(again.ledger, again.committer, ["main"], again.clock, asked=True)
        again.passes("10s").looks()
    again.passes("1h").looks()
    assert again.page.said("inc-1")[2:] == [], "what was heard in the lost time is not known"
    again.fires("a", severity="warning").passes("10m")
    assert again.page.said("inc-1")[2:] == ["It got better."]


def test_an_incident_that_ended_in_the_lost_time_is_over(make: Make, copies: type[Lost]) -> None:
    rig = opened(make)
    lost = copies(rig)
    rig.clears("a", severity="warning").passes("10m")
    again = lost.put_back()
    assert again.phase() == "resolved"
    again.alerts(alert("a", "warning")).settles().passes("1h").looks()
    assert again.page.said("inc-1") == ["It began.", "It is over."]
    assert len(again.page.incidents) == 1


def test_the_next_outage_is_a_new_incident(make: Make, copies: type[Lost]) -> None:
    rig = opened(make)
    lost = copies(rig)
    rig.clears("a", severity="warning").passes("10m")
    again = lost.put_back()
    again.alerts(alert("a", "warning", started=again.now)).settles().passes("10m")
    assert len(again.page.incidents) == 2


def test_an_incident_that_was_opened_in_the_lost_time_is_found_and_not_opened_twice(
    make: Make, copies: type[Lost]
) -> None:
    rig = make(rule(hold="2m"))
    rig.fires("a", severity="warning")
    lost = copies(rig)
    rig.passes("10m").fires("b").passes("10m")
    again = lost.put_back()
    again.fires("b").passes("10m")
    assert len(again.page.incidents) == 1
    assert again.page.said("inc-1").count("It got worse.") <= 2
    assert again.episode().remote_id == "inc-1"


@pytest.mark.parametrize("answer", [Answer.TAKEN, Answer.LOST, Answer.CRASH])
def test_a_write_that_was_on_its_way_when_the_copy_was_made_is_not_repeated(
    make: Make, copies: type[Lost], answer: Answer
) -> None:
    rig = opened(make)
    rig.page.script.append(answer)
    rig.alerts(alert("b", started=rig.now)).reacts()
    try:
        rig.delivers()
    except BaseException:
        assert answer is Answer.CRASH
    assert rig.head().state in (ActionState.UNKNOWN, ActionState.SENDING)
    lost = copies(rig)
    if answer is Answer.LOST:
        rig.passes("30m")
    else:
        rig.now += minutes("30m")
    again = lost.put_back()
    assert again.actions() == []
    again.passes("1h").looks()
    assert again.page.said("inc-1") == ["It began.", "It got worse."]
    assert not again.episode().hands_off


def test_an_incident_that_was_deleted_in_the_lost_time_is_told_and_not_opened_again(
    make: Make, copies: type[Lost]
) -> None:
    rig = opened(make)
    lost = copies(rig)
    rig.page.person_deletes("inc-1")
    again = lost.put_back()
    again.fires("b").passes("1h").looks()
    assert again.page.incidents == {}
    assert again.codes == ["ledger_doubted", "taken_over", "matched"]


def test_what_a_person_does_after_the_ledger_was_matched_is_a_persons_again(make: Make, copies: type[Lost]) -> None:
    rig = opened(make)
    lost = copies(rig)
    rig.fires("b").passes("10m")
    again = lost.put_back()
    again.page.person_posts("inc-1")
    again.passes("2m").looks()
    assert again.codes == ["ledger_doubted", "matched", "taken_over"]


@pytest.mark.parametrize("at", ["15m", "65m"], ids=["before the start", "while it runs"])
@pytest.mark.parametrize("until", ["70m", "100m"], ids=["while it runs", "after its end"])
def test_a_window_is_moved_on_from_where_the_page_is(make: Make, copies: type[Lost], at: str, until: str) -> None:
    rig = make(rule() + ENTRY).passes(at)
    lost = copies(rig)
    rig.passes(minutes(until) - minutes(at))
    again = lost.put_back(rules=rule() + ENTRY)
    again.passes("2h").looks()
    assert again.page.statuses("inc-1") == ["scheduled", "in_progress", "complete"]
    (window,) = again.ledger.windows(again.now - timedelta(days=1))
    assert window.phase is WindowPhase.COMPLETE
    assert again.codes == ["ledger_doubted", "matched"]


def test_texts_that_are_relayed_are_posted_once_each(make: Make, copies: type[Lost]) -> None:
    relay = """  - id: relay
    match: {source: words}
    group_by: []
    vars: {said: event.message}
    relay:
      page: main
      title: Trouble
      components: {checkout: partial_outage}
      text: "{{ said }}"
      resolve: It is over.
      status: {}
      resolve_on: [closed]
"""

    def says(rig: Rig, *texts: str) -> Rig:
        for text in texts:
            rig.words({"key": "1", "status": "firing", "message": text}).reacts()
        return rig

    rig = says(make(relay), "One.").settles()
    rig.page.script.append(Answer.TAKEN)
    says(rig, "Two.", "Three.").delivers()
    lost = copies(rig)
    rig.passes("10m")
    assert rig.page.said("inc-1") == ["One.", "Two.", "Three."]
    again = lost.put_back(rules=relay)
    says(again, "Four.").settles().passes("10m")
    assert again.page.said("inc-1") == ["One.", "Two.", "Three.", "Four."]


def test_whatever_was_lost_and_whenever_it_is_put_back_no_incident_is_there_twice(
    make: Make, copies: type[Lost], tmp_path: Path
) -> None:
    """The senders say again what is true, as they do; the page must come to show just that."""
    groups = rule(title='"{{ region }} has trouble"', more="group_by: [region]", min_gap="0s")
    names = ["r1", "r2", "r3", "r4"]
    for seed, moment in enumerate(["0m", "3m", "6m", "9m"]):
        rig = make(groups)
        lost = None
        for step, length in enumerate(["3m"] * 5):
            if length and minutes(moment) == minutes(f"{3 * step}m"):
                lost = Lost(make, rig, _folder(tmp_path, seed))
            name = names[(seed + step) % 4]
            status = "resolved" if rig.phase(region=name) == "open" else "firing"
            ended = rig.now if status == "resolved" else None
            rig.alerts(alert(name, "critical", status, region=name, ended=ended)).settles().passes(length)
        assert lost is not None
        firing = [name for name in names if rig.phase(region=name) == "open"]
        again = lost.put_back(rules=groups)
        again.alerts(
            *(
                alert(
                    name,
                    "critical",
                    "firing" if name in firing else "resolved",
                    region=name,
                    ended=None if name in firing else again.now,
                )
                for name in names
            )
        ).settles()
        again.passes("30m").looks().passes("10m")
        open_now = [each.name for each in again.page.incidents.values() if each.status != IncidentStatus.RESOLVED]
        assert sorted(open_now) == [f"{name} has trouble" for name in firing], (seed, moment)


def _folder(tmp_path: Path, number: int) -> Path:
    folder = tmp_path / f"lost-{number}"
    folder.mkdir()
    return folder


def test_wiping_the_ledger_and_replaying_all_events_opens_nothing_twice(make: Make) -> None:
    groups = rule(title='"{{ region }} has trouble"', more="group_by: [region]", existing="open")
    bodies = [
        [alert("a", "critical", region="eu"), alert("b", "warning", region="us")],
        [alert("b", "critical", region="us"), alert("c", "critical", region="ap")],
        [alert("a", "critical", region="eu"), alert("c", "critical", region="ap")],
    ]
    before = make(groups)
    for body in bodies:
        before.alerts(*body).settles().passes("3m")
    after = make(groups, page=before.page)
    after.now = before.now
    hold_back(after.ledger, after.committer, ["main"], after.clock, asked=True)
    posts = len(before.page.sent)
    for body in bodies:
        after.alerts(*body).settles()
    assert len(after.page.sent) == posts, "not before it was matched"
    after.looks().passes("30m").looks()
    assert sorted(before.page.names) == ["ap has trouble", "eu has trouble", "us has trouble"]
    assert {after.episode(region=name).remote_id for name in ("eu", "us", "ap")} == set(before.page.incidents)
    assert "taken_over" not in after.codes
