"""Time does what it must to every episode that is due; late is fine, twice is harmless, and nobody is kept waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.steps.rig import Rig, alert, rule
from worker.core.model import Episode
from worker.errors import ConfigError, LedgerUnavailable
from worker.ports import Commit

Make = Callable[..., Rig]

TWO = rule("checkout", hold="3m") + rule("web", match="{labels.service: web}", hold="3m")


def test_nothing_is_done_before_its_time(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    commits = len(rig.committer.commits)
    rig.now += timedelta(minutes=2, seconds=59)
    assert rig.advance_step.run_once() == 0
    assert len(rig.committer.commits) == commits
    rig.now += timedelta(seconds=1)
    assert rig.advance_step.run_once() == 1
    assert rig.phase() == "open"


def test_a_worker_that_was_down_at_the_time_catches_up_once(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    rig.now += timedelta(hours=5)
    rig.settles()
    assert rig.said == ["300m open open"]


def test_a_clock_that_jumps_back_opens_nothing_early_and_nothing_twice(make: Make) -> None:
    rig = make(rule(hold="3m")).fires().passes("3m")
    rig.now -= timedelta(hours=1)
    rig.settles()
    rig.now += timedelta(hours=2)
    assert rig.settles().said == ["3m open open"]


def test_looking_twice_decides_nothing_new(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    rig.now += timedelta(minutes=3)
    rig.advances()
    stale = replace(rig.episode(), wake_at=rig.now)
    rig.ledger.commit(Commit(now=rig.now, episodes=[stale]))
    rig.advances()
    assert rig.actions() == ["open queued"]
    assert rig.committer.commits[-1].actions == ()


def test_at_most_so_many_are_looked_at_in_one_round_the_earliest_first(make: Make) -> None:
    rig = make(rule(hold="3m", more="group_by: [region]\n"))
    for region in "abc":
        rig.fires(region, region=region)
        rig.now += timedelta(seconds=1)
    rig.now += timedelta(minutes=3)
    assert rig.advance_step.run_once(limit=2) == 2
    assert [rig.phase(region=region) for region in "abc"] == ["open", "open", "held"]
    assert rig.advance_step.run_once(limit=2) == 1


def test_a_conflict_is_counted_and_looked_at_in_the_next_round(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    rig.now += timedelta(minutes=3)
    left = [1]

    def somebody_is_first(commit: Commit) -> None:
        if left and left.pop():
            rig.ledger.commit(Commit(now=rig.now, episodes=[replace(rig.episode(), told_max_open=True)]))

    rig.committer.before = somebody_is_first
    assert rig.advance_step.run_once() == 0
    assert rig.meter.counted["conflicts:advance"] == 1
    assert rig.advance_step.run_once() == 1
    assert (rig.phase(), rig.episode().told_max_open) == ("open", True)


def test_a_signal_that_clears_at_the_last_moment_is_not_published(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    rig.now += timedelta(minutes=3)
    cleared: list[int] = []

    def clears_first(commit: Commit) -> None:
        if not cleared:
            cleared.append(1)
            rig.alerts(alert("a", status="resolved", ended=rig.now)).reacts()

    rig.committer.before = clears_first
    rig.settles()
    assert rig.phase() == "dismissed"
    assert rig.page.sent == []


def test_a_ledger_that_is_unavailable_ends_the_round(make: Make) -> None:
    rig = make(TWO).fires("a").fires("w", service="web")
    rig.now += timedelta(minutes=3)
    tries: list[Commit] = []

    def gone(commit: Commit) -> None:
        tries.append(commit)
        raise LedgerUnavailable("disk is full")

    rig.committer.before = gone
    with pytest.raises(LedgerUnavailable):
        rig.advance_step.run_once()
    assert len(tries) == 1


BUGS = (KeyError("k"), ConfigError("an older program's revision"), ZeroDivisionError())


@pytest.mark.parametrize("bug", BUGS, ids=[type(bug).__name__ for bug in BUGS])
def test_a_bug_in_one_episode_does_not_keep_the_others_from_their_time(make: Make, bug: Exception) -> None:
    rig = make(TWO).fires("a").fires("w", service="web")
    follow = rig.book.followed_by

    def buggy(episode: Episode, revision: Any) -> Any:
        if episode.rule_id == "checkout":
            raise bug
        return follow(episode, revision)

    rig.book.followed_by = buggy  # type: ignore[method-assign]
    rig.passes("20m")
    assert (rig.phase("checkout"), rig.phase("web")) == ("held", "open")
    assert rig.codes == ["internal_fault"], "told once, not every minute"
    assert rig.notices[0].subject == rig.episode("checkout").id
    assert rig.meter.counted["faults:advance"] > 10, "and looked at again and again"
    rig.book.followed_by = follow  # type: ignore[method-assign]
    rig.passes("2m")
    assert rig.phase("checkout") == "open"
    assert rig.episode("checkout").fault == ""


def test_an_episode_that_is_open_too_long_is_told_once(make: Make) -> None:
    rig = make(rule(max_open="2h")).fires().passes("5h")
    assert rig.codes == ["max_open"]
    assert rig.phase() == "open"


def test_what_time_decides_is_in_the_history(make: Make) -> None:
    rig = make(rule(hold="3m")).fires().passes("3m")
    story = rig.ledger.story("checkout#1")
    assert story is not None
    by_time = [decision.text for decision in story.decisions if decision.cause == "the clock"]
    assert by_time == ["open_incident (open) queued"]
