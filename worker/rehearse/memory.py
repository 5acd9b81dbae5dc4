"""
A ledger in memory: the same ports, plain dictionaries, and gone with the process.

It keeps the same contract as the real ones (``tests/contract/test_ledger.py``); what is documented in ``ports`` is not
repeated here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from worker.core.brakes import Posted
from worker.core.drift import Sweep, counted
from worker.core.footprints import Footprint
from worker.core.model import (
    PAUSE,
    Action,
    ActionKind,
    ActionState,
    Attempt,
    Beat,
    Episode,
    Flag,
    Inbound,
    Member,
    Notice,
    Phase,
    Severity,
    Signal,
    SignalId,
    Window,
    WindowPhase,
)
from worker.core.windows import mutes
from worker.errors import Conflict, LedgerUnavailable, Overloaded
from worker.ports import (
    EVERY_KIND,
    Commit,
    Decision,
    Entry,
    Heard,
    HistoryLine,
    InboundStory,
    Received,
    Recorded,
    Story,
)

URGENT = (ActionKind.RESOLVE_INCIDENT, ActionKind.START_MAINTENANCE, ActionKind.COMPLETE_MAINTENANCE)


@dataclass(slots=True)
class _Kept:
    inbound: Inbound
    state: str
    statements: int
    unparsed: int
    detail: str = ""


class MemoryLedger:
    """Implements Committer, Inbox, Episodes, Windows, Outbox, Switches and Queries."""

    def __init__(self, *, most_pending: int = 100_000) -> None:
        self.most_pending = most_pending
        self.closed = False
        self._lock = threading.RLock()
        self._inbounds: dict[int, _Kept] = {}
        self._pending: dict[int, Inbound] = {}
        self._deliveries: dict[tuple[str, str], int] = {}
        self._signals: dict[SignalId, Signal] = {}
        self._episodes: dict[str, Episode] = {}
        self._windows: dict[str, Window] = {}
        self._stirring: dict[str, Window] = {}
        self._newest_in: dict[str, Window] = {}
        self._sweeps: dict[str, Sweep] = {}
        self._members: dict[str, dict[SignalId, tuple[datetime, bool]]] = {}
        self._newest: dict[str, str] = {}
        self._live: dict[str, None] = {}
        self._waking: dict[str, datetime] = {}
        self._actions: dict[str, Action] = {}
        self._actions_of: dict[str, dict[str, Action]] = {}
        self._unsettled_of: dict[str, dict[int, Action]] = {}
        self._posts_on: dict[str, set[str]] = {}
        self._leases: dict[str, datetime] = {}
        self._said: dict[str, datetime] = {}
        self._attempts: dict[str, dict[int, Attempt]] = {}
        self._heard: list[tuple[datetime, datetime, Heard]] = []
        self._decisions: list[Decision] = []
        self._beats: dict[str, Beat] = {}
        self._notices: list[tuple[datetime, Notice]] = []
        self._revisions: dict[str, Mapping[str, Any]] = {}
        self._flags: dict[tuple[str, str], Flag] = {}

    def close(self) -> None:
        self.closed = True

    # -- inbox

    def record(self, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        with self._lock:
            self._check_open()
            if len(self._pending) >= self.most_pending:
                raise Overloaded("too many inbounds wait")
            seq = len(self._inbounds) + 1
            first = seq
            if entry.delivery is not None:
                first = self._deliveries.setdefault((entry.inbound.source, entry.delivery), seq)
            if first == seq:
                state = "pending" if entry.statements or entry.unparsed else "done"
                kept = self._inbounds[seq] = _Kept(
                    replace(entry.inbound, seq=seq), state, entry.statements, entry.unparsed
                )
                if state == "pending":
                    self._pending[seq] = kept.inbound
        done(Recorded(first, duplicate=first != seq))

    def pending(self, limit: int) -> Sequence[Inbound]:
        with self._lock:
            return list(islice(self._pending.values(), limit))

    # -- commits

    def commit(self, commit: Commit) -> None:
        with self._lock:
            self._check_open()
            self._check(commit)
            self._apply(commit)

    def _check_open(self) -> None:
        if self.closed:
            raise LedgerUnavailable("the ledger is closed")

    def _check(self, commit: Commit) -> None:
        for handled in commit.handled:
            if handled.seq not in self._pending:
                raise Conflict("an inbound was handled meanwhile")
        for signal in commit.signals:
            if signal.version != _version(self._signals.get(signal.id)):
                raise Conflict("a signal was changed meanwhile")
        for episode in commit.episodes:
            if episode.version != _version(self._episodes.get(episode.id)):
                raise Conflict("an episode was changed meanwhile")
        for window in commit.windows:
            if window.version != _version(self._windows.get(window.id)):
                raise Conflict("a window was changed meanwhile")
        for sweep in commit.sweeps:
            if sweep.version != self.sweep(sweep.page).version:
                raise Conflict("a sweep was changed meanwhile")
        new = {signal.id for signal in commit.signals}
        aggregates: list[Episode | Window] = [*commit.episodes, *commit.windows]
        members = (key for each in aggregates for key in each.members)
        if any(key not in self._signals and key not in new for key in members):
            raise ValueError("a member's signal is not known")
        added = {action.id for action in commit.actions}
        if any(each.action_id not in self._actions and each.action_id not in added for each in commit.attempts):
            raise ValueError("an attempt's action is not known")

    def _apply(self, commit: Commit) -> None:
        for handled in commit.handled:
            taken = self._inbounds[handled.seq]
            taken.state, taken.detail = handled.state, handled.detail
            del self._pending[handled.seq]
        for signal in commit.signals:
            self._signals[signal.id] = replace(signal, version=signal.version + 1)
        for episode in commit.episodes:
            self._keep(replace(episode, version=episode.version + 1, members={}, actions=()))
            joined = self._members.setdefault(episode.id, {})
            joined.update({key: (member.joined_at, member.cleared) for key, member in episode.members.items()})
        for window in commit.windows:
            self._keep_window(replace(window, version=window.version + 1, members={}, actions=()))
            joined = self._members.setdefault(window.id, {})
            joined.update({key: (member.joined_at, member.cleared) for key, member in window.members.items()})
        for at_rest in [w.id for w in self._stirring.values() if not _stirs(w, commit.now)]:
            del self._stirring[at_rest]
        for sweep in commit.sweeps:
            self._sweeps[sweep.page] = replace(sweep, version=sweep.version + 1)
        for action in commit.actions:
            self._put(action, commit.now)
        for attempt in commit.attempts:
            self._attempts.setdefault(attempt.action_id, {})[attempt.number] = attempt
        for heard in commit.heard:
            kept = self._inbounds.get(heard.inbound_seq)
            self._heard.append((kept.inbound.received_at if kept else commit.now, commit.now, heard))
        self._decisions += commit.decisions
        self._beats.update((beat.source, beat) for beat in commit.beats)
        self._notices += [(commit.now, notice) for notice in commit.notices]
        for flag in commit.flags:
            self._flags.pop((flag.name, flag.page), None)
            if flag.value is not None:
                self._flags[flag.name, flag.page] = flag
        self._revisions = {**commit.revisions, **self._revisions}
        for rule_id, page in set(commit.wakes):
            self._wake(rule_id, page, commit.now)

    def _keep(self, episode: Episode) -> None:
        self._episodes[episode.id] = episode
        key = episode.id.rpartition("#")[0]
        if key not in self._newest or self._episodes[self._newest[key]].number < episode.number:
            self._newest[key] = episode.id
        if episode.phase.live:
            self._live[episode.id] = None
        else:
            self._live.pop(episode.id, None)
        if episode.wake_at is not None:
            self._waking[episode.id] = episode.wake_at
        else:
            self._waking.pop(episode.id, None)

    def _keep_window(self, window: Window) -> None:
        self._windows[window.id] = self._stirring[window.id] = window
        if window.line and window.number >= self._newest_in.get(window.line, window).number:
            self._newest_in[window.line] = window

    def _put(self, action: Action, now: datetime) -> None:
        self._index(action)
        if action.state is not ActionState.SENDING:
            self._leases.pop(action.id, None)
        if action.state is ActionState.DONE:
            self._said.setdefault(action.id, now)

    def _index(self, action: Action) -> None:
        self._actions[action.id] = action
        self._actions_of.setdefault(action.aggregate, {})[action.id] = action
        unsettled = self._unsettled_of.setdefault(action.aggregate, {})
        if not action.state.settled:
            unsettled[action.seq] = action
        else:
            unsettled.pop(action.seq, None)
        if not unsettled:
            del self._unsettled_of[action.aggregate]
        if action.remote_id and action.update_id:
            self._posts_on.setdefault(action.remote_id, set()).add(action.update_id)

    def _wake(self, rule_id: str, page: str, now: datetime) -> None:
        for episode in [self._episodes[each] for each in self._live]:
            if rule_id in ("", episode.rule_id) and episode.page == page:
                wake_at = min(episode.wake_at or now, now)
                self._keep(replace(episode, wake_at=wake_at, version=episode.version + 1))

    # -- episodes

    def signals(self, ids: Collection[SignalId]) -> Mapping[SignalId, Signal]:
        with self._lock:
            return {key: self._signals[key] for key in ids if key in self._signals}

    def scope(self, source: str, scope: str) -> Sequence[Signal]:
        with self._lock:
            return [
                signal
                for _, signal in sorted(self._signals.items())
                if signal.firing and (signal.event.source, signal.event.scope) == (source, scope)
            ]

    def firing(self, sources: Collection[str]) -> Sequence[Signal]:
        with self._lock:
            found = [signal for _, signal in sorted(self._signals.items()) if signal.firing]
            return [signal for signal in found if not sources or signal.event.source in sources]

    def latest(self, keys: Collection[str]) -> Mapping[str, Episode]:
        with self._lock:
            return {key: self._whole(self._episodes[self._newest[key]]) for key in keys if key in self._newest}

    def joined(self, ids: Collection[SignalId]) -> Sequence[Episode]:
        with self._lock:
            found = [self._episodes[each] for each in self._live if not self._members[each].keys().isdisjoint(ids)]
            return [self._whole(e) for e in sorted(found, key=lambda e: (e.created_at, e.id))]

    def get(self, episode_id: str) -> Episode | None:
        with self._lock:
            episode = self._episodes.get(episode_id)
            return episode and self._whole(episode)

    def due(self, now: datetime, limit: int) -> Sequence[Episode]:
        with self._lock:
            due = sorted((at, key) for key, at in self._waking.items() if at <= now)
            return [self._whole(self._episodes[key]) for _, key in due[:limit]]

    def next_wake(self) -> datetime | None:
        with self._lock:
            return min(self._waking.values(), default=None)

    def beats(self) -> Mapping[str, Beat]:
        with self._lock:
            return dict(self._beats)

    def live(self, rule_ids: Collection[str], page: str) -> bool:
        with self._lock:
            live = (self._episodes[each] for each in self._live)
            return any(episode.rule_id in rule_ids and episode.page == page for episode in live)

    def revision(self, rule_hash: str) -> Mapping[str, Any] | None:
        with self._lock:
            return self._revisions.get(rule_hash)

    def _whole(self, episode: Episode) -> Episode:
        return replace(episode, members=self._joined(episode.id), actions=tuple(self._unsettled(episode.id)))

    def _joined(self, aggregate: str) -> Mapping[SignalId, Member]:
        return {
            key: Member(signal=self._signals[key], joined_at=joined_at, cleared=cleared)
            for key, (joined_at, cleared) in self._members[aggregate].items()
        }

    def _unsettled(self, aggregate: str) -> list[Action]:
        return [action for _, action in sorted(self._unsettled_of.get(aggregate, {}).items())]

    # -- windows

    def window(self, window_id: str) -> Window | None:
        with self._lock:
            window = self._windows.get(window_id)
            return window and self._whole_window(window)

    def windows(self, since: datetime) -> Sequence[Window]:
        with self._lock:
            return self._chosen(w for w in self._windows.values() if w.phase.live or w.ends_at > since)

    def latest_windows(self, lines: Collection[str]) -> Mapping[str, Window]:
        with self._lock:
            return {line: self._whole_window(self._newest_in[line]) for line in lines if line in self._newest_in}

    def joined_windows(self, ids: Collection[SignalId]) -> Sequence[Window]:
        with self._lock:
            live = [window for window in self._stirring.values() if window.phase.live]
            found = self._chosen(window for window in live if not self._members[window.id].keys().isdisjoint(ids))
        return sorted(found, key=lambda window: (window.created_at, window.id))

    def muting(self, now: datetime) -> Sequence[Window]:
        with self._lock:
            return _by_start(window for window in self._stirring.values() if mutes(window, now))

    def due_windows(self, now: datetime, limit: int) -> Sequence[Window]:
        with self._lock:
            due = self._chosen(w for w in self._stirring.values() if w.wake_at is not None and w.wake_at <= now)
        return sorted(due, key=lambda window: (window.wake_at, window.id))[:limit]

    def next_window_wake(self) -> datetime | None:
        with self._lock:
            return min((w.wake_at for w in self._stirring.values() if w.wake_at is not None), default=None)

    def _chosen(self, windows: Iterable[Window]) -> list[Window]:
        return [self._whole_window(window) for window in _by_start(windows)]

    def _whole_window(self, window: Window) -> Window:
        return replace(window, members=self._joined(window.id), actions=tuple(self._unsettled(window.id)))

    # -- outbox

    def claim(
        self, now: datetime, lease: timedelta, pages: Collection[str], kinds: Collection[ActionKind] = EVERY_KIND
    ) -> Action | None:
        with self._lock:
            ready = [a for a in self._heads() if a.page in pages and a.kind in kinds and self._free_at(a) <= now]
            ready = [a for a in ready if not self.paused(a.page)]
            if not ready:
                return None
            first = min(ready, key=lambda a: (a.looks_again, a.kind not in URGENT, a.created_at, a.aggregate, a.seq))
            self._leases[first.id] = now + lease
            return first

    def paused(self, page: str) -> bool:
        with self._lock:
            return (PAUSE, page) in self._flags or (PAUSE, "") in self._flags

    def release(self, action_id: str, not_before: datetime) -> None:
        with self._lock:
            self._leases.pop(action_id, None)
            self._index(replace(self._actions[action_id], not_before=not_before))

    def next_due(self, now: datetime) -> datetime | None:
        with self._lock:
            earliest = min(map(self._free_at, self._heads()), default=None)
            return earliest and max(earliest, now)

    def attempts(self, action_id: str) -> Sequence[Attempt]:
        with self._lock:
            return [attempt for _, attempt in sorted(self._attempts.get(action_id, {}).items())]

    def own_updates(self, remote_id: str) -> frozenset[str]:
        with self._lock:
            return frozenset(self._posts_on.get(remote_id, ()))

    def posted(self, page: str, since: datetime, now: datetime) -> Sequence[Posted]:
        with self._lock:
            found = []
            for action_id, at in reversed(self._said.items()):
                if at < since:
                    break
                found.append(Posted(action=self._actions[action_id], at=at))
            waiting = (action for own in self._unsettled_of.values() for action in own.values())
            in_flight = (ActionState.SENDING, ActionState.UNKNOWN)
            under_way = (a for a in waiting if a.state in in_flight or self._leases.get(a.id, now) > now)
            found += [Posted(action=each, at=each.not_before) for each in under_way]
        ours = [each for each in found if each.action.page == page]
        return sorted(ours, key=lambda each: (each.action.created_at, each.action.id))

    def unsettled_creates(self, page: str) -> Sequence[Action]:
        in_flight = (ActionState.SENDING, ActionState.UNKNOWN)
        with self._lock:
            waiting = (action for own in self._unsettled_of.values() for action in own.values())
            creates = [action for action in waiting if action.kind.creates and action.page == page]
        unknown = [a for a in creates if a.sends or a.state in in_flight]
        return sorted(unknown, key=lambda a: (a.created_at, a.id))

    # -- footprints

    def footprint(self, aggregate: str) -> Footprint | None:
        with self._lock:
            subject = self.get(aggregate) or self.window(aggregate)
            return self._footprint(subject) if subject else None

    def footprints(self, page: str, since: datetime) -> Sequence[Footprint]:
        with self._lock:
            acted = {
                a.aggregate
                for a in self._actions.values()
                if a.page == page and (a.created_at > since or not a.state.settled)
            }
            subjects: list[Episode | Window] = [self._whole(e) for e in self._episodes.values()]
            subjects += self._chosen(self._windows.values())
            chosen = [s for s in subjects if s.page == page and (s.phase.live or s.id in acted)]
            return [self._footprint(subject) for subject in sorted(chosen, key=lambda subject: subject.id)]

    def sweep(self, page: str) -> Sweep:
        with self._lock:
            return self._sweeps.get(page, Sweep(page=page))

    def _footprint(self, subject: Episode | Window) -> Footprint:
        actions = sorted(self._actions_of.get(subject.id, {}).values(), key=lambda a: a.seq)
        own = self.own_updates(subject.remote_id) if subject.remote_id else frozenset()
        attempts = tuple(attempt for action in actions for attempt in self.attempts(action.id))
        return Footprint(subject=subject, actions=tuple(actions), attempts=attempts, own=own)

    def _heads(self) -> list[Action]:
        heads = (own[min(own)] for own in self._unsettled_of.values())
        return [action for action in heads if action.workable]

    def _free_at(self, action: Action) -> datetime:
        return max(action.not_before, self._leases.get(action.id, action.not_before))

    # -- queries

    def history(
        self,
        *,
        page: str = "",
        rule_id: str = "",
        states: Collection[ActionState] = (),
        since: datetime | None = None,
        limit: int = 100,
    ) -> Sequence[HistoryLine]:
        with self._lock:
            lines = [
                line
                for line in self._lines(self._actions.values())
                if page in ("", line.action.page)
                and rule_id in ("", line.rule_id)
                and (not states or line.action.state in states)
                and (since is None or line.action.created_at >= since)
            ]
        by_time = sorted(lines, key=lambda line: (line.action.created_at, line.episode, line.action.seq), reverse=True)
        return by_time[:limit]

    def inbounds(
        self,
        *,
        source: str = "",
        states: Collection[str] = (),
        unparsed: bool = False,
        since: datetime | None = None,
        limit: int = 100,
    ) -> Sequence[Received]:
        with self._lock:
            found = [
                _received(kept)
                for kept in reversed(self._inbounds.values())
                if source in ("", kept.inbound.source)
                and (not states or kept.state in states)
                and (kept.unparsed or not unparsed)
                and (since is None or kept.inbound.received_at >= since)
            ]
        return found[:limit]

    def inbound(self, seq: int) -> InboundStory | None:
        with self._lock:
            kept = self._inbounds.get(seq)
            lines = sorted((h for *_, h in self._heard if h.inbound_seq == seq), key=lambda line: line.position)
        return InboundStory(received=_received(kept), inbound=kept.inbound, heard=lines) if kept else None

    def story(self, reference: str) -> Story | None:
        with self._lock:
            called = [e for e in self._episodes.values() if f"{e.rule_id}#{e.number}" == reference]
            episode = self._episodes.get(reference) or (called[0] if len(called) == 1 else None)
            return None if episode is None else self._story(self._whole(episode))

    def totals(self) -> Mapping[str, int]:
        with self._lock:
            states = Counter(kept.state for kept in self._inbounds.values())
            phases = Counter(e.phase for e in self._episodes.values())
            windows = Counter(w.phase for w in self._windows.values())
            actions = Counter(a.state for a in self._actions.values())
            done = Counter(a.kind for a in self._actions.values() if a.state is ActionState.DONE)
            drifts = [drift for sweep in self._sweeps.values() for drift in sweep.found]
            firing = sum(signal.firing for signal in self._signals.values())
        return {
            "inbounds": sum(states.values()),
            **{f"inbounds_{state}": states[state] for state in ("pending", "parked")},
            "inbounds_unparsed": sum(k.state == "parked" and k.unparsed > 0 for k in self._inbounds.values()),
            "events": len(self._heard),
            "signals_firing": firing,
            "pauses": len(self.flags(PAUSE)),
            **{f"episodes_{phase}": phases[phase] for phase in Phase},
            **{f"windows_{phase}": windows[phase] for phase in WindowPhase},
            **{f"actions_{state}": actions[state] for state in ActionState},
            **{f"actions_done_{kind}": done[kind] for kind in ActionKind},
            **{f"drift_{kind}": count for kind, count in counted(drifts).items()},
        }

    def notices(
        self, limit: int = 100, *, since: datetime | None = None, severity: Severity = Severity.INFO
    ) -> Sequence[tuple[datetime, Notice]]:
        with self._lock:
            told = [(at, n) for at, n in self._notices if n.severity >= severity and (since is None or at >= since)]
        return told[::-1][:limit]

    def flags(self, name: str) -> Sequence[Flag]:
        with self._lock:
            return [flag for key, flag in sorted(self._flags.items()) if key[0] == name]

    def sending(self, page: str = "") -> Sequence[str]:
        with self._lock:
            under_way = [a for a in self._actions.values() if a.state is ActionState.SENDING]
        return sorted(action.id for action in under_way if page in ("", action.page))

    def _story(self, episode: Episode) -> Story:
        own = sorted(self._actions_of.get(episode.id, {}).values(), key=lambda a: a.seq)
        until = episode.ended_at
        heard = [
            (at, line)
            for at, noted_at, line in self._heard
            if (member := episode.members.get((line.event.source, line.event.key)))
            and noted_at >= member.joined_at
            and (until is None or noted_at <= until)
        ]
        return Story(
            episode=episode,
            heard=heard,
            decisions=[d for d in self._decisions if d.aggregate == episode.id],
            actions=list(self._lines(own)),
            attempts=[attempt for action in own for attempt in self.attempts(action.id)],
        )

    def _lines(self, actions: Iterable[Action]) -> Iterable[HistoryLine]:
        for action in actions:
            episode, window = self._episodes.get(action.aggregate), self._windows.get(action.aggregate)
            yield HistoryLine(
                action=action,
                episode=action.aggregate,
                rule_id=episode.rule_id if episode else window.plan_id if window else "",
                number=episode.number if episode else 0,
                group=episode.group if episode else {},
                said_at=self._said.get(action.id),
                update_id=action.update_id,
                attempts=action.tries,
            )


def _received(kept: _Kept) -> Received:
    return Received(
        seq=kept.inbound.seq,
        source=kept.inbound.source,
        received_at=kept.inbound.received_at,
        state=kept.state,
        detail=kept.detail,
        statements=kept.statements,
        unparsed=kept.unparsed,
        size=len(kept.inbound.body),
    )


def _version(stored: Signal | Episode | Window | None) -> int:
    return stored.version if stored else 0


def _stirs(window: Window, now: datetime) -> bool:
    """Whether a window may still do something by itself, or keeps something back."""
    return window.phase.live or window.wake_at is not None or mutes(window, now)


def _by_start(windows: Iterable[Window]) -> list[Window]:
    return sorted(windows, key=lambda window: (window.starts_at, window.id))
