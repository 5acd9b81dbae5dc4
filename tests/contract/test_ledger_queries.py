"""What every ledger answers to people about its inbox, notices and what waits: in memory, in SQLite, in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.conftest import AnyLedger
from tests.fakes.ledger_rows import MINUTE, NOW, SECOND, action, entry, episode, event, record_all, window
from worker.core.model import ActionState, Content, Notice, Phase, Severity
from worker.errors import Conflict
from worker.ports import Commit, Handled, Heard, Received, Recorded, RuleCount, place_of


def commit(ledger: AnyLedger, **rows: object) -> None:
    ledger.commit(Commit(**{"now": NOW, **rows}))  # type: ignore[arg-type]


def inbox(ledger: AnyLedger) -> list[int]:
    """Four inbounds: of two sources, a second apart; the last two are parked, one of them not understood in part."""
    plain = [entry(source="a"), entry(source="b"), entry(source="a", statements=3, unparsed=2), entry(source="b")]
    entries = [
        replace(each, inbound=replace(each.inbound, body=b"12345", received_at=NOW + number * SECOND))
        for number, each in enumerate(plain)
    ]
    seqs = [answer.seq for answer in record_all(ledger, entries) if isinstance(answer, Recorded)]
    parked = [Handled(seq=seq, state="parked", detail=f"why {seq}\x00") for seq in seqs[2:]]
    commit(ledger, handled=[Handled(seq=seqs[0]), *parked])
    return seqs


def test_the_inbox_lists_the_newest_first_with_all_that_is_known_but_the_body(ledger: AnyLedger) -> None:
    seqs = inbox(ledger)
    listed = ledger.inbounds()
    assert [each.seq for each in listed] == seqs[::-1]
    assert listed[1] == Received(
        seq=seqs[2],
        source="a",
        received_at=NOW + 2 * SECOND,
        state="parked",
        detail=f"why {seqs[2]}\x00",
        statements=3,
        unparsed=2,
        size=5,
    )
    assert [each.state for each in listed] == ["parked", "parked", "pending", "done"]


def test_what_is_parked_is_set_aside_once_and_what_waits_is_not(ledger: AnyLedger) -> None:
    first, second, third, _ = inbox(ledger)
    aside = Handled(seq=third, state="dismissed", detail="by ann", was="parked")
    commit(ledger, handled=[aside])
    assert (ledger.inbounds()[1].state, ledger.inbounds()[1].detail) == ("dismissed", "by ann")
    assert (ledger.totals()["inbounds_parked"], ledger.totals()["inbounds_unparsed"]) == (1, 0)
    assert [each.seq for each in ledger.pending(9)] == [second]
    for again in (aside, replace(aside, seq=first), replace(aside, seq=second)):
        with pytest.raises(Conflict):
            commit(ledger, handled=[again])


def test_the_inbox_gives_what_is_asked_for(ledger: AnyLedger) -> None:
    first, second, third, fourth = inbox(ledger)

    def found(**asked: object) -> list[int]:
        return [each.seq for each in ledger.inbounds(**asked)]  # type: ignore[arg-type]

    assert found(limit=2) == [fourth, third]
    assert found(source="a") == [third, first]
    assert found(states=("parked", "pending")) == [fourth, third, second]
    assert found(unparsed=True) == [third]
    assert found(since=NOW + SECOND) == [fourth, third, second]
    assert found(source="b", states=("parked",), since=NOW, limit=5) == [fourth]
    assert found(source="none") == []


def test_an_inbound_is_told_with_its_request_and_what_was_heard_in_it(ledger: AnyLedger) -> None:
    seqs = inbox(ledger)
    heard = [
        Heard(inbound_seq=seq, position=n, event=event(f"{seq}-{n}"), effect="news") for n in (1, 0) for seq in seqs[:2]
    ]
    commit(ledger, heard=heard)
    story = ledger.inbound(seqs[1])
    assert story is not None
    assert story.received == ledger.inbounds(source="b", states=("pending",))[0]
    assert (story.inbound.body, story.inbound.headers) == (b"12345", {"content-type": "application/json"})
    assert [line.event.key for line in story.heard] == [f"{seqs[1]}-0", f"{seqs[1]}-1"]
    assert ledger.inbound(seqs[-1] + 1) is None


def test_history_gives_the_states_that_are_asked_for(ledger: AnyLedger) -> None:
    acts = [action(seq=number, state=state) for number, state in enumerate(ActionState, 1)]
    commit(ledger, episodes=[episode()], actions=acts)
    waiting = [ActionState.PARKED, ActionState.HELD]
    assert [line.action.state for line in ledger.history(states=waiting)] == waiting
    assert len(ledger.history(states=())) == len(ActionState)


def test_notices_are_given_by_severity_and_time(ledger: AnyLedger) -> None:
    for number, severity in enumerate((Severity.ERROR, Severity.INFO, Severity.WARNING)):
        notice = Notice(code="held", subject=str(number), text="t", severity=severity)
        commit(ledger, now=NOW + number * MINUTE, notices=[notice])

    def found(**asked: object) -> list[str]:
        return [notice.subject for _, notice in ledger.notices(**asked)]  # type: ignore[arg-type]

    assert found() == ["2", "1", "0"]
    assert found(severity=Severity.WARNING) == ["2", "0"]
    assert found(severity=Severity.ERROR) == ["0"]
    assert found(since=NOW + MINUTE) == ["2", "1"]
    assert found(limit=1, severity=Severity.WARNING) == ["2"]


def test_history_is_in_the_order_of_the_times_that_it_shows(ledger: AnyLedger) -> None:
    acts = [action(f"rule@page#{number}", number, created_at=NOW + number * MINUTE) for number in (1, 2, 3)]
    commit(ledger, episodes=[episode(number) for number in (1, 2, 3)], actions=acts)
    commit(ledger, now=NOW + 150 * SECOND, actions=[replace(acts[0], state=ActionState.DONE)])
    commit(ledger, now=NOW + 5 * MINUTE, actions=[replace(acts[0], state=ActionState.DONE, reason="looked at again")])
    lines = ledger.history()
    assert [line.action.seq for line in lines] == [3, 1, 2]
    assert [line.shown_at - NOW for line in lines] == [3 * MINUTE, 150 * SECOND, 2 * MINUTE]
    assert [line.action.seq for line in ledger.history(since=NOW + 150 * SECOND)] == [3, 1]
    assert [line.action.seq for line in ledger.history(before=place_of(lines[0]))] == [1, 2]


# -- long lists, and words


def test_a_long_history_is_given_in_parts_that_lose_and_repeat_nothing(ledger: AnyLedger) -> None:
    for number in (1, 2, 3):
        acts = [action(f"rule@page#{number}", seq, created_at=NOW + (seq % 2) * SECOND) for seq in range(1, 5)]
        commit(ledger, episodes=[episode(number)], actions=acts)
    whole = [line.action.id for line in ledger.history()]
    assert len(whole) == 12
    for size in (1, 5, 12):
        parts: list[str] = []
        part = ledger.history(limit=size)
        while part:
            parts += [line.action.id for line in part]
            part = ledger.history(limit=size, before=place_of(part[-1]))
        assert parts == whole


def test_history_finds_words_in_titles_and_messages_in_whatever_case(ledger: AnyLedger) -> None:
    said = ['Größe "x" \\ %_', "checkout is DOWN", "title", "plain"]
    acts = [action(seq=n, content=Content(message=text)) for n, text in enumerate(said, 1)]
    acts.append(action(seq=5, content=Content(title="Checkout slow", message="m")))
    commit(ledger, episodes=[episode()], actions=acts)

    def found(text: str, **asked: object) -> list[int]:
        return [line.action.seq for line in ledger.history(text=text, **asked)]  # type: ignore[arg-type]

    assert found("checkout") == [5, 2]
    assert found("checkout", limit=1) == [5]
    assert found("GRÖSSE") == [1]  # as people write it in capitals
    assert found('"x" \\ %_') == [1]
    assert found("%") == [1]
    assert found("message") == []  # not the names of fields
    assert found("title") == [3]


def test_episodes_are_listed_live_ones_first_then_by_their_end_in_parts_too(ledger: AnyLedger) -> None:
    live = [episode(1, key="a@main"), episode(1, key="b@other", phase=Phase.OPEN)]
    over = [
        episode(number, key="c@main", phase=phase, ended_at=NOW + (number % 2) * MINUTE)
        for number, phase in enumerate((Phase.RESOLVED, Phase.DISMISSED, Phase.RESOLVED), 1)
    ]
    commit(ledger, episodes=[*live, *over])
    listed = ledger.episodes()
    assert [each.id for each in listed] == ["b@other#1", "a@main#1", "c@main#3", "c@main#1", "c@main#2"]
    parts: list[str] = []
    part = ledger.episodes(limit=2)
    while part:
        parts += [each.id for each in part]
        part = ledger.episodes(limit=2, before=(part[-1].ended_at, part[-1].id))
    assert parts == [each.id for each in listed]
    assert [e.id for e in ledger.episodes(phases=(Phase.RESOLVED,))] == ["c@main#3", "c@main#1"]
    assert [e.id for e in ledger.episodes(page="other")] == ["b@other#1"]
    assert [e.id for e in ledger.episodes(rule_id="a")] == ["a@main#1"]


def test_the_inbox_and_notices_are_given_in_parts(ledger: AnyLedger) -> None:
    first, second, third, fourth = inbox(ledger)
    assert [each.seq for each in ledger.inbounds(before=third)] == [second, first]
    assert [each.seq for each in ledger.inbounds(before=fourth, source="a", limit=1)] == [third]
    commit(ledger, notices=[Notice(code="held", subject=str(n), text="t") for n in range(5)])
    assert [n.subject for _, n in ledger.notices(2, skip=1)] == ["3", "2"]


# -- counts


def test_each_rule_is_counted_with_what_came_of_it(ledger: AnyLedger) -> None:
    commit(
        ledger, episodes=[episode(1, phase=Phase.OPEN)], actions=[action(seq=1, state=ActionState.DONE), action(seq=2)]
    )
    again = [action("rule@page#2", 1, state=ActionState.DONE), action("rule@page#2", 2, state=ActionState.PARKED)]
    over = episode(2, phase=Phase.RESOLVED, ended_at=NOW)
    commit(ledger, now=NOW + MINUTE, episodes=[over, episode(1, key="quiet@page")], actions=again)
    commit(ledger, windows=[window("page/w@1", plan_id="w")])
    counts = ledger.rule_counts()
    assert counts["rule"] == RuleCount(episodes=2, live=1, posts=2, last_at=NOW + MINUTE)
    assert counts["quiet"] == RuleCount(episodes=1, live=1)
    assert counts["w"] == RuleCount(episodes=1, live=1)
    assert counts.keys() == {"rule", "quiet", "w"}


def test_what_happened_is_counted_by_stretches_of_time(ledger: AnyLedger) -> None:
    (seq,) = [each.seq for each in record_all(ledger, [entry()]) if isinstance(each, Recorded)]
    said = [Heard(inbound_seq=seq, position=n, event=event(str(n)), effect="news") for n in range(3)]
    commit(ledger, heard=said, handled=[Handled(seq=seq)])
    posts = [
        action(seq=1, state=ActionState.DONE, created_at=NOW),
        action(seq=2, state=ActionState.DONE, created_at=NOW, approved_by="ann"),
        action(seq=3, state=ActionState.REPLACED, created_at=NOW + 2 * MINUTE),
        action(seq=4, state=ActionState.QUEUED, created_at=NOW),
    ]
    commit(ledger, now=NOW + 70 * SECOND, episodes=[episode()], actions=posts)
    blip = episode(2, phase=Phase.DISMISSED, ended_at=NOW + 2 * MINUTE)
    older = episode(3, phase=Phase.DISMISSED, ended_at=NOW - MINUTE)
    commit(ledger, episodes=[blip, older])
    spans = ledger.activity(NOW, MINUTE, NOW + 4 * MINUTE)
    assert [span.at for span in spans] == [NOW + n * MINUTE for n in range(4)]
    assert [span.heard for span in spans] == [3, 0, 0, 0]
    assert [span.published for span in spans] == [0, 2, 0, 0]
    assert [span.suppressed for span in spans] == [0, 0, 2, 0]
    assert [span.lags for span in spans] == [(), (70.0,), (), ()]
