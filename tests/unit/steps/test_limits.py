"""What a provider takes no more of: updates of one incident, and mails to very many subscribers."""

from __future__ import annotations

from itertools import pairwise

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
