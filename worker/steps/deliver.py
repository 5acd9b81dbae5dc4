"""
Outbox → claim, look at the page, write down, send, settle.

Before the first byte leaves, the ledger holds the attempt with its exact bytes. What became of an attempt is never
guessed: a create is sent again under its key, an update is looked for on the page. No transaction is open meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.actions import begin
from worker.core.brakes import braked, reach
from worker.core.footprints import LOOKED_FOR, observed
from worker.core.guests import as_guest
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Attempt,
    Episode,
    IncidentStatus,
    Outcome,
    Post,
    RemoteIncident,
    Request,
    Result,
    Window,
    WindowStatus,
)
from worker.core.retry import LOOK, passed, pause
from worker.core.rulebook import RuleBook
from worker.errors import Conflict, EvaluationFailed, LedgerUnavailable, ProviderUnavailable
from worker.ports import (
    DEADLINE,
    EVERY_KIND,
    Channel,
    Clock,
    Commit,
    Committer,
    Episodes,
    Footprints,
    Meter,
    Outbox,
    Switches,
    Windows,
)
from worker.steps._deciding import about_either
from worker.steps._health import Health
from worker.steps._look import BETWEEN_READS, Look, post_ids, window_status

LEASE = timedelta(seconds=90)
"""Longer than a read and a write may take together; after it another worker may look at the action."""

CLOCKS_APART = timedelta(seconds=10)
"""An incident that the page dates so much before we asked for it was there before."""

MOST_CONFLICTS = 20


class Deliver:
    """
    Args:
        channels: Our page names to their channels; what is not here is never claimed.
        kinds: Nothing else is claimed.
        even_since: Since when the clock has run evenly; a span that begins before that may have any length.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        episodes: Episodes,
        windows: Windows,
        footprints: Footprints,
        switches: Switches,
        committer: Committer,
        channels: Callable[[], Mapping[str, Channel]],
        book: Callable[[], RuleBook],
        clock: Clock,
        meter: Meter,
        kinds: Collection[ActionKind] = EVERY_KIND,
        checkpoint: Callable[[str], None] = lambda point: None,
        even_since: Callable[[], datetime] = lambda: datetime.min.replace(tzinfo=UTC),
    ) -> None:
        self._outbox = outbox
        self._look = Look(outbox, footprints, clock, even_since)
        self._even_since = even_since
        self._footprints = footprints
        self._health = Health(switches, clock)
        self._episodes = episodes
        self._windows = windows
        self._committer = committer
        self._channels = channels
        self._book = book
        self._clock = clock
        self._meter = meter
        self._kinds = kinds
        self._checkpoint = checkpoint

    def run_once(self) -> bool:
        """
        Work on one action.

        Returns:
            Whether there was one.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        channels = self._channels()
        claimed = self._outbox.claim(self._clock(), LEASE, channels, self._kinds)
        if claimed is None:
            return False
        self._checkpoint("claimed")
        try:
            self._work(claimed, channels[claimed.page])
        except ProviderUnavailable as fault:
            self._meter.count("page_reads_failed", page=claimed.page)
            now, found = self._clock(), self._health.unreadable(claimed.page, fault)
            self._keep(found)
            wait = passed(found.flags[0].at - now) if found else pause(now - claimed.created_at)
            self._outbox.release(claimed.id, now + wait)
        except Conflict:
            current = _find(self._subject(claimed), claimed.id)
            if current is not None and current.state is claimed.state:  # else somebody else is at it by now
                self._outbox.release(claimed.id, self._clock())
        return True

    def _work(self, action: Action, channel: Channel) -> None:
        if action.state is ActionState.QUEUED or action.looks_again:
            self._send(action, channel)
        elif action.kind.creates:
            self._send_again(action, channel)
        else:
            outcome = self._look.for_update(action, channel, self._outbox.attempts(action.id))
            self._was_read(action)
            self._settle(action, outcome)

    # -- sending

    def _send(self, action: Action, channel: Channel) -> None:
        said, directory = action, channel.directory()
        baseline: tuple[str, ...] = ()
        left: tuple[str, ...] = ()
        if action.kind.creates:
            settled = self._look.before_create(action, channel, directory)
        else:
            shown = channel.provider.show(action.remote_id, action.kind)
            if action.kind.of_window and not self._still_wanted(action, shown, channel):
                return
            settled = self._look.before_update(action, shown, channel) if shown else self._look.missing_object(action)
            baseline = tuple(update.id for update in shown.updates) if shown else ()
            footprint = self._footprints.footprint(action.aggregate) if shown and action.guest else None
            if shown and footprint:
                said, directory, left = as_guest(action, directory, shown.updates, footprint.by_people(shown))
        self._was_read(action)
        if settled is not None:
            self._settle_look(action, settled)
            return
        if action.content.notify and not self._health.mails(action.page):
            self._settle(action, self._look.outcome(action, Result.UNMAILED, "the page refused that before"))
            return
        if (brake := self._brake(action)) is not None:
            self._meter.count("braked", page=action.page)
            self._settle(action, brake)
            return
        try:
            request = channel.provider.request(said, directory)
        except EvaluationFailed as failed:
            self._settle(action, self._look.outcome(action, Result.REFUSED, str(failed)))
            return
        self._attempt(action, channel, request, baseline, left)

    def _still_wanted(self, action: Action, shown: RemoteIncident | None, channel: Channel) -> bool:
        """
        Whether a window is still to be moved, now that its page was looked at: its times may have been edited, or
        somebody else moves it. Two drivers would post every transition twice.
        """
        footprint = self._footprints.footprint(action.aggregate)
        if action.kind is ActionKind.CANCEL_MAINTENANCE or footprint is None:
            return footprint is not None
        now, subject = self._clock(), footprint.subject
        seen = observed(footprint, shown, DEADLINE + channel.settle, now)
        commit = about_either(self._book(), self._episodes, self._windows, subject, seen, "the page", now)
        if [*commit.windows] != [subject] or commit.actions:
            self._committer.commit(commit)
        current = _find(commit.windows[0], action.id)
        wanted = current is not None and current.state is ActionState.QUEUED
        if wanted and shown is None:  # it may not be shown yet
            self._outbox.release(action.id, now + BETWEEN_READS)
        return wanted and shown is not None

    def _brake(self, action: Action) -> Outcome | None:
        """Whether too much has reached the page already for this to go out as it is."""
        now, page = self._clock(), self._book().rules.pages.get(action.page)
        if page is None:
            return None
        subject = self._subject(action)
        # Nothing may keep a resolve waiting, and so nothing that stands before one.
        before_the_end = any(each.post is Post.RESOLVE for each in (subject.actions if subject else ()))
        posted = self._outbox.posted(action.page, now - reach(page.limits), now)
        brake = braked(action, posted, page.limits, now, may_wait=not before_the_end)
        if brake is None:
            return None
        outcome = self._look.outcome(action, Result.BRAKED, brake.why)
        return replace(outcome, retry_at=brake.until, silent=brake.silent)

    def _settle_look(self, action: Action, outcome: Outcome) -> None:
        if action.looks_again and outcome.result is Result.FOREIGN and outcome.foreign == action.blocked_by:
            self._outbox.release(action.id, self._clock() + LOOK)  # nothing is new, so nothing is written
        else:
            self._settle(action, outcome)

    def _attempt(
        self,
        action: Action,
        channel: Channel,
        request: Request,
        baseline: tuple[str, ...],
        left: tuple[str, ...] = (),
    ) -> None:
        subject = self._subject(action)
        current = _find(subject, action.id)
        if subject is None or current is None or current.state is not action.state:
            return
        if self._outbox.paused(action.page):
            raise Conflict(action.id)  # claimed before the pause: nothing is written down
        if self._in_shadow(subject):
            self._settle(action, self._look.outcome(action, Result.SHADOWED, "`publish` is `shadow` now"))
            return
        self._even_since()  # looked at now, lest one that is set meanwhile makes up for an earlier change unnoticed
        now = self._clock()
        sending = begin(current, now)
        attempt = Attempt(
            action_id=action.id,
            number=sending.tries,
            started_at=now,
            method=request.method,
            target=request.target,
            body=request.body,
            baseline=baseline,
        )
        self._checkpoint("before_intent")
        kept = _kept(_with(subject, sending))
        self._committer.commit(Commit(now=now, actions=[sending], lease=LEASE, attempts=[attempt], **kept))
        self._checkpoint("after_intent")
        outcome = self._sent(sending, channel, request)
        self._checkpoint("after_send")
        self._meter.count("attempts", page=action.page, result=outcome.result)
        found = self._health.wrote(action.page, outcome)
        outcome = self._judged(sending, outcome, now, channel)
        if outcome.result is Result.DONE and action.kind is ActionKind.UPDATE_INCIDENT:
            outcome = replace(outcome, room=channel.provider.most_updates - len(baseline) - 1)
        outcome = replace(outcome, differences=(*outcome.differences, *left))
        ended = replace(attempt, result=outcome.result, finished_at=outcome.at, detail=outcome.detail)
        self._settle(sending, outcome, ended, found)
        self._checkpoint("after_confirm")

    def _in_shadow(self, subject: Episode | Window) -> bool:
        """Whether `publish` has become `shadow` since it was decided to write this."""
        if isinstance(subject, Window):
            return False
        book = self._book()
        return book.in_shadow(book.followed_by(subject, self._episodes.revision), subject.page)

    def _sent(self, action: Action, channel: Channel, request: Request) -> Outcome:
        """
        Send, unless a pause was committed meanwhile; a switch that cannot be read counts as one.

        Whoever pauses looks, after that commit, for what is being sent: it is there before the switch is read here.
        So nothing leaves that they were not told of.
        """
        try:
            paused = self._outbox.paused(action.page)
        except LedgerUnavailable:
            paused = True
        if paused:
            return replace(self._look.outcome(action, Result.NOT_SENT, "paused"), retry_at=self._clock())
        return channel.provider.send(action, request)

    def _judged(self, action: Action, outcome: Outcome, sent_at: datetime, channel: Channel) -> Outcome:
        """A key that was used before may bring back an incident that is over: a person must look at that."""
        if outcome.result is not Result.DONE or action.kind not in LOOKED_FOR:
            return outcome
        older = outcome.published_at is not None and outcome.published_at < sent_at - CLOCKS_APART
        if not older and not outcome.differences and action.sends == 1:
            return outcome
        try:
            shown = channel.provider.show(outcome.remote_id, action.kind)
        except ProviderUnavailable as unavailable:
            why = f"taken, but by which incident is not known: {unavailable}"
            return self._look.outcome(action, Result.UNKNOWN, why)
        if shown is not None and shown.status in (IncidentStatus.RESOLVED, WindowStatus.COMPLETE):
            return self._look.outcome(action, Result.REPLAYED, f"{outcome.remote_id} says it, but is over")
        if shown is None:
            return outcome
        seen = post_ids(shown) if older and action.sends == 1 else frozenset()
        return replace(outcome, window=window_status(shown), name=shown.name, seen=seen)

    def _send_again(self, action: Action, channel: Channel) -> None:
        """A create of which nothing is known: look for it, else the same bytes under the same key."""
        found = self._look.for_create(action, channel)
        self._was_read(action)
        if found is not None:
            self._settle(action, found)
            return
        last = self._outbox.attempts(action.id)[-1]
        self._attempt(action, channel, Request(method=last.method, target=last.target, body=last.body), last.baseline)

    # -- settling

    def _subject(self, action: Action) -> Episode | Window | None:
        if action.kind.of_window:
            return self._windows.window(action.aggregate)
        return self._episodes.get(action.aggregate)

    def _was_read(self, action: Action) -> None:
        """The page let itself be read, before or after a write of an action."""
        if action.kind in LOOKED_FOR or not action.kind.creates:
            self._keep(self._health.readable(action.page))

    def _keep(self, found: Commit | None) -> None:
        if found is not None:
            self._committer.commit(found)

    def _settle(
        self, action: Action, outcome: Outcome, attempt: Attempt | None = None, found: Commit | None = None
    ) -> None:
        """
        Decide on the outcome and store it; whatever else changed meanwhile, an outcome is never lost.

        Args:
            found: What it says of the page as a whole.
        """
        attempts = [attempt] if attempt else self._left_open(action, outcome)
        for _ in range(MOST_CONFLICTS):
            subject = self._subject(action)
            if subject is None or _find(subject, action.id) is None:
                return
            try:
                commit = self._decided(subject, action, outcome, attempts)
                if found is not None:
                    commit = replace(commit, flags=found.flags, notices=[*commit.notices, *found.notices])
                self._committer.commit(commit)
            except Conflict:
                self._meter.count("conflicts", step="deliver")
                continue
            return
        raise Conflict(action.id)

    def _left_open(self, action: Action, outcome: Outcome) -> list[Attempt]:
        """The attempt that a worker did not live to settle gets its verdict now."""
        if action.state is ActionState.QUEUED or outcome.result in (Result.UNKNOWN, Result.SHADOWED):
            return []
        last = self._outbox.attempts(action.id)[-1:]
        return [
            replace(a, result=outcome.result, finished_at=outcome.at, detail=outcome.detail)
            for a in last
            if a.result in (None, Result.UNKNOWN)
        ]

    def _decided(
        self, subject: Episode | Window, action: Action, outcome: Outcome, attempts: Sequence[Attempt]
    ) -> Commit:
        cause = f"outcome of {action.id}"
        commit = about_either(self._book(), self._episodes, self._windows, subject, outcome, cause, self._clock())
        shown = [replace(a, detail="; ".join(filter(None, (a.detail, *outcome.differences)))) for a in attempts]
        return replace(commit, actions=_with_update_id(commit.actions, outcome), attempts=shown)


def _with_update_id(actions: Sequence[Action], outcome: Outcome) -> Sequence[Action]:
    """A post of which nothing is known must be found by its id: it is not among those that we know of."""
    if outcome.result is Result.UNKNOWN:
        return actions
    return [replace(a, update_id=outcome.update_id) if a.id == outcome.action_id else a for a in actions]


def _find(subject: Episode | Window | None, action_id: str) -> Action | None:
    return next((a for a in subject.actions if a.id == action_id), None) if subject else None


def _with(subject: Episode | Window, action: Action) -> Episode | Window:
    return replace(subject, actions=tuple(action if a.id == action.id else a for a in subject.actions))


def _kept(subject: Episode | Window) -> dict[str, Any]:
    """Say where a commit keeps it."""
    return {"windows": [subject]} if isinstance(subject, Window) else {"episodes": [subject]}
