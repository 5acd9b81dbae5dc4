"""Pages held against a ledger that is only read; a worker may be running on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from worker.bootstrap import provider_for, utc_now
from worker.core.drift import Drift
from worker.core.ruleset import RuleSet
from worker.ledger import Ledger
from worker.ports import Channel
from worker.steps.observe import compare


def compare_page(rules: RuleSet, page: str, ledger: Ledger, since: datetime, environ: Mapping[str, str]) -> list[Drift]:
    """
    Compare one page with the ledger, in all that is open or was written to after *since*.

    Raises:
        ConfigError: The page's secret is missing, or a name of ours points nowhere.
        ProviderUnavailable: The page could not be read.
        LedgerUnavailable: The ledger could not be read.
    """
    provider = provider_for(rules.pages[page], environ, utc_now)
    channel = Channel(provider, provider.directory, rules.pages[page].settle)
    return compare(page, channel, ledger, rules, since, utc_now)
