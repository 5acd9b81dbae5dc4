"""``notices``: what the worker has told its team."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.console import answer, document, remark, table, utc
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, LimitOption, RulesOption, SinceOption, settings_of


class Loud(StrEnum):
    """How loud a notice is, at least."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def notices(
    test: Annotated[
        bool,
        typer.Option("--test", help="Tell every receiver of the rules something now, and say which have taken it."),
    ] = False,
    rules: RulesOption = None,
    severity: Annotated[Loud, typer.Option(help="Only these and louder ones.")] = Loud.INFO,
    since: SinceOption = None,
    limit: LimitOption = 50,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what the worker has told its team.

    The newest first: what is held, parked or awaits approval, rules that failed, pages that are not as the rules say.
    Works while a worker runs. Times are UTC. With --test, the receivers under `notices:` in the rules are tried.

    \b
    Examples:
      statusbridge notices --severity error --since 1d
      statusbridge notices --test --rules /etc/statusbridge/rules
      statusbridge notices --json

    Exit codes: 0 good; 1 a receiver did not take the trial; 2 there is no such ledger, or the rules are wrong.
    """
    if test:
        _try_out(settings_of(rules=rules).rules)
        return
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


def _try_out(directory: Path) -> None:
    """Tell every receiver something, and let every heart beat once."""
    from worker.bootstrap import load_rules, utc_now
    from worker.bootstrap.notifying import receivers
    from worker.core.model import Notice, Severity
    from worker.ports import Told

    found = receivers(load_rules(directory), os.environ, utc_now)
    notice = Notice(code="trial", subject="statusbridge", text="a trial: notices arrive here", severity=Severity.INFO)
    told = [Told(at=utc_now(), notice=notice)]
    tried = {
        **{repr(each.receiver): each.receiver.tell(told, 0) for each in found.targets.values()},
        **{repr(heart): heart.beat() for heart, _ in found.hearts},
    }
    for name, receipt in tried.items():
        answer(f"{name}: {'taken' if receipt.taken else receipt.detail}")
    if not tried:
        remark("the rules have no `notices:`")
    if not all(receipt.taken for receipt in tried.values()):
        raise typer.Exit(NO)
