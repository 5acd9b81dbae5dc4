"""Somebody else's incident is open on our components: ours waits, is posted on it, or is opened beside it."""

from __future__ import annotations

import pytest

from tests.fakes.provider import Answer, dies
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import rule

UNKNOWN = (Answer.LOST, Answer.TAKEN)
ATTACH = {"existing": "attach"}


# -- hold


def test_existing_hold_holds_the_open_and_tells(make: Make) -> None:
    rig = make()
    rig.page.person_opens("Ours to handle")
    rig.fires().passes("1h")
    assert rig.page.sent == []
    assert rig.actions() == ["open held"]
    assert rig.codes == ["held"]


def test_the_open_goes_out_once_the_other_incident_is_gone_and_it_still_fires(make: Make) -> None:
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("10m")
    rig.page.person_resolves(theirs)
    rig.passes("90s")
    assert rig.page.names == ["Ours to handle", "Checkout problems"]
    assert (rig.actions(), rig.codes) == ([], ["held"])
    rig.clears().passes("5m")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "resolve"]


def test_a_held_open_costs_a_read_a_minute_and_nothing_else(make: Make) -> None:
    rig = make()
    rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m")
    reads, commits, told = rig.page.reads, len(rig.committer.commits), rig.codes
    rig.passes("1h")
    assert 55 <= rig.page.reads - reads <= 2 * 65
    assert (len(rig.committer.commits), rig.codes) == (commits, told)


def test_what_is_held_says_what_is_true_when_it_goes_out_and_was_told_once(make: Make) -> None:
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires("a", severity="warning").passes("5m").fires("b").passes("5m").clears("b").passes("5m").fires("b")
    assert rig.actions() == ["open held"]
    rig.page.person_resolves(theirs)
    rig.passes("90s")
    assert dict(rig.page.sent[0].action.content.components) == {"checkout": "full_outage"}
    assert rig.codes == ["held"]


def test_what_could_not_be_sent_and_is_held_once_more_is_told_to_nobody(make: Make) -> None:
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m")
    rig.page.script.append(Answer.NOT_SENT)
    rig.page.person_resolves(theirs)
    while not rig.page.sent:
        rig.passes("1s")
    rig.page.person_opens("Ours as well")
    assert rig.passes("5m").actions() == ["open held"]
    assert rig.codes == ["held"]


def test_what_awaits_approval_after_it_was_held_goes_out_only_approved(make: Make) -> None:
    approve = {"publish": "approve", "approve": "{posts: [open], deadline: 10m, on_expiry: hold}"}
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires("a", severity="warning").passes("5m")
    rig.use(rule(**approve))
    rig.fires("b")
    assert rig.actions() == ["open awaiting_approval"]
    rig.page.person_resolves(theirs)
    rig.passes("1h")
    assert (rig.actions(), rig.page.sent) == (["open held"], [])


def test_another_incident_of_theirs_in_the_place_of_the_first_is_told_to_nobody(make: Make) -> None:
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m")
    rig.page.person_resolves(theirs)
    second = rig.page.person_opens("Ours as well")
    rig.passes("5m")
    assert (rig.actions(), rig.codes) == (["open held"], ["held"])
    assert second in rig.head().reason


def test_a_held_open_whose_signals_clear_is_dismissed(make: Make) -> None:
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m").clears().passes("5m")
    rig.page.person_resolves(theirs)
    rig.passes("1h")
    assert (rig.phase(), rig.page.sent) == ("dismissed", [])
    assert rig.codes == ["held", "cleared_unpublished"]


def test_a_held_open_does_not_go_out_while_all_is_clear(make: Make) -> None:
    rig = make(rule(quiet="2h"))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m").clears().passes("1m")
    rig.page.person_resolves(theirs)
    assert rig.passes("1h").page.sent == []
    rig.fires().passes("90s")
    assert rig.page.names == ["Ours to handle", "Checkout problems"]
    assert rig.codes == ["held"]


def test_a_held_open_goes_on_after_a_restart(make: Make) -> None:
    before = make()
    theirs = before.page.person_opens("Ours to handle")
    before.fires().passes("5m").close()
    after = make(page=before.page, path=before.path)
    after.now = before.now
    after.page.person_resolves(theirs)
    assert after.passes("90s").page.names == ["Ours to handle", "Checkout problems"]


