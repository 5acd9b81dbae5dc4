"""
What the dashboard and the reading part of the API show: asked of the ledger and of the rules in force, as data.

Every view takes its data from here, and JSON and HTML show the same. This file may not know HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Protocol

from worker.core.answers import asked
from worker.core.breaker import BOTH, shut
from worker.core.model import (
    PAUSE,
    UNMATCHED,
    ActionState,
    ComponentStatus,
    Episode,
    Phase,
    Window,
    WindowPhase,
    WindowStatus,
)
from worker.core.ruleset import EventWindowPlan, IncidentPlan, RelayPlan, RuleSet
from worker.ports import Clock, Footprints, HistoryLine, Queries, Span, Switches, Windows
from worker.telling.data import (
    ActionData,
    DriftData,
    InboundData,
    StatementData,
    WindowData,
    action_data,
    drift_data,
    inbound_data,
    statement_data,
    window_data,
)

WAITING = (ActionState.AWAITING_APPROVAL, ActionState.HELD, ActionState.PARKED)
UNDER_WAY = (ActionState.QUEUED, ActionState.SENDING, ActionState.UNKNOWN)
LIVE = tuple(phase for phase in Phase if phase.live)
DAY = timedelta(days=1)
MOST = 200
"""How many of anything an overview names."""


class Book(Queries, Windows, Switches, Footprints, Protocol):
    """What is read of the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """
    A page as its provider is known to have it.

    Args:
        name: What the public calls it; "" while that is not known.
        url: Where the public reads it, or "".
        wrong: What is not as the rules say, or "".
    """

    name: str = ""
    url: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentNow:
    """What a component is said to be, as far as we know; ``because``: ids of the episodes and windows that say so."""

    name: str
    status: str
    because: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNow:
    """
    How a page stands, as far as we know.

    Args:
        paused: By whom and why nothing is written to it, or "".
        unmatched: Why nothing is written before the ledger was matched with it, or "".
        drift: Where it is not as the ledger believes, by the last comparison.
        breaker: Why it is asked now and then only: it does not answer, or denies our key; or "".
    """

    page: str
    name: str
    url: str
    publish: str
    wrong: str
    paused: str
    paused_since: datetime | None
    unmatched: str
    breaker: str
    drift: Sequence[DriftData]
    components: Sequence[ComponentNow]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeNow:
    """
    An episode that is not over.

    Args:
        title: What the page calls its incident; "" while it has none.
        since: When the first of its signals began to fire.
        firing: How many signals fire.
        says: The status of its incident on the page; null while it has none.
        waits: States of its posts that are not settled.
    """

    id: str
    rule: str
    number: int
    group: Mapping[str, str]
    page: str
    phase: str
    title: str
    since: datetime
    opened_at: datetime | None
    firing: int
    says: str | None
    components: Mapping[str, str]
    hands_off: bool
    fault: str
    waits: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How long posts took from the decision to the page, within a day: seconds; null where there were none."""

    posts: int
    median: float | None
    worst: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How everything stands now."""

    at: datetime
    pages: Sequence[PageNow]
    episodes: Sequence[EpisodeNow]
    windows: Sequence[WindowData]
    waiting: Sequence[ActionData]
    under_way: Sequence[ActionData]
    parked_webhooks: Sequence[InboundData]
    lag: Lag
    rules_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleNow:
    """
    A rule or an entry of ``maintenance``, and what came of it.

    Args:
        kind: "incident", "relay" or "maintenance".
        place: ``file:line:col``.
        episodes: How many episodes or windows there were of it.
        last_at: When a page last got a post of it.
        fault: Why it could not be followed the last time, in something that is not over, or "".
    """

    id: str
    kind: str
    place: str
    hash: str
    pages: Sequence[str]
    episodes: int
    live: int
    posts: int
    last_at: datetime | None
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesNow:
    """The rules in force; ``warnings``: of ``check``."""

    hash: str
    rules: Sequence[RuleNow]
    warnings: Sequence[str]


