"""How statements settle: stamped in any order, unstamped by receipt, repeats never."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.core.model import Event, Signal, Status
from worker.core.signals import Change, settle

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def event(status: str = "firing", *, started: int | None = 0, stamp: int | None = None, title: str = "") -> Event:
    """Make a statement; times in minutes after NOW."""
    return Event(
        source="s",
        kind="alert",
        key="k",
        status=Status(status),
        title=title,
        started_at=None if started is None else NOW + timedelta(minutes=started),
        occurred_at=None if stamp is None else NOW + timedelta(minutes=stamp),
    )


def told(*events: Event) -> tuple[Signal | None, list[Change]]:
    """Settle statements, one inbound each, a minute apart and long after their stamps."""
    signal: Signal | None = None
    changes = []
    for seq, statement in enumerate(events, 1):
        signal, change = settle(signal, statement, NOW + timedelta(hours=1, minutes=seq), seq)
        changes.append(change)
    return signal, changes


def test_a_repeat_is_a_repeat() -> None:
    assert told(event(), event())[1] == [Change.NEWS, Change.REPEAT]


def test_an_occurrence_that_was_resolved_fires_again_when_the_sender_says_so() -> None:
    """A monitoring that cannot reach its alert manager for a while: expired, then back with the same start."""
    signal, changes = told(event(), event("resolved"), event())
    assert changes == [Change.NEWS] * 3
    assert signal is not None
    assert signal.firing
    assert signal.last_resolve is not None


def test_a_new_occurrence_fires() -> None:
    signal, _ = told(event(), event("resolved"), event(started=5))
    assert signal is not None
    assert signal.firing


def test_a_late_resolve_of_an_older_occurrence_changes_nothing() -> None:
    signal, changes = told(event(started=5), event("resolved", started=0))
    assert changes[-1] is Change.STALE
    assert signal is not None
    assert signal.firing


def test_without_starts_and_stamps_the_receipt_decides() -> None:
    fire, clear = event(started=None), event("resolved", started=None)
    signal, changes = told(fire, clear, fire)
    assert changes == [Change.NEWS] * 3
    assert signal is not None
    assert signal.firing


def test_a_resolve_that_comes_first_is_remembered() -> None:
    signal, changes = told(event("resolved", stamp=5), event(stamp=1))
    assert changes == [Change.NEWS, Change.STALE]
    assert signal is not None
    assert not signal.firing


def test_an_inbound_that_was_received_earlier_does_not_win_over_a_later_one() -> None:
    signal, _ = settle(None, event("resolved"), NOW, 7)
    assert signal is not None
    assert settle(signal, event(title="x", started=9), NOW, 6)[1] is Change.STALE


def test_a_clock_that_is_set_back_does_not_make_news_stale() -> None:
    signal, _ = settle(None, event(), NOW, 1)
    assert signal is not None
    assert settle(signal, event("resolved"), NOW - timedelta(hours=1), 2)[1] is Change.NEWS


def test_a_clock_that_is_set_back_does_not_make_stamped_news_stale() -> None:
    signal, _ = settle(None, event(stamp=0), NOW, 1)
    signal, change = settle(signal, event("resolved", stamp=10), NOW - timedelta(minutes=50), 2)
    assert change is Change.NEWS
    assert signal is not None
    assert not signal.firing
    signal, change = settle(signal, event(stamp=5), NOW - timedelta(minutes=49), 3)
    assert change is Change.STALE


def test_what_was_told_while_our_clock_was_behind_keeps_its_order_once_it_is_right() -> None:
    signal, _ = settle(None, event(stamp=0), NOW, 1)
    for minute, status in ((10, "firing"), (11, "resolved")):
        signal, change = settle(signal, event(status, stamp=minute), NOW - timedelta(minutes=50), 2)
        assert change is Change.NEWS
    signal, change = settle(signal, event(stamp=10), NOW + timedelta(minutes=12), 3)
    assert change is Change.STALE
    assert signal is not None
    assert not signal.firing


def test_statements_that_overtake_each_other_while_our_clock_is_behind_are_ordered_by_their_stamps() -> None:
    signal, _ = settle(None, event("resolved", stamp=61), NOW, 1)
    signal, change = settle(signal, event(stamp=60), NOW + timedelta(minutes=1), 2)
    assert change is Change.STALE
    assert signal is not None
    assert not signal.firing


def test_a_stamp_of_the_future_does_not_block_what_follows() -> None:
    signal, _ = settle(None, event(stamp=60 * 24), NOW, 1)
    later = event("resolved", stamp=10)
    assert signal is not None
    assert settle(signal, later, NOW + timedelta(minutes=10), 2)[1] is Change.NEWS


def test_a_remark_neither_fires_nor_resolves() -> None:
    assert told(event("info"))[1] == [Change.REMARK]
    signal, _ = told(event(), event("info"))
    assert signal is not None
    assert signal.firing


stamped = st.builds(
    event,
    st.sampled_from(["firing", "resolved"]),
    started=st.just(0),
    stamp=st.integers(0, 5),
    title=st.sampled_from("ab"),
)


@given(
    st.lists(stamped, min_size=1, max_size=6).flatmap(lambda es: st.tuples(st.just(es), st.permutations(es + es[:2])))
)
def test_stamped_statements_end_in_one_state_whatever_their_order_and_repetition(
    orders: tuple[list[Event], list[Event]],
) -> None:
    one, other = (told(*order)[0] for order in orders)
    assert one is not None
    assert other is not None
    same = {"since": NOW, "seq": 0, "over": None, "last_resolve": None}
    assert replace(one, **same) == replace(other, **same)
