"""
Names that entries use of each other: whether they exist, and whether they fit together.

What belongs here: everything that is wrong only in view of the rest of the set. Form is checked before; what is merely
odd is found by ``core.advice``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker.core.documents import Path
from worker.core.spec.file import PLANS, RuleSpec
from worker.core.spec.scalars import shown
from worker.core.spec.sources import AuthSpec
from worker.core.spelling import did_you_mean, listed, suggest
from worker.core.templates import BUILT_IN_WORDS
from worker.core.written import Entry, Report

_NEEDED = {"hmac": "header", "header": "name"}
"""Scheme to the option that must be written unless the kind of source knows it."""
SCHEMES = (*AuthSpec.model_fields, "none")
"""Every way to prove a request authentic that the file format knows."""


class SourceFacts(Protocol):
    """
    What is known of a kind of source.

    Attributes:
        schemes: Authentication schemes that it can be configured with, and what it knows of their options itself.
        event_kinds: Every kind of event that it may make; empty: any, for a mapping in the rules directory says how
            it reads them.
    """

    @property
    def schemes(self) -> Mapping[str, Mapping[str, str]]: ...
    @property
    def event_kinds(self) -> frozenset[str]: ...


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


def find(data: Any, *path: str | int) -> Any:
    """Give what stands at *path*; None where there is nothing."""
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return None
        data = data[part]
    return data


def names_in(value: Any) -> list[str]:
    """Give the names that a text, a list or a map's keys hold, whatever form was right there."""
    if isinstance(value, str):
        return [value]
    return [name for name in value if isinstance(name, str)] if isinstance(value, (list, dict)) else []


