"""
What of a set of rules its tests reach: every rule, every text, every status, and the ways an incident can go.

What is not reached is not wrong; it is what nobody has looked at before the public does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from worker.core.documents import Path
from worker.core.matching import explain
from worker.core.model import Action, Episode, Event, Origin, Phase, Post, Status
from worker.core.ruleset import EventWindowPlan, Impact, IncidentPlan, RelayPlan, Rule, RuleSet, TooShort, WindowPlan
from worker.core.words import ANY
from worker.ports import Commit
from worker.rehearse.stage import Stage

_SAID_AS = {Post.REOPEN: Post.OPEN, Post.RELAPSE: Post.OPEN, Post.BACKFILL: Post.OPEN}
_OF_WINDOWS: Mapping[Post, str] = {
    Post.ANNOUNCE: "announce",
    Post.REMIND: "remind",
    Post.START: "start",
    Post.COMPLETE: "complete",
    Post.EXTEND: "overrun",
    Post.RESCHEDULE: "reschedule",
}
_OF_ADOPTED: Mapping[Post, str] = {
    Post.START: "an adopted window starts",
    Post.COMPLETE: "an adopted window is complete",
}


@dataclass(frozen=True, slots=True)
class Point:
    """
    Something that a test can reach.

    Args:
        owner: The id of the rule or of the entry of ``maintenance``, or the page's name.
        what: In words: "say.open", "clears while held".
        path: Where in the rule it is written; () for the whole.
        kind: What the owner is: "rule", "maintenance", or "page".
    """

    owner: str
    what: str
    path: Path = ()
    kind: str = "rule"


@dataclass(slots=True)
class Coverage:
    """
    Args:
        rules: What is to be reached.
    """

    rules: RuleSet
    reached: set[tuple[str, str]] = field(default_factory=set)
    points: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        rules = (point for rule in self.rules.rules for point in _of_rule(rule))
        entries = (
            point for entry in self.rules.maintenance for point in _of_window(entry, entry.id, (), "maintenance")
        )
        pages = (
            Point(page.name, what, ("adopt_maintenance", post.value), "page")
            for page in self.rules.pages.values()
            if page.adoption is not None
            for post, what in _OF_ADOPTED.items()
        )
        self.points = (*rules, *entries, *pages)

    @property
    def missed(self) -> list[Point]:
        """Give what no test has reached, in the order of the rules."""
        return [point for point in self.points if (point.owner, point.what) not in self.reached]

    def watch(self, stage: Stage) -> Callable[[Commit], None]:
        """Give what is to be told of every commit on a stage."""
        return _Witness(self, stage).heed


# --- what there is to reach


def _of_rule(rule: Rule) -> Iterator[Point]:
    yield Point(rule.id, "matches a signal")
    if rule.condition is not None:
        yield Point(rule.id, "`if` lets one pass by", ("if",))
    if isinstance(rule.plan, IncidentPlan):
        yield from _of_incident(rule.id, rule.plan)
    elif isinstance(rule.plan, RelayPlan):
        yield from _of_relay(rule.id, rule.plan)
    else:
        yield from _of_window(rule.plan, rule.id, ("maintenance",), "rule")


def _of_incident(rule_id: str, plan: IncidentPlan) -> Iterator[Point]:
    for post in sorted(plan.say, key=list(Post).index):
        if post in (Post.WORSEN, Post.IMPROVE) and not _varies(plan.impact):
            continue
        yield Point(rule_id, f"say.{post}", ("incident", "say", post.value))
    if plan.keepalive is not None:
        yield Point(rule_id, "say.keepalive", ("incident", "say", "keepalive"))
    for name, statuses in plan.impact.by_name.items():
        for severity in statuses:
            told = "" if severity == ANY else f" at severity `{severity}`"
            yield Point(rule_id, f"`{name}`{told}", ("incident", "components", name))
    for severity in plan.impact.chosen_status:
        yield Point(rule_id, f"severity `{severity}`", ("incident", "components", "status"))
    if plan.hold:
        yield Point(rule_id, "clears while it is held", ("incident", "hold"))
    if plan.quiet:
        yield Point(rule_id, "fires again before `quiet` is over", ("incident", "quiet"))
    if plan.reopen_within:
        yield Point(rule_id, "is reopened", ("incident", "reopen_within"))
    if plan.too_short is TooShort.BACKFILL:
        yield Point(rule_id, "is backfilled", ("incident", "too_short"))
    for other in plan.yield_to:
        yield Point(rule_id, f"yields to `{other}`", ("incident", "yield_to"))


def _varies(impact: Impact) -> bool:
    """Whether the status of a component can change while the incident is open."""
    return impact.chosen is not None or any(set(statuses) != {ANY} for statuses in impact.by_name.values())


def _of_relay(rule_id: str, plan: RelayPlan) -> Iterator[Point]:
    yield Point(rule_id, "opens an incident", ("relay", "title"))
    yield Point(rule_id, "relays a text", ("relay", "text"))
    for name in plan.status:
        yield Point(rule_id, f"status `{name}`", ("relay", "status", name))
    for category in plan.resolve:
        yield Point(rule_id, f"resolve.{category}", ("relay", "resolve"))


def _of_window(plan: WindowPlan, owner: str, above: Path, kind: str) -> Iterator[Point]:
    there = {
        "announce": plan.announce is not None,
        "remind": bool(plan.reminders),
        "start": True,
        "complete": True,
        "overrun": plan.overrun is not None,
        "reschedule": plan.reschedule is not None,
    }
    for what, is_there in there.items():
        if is_there:
            yield Point(owner, what, (*above, what), kind)


# --- what was reached


class _Witness:
    """Watches one stage."""

    def __init__(self, coverage: Coverage, stage: Stage) -> None:
        self._coverage = coverage
        self._stage = stage
        self._rules = {rule.identity: rule for rule in coverage.rules.rules}
        self._phases: dict[str, Phase] = {}

    def heed(self, commit: Commit) -> None:
        events = [heard.event for heard in commit.heard]
        for event in events:
            if event.status is Status.FIRING:
                self._passed_by(event)
        for episode in commit.episodes:
            rule = self._rules.get(episode.rule_id)
            if rule is not None:
                self._episode(rule, episode)
            self._phases[episode.id] = episode.phase
        for action in commit.actions:
            self._action(action, events)

    def _reach(self, owner: str, what: str) -> None:
        self._coverage.reached.add((owner, what))

    def _passed_by(self, event: Event) -> None:
        for rule in self._coverage.rules.rules:
            if rule.condition is not None:
                failed = [line.field for line in explain(rule, event) if not line.held]
                if failed == ["if"]:
                    self._reach(rule.id, "`if` lets one pass by")

    def _episode(self, rule: Rule, episode: Episode) -> None:
        self._reach(rule.id, "matches a signal")
        before, after = self._phases.get(episode.id), episode.phase
        if before is Phase.HELD and after is Phase.DISMISSED:
            self._reach(rule.id, "clears while it is held")
        if before is Phase.CLEARING and after is Phase.OPEN:
            self._reach(rule.id, "fires again before `quiet` is over")
        if isinstance(rule.plan, IncidentPlan):
            self._incident(rule, rule.plan, episode)

    def _incident(self, rule: Rule, plan: IncidentPlan, episode: Episode) -> None:
        if episode.phase is Phase.OPEN:
            for severity in {m.signal.event.severity for m in episode.members.values() if m.firing}:
                self._severity(rule.id, plan, severity)
        elif episode.phase is Phase.HELD and self._stage.now >= episode.held_since + plan.hold:
            for other in plan.yield_to:
                others = [rule.identity for rule in self._coverage.rules.rules if rule.id == other]
                if self._stage.ledger.live(others, episode.page):
                    self._reach(rule.id, f"yields to `{other}`")

    def _severity(self, owner: str, plan: IncidentPlan, severity: str) -> None:
        for name, statuses in plan.impact.by_name.items():
            found = severity if severity in statuses else ANY
            self._reach(owner, f"`{name}`" if found == ANY else f"`{name}` at severity `{found}`")
        self._reach(owner, f"severity `{severity if severity in plan.impact.chosen_status else ANY}`")

    def _action(self, action: Action, events: Iterable[Event]) -> None:
        if action.kind.of_window:
            self._window(action)
            return
        episode = self._stage.ledger.get(action.aggregate)
        rule = self._rules.get(episode.rule_id) if episode is not None else None
        if rule is None:
            return
        self._reach(rule.id, f"say.{_SAID_AS.get(action.post, action.post)}")
        if action.post is Post.REOPEN:
            self._reach(rule.id, "is reopened")
        if action.post is Post.BACKFILL:
            self._reach(rule.id, "is backfilled")
            self._reach(rule.id, f"say.{Post.RESOLVE}")
        if isinstance(rule.plan, RelayPlan):
            self._relayed(rule.id, rule.plan, action, events)

    def _relayed(self, owner: str, plan: RelayPlan, action: Action, events: Iterable[Event]) -> None:
        self._reach(owner, "opens an incident" if action.post is Post.OPEN else "relays a text")
        for event in events:
            if action.post is Post.RESOLVE and event.category in plan.resolve_on:
                self._reach(owner, f"resolve.{event.category if event.category in plan.resolve else ANY}")
            elif action.post is not Post.RESOLVE:
                self._reach(owner, f"status `{event.status_name}`")

    def _window(self, action: Action) -> None:
        window = self._stage.ledger.window(action.aggregate)
        if window is None:
            return
        if window.origin is Origin.PAGE:
            self._reach(window.page, _OF_ADOPTED.get(action.post, ""))
            return
        rule = self._rules.get(window.plan_id)
        owner = rule.id if rule is not None and isinstance(rule.plan, EventWindowPlan) else window.plan_id
        self._reach(owner, "matches a signal")
        if action.post in _OF_WINDOWS:
            self._reach(owner, _OF_WINDOWS[action.post])
