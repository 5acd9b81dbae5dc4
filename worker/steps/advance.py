"""
Clock → what is due in the ledger → actions.

Late is fine and twice is harmless: an episode that is looked at too early or again decides nothing new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.core import drafts
from worker.core.actions import FAULT_PAUSE
from worker.core.canary import watched
from worker.core.model import Episode, Notice, Severity, Window
from worker.core.rulebook import RuleBook
from worker.core.upcoming import Step, steps
from worker.core.window_drafts import Tick
from worker.errors import Conflict, LedgerUnavailable
from worker.ports import Clock, Commit, Committer, Episodes, Meter, Windows
from worker.steps._deciding import about_episode, about_window

CAUSE = "the clock"
REPLAN = timedelta(minutes=1)


class Advance:
    """
    Args:
        book: Gives the rules in force.
        replan: How often the coming windows are planned, besides whenever the rules change.
    """

    def __init__(
        self,
        *,
        episodes: Episodes,
        windows: Windows,
        committer: Committer,
        book: Callable[[], RuleBook],
        clock: Clock,
        meter: Meter,
        replan: timedelta = REPLAN,
    ) -> None:
        self._episodes = episodes
        self._windows = windows
        self._planned = ("", datetime.min.replace(tzinfo=UTC))
        self._committer = committer
        self._book = book
        self._clock = clock
        self._meter = meter
        self._replan = replan

    def run_once(self, limit: int = 100) -> int:
        """
        Plan the coming windows, and look at the windows and episodes whose time has come; windows come first, because
        they mute.

        Returns:
            How many moved on; 0: there was no work.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        now, book = self._clock(), self._book()
        moved = self._planned_again(book, now) + self._watch_canaries(book, now)
        for window in self._windows.due_windows(now, limit):
            step = Step(window=window, stimulus=Tick(cause=CAUSE))
            moved += self._commit(window, lambda step=step: move(book, self._episodes, step, now), now)  # type: ignore[misc]
        for episode in self._episodes.due(now, limit):
            moved += self._commit(episode, lambda e=episode: tick(book, self._episodes, self._windows, e, now), now)  # type: ignore[misc]
        return moved

    def _planned_again(self, book: RuleBook, now: datetime) -> int:
        """Plan when the rules changed, and every now and then; a fault of ours there keeps no window from moving."""
        rules, at = self._planned
        if rules == book.rules.hash and at <= now < at + self._replan:
            return 0
        self._planned = (book.rules.hash, now)
        try:
            return self._plan(book, now)
        except LedgerUnavailable:
            self._planned = ("", now)
            raise
        except Exception:
            self._meter.count("faults", step="advance")
            return 0

    def _plan(self, book: RuleBook, now: datetime) -> int:
        """
        Bring the ledger's windows up to the rules, and look at all the others too: when one is to be looked at again
        may have been reckoned by a clock that has been set back since.
        """
        known = self._windows.windows(now)
        due = steps(book.rules, known, now)
        stepped = {step.window.id for step in due}
        others = [Step(window=each, stimulus=Tick(cause=CAUSE)) for each in known if each.phase.live]
        due += [step for step in others if step.window.id not in stepped]
        return sum(self._commit(s.window, lambda s=s: move(book, self._episodes, s, now), now) for s in due)  # type: ignore[misc]

    def _watch_canaries(self, book: RuleBook, now: datetime) -> int:
        beats = self._episodes.beats() if book.canaries else {}
        looks = {name: watched(beats.get(name), name, each.within, now) for name, each in book.canaries.items()}
        changed = [beat for name, (beat, _) in looks.items() if beat != beats.get(name)]
        if changed:
            notices = [notice for _, notice in looks.values() if notice is not None]
            self._committer.commit(Commit(now=now, beats=changed, notices=notices))
        return 0  # nothing follows from it at once

    def _commit(self, subject: Episode | Window, decided: Callable[[], Commit], now: datetime) -> bool:
        try:
            commit = self._decided(subject, decided, now)
            if subject.version and [*commit.windows] == [subject]:
                return False
            self._committer.commit(commit)
        except Conflict:
            self._meter.count("conflicts", step="advance")
            return False
        return True

    def _decided(self, subject: Episode | Window, decided: Callable[[], Commit], now: datetime) -> Commit:
        try:
            return decided()
        except LedgerUnavailable:
            raise
        except Exception as bug:
            self._meter.count("faults", step="advance")
            return _put_off(subject, f"internal fault: {type(bug).__name__}", now)


def move(book: RuleBook, episodes: Episodes, step: Step, now: datetime) -> Commit:
    """Decide what time, or its entry, does to one maintenance window."""
    cause = CAUSE if isinstance(step.stimulus, Tick) else "the rules"
    return about_window(book, episodes, step.window, step.stimulus, cause, now, gone=step.gone)


def tick(book: RuleBook, episodes: Episodes, maintenance: Windows, episode: Episode, now: datetime) -> Commit:
    """Decide what time does to one episode."""
    return about_episode(book, episodes, maintenance, episode, drafts.Tick(cause=CAUSE), CAUSE, now)


def _put_off(subject: Episode | Window, why: str, now: datetime) -> Commit:
    """A fault of ours must not keep the others from their time: tell it once, and look at this one later."""
    notice = Notice(code="internal_fault", subject=subject.id, text=why, severity=Severity.ERROR)
    later = replace(subject, fault=why, wake_at=now + FAULT_PAUSE)
    return Commit(
        now=now,
        episodes=[later] if isinstance(later, Episode) else [],
        windows=[later] if isinstance(later, Window) else [],
        notices=[] if subject.fault == why else [notice],
    )