@dataclass(frozen=True, slots=True)
class Checker:
    """
    Checks the names in one entry against all that are known.

    It looks at what was written, not at what was read from it, so that an entry which is wrong in form is checked too.
    """

    entry: Entry
    known: Known
    report: Report

    def page(self) -> None:
        """Check a page's provider."""
        self._each(("provider",), self.known.providers, "unknown provider")

    def source(self) -> None:
        """Check a source's kind, and that its scheme and mapping fit the kind."""
        kind = find(self.entry.data, "kind")
        facts = self.known.kinds.get(kind) if isinstance(kind, str) else None
        if facts is None:
            self._each(("kind",), self.known.kinds, "unknown kind of source")
            return
        for scheme in names_in(find(self.entry.data, "auth")):
            if scheme in SCHEMES and scheme not in facts.schemes:
                choices = listed(facts.schemes)
                self._wrong(("auth",), f"a source of kind `{kind}` cannot have `{scheme}` here; it can have {choices}")
            needed = _NEEDED.get(scheme)
            if needed and needed not in facts.schemes.get(scheme, {needed: ""}):
                self._needs(("auth", scheme), needed, kind)
        mapped = find(self.entry.data, "event") is not None
        if not facts.event_kinds and not mapped:
            self._wrong_key((), f"`event` is missing in {self.entry.label}: it says how events are read out of a body")
        if facts.event_kinds and mapped:
            choices = listed([kind for kind, each in self.known.kinds.items() if not each.event_kinds])
            self._wrong_key(("event",), f"`event` is for sources of kind {choices} only; remove it")
        self._match(("canary", "match"), [str(self.entry.path[-1])])

    def rule(self) -> None:
        """Check every name that a rule uses."""
        self._named(("source",), self.known.sources, "source")
        self._match(("match",), names_in(find(self.entry.data, "source")))
        self._words()
        self.window(("maintenance",))
        for plan in ("incident", "relay"):
            self._components((plan, "components"), self._pages((plan, "page")))
        self._yields()
        self._ends()

    def window(self, loc: Path = ()) -> None:
        """Check every name that a maintenance window uses."""
        self._components((*loc, "components"), self._pages((*loc, "page")))
        condition = (*loc, "overrun", "while")
        self._named((*condition, "source"), self.known.sources, "source")
        self._match((*condition, "match"), names_in(find(self.entry.data, *condition, "source")))

    def _needs(self, loc: Path, option: str, kind: Any) -> None:
        if find(self.entry.data, *loc, option) is None:
            self._wrong_key(loc, f"`{option}` is missing in `{loc[-1]}`: a source of kind `{kind}` has none of its own")

    def _wrong(self, loc: Path, message: str) -> None:
        self.report.wrong(self.entry.value(loc), message)

    def _wrong_key(self, loc: Path, message: str) -> None:
        self.report.wrong(self.entry.key(loc), message)

    def _wrong_name(self, loc: Path, name: str, message: str) -> None:
        """Tell a fault of one of the names at *loc*, be they a text, a list, or the keys of a map."""
        value = find(self.entry.data, *loc)
        if isinstance(value, dict):
            self._wrong_key((*loc, name), message)
        else:
            self._wrong((*loc, value.index(name)) if isinstance(value, list) else loc, message)

    def _each(self, loc: Path, known: Collection[str], wrong: str, noun: str = "there is") -> None:
        for name in names_in(find(self.entry.data, *loc)):
            if name not in known:
                self._wrong_name(loc, name, f"{wrong} {shown(name)}{suggest(name, known, noun)}")

    def _named(self, loc: Path, known: Collection[str], what: str) -> None:
        """Check names of entries of the set, some of which may stand in a file that could not be read."""
        for name in names_in(find(self.entry.data, *loc)):
            if name not in known and not self.report.elsewhere(name):
                self._wrong_name(loc, name, f"unknown {what} {shown(name)}{self._hint(name, known)}")

    def _hint(self, name: str, known: Collection[str]) -> str:
        return suggest(name, known, "there is") if self.report.whole else did_you_mean(name, known)

    def _pages(self, loc: Path) -> list[str]:
        """Give those of the pages that are known."""
        self._named(loc, self.known.pages, "page")
        names = names_in(find(self.entry.data, *loc))
        for name in {name for name in names if names.count(name) > 1}:
            self._wrong(loc, f"page {shown(name)} is named twice")
        return [name for name in dict.fromkeys(names) if name in self.known.pages]

    def _components(self, loc: Path, pages: Sequence[str]) -> None:
        for name in names_in(find(self.entry.data, *loc)):
            if find(self.entry.data, *loc, "from") is not None:
                return
            for page in pages:
                if name not in self.known.pages[page]:
                    hint = suggest(name, self.known.pages[page], "it has")
                    self._wrong_name(loc, name, f"unknown component {shown(name)} on page `{page}`{hint}")

    def _match(self, loc: Path, sources: Sequence[str]) -> None:
        known = [self.known.sources.get(name, "") for name in sources or self.known.sources]
        kinds = [self.known.kinds[kind].event_kinds for kind in known if kind in self.known.kinds]
        every: frozenset[str] = frozenset().union(*kinds)
        for form in ((), ("in",), ("not",)):
            wanted = find(self.entry.data, *loc, "kind", *form)
            others = not isinstance(wanted, dict) and not every.issuperset(names_in(wanted))
            if others and kinds and all(kinds) and self._all_known(sources):
                self._each((*loc, "kind", *form), every, "no source here makes events of kind", "they make")
            if not isinstance(find(self.entry.data, *loc, "source", *form), dict):
                self._named((*loc, "source", *form), self.known.sources, "source")

    def _all_known(self, sources: Sequence[str]) -> bool:
        """Say whether *sources*, or without any all that there are, could be read."""
        if not sources:
            return not self.report.elsewhere("sources")
        return all(name in self.known.sources for name in sources)

    def _words(self) -> None:
        groups = names_in(find(self.entry.data, "group_by"))
        for section in ("group_by", "vars"):
            for name in names_in(find(self.entry.data, section)):
                if name in BUILT_IN_WORDS:
                    self._wrong_name(
                        (section,), name, f"`{name}` is a word that every text has already; choose another name"
                    )
                elif section == "vars" and name in groups:
                    self._wrong_name((section,), name, f"`{name}` is a name in `group_by` already; choose another name")

    def _yields(self) -> None:
        loc = ("incident", "yield_to")
        for name in names_in(find(self.entry.data, *loc)):
            if message := self._no_target(name):
                self._wrong_name(loc, name, message)

    def _no_target(self, name: str) -> str:
        if name == entry_name(self.entry):
            return "a rule cannot yield to itself"
        if name not in self.known.rules and name in self.known.renamed:
            return f"rule `{name}` is now called `{self.known.renamed[name]}`"
        if name not in self.known.rules:
            if self.report.elsewhere(name):
                return ""
            return f"unknown rule {shown(name)}{self._hint(name, self.known.rules)}"
        return "" if self.known.rules[name] else f"rule `{name}` opens no incidents, so there is nothing to yield to"

    def _ends(self) -> None:
        categories, texts = find(self.entry.data, "relay", "resolve_on"), find(self.entry.data, "relay", "resolve")
        if categories == []:
            self._wrong(("relay", "resolve_on"), "`resolve_on` needs at least one category, or incidents never end")
        if not isinstance(categories, list) or not isinstance(texts, dict) or set(texts) == {"template"}:
            return
        for category in texts:
            if category not in (*categories, "*"):
                hint = suggest(category, names_in(categories), "it has")
                self._wrong_key(
                    ("relay", "resolve", category), f"category {shown(category)} is not in `resolve_on`{hint}"
                )
        silent = [category for category in names_in(categories) if category not in texts]
        if silent and "*" not in texts:
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
