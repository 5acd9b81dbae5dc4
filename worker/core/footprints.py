"""
What was written to an object on a page, held against what the page shows of it: whose post is it, and what is there?

Pure. Nothing is decided here; ``core.drift`` compares, ``core.episodes`` and ``core.windows`` decide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Attempt,
    ComponentStatus,
    Directory,
    Episode,
    IncidentStatus,
    RemoteIncident,
    RemoteUpdate,
    Window,
)

LOOKED_FOR = (ActionKind.OPEN_INCIDENT, ActionKind.SCHEDULE_MAINTENANCE)
"""Creates whose object stays on the page for a while, so that it can be found there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """
    All that an episode or a window wrote, or may have written, to its object on the page.

    Args:
        actions: All of them, the oldest first, settled or not.
        attempts: Of all of them.
        own: The page's ids of every post that we are known to have made on the object, for whatever episode.
    """

    subject: Episode | Window
    actions: tuple[Action, ...]
    attempts: tuple[Attempt, ...]
    own: frozenset[str]

    @property
    def in_flight(self) -> bool:
        """Whether something of ours may be on its way, or be on the page without our knowing."""
        return any(action.state in (ActionState.SENDING, ActionState.UNKNOWN) for action in self.subject.actions)

    def shows_all(self, now: datetime, settle: timedelta) -> bool:
        """Say whether our last write is so old that the page must show it by now, if it ever will."""
        ends = (attempt.finished_at or attempt.started_at for attempt in self.attempts)
        return all(end + settle <= now for end in ends)

    def strangers(self, shown: RemoteIncident) -> tuple[RemoteUpdate, ...]:
        """
        Give the posts that are a person's: not ours, not there before we first wrote, and no copy of ours that came
        late.
        """
        seen = self.subject.accepted.union(*(attempt.baseline for attempt in self.attempts))
        return tuple(post for post in self.by_people(shown) if post.id not in seen)

    def by_people(self, shown: RemoteIncident) -> tuple[RemoteUpdate, ...]:
        """Give the posts that are a person's, whenever they were made."""
        return tuple(post for post in shown.updates if post.id not in self.own and self.copied(post) is None)

    def copied(self, post: RemoteUpdate) -> Action | None:
        """Give the action that we once sent, where a post that is not known to be ours came of it."""
        if post.id in self.own or post.id in self.subject.accepted:
            return None
        before = {attempt.action_id: attempt.baseline for attempt in reversed(self.attempts)}
        alike = (action for action in self.actions if action.id in before and bears(action, post))
        return next((action for action in alike if post.id not in before[action.id]), None)


def normal(text: str) -> str:
    """Give a text as pages may store it: line ends, outer blanks and the composition of characters do not count."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()


def bears(action: Action, post: RemoteUpdate) -> bool:
    """Say whether a post has the status and the words of an action."""
    status = action.incident_status or action.content.window_status
    same_status = status is None or post.status == status
    return same_status and bool(action.content.message) and normal(post.message) == normal(action.content.message)


def echoes(action: Action, shown: RemoteIncident) -> bool:
    """Say whether an object bears a create's name and text; a window, whose texts recur, its name and times."""
    if action.kind not in LOOKED_FOR or normal(shown.name) != normal(action.content.title):
        return False
    if shown.starts_at is not None:
        return (shown.starts_at, shown.ends_at) == (action.content.starts_at, action.content.ends_at)
    return any(bears(action, post) for post in shown.updates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    What the page shows of the object of an episode or window, read while nothing of ours was on its way.

    Args:
        shown: None: the page has no such object any more.
        strangers: Those of its posts that are a person's.
        current: The page must show our last write by now, so that what it does not show is not there.
    """

    shown: RemoteIncident | None
    strangers: tuple[RemoteUpdate, ...] = ()
    current: bool = True

    def takeover(self, known_name: str, *, guest: bool = False) -> str:
        """
        Say what a person has done to it, for people; "" where nothing tells of one.

        Args:
            guest: It is somebody else's, who may do there as they like, as long as it stays open.
        """
        if self.shown is None:
            return "it was deleted" if self.current else ""
        if guest:
            return "it was resolved" if self.shown.status == IncidentStatus.RESOLVED else ""
        if self.strangers:
            return f"update {self.strangers[0].id} is not ours"
        if self.current and known_name and normal(self.shown.name) != normal(known_name):
            return "it was renamed"
        return ""


def observed(footprint: Footprint, shown: RemoteIncident | None, settle: timedelta, now: datetime) -> Observed:
    """
    Hold what the page shows against what was written.

    Args:
        settle: How long after a write the page may not show it yet.
        now: When the page was asked.
    """
    strangers = footprint.strangers(shown) if shown is not None else ()
    return Observed(shown=shown, strangers=strangers, current=footprint.shows_all(now, settle))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """
    What the page shows of the object of an episode or window, where the ledger may be older than the page: what is
    there is taken over, and nobody is asked who said it.

    Args:
        shown: None: the page has no such object any more.
        unknown: Those of its posts that the ledger knows nothing of, the oldest first.
        components: What is said last of our components, where it is said of all that a name means.
    """

    shown: RemoteIncident | None
    unknown: tuple[RemoteUpdate, ...] = ()
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)


def matched(footprint: Footprint, shown: RemoteIncident | None, directory: Directory) -> Matched:
    """Hold what the page shows against a ledger that may be older."""
    if shown is None:
        return Matched(shown=None)
    words = {each: word for post in shown.updates for each, word in post.components.items()}
    said = {each: word for each, word in words.items() if word in list(ComponentStatus)}
    components = {
        name: max((ComponentStatus(said[each]) for each in directory.components[name]), key=lambda status: status.rank)
        for name in named(said, directory)
    }
    seen = footprint.own.union(footprint.subject.accepted, *(attempt.baseline for attempt in footprint.attempts))
    unknown = tuple(post for post in shown.updates if post.id not in seen)
    return Matched(shown=shown, unknown=unknown, components=components)


def named(remote_ids: Collection[str], directory: Directory) -> Iterable[str]:
    """Give our names of the components that are wholly among *remote_ids*."""
    return (name for name, ids in directory.components.items() if ids and set(ids) <= set(remote_ids))
