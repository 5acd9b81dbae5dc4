"""The emergency switch: what is written to pages while somebody pauses and resumes."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import START, Rig, rule
from worker.core.model import PAUSE, ActionState, Flag
from worker.errors import CommandRefused, LedgerUnavailable, NotFound
from worker.ports import Commit
from worker.steps.deliver import Channel

MANY = 80


def test_nothing_is_written_while_it_is_paused_and_what_is_true_then_afterwards(make: Make) -> None:
    rig = make(rule(quiet="0s"))
    assert rig.asks("pause", reason="wrong rule").said == (
        "all pages are paused: nothing is written until `statusbridge resume`",
    )
    rig.fires("a").passes("1h").clears("a").passes("1h").fires("b").passes("1h")
    assert rig.said == []
    assert rig.asks("resume").said == ("all pages are written to again",)
    assert rig.passes("1m").said == ["180m open open"]


def test_a_page_may_be_paused_alone(make: Make) -> None:
    rig = make(rule(page="[main, other]"))
    rig.channels = {name: Channel(rig.page, rig.page.directory, timedelta()) for name in ("main", "other")}
    rig.asks("pause", page="main")
    rig.fires()
    assert [sent.action.page for sent in rig.page.sent] == ["other"]
    rig.asks("resume", page="main")
    rig.settles()
    assert [sent.action.page for sent in rig.page.sent] == ["other", "main"]


def test_pausing_twice_keeps_the_first_word(make: Make) -> None:
    rig = make()
    rig.asks("pause", reason="first")
    rig.now += timedelta(hours=1)
    again = rig.asks("pause", by="bob", page="main", reason="second")
    assert again.said == ("all pages are paused already, since 2026-11-23 10:00:00 UTC, by ann: first",)
    assert [flag.value for flag in rig.ledger.flags(PAUSE)] == ["ann: first"]
    assert rig.codes == ["paused"]


def test_resuming_takes_every_pause_away_and_says_so_where_there_is_none(make: Make) -> None:
    rig = make()
    rig.asks("pause", page="main")
    rig.asks("pause")
    assert rig.asks("resume").said == ("all pages are written to again", "page `main` is written to again")
    assert rig.asks("resume").said == ("all pages are not paused",)
    assert rig.asks("resume", page="main").said == ("page `main` is not paused",)
    assert rig.codes == ["paused", "paused", "resumed", "resumed"]


def test_one_page_of_all_that_are_paused_is_not_resumed_alone(make: Make) -> None:
    rig = make()
    rig.asks("pause")
    with pytest.raises(CommandRefused, match="resume without a page"):
        rig.asks("resume", page="main")


@pytest.mark.parametrize("name", ["pause", "resume"])
def test_a_page_that_nobody_knows_is_told_with_what_was_meant(make: Make, name: str) -> None:
    with pytest.raises(NotFound, match="there is no page `mian`; did you mean `main`"):
        make().asks(name, page="mian")


def test_a_pause_survives_a_restart(make: Make) -> None:
    rig = make()
    rig.asks("pause")
    rig.close()
    again = make(path=rig.path)
    assert again.fires().said == []


def test_a_pause_between_claim_and_send_writes_nothing_down(make: Make) -> None:
    rig = make()
    _pauses_at(rig, "claimed")
    rig.fires()
    assert rig.said == []
    (action,) = rig.episode().actions
    assert (action.state, action.tries) == (ActionState.QUEUED, 0)
    rig.checkpoint = lambda point: None
    rig.asks("resume")
    assert rig.settles().said == ["0m open open"]


@pytest.mark.parametrize("point", ["before_intent", "after_intent"])
def test_a_pause_around_the_write_ahead_commit_is_in_time_too(make: Make, point: str) -> None:
    rig = make()
    _pauses_at(rig, point)
    rig.fires()
    assert rig.said == []
    (action,) = rig.episode().actions
    assert (action.state, action.sends, action.reason) == (ActionState.QUEUED, 0, "paused")
    rig.checkpoint = lambda at: None
    rig.asks("resume")
    assert rig.passes("1m").page.names == ["Checkout problems"]
    assert len(rig.said) == 1


def test_what_may_be_on_its_way_is_told_to_whoever_pauses(make: Make) -> None:
    rig = make()
    told: list[tuple[str, ...]] = []
    rig.page.watch = lambda action, request: told.append(rig.asks("pause").sending)
    rig.fires()
    assert told == [("checkout@main#1/1",)]


def test_a_switch_that_cannot_be_read_counts_as_paused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make()

    def gone(page: str) -> bool:
        raise LedgerUnavailable("the disk is gone")

    rig.checkpoint = lambda at: monkeypatch.setattr(rig.ledger, "paused", gone) if at == "after_intent" else None
    rig.fires()
    assert rig.said == []


def test_an_unknown_outcome_waits_for_resume_and_is_looked_for_then(make: Make) -> None:
    rig = make()
    rig.page.script.append(Answer.TAKEN)
    rig.fires()
    rig.asks("pause")
    reads = rig.passes("1h").page.reads
    rig.asks("resume")
    rig.passes("1m")
    assert rig.page.reads > reads
    assert len(rig.page.sent) == 1
    assert rig.episode().remote_id


def test_no_write_starts_after_a_pause_was_acknowledged_however_often_in_a_backlog(make: Make) -> None:
    rig = make(rule(more="group_by: [n]", match="{labels.service: checkout}"))
    for n in range(MANY):
        rig.words({"key": f"k{n}", "status": "firing", "n": str(n)})
    rig.reacts()
    ended = threading.Event()

    def delivers() -> None:
        while not ended.is_set():
            if not rig.deliver_step.run_once():
                ended.wait(0.001)

    threads = [threading.Thread(target=delivers) for _ in range(4)]
    for thread in threads:
        thread.start()
    toggles = 0
    try:
        while len(rig.page.sent) < MANY:
            before = len(rig.page.sent)
            _acknowledged(rig)
            stopped = len(rig.page.sent)
            threads[0].join(0.005)  # a write that slips through would come now
            assert len(rig.page.sent) == stopped, f"after {toggles} pauses"
            rig.now += timedelta(seconds=3)
            rig.asks("resume")
            toggles += 1
            while len(rig.page.sent) in (before, stopped) and len(rig.page.sent) < MANY:
                rig.now += timedelta(seconds=3)
                threads[0].join(0.001)
    finally:
        ended.set()
        for thread in threads:
            thread.join(20)
    assert toggles > 10
    assert len(rig.page.incidents) == MANY


def _pauses_at(rig: Rig, point: str) -> None:
    def checkpoint(at: str) -> None:
        if at == point:
            rig.asks("pause")

    rig.checkpoint = checkpoint


def _acknowledged(rig: Rig) -> None:
    """Pause, as the command does: until nothing is on its way any more."""
    sending = set(rig.asks("pause").sending)
    while sending & set(rig.ledger.sending()):
        pass


def test_a_flag_that_holds_nonsense_pauses_all_the_same(make: Make) -> None:
    rig = make()
    rig.committer.commit(Commit(now=rig.now, flags=[Flag(page="", name=PAUSE, at=START, value="\x00{")]))
    assert rig.fires().said == []
