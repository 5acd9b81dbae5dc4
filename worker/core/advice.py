"""
What is right in form but probably not what was meant: warnings.

What belongs here: checks that cost a reviewer a second look, never the loading of a set. Only what is worth that look.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from worker.core.checking import find
from worker.core.documents import Path
from worker.core.spec.file import RuleSpec
from worker.core.spec.maintenance import RuleMaintenanceSpec, WindowCommon
from worker.core.spec.plans import ChosenComponent, IncidentSpec, RelaySpec
from worker.core.spec.scalars import CelSpec, format_duration
from worker.core.spec.sources import SourceSpec
from worker.core.spelling import listed
from worker.core.written import Entry, Report

Rules = Sequence[tuple[Entry, RuleSpec]]
ANY = "*"
_SEVERITY_FIELDS = ("severity", "labels.severity")


def advise_source(entry: Entry, source: SourceSpec, report: Report) -> None:
    """Warn of a source that believes anybody."""
    if source.auth == "none":
        report.odd(entry.value(("auth",)), "`auth: none`: anybody who reaches this address can put words on the page")


def advise_rules(rules: Rules, report: Report) -> None:
    """Warn of what is odd in each rule, and in how they stand to each other."""
    for entry, rule in rules:
        _unguarded(entry, rule, report)
        _trusted(entry, rule, report)
        _severities(entry, rule, report)
        if rule.maintenance is not None:
            advise_window(entry, rule.maintenance, ("maintenance",), report)
        if not (rule.match or rule.if_ or rule.source):
            report.odd(
                entry.key(()),
                f"{entry.label} has no `source`, `match` or `if`: every signal of every source is its own",
            )
        if rule.relay is not None and not rule.group_by:
            message = (
                f"{entry.label} has no `group_by`: all upstream incidents would become one; say {{incident: event.key}}"
            )
            report.odd(entry.key(("relay",)), message)
    _no_common_page(rules, report)
    _rivals(rules, report)


# --- expressions

_STRING = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_READ = re.compile(r"(?<!\w)labels\.(\w++)(?!\s*\()")
_READ_BY_NAME = re.compile(r"""(?<!\w)labels\[\s*["']([^"']+)["']\s*\]""")
_ASKED = re.compile(r"has\(\s*(?:\w+\.)?labels\.(\w+)\s*\)")
_ASKED_BY_NAME = re.compile(r"""["']([^"']+)["']\s+in\s+(?:\w+\.)?labels""")


def _unguarded(entry: Entry, rule: RuleSpec, report: Report) -> None:
    present = {
        name.removeprefix("labels.") for name, value in rule.match.items() if value.exists or any(value.in_ or ())
    }
    for loc, text in _expressions(rule):
        for label in sorted(unguarded_labels(text) - present):
            advice = (
                f'label("{label}")' if loc[0] != "vars" else f'label("{label}"), or `labels[?"{label}"].orValue("")`'
            )
            report.odd(entry.value(loc), f"fails for a signal without the label `{label}`; say {advice}")


def unguarded_labels(text: str) -> set[str]:
    """Give the labels that an expression reads without asking whether they are there."""
    if "labels" not in text:
        return set()
    bare = _STRING.sub('""', text)
    read = {*_READ.findall(bare), *_READ_BY_NAME.findall(text)}
    return read.difference(_ASKED.findall(bare), _ASKED_BY_NAME.findall(text))


def _expressions(rule: RuleSpec) -> Iterator[tuple[Path, str]]:
    if rule.if_ is not None:
        yield ("if",), rule.if_
    for section, expressions in (("group_by", rule.group_by), ("vars", rule.vars)):
        for name, text in expressions.items():
            yield (section, name), text
    for plan in ("incident", "relay"):
        components = getattr(getattr(rule, plan), "components", None)
        if isinstance(components, ChosenComponent):
            yield (plan, "components", "from"), components.from_
    for name in ("starts", "ends", "duration"):
        value = getattr(rule.maintenance, name, None)
        if isinstance(value, CelSpec):
            yield ("maintenance", name, "cel"), value.cel


# --- texts

_TRUSTED = re.compile(r"\|\s*trusted\b")


def _trusted(entry: Entry, rule: RuleSpec, report: Report) -> None:
    for loc, text in _texts(rule):
        if _TRUSTED.search(text):
            message = "`trusted` publishes a value as it comes, links and pictures included; be sure who writes it"
            report.odd(entry.value(loc), message)


def _texts(rule: RuleSpec) -> Iterator[tuple[Path, str]]:
    if rule.incident is not None:
        yield ("incident", "title"), rule.incident.title
        for name, text in rule.incident.say:
            if isinstance(text, str):
                yield ("incident", "say", name), text
        if rule.incident.say.keepalive is not None:
            yield ("incident", "say", "keepalive", "text"), rule.incident.say.keepalive.text
    if rule.relay is not None:
        yield ("relay", "title"), rule.relay.title
        yield ("relay", "text"), rule.relay.text
        for category, text in rule.relay.resolve.items():
            yield ("relay", "resolve", category), text
    if rule.maintenance is not None:
        yield ("maintenance", "title"), rule.maintenance.title
        for name, said in rule.maintenance:
            for each in said if isinstance(said, tuple) else (said,):
                if isinstance(text := getattr(each, "text", None), str):
                    yield ("maintenance", name, "text"), text


# --- windows


def advise_window(entry: Entry, window: WindowCommon, loc: Path, report: Report) -> None:
    """
    Warn of texts that are never said, and of components that are named twice.

    Args:
        loc: Where the window stands in the entry.
    """
    for index, name in enumerate(window.components):
        if name in window.components[:index]:
            report.odd(entry.value((*loc, "components", index)), f"`components` has `{name}` twice")
    for name in ("remind", "reschedule", "cancel"):
        if window.announce is None and find(entry.data, *loc, name) is not None:
            message = f"`{name}` says nothing without `announce`: the page does not have the window before it starts"
            report.odd(entry.key((*loc, name)), message)
    for index, each in enumerate(window.remind):
        if window.announce is not None and each.before >= window.announce.before:
            message = f"`remind` of {format_duration(each.before)} is not said: the announcement is not before it"
            report.odd(entry.value((*loc, "remind", index, "before")), message)
    if isinstance(window, RuleMaintenanceSpec) and window.announce is not None and window.starts is None:
        message = "`announce` says nothing without `starts`: the window starts at once"
        report.odd(entry.key((*loc, "announce")), message)


# --- severities


def _severities(entry: Entry, rule: RuleSpec, report: Report) -> None:
    """A severity that `match` never lets through, or lets through to no component, is most likely misspelt."""
    matched = {text for name in _SEVERITY_FIELDS if name in rule.match for text in rule.match[name].in_ or ()}
    for plan in ("incident", "relay"):
        components = getattr(getattr(rule, plan), "components", None)
        if not matched or not components:
            continue
        named = _named_severities(components)
        for loc, severity in named:
            if severity not in matched | {ANY}:
                message = f"`match` lets no severity `{severity}` through, only {listed(matched)}"
                report.odd(entry.key((plan, "components", *loc)), message)
        unheard = matched - {severity for _, severity in named}
        if unheard and ANY not in {severity for _, severity in named}:
            message = f"signals of severity {listed(unheard)} match, but have no status here, so they do not count"
            report.odd(entry.key((plan, "components")), message)


def _named_severities(components: ChosenComponent | Mapping[str, Mapping[str, str]]) -> list[tuple[Path, str]]:
    if isinstance(components, ChosenComponent):
        return [(("status", severity), severity) for severity in components.status]
    return [((name, severity), severity) for name, statuses in components.items() for severity in statuses]


# --- rules and rules


def _no_common_page(rules: Rules, report: Report) -> None:
    pages = {rule.id: set(plan.page) for _, rule in rules if (plan := _plan(rule)) is not None}
    for entry, rule in rules:
        for index, name in enumerate(rule.incident.yield_to if rule.incident else ()):
            if name in pages and not pages[name] & pages[rule.id]:
                message = f"rule `{name}` is about other pages, so yielding to it changes nothing"
                report.odd(entry.value(("incident", "yield_to", index)), message)


def _rivals(rules: Rules, report: Report) -> None:
    """Two rules that speak of one component each open an incident, unless one yields to the other."""
    speakers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, (_, rule) in enumerate(rules):
        plan = _plan(rule)
        if plan is not None and not isinstance(plan.components, ChosenComponent):
            for page in plan.page:
                for component in plan.components:
                    speakers[page, component].append(index)
    yields = _yield_pairs(rules)
    shared: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    for (page, component), indexes in speakers.items():
        rivals = _without_order(indexes, yields)
        if rivals:
            shared[page, rivals].append(component)
    for (page, rivals), components in shared.items():
        names = listed([rules[index][1].id for index in rivals])
        where = f"{listed(components)} of page `{page}`"
        message = f"rules {names} each open an incident on {where}; let one `yield_to` the other"
        report.odd(rules[rivals[0]][0].key(()), message)


def _plan(rule: RuleSpec) -> IncidentSpec | RelaySpec | None:
    return rule.incident or rule.relay


def _yield_pairs(rules: Rules) -> Mapping[int, Collection[int]]:
    """Give for each rule those that it yields to or that yield to it."""
    index_of = {rule.id: index for index, (_, rule) in enumerate(rules)}
    pairs: dict[int, set[int]] = defaultdict(set)
    for index, (_, rule) in enumerate(rules):
        for name in rule.incident.yield_to if rule.incident else ():
            other = index_of.get(name, index)
            pairs[index].add(other)
            pairs[other].add(index)
    return pairs


def _without_order(indexes: Sequence[int], yields: Mapping[int, Collection[int]]) -> tuple[int, ...]:
    """Give those of the rules that some other of them does not yield to, nor it to them."""
    group = set(indexes)
    return tuple(i for i in indexes if len(group.intersection(yields.get(i, ()))) < len(group) - 1)
