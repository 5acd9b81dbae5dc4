"""What every ledger keeps, in memory, in a SQLite file, in PostgreSQL: one suite over all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.conftest import AnyLedger, Store
from tests.fakes.ledger_rows import (
    MINUTE,
    NOW,
    SECOND,
    action,
    entry,
    episode,
    event,
    member,
    record,
    record_all,
    signal,
    stored,
    window,
)
from worker.core.breaker import BOTH
from worker.core.drift import Drift, DriftKind, Sweep
from worker.core.model import (
    PAUSE,
    UNREADABLE,
    UNWRITABLE,
    Action,
    ActionKind,
    ActionState,
    Attempt,
    BackfillStep,
    Beat,
    ComponentStatus,
    Content,
    Flag,
    Inbound,
    IncidentStatus,
    Notice,
    Origin,
    PageState,
    Phase,
    Post,
    Result,
    Severity,
    Status,
    WindowPhase,
    WindowStatus,
    Word,
)
from worker.errors import Conflict, LedgerUnavailable, Overloaded
from worker.ports import (
    Commit,
    Committer,
    Decision,
    Episodes,
    Footprints,
    Handled,
    Heard,
    Inbox,
    Outbox,
    Queries,
    Recorded,
    Switches,
    Windows,
)

LEASE = MINUTE
HOSTILE = "a\x00b\ud800c\ufffe0000d\U0001f600" + "x" * 5_000


def commit(ledger: Committer, **rows: object) -> None:
    ledger.commit(Commit(**{"now": NOW, **rows}))  # type: ignore[arg-type]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run *work* in threads that start together; raise what any of them raised."""
    start, faults = threading.Barrier(count), []

    def run(number: int) -> None:
        start.wait(20)
        try:
            work(number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if faults:
        raise faults[0]


def test_a_ledger_is_all_its_ports(ledger: AnyLedger) -> None:
    ports: tuple[Committer, Inbox, Episodes, Windows, Outbox, Footprints, Switches, Queries] = (ledger,) * 8
    assert len(ports) == 8


class TestInbox:
    def test_an_inbound_comes_back_as_it_came(self, ledger: AnyLedger) -> None:
        inbound = Inbound(
            source="ci",
            body=b"\x00\xff not text",
            headers={"x-signature": "sha256=00", "via": "a, b"},
            received_at=datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
            query="a=1&b=%00",
            method="PUT",
        )
        (answer,) = record_all(ledger, [entry(inbound=inbound)])
        assert answer == Recorded(1, duplicate=False)
        assert ledger.pending(10) == [replace(inbound, seq=1)]

    def test_inbounds_are_given_in_order_of_receipt_and_never_more_than_asked_for(self, ledger: AnyLedger) -> None:
        seqs = record(ledger, *(None for _ in range(20)))
        assert list(seqs) == sorted(seqs)
        assert [inbound.seq for inbound in ledger.pending(7)] == list(seqs)[:7]

    def test_a_repeated_delivery_is_told_the_place_of_the_first(self, ledger: AnyLedger) -> None:
        (first,) = record(ledger, "d1")
        (second,) = record(ledger, "d2")
        assert record_all(ledger, [entry("d1"), entry("d2")]) == [Recorded(first, True), Recorded(second, True)]
        assert len(ledger.pending(10)) == 2

    def test_repeats_are_found_among_entries_that_arrive_together(self, ledger: AnyLedger) -> None:
        answers = record_all(ledger, [entry(name) for name in ("a", "b", "a", "a", "b", "c")])
        places = [answer.seq for answer in answers if isinstance(answer, Recorded)]
        assert places[0] == places[2] == places[3]
        assert places[1] == places[4]
        assert [isinstance(a, Recorded) and a.duplicate for a in answers] == [False, False, True, True, True, False]
        assert len(ledger.pending(10)) == 3

    def test_the_same_delivery_of_another_source_is_news(self, ledger: AnyLedger) -> None:
        answers = record_all(ledger, [entry("d", source="a"), entry("d", source="b")])
        assert [isinstance(answer, Recorded) and answer.duplicate for answer in answers] == [False, False]

    def test_without_a_delivery_nothing_is_a_repeat(self, ledger: AnyLedger) -> None:
        assert len(set(record(ledger, None, None, None))) == 3

    def test_a_delivery_is_remembered_after_it_was_handled(self, ledger: AnyLedger) -> None:
        (seq,) = record(ledger, "d")
        commit(ledger, handled=[Handled(seq=seq)])
        assert record_all(ledger, [entry("d")]) == [Recorded(seq, duplicate=True)]
        assert ledger.pending(10) == []

    def test_hostile_names_of_deliveries_stay_different(self, ledger: AnyLedger) -> None:
        names = [HOSTILE, HOSTILE + "y", HOSTILE[:-1], "\x00", "\ufffe0000", "\ud800", "a\ud800"]
        assert len(set(record(ledger, *names))) == len(names)
        assert len(set(record(ledger, *names))) == len(names)
        assert len(ledger.pending(100)) == len(names)

    def test_what_states_nothing_is_kept_but_not_handed_to_react(self, ledger: AnyLedger) -> None:
        record_all(ledger, [entry(statements=0), entry()])
        assert len(ledger.pending(10)) == 1
        totals = ledger.totals()
        assert (totals["inbounds"], totals["inbounds_pending"]) == (2, 1)

    def test_what_was_not_understood_is_handed_to_react_and_counted_once_it_is_parked(self, ledger: AnyLedger) -> None:
        record_all(ledger, [entry(statements=0, unparsed=1), entry(statements=2, unparsed=1), entry()])
        seqs = [inbound.seq for inbound in ledger.pending(10)]
        assert len(seqs) == 3
        assert ledger.totals()["inbounds_unparsed"] == 0
        commit(ledger, handled=[Handled(seq=seq, state="parked", detail="why") for seq in seqs])
        assert (ledger.totals()["inbounds_parked"], ledger.totals()["inbounds_unparsed"]) == (3, 2)

    def test_too_many_pending_inbounds_are_refused_until_some_are_handled(self, store: Store) -> None:
        ledger = store.open(most_pending=3)
        seqs = record(ledger, None, None, None)
        with pytest.raises(Overloaded):
            ledger.record(entry(), lambda answer: None)
        commit(ledger, handled=[Handled(seq=seqs[0])])
        record(ledger, None)
        with pytest.raises(Overloaded):
            ledger.record(entry(), lambda answer: None)

    def test_what_another_worker_handled_no_longer_counts_as_waiting(self, store: Store) -> None:
        if store.kind == "sqlite":
            pytest.skip("one process writes a file")
        ours, theirs = store.open(most_pending=3), store.open(most_pending=3)
        seqs = record(ours, None, None, None)
        commit(theirs, handled=[Handled(seq=seq) for seq in seqs])
        assert ours.pending(10) == []
        assert len(record(ours, None, None)) == 2

    def test_sixteen_threads_record_and_nothing_is_lost(self, ledger: AnyLedger) -> None:
        seqs: list[int] = []
        in_threads(16, lambda number: seqs.extend(record(ledger, *(f"{number}/{i}" for i in range(25)))))
        assert len(set(seqs)) == 400
        assert sorted(seqs) == [inbound.seq for inbound in ledger.pending(1000)]

    def test_sixteen_threads_that_send_one_delivery_record_it_once(self, ledger: AnyLedger) -> None:
        seqs: list[int] = []
        in_threads(16, lambda number: seqs.extend(record(ledger, *("same" for _ in range(10)))))
        assert len(seqs) == 160
        assert len(set(seqs)) == 1
        assert len(ledger.pending(10)) == 1


class TestCommits:
    def test_a_signal_comes_back_as_it_was_one_version_further(self, ledger: AnyLedger) -> None:
        full = replace(
            signal(HOSTILE, labels={HOSTILE: HOSTILE}, started_at=NOW, scope=HOSTILE, severity_rank=3, private=True),
            over=NOW - MINUTE,
            last_resolve=NOW - SECOND,
            seq=7,
        )
        commit(ledger, signals=[full, signal("other")])
        assert ledger.signals([full.id, ("am", "other"), ("am", "unknown")]) == {
            full.id: stored(full),
            ("am", "other"): stored(signal("other")),
        }

    def test_an_episode_comes_back_whole(self, ledger: AnyLedger) -> None:
        one, two = signal("one"), signal("two", Status.RESOLVED)
        full = episode(
            3,
            key="rule@page.0123456789",
            group={"region": "eu", "ü": HOSTILE},
            members={one.id: member(one), two.id: member(two, cleared=True, joined_at=NOW - MINUTE)},
            known=PageState(incident_status=IncidentStatus.IDENTIFIED, components={"api": ComponentStatus.FULL_OUTAGE}),
            touched=frozenset({"api", "checkout"}),
            opened_at=NOW,
            relayed=HOSTILE,
            hands_off=True,
            next_seq=4,
            wake_at=NOW + MINUTE,
            fault=HOSTILE,
        )
        commit(ledger, signals=[one, two], episodes=[full])
        members = {key: replace(each, signal=stored(each.signal)) for key, each in full.members.items()}
        assert ledger.get(full.id) == replace(full, version=1, members=members)
        assert ledger.get("rule@page#99") is None

    def test_versions_count_commits(self, ledger: AnyLedger) -> None:
        commit(ledger, signals=[signal()], episodes=[episode()])
        commit(ledger, signals=[signal(status=Status.RESOLVED, version=1)], episodes=[episode(version=1)])
        assert ledger.signals([("am", "k")])["am", "k"] == signal(status=Status.RESOLVED, version=2)
        assert ledger.get("rule@page#1") == episode(version=2)

    @pytest.mark.parametrize(
        ("stale", "rows"),
        [
            ("a signal read too early", {"signals": [signal(version=1)]}),
            ("a signal read in the future", {"signals": [signal(version=3)]}),
            ("a signal that is not new", {"signals": [signal()]}),
            ("one of two signals", {"signals": [signal("new"), signal(version=1)]}),
            ("an episode read too early", {"episodes": [episode(version=1)]}),
            ("an episode that is not new", {"episodes": [episode()]}),
            ("an episode that is not there", {"episodes": [episode(2, version=1)]}),
            ("an inbound that is done", {"handled": [Handled(seq=1)]}),
            ("an inbound that is parked", {"handled": [Handled(seq=2)]}),
            ("an inbound that never was", {"handled": [Handled(seq=99)]}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_was_read_before_a_change_is_refused_whole(
        self, ledger: AnyLedger, stale: str, rows: dict[str, Sequence[object]]
    ) -> None:
        record(ledger, None, None, None)
        commit(ledger, handled=[Handled(seq=1), Handled(seq=2, state="parked", detail="CEL failed")])
        commit(ledger, signals=[signal()], episodes=[episode()])
        commit(ledger, signals=[signal(version=1)], episodes=[episode(version=1)])
        before = ledger.totals()
        mixed: dict[str, Sequence[object]] = {
            "handled": [Handled(seq=3)],
            "signals": [signal("innocent")],
            "episodes": [episode(1, key="other@page")],
            "actions": [action("other@page#1")],
            "heard": [Heard(inbound_seq=3, position=0, event=event(), effect="news")],
            "notices": [Notice(code="held", subject="x", text="y")],
        }
        for name, extra in rows.items():
            mixed[name] = [*mixed.get(name, ()), *extra]
        with pytest.raises(Conflict):
            commit(ledger, **mixed)
        assert ledger.totals() == before
        assert ledger.signals([("am", "innocent")]) == {}
        assert ledger.get("other@page#1") is None
        assert ledger.notices() == []
        assert [inbound.seq for inbound in ledger.pending(10)] == [3]

    def test_after_a_conflict_the_same_decision_can_be_made_again(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode()])
        with pytest.raises(Conflict):
            commit(ledger, episodes=[episode()])
        commit(ledger, episodes=[episode(version=1)])

    def test_a_member_needs_a_signal_and_an_attempt_an_action(self, ledger: AnyLedger) -> None:
        with pytest.raises(ValueError):
            commit(ledger, episodes=[episode(1, signal("never committed"))])
        attempt = Attempt(action_id="no/1", number=1, started_at=NOW, method="POST", target="/", body=b"")
        with pytest.raises(ValueError):
            commit(ledger, attempts=[attempt])
        assert ledger.get("rule@page#1") is None

    def test_no_update_is_lost_between_threads(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode()])

        def count(number: int) -> None:
            done = 0
            while done < 12:
                read = ledger.get("rule@page#1")
                assert read is not None
                try:
                    commit(ledger, episodes=[replace(read, keepalives=read.keepalives + 1)])
                    done += 1
                except Conflict:
                    continue

        in_threads(4, count)
        read = ledger.get("rule@page#1")
        assert read is not None
        assert (read.keepalives, read.version) == (48, 49)

    def test_two_new_episodes_of_one_line_cannot_both_be_first(self, ledger: AnyLedger) -> None:
        outcomes = Counter[str]()

        def open_one(number: int) -> None:
            try:
                commit(ledger, episodes=[episode(relayed=str(number))])
                outcomes["stored"] += 1
            except Conflict:
                outcomes["conflict"] += 1

        in_threads(8, open_one)
        assert outcomes == {"stored": 1, "conflict": 7}

    def test_an_inbound_is_handled_by_one_of_two(self, ledger: AnyLedger) -> None:
        (seq,) = record(ledger, None)
        outcomes = Counter[str]()

        def react(number: int) -> None:
            try:
                commit(ledger, handled=[Handled(seq=seq)], signals=[signal(f"k{number}")])
                outcomes["stored"] += 1
            except Conflict:
                outcomes["conflict"] += 1

        in_threads(8, react)
        assert outcomes == {"stored": 1, "conflict": 7}
        assert ledger.totals()["signals_firing"] == 1

    def test_commits_over_the_same_rows_in_any_order_never_block_each_other_for_good(self, ledger: AnyLedger) -> None:
        keys = [f"k{number}" for number in range(20)]
        commit(ledger, signals=[signal(key) for key in keys])

        def touch(number: int) -> None:
            for _ in range(5):
                known = ledger.signals([("am", key) for key in keys])
                ordered = list(known.values())[:: 1 if number % 2 else -1]
                try:
                    commit(ledger, signals=ordered)
                except Conflict:
                    continue

        in_threads(6, touch)
        versions = {each.version for each in ledger.signals([("am", key) for key in keys]).values()}
        assert len(versions) == 1

    def test_a_revision_is_kept_as_it_was_first_written(self, ledger: AnyLedger) -> None:
        spec = {"id": "rule", "match": {"labels.a": ["x", None, 1.5, True]}, "text": HOSTILE}
        commit(ledger, revisions={"h1": spec, "h2": {}})
        commit(ledger, revisions={"h1": {"other": 1}})
        assert ledger.revision("h1") == spec
        assert ledger.revision("h2") == {}
        assert ledger.revision("h3") is None


class TestMembers:
    def test_only_the_member_that_changed_is_different_afterwards(self, ledger: AnyLedger) -> None:
        signals = [signal(f"k{number:04}") for number in range(1200)]
        commit(ledger, signals=signals, episodes=[episode(1, *signals)])
        read = ledger.get("rule@page#1")
        assert read is not None
        assert len(read.members) == 1200
        changed = read.members["am", "k0700"]
        new = signal("new")
        members = {**read.members, new.id: member(new), changed.signal.id: replace(changed, cleared=True)}
        commit(ledger, signals=[new], episodes=[replace(read, members=members)])
        again = ledger.get("rule@page#1")
        assert again is not None
        assert again.members == {**members, new.id: member(stored(new))}

    def test_a_member_shows_its_signal_as_it_is_now(self, ledger: AnyLedger) -> None:
        commit(ledger, signals=[signal()], episodes=[episode(1, signal())])
        resolved = signal(status=Status.RESOLVED, version=1)
        commit(ledger, signals=[resolved])
        read = ledger.get("rule@page#1")
        assert read is not None
        assert read.members["am", "k"].signal == stored(resolved)
        assert not read.members["am", "k"].firing

    def test_members_with_hostile_names_are_found_and_not_mixed_up(self, ledger: AnyLedger) -> None:
        one, two = signal(HOSTILE), signal(HOSTILE + "y")
        commit(ledger, signals=[one, two], episodes=[episode(1, one)])
        assert [each.id for each in ledger.joined([one.id])] == ["rule@page#1"]
        assert ledger.joined([two.id]) == []
        read = ledger.get("rule@page#1")
        assert read is not None
        commit(ledger, episodes=[replace(read, members={**read.members, two.id: member(two)})])
        assert len(ledger.joined([two.id])) == 1

    def test_joined_gives_live_episodes_only_each_once(self, ledger: AnyLedger) -> None:
        one, two = signal("one"), signal("two")
        commit(
            ledger,
            signals=[one, two],
            episodes=[
                episode(1, one, two, key="a@page", phase=Phase.HELD),
                episode(1, two, key="b@page", phase=Phase.CLEARING, created_at=NOW + SECOND),
                episode(1, one, key="c@page", phase=Phase.DISMISSED),
                episode(1, key="d@page"),
            ],
        )
        assert [each.id for each in ledger.joined([one.id, two.id])] == ["a@page#1", "b@page#1"]
        assert [each.id for each in ledger.joined([one.id])] == ["a@page#1"]
        assert ledger.joined([("am", "unknown")]) == []
        assert ledger.joined([]) == []

    def test_joined_follows_an_episode_that_ends_and_is_opened_again(self, ledger: AnyLedger) -> None:
        one = signal()
        commit(ledger, signals=[one], episodes=[episode(1, one)])
        for phase, found in ((Phase.RESOLVED, 0), (Phase.OPEN, 1), (Phase.RESOLVED, 0)):
            read = ledger.get("rule@page#1")
            assert read is not None
            commit(ledger, episodes=[replace(read, phase=phase)])
            assert len(ledger.joined([one.id])) == found


class TestEpisodes:
    def test_scope_gives_the_firing_signals_of_one_group_of_one_source(self, ledger: AnyLedger) -> None:
        inside = [signal("b", scope="g"), signal("a", scope="g")]
        outside = [
            signal("over", Status.RESOLVED, scope="g"),
            signal("elsewhere", scope="h"),
            signal("other", scope="g", source="ci"),
            signal("none"),
        ]
        commit(ledger, signals=[*inside, *outside])
        assert list(ledger.scope("am", "g")) == [stored(inside[1]), stored(inside[0])]

    def test_what_fires_is_given_of_some_sources_or_of_all(self, ledger: AnyLedger) -> None:
        firing = [signal("a"), signal("b", source="ci"), signal("c", source="cd")]
        commit(ledger, signals=[*firing, signal("over", Status.RESOLVED)])
        assert list(ledger.firing(["ci", "am"])) == [stored(firing[0]), stored(firing[1])]
        assert len(ledger.firing(())) == 3

    def test_latest_is_the_greatest_number_live_or_ended(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode(number, phase=Phase.RESOLVED) for number in (9, 10, 2)])
        commit(ledger, episodes=[episode(1, key="rule@page.0123456789"), episode(1, key="other@page")])
        latest = ledger.latest(["rule@page", "rule@page.0123456789", "unknown@page"])
        assert {key: each.id for key, each in latest.items()} == {
            "rule@page": "rule@page#10",
            "rule@page.0123456789": "rule@page.0123456789#1",
        }
        assert ledger.latest([]) == {}

    def test_latest_takes_any_number_of_keys_and_gives_each_its_own(self, ledger: AnyLedger) -> None:
        signals = [signal(f"k{number}") for number in range(700)]
        episodes = [episode(1, each, key=f"r{number}@page") for number, each in enumerate(signals)]
        actions = [action(each.id) for each in episodes]
        commit(ledger, signals=signals, episodes=episodes, actions=actions)
        latest = ledger.latest([f"r{number}@page" for number in range(700)])
        assert len(latest) == 700
        assert all(
            list(each.members) == [("am", key.partition("@")[0].replace("r", "k"))] for key, each in latest.items()
        )
        assert all([a.aggregate for a in each.actions] == [each.id] for each in latest.values())

    def test_an_episode_carries_its_unsettled_actions_in_order(self, ledger: AnyLedger) -> None:
        states = [ActionState.DONE, ActionState.HELD, ActionState.REPLACED, ActionState.QUEUED, ActionState.SHADOWED]
        actions = [action(seq=seq, state=state) for seq, state in enumerate(states, 1)]
        tenth = action(seq=10)
        commit(ledger, episodes=[episode()], actions=[tenth, *actions[::-1], action("rule@page#11")])
        read = ledger.get("rule@page#1")
        assert read is not None
        assert read.actions == (actions[1], actions[3], tenth)

    def test_due_gives_the_earliest_first_and_what_has_come_only(self, ledger: AnyLedger) -> None:
        for number, wake_at in enumerate((NOW + SECOND, NOW, NOW - SECOND, None, NOW + 2 * SECOND), 1):
            commit(ledger, episodes=[episode(number, wake_at=wake_at)])
        assert [each.number for each in ledger.due(NOW + SECOND, 10)] == [3, 2, 1]
        assert [each.number for each in ledger.due(NOW + SECOND, 2)] == [3, 2]
        assert ledger.due(NOW - MINUTE, 10) == []
        assert ledger.next_wake() == NOW - SECOND

    def test_nothing_wakes_where_nothing_waits(self, ledger: AnyLedger) -> None:
        assert ledger.next_wake() is None
        commit(ledger, episodes=[episode()])
        assert ledger.next_wake() is None

    def test_live_asks_for_any_of_the_rules_on_one_page(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode(1, key="a@page"), episode(1, key="b@page", phase=Phase.RESOLVED)])
        assert ledger.live(["x", "a"], "page")
        assert not ledger.live(["a"], "other")
        assert not ledger.live(["b"], "page")
        assert not ledger.live([], "page")

    def test_a_wake_looks_at_live_episodes_of_the_rule_now_and_moves_their_versions(self, ledger: AnyLedger) -> None:
        commit(
            ledger,
            episodes=[
                episode(1, key="a@page.0000000001", phase=Phase.HELD, wake_at=NOW + MINUTE),
                episode(1, key="a@page.0000000002"),
                episode(1, key="a@page.0000000003", wake_at=NOW - MINUTE),
                episode(1, key="a@page.0000000004", phase=Phase.DISMISSED),
                episode(1, key="a@other"),
                episode(1, key="b@page"),
            ],
        )
        commit(ledger, wakes=[("a", "page"), ("a", "page"), ("none", "page")])
        woken = {each.id: (each.wake_at, each.version) for each in ledger.due(NOW, 10)}
        assert woken == {
            "a@page.0000000001#1": (NOW, 2),
            "a@page.0000000002#1": (NOW, 2),
            "a@page.0000000003#1": (NOW - MINUTE, 2),
        }
        with pytest.raises(Conflict):
            commit(ledger, episodes=[episode(1, key="a@page.0000000002", version=1)])
        untouched = ("a@page.0000000004#1", "a@other#1", "b@page#1")
        assert [each and each.version for each in map(ledger.get, untouched)] == [1, 1, 1]

    def test_a_wake_reaches_an_episode_of_the_same_commit(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode(1, key="a@page", wake_at=NOW + MINUTE)], wakes=[("a", "page")])
        read = ledger.get("a@page#1")
        assert read is not None
        assert (read.wake_at, read.version) == (NOW, 2)


