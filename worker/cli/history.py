"""``history``: what did the page get, when and why?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import document, remark, table, utc
from worker.cli.options import JsonOption, LedgerOption, LimitOption, SinceOption, settings_of
from worker.core.model import ActionState

if TYPE_CHECKING:
    from worker.core.model import Action
    from worker.ports import HistoryLine


def history(
    page: Annotated[str, typer.Option(metavar="NAME", help="Only this page.", show_default=False)] = "",
    rule: Annotated[str, typer.Option(metavar="ID", help="Only this rule.", show_default=False)] = "",
    state: Annotated[
        list[ActionState] | None,
        typer.Option(help="Only actions in this state. Repeatable.", show_default=False, case_sensitive=False),
    ] = None,
    since: SinceOption = None,
    limit: LimitOption = 50,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what the pages got, when and why.

    The newest first, by the time shown; also what still waits. Works while a worker runs. Times are UTC; a time in
    brackets is that of the decision: the page has not got it (yet).

    \b
    Examples:
      statusbridge history --since 2h
      statusbridge history --state held --state parked     what waits for a person?
      statusbridge history --page main --rule checkout-outage --json
      statusbridge show checkout-outage#3     everything about one of them

    Exit codes: 0 good; 2 there is no such ledger.
    """
    from worker.cli.reading import ledger_to_read, moment, now
    from worker.cli.reports import footing
    from worker.telling.data import action_data

    start = moment("--since", since, now()) if since else None
    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        lines = book.history(page=page, rule_id=rule, states=state or (), since=start, limit=limit)
    if as_json:
        document({"actions": [asdict(action_data(line)) for line in lines]})
        return
    if lines:
        table(("UTC", "EPISODE", "THE PAGE GOT", "WHY"), [_row(line) for line in lines])
    remark(footing(len(lines), limit))


def _row(line: HistoryLine) -> tuple[str, str, str, str]:
    from worker.cli.reports import way_on
    from worker.telling.words import HASH, deed, label, pairs, words

    action = line.action
    at = utc(line.said_at) or f"[{utc(action.created_at)}]"
    state = "" if line.said_at else f"[{action.state.value}] "
    episode = f"{label(line)}\npage {action.page}\n{pairs(line.group)}"
    tries = f"{line.attempts} attempts" if line.attempts > 1 else ""
    why = (action.cause, action.reason, _approved(action), tries, f"rule at {action.rule_hash[:HASH]}", way_on(action))
    return at, episode.strip(), f"{state}{deed(action)}\n{words(action.content)}".strip(), "\n".join(filter(None, why))


def _approved(action: Action) -> str:
    known = action.approved_by and not action.reason.endswith(action.approved_by)
    return f"approved by {action.approved_by}" if known else ""
