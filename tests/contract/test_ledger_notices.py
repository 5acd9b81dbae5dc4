"""Notices on their way to their receivers, and what is remembered of them: every ledger keeps the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.contract.conftest import AnyLedger
from tests.fakes.ledger_rows import MINUTE, NOW
from worker.core.concerns import Concern, Mailbox, Standing
from worker.core.model import Notice, Severity
from worker.errors import Conflict
from worker.ports import Commit


def notice(text: str, **given: Any) -> Notice:
    return Notice(**{"code": "held", "subject": "rule@page#1", "text": text, **given})


def made(ledger: AnyLedger, *texts: str) -> Sequence[int]:
    ledger.commit(Commit(now=NOW, notices=[notice(text) for text in texts]))
    return [number for number, _, _ in ledger.untaken(NOW, 10)]


def test_what_nobody_has_taken_is_given_in_order_with_all_that_it_says(ledger: AnyLedger) -> None:
    over = notice("it is over", over=True, severity=Severity.ERROR)
    ledger.commit(Commit(now=NOW - MINUTE, notices=[notice("long ago")]))
    ledger.commit(Commit(now=NOW, notices=[notice("first"), over]))
    found = ledger.untaken(NOW, 10)
    assert [(at, each) for _, at, each in found] == [(NOW, notice("first")), (NOW, over)]
    assert [each.text for _, _, each in ledger.untaken(NOW - MINUTE, 2)] == ["long ago", "first"]


def test_what_was_taken_is_given_by_its_number_only(ledger: AnyLedger) -> None:
    first, second = made(ledger, "first", "second")
    ledger.commit(Commit(now=NOW, taken=[first]))
    assert [number for number, _, _ in ledger.untaken(NOW, 10)] == [second]
    assert [each.text for _, _, each in ledger.numbered([second, first, 999])] == ["first", "second"]
    assert ledger.numbered([]) == []


def test_a_notice_is_taken_once(ledger: AnyLedger) -> None:
    (number,) = made(ledger, "first")
    ledger.commit(Commit(now=NOW, taken=[number]))
    with pytest.raises(Conflict):
        ledger.commit(Commit(now=NOW, taken=[number], notices=[notice("of the loser")]))
    assert ledger.untaken(NOW, 10) == []


def test_what_is_remembered_comes_back_and_only_the_first_of_two_changes_it(ledger: AnyLedger) -> None:
    assert (ledger.standing(), ledger.mailbox("abc")) == (Standing(), Mailbox(receiver="abc"))
    concern = Concern(code="held", subject="x", severity=Severity.ERROR, text="why\x00", since=NOW)
    standing = Standing(open={"held x": concern})
    box = Mailbox(receiver="abc", waiting=(1, 2), dropped=3, tries=4, not_before=NOW, failing_since=NOW)
    ledger.commit(Commit(now=NOW, memos=[standing, box]))
    assert ledger.standing() == Standing(open={"held x": concern}, version=1)
    kept = ledger.mailbox("abc")
    assert kept == Mailbox(
        receiver="abc", waiting=(1, 2), dropped=3, tries=4, not_before=NOW, failing_since=NOW, version=1
    )
    assert ledger.mailbox("abcd").waiting == ()
    ledger.commit(Commit(now=NOW, memos=[kept.with_more([5])]))
    with pytest.raises(Conflict):
        ledger.commit(Commit(now=NOW, memos=[kept.with_more([6])]))
    assert ledger.mailbox("abc").waiting == (1, 2, 5)
