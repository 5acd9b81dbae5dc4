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
    Rehearse an alert storm and a planned change against a page on this machine.

    Starts a page to rehearse on and a real worker, on free ports and with a throw-away ledger, lets time run 150 times
    as fast, and posts a blip, a storm of 200 alerts and their end; then a change ticket, and alerts about what is
    worked on. Nothing leaves this machine.

    \b
    Example:
      statusbridge demo
      statusbridge demo --keep     look at the page and its history afterwards

    Exit codes: 0 the page told the truth, once; 1 it did not.
    """
    from worker.cli import acts
    from worker.cli.rehearsal import stage

    with stage(rules or Path("rules"), keep=keep, tell=_tell) as on:
        storm = acts.storm(on)
        answer(
            f"\n{storm['notifications']} notifications in, {_many(storm['incidents'], 'incident')}, "
            f"{_many(storm['updates'], 'update')}, {_many(storm['duplicates'], 'duplicate')}\n"
        )
        good = storm["incidents"] == 1 and not storm["duplicates"]
        if acts.SOURCE in on.sources:
            change = acts.change(on)
            answer(
                f"\n{_many(change['windows'], 'maintenance window')}: announced, reminded, started, completed; "
                f"{change['alerts']} alerts meanwhile, {_many(change['during'], 'incident')} during it, "
                f"{change['after']} after it"
            )
            good &= (change["windows"], change["posts"], change["during"], change["after"]) == (1, 4, 0, 1)
    if not good:
        raise typer.Exit(1)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _tell(when: str, who: str, what: str) -> None:
    coloured = typer.style(f"{who:<6}", fg=COLOURS.get(who)) if sys.stdout.isatty() else f"{who:<6}"
    typer.echo(f"{when:>5}  {coloured} {clean(what)}")
