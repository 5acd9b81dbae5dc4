"""
What a rule says about signals: which components they touch, which signal leads, and the words for templates.

Pure; the only place that evaluates a rule's ``components`` and ``vars``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.core.conditions import event_bindings, signal_bindings
from worker.core.drafts import Context
from worker.core.model import ComponentStatus, Episode, Event, Member
from worker.core.ruleset import Impact, Rule
from worker.errors import EvaluationFailed

ANY = "*"
_GOOD = (None, ComponentStatus.OPERATIONAL)


def impact_of(impact: Impact, event: Event) -> dict[str, ComponentStatus]:
    """
    Say what one signal does to which component; {} where its severity has no status, or a good one.

    Raises:
        EvaluationFailed: ``components.from`` failed.
    """
    found = {}
    for name, by_severity in impact.by_name.items():
        status = by_severity.get(event.severity) or by_severity.get(ANY)
        if status not in _GOOD:
            found[name] = status
    if impact.chosen is not None:
        status = impact.chosen_status.get(event.severity) or impact.chosen_status.get(ANY)
        if status not in _GOOD:
            found[str(impact.chosen.evaluate(event_bindings(event), event))] = status
    return found


def counts(impact: Impact, event: Event) -> bool:
    """Whether a signal that fires like this does anything to the page; where that cannot be told, it does."""
    try:
        return touches_nothing(impact) or bool(impact_of(impact, event))
    except EvaluationFailed:
        return True


def touches_nothing(impact: Impact) -> bool:
    """Whether the rule names no components at all, so that every signal counts."""
    return not impact.by_name and impact.chosen is None


class Standing:
    """
    How an episode's members stand, seen through its rule.

    Args:
        members: Any; only firing ones that have an impact count.
    """

    def __init__(self, impact: Impact, members: Iterable[Member]) -> None:
        self.members = tuple(members)
        everything = touches_nothing(impact)
        self.impacts = {m.signal.id: _impact_of(impact, m) for m in self.members}
        self.firing = tuple(m for m in self.members if m.firing and (everything or self.impacts[m.signal.id]))

    def components(self, touched: Iterable[str] = ()) -> dict[str, ComponentStatus]:
        """Give the worst status of each component; *touched* ones that nothing touches any more are operational."""
        worst = dict.fromkeys(sorted(touched), ComponentStatus.OPERATIONAL)
        for member in self.firing:
            for name, status in self.impacts[member.signal.id].items():
                if status.rank > worst.get(name, ComponentStatus.OPERATIONAL).rank:
                    worst[name] = status
        return worst

    def leading(self) -> Member | None:
        """Give the member to speak of, firing ones before others: the worst, then the oldest, then the first by key."""
        public = [m for m in self.members if not (m.signal.event.private or m.signal.event.test)]
        return min(self.firing or public or self.members, key=self._precedence, default=None)

    def _precedence(self, member: Member) -> tuple[int, datetime, tuple[str, str]]:
        ranks = [status.rank for status in self.impacts[member.signal.id].values()]
        return (-max(ranks, default=0), member.signal.event.started_at or member.joined_at, member.signal.id)


def _impact_of(impact: Impact, member: Member) -> dict[str, ComponentStatus]:
    """What cannot be told of a member that is over must not keep its episode from ending."""
    try:
        return impact_of(impact, member.signal.event)
    except EvaluationFailed:
        if member.firing:
            raise
        return {}


def out_of_reach(rule: Rule, event: Event) -> bool:
    """Whether an event is private, or a test, and the rule does not ask for such: so a member may become."""
    asked = {matcher.field for matcher in rule.matchers}
    return (event.private and "private" not in asked) or (event.test and "test" not in asked)


def own_words(rule: Rule, group: Mapping[str, str], event: Event, firing: Iterable[Member]) -> dict[str, Any]:
    """
    Collect the words of a rule's own: ``vars``, of the leading signal's *event* and of what fires, and ``group_by``.

    Raises:
        EvaluationFailed: A variable failed, the text names it; or the event is not for this rule's ears any more.
    """
    if not rule.vars:
        return dict(group)
    if out_of_reach(rule, event):
        raise EvaluationFailed("the signal has become private or a test upstream: nothing that it says may be used")
    signals = [member.signal for member in firing if not out_of_reach(rule, member.signal.event)]
    bindings = {**event_bindings(event), "signals": signal_bindings(signals)}
    return {**{name: program.evaluate(bindings, event) for name, program in rule.vars.items()}, **group}


def words_for(
    rule: Rule,
    episode: Episode,
    event: Event,
    firing: Sequence[Member],
    components: Iterable[str],
    context: Context,
    now: datetime,
) -> Mapping[str, Any]:
    """
    Collect the words that a template may use; nothing of the event itself but what ``vars`` lets through.

    Raises:
        EvaluationFailed: A variable failed, the text names it; or the event is not for this rule's ears any more.
    """
    own = own_words(rule, episode.group, event, firing)
    signals = [member for member in firing if not out_of_reach(rule, member.signal.event)]
    return {
        **own,
        "components": [context.names.get(name, name) for name in components],
        "severity": event.severity,
        "episode": {
            "number": episode.number,
            "started_at": episode.held_since,
            "duration": (episode.clearing_since or now) - episode.held_since,
            "signals": len(signals),
        },
        "window": None,
        "page": context.page_name or context.page,
        "now": now,
    }