def test_a_write_that_begins_while_it_is_looked_at_is_as_safe_as_any_other(make: Make) -> None:
    rig = make()
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m")
    rig.page.person_resolves(theirs)
    rig.page.script.append(Answer.CRASH)
    assert dies(lambda: rig.passes("90s"))
    rig.passes("5m")
    assert rig.page.names == ["Ours to handle", "Checkout problems"]
    assert rig.actions() == []


# -- open


def test_existing_open_opens_beside_it(make: Make) -> None:
    rig = make(rule(existing="open"))
    rig.page.person_opens("Ours to handle")
    rig.fires()
    assert rig.page.names == ["Ours to handle", "Checkout problems"]


# -- attach


def test_existing_attach_posts_on_it_and_leaves_it_to_its_person(make: Make) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle", status="identified")
    rig.fires("a", severity="warning").passes("5m").fires("b").passes("5m").clears("b").passes("5m")
    assert rig.page.shown(theirs) == {"c-checkout": "degraded_performance"}
    rig.clears("a").passes("5m")
    assert rig.page.names == ["Ours to handle"]
    assert rig.page.said(theirs) == ["Ours to handle.", "It began.", "It got worse.", "It got better.", "It is over."]
    assert rig.page.incidents[theirs].status == "identified"
    assert rig.page.shown(theirs) == {"c-checkout": "operational"}
    assert (rig.phase(), rig.codes) == ("resolved", ["left_open"])
    assert theirs in rig.notices[0].text


def test_monitoring_is_said_in_words_alone_and_taken_back(make: Make) -> None:
    say = "{open: It began., worsen: It got worse., monitoring: We watch it., resolve: It is over.}"
    rig = make(rule(say=say, quiet="10m", **ATTACH))
    theirs = rig.page.person_opens("Ours to handle", status="identified")
    rig.fires().passes("5m").clears().passes("2m").fires().passes("5m").clears().passes("20m")
    words = ["It began.", "We watch it.", "It began.", "We watch it.", "It is over."]
    assert rig.page.said(theirs) == ["Ours to handle.", *words]
    assert {update.status for update in rig.page.incidents[theirs].updates} == {"identified"}


@pytest.mark.parametrize(
    ("people", "during", "after"),
    [
        ("full_outage", "full_outage", "full_outage"),
        ("degraded_performance", "partial_outage", "degraded_performance"),
        ("a_word_of_the_future", "a_word_of_the_future", "a_word_of_the_future"),
        ("operational", "partial_outage", "operational"),
    ],
)
def test_no_component_is_made_better_than_people_said(make: Make, people: str, during: str, after: str) -> None:
    rig = make(rule(components="{checkout: partial_outage, api: degraded_performance}", **ATTACH))
    theirs = rig.page.person_opens("Ours to handle", statuses={"c-checkout": people})
    rig.fires().passes("5m")
    assert rig.page.shown(theirs) == {"c-checkout": during, "c-api": "degraded_performance"}
    rig.clears().passes("1h")
    assert rig.page.shown(theirs) == {"c-checkout": after, "c-api": "operational"}
    assert rig.page.said(theirs) == ["Ours to handle.", "It began.", "It is over."], "and is not tried again and again"
    assert rig.actions() == []


