"""``history``: what did the page get, when and why?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import document, remark, table, utc
from worker.cli.options import JsonOption, LedgerOption, settings_of

if TYPE_CHECKING:
    from worker.ports import HistoryLine


def history(
    page: Annotated[str, typer.Option(metavar="NAME", help="Only this page.", show_default=False)] = "",
    rule: Annotated[str, typer.Option(metavar="ID", help="Only this rule.", show_default=False)] = "",
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long back: 90s, 30m, 2h, 7d; or a time: 2026-11-23T10:00Z (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=100_000, help="How many at most.")] = 50,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what the pages got, when and why.

    The newest first; also what still waits. Works while a worker runs. Times are UTC; a time in brackets is that of the
    decision: the page has not got it (yet).

    \b
    Examples:
      statusbridge history --since 2h
      statusbridge history --page main --rule checkout-outage --json
      statusbridge show checkout-outage#3     everything about one of them

    Exit codes: 0 good; 2 there is no such ledger.
    """
    from worker.cli.reading import ledger_to_read, moment, now
    from worker.cli.reports import line_data

    start = moment("--since", since, now()) if since else None
    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        lines = book.history(page=page, rule_id=rule, since=start, limit=limit)
    if as_json:
        document({"actions": [line_data(line) for line in lines]})
        return
    if lines:
        table(("UTC", "EPISODE", "THE PAGE GOT", "WHY"), [_row(line) for line in lines])
    remark(_footing(len(lines), limit))


def _row(line: HistoryLine) -> tuple[str, str, str, str]:
    from worker.cli.reports import HASH, deed, label, pairs, words

    action = line.action
    at = utc(line.said_at) or f"[{utc(action.created_at)}]"
    state = "" if line.said_at else f"[{action.state.value}] "
    episode = f"{label(line)}\npage {action.page}\n{pairs(line.group)}"
    tries = f"{line.attempts} attempts" if line.attempts > 1 else ""
    why = (action.cause, action.reason, tries, f"rule at {action.rule_hash[:HASH]}")
    return at, episode.strip(), f"{state}{deed(action)}\n{words(action.content)}".strip(), "\n".join(filter(None, why))


def _footing(shown: int, limit: int) -> str:
    if not shown:
        return "nothing yet that fits"
    return f"the newest {limit}; there may be more: --limit" if shown == limit else f"{shown} in all"
