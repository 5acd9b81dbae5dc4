"""
The only place where concrete classes meet.

This file composes what reads rules and talks to pages, and is quick to load; ``worker.bootstrap.worker`` puts the whole
pipeline together.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from worker import rules_dir
from worker.core.rulebook import RuleBook
from worker.core.rules import SourceFacts, compile_entry, compile_spec
from worker.core.ruleset import PageConfig, RuleSet
from worker.errors import ConfigError
from worker.ports import Clock, Provider
from worker.providers import PROVIDERS
from worker.sources import SOURCES
from worker.steps.intake import Endpoint

# Conditions ask the C library for time zones; slim systems have none but the package's.
os.environ.setdefault("TZDIR", str(files("tzdata") / "zoneinfo"))


def utc_now() -> datetime:
    """Give the time: aware, UTC. The worker's only clock."""
    return datetime.now(UTC)


def source_facts() -> Mapping[str, SourceFacts]:
    """Tell the rules loader what each kind of source can do; a kind's mapping is read only if a rule file names it."""
    return SOURCES


def load_rules(directory: Path) -> RuleSet:
    """
    Load a rules directory; needs no secret and no network.

    Raises:
        ConfigError: All problems at once.
    """
    return rules_dir.load_directory(directory, source_facts(), PROVIDERS.keys())


def rule_book(rules: RuleSet) -> RuleBook:
    """Put a loaded set in use."""
    return RuleBook(rules, compile_spec, compile_entry)


def endpoints(rules: RuleSet, environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """
    Resolve the secrets of every source.

    Raises:
        ConfigError: Secrets are missing; all of them at once.
    """
    found: dict[str, Endpoint] = {}
    with all_at_once() as problems:
        for name, config in rules.sources.items():
            with problems:
                secrets = tuple(rules_dir.resolve_secret(ref, environ) for ref in config.auth.secrets)
                found[name] = Endpoint(config, SOURCES[config.kind], secrets)
    return found


def provider_for(page: PageConfig, environ: Mapping[str, str], clock: Clock) -> Provider:
    """
    Make the client of a page.

    Raises:
        ConfigError: Its secret is missing.
    """
    return PROVIDERS[page.provider](page, key_of(page, environ), clock)


def key_of(page: PageConfig, environ: Mapping[str, str]) -> str:
    """
    Give the secret of a page; "" where it needs none.

    Raises:
        ConfigError: It is missing.
    """
    return rules_dir.resolve_secret(page.api_key, environ) if page.api_key else ""


def providers(rules: RuleSet, environ: Mapping[str, str], clock: Clock) -> dict[str, Provider]:
    """
    Make the clients of all pages.

    Raises:
        ConfigError: Secrets are missing; all of them at once.
    """
    found: dict[str, Provider] = {}
    with all_at_once() as problems:
        for name, page in rules.pages.items():
            with problems:
                found[name] = provider_for(page, environ, clock)
    return found


class _Problems(contextlib.AbstractContextManager["_Problems"]):
    """Collects the ConfigErrors of its inner blocks."""

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ConfigError):
            self.found.append(error)
            return True
        return False


@contextlib.contextmanager
def all_at_once() -> Iterator[_Problems]:
    """Run several things, each in a ``with`` of what this gives, and raise all their ConfigErrors as one."""
    problems = _Problems()
    yield problems
    if problems.found:
        raise ConfigError([problem for error in problems.found for problem in error.problems])


def run_file_of(ledger_url: str) -> Path | None:
    """Name the file that tells where the worker of a ledger listens; None for a ledger that is no file."""
    prefix = "sqlite:///"
    return Path(ledger_url.removeprefix(prefix) + ".run") if ledger_url.startswith(prefix) else None
