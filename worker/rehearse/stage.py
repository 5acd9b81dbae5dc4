"""
The whole pipeline without threads, on a clock that stands still until it is moved.

Real: the rules, the sources, the steps, and what they decide. In memory: the ledger and the pages. Every alarm on the
way rings at its time, so that a hundred days pass in seconds and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from worker.core.commands import Command
from worker.core.model import Inbound, Notice
from worker.core.rulebook import RuleBook
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Channel, Commit, Decision, Heard, Recorded, Source, Statement
from worker.rehearse.memory import MemoryLedger
from worker.rehearse.page import RehearsalPage
from worker.steps.advance import Advance
from worker.steps.command import Commands
from worker.steps.deliver import Deliver
from worker.steps.intake import Endpoint, understood
from worker.steps.observe import AFTER_DUE, Observe
from worker.steps.react import React

WATCH = timedelta(minutes=1)
"""How long after a person did something to a page the worker looks at it, as its settings have it."""

REPLAN = timedelta(hours=12)
"""How often windows are planned; a worker does it every minute, and never less than a day ahead."""

MOST_ROUNDS = 10_000
"""How often there may be work at one time; beyond, a fault of ours goes round in circles."""


@dataclass(slots=True)
class Stage:
    """
    One rehearsal.

    Args:
        book: The rules to play; ``use`` changes them, as a reload does.
        endpoints: How each source is read; secrets are not needed.
        now: Aware, UTC; where the clock stands.
        heed: Told of every commit.
    """

    book: RuleBook
    endpoints: Mapping[str, Endpoint]
    now: datetime
    heed: Callable[[Commit], None] = lambda commit: None
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    pages: dict[str, RehearsalPage] = field(default_factory=dict)
    notices: list[tuple[datetime, Notice]] = field(default_factory=list)
    decisions: dict[str, list[Decision]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    _channels: dict[str, Channel] = field(default_factory=dict)
    _looks: dict[str, datetime] = field(default_factory=dict)
    _read: tuple[tuple[str, bytes, datetime], Sequence[Statement]] | None = None
    _plan_at: datetime = field(init=False)
    _at_rest: datetime | None = None
    _react: React = field(init=False)
    _advance: Advance = field(init=False)
    _deliver: Deliver = field(init=False)
    _observe: Observe = field(init=False)
    _commands: Commands = field(init=False)

    def __post_init__(self) -> None:
        ledger, self._plan_at = self.ledger, self.now
        common: dict[str, Any] = {
            "episodes": ledger,
            "windows": ledger,
            "committer": self,
            "book": lambda: self.book,
            "clock": self.clock,
            "meter": self,
        }
        on_pages: dict[str, Any] = {**common, "footprints": ledger, "channels": lambda: self._channels}
        self._react = React(inbox=ledger, normalise=self._statements, **common)
        self._advance = Advance(replan=REPLAN, **common)
        self._deliver = Deliver(outbox=ledger, switches=ledger, **on_pages)
        self._commands = Commands(
            switches=ledger,
            queries=ledger,
            provider=self.pages.__getitem__,
            **{**common, "footprints": ledger},
        )
        self._observe = Observe(every=timedelta(), switches=ledger, **on_pages)
        self.use(self.book)

    def use(self, book: RuleBook) -> None:
        """Put other rules in force; pages that are known already stay as they are."""
        self.book, self._at_rest = book, None
        for name, config in book.rules.pages.items():
            page = self.pages.setdefault(name, RehearsalPage(config, self.clock))
            self._channels[name] = Channel(page, page.directory, config.settle)

    def clock(self) -> datetime:
        """Give the time."""
        return self.now

    # -- what happens

    def receive(self, inbound: Inbound) -> int:
        """
        A body arrives at the time that it bears; give its place in the inbox.

        It is taken as authentic: senders are proven elsewhere.
        """
        self.until(inbound.received_at)
        endpoint = self.endpoints[inbound.source]
        entry = understood(Endpoint(endpoint.config, _Remembering(endpoint.source, self._remember), ()), inbound)
        places: list[int] = []

        def done(answer: Recorded | Exception) -> None:
            assert isinstance(answer, Recorded)
            places.append(answer.seq)

        self.ledger.record(entry, done)
        self._at_rest = None
        self.settle()
        return places[0]

    def order(self, command: Command) -> None:
        """
        A person asks for something.

        Raises:
            CommandRefused: It makes no sense now.
            NotFound: It is about nothing that there is.
        """
        self._commands.run(command)
        self._at_rest = None
        self.settle()

    def watch(self, page: str) -> None:
        """Somebody has done something to a page: the worker sees it when it looks the next time."""
        self._at_rest = None
        self._looks.setdefault(page, self.now + WATCH)

    def until(self, end: datetime) -> None:
        """Let time pass; whatever is due on the way happens at its time."""
        self.settle()
        while (at := self._next()) is not None and at <= end:
            self.now = max(at, self.now)
            self.settle()
        if end > self.now:
            self.now = end
            self.settle()

    def settle(self) -> None:
        """Let everything happen that is due."""
        if self._at_rest == self.now:
            return
        if self.now >= self._plan_at:
            self._plan_at = self.now + REPLAN
        for name, page in self.pages.items():
            if page.move():
                self._looks.setdefault(name, self.now + AFTER_DUE)
        for _ in range(MOST_ROUNDS):
            if not (self._react.run_once() or self._advance.run_once() or self._deliver.run_once() or self._look()):
                self._at_rest = self.now
                return
        raise RuntimeError("there is always something to do")

    def _look(self) -> int:
        due = [page for page, at in self._looks.items() if at <= self.now]
        for page in due:
            del self._looks[page]
            until = self.pages[page].unreachable_until
            if until is not None and until > self.now:
                self._looks[page] = until
            else:
                self._observe.run_once(page)
        return len(due)

    def _next(self) -> datetime | None:
        ledger = self.ledger
        alarms = (ledger.next_wake(), ledger.next_window_wake(), ledger.next_due(self.now), self._plan_at)
        moves = (page.next_move for page in self.pages.values())
        ahead = [at for at in (*alarms, *self._looks.values(), *moves) if at is not None and at > self.now]
        return min(ahead, default=None)

    # -- what the steps ask for

    def commit(self, commit: Commit) -> None:
        """See ``ports.Committer``."""
        self.ledger.commit(commit)
        self.notices += [(commit.now, notice) for notice in commit.notices]
        for decision in commit.decisions:
            self.decisions.setdefault(decision.aggregate, []).append(decision)
        self.heard += commit.heard
        self.heed(commit)

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """See ``ports.Meter``; nothing is counted."""

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """See ``ports.Meter``; nothing is measured."""

    def _statements(self, inbound: Inbound) -> Sequence[Statement]:
        if self._read is not None and self._read[0] == _name(inbound):
            return self._read[1]  # it was read when it arrived, a moment ago
        endpoint = self.endpoints.get(inbound.source)
        if endpoint is None:
            raise PayloadNotUnderstood(f"source `{inbound.source}` is not configured")
        return endpoint.source.normalise(inbound, endpoint.config)

    def _remember(self, inbound: Inbound, statements: Sequence[Statement]) -> None:
        self._read = _name(inbound), statements


def _name(inbound: Inbound) -> tuple[str, bytes, datetime]:
    return inbound.source, inbound.body, inbound.received_at


class _Remembering:
    """A source that hands on what it has read."""

    def __init__(self, source: Source, tell: Callable[[Inbound, Sequence[Statement]], None]) -> None:
        self._source = source
        self._tell = tell
        self.kind = source.kind
        self.schemes = source.schemes
        self.event_kinds = source.event_kinds

    def verify(self, inbound: Inbound, auth: AuthConfig, secrets: Sequence[str], now: datetime) -> None:
        """See ``ports.Source``."""
        self._source.verify(inbound, auth, secrets, now)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """See ``ports.Source``."""
        statements = self._source.normalise(inbound, config)
        self._tell(inbound, statements)
        return statements

    def delivery_id(self, inbound: Inbound) -> str:
        """See ``ports.Source``."""
        return self._source.delivery_id(inbound)
