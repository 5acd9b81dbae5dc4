"""``status``: does anything need a person?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from worker.cli.console import document, remark, table, utc
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, settings_of

if TYPE_CHECKING:
    from worker.ledger import Ledger

RECENT = timedelta(days=1)
"""How long an inbound is named that is parked: nothing of it waits, but its sender or a rule is to be mended."""

MOST = 100


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that needs a person."""

    since: datetime
    state: str
    what: str
    why: str
    look: str


def status(ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """
    Show what needs a person.

    Writes that are held, parked or await approval; pages that are paused, do not answer or deny the key; webhooks of
    the last day that could not be followed in full. The oldest first. Works while a worker runs. Times are UTC.

    \b
    Examples:
      statusbridge status
      statusbridge status --json || page-somebody

    Exit codes: 0 nothing needs a person; 1 something does; 2 there is no such ledger.
    """
    from worker.cli.reading import ledger_to_read

    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        needs = sorted(_needs(book), key=lambda need: need.since)
    if as_json:
        document({"ok": not needs, "needs": [_as_data(need) for need in needs]})
    elif needs:
        rows = [(utc(n.since), n.state, n.what, f"{n.why}\n→ {n.look}".strip()) for n in needs]
        table(("SINCE, UTC", "STATE", "WHAT", "WHY"), rows)
    else:
        remark("nothing needs a person")
    raise typer.Exit(NO if needs else 0)


def _needs(book: Ledger) -> Iterator[Need]:
    yield from _writes(book)
    yield from _pauses(book)
    yield from _breakers(book)
    yield from _webhooks(book)


def _writes(book: Ledger) -> Iterator[Need]:
    from worker.core.model import ActionState
    from worker.telling.words import deed, label

    waiting = (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL)
    for line in book.history(states=waiting, limit=MOST):
        action = line.action
        what = f"{deed(action)}\n{label(line)} on page {action.page}"
        yield Need(action.created_at, action.state.value, what, action.reason, f"statusbridge show {line.episode}")


def _pauses(book: Ledger) -> Iterator[Need]:
    from worker.core.model import PAUSE, UNMATCHED

    for flag in book.flags(UNMATCHED):
        why = f"nothing is published until the ledger was matched with the page: {flag.value}"
        yield Need(flag.at, "unmatched", f"page {flag.page}", why, "statusbridge doctor --online")
    for flag in book.flags(PAUSE):
        what, option = (f"page {flag.page}", f" --page {flag.page}") if flag.page else ("all pages", "")
        yield Need(flag.at, "paused", what, f"by {flag.value}", f"statusbridge resume{option}")


def _breakers(book: Ledger) -> Iterator[Need]:
    from worker.core.breaker import BOTH, shut

    for found in map(shut, book.flags(*BOTH)):
        state = "denied" if found.denied else found.name
        yield Need(found.since, state, f"page {found.page}", found.told, "statusbridge doctor --online")


def _webhooks(book: Ledger) -> Iterator[Need]:
    from worker.cli.reading import now
    from worker.telling.words import amount

    for each in book.inbounds(states=("parked",), since=now() - RECENT, limit=MOST):
        what = f"inbound {each.seq} from {each.source}: {amount(each)}"
        yield Need(each.received_at, each.state, what, each.detail, f"statusbridge show inbound/{each.seq}")


def _as_data(need: Need) -> dict[str, Any]:
    return {
        "since": need.since,
        "state": need.state,
        "what": need.what.replace("\n", "; "),
        "why": need.why,
        "look": need.look,
    }
