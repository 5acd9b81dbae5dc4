"""
A ledger in memory: the same ports, plain dictionaries, and gone with the process.

It keeps the same contract as the real ones (``tests/contract/test_ledger.py``); what is documented in ``ports`` is not
repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from worker.core.brakes import Posted
from worker.core.model import (
    PAUSE,
    UNMATCHED,
    UNREADABLE,
    UNWRITABLE,
    Action,
    ActionKind,
    ActionState,
    Beat,
    Episode,
    Flag,
    Inbound,
    Signal,
    SignalId,
    Window,
)
from worker.core.retry import BREAKER
from worker.core.windows import mutes
from worker.errors import Conflict, Overloaded
from worker.ports import (
    EVERY_KIND,
    LONGEST_PAUSE,
    UNBRAKED,
    Commit,
    Entry,
    Recorded,
)
from worker.rehearse.questions import Questions
from worker.rehearse.shelves import Kept, by_start

URGENT = (ActionKind.RESOLVE_INCIDENT, ActionKind.START_MAINTENANCE, ActionKind.COMPLETE_MAINTENANCE)


class MemoryLedger(Questions):
    """Implements every port of a ledger."""

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
                kept = self._inbounds[seq] = Kept(
                    replace(entry.inbound, seq=seq), state, entry.statements, entry.unparsed
                )
                if state == "pending":
                    self._pending[seq] = kept.inbound
        done(Recorded(first, duplicate=first != seq))

    def pending(self, limit: int) -> Sequence[Inbound]:
        with self._lock:
            return list(islice(self._pending.values(), limit))

    def forget_bodies(self) -> None:
        """Let go of the bodies that were reacted to: nobody here asks for them again, and they are most of it."""
        with self._lock:
            newest = len(self._inbounds)
            for seq in range(self._forgotten + 1, newest + 1):
                if seq in self._inbounds and seq not in self._pending:
                    kept = self._inbounds[seq]
                    kept.inbound = replace(kept.inbound, body=b"")
            self._forgotten = newest

    # -- commits

    def commit(self, commit: Commit) -> None:
        with self._lock:
            self._check_open()
            self._check(commit)
            self._apply(commit)

    def _check(self, commit: Commit) -> None:
        for handled in commit.handled:
            if handled.seq not in self._inbounds or self._inbounds[handled.seq].state != handled.was:
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
        for memo in commit.memos:
            known = self._memos.get(memo.name)
            if memo.version != (known.version if known is not None else 0):
                raise Conflict("a memo was changed meanwhile")
        if not self._taken.isdisjoint(commit.taken):
            raise Conflict("a notice was taken meanwhile")
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
            self._pending.pop(handled.seq, None)
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
        for memo in commit.memos:
            self._memos[memo.name] = replace(memo, version=memo.version + 1)
        self._taken.update(commit.taken)
        for action in commit.actions:
            self._put(action, commit)
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

    # -- windows

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
            return by_start(window for window in self._stirring.values() if mutes(window, now))

    def due_windows(self, now: datetime, limit: int) -> Sequence[Window]:
        with self._lock:
            due = self._chosen(w for w in self._stirring.values() if w.wake_at is not None and w.wake_at <= now)
        return sorted(due, key=lambda window: (window.wake_at, window.id))[:limit]

    def next_window_wake(self) -> datetime | None:
        with self._lock:
            return min((w.wake_at for w in self._stirring.values() if w.wake_at is not None), default=None)

    # -- outbox

    def claim(
        self, now: datetime, lease: timedelta, pages: Collection[str], kinds: Collection[ActionKind] = EVERY_KIND
    ) -> Action | None:
        with self._lock:
            ready = [a for a in self._heads() if a.page in pages and a.kind in kinds and self._free(a, now)]
            ready = [a for a in ready if not self.paused(a.page) and self._turn(a, now) <= now]
            if not ready:
                return None
            first = min(ready, key=lambda a: (a.looks_again, a.kind not in URGENT, a.created_at, a.aggregate, a.seq))
            self._leases[first.id] = now + lease
            for flag in self._breakers(first):
                self._flags[flag.name, flag.page] = replace(flag, at=now + BREAKER)
            return first

    def _breakers(self, action: Action) -> list[Flag]:
        names = (UNREADABLE,) if action.reads_back else (UNREADABLE, UNWRITABLE)
        return [self._flags[name, action.page] for name in names if (name, action.page) in self._flags]

    def _turn(self, action: Action, now: datetime) -> datetime:
        return max((flag.at for flag in self._breakers(action) if now < flag.at <= now + BREAKER), default=now)

    def paused(self, page: str) -> bool:
        with self._lock:
            return any((name, each) in self._flags for name in (PAUSE, UNMATCHED) for each in (page, ""))

    def release(self, action_id: str, not_before: datetime) -> None:
        with self._lock:
            self._leases.pop(action_id, None)
            self._index(replace(self._actions[action_id], not_before=not_before))

    def next_due(self, now: datetime) -> datetime | None:
        with self._lock:
            due = (max(self._free_at(head), self._turn(head, now)) for head in self._heads())
            earliest = min(due, default=None)
            return earliest and max(earliest, now)

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

    def made(self, remote_id: str) -> bool:
        with self._lock:
            done = [a for a in self._actions.values() if a.kind.creates and a.state is ActionState.DONE]
        return any(action.remote_id == remote_id for action in done)

    def unsettled_creates(self, page: str) -> Sequence[Action]:
        in_flight = (ActionState.SENDING, ActionState.UNKNOWN)
        with self._lock:
            waiting = (action for own in self._unsettled_of.values() for action in own.values())
            creates = [action for action in waiting if action.kind.creates and action.page == page]
        unknown = [a for a in creates if a.sends or a.state in in_flight]
        return sorted(unknown, key=lambda a: (a.created_at, a.id))

    def _heads(self) -> list[Action]:
        heads = (own[min(own)] for own in self._unsettled_of.values())
        return [action for action in heads if action.workable]

    def _free(self, action: Action, now: datetime) -> bool:
        doubtful = now + LONGEST_PAUSE
        due = action.not_before <= now or (action.not_before > doubtful and action.kind in UNBRAKED)
        return due and not now < self._leases.get(action.id, now) <= doubtful

    def _free_at(self, action: Action) -> datetime:
        return max(action.not_before, self._leases.get(action.id, action.not_before))


def _version(stored: Signal | Episode | Window | None) -> int:
    return stored.version if stored else 0


def _stirs(window: Window, now: datetime) -> bool:
    """Whether a window may still do something by itself, or keeps something back."""
    return window.phase.live or window.wake_at is not None or mutes(window, now)
