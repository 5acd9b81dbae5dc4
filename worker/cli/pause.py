"""``pause`` and ``resume``: the emergency switch."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Annotated

import typer

from worker.cli.asking import LOOK_S, ByOption, ask
from worker.cli.console import answer, remark
from worker.cli.options import LedgerOption, RulesOption, settings_of

WAIT_S = 1.0
"""How long to wait for what was on its way already."""

PageOption = Annotated[str, typer.Option("--page", metavar="NAME", help="Only this page. Default: all.")]


def pause(
    page: PageOption = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the others.", show_default=False)] = "",
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Let nothing be written to a page, at once and until `resume`.

    Webhooks are still taken, and everything is still decided: what is true then is posted after `resume`. Survives
    restarts; needs no running worker. What was on its way already is waited for, and told where it may still arrive.

    \b
    Examples:
      statusbridge pause --reason "the new rule is wrong"
      statusbridge pause --page main
      statusbridge history                                  what waits?

    Exit codes: 0 nothing is written from now on; 1 it could not be done now; 2 there is no such ledger.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    done = ask(settings, "pause", by, page=page, reason=reason)
    for line in done.said:
        answer(line)
    for action in _still(settings.ledger, done.sending):
        remark(f"on its way already, and may still arrive: {action}")


def _still(ledger: str, sending: Collection[str]) -> list[str]:
    """Wait for what was on its way; give what still is."""
    from worker.cli.reading import ledger_to_read

    left, until = sorted(sending), time.monotonic() + WAIT_S
    if left:
        with ledger_to_read(ledger) as book:
            while (left := [each for each in book.sending() if each in sending]) and time.monotonic() < until:
                time.sleep(LOOK_S)
    return left


def resume(page: PageOption = "", by: ByOption = None, rules: RulesOption = None, ledger: LedgerOption = None) -> None:
    """
    Let pages be written to again after `pause`.

    \b
    Examples:
      statusbridge resume
      statusbridge resume --page main

    Exit codes: 0 good, also where nothing was paused; 1 refused, or not possible now; 2 there is no such ledger.
    """
    for line in ask(settings_of(rules=rules, ledger=ledger), "resume", by, page=page).said:
        answer(line)