def test_two_of_ours_are_posted_on_one_of_theirs(make: Make) -> None:
    rig = make(rule(**ATTACH) + rule("second", match="{labels.service: second}", **ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires("a").passes("5m").fires("s", service="second").passes("5m")
    assert rig.page.said(theirs) == ["Ours to handle.", "It began.", "It began."]
    rig.clears("a").passes("5m").clears("s", service="second").passes("5m")
    assert rig.page.said(theirs)[3:] == ["It is over.", "It is over."]
    assert rig.codes == ["left_open", "left_open"]


def test_an_incident_that_one_of_ours_is_posted_on_is_still_theirs(make: Make) -> None:
    rig = make(rule(**ATTACH) + rule("second", match="{labels.service: second}"))
    rig.page.person_opens("Ours to handle")
    rig.fires("a").passes("5m").fires("s", service="second").passes("5m")
    assert rig.page.names == ["Ours to handle"]
    assert rig.actions("second") == ["open held"]


@pytest.mark.parametrize("gone", ["resolved", "deleted"])
def test_where_theirs_is_over_before_ours_could_be_posted_on_it_ours_is_opened(make: Make, gone: str) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.page.script.append(Answer.NOT_SENT)
    rig.fires()
    if gone == "deleted":
        del rig.page.incidents[theirs]
    else:
        rig.page.person_resolves(theirs)
    rig.passes("5m")
    assert rig.page.names[-1] == "Checkout problems"
    ours = rig.page.incidents[rig.episode().remote_id]
    assert (ours.status, rig.page.shown(ours.id)) == ("investigating", {"c-checkout": "full_outage"})
    rig.clears().passes("5m")
    assert rig.page.incidents[ours.id].status == "resolved"
    assert rig.codes == []


def test_what_got_worse_before_it_could_be_posted_on_theirs_is_ours_where_theirs_is_over(make: Make) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.page.script.append(Answer.NOT_SENT)
    rig.fires("a", severity="warning")
    rig.page.person_resolves(theirs)
    rig.fires("b").passes("5m").clears("a", "b").passes("5m")
    ours = rig.page.incidents[rig.episode().remote_id]
    assert (rig.page.said(ours.id), ours.status) == (["It began.", "It is over."], "resolved")


def test_what_fires_after_the_end_begins_anew_and_looks_again(make: Make) -> None:
    rig = make(rule(reopen_within="1h", **ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires().passes("5m").clears().passes("5m")
    rig.page.person_resolves(theirs)
    rig.fires().passes("5m")
    assert rig.page.names == ["Ours to handle", "Checkout problems"]
    assert rig.episode().number == 2


def test_people_go_on_with_their_incident_and_so_do_we(make: Make) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires("a", severity="warning").passes("5m")
    rig.page.person_posts(theirs, "We found it.", statuses={"c-checkout": "partial_outage"})
    rig.fires("b").passes("5m").clears("b").passes("5m")
    assert rig.page.shown(theirs) == {"c-checkout": "partial_outage"}
    rig.page.person_posts(theirs, "We mended it.", status="monitoring", statuses={"c-checkout": "operational"})
    rig.clears("a").passes("5m")
    ours = ["It began.", "It got worse.", "It got better.", "It is over."]
    assert [said for said in rig.page.said(theirs) if said in ours] == ours
    assert (rig.page.incidents[theirs].status, rig.page.shown(theirs)) == ("monitoring", {"c-checkout": "operational"})
    assert rig.codes == ["left_open"]


@pytest.mark.parametrize("ends", ["resolves", "deletes"])
def test_once_their_incident_is_over_nothing_more_is_said(make: Make, ends: str) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires("a", severity="warning").passes("5m")
    getattr(rig.page, f"person_{ends}")(theirs)
    rig.fires("b").passes("5m").clears("a", "b").passes("1h")
    assert [sent.action.post for sent in rig.page.sent] == ["open"]
    assert rig.codes == ["held", "resolve_by_hand"]


@pytest.mark.parametrize("answer", UNKNOWN)
@pytest.mark.parametrize("talks", [False, True], ids=["alone", "while people go on"])
def test_an_attached_open_of_which_nothing_is_known_is_looked_for(make: Make, answer: Answer, talks: bool) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle", status="identified")
    rig.page.script.append(answer)
    rig.fires()
    if talks:
        rig.page.person_posts(theirs, "Still at it.")
    rig.passes("10m")
    assert sorted(rig.page.said(theirs)) == sorted(["Ours to handle.", "It began.", *["Still at it."][:talks]])
    assert (rig.actions(), rig.codes) == ([], [])


def test_people_may_go_on_with_their_incident_before_ours_is_attached_to_it(make: Make) -> None:
    rig = make(rule(**ATTACH))
    theirs = rig.page.person_opens("Ours to handle")
    rig.page.script.extend([Answer.NOT_SENT, Answer.NOT_SENT])
    rig.fires()
    rig.page.person_posts(theirs, "Still at it.")
    rig.passes("5m")
    assert rig.page.said(theirs) == ["Ours to handle.", "Still at it.", "It began."]


# -- whose it is


def test_an_incident_on_other_components_stands_in_nobodys_way(make: Make) -> None:
    rig = make()
    rig.page.person_opens("Theirs", component="web")
    assert rig.fires().page.names == ["Theirs", "Checkout problems"]
