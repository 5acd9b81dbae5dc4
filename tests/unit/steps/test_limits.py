"""What a provider takes no more of: updates of one incident, and mails to very many subscribers."""

from __future__ import annotations

from itertools import pairwise

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, Rig, rule
from worker.core.model import Severity

BRAKES = "limits: {incidents: 10000 per 10m, updates: 10000 per 1h, mails: 10000 per 1h}"
EACH = {"min_gap": "1m", "quiet": "1m", "max_open": "never"}


def flapping(rig: Rig, rounds: int, length: str = "2m") -> Rig:
    """It gets worse and better, over and over."""
    for _ in range(rounds):
        rig.fires("b").passes(length).clears("b").passes(length)
    return rig


def posts(rig: Rig, incident: str = "inc-1") -> int:
    return len(rig.page.incidents[incident].updates)


def begun(make: Make, most_updates: int = 30, **incident: str) -> Rig:
    assert BRAKES in HEAD
    rig = make(rule(**{**EACH, **incident}))
    rig.page.most_updates = most_updates
    return rig.fires("a", severity="warning").passes("5m")


# -- 100 updates


def test_automation_stops_at_ninety_updates_and_the_end_still_fits(make: Make) -> None:
    rig = flapping(begun(make, most_updates=100), 60, "30m")
    assert posts(rig) == 90
    rig.clears("a", "b").passes("5m")
    assert posts(rig) == 91
    assert rig.page.incidents["inc-1"].status == "resolved"
    (notice,) = rig.notices
    assert (notice.code, notice.severity) == ("updates_used_up", Severity.ERROR)
    assert "inc-1 takes only 10 more updates" in notice.text


def test_the_last_ten_updates_but_ten_are_merged_more_and_more(make: Make) -> None:
    rig = flapping(begun(make), 40, "2m")
    assert posts(rig) < 20
    at = [sent.at for sent in rig.page.sent]
    gaps = [(after - before).total_seconds() / 60 for before, after in pairwise(at)]
    assert max(gaps[:9]) < 7
    assert all(gap >= least for gap, least in zip(gaps[9:], range(10, 100, 5), strict=False))


def test_what_people_post_counts_for_it_is_the_page_that_counts(make: Make) -> None:
    rig = make(rule(existing="attach", **EACH))
    theirs = rig.page.person_opens("Ours to handle")
    for number in range(88):
        rig.page.person_posts(theirs, f"Update {number}")
    rig.fires("a", severity="warning").passes("5m").fires("b").passes("5m")
    assert posts(rig, theirs) == 90
    assert rig.codes == ["updates_used_up"]
    rig.clears("a", "b").passes("5m")
    assert rig.page.said(theirs)[-1] == "It is over."


def test_a_restart_does_not_begin_to_count_anew(make: Make) -> None:
    before = flapping(begun(make), 30, "30m")
    before.close()
    after = make(rule(**EACH), page=before.page, path=before.path)
    after.now = before.now
    flapping(after, 5, "10m")
    assert posts(after) == 20
    assert after.codes == ["updates_used_up"]


def test_an_incident_that_cannot_take_the_word_that_it_is_back_is_followed_by_another(make: Make) -> None:
    rig = flapping(begun(make, reopen_within="1h"), 30, "30m")
    rig.clears("a", "b").passes("5m").fires("a").passes("5m")
    assert rig.page.incidents["inc-1"].status == "resolved"
    assert rig.page.names == ["Checkout problems"] * 2
    assert posts(rig) == 21


def test_so_is_one_of_which_that_shows_only_when_it_is_to_be_reopened(make: Make) -> None:
    rig = begun(make, reopen_within="1h").clears("a", severity="warning").passes("5m")
    rig.page.most_updates = 12
    rig.fires("a").passes("5m")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "resolve", "open"]
    assert rig.codes == []


# -- mails to very many subscribers

MAILING = {"notify": "[open, worsen, resolve]", "quiet": "1m", "min_gap": "1m", "max_open": "7d"}


def crowded(make: Make, **incident: str) -> Rig:
    """A page that mails nobody through its API."""
    rig = make(rule(**{**MAILING, **incident}))
    rig.page.refuses_mail = True
    return rig


def tries(rig: Rig) -> list[tuple[str, bool]]:
    return [(sent.action.post.value, sent.action.content.notify) for sent in rig.page.sent]


def test_a_post_that_may_not_mail_is_published_silently_and_the_next_without_a_try(make: Make) -> None:
    rig = crowded(make).fires("a", severity="warning").passes("5m")
    assert tries(rig) == [("open", True), ("open", False)]
    assert rig.page.names == ["Checkout problems"]
    rig.fires("b").passes("5m").clears("a", "b").passes("5m")
    assert tries(rig)[2:] == [("worsen", False), ("resolve", False)]
    (notice,) = rig.notices
    assert (notice.code, notice.severity) == ("mail_refused", Severity.WARNING)
    assert "page `main`" in notice.text


def test_a_restart_remembers_who_may_not_be_mailed_for_a_day(make: Make) -> None:
    before = crowded(make).fires("a", severity="warning").passes("5m")
    before.close()
    after = make(rule(**MAILING), page=before.page, path=before.path)
    after.now = before.now
    after.passes("23h").fires("b").passes("5m")
    assert tries(after)[2:] == [("worsen", False)]
    after.passes("1h").clears("b").passes("5m").fires("b").passes("5m")
    assert tries(after)[3:] == [("improve", False), ("worsen", True), ("worsen", False)]
    assert after.codes == ["mail_refused", "mail_refused"], "once a day"


def test_several_incidents_at_once_are_told_of_once(make: Make) -> None:
    rig = crowded(make)
    rig.use(rule("checkout", **MAILING) + rule("second", match="{labels.service: second}", **MAILING))
    rig.fires("a").fires("s", service="second").passes("5m")
    assert tries(rig) == [("open", True), ("open", False), ("open", False)]
    assert rig.codes == ["mail_refused"]


def test_a_create_that_may_not_mail_comes_under_another_key(make: Make) -> None:
    rig = crowded(make).fires().passes("5m")
    first, second = (sent.action.key for sent in rig.page.sent)
    assert first != second
    again = crowded(make)
    again.page.refuses_mail = False
    again.fires().passes("5m")
    assert again.page.sent[0].action.key == first, "a refused key may be spent; the other one is made of it"


def test_a_window_that_may_not_mail_is_announced_silently(make: Make) -> None:
    rig = make(
        rule()
        + """maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: 2026-11-23T14:00
    timezone: Europe/Berlin
    duration: 1h
    announce: {before: 2h, text: Coming., notify: true}
"""
    )
    rig.page.refuses_mail = True
    rig.passes("90m")
    assert tries(rig) == [("announce", True), ("announce", False)]
    assert rig.codes == ["mail_refused"]


def test_what_is_refused_for_another_reason_is_parked(make: Make) -> None:
    rig = make(rule(**MAILING))
    rig.page.script.append(Answer.REFUSED)
    assert rig.fires().passes("5m").actions() == ["open parked"]


def test_a_person_may_say_that_it_is_to_be_tried_again(make: Make) -> None:
    rig = crowded(make).fires("a", severity="warning").passes("5m")
    rig.page.refuses_mail = False
    assert rig.asks("resume", page="main").said == ("page `main` is asked to mail its subscribers again",)
    rig.fires("b").passes("5m")
    assert tries(rig)[2:] == [("worsen", True)]