class TestWindows:
    def test_a_window_comes_back_as_it_was_with_its_unsettled_actions(self, ledger: AnyLedger) -> None:
        whole = window(
            phase=WindowPhase.SCHEDULED,
            grace=timedelta(minutes=10, microseconds=1),
            known=WindowStatus.SCHEDULED,
            known_times=(NOW, NOW + MINUTE),
            missed_start=True,
            given={"start": Word(text=HOSTILE, notify=True), "cancel": Word()},
            reminded=2,
            extended=1,
            ended_at=NOW,
            posted_at=NOW,
            remote_id="m-1",
            hands_off=True,
            fault="why",
            next_seq=7,
            wake_at=NOW + SECOND,
        )
        waits, done = action(whole.id, 1), action(whole.id, 2, state=ActionState.DONE)
        commit(ledger, windows=[whole], actions=[waits, done])
        assert ledger.window(whole.id) == replace(stored(whole), actions=(waits,))
        assert ledger.window("page/other") is None

    def test_a_window_is_planned_once_and_changed_by_one(self, ledger: AnyLedger) -> None:
        commit(ledger, windows=[window()])
        with pytest.raises(Conflict):
            commit(ledger, windows=[window()])
        commit(ledger, windows=[stored(window())])
        with pytest.raises(Conflict):
            commit(ledger, windows=[stored(window())])

    def test_windows_that_are_live_or_ended_lately_are_given_the_earliest_first(self, ledger: AnyLedger) -> None:
        long_ago = {"starts_at": NOW - 2 * MINUTE, "ends_at": NOW - MINUTE}
        rows = [
            window("a@3"),
            window("a@2", phase=WindowPhase.IN_PROGRESS, **long_ago),
            window("a@1", phase=WindowPhase.COMPLETE, **long_ago),
            window("a@4", phase=WindowPhase.CANCELLED),
        ]
        commit(ledger, windows=rows)
        assert [each.occurrence for each in ledger.windows(NOW)] == ["a@2", "a@3", "a@4"]

    def test_windows_mute_while_they_are_in_progress_and_for_their_grace(self, ledger: AnyLedger) -> None:
        ended = {"phase": WindowPhase.COMPLETE, "ended_at": NOW}
        rows = [
            window("a@planned"),
            window("a@running", phase=WindowPhase.IN_PROGRESS),
            window("a@grace", grace=MINUTE, **ended),
            window("a@over", grace=SECOND, **ended),
            window("a@cancelled", phase=WindowPhase.CANCELLED, grace=MINUTE, ended_at=NOW),
        ]
        commit(ledger, windows=rows)
        assert {each.occurrence for each in ledger.muting(NOW + SECOND)} == {"a@running", "a@grace"}

    def test_due_windows_come_the_earliest_first(self, ledger: AnyLedger) -> None:
        assert ledger.next_window_wake() is None
        rows = [window(f"a@{n}", wake_at=NOW + n * SECOND if n else None) for n in (3, 1, 0, 2)]
        commit(ledger, windows=rows)
        assert [each.occurrence for each in ledger.due_windows(NOW + 2 * SECOND, 10)] == ["a@1", "a@2"]
        assert [each.occurrence for each in ledger.due_windows(NOW + 9 * SECOND, 1)] == ["a@1"]
        assert ledger.next_window_wake() == NOW + SECOND

    def test_a_window_of_a_rule_has_members_whose_signals_are_as_they_are_now(self, ledger: AnyLedger) -> None:
        one, other = signal("one"), signal("other", Status.RESOLVED)
        members = {each.id: member(each, cleared=each is one) for each in (one, other)}
        whole = window("r#1", line="r@page", number=1, origin=Origin.RULE, group={"region": "eu"}, members=members)
        commit(ledger, signals=[one, other], windows=[whole])
        commit(ledger, signals=[stored(replace(one, event=event("one", title="news")))])
        read = ledger.window(whole.id)
        assert read is not None
        assert (read.group, read.line, read.number, read.origin) == ({"region": "eu"}, "r@page", 1, Origin.RULE)
        assert {key: each.cleared for key, each in read.members.items()} == {one.id: True, other.id: False}
        assert read.members[one.id].signal.event.title == "news"
        commit(ledger, windows=[replace(read, members={**read.members, one.id: member(one)})])
        assert not ledger.windows(NOW)[0].members[one.id].cleared

    def test_a_window_whose_signal_nobody_knows_is_refused(self, ledger: AnyLedger) -> None:
        with pytest.raises(ValueError):
            commit(ledger, windows=[window("r#1", line="r@page", members={("am", "k"): member(signal("k"))})])

    def test_the_live_windows_of_a_signal_and_the_newest_of_a_line_are_found(self, ledger: AnyLedger) -> None:
        one, other = signal("one"), signal("other")
        rows = [
            window("r#1", line="r@page", number=1, members={one.id: member(one)}, phase=WindowPhase.COMPLETE),
            window("r#2", line="r@page", number=2, members={one.id: member(one)}, phase=WindowPhase.IN_PROGRESS),
            window("s#1", line="s@page", number=1, members={other.id: member(other)}),
            window(),
        ]
        commit(ledger, signals=[one, other], windows=rows, episodes=[episode(1, one)])
        assert [each.occurrence for each in ledger.joined_windows([one.id])] == ["r#2"]
        assert [each.occurrence for each in ledger.joined_windows([one.id, other.id])] == ["r#2", "s#1"]
        assert ledger.joined_windows([]) == []
        assert [each.id for each in ledger.joined([one.id])] == ["rule@page#1"]
        newest = ledger.latest_windows(["r@page", "nobody@page"])
        assert {line: each.occurrence for line, each in newest.items()} == {"r@page": "r#2"}
        assert one.id in newest["r@page"].members
        commit(ledger, windows=[replace(newest["r@page"], phase=WindowPhase.COMPLETE)])
        assert ledger.joined_windows([one.id]) == []

    def test_its_actions_are_told_in_history_under_its_entry(self, ledger: AnyLedger) -> None:
        whole = window()
        commit(ledger, windows=[whole], actions=[action(whole.id, page="page")])
        (line,) = ledger.history(rule_id="db")
        assert (line.episode, line.rule_id, line.number) == (whole.id, "db", 0)
        assert ledger.totals()["windows_planned"] == 1

    def test_every_live_episode_of_a_page_is_woken_whatever_its_rule(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode(key="a@page"), episode(key="b@page"), episode(key="a@other")])
        commit(ledger, wakes=[("", "page")])
        assert {each.id for each in ledger.due(NOW, 10)} == {"a@page#1", "b@page#1"}

    def test_a_claim_may_ask_for_some_kinds_only(self, ledger: AnyLedger) -> None:
        starts = action(window().id, kind=ActionKind.START_MAINTENANCE)
        commit(ledger, windows=[window()], episodes=[episode()], actions=[action(), starts])
        assert ledger.claim(NOW, LEASE, ["page"], [ActionKind.COMPLETE_MAINTENANCE]) is None
        assert ledger.claim(NOW, LEASE, ["page"], [ActionKind.START_MAINTENANCE]) == starts


