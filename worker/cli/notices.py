"""``notices``: what the worker has told its team."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from worker.cli.console import document, remark, table, utc
from worker.cli.options import JsonOption, LedgerOption, LimitOption, SinceOption, settings_of


class Loud(StrEnum):
    """How loud a notice is, at least."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def notices(
    severity: Annotated[Loud, typer.Option(help="Only these and louder ones.")] = Loud.INFO,
    since: SinceOption = None,
    limit: LimitOption = 50,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what the worker has told its team.

    The newest first: what is held, parked or awaits approval, rules that failed, pages that are not as the rules say.
    Works while a worker runs. Times are UTC.

    \b
    Examples:
      statusbridge notices --severity error --since 1d
      statusbridge notices --json

    Exit codes: 0 good; 2 there is no such ledger.
    """
    from worker.cli.reading import ledger_to_read, moment, now
    from worker.cli.reports import footing
    from worker.core.model import Severity
    from worker.telling.data import notice_data

    start = moment("--since", since, now()) if since else None
    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        found = book.notices(limit, since=start, severity=Severity[severity.name])
    if as_json:
        document({"notices": [asdict(notice_data(*each)) for each in found]})
        return
    if found:
        styles = {Loud.ERROR.value: "bold red", Loud.WARNING.value: "yellow"}
        rows = [(utc(at), n.severity.name.lower(), n.code, n.subject, n.text) for at, n in found]
        table(("UTC", "SEVERITY", "CODE", "ABOUT", "TEXT"), rows, styles)
    remark(footing(len(found), limit))
