"""Maintenance windows on a clock that is set forward and back, through the whole pipeline."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import START, Rig, rule
from tests.unit.steps.test_event_windows import DEPLOY, says
from tests.unit.steps.test_window_changes import LONG, works
from tests.unit.steps.test_windows import ALL, ENTRY, windows
from worker.core.model import Post, WindowPhase

HOUR = timedelta(hours=1)


def stepped(rig: Rig, by: timedelta) -> Rig:
    """The clock of the machine is set."""
    rig.now += by
    return rig.settles()


def posts(rig: Rig) -> Counter[Post]:
    return Counter(sent.action.post for sent in rig.page.sent)


@pytest.mark.parametrize("by", [HOUR, -HOUR])
@pytest.mark.parametrize("after", ["59m", "60m", "61m", "119m", "121m", "150m", "179m", "180m", "181m", "210m", "239m"])
def test_each_transition_is_said_once_whenever_the_clock_is_set_by_an_hour(
    make: Make, after: str, by: timedelta
) -> None:
    rig = stepped(make(rule() + ENTRY).passes(after), by).passes("6h")
    said = posts(rig)
    assert (said[Post.ANNOUNCE], said[Post.START], said[Post.COMPLETE]) == (1, 1, 1)
    assert said[Post.REMIND] <= 1
    (window,) = windows(rig)
    assert (window.phase, window.actions) == (WindowPhase.COMPLETE, ())
    times = [(sent.at, sent.action.post) for sent in rig.page.sent]
    starts = next(at for at, post in times if post is Post.START)
    assert starts >= START + 3 * HOUR
    assert max(at for at, _ in times) >= START + 4 * HOUR


def test_set_forth_and_back_it_says_nothing_twice(make: Make) -> None:
    rig = make(rule() + ENTRY)
    for _ in range(12):
        stepped(stepped(rig, HOUR).passes("1m"), -HOUR).passes("30m")
    assert posts(rig) == {Post.ANNOUNCE: 1, Post.REMIND: 1, Post.START: 1, Post.COMPLETE: 1}


def test_a_start_that_is_to_be_tried_again_does_not_wait_for_the_old_time(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("179m")
    rig.page.script.append(Answer.NOT_SENT)
    rig.passes("1m")
    assert rig.page.sent[-1].action.post is Post.START
    stepped(rig, -HOUR).passes("1m")
    (remote,) = rig.page.incidents
    assert rig.page.said(remote) == ["Coming.", "Soon.", "It began."]


def test_a_window_that_takes_too_long_is_looked_at_although_the_clock_was_set_back(make: Make) -> None:
    rig = works(make(rule() + LONG).passes("3h")).passes("2h")
    assert rig.codes == ["overrun"]
    rig.now -= timedelta(minutes=20)  # still past its last end
    works(rig, "resolved").passes("90s")
    assert windows(rig)[0].phase is WindowPhase.COMPLETE


def test_a_deployment_that_ends_after_the_clock_was_set_back_ends_at_once(make: Make) -> None:
    rig = stepped(says(make(DEPLOY)).passes("5m"), -HOUR)
    says(rig.passes("1m"), status="resolved")
    assert [sent.action.post for sent in rig.page.sent] == [Post.START, Post.COMPLETE]


def test_a_fault_in_planning_keeps_no_window_from_its_times(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(rule() + ENTRY).passes("90m")

    def fails(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("worker.steps.advance.steps", fails)
    rig.passes("5h")
    assert rig.said == ALL
    assert rig.meter.counted["faults:advance"] > 0
