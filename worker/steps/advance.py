"""
Clock → what is due in the ledger → actions.

Late is fine and twice is harmless: an episode that is looked at too early or again decides nothing new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from worker.core.actions import FAULT_PAUSE
from worker.core.drafts import Tick
from worker.core.episodes import decide
from worker.core.model import Episode, Notice, Severity
from worker.core.rulebook import RuleBook
from worker.errors import Conflict, LedgerUnavailable
from worker.ports import Clock, Commit, Committer, Decision, Episodes, Meter

CAUSE = "the clock"


class Advance:
    """
    Args:
        book: Gives the rules in force.
    """

    def __init__(
        self, *, episodes: Episodes, committer: Committer, book: Callable[[], RuleBook], clock: Clock, meter: Meter
    ) -> None:
        self._episodes = episodes
        self._committer = committer
        self._book = book
        self._clock = clock
        self._meter = meter

    def run_once(self, limit: int = 100) -> int:
        """
        Look at the episodes whose time has come.

        Returns:
            How many moved on; 0: there was no work.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        now = self._clock()
        due = self._episodes.due(now, limit)
        return sum(self._advance(episode, now) for episode in due)

    def _advance(self, episode: Episode, now: datetime) -> bool:
        try:
            self._committer.commit(self._decided(episode, now))
        except Conflict:
            self._meter.count("conflicts", step="advance")
            return False
        return True

    def _decided(self, episode: Episode, now: datetime) -> Commit:
        try:
            return tick(self._book(), self._episodes, episode, now)
        except LedgerUnavailable:
            raise
        except Exception as bug:
            self._meter.count("faults", step="advance")
            return _put_off(episode, f"internal fault: {type(bug).__name__}", now)


def tick(book: RuleBook, episodes: Episodes, episode: Episode, now: datetime) -> Commit:
    """Decide what time does to one episode."""
    rule = book.followed_by(episode, episodes.revision)
    context = book.context(rule, episode.page, episodes.live)
    verdict = decide(episode, Tick(cause=CAUSE), context, now)
    after = verdict.episode or episode
    return Commit(
        now=now,
        episodes=[after],
        actions=verdict.actions,
        decisions=[Decision(aggregate=episode.id, at=now, cause=CAUSE, text=text) for text in verdict.log],
        notices=verdict.notices,
        wakes=book.woken(episode, after),
        revisions=book.revision(after.rule_hash),
    )


def _put_off(episode: Episode, why: str, now: datetime) -> Commit:
    """A fault of ours must not keep the other episodes from their time: tell it once, and look at this one later."""
    notice = Notice(code="internal_fault", subject=episode.id, text=why, severity=Severity.ERROR)
    return Commit(
        now=now,
        episodes=[replace(episode, fault=why, wake_at=now + FAULT_PAUSE)],
        notices=[] if episode.fault == why else [notice],
    )
