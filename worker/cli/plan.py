"""``plan``: what would the page have said with the changed rules?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import answer, document, remark
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, settings_of
from worker.errors import ConfigError

if TYPE_CHECKING:
    from worker.cli.planning import Plan
    from worker.core.model import Inbound
    from worker.core.ruleset import RuleSet

WARM_UP = timedelta(days=1)
"""So long before the time that is asked about webhooks are played, so that what fires then is known."""


class Form(StrEnum):
    """How a plan is written."""

    TEXT = "text"
    MARKDOWN = "markdown"


def plan(
    rules: Annotated[Path, typer.Option("--rules", metavar="DIR", help="The changed rules.", show_default=False)],
    present: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The rules in force; else STATUSBRIDGE_RULES, else ./rules.", show_default=False
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long back: 7d, 12h; or a time: 2026-11-23T10:00Z. Of a ledger: 7d."),
    ] = None,
    ledger: LedgerOption = None,
    payloads: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A folder of webhooks, <source>/<time>.json, instead of a ledger.", show_default=False
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="markdown: a comment for a pull request.")] = Form.TEXT,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where anything is different.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write the webhooks of the ledger to a folder, for --payloads.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """
    Play what came in through the rules in force and through changed ones, and show what the public would have read.

    Counts incidents, updates and mails before and after, and names every post that would be gone, new or different.
    Reads only, on a clock of its own; works while a worker runs. What people did meanwhile is not played.

    \b
    Examples:
      statusbridge plan --rules changed --since 7d
      statusbridge plan --rules rules --present ../main/rules --payloads recorded --format markdown

    Exit codes: 0 good; 1 something would be different (--exit-code); 2 rules, ledger or folder are wrong.
    """
    from worker.cli.planning import as_data, as_markdown, as_text

    settings = settings_of(rules=present, ledger=ledger)
    old, new = _both(settings.rules, rules)
    if payloads is not None:
        from worker.cli.recordings import from_folder

        found = from_folder(payloads)
        start = _since(since, found[-1].received_at) if since else found[0].received_at
        made = _planned(old, new, [found], start, f"{payloads}")
    else:
        made = _of_ledger(settings.ledger, old, new, since or "7d", save)
    if as_json:
        document(as_data(made))
    else:
        answer(as_markdown(made) if form is Form.MARKDOWN else as_text(made))
    if exit_code and made.comparison.changes:
        raise typer.Exit(NO)


def _both(present: Path, changed: Path) -> tuple[RuleSet, RuleSet]:
    """
    Load both sets.

    Raises:
        ConfigError: Either is wrong; all problems of both.
    """
    from worker.bootstrap import all_at_once, load_rules

    loaded: list[RuleSet] = []
    with all_at_once() as problems:
        for folder in (present, changed):
            with problems:
                loaded.append(load_rules(folder))
    old, new = loaded
    if old.hash == new.hash:
        remark(f"{present} and {changed} mean the same; name the rules in force with --present")
    return old, new


def _since(text: str, at: datetime) -> datetime:
    from worker.cli.reading import moment

    return moment("--since", text, at)


def _of_ledger(url: str, old: RuleSet, new: RuleSet, since: str, folder: Path | None) -> Plan:
    from worker.cli.reading import ledger_to_read, now
    from worker.cli.recordings import from_ledger

    start = _since(since, now())
    with ledger_to_read(url) as book:
        chunks = from_ledger(book, start - WARM_UP)
        return _planned(old, new, _saved(chunks, folder), start, "the ledger")


def _saved(chunks: Iterable[Sequence[Inbound]], folder: Path | None) -> Iterator[Sequence[Inbound]]:
    from worker.cli.recordings import save

    count = 0
    for chunk in chunks:
        if folder is not None:
            count += save(folder, chunk)
        yield chunk
    if folder is not None:
        remark(f"{count} webhooks written to {folder}")


def _planned(old: RuleSet, new: RuleSet, chunks: Iterable[Sequence[Inbound]], since: datetime, whence: str) -> Plan:
    from worker.bootstrap.rehearsal import stage_for
    from worker.cli.planning import Plan
    from worker.rehearse.plan import TAIL, Run, compare

    runs: list[Run] = []
    count, last = 0, since
    for chunk in chunks:
        if not runs:
            runs = [Run(stage_for(rules, chunk[0].received_at)) for rules in (old, new)]
        for run in runs:
            run.take(chunk)
        count += sum(inbound.received_at >= since for inbound in chunk)
        last = max(last, chunk[-1].received_at)
    if not runs:
        raise ConfigError(f"{whence} has no webhook since {since:%Y-%m-%d %H:%M} UTC; go further back with --since")
    for run in runs:
        run.end(last + TAIL)
    before, after = runs
    return Plan(
        comparison=compare(before, after, since),
        before=before,
        after=after,
        webhooks=count,
        since=since,
        until=last,
        hashes=(old.hash, new.hash),
    )
