"""
What decide may know beside an episode, read from the ledger. All steps ask alike.
"""

from __future__ import annotations

from datetime import datetime

from worker.core.drafts import Context
from worker.core.model import Episode
from worker.core.rulebook import RuleBook
from worker.ports import Episodes, Windows


def context_of(book: RuleBook, episode: Episode, episodes: Episodes, windows: Windows, now: datetime) -> Context:
    """
    Collect it.

    Raises:
        LedgerUnavailable: The ledger cannot be read now.
    """
    rule = book.followed_by(episode, episodes.revision)
    return book.context(rule, episode.page, episodes.live, windows.muting(now), episodes.beats, now)
