"""The page is looked at: people who take over are seen without a write of ours, told once, and left alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from standardwebhooks import Webhook

from tests.fakes.provider import Answer, FakePage
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import SECRET, Rig, alert, rule


def opened(make: Make, rules: str = "") -> Rig:
    """One warning fires, its incident is open, and all of it is long ago."""
    return make(rules).fires("a", severity="warning").passes("5m").looks().passes("1m")


def _critical(rig: Rig) -> dict[str, object]:
    return alert("b", started=rig.now)


TAKEOVERS: dict[str, Callable[[FakePage], object]] = {
    "posts": lambda page: page.person_posts("inc-1"),
    "renames": lambda page: page.person_renames("inc-1", "Our own words"),
    "resolves": lambda page: page.person_resolves("inc-1"),
    "deletes": lambda page: page.person_deletes("inc-1"),
}


@pytest.mark.parametrize("takes_over", TAKEOVERS.values(), ids=TAKEOVERS.keys())
def test_a_person_who_takes_over_is_told_once_and_left_alone(
    make: Make, takes_over: Callable[[FakePage], object]
) -> None:
    rig = opened(make)
    takes_over(rig.page)
    rig.looks()
    assert rig.episode().hands_off
    assert rig.codes == ["taken_over"]
    for _ in range(5):
        rig.passes("2m").looks()
    rig.fires("b").passes("1h").looks()
    assert [sent.action.post for sent in rig.page.sent] == ["open"]
    assert rig.codes == ["taken_over"]
    assert rig.meter.counted["takeovers:main"] == 1


@pytest.mark.parametrize("takes_over", ["posts", "renames"])
def test_the_end_of_what_a_person_holds_is_told_to_the_team(make: Make, takes_over: str) -> None:
    rig = opened(make)
    TAKEOVERS[takes_over](rig.page)
    rig.looks().clears("a", severity="warning").passes("1h")
    assert rig.codes == ["taken_over", "resolve_by_hand"]


@pytest.mark.parametrize("takes_over", ["resolves", "deletes"])
def test_what_a_person_ended_needs_no_word_about_its_end(make: Make, takes_over: str) -> None:
    rig = opened(make)
    TAKEOVERS[takes_over](rig.page)
    rig.looks().clears("a", severity="warning").passes("1h")
    assert rig.phase() == "resolved"
    assert rig.codes == ["taken_over"]


def test_a_page_that_shows_what_we_wrote_changes_nothing(make: Make) -> None:
    rig = opened(make)
    before, commits = rig.episode(), len(rig.committer.commits)
    for _ in range(10):
        rig.passes("1m").looks()
    assert rig.episode() == before
    assert not [each for each in rig.committer.commits[commits:] if each.episodes or each.notices]


def test_an_action_that_waits_is_held_with_no_further_notice(make: Make) -> None:
    rig = opened(make)
    rig.page.script.append(Answer.NOT_SENT)
    rig.alerts(_critical(rig)).reacts().delivers()
    assert rig.actions() == ["worsen queued"]
    rig.page.person_posts("inc-1")
    rig.observe_step.run_once("main")
    assert rig.actions() == ["worsen held"]
    rig.passes("1h")
    assert rig.codes == ["taken_over"]


def test_no_verdict_while_something_of_ours_may_be_on_its_way(make: Make) -> None:
    rig = opened(make)
    rig.page.script.append(Answer.LATE)
    rig.alerts(_critical(rig)).reacts().delivers()
    rig.page.person_posts("inc-1")
    rig.page.arrive()
    assert rig.actions() == ["worsen unknown"]
    rig.observe_step.run_once("main")
    assert not rig.episode().hands_off
    rig.passes("5m").looks()
    assert rig.actions() == [], "ours was found"
    assert rig.codes == ["taken_over"], "and only then theirs counts"


def test_a_deletion_is_believed_only_once_the_page_must_show_what_we_wrote(make: Make) -> None:
    rig = make().fires()
    shown = rig.page.incidents.pop("inc-1")
    rig.looks()
    assert not rig.episode().hands_off, "the page may not show it yet"
    rig.page.incidents["inc-1"] = shown
    assert rig.passes("10m").looks().codes == []


def test_a_copy_of_ours_that_arrives_late_is_no_person(make: Make) -> None:
    rig = opened(make)
    rig.page.script.append(Answer.LATE)
    rig.fires("b").passes("10m")
    rig.page.arrive()
    rig.looks().passes("10m").looks()
    assert not rig.episode().hands_off
    assert rig.page.said("inc-1").count("It got worse.") == 2


def test_whoever_was_faster_wins(make: Make) -> None:
    rig = opened(make)
    rig.page.person_posts("inc-1")
    rig.committer.before = lambda commit: _first(rig)
    rig.observe_step.run_once("main")
    assert not rig.episode().hands_off
    assert rig.meter.counted["conflicts:observe"] == 1
    rig.passes("1m").looks()
    assert rig.episode().hands_off


def _first(rig: Rig) -> None:
    """A signal comes in just before the commit."""
    rig.committer.before = lambda commit: None
    rig.alerts(_critical(rig)).reacts()


def test_a_page_is_looked_at_every_minute_and_sooner_where_a_source_tells_of_a_post(make: Make) -> None:
    rig = opened(make).passes("1m").looks()
    reads = rig.page.reads
    rig.passes("30s").looks()
    assert rig.page.reads == reads
    rig.page.person_posts("inc-1")
    rig.observe_step.hint()
    rig.looks()
    assert rig.codes == ["taken_over"]


def _signed(body: str, rig: Rig) -> dict[str, str]:
    signature = Webhook(SECRET).sign("msg_1", rig.now, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": f"{rig.now.timestamp():.0f}", "webhook-signature": signature}


def test_what_the_page_tells_of_our_own_post_triggers_no_rule_and_only_makes_us_look(make: Make) -> None:
    rig = opened(make, rule(match="{key: {exists: true}}"))
    (update,) = rig.page.incidents["inc-1"].updates
    kind = "status_page_incident.update_shared_v1"
    told = {"event_type": kind, kind: {"status_page_incident": {"id": "inc-1"}, "update": {"id": update.id}}}
    reads = rig.page.reads
    rig.receives("vendor", told, headers=_signed(json.dumps(told), rig))
    rig.settles().passes("10s").looks()
    assert rig.page.reads > reads
    assert [sent.action.post for sent in rig.page.sent] == ["open"]
    assert [source for source, _ in rig.episode().members] == ["alerts"]
    assert rig.codes == []


def test_a_word_about_a_post_of_ours_changes_nothing(make: Make) -> None:
    rig = opened(make)
    rig.observe_step.hint()
    assert rig.looks().codes == []


def test_a_page_that_cannot_be_read_is_counted_and_asked_again(make: Make) -> None:
    rig = opened(make)
    rig.page.person_posts("inc-1")
    rig.page.down = True
    rig.looks()
    assert rig.meter.counted["page_reads_failed:main"] == 1
    rig.page.down = False
    assert rig.passes("1m").looks().codes == ["taken_over"]


def test_a_relayed_incident_is_left_to_the_person_who_takes_it_over(make: Make) -> None:
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
    rig = make(relay).words({"w": 1, "key": "1", "status": "firing", "message": "We look."}).settles()
    rig.passes("10m").looks()
    rig.page.person_posts("inc-1")
    rig.passes("1m").looks()
    rig.words({"w": 1, "key": "1", "status": "firing", "message": "We look further."}).settles().passes("10m")
    assert rig.page.said("inc-1") == ["We look.", "We are people."]
    assert rig.codes == ["taken_over"]


@pytest.mark.parametrize("ends", ["resolves", "deletes"])
def test_an_incident_that_we_are_a_guest_on_is_theirs_to_do_with_as_they_like_until_they_end_it(
    make: Make, ends: str
) -> None:
    rig = make(rule(existing="attach"))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m").looks()
    assert rig.codes == []
    rig.page.person_posts(theirs)
    rig.page.person_renames(theirs, "Database down")
    assert rig.passes("5m").looks().codes == []
    getattr(rig.page, f"person_{ends}")(theirs)
    assert rig.passes("5m").looks().codes == ["taken_over"]
    rig.fires("b").clears("a", "b").passes("1h")
    assert rig.codes == ["taken_over"]
