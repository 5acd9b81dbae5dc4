"""
A line of episodes on virtual time, with a page that answers as it is told: for tests that read like a transcript.

It holds no logic of its own: signals settle through ``core.signals``, decisions come from ``core.episodes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from worker.core.actions import begin
from worker.core.drafts import Context, Heard, Item, Stimulus, Tick
from worker.core.episodes import decide
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Episode,
    Event,
    Notice,
    Outcome,
    Post,
    PublishMode,
    Result,
    Signal,
    Status,
    episode_key,
)
from worker.core.rules import load
from worker.core.ruleset import Rule
from worker.core.signals import settle

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

RULES = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${KEY}
    publish: auto
    components: {checkout: Checkout API, api: Public API, web: Dashboard}
sources:
  alerts: {kind: alertmanager, auth: {bearer: "${TOKEN}"}}
rules:
"""

INCIDENT = """
  - id: checkout
    match: {labels.service: checkout}
    group_by: []
    incident:
      page: main
      components: {checkout: {critical: full_outage, warning: degraded_performance}}
      title: Checkout problems
      say: {open: We are investigating., worsen: It got worse., improve: It got better., resolve: All is well.}
"""


def minutes(text: str | float) -> timedelta:
    """Read "90s", "3m", "2h", "1d"."""
    if not isinstance(text, str):
        return timedelta(minutes=text)
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]
    return timedelta(seconds=float(text[:-1]) * unit)


def rule_of(text: str = INCIDENT, **incident: str) -> Rule:
    """Compile one rule; keyword arguments become lines of its ``incident:`` block."""
    from worker.bootstrap import source_facts
    from worker.providers import PROVIDERS

    lines = "".join(f"      {key}: {value}\n" for key, value in incident.items())
    return load({"rules.yaml": RULES + text + lines}, {}, source_kinds=source_facts(), provider_names=PROVIDERS).rules[
        0
    ]


Answer = Callable[[Action], Result]


