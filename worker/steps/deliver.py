"""
Outbox → claim, look at the page, write down, send, settle.

Before the first byte leaves, the ledger holds the attempt with its exact bytes. What became of an attempt is never
guessed: a create is sent again under its key, an update is looked for on the page. No transaction is open meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from worker.core import windows
from worker.core.actions import begin
from worker.core.brakes import braked, reach
from worker.core.drafts import Verdict
from worker.core.episodes import decide
from worker.core.footprints import LOOKED_FOR, bears, echoes
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Attempt,
    Directory,
    Episode,
    IncidentStatus,
    Outcome,
    RemoteIncident,
    Request,
    Result,
    Window,
    WindowStatus,
)
from worker.core.retry import BREAKER, LOOK
from worker.core.rulebook import RuleBook
from worker.core.window_drafts import WindowVerdict
from worker.errors import Conflict, EvaluationFailed, LedgerUnavailable, ProviderUnavailable
from worker.ports import (
    DEADLINE,
    EVERY_KIND,
    Channel,
    Clock,
    Commit,
    Committer,
    Decision,
    Episodes,
    Footprints,
    Meter,
    Outbox,
    Provider,
    Windows,
)
from worker.steps._surroundings import context_of

LEASE = timedelta(seconds=90)
"""Longer than a read and a write may take together; after it another worker may look at the action."""

BETWEEN_READS = timedelta(seconds=10)
CLOCKS_APART = timedelta(seconds=10)
"""An incident that the page dates so much before we asked for it was there before."""

FIRST_PAUSE = timedelta(seconds=5)
MOST_CONFLICTS = 20


class Deliver:
    """
    Args:
        channels: Our page names to their channels; what is not here is never claimed.
        kinds: Nothing else is claimed.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        episodes: Episodes,
        windows: Windows,
        footprints: Footprints,
        committer: Committer,
        channels: Callable[[], Mapping[str, Channel]],
        book: Callable[[], RuleBook],
        clock: Clock,
        meter: Meter,
        kinds: Collection[ActionKind] = EVERY_KIND,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._outbox = outbox
        self._episodes = episodes
        self._windows = windows
        self._footprints = footprints
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
        except ProviderUnavailable:
            self._meter.count("page_reads_failed", page=claimed.page)
            now = self._clock()
            self._outbox.release(claimed.id, now + _pause(now - claimed.created_at))
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
            self._read_back(action, channel)

    # -- sending

    def _send(self, action: Action, channel: Channel) -> None:
        directory = channel.directory()
        if action.kind.creates and not action.attach_to:
            if self._in_the_way(action, channel, directory):
                return
            baseline: tuple[str, ...] = ()
        else:
            shown = channel.provider.show(action.attach_to or action.remote_id, action.kind)
            if shown is None:
                self._settle(action, self._lost(action))
                return
            stranger = None if action.attach_to else self._stranger(action, shown)
            if stranger is not None:
                self._settle(action, self._outcome(action, Result.PERSON, f"update {stranger} is not ours"))
                return
            if action.content.window_status and shown.automate and not action.content.automate:
                # Two drivers would post every transition twice.
                self._settle(action, self._outcome(action, Result.PERSON, "the page moves this window by itself"))
                return
            baseline = tuple(update.id for update in shown.updates)
        if (brake := self._brake(action)) is not None:
            self._meter.count("braked", page=action.page)
            self._settle(action, brake)
            return
        try:
            request = channel.provider.request(action, directory)
        except EvaluationFailed as failed:
            self._settle(action, self._outcome(action, Result.REFUSED, str(failed)))
            return
        self._attempt(action, channel, request, baseline)

    def _brake(self, action: Action) -> Outcome | None:
        """Whether too much has reached the page already for this to go out as it is."""
        now, page = self._clock(), self._book().rules.pages.get(action.page)
        if page is None:
            return None
        subject = self._subject(action)
        if any(each.kind is ActionKind.RESOLVE_INCIDENT for each in (subject.actions if subject else ())):
            return None  # it stands before a resolve, which nothing may keep waiting
        brake = braked(action, self._outbox.posted(action.page, now - reach(page.limits), now), page.limits, now)
        if brake is None:
            return None
        outcome = self._outcome(action, Result.BRAKED, brake.why)
        return replace(outcome, retry_at=brake.until, silent=brake.silent)

    def _in_the_way(self, action: Action, channel: Channel, directory: Directory) -> bool:
        """Whether the page already settles the question, so that nothing is to be sent."""
        if action.kind not in LOOKED_FOR:
            return False
        ongoing = _listed(action, channel.provider, directory)
        echo = self._own_echo(action, ongoing)
        if echo is not None:
            self._settle(action, self._bound(action, echo))
            return True
        foreign = None if action.bypass_existing or action.kind.of_window else self._foreign(action, ongoing, directory)
        if foreign is None:
            return False
        if action.looks_again and action.blocked_by == foreign.id:
            self._outbox.release(action.id, self._clock() + LOOK)  # nothing is new, so nothing is written
        else:
            outcome = self._outcome(action, Result.FOREIGN, f"`{foreign.name}` is open on the page")
            self._settle(action, replace(outcome, foreign=foreign.id))
        return True

    def _own_echo(self, action: Action, ongoing: Sequence[RemoteIncident]) -> RemoteIncident | None:
        """Find what this create, and no other of ours, has made: two groups may say the same in the same words."""
        alike = [incident for incident in ongoing if echoes(action, incident)]
        others = [each for each in self._outbox.unsettled_creates(action.page) if each.id != action.id] if alike else []
        for incident in alike:
            if not any(echoes(other, incident) for other in others) and not self._outbox.own_updates(incident.id):
                return incident
        return None

    def _stranger(self, action: Action, shown: RemoteIncident) -> str | None:
        """Find a post of a person's."""
        footprint = self._footprints.footprint(action.aggregate)
        strangers = footprint.strangers(shown) if footprint is not None else ()
        return strangers[0].id if strangers else None

    def _foreign(
        self, action: Action, ongoing: Sequence[RemoteIncident], directory: Directory
    ) -> RemoteIncident | None:
        ours = {remote for name in action.content.components for remote in directory.components.get(name, ())}
        unsettled = [create for create in self._outbox.unsettled_creates(action.page) if create.id != action.id]
        for incident in ongoing:
            if not incident.component_ids & ours or self._outbox.own_updates(incident.id):
                continue
            if not any(echoes(create, incident) for create in unsettled):
                return incident
        return None

    def _attempt(self, action: Action, channel: Channel, request: Request, baseline: tuple[str, ...]) -> None:
        subject = self._subject(action)
        current = _find(subject, action.id)
        if subject is None or current is None or current.state is not action.state:
            return
        if self._outbox.paused(action.page):
            raise Conflict(action.id)  # claimed before the pause: nothing is written down
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
        self._committer.commit(Commit(now=now, actions=[sending], attempts=[attempt], **_kept(_with(subject, sending))))
        self._checkpoint("after_intent")
        outcome = self._sent(sending, channel, request)
        self._checkpoint("after_send")
        self._meter.count("attempts", page=action.page, result=outcome.result)
        outcome = self._judged(sending, outcome, now, channel)
        self._settle(
            sending, outcome, replace(attempt, result=outcome.result, finished_at=outcome.at, detail=outcome.detail)
        )
        self._checkpoint("after_confirm")

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
            return self._outcome(action, Result.NOT_SENT, "paused")
        return channel.provider.send(action, request)

    def _judged(self, action: Action, outcome: Outcome, sent_at: datetime, channel: Channel) -> Outcome:
        """A key that was used before may bring back an incident that is over: a person must look at that."""
        if outcome.result is not Result.DONE or action.kind not in LOOKED_FOR or action.attach_to:
            return outcome
        older = outcome.published_at is not None and outcome.published_at < sent_at - CLOCKS_APART
        if not older and not outcome.differences and action.sends == 1:
            return outcome
        try:
            shown = channel.provider.show(outcome.remote_id, action.kind)
        except ProviderUnavailable as unavailable:
            return self._outcome(action, Result.UNKNOWN, f"taken, but by which incident is not known: {unavailable}")
        if shown is not None and shown.status in (IncidentStatus.RESOLVED, WindowStatus.COMPLETE):
            return self._outcome(action, Result.REPLAYED, f"{outcome.remote_id} says it, but is over")
        if shown is None:
            return outcome
        seen = _posts(shown) if older and action.sends == 1 else frozenset()
        return replace(outcome, window=_window_status(shown), name=shown.name, seen=seen)

    # -- after an unknown outcome

    def _send_again(self, action: Action, channel: Channel) -> None:
        """A create: look for it, else the same bytes under the same key."""
        attempts = self._outbox.attempts(action.id)
        if action.attach_to or not attempts:
            self._read_back(action, channel)
            return
        if action.kind in LOOKED_FOR:
            echo = self._own_echo(action, _listed(action, channel.provider, channel.directory()))
            if echo is not None:
                self._settle(action, self._bound(action, echo))
                return
        last = attempts[-1]
        self._attempt(action, channel, Request(method=last.method, target=last.target, body=last.body), last.baseline)

    def _read_back(self, action: Action, channel: Channel) -> None:
        """An update bears no key: find it on the page, or prove that it is not there."""
        attempts = self._outbox.attempts(action.id)
        remote_id = action.attach_to or action.remote_id
        shown = channel.provider.show(remote_id, action.kind)
        if shown is None:
            self._settle(action, self._lost(action))
            return
        if action.kind is ActionKind.RESCHEDULE_MAINTENANCE:
            self._settle(action, self._rescheduled(action, shown, attempts, channel))
            return
        known = self._outbox.own_updates(remote_id).union(*(attempt.baseline for attempt in attempts))
        new = [update for update in shown.updates if update.id not in known]
        ours = next((update for update in new if bears(action, update)), None)
        if ours is not None:
            outcome = self._outcome(action, Result.DONE, "found on the page")
            self._settle(
                action, replace(outcome, remote_id=remote_id, update_id=ours.id, published_at=ours.published_at)
            )
        elif new:
            self._settle(action, self._outcome(action, Result.PERSON, f"update {new[0].id} is not ours"))
        else:
            self._settle(action, self._missing(action, attempts, channel))

    def _rescheduled(
        self, action: Action, shown: RemoteIncident, attempts: Sequence[Attempt], channel: Channel
    ) -> Outcome:
        """A change of times leaves no update; what begins is moved at its end only."""
        ends = shown.ends_at == action.content.ends_at
        if ends and (shown.starts_at == action.content.starts_at or shown.status == WindowStatus.IN_PROGRESS):
            return replace(self._outcome(action, Result.DONE, "found on the page"), remote_id=shown.id)
        return self._missing(action, attempts, channel)

    def _missing(self, action: Action, attempts: Sequence[Attempt], channel: Channel) -> Outcome:
        now = self._clock()
        sent_at = max((attempt.started_at for attempt in attempts), default=now)
        believable = sent_at + DEADLINE + channel.settle
        if now < believable:
            return replace(
                self._outcome(action, Result.UNKNOWN, "not on the page yet"),
                retry_at=min(believable, now + BETWEEN_READS),
            )
        if action.clean_reads:
            return self._outcome(action, Result.ABSENT, "two reads, late enough, did not find it")
        return replace(
            self._outcome(action, Result.UNKNOWN, "not on the page"), retry_at=now + BETWEEN_READS, clean_read=True
        )

    # -- settling

    def _outcome(self, action: Action, result: Result, detail: str) -> Outcome:
        return Outcome(action_id=action.id, result=result, at=self._clock(), detail=detail)

    def _lost(self, action: Action) -> Outcome:
        """The page does not have what was to be written to: as it should be, where that was to be deleted."""
        result = Result.DONE if action.kind is ActionKind.CANCEL_MAINTENANCE else Result.REFUSED
        return self._outcome(action, result, "the page has no such object any more")

    def _bound(self, action: Action, echo: RemoteIncident) -> Outcome:
        outcome = self._outcome(action, Result.DONE, "found on the page")
        update = next((u for u in echo.updates if bears(action, u)), None)
        return replace(
            outcome,
            remote_id=echo.id,
            update_id=update.id if update else "",
            published_at=echo.published_at,
            window=_window_status(echo),
            name=echo.name,
            seen=frozenset() if action.tries and update else _posts(echo),
        )

    def _subject(self, action: Action) -> Episode | Window | None:
        if action.kind.of_window:
            return self._windows.window(action.aggregate)
        return self._episodes.get(action.aggregate)

    def _settle(self, action: Action, outcome: Outcome, attempt: Attempt | None = None) -> None:
        """Decide on the outcome and store it; whatever else changed meanwhile, an outcome is never lost."""
        attempts = [attempt] if attempt else self._left_open(action, outcome)
        for _ in range(MOST_CONFLICTS):
            subject = self._subject(action)
            if subject is None or _find(subject, action.id) is None:
                return
            try:
                self._committer.commit(self._decided(subject, action, outcome, attempts))
            except Conflict:
                self._meter.count("conflicts", step="deliver")
                continue
            return
        raise Conflict(action.id)

    def _left_open(self, action: Action, outcome: Outcome) -> list[Attempt]:
        """The attempt that a worker did not live to settle gets its verdict now."""
        if action.state is ActionState.QUEUED or outcome.result is Result.UNKNOWN:
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
        now = self._clock()
        decided: Commit
        verdict: Verdict | WindowVerdict
        if isinstance(subject, Window):
            verdict, decided = self._window(subject, outcome, now)
        else:
            verdict, decided = self._episode(subject, outcome, now)
        cause = f"outcome of {action.id}"
        shown = [replace(a, detail="; ".join(filter(None, (a.detail, *outcome.differences)))) for a in attempts]
        return replace(
            decided,
            actions=_with_update_id(verdict.actions, outcome),
            attempts=shown,
            decisions=[Decision(aggregate=subject.id, at=now, cause=cause, text=text) for text in verdict.log],
            notices=verdict.notices,
        )

    def _episode(self, episode: Episode, outcome: Outcome, now: datetime) -> tuple[Verdict, Commit]:
        book = self._book()
        context = context_of(book, episode, self._episodes, self._windows, now)
        verdict = decide(episode, outcome, context, now)
        after = verdict.episode or episode
        wakes, revisions = book.woken(episode, after), book.revision(after.rule_hash)
        return verdict, Commit(now=now, episodes=[after], wakes=wakes, revisions=revisions)

    def _window(self, window: Window, outcome: Outcome, now: datetime) -> tuple[WindowVerdict, Commit]:
        book = self._book()
        context = book.window_context(window, self._episodes.revision, self._episodes.firing)
        verdict = windows.decide(window, outcome, context, now)
        wakes = [("", window.page)] if windows.unmutes(window, verdict.window) else []
        revisions = book.revision(verdict.window.plan_hash)
        return verdict, Commit(now=now, windows=[verdict.window], wakes=wakes, revisions=revisions)


