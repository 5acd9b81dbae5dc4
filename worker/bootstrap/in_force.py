"""
A set of rules in use, with all that follows from it: how sources are read, which pages can be written to.

It is made whole or not at all, and swapped whole: whoever works looks here anew, and never sees half of another set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from worker.bootstrap import all_at_once, endpoints, key_of, providers, rule_book
from worker.bootstrap.notifying import Receivers, receivers
from worker.bootstrap.pages import PageDirectory
from worker.core.model import Notice
from worker.core.rulebook import RuleBook
from worker.core.ruleset import PageConfig, RuleSet
from worker.ports import Channel, Clock
from worker.steps.intake import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """
    Args:
        rules: The set.
        book: The same, to be asked.
        directories: Page to what is known of it.
        keys: Page to its secret.
        receivers: Of notices.
    """

    rules: RuleSet
    book: RuleBook
    endpoints: Mapping[str, Endpoint]
    directories: Mapping[str, PageDirectory]
    channels: Mapping[str, Channel]
    keys: Mapping[str, str] = field(repr=False)
    receivers: Receivers


def in_force(
    rules: RuleSet,
    environ: Mapping[str, str],
    clock: Clock,
    tell: Callable[[Notice], None],
    before: InForce | None = None,
) -> InForce:
    """
    Make a set ready to be used.

    Args:
        environ: Where secrets are looked up.
        tell: Takes what the team has to know of a page.
        before: What is in force now: pages that have not changed are taken over, with what is known of them.

    Raises:
        ConfigError: Secrets are missing; all of them at once.
    """
    with all_at_once() as problems:
        with problems:
            read = endpoints(rules, environ)
        with problems:
            clients = providers(rules, environ, clock)
        with problems:
            told = receivers(rules, environ, clock)
    keys = {name: key_of(page, environ) for name, page in rules.pages.items()}
    directories: dict[str, PageDirectory] = {}
    channels: dict[str, Channel] = {}
    for name, page in rules.pages.items():
        if before is not None and keys[name] == before.keys.get(name) and _same(page, before.rules.pages.get(name)):
            directories[name], channels[name] = before.directories[name], before.channels[name]
            continue
        directories[name] = PageDirectory(name, clients[name], clock, tell)
        channels[name] = Channel(clients[name], directories[name], page.settle)
    return InForce(
        rules=rules,
        book=rule_book(rules),
        endpoints=read,
        directories=directories,
        channels=channels,
        keys=keys,
        receivers=told,
    )


def _same(page: PageConfig, other: PageConfig | None) -> bool:
    """Whether two pages mean the same, wherever in the files they stand."""
    return other is not None and meant(page) == meant(other)


def meant(page: PageConfig) -> PageConfig:
    """Leave out where a page, its components and its secret stand."""
    components = {name: replace(ref, place="") for name, ref in page.components.items()}
    key = replace(page.api_key, place="") if page.api_key is not None else None
    return replace(page, place="", components=components, api_key=key)
