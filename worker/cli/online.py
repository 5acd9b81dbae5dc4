"""What only secrets and the network can tell of a rules directory: are the secrets here, do the pages answer?"""

from __future__ import annotations

import os
from dataclasses import dataclass

from worker.core.model import Directory
from worker.core.ruleset import RuleSet
from worker.errors import ConfigError, Problem, ProviderUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    What a page answered.

    Args:
        page: Our name of it.
        directory: The page as resolved; None where it could not be.
        problems: What is wrong in the rules or with the key.
        unavailable: Why it could not be read, or "".
        notes: What is worth knowing about the components, one sentence each.
    """

    page: str
    directory: Directory | None = None
    problems: tuple[Problem, ...] = ()
    unavailable: str = ""
    notes: tuple[str, ...] = ()


def secret_problems(rules: RuleSet) -> list[Problem]:
    """Name every secret that is not here."""
    from worker.rules_dir import resolve_secret, secret_refs

    problems: list[Problem] = []
    for ref in secret_refs(rules):
        try:
            resolve_secret(ref, os.environ)
        except ConfigError as missing:
            problems += missing.problems
    return problems


def look(rules: RuleSet) -> list[Look]:
    """Ask every page for its components; reads only."""
    return [_look(rules, name) for name in rules.pages]


def _look(rules: RuleSet, name: str) -> Look:
    from worker.bootstrap import provider_for, utc_now

    try:
        provider = provider_for(rules.pages[name], os.environ, utc_now)
        directory = provider.directory()
        notes = tuple(getattr(provider, "notes", ()))
        return Look(page=name, directory=directory, problems=tuple(directory.missing.values()), notes=notes)
    except ConfigError as wrong:
        return Look(page=name, problems=wrong.problems)
    except ProviderUnavailable as unavailable:
        return Look(page=name, unavailable=str(unavailable))