class Desk:
    """
    Args:
        rules: Gives those in force.
        pages: Gives what is known of each page of the rules.
        called: Gives what the public calls a window.
    """

    def __init__(
        self,
        book: Book,
        *,
        rules: Callable[[], RuleSet],
        pages: Callable[[], Mapping[str, Resolved]],
        called: Callable[[Window], str],
        clock: Clock,
    ) -> None:
        self.book = book
        self.clock = clock
        self._rules = rules
        self._pages = pages
        self._called = called
        self._spans: dict[timedelta, tuple[datetime, Sequence[Span]]] = {}

    # -- all at once

    def overview(self) -> Overview:
        """Tell how everything stands."""
        now = self.clock()
        live = self.book.episodes(phases=LIVE, limit=MOST)
        windows = self.book.windows(now - DAY)
        return Overview(
            at=now,
            pages=self.pages(live, windows),
            episodes=[_episode(each) for each in sorted(live, key=lambda e: (e.phase is Phase.HELD, e.created_at))],
            windows=[window_data(window, self._called(window)) for window in windows],
            waiting=[action_data(line) for line in self.book.history(states=WAITING, limit=MOST)],
            under_way=[action_data(line) for line in self.book.history(states=UNDER_WAY, limit=MOST)],
            parked_webhooks=[
                inbound_data(each) for each in self.book.inbounds(states=("parked",), since=now - DAY, limit=MOST)
            ],
            lag=_lag(self.activity(DAY)),
            rules_hash=self._rules().hash,
        )

    def pages(self, live: Sequence[Episode], windows: Sequence[Window]) -> Sequence[PageNow]:
        """Tell how each page of the rules stands."""
        resolved = self._pages()
        breakers = {found.page: found.told for found in map(shut, self.book.flags(*BOTH))}
        pauses = {flag.page: flag for flag in self.book.flags(PAUSE)}
        unmatched = {flag.page: flag.value or "" for flag in self.book.flags(UNMATCHED)}
        found = []
        for name, config in self._rules().pages.items():
            pause = pauses.get(name) or pauses.get("")
            known = resolved.get(name, Resolved())
            found.append(
                PageNow(
                    page=name,
                    name=known.name or config.page,
                    url=known.url,
                    publish=config.publish.value,
                    wrong=known.wrong,
                    paused=(pause.value or "") if pause else "",
                    paused_since=pause.at if pause else None,
                    unmatched=unmatched.get(name, ""),
                    breaker=breakers.get(name, ""),
                    drift=[drift_data(name, each) for each in self.book.sweep(name).found],
                    components=_components(name, config.components, live, windows),
                )
            )
        return found

    def windows(self, since: datetime) -> Sequence[WindowData]:
        """Tell of the windows that are not over, or ended after *since*, the earliest first."""
        return [window_data(*each) for each in self.titled(since)]

    def titled(self, since: datetime) -> Iterable[tuple[Window, str]]:
        """Give the same as they are kept, each with what the public calls it."""
        return [(window, self._called(window)) for window in self.book.windows(since)]

    def activity(self, length: timedelta) -> Sequence[Span]:
        """Count what happened lately, in stretches that a chart can show; as it was up to half a minute ago."""
        now = self.clock()
        step = next(step for step in _STEPS if length / step <= MOST_BARS)
        made = self._spans.get(length)
        if made is None or not timedelta() <= now - made[0] < _FRESH:
            start = now - (now - _EPOCH) % step + step - length
            made = self._spans[length] = (now, self.book.activity(start, step, start + length))
        return made[1]

    # -- rules

    def rules(self) -> RulesNow:
        """Tell of every rule in force what came of it."""
        rules, counts = self._rules(), self.book.rule_counts()
        faults = {e.rule_id: e.fault for e in self.book.episodes(phases=LIVE, limit=MOST) if e.fault}
        faults |= {w.plan_id: w.fault for w in self.book.windows(self.clock()) if w.fault}
        told = [(r.id, r.identity, _KINDS[type(r.plan)], r.place, r.hash, r.plan.pages) for r in rules.rules]
        told += [(e.id, e.id, "maintenance", e.place, e.hash, e.pages) for e in rules.maintenance]
        return RulesNow(
            hash=rules.hash,
            warnings=rules.warnings,
            rules=[
                RuleNow(
                    id=rule_id,
                    kind=kind,
                    place=place,
                    hash=digest,
                    pages=pages,
                    episodes=count.episodes if (count := counts.get(identity)) else 0,
                    live=count.live if count else 0,
                    posts=count.posts if count else 0,
                    last_at=count.last_at if count else None,
                    fault=faults.get(identity, ""),
                )
                for rule_id, identity, kind, place, digest, pages in told
            ],
        )

    def explanation(self, seq: int) -> Sequence[StatementData] | None:
        """Tell what every rule in force makes of an inbound; None where there is none."""
        story = self.book.inbound(seq)
        if story is None:
            return None
        return [statement_data(each) for each in asked(self._rules(), [heard.event for heard in story.heard])]

    # -- one post

    def action(self, action_id: str) -> tuple[HistoryLine, Episode | Window] | None:
        """Give one post, and what it belongs to; None where there is no such post."""
        story = self.book.story(action_id.rpartition("/")[0])
        line = next((line for line in story.actions if line.action.id == action_id), None) if story else None
        return (line, story.about) if story and line else None


_KINDS: Mapping[type, str] = {IncidentPlan: "incident", RelayPlan: "relay", EventWindowPlan: "maintenance"}
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_FRESH = timedelta(seconds=30)
_STEPS = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 180, 360, 720, 1440))
MOST_BARS = 96


def _components(
    page: str, names: Mapping[str, object], live: Sequence[Episode], windows: Sequence[Window]
) -> Sequence[ComponentNow]:
    """Each component is as bad as the worst that is said of it; where nothing is, it is operational."""
    said: dict[str, list[tuple[ComponentStatus, str]]] = {name: [] for name in names}
    for episode in live:
        if episode.page == page and episode.known is not None:
            for name, status in episode.known.components.items():
                said.setdefault(name, []).append((status, episode.id))
    for window in windows:
        if window.page == page and window.known is WindowStatus.IN_PROGRESS and window.phase is WindowPhase.IN_PROGRESS:
            for name in window.components:
                said.setdefault(name, []).append((ComponentStatus.UNDER_MAINTENANCE, window.id))
    return [
        ComponentNow(
            name=name,
            status=max((status for status, _ in each), key=lambda s: s.rank, default=ComponentStatus.OPERATIONAL).value,
            because=[about for status, about in each if status is not ComponentStatus.OPERATIONAL],
        )
        for name, each in said.items()
    ]


def _episode(episode: Episode) -> EpisodeNow:
    known = episode.known
    return EpisodeNow(
        id=episode.id,
        rule=episode.rule_id,
        number=episode.number,
        group=dict(episode.group),
        page=episode.page,
        phase=episode.phase.value,
        title=episode.known_name,
        since=episode.held_since,
        opened_at=episode.opened_at,
        firing=sum(member.firing for member in episode.members.values()),
        says=known.incident_status.value if known else None,
        components={name: status.value for name, status in known.components.items()} if known else {},
        hands_off=episode.hands_off,
        fault=episode.fault,
        waits=[action.state.value for action in episode.actions],
    )


def _lag(spans: Sequence[Span]) -> Lag:
    lags = [lag for span in spans for lag in span.lags]
    posts = sum(span.published for span in spans)
    return Lag(posts=posts, median=median(lags) if lags else None, worst=max(lags, default=None))