def _pause(waited: timedelta) -> timedelta:
    """How long to leave a page alone that could not be read: the longer it lasts the longer, up to a minute."""
    return min(max(waited / 10, FIRST_PAUSE), BREAKER)


def _with_update_id(actions: Sequence[Action], outcome: Outcome) -> Sequence[Action]:
    return [replace(a, update_id=outcome.update_id) if a.id == outcome.action_id else a for a in actions]


def _find(subject: Episode | Window | None, action_id: str) -> Action | None:
    return next((a for a in subject.actions if a.id == action_id), None) if subject else None


def _with(subject: Episode | Window, action: Action) -> Episode | Window:
    return replace(subject, actions=tuple(action if a.id == action.id else a for a in subject.actions))


def _kept(subject: Episode | Window) -> dict[str, Any]:
    """Say where a commit keeps it."""
    return {"windows": [subject]} if isinstance(subject, Window) else {"episodes": [subject]}


def _listed(action: Action, provider: Provider, directory: Directory) -> Sequence[RemoteIncident]:
    return provider.windows(directory) if action.kind.of_window else provider.ongoing(directory)


def _posts(shown: RemoteIncident) -> frozenset[str]:
    return frozenset(update.id for update in shown.updates)


def _window_status(shown: RemoteIncident) -> WindowStatus | None:
    return WindowStatus(shown.status) if shown.status in list(WindowStatus) else None