@dataclass
class Transcript:
    """
    Args:
        rule: The rule under test.
        answer: What the page makes of a write.
        theirs: Somebody else's incident that is open on our components, or "".
    """

    rule: Rule
    answer: Answer = lambda action: Result.DONE
    context: Context = None  # type: ignore[assignment]
    now: datetime = START
    episode: Episode | None = None
    ended: list[Episode] = field(default_factory=list)
    signals: dict[tuple[str, str], Signal] = field(default_factory=dict)
    posts: list[tuple[str, Action]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    seq: int = 0
    opened: int = 0
    theirs: str = ""

    def __post_init__(self) -> None:
        if self.context is None:
            self.context = Context(rule=self.rule, page="main", page_name="Acme Status")

    # -- what happens

    def hears(self, *events: Event, matches: bool | None = True, page: bool = True) -> Transcript:
        """Statements arrive, all in one inbound."""
        self.seq += 1
        items = []
        for event in events:
            signal, change = settle(self.signals.get((event.source, event.key)), event, self.now, self.seq)
            if signal is None:
                continue
            self.signals[signal.id] = signal
            told = matches if event.status is Status.FIRING else False
            items.append(Item(event=event, signal=signal, change=change, matches=told))
        self._apply(Heard(items=items, cause="test"))
        return self.delivers() if page else self

    def fires(
        self, key: str = "a", severity: str = "critical", *, page: bool = True, matches: bool = True, **more: object
    ) -> Transcript:
        """One signal fires; its start is now unless told otherwise."""
        known = self.signals.get(("alerts", key))
        started = known.event.started_at if known is not None and known.firing else self.now
        return self.hears(
            alert(key, severity, started=more.pop("started", started), **more), matches=matches, page=page
        )  # type: ignore[arg-type]

    def clears(self, key: str = "a", *, page: bool = True) -> Transcript:
        """One signal is resolved."""
        known = self.signals[("alerts", key)]
        return self.hears(replace(known.event, status=Status.RESOLVED), page=page)

    def passes(self, length: str | float, *, page: bool = True) -> Transcript:
        """Time passes; every alarm on the way rings."""
        end = self.now + minutes(length)
        for _ in range(10_000):
            due = [t for t in (self.episode.wake_at if self.episode else None, self._next_due() if page else None) if t]
            at = min(due, default=end)
            if at > end:
                break
            self.now = max(self.now, at)
            self._apply(Tick())
            if page:
                self.delivers()
            if at >= end and not [t for t in due if t > end]:
                break
        self.now = end
        return self

    def delivers(self) -> Transcript:
        """The page takes what is due, in order."""
        while due := [action for action in self._heads() if action.not_before <= self.now]:
            action = due[0]
            seen = self._looks(action)
            if seen is not None:
                self.outcome(action, seen, foreign=self.theirs)
            else:
                sending = self.sends(action)
                self.outcome(sending, self.answer(sending))
        return self

    def sends(self, action: Action | None = None) -> Action:
        """An action, or the first, is on its way, and nothing is known of it yet."""
        action = action or self._heads()[-1]
        sending = begin(action, self.now)
        self.ended = [_with(episode, sending) for episode in self.ended]
        self.episode = _with(self.episode, sending) if self.episode else None
        return sending

    def _looks(self, action: Action) -> Result | None:
        """What the look that goes before each write, and the question whether it may still be made, come to."""
        if self.context.publish is PublishMode.SHADOW:
            return Result.SHADOWED
        if action.guest and action.remote_id != self.theirs:
            return Result.GONE if action.post is Post.OPEN else Result.PERSON
        blocked = self.theirs and action.kind is ActionKind.OPEN_INCIDENT and not action.bypass_existing
        return Result.FOREIGN if blocked else None

    def outcome(self, action: Action, result: Result, **more: object) -> Transcript:
        """The page answered."""
        if result is Result.DONE:
            self.opened += action.kind.creates
            self.posts.append((f"{(self.now - START).total_seconds() / 60:g}m", action))
        remote = (action.remote_id or f"inc-{self.opened}") if result is Result.DONE else ""
        outcome = Outcome(
            action_id=action.id,
            result=result,
            at=self.now,
            remote_id=remote,
            detail=str(result),
            **more,  # type: ignore[arg-type]
        )
        if self.episode is not None and action.aggregate == self.episode.id:
            self._apply(outcome)
        else:
            self.ended = [self._ended_after(episode, outcome) for episode in self.ended]
        return self

    def _ended_after(self, episode: Episode, outcome: Outcome) -> Episode:
        """An episode that has ended may still wait for the outcome of its last write."""
        if all(action.id != outcome.action_id for action in episode.actions):
            return episode
        verdict = decide(episode, outcome, self.context, self.now)
        self.notices += verdict.notices
        return verdict.episode or episode

    # -- what can be seen

    @property
    def said(self) -> list[str]:
        """Every post that reached the page: time, kind, why, and whether it mailed."""
        return [f"{at} {a.kind.split('_')[0]} {a.post}{' mails' if a.content.notify else ''}" for at, a in self.posts]

    @property
    def phase(self) -> str:
        """Where the newest episode stands."""
        return str(self.episode.phase) if self.episode else "none"

    @property
    def shown(self) -> dict[str, str]:
        """What the page says of the components."""
        known = self.episode.known if self.episode else None
        return {name: str(status) for name, status in known.components.items()} if known else {}

    @property
    def states(self) -> list[str]:
        """The unsettled actions."""
        return [f"{a.post} {a.state}" for a in self.episode.actions] if self.episode else []

    # -- inside

    def _apply(self, stimulus: Stimulus) -> None:
        key = episode_key(self.rule.identity, "main", {})
        verdict = decide(self.episode, stimulus, self.context, self.now, key=key, group={})
        if verdict.episode is None:
            return
        if self.episode is not None and verdict.episode.id != self.episode.id:
            self.ended.append(self.episode)
        self.episode = verdict.episode
        self.notices += verdict.notices
        again = decide(self.episode, Tick(), self.context, self.now)
        assert not again.changed, f"deciding twice changed something: {again.log} {again.actions}"

    def _heads(self) -> list[Action]:
        """What may be worked on, of the newest episode last."""
        firsts = [episode.actions[0] for episode in [*self.ended, self.episode] if episode and episode.actions]
        return [first for first in firsts if first.state is ActionState.QUEUED or first.looks_again]

    def _next_due(self) -> datetime | None:
        return min((max(head.not_before, self.now) for head in self._heads()), default=None)


def _with(episode: Episode, action: Action) -> Episode:
    return replace(episode, actions=tuple(action if a.id == action.id else a for a in episode.actions))


def alert(key: str = "a", severity: str = "critical", status: str = "firing", **more: object) -> Event:
    """Make an alert of the service that the rules of these tests are about."""
    started = more.pop("started", START)
    labels = {"service": "checkout", "severity": severity, **more.pop("labels", {})}  # type: ignore[dict-item]
    return Event(
        source="alerts",
        kind="alert",
        key=key,
        status=Status(status),
        severity=severity,
        labels=labels,
        started_at=started,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )
