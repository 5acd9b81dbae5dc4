"""
The look at the page that goes before each write and follows each of which nothing is known: what it settles.

Everything here only reads. What follows from a look, and whether anything is sent, ``deliver`` and ``decide`` say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from worker.core.actions import KEPT_UPDATES
from worker.core.footprints import LOOKED_FOR, bears, echoes, normal
from worker.core.model import (
    Action,
    ActionKind,
    Attempt,
    Directory,
    IncidentStatus,
    Origin,
    Outcome,
    Post,
    RemoteIncident,
    RemoteUpdate,
    Result,
    Window,
    WindowStatus,
)
from worker.ports import DEADLINE, Channel, Clock, Footprints, Outbox, Provider

BETWEEN_READS = timedelta(seconds=10)

_THEIRS_IS_OVER = {True: Result.GONE, False: Result.PERSON}
"""By whether we have yet to say a first word on it."""


class Look:
    """
    What the page shows, held against what the ledger knows of our own posts.

    Args:
        even_since: Since when the clock has run evenly; a span that begins before that may have any length.

    Every method raises ProviderUnavailable where the page could not be read.
    """

    def __init__(
        self, outbox: Outbox, footprints: Footprints, clock: Clock, even_since: Callable[[], datetime]
    ) -> None:
        self._outbox = outbox
        self._footprints = footprints
        self._clock = clock
        self._even_since = even_since

    def outcome(self, action: Action, result: Result, detail: str) -> Outcome:
        """Make the outcome of a look."""
        return Outcome(action_id=action.id, result=result, at=self._clock(), detail=detail)

    # -- before a write

    def before_create(self, action: Action, channel: Channel, directory: Directory) -> Outcome | None:
        """Say what keeps a create from being sent: the page has it, or has somebody else's on the same components."""
        if action.kind not in LOOKED_FOR:
            return None
        ongoing = _listed(action, channel.provider, directory)
        echo = self._own_echo(action, ongoing)
        if echo is not None:
            return self._bound(action, echo)
        if action.bypass_existing or action.kind.of_window:
            return None
        foreign = self._foreign(action, ongoing, directory)
        if foreign is None:
            return None
        theirs = self.outcome(action, Result.FOREIGN, f"`{foreign.name}` is open on the page")
        return replace(theirs, foreign=foreign.id)

    def before_update(self, action: Action, shown: RemoteIncident, channel: Channel) -> Outcome | None:
        """Say what keeps an update from being sent: the object is not ours alone any more, or takes hardly any more."""
        return self._not_ours(action, shown) or self._full(action, shown, channel)

    def _full(self, action: Action, shown: RemoteIncident, channel: Channel) -> Outcome | None:
        """Only the page knows how many updates its incident has: people post, too."""
        room, most = room_of(shown, channel), channel.provider.most_updates
        kept = 1 if action.approved_by else KEPT_UPDATES
        if action.kind is not ActionKind.UPDATE_INCIDENT or action.post is Post.RESOLVE or room > kept:
            return None
        full = self.outcome(action, Result.FULL, f"the incident has {len(shown.updates)} of {most} updates")
        return replace(full, room=room)

    def _not_ours(self, action: Action, shown: RemoteIncident) -> Outcome | None:
        if action.guest:
            result = _THEIRS_IS_OVER[action.post is Post.OPEN]
            over = shown.status == IncidentStatus.RESOLVED
            return self.outcome(action, result, f"`{shown.name}` is over") if over else None
        footprint = self._footprints.footprint(action.aggregate)
        if footprint is None or isinstance(footprint.subject, Window):
            return None  # who moves a window, and when, is decided on all that its page shows
        strangers = footprint.strangers(shown)
        return self.outcome(action, Result.PERSON, f"update {strangers[0].id} is not ours") if strangers else None

    def missing_object(self, action: Action) -> Outcome:
        """Say what it means that the page does not have what is to be written to; maybe it was to be deleted."""
        result = Result.DONE if action.kind is ActionKind.CANCEL_MAINTENANCE else Result.REFUSED
        if action.guest:
            result = _THEIRS_IS_OVER[action.post is Post.OPEN]
        return self.outcome(action, result, "the page has no such object any more")

    def _foreign(
        self, action: Action, ongoing: Sequence[RemoteIncident], directory: Directory
    ) -> RemoteIncident | None:
        ours = {remote for name in action.content.components for remote in directory.components.get(name, ())}
        unsettled = [create for create in self._outbox.unsettled_creates(action.page) if create.id != action.id]
        for incident in ongoing:
            if not incident.component_ids & ours or self._outbox.made(incident.id):
                continue
            if not any(echoes(create, incident) for create in unsettled):
                return incident
        return None

    # -- after a write of which nothing is known

    def for_create(self, action: Action, channel: Channel) -> Outcome | None:
        """Find what a create has made; None where the page shows nothing of it."""
        if action.kind not in LOOKED_FOR:
            return None
        echo = self._own_echo(action, _listed(action, channel.provider, channel.directory()))
        return None if echo is None else self._bound(action, echo)

    def for_update(self, action: Action, channel: Channel, attempts: Sequence[Attempt]) -> Outcome:
        """Find an update, which bears no key, on the page, or prove that it is not there."""
        shown = channel.provider.show(action.remote_id, action.kind)
        if shown is None:
            return self.missing_object(action)
        if action.kind is ActionKind.RESCHEDULE_MAINTENANCE:
            if not _is_edited(action, shown):
                return self._missing(action, attempts, channel)
            return replace(self._found(action, shown), name=shown.name)
        known = self._outbox.own_updates(shown.id).union(*(attempt.baseline for attempt in attempts))
        new = [update for update in shown.updates if update.id not in known]
        ours = next((update for update in new if bears(action, update)), None)
        if ours is not None:
            return replace(self._found(action, shown, ours), room=room_of(shown, channel))
        if new and not action.guest and not self._others_post(action):
            return self.outcome(action, Result.PERSON, f"update {new[0].id} is not ours")
        return self._missing(action, attempts, channel)

    def _others_post(self, action: Action) -> bool:
        """Whether posts of others on a window are as it should be: it is theirs, or the page moves it by itself."""
        footprint = self._footprints.footprint(action.aggregate)
        window = footprint.subject if footprint is not None else None
        return isinstance(window, Window) and (window.origin is Origin.PAGE or window.automated)

    def _own_echo(self, action: Action, ongoing: Sequence[RemoteIncident]) -> RemoteIncident | None:
        """Find what this create, and no other of ours, has made: two groups may say the same in the same words."""
        alike = [incident for incident in ongoing if echoes(action, incident)]
        others = [each for each in self._outbox.unsettled_creates(action.page) if each.id != action.id] if alike else []
        for incident in alike:
            if not any(echoes(other, incident) for other in others) and not self._outbox.own_updates(incident.id):
                return incident
        return None

    def _bound(self, action: Action, echo: RemoteIncident) -> Outcome:
        update = next((u for u in echo.updates if bears(action, u)), None)
        return replace(
            self._found(action, echo, update),
            published_at=echo.published_at,
            window=window_status(echo),
            name=echo.name,
            seen=frozenset() if action.tries and update else post_ids(echo),
        )

    def _found(self, action: Action, shown: RemoteIncident, update: RemoteUpdate | None = None) -> Outcome:
        outcome = replace(self.outcome(action, Result.DONE, "found on the page"), remote_id=shown.id)
        return replace(outcome, update_id=update.id, published_at=update.published_at) if update else outcome

    def _missing(self, action: Action, attempts: Sequence[Attempt], channel: Channel) -> Outcome:
        now, even_since = self._clock(), self._even_since()
        started_at = max((attempt.started_at for attempt in attempts), default=now)
        sent_at = even_since if started_at > now else max(started_at, even_since)
        believable = sent_at + DEADLINE + channel.settle
        if now < believable:
            early = self.outcome(action, Result.UNKNOWN, "not on the page yet")
            return replace(early, retry_at=min(believable, now + BETWEEN_READS))
        if action.clean_reads:
            return self.outcome(action, Result.ABSENT, "two reads, late enough, did not find it")
        once = self.outcome(action, Result.UNKNOWN, "not on the page")
        return replace(once, retry_at=now + BETWEEN_READS, clean_read=True)


def _listed(action: Action, provider: Provider, directory: Directory) -> Sequence[RemoteIncident]:
    return provider.windows(directory) if action.kind.of_window else provider.ongoing(directory)


def room_of(shown: RemoteIncident, channel: Channel) -> int:
    """Give how many more updates the page takes of an incident."""
    return max(0, channel.provider.most_updates - len(shown.updates))


def window_status(shown: RemoteIncident) -> WindowStatus | None:
    """Give the status of a window; None where it is a word that we do not know."""
    return WindowStatus(shown.status) if shown.status in list(WindowStatus) else None


def post_ids(shown: RemoteIncident) -> frozenset[str]:
    """Give the ids of its posts."""
    return frozenset(update.id for update in shown.updates)


def _is_edited(action: Action, shown: RemoteIncident) -> bool:
    """A change of title and times leaves no update; what begins is moved at its end only."""
    if normal(shown.name) != normal(action.content.title):
        return False
    starts = shown.starts_at == action.content.starts_at or shown.status == WindowStatus.IN_PROGRESS
    return starts and shown.ends_at == action.content.ends_at
