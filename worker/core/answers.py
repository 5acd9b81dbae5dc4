"""
What a set of rules makes of one statement, rule by rule and line by line.

What belongs here: the answers, as data. Words are for whoever prints them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.core.matching import Line, explain
from worker.core.model import ComponentStatus, Event, Status
from worker.core.ruleset import EventWindowPlan, Rule, RuleSet
from worker.core.words import impact_of, touches_nothing
from worker.errors import EvaluationFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What one rule says to one statement.

    Args:
        lines: Every line of the rule, those behind one that does not hold too.
        components: What a match does to which component; {} where it does not match, or counts for nothing.
        idle: It matches, but its severity has no status, so that nothing comes of it.
        fault: Why what it does to components cannot be told, or "".
    """

    rule: Rule
    lines: Sequence[Line]
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)
    idle: bool = False
    fault: str = ""

    @property
    def matches(self) -> bool:
        """Whether every line holds."""
        return all(line.held for line in self.lines)

    @property
    def failed(self) -> list[Line]:
        """The lines that do not hold."""
        return [line for line in self.lines if not line.held]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """
    One statement, and what every rule says to it.

    Args:
        answers: Those that match first, then those that nearly do; () where none is asked: it does not fire.
    """

    event: Event
    answers: Sequence[Answer] = ()


def asked(rules: RuleSet, events: Sequence[Event]) -> list[Statement]:
    """Ask every rule about every statement that fires; of what is resolved its episode hears, whatever rules say."""
    return [
        Statement(event=event, answers=_answers(rules, event) if event.status is not Status.RESOLVED else ())
        for event in events
    ]


def _answers(rules: RuleSet, event: Event) -> list[Answer]:
    found = [_answer(rule, event) for rule in rules.rules]
    return sorted(found, key=lambda answer: len(answer.failed))


def _answer(rule: Rule, event: Event) -> Answer:
    lines = explain(rule, event)
    if not all(line.held for line in lines) or isinstance(rule.plan, EventWindowPlan):
        return Answer(rule=rule, lines=lines)
    try:
        components = impact_of(rule.plan.impact, event)
    except EvaluationFailed as failed:
        return Answer(rule=rule, lines=lines, fault=str(failed))
    idle = not components and not touches_nothing(rule.plan.impact)
    return Answer(rule=rule, lines=lines, components=components, idle=idle)
