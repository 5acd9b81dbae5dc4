"""
A command without a worker: the step alone, on a ledger that is opened for an instant.
"""

from __future__ import annotations

from functools import cache

from worker.bootstrap import load_rules, rule_book, utc_now
from worker.core.commands import Command, Done
from worker.core.rulebook import RuleBook
from worker.ledger import open_ledger
from worker.settings import Settings
from worker.steps.command import Commands


def by_hand(settings: Settings, command: Command) -> Done:
    """
    Do a command.

    Raises:
        ConfigError: The ledger cannot be opened, or the rules that the command needs are wrong.
        LedgerLocked: Another process holds it.
        CommandRefused: The command makes no sense now.
        LedgerUnavailable: The ledger cannot be read or written now.
    """

    @cache
    def book() -> RuleBook:
        return rule_book(load_rules(settings.rules))

    ledger = open_ledger(settings.ledger, clock=utc_now)
    try:
        return Commands(switches=ledger, committer=ledger, book=book, clock=utc_now).run(command)
    finally:
        ledger.close()
