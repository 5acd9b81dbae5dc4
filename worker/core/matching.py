"""
Which rules an event matches, found without asking every rule; and the same question answered for people.

What belongs here: the lines of ``match``, then ``if``, then ``group_by``, in this order. Episodes, time, and what a
match leads to are not known here. An expression that fails is told, never taken for "no".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from worker.core.bindings import as_text, event_bindings
from worker.core.model import Event, Status
from worker.core.ruleset import Matcher, MatchOp, Program, RelayPlan, Rule
from worker.errors import EvaluationFailed


class Verdict(StrEnum):
    """What asking a rule came to; a rule that does not match comes to nothing."""

    MATCHED = "matched"
    FAILED = "failed"


class Part(StrEnum):
    """The part of a rule that failed."""

    NONE = ""
    MATCH = "match"
    IF = "if"
    GROUP_BY = "group_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """
    A rule that an event matches, or may match.

    Args:
        group: What the episode is known by; {} where it is not known.
        failed: The part that could not be evaluated: after MATCH and IF the event's membership stays as it is, after
            GROUP_BY the event is parked.
        error: Why, for people; "" when nothing failed.
    """

    rule: Rule
    verdict: Verdict
    group: Mapping[str, str] = field(default_factory=dict)
    failed: Part = Part.NONE
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line of an explanation.

    Args:
        field: The field that was looked at; "if"; or "group_by.<name>".
        wanted: What the rule asks for, in words.
        actual: What the event has, what the expression gave, or why it failed.
        held: Whether it lets the rule match.
    """

    field: str
    wanted: str
    actual: str
    held: bool


class RuleIndex:
    """
    Finds the rules that an event matches.

    Of each rule the line that fewest rules share is put into an index; only rules whose line the event meets, and those
    that have no such line, are asked.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._asked = [_Asked(rule) for rule in rules]
        self._by_value: dict[tuple[str, str], list[int]] = {}
        self._others: list[int] = []
        shared = Counter(pair for asked in self._asked for pair in asked.pairs())
        for place, asked in enumerate(self._asked):
            line = min(asked.lines, key=lambda pairs: max(shared[pair] for pair in pairs), default=None)
            for pair in line or ():
                self._by_value.setdefault(pair, []).append(place)
            if line is None:
                self._others.append(place)
        self._fields = sorted({name for name, _ in self._by_value if not name.startswith(_MAPS)})

    def matches(self, event: Event) -> list[Match]:
        """Give the rules that match, and those that may but cannot be evaluated, in the order of the rules."""
        bindings: dict[str, Any] = {}
        found = []
        for place in self._candidates(event):
            match = self._asked[place].ask(event, bindings)
            if match is not None:
                found.append(match)
        return found

    def _candidates(self, event: Event) -> list[int]:
        places = set(self._others)
        for pair in self._pairs(event):
            places.update(self._by_value.get(pair, ()))
        return sorted(places)

    def _pairs(self, event: Event) -> Iterable[tuple[str, str]]:
        for name in self._fields:
            yield name, _reader(name)(event)
        for name, value in event.labels.items():
            yield f"labels.{name}", value
        for name, value in event.annotations.items():
            yield f"annotations.{name}", value


def explain(rule: Rule, event: Event) -> list[Line]:
    """Answer line by line whether and why a rule matches an event; all lines, also behind one that does not hold."""
    lines = [*_reach_lines(rule, event), *(_matcher_line(matcher, event) for matcher in _all_matchers(rule))]
    bindings = event_bindings(event)
    if rule.condition is not None:
        lines.append(_expression_line("if", rule.condition, bindings, event))
    lines += [_expression_line(f"group_by.{name}", cel, bindings, event) for name, cel in rule.group_by.items()]
    return lines


def fits(sources: Collection[str], matchers: Iterable[Matcher], event: Event) -> bool:
    """
    Whether an event meets the lines of a ``match`` that stands outside a rule; *sources*: () for any.

    Raises:
        EvaluationFailed: That cannot be told.
    """
    lines = list(matchers)
    if (sources and event.source not in sources) or not _heard_by(lines, event):
        return False
    return all(_HOLDS[matcher.op](matcher, field_text(event, matcher.field)) for matcher in lines)


def field_text(event: Event, name: str) -> str:
    """Read a field as text: "labels.<name>", "annotations.<name>" or one of the event's own; "" where there is none."""
    return _reader(name)(event)


