"""
Page → what it shows of what we wrote → episodes, windows and their actions.

The page is not believed to be as we left it: people post on it, rename, resolve and delete. What is looked at is read
between two readings of the ledger, so that nothing of ours can have happened meanwhile; whoever was faster wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from worker.core.episodes import decide
from worker.core.footprints import Footprint, Observed, observed
from worker.core.model import ActionKind, Episode
from worker.core.rulebook import RuleBook
from worker.errors import Conflict, ProviderUnavailable
from worker.ports import DEADLINE, Channel, Clock, Commit, Committer, Decision, Episodes, Footprints, Meter, Windows
from worker.steps._surroundings import context_of

CAUSE = "the page"
HEARD_OF = timedelta(seconds=5)
"""How soon a page is looked at again because somebody said that there is a new post on it."""


class Observe:
    """
    Args:
        channels: Our page names to their channels.
        every: How often a page is looked at.
    """

    def __init__(
        self,
        *,
        footprints: Footprints,
        episodes: Episodes,
        windows: Windows,
        committer: Committer,
        channels: Callable[[], Mapping[str, Channel]],
        book: Callable[[], RuleBook],
        clock: Clock,
        meter: Meter,
        every: timedelta,
    ) -> None:
        self._footprints = footprints
        self._episodes = episodes
        self._windows = windows
        self._committer = committer
        self._channels = channels
        self._book = book
        self._clock = clock
        self._meter = meter
        self._every = every
        self._looked: dict[str, datetime] = {}
        self._told = 0
        self._heeded: dict[str, int] = {}

    def hint(self) -> None:
        """Somebody says that there is a new post; it may be ours. Thread-safe, and harmless when it is lost."""
        self._told += 1

    def run_once(self, page: str) -> int:
        """
        Look at a page, where that is due.

        Returns:
            How many episodes and windows are not what they were before; 0 too where it was not due.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        now, channel, told = self._clock(), self._channels().get(page), self._told
        if channel is None or not self._due(page, now, told):
            return 0
        self._looked[page], self._heeded[page] = now, told
        try:
            return self._watch(page, channel)
        except ProviderUnavailable:
            self._meter.count("page_reads_failed", page=page)
            return 0

    def _due(self, page: str, now: datetime, told: int) -> bool:
        looked = self._looked.get(page)
        if looked is None or now < looked:
            return True
        return now >= looked + (HEARD_OF if told != self._heeded[page] else self._every)

    # -- what we wrote, and people

    def _watch(self, page: str, channel: Channel) -> int:
        found = [f for f in self._footprints.footprints(page, self._clock()) if f.subject.remote_id]
        return sum(self._look(footprint, channel) for footprint in found if not footprint.in_flight)

    def _look(self, footprint: Footprint, channel: Channel) -> bool:
        subject = footprint.subject
        if not isinstance(subject, Episode) or subject.hands_off or not subject.phase.live:
            return False
        shown = channel.provider.show(subject.remote_id, ActionKind.UPDATE_INCIDENT)
        seen = observed(footprint, shown, DEADLINE + channel.settle, self._clock())
        commit = self._decided(subject, seen)
        if commit is None:
            return False
        try:
            self._committer.commit(commit)
        except Conflict:
            self._meter.count("conflicts", step="observe")
            return False
        if commit.episodes[0].hands_off:
            self._meter.count("takeovers", page=subject.page)
        return True

    def _decided(self, episode: Episode, seen: Observed) -> Commit | None:
        now, book = self._clock(), self._book()
        context = context_of(book, episode, self._episodes, self._windows, now)
        verdict = decide(episode, seen, context, now)
        after = verdict.episode
        if after is None or not verdict.changed:
            return None
        return Commit(
            now=now,
            episodes=[after],
            actions=verdict.actions,
            decisions=[Decision(aggregate=episode.id, at=now, cause=CAUSE, text=text) for text in verdict.log],
            notices=verdict.notices,
            wakes=book.woken(episode, after),
            revisions=book.revision(after.rule_hash),
        )
