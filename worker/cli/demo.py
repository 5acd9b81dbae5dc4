"""``demo``: an alert storm against a local page, told as it happens."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.console import answer, clean, remark
from worker.cli.failures import NO
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

    Other rules than those that come along need a source of kind alertmanager, and a rule that opens an incident for
    the labels `service: checkout` and `severity: warning`. Their pages, secrets and `publish` are replaced.

    Exit codes: 0 the page told the truth, once; 1 it did not; 2 the rules are wrong, or not for what is played.
    """
    from worker.cli import acts
    from worker.cli.rehearsal import stage

    try:
        with stage(rules or Path("rules"), keep=keep, tell=_tell) as on:
            good = _storm(acts.storm(on))
            if acts.knows_changes(on):
                good &= _change(acts.change(on))
    except TimeoutError as late:
        remark(f"{late}; the story is that of the rules that come with statusbridge: others may tell another")
        good = False
    if not good:
        raise typer.Exit(NO)


def _storm(found: Mapping[str, int]) -> bool:
    """Tell what came of the storm; say whether it was told once."""
    answer(
        f"\n{found['notifications']} notifications in, {_many(found['incidents'], 'incident')}, "
        f"{_many(found['updates'], 'update')}, {_many(found['duplicates'], 'duplicate')}\n"
    )
    return found["incidents"] == 1 and not found["duplicates"]


def _change(found: Mapping[str, int]) -> bool:
    """Tell what came of the planned change; say whether it was told as it should be."""
    answer(
        f"\n{_many(found['windows'], 'maintenance window')}: announced, reminded, started, completed; "
        f"{found['alerts']} alerts meanwhile, {_many(found['during'], 'incident')} during it, "
        f"{found['after']} after it"
    )
    return (found["windows"], found["posts"], found["during"], found["after"]) == (1, 4, 0, 1)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _tell(when: str, who: str, what: str) -> None:
    coloured = typer.style(f"{who:<6}", fg=COLOURS.get(who)) if sys.stdout.isatty() else f"{who:<6}"
    typer.echo(f"{when:>5}  {coloured} {clean(what)}")