class TestOutbox:
    def claim(self, ledger: Outbox, now: datetime = NOW, *pages: str) -> str | None:
        claimed = ledger.claim(now, LEASE, pages or ["page"])
        return claimed.id if claimed else None

    def test_an_action_comes_back_as_it_was_decided(self, ledger: AnyLedger) -> None:
        steps = (BackfillStep(at=NOW, incident_status=IncidentStatus.RESOLVED, message=HOSTILE),)
        content = Content(
            title="Ausfälle",
            message=HOSTILE,
            incident_status=IncidentStatus.INVESTIGATING,
            components={"api": ComponentStatus.PARTIAL_OUTAGE},
            notify=True,
            steps=steps,
            starts_at=NOW,
            ends_at=NOW + MINUTE,
            automate=True,
        )
        full = action(
            kind=ActionKind.OPEN_INCIDENT, post=Post.OPEN, content=content, key="k", reason=HOSTILE, sends=1, tries=2
        )
        commit(ledger, actions=[full])
        assert ledger.claim(NOW, LEASE, ["page"]) == full

    def test_the_oldest_comes_first_but_resolves_before_all(self, ledger: AnyLedger) -> None:
        kinds = {
            "a": ActionKind.UPDATE_INCIDENT,
            "b": ActionKind.OPEN_INCIDENT,
            "c": ActionKind.RESOLVE_INCIDENT,
            "d": ActionKind.COMPLETE_MAINTENANCE,
        }
        actions = [action(name, kind=kind, created_at=NOW + n * SECOND) for n, (name, kind) in enumerate(kinds.items())]
        commit(ledger, actions=actions)
        assert [self.claim(ledger) for _ in range(5)] == ["c/1", "d/1", "a/1", "b/1", None]

    def test_a_lease_keeps_others_away_until_it_lapses(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a")])
        assert self.claim(ledger) == "a/1"
        assert self.claim(ledger, NOW + LEASE - timedelta(microseconds=1)) is None
        assert self.claim(ledger, NOW + LEASE) == "a/1"

    def test_nothing_is_claimed_before_its_time_or_for_other_pages(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a", not_before=NOW + SECOND), action("b", page="other")])
        assert self.claim(ledger) is None
        assert ledger.claim(NOW, LEASE, []) is None
        assert self.claim(ledger, NOW, "page", "other") == "b/1"
        assert self.claim(ledger, NOW + SECOND) == "a/1"

    @pytest.mark.parametrize("state", [state for state in ActionState if not state.settled])
    def test_an_unsettled_action_blocks_those_behind_it(self, ledger: AnyLedger, state: ActionState) -> None:
        first = action("a", 1, state=state, not_before=NOW + MINUTE)
        commit(ledger, actions=[first, action("a", 2, kind=ActionKind.RESOLVE_INCIDENT)])
        assert self.claim(ledger) is None
        commit(ledger, actions=[replace(first, state=ActionState.DONE)])
        assert self.claim(ledger) == "a/2"

    @pytest.mark.parametrize("state", list(ActionState))
    def test_only_queued_unknown_and_sending_actions_are_worked_on(self, ledger: AnyLedger, state: ActionState) -> None:
        commit(ledger, actions=[action("a", state=state)])
        workable = state in (ActionState.QUEUED, ActionState.UNKNOWN, ActionState.SENDING)
        assert (self.claim(ledger) is not None) == workable

    def test_what_is_held_behind_somebody_elses_incident_is_looked_at_again_after_all_else(
        self, ledger: AnyLedger
    ) -> None:
        held = action("a", state=ActionState.HELD, not_before=NOW + SECOND, blocked_by="theirs")
        commit(ledger, actions=[held, action("b", created_at=NOW + MINUTE, not_before=NOW + SECOND)])
        assert ledger.next_due(NOW) == NOW + SECOND
        assert self.claim(ledger) is None
        assert [self.claim(ledger, NOW + SECOND) for _ in range(3)] == ["b/1", "a/1", None]
        ledger.release("a/1", NOW + MINUTE)
        assert ledger.claim(NOW + MINUTE, LEASE, ["page"]) == replace(held, not_before=NOW + MINUTE)
        commit(ledger, actions=[replace(held, blocked_by="", not_before=NOW)])
        assert self.claim(ledger, NOW + MINUTE) is None

    def test_what_a_clock_that_was_set_back_put_off_is_not_waited_for(self, ledger: AnyLedger) -> None:
        hour = timedelta(hours=1)
        starts = action(kind=ActionKind.START_MAINTENANCE, not_before=NOW + 2 * SECOND)
        braked = action("rule@page#2", not_before=NOW + hour)
        commit(ledger, episodes=[episode(), episode(2)], actions=[starts, braked])
        assert ledger.claim(NOW, LEASE, ["page"]) is None
        assert ledger.claim(NOW - hour, LEASE, ["page"]) == starts
        assert ledger.claim(NOW - hour, LEASE, ["page"]) is None  # its lease counts
        assert ledger.claim(NOW - 2 * hour, LEASE, ["page"]) == starts

    def test_sending_keeps_the_lease_and_any_other_change_ends_it(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a")])
        claimed = ledger.claim(NOW, LEASE, ["page"])
        assert claimed is not None
        commit(ledger, actions=[replace(claimed, state=ActionState.SENDING, sends=1)])
        assert self.claim(ledger, NOW + SECOND) is None
        commit(ledger, actions=[replace(claimed, state=ActionState.UNKNOWN, sends=1)])
        assert self.claim(ledger, NOW + SECOND) == "a/1"

    def test_what_is_sent_late_stays_with_its_holder_from_then_on(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a")])
        claimed = ledger.claim(NOW, LEASE, ["page"])
        assert claimed is not None
        sending = replace(claimed, state=ActionState.SENDING, sends=1)
        commit(ledger, now=NOW + 2 * LEASE, actions=[sending], lease=LEASE)
        assert self.claim(ledger, NOW + 3 * LEASE - SECOND) is None
        assert self.claim(ledger, NOW + 3 * LEASE) == "a/1"

    def test_a_worker_that_died_while_sending_leaves_the_action_to_others(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a")])
        claimed = ledger.claim(NOW, LEASE, ["page"])
        assert claimed is not None
        commit(ledger, actions=[replace(claimed, state=ActionState.SENDING, sends=1)])
        again = ledger.claim(NOW + LEASE, LEASE, ["page"])
        assert again == replace(claimed, state=ActionState.SENDING, sends=1)

    def test_release_gives_it_back_for_later(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a")])
        assert self.claim(ledger) == "a/1"
        ledger.release("a/1", NOW + SECOND)
        assert self.claim(ledger) is None
        again = ledger.claim(NOW + SECOND, LEASE, ["page"])
        assert again == action("a", not_before=NOW + SECOND)

    def test_next_due_tells_when_a_claim_may_find_something(self, ledger: AnyLedger) -> None:
        assert ledger.next_due(NOW) is None
        commit(ledger, actions=[action("a", not_before=NOW + 9 * SECOND), action("b", 1, state=ActionState.HELD)])
        commit(ledger, actions=[action("b", 2, not_before=NOW + SECOND)])
        assert ledger.next_due(NOW) == NOW + 9 * SECOND
        assert ledger.next_due(NOW + MINUTE) == NOW + MINUTE
        commit(ledger, actions=[action("c", not_before=NOW + 5 * SECOND)])
        assert ledger.next_due(NOW) == NOW + 5 * SECOND
        assert self.claim(ledger, NOW + 5 * SECOND) == "c/1"
        assert ledger.next_due(NOW) == NOW + 9 * SECOND
        assert self.claim(ledger, NOW + 9 * SECOND) == "a/1"
        assert ledger.next_due(NOW) == NOW + 5 * SECOND + LEASE

    def test_four_threads_claim_four_hundred_actions_each_once_and_in_order(self, ledger: AnyLedger) -> None:
        lines = [f"rule@page.{number:010}#1" for number in range(40)]
        commit(ledger, actions=[action(line, seq) for line in lines for seq in range(1, 11)])
        claimed: list[Action] = []

        def work(number: int) -> None:
            while len(claimed) < 400:
                found = ledger.claim(NOW, LEASE, ["page"])
                if found is not None:
                    claimed.append(found)
                    commit(ledger, actions=[replace(found, state=ActionState.DONE)])

        in_threads(4, work)
        assert len({each.id for each in claimed}) == len(claimed) == 400
        for line in lines:
            assert [each.seq for each in claimed if each.aggregate == line] == list(range(1, 11))

    def test_attempts_come_back_with_their_exact_bytes_and_take_their_verdict(self, ledger: AnyLedger) -> None:
        bytes_of_all = bytes(range(256))
        first = Attempt(
            action_id="a/1",
            number=1,
            started_at=NOW,
            method="POST",
            target="/x",
            body=bytes_of_all,
            baseline=("u1", "u2"),
        )
        second = replace(first, number=2, body=b"")
        commit(ledger, actions=[action("a")], attempts=[first])
        commit(ledger, attempts=[second])
        told = replace(first, result=Result.UNKNOWN, finished_at=NOW + SECOND, detail=HOSTILE)
        commit(ledger, attempts=[told])
        assert list(ledger.attempts("a/1")) == [told, second]
        assert ledger.attempts("a/2") == []

    def test_own_updates_are_the_posts_known_to_be_ours_on_one_object(self, ledger: AnyLedger) -> None:
        commit(
            ledger,
            actions=[
                action("a", 1, kind=ActionKind.OPEN_INCIDENT, state=ActionState.DONE, remote_id="i1", update_id="u1"),
                action("a", 2, state=ActionState.DONE, remote_id="i1", update_id="u2"),
                action("a", 3, state=ActionState.UNKNOWN, remote_id="i1"),
                action("b", 1, state=ActionState.DONE, remote_id="i2", update_id="u3"),
            ],
        )
        assert ledger.own_updates("i1") == {"u1", "u2"}
        assert ledger.own_updates("i3") == frozenset()
        commit(ledger, actions=[action("a", 3, state=ActionState.DONE, remote_id="i1", update_id="u4")])
        assert ledger.own_updates("i1") == {"u1", "u2", "u4"}

    def test_an_object_is_ours_where_a_create_made_it_and_not_where_we_posted_on_it(self, ledger: AnyLedger) -> None:
        create = action("a", kind=ActionKind.OPEN_INCIDENT, post=Post.OPEN, key="k")
        commit(ledger, actions=[create, action("b", state=ActionState.DONE, remote_id="theirs", update_id="u1")])
        assert not ledger.made("theirs")
        assert not ledger.made("")
        guest = replace(create, kind=ActionKind.UPDATE_INCIDENT, guest=True, remote_id="theirs")
        commit(ledger, actions=[guest])
        assert ledger.claim(NOW, LEASE, ["page"]) == guest
        commit(ledger, actions=[replace(guest, state=ActionState.DONE)])
        assert not ledger.made("theirs")
        commit(ledger, actions=[action("c", kind=ActionKind.OPEN_INCIDENT, state=ActionState.DONE, remote_id="ours")])
        assert ledger.made("ours")

    def test_unsettled_creates_are_those_that_may_be_on_the_page(self, ledger: AnyLedger) -> None:
        opens = {
            "queued": action("queued", kind=ActionKind.OPEN_INCIDENT),
            "sending": action("sending", kind=ActionKind.OPEN_INCIDENT, state=ActionState.SENDING, sends=1),
            "unknown": action("unknown", kind=ActionKind.BACKFILL_INCIDENT, state=ActionState.UNKNOWN, sends=1),
            "held": action("held", kind=ActionKind.SCHEDULE_MAINTENANCE, state=ActionState.HELD, sends=1),
            "braked": action("braked", kind=ActionKind.OPEN_INCIDENT, state=ActionState.HELD),
            "done": action("done", kind=ActionKind.OPEN_INCIDENT, state=ActionState.DONE, sends=1),
            "update": action("update", state=ActionState.UNKNOWN, sends=1),
            "page": action("page", kind=ActionKind.OPEN_INCIDENT, state=ActionState.UNKNOWN, sends=1, page="other"),
        }
        commit(ledger, actions=list(opens.values()))
        assert {each.aggregate for each in ledger.unsettled_creates("page")} == {"sending", "unknown", "held"}

    def test_what_a_page_has_or_may_have_soon_counts_as_posted(self, ledger: AnyLedger) -> None:
        commit(ledger, now=NOW - 10 * MINUTE, actions=[action("old", state=ActionState.DONE)])
        commit(ledger, now=NOW - MINUTE, actions=[action("new", state=ActionState.DONE)])
        others = [
            action("sending", state=ActionState.SENDING, sends=1),
            action("unknown", state=ActionState.UNKNOWN, sends=1),
            action("held", state=ActionState.HELD, sends=1),
            action("elsewhere", state=ActionState.DONE, page="other"),
            action("waits", not_before=NOW + MINUTE),
            action("claimed", created_at=NOW - MINUTE),
        ]
        commit(ledger, now=NOW, actions=others)
        claimed = ledger.claim(NOW, LEASE, ["page"])
        assert claimed is not None
        assert claimed.aggregate == "claimed"
        posted = {each.action.aggregate: each.at for each in ledger.posted("page", NOW - 5 * MINUTE, NOW)}
        assert posted.keys() == {"new", "sending", "unknown", "claimed"}
        assert posted["new"] == NOW - MINUTE
        later = ledger.posted("page", NOW - 5 * MINUTE, NOW + 2 * LEASE)
        assert {each.action.aggregate for each in later} == {"new", "sending", "unknown"}


class TestFootprints:
    def test_a_footprint_is_all_that_was_written(self, ledger: AnyLedger) -> None:
        one = episode(1, remote_id="inc-1")
        done = action(seq=1, state=ActionState.DONE, remote_id="inc-1", update_id="up-1")
        waits = action(seq=2)
        tries = [
            Attempt(action_id=done.id, number=number, started_at=NOW, method="POST", target="/", body=b"{}")
            for number in (1, 2)
        ]
        other = action(of="rule@page#2", state=ActionState.DONE, remote_id="inc-1", update_id="up-2")
        commit(ledger, episodes=[one, episode(2)], actions=[waits, done, other], attempts=tries)
        footprint = ledger.footprint(one.id)
        assert footprint is not None
        assert footprint.subject == ledger.get(one.id)
        assert [each.id for each in footprint.actions] == [done.id, waits.id]
        assert list(footprint.attempts) == tries
        assert footprint.own == {"up-1", "up-2"}, "also what was posted on it for another episode"

    def test_a_window_has_one_too_and_what_is_not_there_has_none(self, ledger: AnyLedger) -> None:
        commit(ledger, windows=[window()], actions=[action(of=window().id)])
        footprint = ledger.footprint(window().id)
        assert footprint is not None
        assert (footprint.subject, footprint.own) == (ledger.window(window().id), frozenset())
        assert len(footprint.actions) == 1
        assert ledger.footprint("nothing#1") is None

    def test_a_page_gives_what_is_live_or_waits_or_acted_since(self, ledger: AnyLedger) -> None:
        ended = {"phase": Phase.RESOLVED}
        episodes = [
            episode(1, **ended),
            episode(2, **ended),
            episode(3, **ended),
            episode(4, phase=Phase.HELD),
            episode(1, key="rule@other"),
        ]
        over = window("old@1", phase=WindowPhase.COMPLETE)
        done = {"state": ActionState.DONE}
        acts = [
            action(of="rule@page#1", created_at=NOW - MINUTE, **done),
            action(of="rule@page#2", created_at=NOW + MINUTE, **done),
            action(of="rule@page#3", created_at=NOW - MINUTE),
            action(of="rule@other#1", page="other", created_at=NOW + MINUTE, **done),
            action(of=over.id, created_at=NOW - MINUTE, **done),
        ]
        commit(ledger, episodes=episodes, windows=[window(), over], actions=acts)
        found = [each.subject.id for each in ledger.footprints("page", NOW)]
        assert found == [window().id, "rule@page#2", "rule@page#3", "rule@page#4"]

    def test_a_sweep_is_kept_whole_and_by_whoever_was_first(self, ledger: AnyLedger) -> None:
        assert ledger.sweep("page") == Sweep(page="page")
        one = Drift(kind=DriftKind.LOST, subject="rule@page#1", remote_id="inc-1", what="object", text=HOSTILE)
        first, new = Sweep(page="page").after([one], NOW, whole=True)
        assert new == [one]
        commit(ledger, sweeps=[first])
        assert ledger.sweep("page") == stored(first)
        with pytest.raises(Conflict):
            commit(ledger, sweeps=[first])
        assert ledger.totals()["drift_lost"] == 1
        commit(ledger, sweeps=[ledger.sweep("page").after([], NOW + MINUTE, whole=True)[0]])
        assert ledger.totals()["drift_lost"] == 0


class TestQueries:
    def test_history_gives_the_newest_first_of_what_is_asked_for(self, ledger: AnyLedger) -> None:
        commit(
            ledger, episodes=[episode(7, key="a@page.0123456789", group={"region": "eu"}), episode(1, key="b@other")]
        )
        commit(
            ledger,
            actions=[
                action("a@page.0123456789#7", 1, tries=2),
                action("a@page.0123456789#7", 2),
                action("b@other#1", 3, page="other"),
                action("unknown", 4),
            ],
        )
        assert [line.action.seq for line in ledger.history()] == [4, 3, 2, 1]
        assert [line.action.seq for line in ledger.history(limit=2)] == [4, 3]
        assert [line.action.seq for line in ledger.history(page="other")] == [3]
        assert [line.action.seq for line in ledger.history(rule_id="a")] == [2, 1]
        assert [line.action.seq for line in ledger.history(since=NOW + 3 * SECOND)] == [4, 3]
        line = ledger.history(rule_id="a", page="page")[-1]
        assert (line.episode, line.rule_id, line.number) == ("a@page.0123456789#7", "a", 7)
        assert (line.group, line.attempts, line.said_at) == ({"region": "eu"}, 2, None)
        assert ledger.history()[0].rule_id == ""

    def test_history_tells_when_the_page_had_it_first(self, ledger: AnyLedger) -> None:
        done = action(state=ActionState.DONE, update_id="u1")
        commit(ledger, actions=[action()])
        commit(ledger, now=NOW + SECOND, actions=[done])
        commit(ledger, now=NOW + MINUTE, actions=[replace(done, reason="the text differs")])
        (line,) = ledger.history()
        assert (line.said_at, line.update_id) == (NOW + SECOND, "u1")

    def test_a_story_tells_everything_about_one_episode_and_nothing_else(self, ledger: AnyLedger) -> None:
        one, two = signal("one"), signal("two")
        (seq,) = record(ledger, None)
        told = episode(1, one, created_at=NOW, members={one.id: member(one, joined_at=NOW)})
        early = Heard(inbound_seq=seq, position=0, event=one.event, effect="before it counted")
        first = Heard(inbound_seq=seq, position=0, event=one.event, effect="news")
        other = Heard(inbound_seq=seq, position=1, event=two.event, effect="news")
        commit(ledger, now=NOW - MINUTE, heard=[early])
        commit(ledger, signals=[one, two], episodes=[told, episode(1, two, key="other@page")], heard=[first, other])
        attempt = Attempt(action_id="rule@page#1/1", number=1, started_at=NOW, method="POST", target="/", body=b"x")
        decisions = [
            Decision(aggregate="rule@page#1", at=NOW, cause="inbound 1", text=text) for text in ("one", HOSTILE)
        ]
        strange = Decision(aggregate="other@page#1", at=NOW, cause="x", text="y")
        actions = [action(seq=1, state=ActionState.DONE), action(seq=2)]
        commit(ledger, actions=[*actions, action("other@page#1")], attempts=[attempt], decisions=[*decisions, strange])
        last = replace(first, effect="the last word")
        read = ledger.get("rule@page#1")
        assert read is not None
        ended = replace(read, phase=Phase.RESOLVED, ended_at=NOW + SECOND)
        commit(ledger, now=NOW + SECOND, heard=[last], episodes=[ended])
        commit(ledger, now=NOW + MINUTE, heard=[replace(first, effect="after it ended")])

        story = ledger.story("rule@page#1")
        assert story is not None
        assert story.about == ledger.get("rule@page#1")
        assert [heard for _, heard in story.heard] == [first, last]
        assert {at for at, _ in story.heard} == {NOW}  # when it was received, not when it was handled
        assert list(story.decisions) == decisions
        assert [line.action for line in story.actions] == actions
        assert list(story.attempts) == [attempt]

    def test_a_window_has_a_story_too(self, ledger: AnyLedger) -> None:
        one, told = signal("one"), window(line="db@page", members={})
        told = replace(told, members={one.id: member(one, joined_at=NOW)})
        heard = Heard(inbound_seq=1, position=0, event=one.event, effect="news")
        decision = Decision(aggregate=told.id, at=NOW, cause="ann (maintenance start)", text="in progress")
        waits = action(told.id, 1)
        commit(ledger, signals=[one], windows=[told], heard=[heard], decisions=[decision], actions=[waits])
        story = ledger.story(told.id)
        assert story is not None
        assert story.about == ledger.window(told.id)
        assert [line for _, line in story.heard] == [heard]
        assert (list(story.decisions), [line.action for line in story.actions]) == ([decision], [waits])

    def test_an_episode_is_called_by_rule_and_number_where_that_is_unambiguous(self, ledger: AnyLedger) -> None:
        commit(ledger, episodes=[episode(1), episode(2), episode(2, key="rule@page.0123456789")])
        called = {
            name: ledger.story(name) for name in ("rule#1", "rule#2", "rule@page#2", "rule#3", "rule", "#", "rule#x")
        }
        assert {name: story and story.about.id for name, story in called.items()} == {
            "rule#1": "rule@page#1",
            "rule#2": None,
            "rule@page#2": "rule@page#2",
            "rule#3": None,
            "rule": None,
            "#": None,
            "rule#x": None,
        }

    def test_what_is_known_of_canaries_is_kept_by_source_the_newest_word(self, ledger: AnyLedger) -> None:
        first = Beat(source="alerts", heard_at=NOW, firing=True, since=NOW)
        second = replace(first, heard_at=NOW + MINUTE, firing=False, told=True)
        never = Beat(source="other", heard_at=NOW)
        commit(ledger, beats=[first, never])
        assert ledger.beats() == {"alerts": first, "other": never}
        commit(ledger, beats=[second])
        assert ledger.beats() == {"alerts": second, "other": never}
        assert not ledger.flags(PAUSE)

    def test_totals_name_everything_even_what_never_was(self, ledger: AnyLedger) -> None:
        names = {"inbounds", "inbounds_pending", "inbounds_parked", "inbounds_unparsed", "events", "signals_firing"}
        names |= {"pauses", "unmatched", "breakers"}
        names |= {f"episodes_{phase}" for phase in Phase} | {f"actions_{state}" for state in ActionState}
        names |= {f"windows_{phase}" for phase in WindowPhase}
        names |= {f"actions_done_{kind}" for kind in ActionKind} | {f"drift_{kind}" for kind in DriftKind}
        assert ledger.totals() == dict.fromkeys(names, 0)

    def test_totals_count(self, ledger: AnyLedger) -> None:
        seqs = record(ledger, None, None, None)
        commit(
            ledger,
            handled=[Handled(seq=seqs[0]), Handled(seq=seqs[1], state="parked", detail="why")],
            heard=[Heard(inbound_seq=1, position=0, event=event(), effect="news")],
            signals=[signal("a"), signal("b", Status.RESOLVED), signal("c", Status.INFO)],
            episodes=[episode(1), episode(2, phase=Phase.RESOLVED)],
            actions=[action(seq=1, state=ActionState.DONE), action(seq=2, state=ActionState.HELD)],
        )
        counted = {name: count for name, count in ledger.totals().items() if count}
        assert counted == {
            "inbounds": 3,
            "inbounds_pending": 1,
            "inbounds_parked": 1,
            "events": 1,
            "signals_firing": 1,
            "episodes_open": 1,
            "episodes_resolved": 1,
            "actions_done": 1,
            "actions_held": 1,
            "actions_done_update_incident": 1,
        }

    def test_notices_give_the_newest_first(self, ledger: AnyLedger) -> None:
        notices = [Notice(code=f"c{n}", subject=HOSTILE, text="t", severity=Severity.ERROR) for n in range(3)]
        commit(ledger, notices=notices[:2])
        commit(ledger, now=NOW + SECOND, notices=notices[2:])
        assert list(ledger.notices()) == [(NOW + SECOND, notices[2]), (NOW, notices[1]), (NOW, notices[0])]
        assert len(ledger.notices(limit=1)) == 1


class TestFlags:
    def pause(self, ledger: AnyLedger, *pages: str, value: str | None = "why") -> None:
        commit(ledger, flags=[Flag(page=page, name=PAUSE, at=NOW, value=value) for page in pages])

    def test_a_flag_is_there_until_it_is_taken_away(self, ledger: AnyLedger) -> None:
        assert ledger.flags(PAUSE) == []
        self.pause(ledger, "b", "")
        other = Flag(page="b", name="other", at=NOW, value="")
        later = Flag(page="b", name=PAUSE, at=NOW + SECOND, value=HOSTILE)
        commit(ledger, flags=[other])
        commit(ledger, flags=[later])
        assert ledger.flags(PAUSE) == [Flag(page="", name=PAUSE, at=NOW, value="why"), later]
        assert ledger.totals()["pauses"] == 2
        self.pause(ledger, "b", "never set", value=None)
        assert [flag.page for flag in ledger.flags(PAUSE)] == [""]
        assert ledger.flags("other") == [other]

    def test_nothing_of_a_page_that_is_paused_is_claimed(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a"), action("b", page="other")])
        self.pause(ledger, "page")
        assert (ledger.paused("page"), ledger.paused("other")) == (True, False)
        claimed = ledger.claim(NOW, LEASE, ["page", "other"])
        assert claimed is not None
        assert claimed.id == "b/1"
        assert ledger.claim(NOW, LEASE, ["page", "other"]) is None
        self.pause(ledger, "page", value=None)
        assert ledger.claim(NOW, LEASE, ["page", "other"]) is not None

    def test_a_pause_of_no_page_in_particular_is_one_of_all(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a"), action("b", page="other")])
        self.pause(ledger, "", value="")
        assert ledger.paused("page")
        assert ledger.claim(NOW, LEASE, ["page", "other"]) is None

    def shut(self, ledger: AnyLedger, name: str, *, at: datetime = NOW + MINUTE) -> None:
        commit(ledger, flags=[Flag(page="page", name=name, at=at, value="why")])

    @pytest.mark.parametrize("name", BOTH)
    def test_a_page_whose_breaker_is_open_gives_one_at_each_turn(self, ledger: AnyLedger, name: str) -> None:
        commit(ledger, actions=[action("a"), action("b"), action("c"), action("d", page="other")])
        self.shut(ledger, name)
        assert ledger.totals()["breakers"] == 1
        assert [self.claim(ledger, NOW) for _ in range(2)] == ["d/1", None]
        assert ledger.next_due(NOW + SECOND) == NOW + MINUTE
        assert [self.claim(ledger, NOW + MINUTE) for _ in range(2)] == ["a/1", None]
        assert [self.claim(ledger, NOW + 2 * MINUTE - SECOND), self.claim(ledger, NOW + 2 * MINUTE)] == [None, "b/1"]
        commit(ledger, flags=[Flag(page="page", name=name, at=NOW, value=None)])
        assert self.claim(ledger, NOW + 2 * MINUTE) == "c/1"

    @pytest.mark.parametrize(("name", "first"), [(UNREADABLE, None), (UNWRITABLE, "a/1")])
    def test_what_only_reads_needs_a_turn_only_where_nothing_can_be_read(
        self, ledger: AnyLedger, name: str, first: str | None
    ) -> None:
        reads = action("a", kind=ActionKind.UPDATE_INCIDENT, state=ActionState.UNKNOWN, created_at=NOW - MINUTE)
        sent_again = action("b", kind=ActionKind.OPEN_INCIDENT, state=ActionState.UNKNOWN)
        commit(ledger, actions=[reads, sent_again])
        self.shut(ledger, name)
        assert ledger.next_due(NOW) == (NOW if first else NOW + MINUTE)
        assert [self.claim(ledger, NOW) for _ in range(2)] == [first, None]
        assert self.claim(ledger, NOW + MINUTE) == ("b/1" if first else "a/1")

    def test_a_breaker_of_a_time_that_a_clock_left_behind_is_not_obeyed(self, ledger: AnyLedger) -> None:
        commit(ledger, actions=[action("a")])
        self.shut(ledger, UNREADABLE, at=NOW + timedelta(days=1))
        assert ledger.next_due(NOW) == NOW
        assert self.claim(ledger, NOW) == "a/1"

    def claim(self, ledger: AnyLedger, now: datetime) -> str | None:
        claimed = ledger.claim(now, 5 * MINUTE, ["page", "other"])
        return claimed and claimed.id

    def test_what_may_be_on_its_way_is_known(self, ledger: AnyLedger) -> None:
        states = {"a": ActionState.SENDING, "b": ActionState.QUEUED, "c": ActionState.UNKNOWN, "d": ActionState.DONE}
        rows = [action(name, state=state) for name, state in states.items()]
        commit(ledger, actions=[*rows, action("e", page="other", state=ActionState.SENDING)])
        assert ledger.sending() == ["a/1", "e/1"]
        assert ledger.sending("page") == ["a/1"]

    def test_a_flag_survives_a_restart(self, store: Store) -> None:
        self.pause(store.open(), "page")
        store.close()
        assert store.open().paused("page")


class TestRestart:
    def test_everything_is_there_after_a_restart(self, store: Store) -> None:
        ledger = store.open()
        record(ledger, "d1", "d2", None)
        one = signal()
        commit(
            ledger,
            handled=[Handled(seq=1)],
            heard=[Heard(inbound_seq=1, position=0, event=one.event, effect="news")],
            signals=[one],
            episodes=[episode(1, one, wake_at=NOW)],
            actions=[action(seq=1), action("later", not_before=NOW + MINUTE)],
            attempts=[Attempt(action_id="later/1", number=1, started_at=NOW, method="POST", target="/", body=b"x")],
            decisions=[Decision(aggregate="rule@page#1", at=NOW, cause="c", text="t")],
            notices=[Notice(code="c", subject="s", text="t")],
            revisions={"h": {"a": 1}},
        )
        before = self.everything(ledger)
        store.close()
        again = store.open()
        assert self.everything(again) == before
        assert record_all(again, [entry("d2")]) == [Recorded(2, duplicate=True)]
        (new,) = record(again, None)
        assert new > 3

    def everything(self, ledger: AnyLedger) -> list[object]:
        return [
            list(ledger.pending(10)),
            ledger.signals([("am", "k")]),
            ledger.get("rule@page#1"),
            ledger.story("rule#1"),
            ledger.totals(),
            list(ledger.notices()),
            list(ledger.history()),
            list(ledger.attempts("later/1")),
            ledger.revision("h"),
            ledger.next_wake(),
        ]

    def test_leases_outlive_a_restart_only_where_another_worker_may_hold_them(self, store: Store) -> None:
        ledger = store.open()
        commit(ledger, actions=[action("a")])
        ledger.claim(NOW, LEASE, ["page"])
        store.close()
        again = store.open()
        held = again.claim(NOW + SECOND, LEASE, ["page"]) is None
        assert held == (store.kind != "sqlite")  # nobody else can have held a file

    def test_a_closed_ledger_takes_nothing(self, store: Store) -> None:
        ledger = store.open()
        ledger.close()
        with pytest.raises(LedgerUnavailable):
            commit(ledger, signals=[signal()])
        with pytest.raises(LedgerUnavailable):
            ledger.record(entry(), lambda answer: None)

    def test_closing_commits_what_is_queued(self, store: Store) -> None:
        ledger = store.open()
        answers: list[Recorded | Exception] = []
        for _ in range(300):
            ledger.record(entry(), answers.append)
        store.close()
        assert len(answers) == 300
        assert len(store.open().pending(1000)) == 300


# --- what came in, as it came


def test_an_inbound_is_told_with_all_that_was_decided_because_of_it(ledger: AnyLedger) -> None:
    first, second = record(ledger, "a", "b")
    told = [
        Decision(aggregate="rule@page#1", at=NOW, cause=f"inbound {first} from am", text="held"),
        Decision(aggregate="rule@page#1", at=NOW, cause=f"inbound {second} from am", text="more"),
        Decision(aggregate="other@page#1", at=NOW, cause=f"inbound {first} from am", text="held too"),
    ]
    commit(ledger, handled=[Handled(seq=first)], decisions=told)
    found = ledger.inbound(first)
    assert found is not None
    assert [each.text for each in found.decisions] == ["held", "held too"]


def test_inbounds_are_given_again_in_order_of_receipt_page_by_page(ledger: AnyLedger) -> None:
    older = replace(entry("old").inbound, received_at=NOW - MINUTE)
    record_all(ledger, [replace(entry("old"), inbound=older), entry("a"), entry("b"), entry("c")])
    commit(ledger, handled=[Handled(seq=each.seq) for each in ledger.pending(2)])
    every = ledger.recorded(NOW - 2 * MINUTE)
    assert [inbound.received_at for inbound in every] == [NOW - MINUTE, NOW, NOW, NOW]
    assert [inbound.seq for inbound in every] == sorted(inbound.seq for inbound in every)
    two = ledger.recorded(NOW, limit=2)
    assert list(two) == list(every[1:3])
    assert list(ledger.recorded(NOW, after=two[-1].seq)) == [every[3]]
