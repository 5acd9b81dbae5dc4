"""
Names that entries use of each other: whether they exist, and whether they fit together.

What belongs here: everything that is wrong only in view of the rest of the set. Form is checked before; what is merely
odd is found by ``core.advice``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from worker.core.documents import Path
from worker.core.spec.file import PLANS, RuleSpec
from worker.core.spec.maintenance import WindowCommon
from worker.core.spec.matches import Match
from worker.core.spec.plans import ChosenComponent, IncidentSpec, RelaySpec
from worker.core.spec.sources import AuthSpec, SourceSpec
from worker.core.spelling import listed, suggest
from worker.core.templates import BUILT_IN_WORDS
from worker.core.written import Entry, Report

MAPPED_KIND = "json"
"""The kind of source that reads events by a mapping in the rules directory."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """
    What is known of a kind of source.

    Args:
        schemes: Authentication schemes that it can be configured with.
        event_kinds: Every kind of event that it may make; empty: any.
    """

    schemes: frozenset[str]
    event_kinds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """
    Every name that may be referred to, also those of entries that are wrong in themselves.

    Args:
        pages: Page to its components.
        sources: Source to its kind.
        kinds: Kind of source to what is known of it.
        rules: Rule to whether it has episodes.
        renamed: Former id of a rule to its id.
    """

    pages: Mapping[str, Collection[str]]
    sources: Mapping[str, str]
    kinds: Mapping[str, SourceFacts]
    providers: Collection[str]
    rules: Mapping[str, bool]
    renamed: Mapping[str, str] = field(default_factory=dict)


def entry_name(entry: Entry) -> str | None:
    """Give the id of an entry of a list, whether or not the rest of it is right."""
    name = entry.data.get("id") if isinstance(entry.data, dict) else None
    return name if isinstance(name, str) else None


def has_episodes(entry: Entry) -> bool:
    """Whether a rule, right or not, opens incidents."""
    return isinstance(entry.data, dict) and any(plan in entry.data for plan in PLANS if plan != "maintenance")


def auth_scheme(source: SourceSpec) -> str:
    """Name the scheme that a source is configured with."""
    return next(iter(source.auth.model_fields_set)) if isinstance(source.auth, AuthSpec) else "none"


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks the names in one entry against all that are known."""

    entry: Entry
    known: Known
    report: Report

    def source(self, source: SourceSpec) -> None:
        """Check a source's kind, and that its scheme and mapping fit the kind."""
        facts = self.known.kinds.get(source.kind)
        if facts is None:
            self._wrong(
                ("kind",), f"unknown kind of source `{source.kind}`{suggest(source.kind, self.known.kinds, 'there is')}"
            )
            return
        if (scheme := auth_scheme(source)) not in facts.schemes:
            choices = listed(facts.schemes)
            self._wrong(
                ("auth",), f"a source of kind `{source.kind}` cannot have `{scheme}` here; it can have {choices}"
            )
        if source.kind == MAPPED_KIND and source.event is None:
            self._wrong_key((), f"`event` is missing in {self.entry.label}: it says how events are read out of a body")
        if source.kind != MAPPED_KIND and source.event is not None:
            self._wrong_key(("event",), f"`event` is for sources of kind `{MAPPED_KIND}` only; remove it")
        if source.canary is not None:
            self._match(source.canary.match, ("canary", "match"), [str(self.entry.path[-1])])

    def rule(self, rule: RuleSpec) -> None:
        """Check every name that a rule uses."""
        self._sources(rule.source or (), ("source",))
        self._match(rule.match, ("match",), rule.source)
        self._words(rule)
        if rule.maintenance is not None:
            self.window(rule.maintenance, ("maintenance",))
        if rule.incident is not None:
            self._plan(rule.incident, "incident")
            self._yields(rule.id, rule.incident.yield_to)
        if rule.relay is not None:
            self._plan(rule.relay, "relay")
            self._ends(rule.relay)

    def window(self, window: WindowCommon, loc: Path = ()) -> None:
        """Check every name that a maintenance window uses."""
        self._components(window.components, (*loc, "components"), self._pages(window.page, (*loc, "page")))
        if window.overrun is not None:
            condition, inner = window.overrun.while_, (*loc, "overrun", "while")
            self._sources(condition.source or (), (*inner, "source"))
            self._match(condition.match, (*inner, "match"), condition.source)

    def _wrong(self, loc: Path, message: str) -> None:
        self.report.wrong(self.entry.value(loc), message)

    def _wrong_key(self, loc: Path, message: str) -> None:
        self.report.wrong(self.entry.key(loc), message)

    def _sources(self, names: Sequence[str], loc: Path) -> None:
        for index, name in enumerate(names):
            if name not in self.known.sources:
                hint = suggest(name, self.known.sources, "there is")
                self._wrong((*loc, index), f"unknown source `{name}`{hint}")

    def _plan(self, plan: IncidentSpec | RelaySpec, name: str) -> None:
        pages = self._pages(plan.page, (name, "page"))
        if not isinstance(plan.components, ChosenComponent):
            self._components(plan.components, (name, "components"), pages)

    def _pages(self, names: Sequence[str], loc: Path) -> list[str]:
        """Give those of the pages that are known."""
        for index, name in enumerate(names):
            if name not in self.known.pages:
                self._wrong((*loc, index), f"unknown page `{name}`{suggest(name, self.known.pages, 'there is')}")
            elif name in names[:index]:
                self._wrong((*loc, index), f"page `{name}` is named twice")
        return [name for name in names if name in self.known.pages]

    def _components(self, names: Iterable[str], loc: Path, pages: Sequence[str]) -> None:
        for index, name in enumerate(names):
            for page in pages:
                if name not in self.known.pages[page]:
                    hint = suggest(name, self.known.pages[page], "it has")
                    # A map has them as keys, a list as items.
                    self._wrong_key((*loc, name, index), f"unknown component `{name}` on page `{page}`{hint}")

    def _match(self, match: Match, loc: Path, sources: Sequence[str] | None) -> None:
        known = [self.known.sources.get(name, "") for name in sources or self.known.sources]
        kinds = [self.known.kinds[kind].event_kinds for kind in known if kind in self.known.kinds]
        if kinds and all(kinds):
            every: frozenset[str] = frozenset().union(*kinds)
            self._values(match, (*loc, "kind"), every, "no source asked here makes events of kind")
        self._values(match, (*loc, "source"), self.known.sources, "unknown source")

    def _values(self, match: Match, loc: Path, allowed: Collection[str], wrong: str) -> None:
        value = match.get(str(loc[-1]))
        for index, text in enumerate((value.in_ or value.not_ or ()) if value else ()):
            if text not in allowed:
                self._wrong((*loc, "in", "not", index), f"{wrong} `{text}`{suggest(text, allowed, 'there is')}")

    def _words(self, rule: RuleSpec) -> None:
        for section, names in (("group_by", rule.group_by), ("vars", rule.vars)):
            for name in BUILT_IN_WORDS.intersection(names):
                self._wrong_key((section, name), f"`{name}` is a word that every text has already; choose another name")
        for name in rule.vars.keys() & rule.group_by.keys():
            self._wrong_key(("vars", name), f"`{name}` is a name in `group_by` already; choose another name")

    def _yields(self, own: str, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if message := self._no_target(own, name):
                self._wrong(("incident", "yield_to", index), message)

    def _no_target(self, own: str, name: str) -> str:
        if name == own:
            return "a rule cannot yield to itself"
        if name not in self.known.rules and name in self.known.renamed:
            return f"rule `{name}` is now called `{self.known.renamed[name]}`"
        if name not in self.known.rules:
            return f"unknown rule `{name}`{suggest(name, self.known.rules, 'there is')}"
        return "" if self.known.rules[name] else f"rule `{name}` opens no incidents, so there is nothing to yield to"

    def _ends(self, relay: RelaySpec) -> None:
        if not relay.resolve_on:
            self._wrong(("relay", "resolve_on"), "`resolve_on` needs at least one category, or incidents never end")
        for category in relay.resolve:
            if category not in (*relay.resolve_on, "*"):
                hint = suggest(category, relay.resolve_on, "it has")
                self._wrong_key(
                    ("relay", "resolve", category), f"the category `{category}` is not in `resolve_on`{hint}"
                )
        silent = [category for category in relay.resolve_on if category not in relay.resolve]
        if silent and "*" not in relay.resolve:
            self._wrong_key(("relay", "resolve"), f'`resolve` has no text for {listed(silent)}; add it, or one for "*"')


# --- the set as a whole


def check_renamed(rules: Sequence[tuple[Entry, RuleSpec]], known: Known, report: Report) -> None:
    """Check that no two rules claim one former id, and that no former id is in use."""
    owners: dict[str, str] = {}
    for entry, rule in rules:
        if rule.was is None:
            continue
        if rule.was in known.rules:
            why = "that is its id now" if rule.was == rule.id else f"there still is a rule `{rule.was}`"
            report.wrong(entry.value(("was",)), f"`was: {rule.was}` cannot be: {why}")
        elif owners.setdefault(rule.was, rule.id) != rule.id:
            report.wrong(entry.value(("was",)), f"`was: {rule.was}` is said by rule `{owners[rule.was]}` already")


def check_circles(rules: Sequence[tuple[Entry, RuleSpec]], report: Report) -> None:
    """Check that no rules yield to each other in a circle."""
    entries = {rule.id: entry for entry, rule in rules}
    targets = {rule.id: rule.incident.yield_to if rule.incident else () for _, rule in rules}
    for circle in _circles(targets):
        path = " yields to ".join(f"`{name}`" for name in circle)
        report.wrong(entries[circle[0]].value(("incident", "yield_to")), f"{path}: none of them would ever open")


def _circles(targets: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Walk every rule once, depth first; a way back to a rule above is a circle."""
    done: set[str] = set()
    for start in targets:
        above = {} if start in done else {start: iter(targets[start])}
        while above:
            here = next(reversed(above))
            name = next(above[here], None)
            if name is None:
                done.add(here)
                del above[here]
            elif name in above and name != here:
                trail = list(above)
                yield [*trail[trail.index(name) :], name]
            elif name in targets and name not in done and name != here:
                above[name] = iter(targets[name])
