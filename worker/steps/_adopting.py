"""
Maintenance windows that people made on the page → the ledger.

A window of the page becomes one of ours at most once, whoever looks and however often, because its id is made of the
page's. What we made ourselves is theirs at no time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from worker.core import page_windows
from worker.core.footprints import LOOKED_FOR, echoes, normal
from worker.core.model import Notice, Origin, RemoteIncident, Severity, Window, WindowStatus
from worker.core.rulebook import RuleBook
from worker.core.upcoming import steps
from worker.core.window_drafts import Disowned, Tick
from worker.ports import Channel, Clock, Commit, Episodes, Windows
from worker.steps._deciding import about_window

CAUSE = "the page"
LONGEST = timedelta(days=60)
"""A window that ended longer ago is not asked for in the ledger: no page shows it as unended that we would touch."""


class Adopting:
    """
    Args:
        commit: Commits, and says whether nobody was faster.
        book: Gives the rules in force.
    """

    def __init__(
        self,
        episodes: Episodes,
        windows: Windows,
        commit: Callable[[Commit], bool],
        book: Callable[[], RuleBook],
        clock: Clock,
    ) -> None:
        self._episodes = episodes
        self._windows = windows
        self._commit = commit
        self._book = book
        self._clock = clock

    def run(self, page: str, channel: Channel) -> int:
        """
        Adopt what is new on a page, where its rules say so.

        Returns:
            How many windows are not what they were before.

        Raises:
            ProviderUnavailable: The page could not be read.
        """
        config = self._book().rules.pages.get(page)
        if config is None or config.adoption is None:
            return 0
        adoption, directory = config.adoption, channel.directory()
        listed = channel.provider.windows(directory)
        now = self._clock()
        kept = [window for window in self._windows.windows(now - LONGEST) if window.page == page]
        theirs = [window for window in kept if window.origin is Origin.PAGE]
        known = {window.remote_id for window in kept} | {window.occurrence for window in theirs}
        moved = sum(self._disown(window, kept) for window in theirs if window.phase.live)
        new = [shown for shown in listed if shown.id not in known and page_windows.wanted(shown, adoption)]
        ours = self._ours_to_come(page, kept, now) if new else None
        for shown in new:
            window = page_windows.adopted(shown, page, adoption.plan, directory, now)
            if window is not None and ours is not None and not ours(shown):
                moved += self._take_up(window, shown, now)
        return moved

    def _take_up(self, window: Window, shown: RemoteIncident, now: datetime) -> bool:
        context = self._book().window_context(window, self._episodes.revision, self._episodes.firing)
        if window.known is WindowStatus.IN_PROGRESS and not page_windows.begun_by_us(window, shown, context, now):
            window = replace(window, hands_off=True)
        commit = about_window(self._book(), self._episodes, window, Tick(cause=CAUSE), CAUSE, now)
        told = [] if window.hands_off else [_adopted(window)]
        return self._commit(replace(commit, notices=[*commit.notices, *told]))

    def _disown(self, window: Window, kept: Sequence[Window]) -> bool:
        """Where a window of ours speaks of the same object, an adopted one must not."""
        if not any(each.remote_id == window.remote_id and each.origin is not Origin.PAGE for each in kept):
            return False
        return self._commit(about_window(self._book(), self._episodes, window, Disowned(), CAUSE, self._clock()))

    def _ours_to_come(self, page: str, kept: Sequence[Window], now: datetime) -> Callable[[RemoteIncident], bool]:
        """Make what tells whether a window on the page is one of ours that the ledger does not know as such yet."""
        book = self._book()
        planned = [step.window for step in steps(book.rules, (), now) if step.window.page == page]
        unbound = [window for window in kept if not window.remote_id and window.origin is not Origin.PAGE]
        expected = {
            page_windows.name_and_times(
                window, book.window_context(window, self._episodes.revision, self._episodes.firing), now
            )
            for window in (*planned, *unbound)
        }
        creates = [action for window in kept for action in window.actions if action.kind in LOOKED_FOR]

        def ours(shown: RemoteIncident) -> bool:
            called = (normal(shown.name), shown.starts_at, shown.ends_at)
            return called in expected or any(echoes(action, shown) for action in creates)

        return ours


def _adopted(window: Window) -> Notice:
    when = f"{window.starts_at:%Y-%m-%d %H:%M} – {window.ends_at:%Y-%m-%d %H:%M} UTC"
    text = f"`{window.known_name}` on page `{window.page}`, {when}, is started and completed at its times"
    return Notice(code="window_adopted", subject=window.id, text=text, severity=Severity.INFO)
