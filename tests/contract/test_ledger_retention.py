"""What a ledger forgets in time, and what it never does: in a SQLite file, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.fakes.ledger_rows import NOW, action, entry, episode, event, member, record_all, signal, window
from worker.core.model import ActionState, Attempt, Notice, Phase, Signal, Status, WindowPhase
from worker.ledger import Ledger
from worker.ports import Commit, Decision, Entry, Handled, Heard, Recorded

# A ledger in memory is gone before anything in it is old.
pytestmark = pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)

DAY = timedelta(days=1)
LATER = NOW + 100 * DAY
LONG = "k" * 2_000  # longer than an index can hold


def commit(ledger: Ledger, at: datetime = NOW, **rows: object) -> None:
    ledger.commit(Commit(**{"now": at, **rows}))  # type: ignore[arg-type]


def pruned(ledger: Ledger, *, limit: int = 500, **before: datetime) -> int:
    """Prune until nothing is left to remove; give how many rows went."""
    times = dict.fromkeys(("inbounds_before", "signals_before", "ended_before"), NOW - DAY)
    total = 0
    while removed := ledger.prune(limit=limit, **{**times, **before}):
        assert removed <= limit
        total += removed
    return total


def received(ledger: Ledger, *entries: Entry, done: bool = True) -> list[int]:
    seqs = [answer.seq for answer in record_all(ledger, entries) if isinstance(answer, Recorded)]
    if done:
        commit(ledger, handled=[Handled(seq=seq) for seq in seqs])
    return seqs


def at(when: datetime, delivery: str | None = None) -> Entry:
    plain = entry(delivery)
    return replace(plain, inbound=replace(plain.inbound, received_at=when))


def resolved(key: str, when: datetime) -> Signal:
    return Signal(event=event(key, Status.RESOLVED), stamp=when, since=when)


def known(ledger: Ledger, keys: Iterable[str]) -> set[str]:
    return {key for _, key in ledger.signals([("am", key) for key in keys])}


class TestInbounds:
    def test_old_ones_go_with_what_was_heard_in_them_and_their_delivery_is_news_again(self, ledger: Ledger) -> None:
        old, new = received(ledger, at(NOW, "old"), at(NOW + DAY, "new"))
        commit(
            ledger, heard=[Heard(inbound_seq=seq, position=0, event=event(), effect="news") for seq in (old, old, new)]
        )
        assert pruned(ledger, inbounds_before=NOW + DAY) == 3
        totals = ledger.totals()
        assert (totals["inbounds"], totals["events"]) == (1, 1)
        again = record_all(ledger, [at(NOW, "old"), at(NOW, "new")])
        assert again == [Recorded(new + 1, duplicate=False), Recorded(new, duplicate=True)]

    def test_what_waits_is_never_removed_and_keeps_nothing_else_from_it(self, ledger: Ledger) -> None:
        received(ledger, at(NOW), at(NOW), done=False)
        received(ledger, at(NOW))
        assert pruned(ledger, inbounds_before=LATER) == 1
        assert len(ledger.pending(10)) == 2

    def test_parked_ones_go_too(self, ledger: Ledger) -> None:
        (seq,) = received(ledger, at(NOW), done=False)
        commit(ledger, handled=[Handled(seq=seq, state="parked", detail="why")])
        assert pruned(ledger, inbounds_before=LATER) == 1


class TestSignals:
    def test_a_tombstone_goes_once_nothing_new_was_heard_of_it_for_long(self, ledger: Ledger) -> None:
        stamped_late = replace(resolved("c", NOW), stamp=NOW + 2 * DAY)
        commit(ledger, signals=[resolved("a", NOW), resolved("b", NOW + 2 * DAY), stamped_late, resolved(LONG, NOW)])
        assert pruned(ledger, signals_before=NOW + DAY) == 2
        assert known(ledger, ["a", "b", "c", LONG]) == {"b", "c"}

    def test_one_that_fires_is_never_removed(self, ledger: Ledger) -> None:
        commit(ledger, signals=[signal("a"), signal(LONG)])
        assert pruned(ledger, signals_before=LATER) == 0

    @pytest.mark.parametrize("phase", [Phase.HELD, Phase.OPEN, Phase.CLEARING])
    def test_a_member_of_a_live_episode_is_never_removed(self, ledger: Ledger, phase: Phase) -> None:
        one = resolved("a", NOW)
        commit(ledger, signals=[one, resolved("b", NOW)], episodes=[episode(1, one, phase=phase)])
        assert pruned(ledger, signals_before=LATER) == 1
        kept = ledger.get("rule@page#1")
        assert kept is not None
        assert list(kept.members) == [("am", "a")]

    def test_a_member_of_a_live_window_is_never_removed(self, ledger: Ledger) -> None:
        one = resolved("a", NOW)
        members = {one.id: member(one)}
        commit(ledger, signals=[one], windows=[window(members=members, phase=WindowPhase.IN_PROGRESS)])
        assert pruned(ledger, signals_before=LATER) == 0

    def test_a_member_of_ended_episodes_goes_and_the_episodes_stay(self, ledger: Ledger) -> None:
        one, other = resolved(LONG, NOW), signal("b")
        ended = [episode(n, one, other, phase=Phase.RESOLVED, ended_at=NOW) for n in (1, 2, 3)]
        commit(ledger, signals=[one, other], episodes=ended)
        assert pruned(ledger, signals_before=LATER) == 4
        for number in (1, 2, 3):
            kept = ledger.get(f"rule@page#{number}")
            assert kept is not None
            assert list(kept.members) == [("am", "b")]

    def test_one_that_comes_back_after_that_is_new(self, ledger: Ledger) -> None:
        commit(ledger, signals=[resolved("a", NOW)])
        assert pruned(ledger, signals_before=LATER) == 1
        commit(ledger, signals=[signal("a")])
        assert known(ledger, ["a"]) == {"a"}


class TestEpisodes:
    def ended(self, ledger: Ledger, number: int, when: datetime, state: ActionState = ActionState.DONE) -> None:
        one = signal(str(number))
        each = episode(number, one, phase=Phase.RESOLVED, ended_at=when)
        acts = [action(each.id, 1, state=ActionState.DONE), action(each.id, 2, state=state)]
        tries = [
            Attempt(action_id=act.id, number=1, started_at=NOW, method="POST", target="/", body=b"") for act in acts
        ]
        lines = [Decision(aggregate=each.id, at=NOW, cause="c", text="t") for _ in range(3)]
        commit(ledger, signals=[one], episodes=[each], actions=acts, attempts=tries, decisions=lines)

    def test_old_ones_go_with_all_that_belongs_to_them(self, ledger: Ledger) -> None:
        self.ended(ledger, 1, NOW)
        self.ended(ledger, 2, NOW + 2 * DAY)
        assert pruned(ledger, ended_before=NOW + DAY) == 1 + 1 + 2 + 2 + 3
        assert ledger.get("rule@page#1") is None
        assert [line.episode for line in ledger.history()] == ["rule@page#2"] * 2
        story = ledger.story("rule#2")
        assert story is not None
        assert (len(story.decisions), len(story.attempts)) == (3, 2)
        assert known(ledger, ["1", "2"]) == {"1", "2"}

    @pytest.mark.parametrize("state", [state for state in ActionState if not state.settled])
    def test_one_whose_action_is_not_settled_is_never_removed(self, ledger: Ledger, state: ActionState) -> None:
        self.ended(ledger, 1, NOW, state)
        assert pruned(ledger, ended_before=LATER) == 0
        assert len(ledger.history()) == 2

    @pytest.mark.parametrize("phase", [Phase.HELD, Phase.OPEN, Phase.CLEARING])
    def test_a_live_one_is_never_removed_however_old(self, ledger: Ledger, phase: Phase) -> None:
        commit(
            ledger,
            episodes=[episode(1, phase=phase)],
            decisions=[Decision(aggregate="rule@page#1", at=NOW, cause="c", text="t")],
        )
        assert pruned(ledger, ended_before=LATER) == 0

    def test_one_that_was_reopened_is_live(self, ledger: Ledger) -> None:
        ended = episode(1, phase=Phase.RESOLVED, ended_at=NOW)
        commit(ledger, episodes=[ended])
        commit(ledger, episodes=[replace(ended, version=1, phase=Phase.OPEN, ended_at=None)])
        assert pruned(ledger, ended_before=LATER) == 0

    def test_a_window_that_is_over_goes_and_others_stay(self, ledger: Ledger) -> None:
        windows = [window(f"db@{phase}", phase=phase) for phase in WindowPhase]
        unsettled = window("held@1", phase=WindowPhase.COMPLETE)
        commit(ledger, windows=[*windows, unsettled], actions=[action(unsettled.id, 1, state=ActionState.HELD)])
        assert pruned(ledger, ended_before=LATER) == 3
        left = {each.id for each in [*windows, unsettled] if ledger.window(each.id)}
        assert left == {unsettled.id, *(f"page/db@{phase}" for phase in WindowPhase if phase.live)}

    def test_a_window_that_was_called_off_is_known_until_its_time_is_past(self, ledger: Ledger) -> None:
        called_off = window(phase=WindowPhase.CANCELLED, ended_at=NOW, starts_at=NOW + 60 * DAY, ends_at=NOW + 61 * DAY)
        commit(ledger, windows=[called_off])
        assert pruned(ledger, ended_before=NOW + 59 * DAY) == 0

    def test_a_window_is_kept_while_it_mutes(self, ledger: Ledger) -> None:
        commit(ledger, windows=[window(phase=WindowPhase.COMPLETE, grace=90 * DAY)])
        assert pruned(ledger, ended_before=NOW + 30 * DAY) == 0


def test_old_notices_go(ledger: Ledger) -> None:
    for when in (NOW, NOW + 2 * DAY):
        commit(ledger, when, notices=[Notice(code="held", subject=str(when), text="t")])
    assert pruned(ledger, ended_before=NOW + DAY) == 1
    assert [when for when, _ in ledger.notices()] == [NOW + 2 * DAY]


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_each_round_removes_a_bounded_number_of_rows_and_all_rounds_everything(ledger: Ledger, limit: int) -> None:
    seqs = received(ledger, *(at(NOW) for _ in range(5)))
    heard = [Heard(inbound_seq=seq, position=n, event=event(), effect="news") for seq in seqs for n in range(2)]
    signals = [resolved(str(n), NOW) for n in range(4)]
    ended = [episode(n, *signals, phase=Phase.DISMISSED, ended_at=NOW) for n in range(1, 4)]
    acts = [action(each.id, state=ActionState.REPLACED) for each in ended]
    notices = [Notice(code="held", subject="s", text="t")] * 3
    commit(ledger, heard=heard, signals=signals, episodes=ended, actions=acts, notices=notices)
    times = {"inbounds_before": LATER, "signals_before": LATER, "ended_before": LATER}
    assert pruned(ledger, limit=limit, **times) == 5 + 10 + 4 + 3 * 4 + 3 + 3 + 3
    assert not any(ledger.totals().values())
    assert ledger.notices() == []
