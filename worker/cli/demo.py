"""``demo``: an alert storm against a local page, told as it happens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.console import answer, clean
from worker.cli.options import RulesOption

COLOURS = {"in": typer.colors.YELLOW, "page": typer.colors.GREEN}


def demo(
    rules: RulesOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, and print the addresses.")] = False,
) -> None:
    """
    Rehearse an alert storm against a page on this machine.

    Starts a page to rehearse on and a real worker, on free ports and with a throw-away ledger, lets time run 150 times
    as fast, and posts a blip, a storm of 200 alerts and their end. Nothing leaves this machine.

    \b
    Example:
      statusbridge demo
      statusbridge demo --keep     look at the page and its history afterwards

    Exit codes: 0 the page told the truth, once; 1 it did not.
    """
    from worker.cli.rehearsal import rehearse

    counts = rehearse(rules or Path("rules"), keep=keep, tell=_tell)
    answer("")
    answer(
        f"{counts['notifications']} notifications in, {_many(counts['incidents'], 'incident')}, "
        f"{_many(counts['updates'], 'update')}, {_many(counts['duplicates'], 'duplicate')}"
    )
    if counts["incidents"] != 1 or counts["duplicates"]:
        raise typer.Exit(1)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _tell(when: str, who: str, what: str) -> None:
    coloured = typer.style(f"{who:<6}", fg=COLOURS.get(who)) if sys.stdout.isatty() else f"{who:<6}"
    typer.echo(f"{when:>5}  {coloured} {clean(what)}")
