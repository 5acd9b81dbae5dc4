"""What every ledger answers to people about its inbox, notices and what waits: in memory, in SQLite, in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.conftest import AnyLedger
from tests.fakes.ledger_rows import MINUTE, NOW, SECOND, action, entry, episode, event, record_all
from worker.core.model import ActionState, Notice, Severity
from worker.ports import Commit, Handled, Heard, Received, Recorded


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
