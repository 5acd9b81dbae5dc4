"""
Inbox → signals, episodes, windows and their actions.

A batch of inbounds is folded in memory, in order of receipt, and submitted as one commit. A conflict means that
somebody else was there first: everything is read and decided again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from worker.core import windows
from worker.core.drafts import Verdict
from worker.core.episodes import decide
from worker.core.event_windows import begun
from worker.core.matching import Match
from worker.core.matching import Verdict as MatchVerdict
from worker.core.membership import Heard as HeardStatements
from worker.core.membership import Item
from worker.core.model import (
    Action,
    Beat,
    Episode,
    Event,
    Inbound,
    Notice,
    Severity,
    SharedPost,
    Signal,
    SignalId,
    Status,
    Unreadable,
    Window,
    episode_key,
)
from worker.core.rulebook import RuleBook
from worker.core.ruleset import EventWindowPlan
from worker.core.signals import Change, settle
from worker.core.window_drafts import WindowVerdict
from worker.errors import Conflict, EvaluationFailed, LedgerUnavailable, PayloadNotUnderstood
from worker.ports import (
    Clock,
    Commit,
    Committer,
    Decision,
    Episodes,
    Handled,
    Heard,
    Inbox,
    Meter,
    Statement,
    Windows,
    caused_by,
)

MOST_CONFLICTS = 5

Normalise = Callable[[Inbound], Sequence[Statement]]
"""Reads the statements out of a recorded inbound; raises PayloadNotUnderstood where its source is gone or changed."""


class React:
    """
    Args:
        book: Gives the rules in force.
        normalise: See ``Normalise``.
        shared: Called where a source said that a post was made on a page; never triggers a rule.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        episodes: Episodes,
        windows: Windows,
        committer: Committer,
        book: Callable[[], RuleBook],
        normalise: Normalise,
        clock: Clock,
        meter: Meter,
        shared: Callable[[], None] = lambda: None,
    ) -> None:
        self._shared = shared
        self._inbox = inbox
        self._episodes = episodes
        self._windows = windows
        self._committer = committer
        self._book = book
        self._normalise = normalise
        self._clock = clock
        self._meter = meter

    def run_once(self, limit: int = 64) -> int:
        """
        React to the oldest inbounds.

        Returns:
            How many were handled; 0: there was no work.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        batch = self._inbox.pending(limit)
        if batch:
            self._react(batch)
        return len(batch)

    def _react(self, batch: Sequence[Inbound]) -> None:
        try:
            self._fold_and_commit(batch)
        except (Conflict, LedgerUnavailable):
            raise
        except Exception as bug:
            if len(batch) > 1:
                for inbound in batch:
                    self._react([inbound])
                return
            self._park(batch[0], bug)

    def _fold_and_commit(self, batch: Sequence[Inbound]) -> None:
        for remaining in reversed(range(MOST_CONFLICTS)):
            now = self._clock()
            fold = Fold(self._book(), self._episodes, self._windows, now, self._windows.muting(now))
            fold.take([(inbound, self._read(inbound)) for inbound in batch])
            try:
                self._committer.commit(fold.commit())
            except Conflict:
                self._meter.count("conflicts", step="react")
                if not remaining:
                    raise
                waiting = {inbound.seq for inbound in self._inbox.pending(len(batch))}
                batch = [inbound for inbound in batch if inbound.seq in waiting]
                continue
            self._meter.count("events", by=fold.events)
            if fold.shared:
                self._shared()
            return

    def _read(self, inbound: Inbound) -> Sequence[Statement] | PayloadNotUnderstood:
        try:
            return self._normalise(inbound)
        except PayloadNotUnderstood as failed:
            return failed

    def _park(self, inbound: Inbound, bug: Exception) -> None:
        """A fault of ours must not stop the inbounds behind: keep this one, tell, go on."""
        why = f"internal fault: {type(bug).__name__}"
        handled = Handled(seq=inbound.seq, state="parked", detail=why)
        self._committer.commit(Commit(now=self._clock(), handled=[handled], notices=[_parked(inbound, why)]))
        self._meter.count("faults", step="react")


@dataclass(slots=True)
class _Line:
    """One line of episodes or windows: its newest one as it is by now."""

    key: str
    rule_identity: str
    page: str
    group: Mapping[str, str]
    of_windows: bool = False
    episode: Episode | None = None
    window: Window | None = None


@dataclass(slots=True)
class Fold:
    """
    Takes a batch of inbounds into account, in memory.

    Args:
        book: The rules in force.
        ledger: Read once per batch, in a few queries.
        maintenance: Likewise.
        now: Aware, UTC.
        muting: The maintenance windows that mute.
    """

    book: RuleBook
    ledger: Episodes
    maintenance: Windows
    now: datetime
    muting: Sequence[Window] = ()
    events: int = 0
    shared: int = 0
    _signals: dict[SignalId, Signal] = field(default_factory=dict)
    _changed_signals: dict[SignalId, Signal] = field(default_factory=dict)
    _lines: dict[str, _Line] = field(default_factory=dict)
    _joined: dict[SignalId, set[str]] = field(default_factory=dict)
    _matches: dict[tuple[int, int], list[Match]] = field(default_factory=dict)
    _episodes: dict[str, Episode] = field(default_factory=dict)
    _windows: dict[str, Window] = field(default_factory=dict)
    _actions: dict[str, Action] = field(default_factory=dict)
    _handled: list[Handled] = field(default_factory=list)
    _heard: list[Heard] = field(default_factory=list)
    _decisions: list[Decision] = field(default_factory=list)
    _notices: list[Notice] = field(default_factory=list)
    _wakes: set[tuple[str, str]] = field(default_factory=set)
    _known_beats: Mapping[str, Beat] | None = None
    _new_beats: dict[str, Beat] = field(default_factory=dict)
    _revisions: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def take(self, batch: Sequence[tuple[Inbound, Sequence[Statement] | PayloadNotUnderstood]]) -> None:
        """Take inbounds in order of receipt; ``commit`` then tells what came of them."""
        self._read(batch)
        for inbound, statements in batch:
            if isinstance(statements, PayloadNotUnderstood):
                self._close(inbound, [str(statements)])
                continue
            unread = [f"not understood: {s.why}" for s in statements if isinstance(s, Unreadable)]
            self._take_one(inbound, [s for s in statements if isinstance(s, Event)], unread)

    def commit(self) -> Commit:
        """Give everything that changed."""
        return Commit(
            now=self.now,
            handled=self._handled,
            heard=self._heard,
            signals=list(self._changed_signals.values()),
            episodes=list(self._episodes.values()),
            windows=list(self._windows.values()),
            actions=list(self._actions.values()),
            decisions=self._decisions,
            notices=self._notices,
            wakes=sorted(self._wakes),
            beats=list(self._new_beats.values()),
            revisions=self._revisions,
        )

    # -- reading, all at once

    def _read(self, batch: Sequence[tuple[Inbound, Sequence[Statement] | PayloadNotUnderstood]]) -> None:
        ids: set[SignalId] = set()
        for inbound, statements in batch:
            if isinstance(statements, PayloadNotUnderstood):
                continue
            self.shared += sum(isinstance(each, SharedPost) for each in statements)
            for position, event in enumerate(s for s in statements if isinstance(s, Event)):
                self.events += 1
                ids.add((event.source, event.key))
                if event.status is Status.FIRING:
                    self._matches[inbound.seq, position] = self.book.index.matches(event)
                elif event.whole_scope:
                    ids.update(signal.id for signal in self.ledger.scope(event.source, event.scope))
        self._signals.update(self.ledger.signals(ids))
        for episode in self.ledger.joined(ids):
            key = episode_key(episode.rule_id, episode.page, episode.group)
            self._adopt(_Line(key, episode.rule_id, episode.page, episode.group, episode=episode), episode.members)
        for window in self.maintenance.joined_windows(ids):
            line = _Line(window.line, window.plan_id, window.page, window.group, of_windows=True, window=window)
            self._adopt(line, window.members)
        self._read_lines()

    def _adopt(self, line: _Line, members: Iterable[SignalId]) -> None:
        self._lines[line.key] = line
        for signal_id in members:
            self._joined.setdefault(signal_id, set()).add(line.key)

    def _read_lines(self) -> None:
        for matches in self._matches.values():
            for match in matches:
                identity, of_windows = match.rule.identity, isinstance(match.rule.plan, EventWindowPlan)
                for page in self._pages(match):
                    key = episode_key(identity, page, match.group)
                    self._lines.setdefault(key, _Line(key, identity, page, match.group, of_windows))
        unread = [key for key, line in self._lines.items() if line.episode is None and not line.of_windows]
        for key, episode in self.ledger.latest(unread).items():
            self._lines[key].episode = episode
        unread = [key for key, line in self._lines.items() if line.window is None and line.of_windows]
        for key, window in self.maintenance.latest_windows(unread).items():
            self._lines[key].window = window

    @staticmethod
    def _pages(match: Match) -> Collection[str]:
        return match.rule.plan.pages if match.verdict is MatchVerdict.MATCHED else ()

    # -- one inbound

    def _take_one(self, inbound: Inbound, events: Sequence[Event], unread: Sequence[str]) -> None:
        items: dict[str, list[Item]] = {}
        faults = [*unread]
        for position, event in enumerate(events):
            self._listen(inbound, event)
            changes = self._settle(inbound, event)
            matches = self._matches.get((inbound.seq, position), [])
            if changes and changes[0][1] is Change.NEWS:
                faults += [f"rule `{m.rule.id}`: {m.error}" for m in matches if m.verdict is not MatchVerdict.MATCHED]
            for signal, change in changes:
                for key, item in self._concerned(event, signal, change, matches):
                    items.setdefault(key, []).append(item)
            self._heard.append(
                Heard(
                    inbound_seq=inbound.seq,
                    position=position,
                    event=event,
                    effect=changes[0][1] if changes else Change.REMARK,
                )
            )
        cause = caused_by(inbound)
        for line in sorted((self._lines[key] for key in items), key=self._precedence):
            decided = self._move if line.of_windows else self._decide
            faults += decided(line, items[line.key], cause)
        self._close(inbound, faults)

    def _precedence(self, line: _Line) -> tuple[bool, int]:
        """Those that mute, or that others yield to, come first, so that what came together is known together."""
        return (not line.of_windows, self.book.rank(line.rule_identity))

    def _listen(self, inbound: Inbound, event: Event) -> None:
        if event.source in self.book.canaries:
            beat = self.book.heard(event, inbound.received_at, self._beats())
            if beat is not None:
                self._new_beats[event.source] = beat

    def _beats(self) -> Mapping[str, Beat]:
        """As the ledger's, and with what was heard in this batch."""
        if self._known_beats is None:
            self._known_beats = self.ledger.beats()
        return {**self._known_beats, **self._new_beats}

    def _settle(self, inbound: Inbound, event: Event) -> list[tuple[Signal, Change]]:
        if event.whole_scope:
            return self._settle_scope(inbound, event)
        signal, change = settle(self._signals.get((event.source, event.key)), event, inbound.received_at, inbound.seq)
        if signal is None:
            return []
        self._keep(signal, change)
        return [(signal, change)]

    def _settle_scope(self, inbound: Inbound, event: Event) -> list[tuple[Signal, Change]]:
        """A whole group is over: so is every signal of it that is not listed."""
        changes = []
        for known in list(self._signals.values()):
            if known.event.source == event.source and known.event.scope == event.scope and known.firing:
                over = replace(known.event, status=Status.RESOLVED)
                signal, change = settle(known, over, inbound.received_at, inbound.seq)
                if signal is not None:
                    self._keep(signal, change)
                    changes.append((signal, change))
        return changes

    def _keep(self, signal: Signal, change: Change) -> None:
        if change is Change.NEWS:
            self._signals[signal.id] = signal
            self._changed_signals[signal.id] = signal

    def _concerned(
        self, event: Event, signal: Signal, change: Change, matches: Sequence[Match]
    ) -> list[tuple[str, Item]]:
        """Name the lines of episodes that a statement reaches: those that it belongs to, and those that want it."""
        wanted = {
            episode_key(match.rule.identity, page, match.group): match
            for match in matches
            for page in self._pages(match)
        }
        doubtful = {m.rule.identity for m in matches if m.verdict is not MatchVerdict.MATCHED}
        found = []
        for key in sorted(self._joined.get(signal.id, set()) | wanted.keys()):
            line = self._lines[key]
            told: bool | None = key in wanted
            if not told and line.rule_identity in doubtful:
                told = None
            elif not told and signal.firing and line.episode is not None and line.episode.phase.live:
                told = self.book.keeps(line.episode, event, self.ledger.revision)
            found.append((key, Item(event=event, signal=signal, change=change, matches=told)))
        return found

    def _decide(self, line: _Line, items: Sequence[Item], cause: str) -> list[str]:
        rule = self.book.followed_by(line.episode, self.ledger.revision) if line.episode else None
        if line.episode is None or not line.episode.phase.live:
            rule = self.book.current(line.rule_identity) or rule
        context = self.book.context(rule, line.page, self._live, self.muting, self._beats, self.now)
        heard = HeardStatements(items=items, cause=cause)
        verdict = decide(line.episode, heard, context, self.now, key=line.key, group=line.group)
        self._accept(line, verdict, cause)
        return [f"rule `{line.rule_identity}`: {verdict.fault}"] if verdict.fault else []

    def _move(self, line: _Line, items: Sequence[Item], cause: str) -> list[str]:
        rule = self.book.current(line.rule_identity)
        window = line.window if line.window is not None and line.window.phase.live else None
        try:
            if window is None and rule is not None:
                window = begun(line.key, line.window, rule, line.page, line.group, items, self.now)
        except EvaluationFailed as fault:
            return [f"rule `{line.rule_identity}`: {fault}"]
        if window is None:
            return []
        context = self.book.window_context(window, self.ledger.revision, self._firing)
        verdict = windows.decide(window, HeardStatements(items=items, cause=cause), context, self.now)
        if verdict.changed or not window.version:
            self._accept_window(line, window, verdict, cause)
        return [f"rule `{line.rule_identity}`: {verdict.fault}"] if verdict.fault else []

    def _accept_window(self, line: _Line, before: Window, verdict: WindowVerdict, cause: str) -> None:
        window = verdict.window
        if windows.unmutes(before, window):
            self._wakes.add(("", window.page))
        others = [each for each in self.muting if each.id != window.id]
        self.muting = [*others, window] if windows.mutes(window, self.now) else others
        line.window = window
        self._windows[window.id] = window
        self._follow_up(line, window, verdict, cause)
        self._revisions.update(self.book.revision(window.plan_hash))

    def _firing(self, sources: Collection[str]) -> Sequence[Signal]:
        """As the ledger's, and with what was heard in this batch."""
        known = {signal.id: signal for signal in self.ledger.firing(sources)} | self._changed_signals
        return [each for each in known.values() if each.firing and (not sources or each.event.source in sources)]

    def _live(self, identities: Collection[str], page: str) -> bool:
        """As the ledger's, and with what has begun in this batch."""
        begun = (e for e in self._episodes.values() if e.rule_id in identities and e.page == page)
        return any(episode.phase.live for episode in begun) or self.ledger.live(identities, page)

    def _accept(self, line: _Line, verdict: Verdict, cause: str) -> None:
        episode = verdict.episode
        if episode is None or not verdict.changed:
            return
        self._wakes.update(self.book.woken(line.episode, episode))
        line.episode = episode
        self._episodes[episode.id] = episode
        self._follow_up(line, episode, verdict, cause)
        self._revisions.update(self.book.revision(episode.rule_hash))

    def _follow_up(self, line: _Line, subject: Episode | Window, verdict: Verdict | WindowVerdict, cause: str) -> None:
        for signal_id in subject.members:
            self._joined.setdefault(signal_id, set()).add(line.key)
        self._actions.update((action.id, action) for action in verdict.actions)
        self._decisions += [Decision(aggregate=subject.id, at=self.now, cause=cause, text=text) for text in verdict.log]
        self._notices += verdict.notices

    def _close(self, inbound: Inbound, faults: Sequence[str]) -> None:
        if not faults:
            self._handled.append(Handled(seq=inbound.seq))
            return
        why = "; ".join(dict.fromkeys(faults))[:1000]
        self._handled.append(Handled(seq=inbound.seq, state="parked", detail=why))
        self._notices.append(_parked(inbound, why))


def _parked(inbound: Inbound, why: str) -> Notice:
    return Notice(code="inbound_parked", subject=f"inbound {inbound.seq}", text=why, severity=Severity.ERROR)
