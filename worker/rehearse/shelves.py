"""
What a ledger in memory holds, and where each thing of it is found: plain dictionaries.

What belongs here: keeping things, and giving one by its name, whole. ``memory`` and ``questions`` ask for the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from worker.core.concerns import Mailbox, Standing
from worker.core.drift import Sweep
from worker.core.model import (
    Action,
    ActionState,
    Attempt,
    Beat,
    Episode,
    Flag,
    Inbound,
    Member,
    Notice,
    Signal,
    SignalId,
    Window,
)
from worker.errors import LedgerUnavailable
from worker.ports import Commit, Decision, Heard


@dataclass(slots=True)
class Kept:
    inbound: Inbound
    state: str
    statements: int
    unparsed: int
    detail: str = ""


class Shelves:
    """
    Args:
        most_pending: How many inbounds may wait for react before more are refused.
    """

    def __init__(self, *, most_pending: int = 100_000) -> None:
        self.most_pending = most_pending
        self.closed = False
        self._lock = threading.RLock()
        self._inbounds: dict[int, Kept] = {}
        self._pending: dict[int, Inbound] = {}
        self._forgotten = 0
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
        self._taken: set[int] = set()
        self._memos: dict[str, Standing | Mailbox] = {}
        self._revisions: dict[str, Mapping[str, Any]] = {}
        self._flags: dict[tuple[str, str], Flag] = {}

    def close(self) -> None:
        self.closed = True

    def _check_open(self) -> None:
        if self.closed:
            raise LedgerUnavailable("the ledger is closed")

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

    def _put(self, action: Action, commit: Commit) -> None:
        self._index(action)
        if action.state is not ActionState.SENDING:
            self._leases.pop(action.id, None)
        elif commit.lease is not None:
            self._leases[action.id] = commit.now + commit.lease
        if action.state is ActionState.DONE:
            self._said.setdefault(action.id, commit.now)

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

    def get(self, episode_id: str) -> Episode | None:
        with self._lock:
            episode = self._episodes.get(episode_id)
            return episode and self._whole(episode)

    def window(self, window_id: str) -> Window | None:
        with self._lock:
            window = self._windows.get(window_id)
            return window and self._whole_window(window)

    def attempts(self, action_id: str) -> Sequence[Attempt]:
        with self._lock:
            return [attempt for _, attempt in sorted(self._attempts.get(action_id, {}).items())]

    def own_updates(self, remote_id: str) -> frozenset[str]:
        with self._lock:
            return frozenset(self._posts_on.get(remote_id, ()))

    def _whole(self, episode: Episode) -> Episode:
        return replace(episode, members=self._joined(episode.id), actions=tuple(self._unsettled(episode.id)))

    def _joined(self, aggregate: str) -> Mapping[SignalId, Member]:
        return {
            key: Member(signal=self._signals[key], joined_at=joined_at, cleared=cleared)
            for key, (joined_at, cleared) in self._members[aggregate].items()
        }

    def _unsettled(self, aggregate: str) -> list[Action]:
        return [action for _, action in sorted(self._unsettled_of.get(aggregate, {}).items())]

    def _chosen(self, windows: Iterable[Window]) -> list[Window]:
        return [self._whole_window(window) for window in by_start(windows)]

    def _whole_window(self, window: Window) -> Window:
        return replace(window, members=self._joined(window.id), actions=tuple(self._unsettled(window.id)))


def by_start(windows: Iterable[Window]) -> list[Window]:
    return sorted(windows, key=lambda window: (window.starts_at, window.id))
