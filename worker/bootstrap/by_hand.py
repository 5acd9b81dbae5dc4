"""
A command without a worker: the step alone, on a ledger that is opened for an instant.
"""

from __future__ import annotations

import os
from functools import cache

from worker.bootstrap import load_rules, provider_for, rule_book, utc_now
from worker.core.commands import Command, Done
from worker.core.rulebook import RuleBook
from worker.ledger import open_ledger
from worker.settings import Settings
from worker.steps.command import Commands
from worker.telemetry import PrometheusMeter


def by_hand(settings: Settings, command: Command) -> Done:
    """
    Do a command.

    Raises:
        ConfigError: The ledger cannot be opened, or the rules that the command needs are wrong.
        LedgerLocked: Another process holds it.
        CommandRefused: The command makes no sense now.
        ProviderUnavailable: A page would have to be read first, and cannot be.
        LedgerUnavailable: The ledger cannot be read or written now.
    """

    @cache
    def book() -> RuleBook:
        return rule_book(load_rules(settings.rules))

    ledger = open_ledger(settings.ledger, clock=utc_now)
    commands = Commands(
        episodes=ledger,
        windows=ledger,
        footprints=ledger,
        switches=ledger,
        queries=ledger,
        committer=ledger,
        book=book,
        provider=lambda page: provider_for(book().rules.pages[page], os.environ, utc_now),
        clock=utc_now,
        meter=PrometheusMeter(),
    )
    try:
        return commands.run(command)
    finally:
        ledger.close()
