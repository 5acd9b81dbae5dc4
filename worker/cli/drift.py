"""``drift``: is the page as the ledger believes it to be?"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import document, remark, table
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, RulesOption, settings_of
from worker.errors import ConfigError, ProviderUnavailable

if TYPE_CHECKING:
    from worker.core.drift import Drift


def drift(
    rules: RulesOption = None,
    ledger: LedgerOption = None,
    page: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this page; its name in the rules.", show_default=False)
    ] = None,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Also what ended since then: 2h, 30d; or a time: 2026-11-23T10:00Z (UTC)."),
    ] = "30d",
    as_json: JsonOption = False,
) -> None:
    """
    Compare every page with the ledger: what is lost, there twice, unexpected or changed.

    In all that is open, and in what was written to not too long ago. Reads the pages, changes nothing; works while a
    worker runs, which does the same every few minutes. What it does not judge: incidents that a person has taken over,
    and what was written a moment ago.

    \b
    Examples:
      statusbridge drift --rules rules
      statusbridge drift --page main --since 7d --json

    Exit codes: 0 no difference; 1 there are some, or a page cannot be read now; 2 there is no such page or ledger.
    """
    from worker.bootstrap import load_rules
    from worker.bootstrap.comparing import compare_page
    from worker.cli.reading import ledger_to_read, moment, now
    from worker.core.spelling import suggest

    settings = settings_of(rules=rules, ledger=ledger)
    known = load_rules(settings.rules)
    if page is not None and page not in known.pages:
        raise ConfigError(f"--page: the rules have no page `{page}`{suggest(page, known.pages, 'pages')}")
    start = moment("--since", since, now())
    found: dict[str, list[Drift]] = {}
    unread: dict[str, str] = {}
    with ledger_to_read(settings.ledger) as book:
        for name in [page] if page is not None else known.pages:
            try:
                found[name] = compare_page(known, name, book, start, os.environ)
            except ProviderUnavailable as unavailable:
                unread[name] = str(unavailable)
    _tell(found, unread, as_json=as_json)
    if unread or any(found.values()):
        raise typer.Exit(NO)


def _tell(found: dict[str, list[Drift]], unread: dict[str, str], *, as_json: bool) -> None:
    from worker.telling.data import drift_data

    rows = [(name, each) for name, drifts in found.items() for each in drifts]
    if as_json:
        pages = [*({"page": name, "read": True} for name in found), *({"page": name, "read": False} for name in unread)]
        document({"pages": pages, "drift": [asdict(drift_data(name, each)) for name, each in rows]})
    elif rows:
        styles = {"lost": "bold red", "duplicate": "bold red", "unexpected": "bold red", "changed": "yellow"}
        cells = [(each.kind.value, name, each.subject or "–", each.remote_id, each.text) for name, each in rows]
        table(("", "PAGE", "EPISODE OR WINDOW", "ON THE PAGE", "WHAT"), cells, styles)
    for name, why in unread.items():
        remark(f"page `{name}` was not compared: {why}")
    for name in found:
        count = sum(each == name for each, _ in rows)
        remark(f"page `{name}`: {count or 'no'} difference{'' if count == 1 else 's'}")