class _Asked:
    """A rule, prepared for being asked; ``lines``: of each line that wants one of some values, the (field, value)s."""

    __slots__ = ("_needs_bindings", "lines", "matchers", "rule", "takes_private", "takes_test")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.matchers = sorted(_all_matchers(rule), key=lambda matcher: matcher.program is not None)
        self.lines = [
            [(matcher.field, value) for value in matcher.values]
            for matcher in self.matchers
            if matcher.op is MatchOp.IN and matcher.values and "" not in matcher.values  # "" is what no event lists
        ]
        self._needs_bindings = rule.condition is not None or bool(rule.group_by)
        self.takes_private = _asks_for(rule.matchers, "private")
        self.takes_test = _asks_for(rule.matchers, "test")

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Give all pairs of all lines."""
        return (pair for line in self.lines for pair in line)

    def ask(self, event: Event, bindings: dict[str, Any]) -> Match | None:
        """Ask the whole rule; *bindings* are filled at first need, and shared by all rules of one event."""
        if not self._in_reach(event):
            return None
        where = "match"
        group = {}
        try:
            if not all(_HOLDS[matcher.op](matcher, field_text(event, matcher.field)) for matcher in self.matchers):
                return None
            if self._needs_bindings and not bindings:
                bindings.update(event_bindings(event))
            where = "if"
            if self.rule.condition is not None and self.rule.condition.evaluate(bindings, event) is not True:
                return None
            for name, program in self.rule.group_by.items():
                where = f"group_by.{name}"
                group[name] = _group_text(program.evaluate(bindings, event))
        except EvaluationFailed as fault:
            part = Part(where.partition(".")[0])
            return Match(rule=self.rule, verdict=Verdict.FAILED, failed=part, error=f"{where}: {fault}")
        return Match(rule=self.rule, verdict=Verdict.MATCHED, group=group)

    def _in_reach(self, event: Event) -> bool:
        if (event.private and not self.takes_private) or (event.test and not self.takes_test):
            return False
        return event.status is not Status.INFO or isinstance(self.rule.plan, RelayPlan)


_HOLDS: Mapping[MatchOp, Callable[[Matcher, str], bool]] = {
    MatchOp.IN: lambda matcher, value: value in matcher.values,
    MatchOp.NOT_IN: lambda matcher, value: value not in matcher.values,
    MatchOp.REGEX: lambda matcher, value: _regex_holds(matcher, value),
    MatchOp.NOT_REGEX: lambda matcher, value: not _regex_holds(matcher, value),
    MatchOp.EXISTS: lambda matcher, value: value != "",
    MatchOp.ABSENT: lambda matcher, value: value == "",
}
_WANTED: Mapping[MatchOp, str] = {
    MatchOp.IN: "{}",
    MatchOp.NOT_IN: "not {}",
    MatchOp.REGEX: "matches {}",
    MatchOp.NOT_REGEX: "does not match {}",
    MatchOp.EXISTS: "is there",
    MatchOp.ABSENT: "is not there",
}
_MAPS = ("labels.", "annotations.")


def _regex_holds(matcher: Matcher, value: str) -> bool:
    return matcher.program is not None and matcher.program.evaluate({"value": value}) is True


def _all_matchers(rule: Rule) -> list[Matcher]:
    """Give the lines of ``match``, and ``source`` as one more."""
    source = [Matcher(field="source", op=MatchOp.IN, values=rule.sources)] if rule.sources else []
    return [*source, *rule.matchers]


def _asks_for(matchers: Iterable[Matcher], name: str) -> bool:
    return any(matcher.field == name for matcher in matchers)


def _heard_by(matchers: Sequence[Matcher], event: Event) -> bool:
    """Whether an event that is private, or a test, is asked for as such."""
    return all(_asks_for(matchers, name) for name in ("private", "test") if getattr(event, name))


def _group_text(value: Any) -> str:
    try:
        return as_text(value)
    except TypeError as fault:
        raise EvaluationFailed(str(fault)) from None


@lru_cache(maxsize=4096)
def _reader(name: str) -> Callable[[Event], str]:
    """Make the function that reads a field as text."""
    owner, dot, key = name.partition(".")
    if owner == "labels" and dot:
        return lambda event: event.labels.get(key, "")
    if owner == "annotations" and dot:
        return lambda event: event.annotations.get(key, "")
    return lambda event: _own_text(getattr(event, name, ""))


def _own_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ""
    return value.value if isinstance(value, Status) else as_text(value)


def _reach_lines(rule: Rule, event: Event) -> list[Line]:
    """Name what keeps an event from a rule before any line of it is looked at."""
    lines = [
        Line(field=name, wanted=f"a rule that matches on `{name}`", actual="true", held=False)
        for name in ("private", "test")
        if getattr(event, name) and not _asks_for(rule.matchers, name)
    ]
    if event.status is Status.INFO and not isinstance(rule.plan, RelayPlan):
        lines.append(Line(field="status", wanted="firing or resolved", actual="info", held=False))
    return lines


def _matcher_line(matcher: Matcher, event: Event) -> Line:
    actual = field_text(event, matcher.field)
    wanted = _WANTED[matcher.op].format(" or ".join(f"`{value}`" for value in matcher.values))
    try:
        held = _HOLDS[matcher.op](matcher, actual)
    except EvaluationFailed as fault:
        return Line(field=matcher.field, wanted=wanted, actual=str(fault), held=False)
    return Line(field=matcher.field, wanted=wanted, actual=actual, held=held)


def _expression_line(name: str, program: Program, bindings: Mapping[str, Any], event: Event) -> Line:
    try:
        value = program.evaluate(bindings, event)
        actual = _group_text(value)
    except EvaluationFailed as fault:
        return Line(field=name, wanted=str(program), actual=str(fault), held=False)
    return Line(field=name, wanted=str(program), actual=actual, held=value is True or name != "if")
