"""``doctor``: is everything here that a worker needs?"""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.console import document, table
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, RulesOption


def doctor(
    rules: RulesOption = None,
    ledger: LedgerOption = None,
    online: Annotated[bool, typer.Option("--online", help="Also ask every page. Writes nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """
    Check everything that a worker needs.

    And name the way out of what is wrong: Python, SQLite, the ledger and who holds it, rules, secrets (by name only),
    time zones, disk space, file modes. Changes nothing; works while a worker runs.

    \b
    Examples:
      statusbridge doctor --rules rules
      statusbridge doctor --rules /etc/statusbridge/rules --ledger sqlite:////var/lib/statusbridge/ledger.db --online

    Exit codes: 0 nothing failed (warnings may be there); 1 something failed.
    """
    from worker.cli.checkup import Verdict, examine

    findings = examine(rules, ledger, online)
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if as_json:
        document({"ok": not failed, "checks": [finding.as_data() for finding in findings]})
    else:
        styles = {Verdict.OK.value: "green", Verdict.WARN.value: "yellow", Verdict.FAIL.value: "bold red"}
        rows = [(f.verdict.value, f.name, f"{f.text}\n→ {f.way_out}" if f.way_out else f.text) for f in findings]
        table(("", "CHECK", "FOUND"), rows, styles)
    raise typer.Exit(NO if failed else 0)
