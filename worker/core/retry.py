"""
When to try again. Pure: jitter is derived from what is retried, so the same retry always waits the same time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from worker.core.model import digest

FIRST = timedelta(seconds=2)
LONGEST = timedelta(minutes=5)
BREAKER = timedelta(minutes=1)
"""How often a page that denies our key is asked again."""

LOOK = timedelta(minutes=1)
"""How often it is looked whether somebody else's incident is still open."""


def again(subject: str, tries: int, asked: datetime | None, now: datetime) -> datetime:
    """
    Say when to try *subject* again.

    Args:
        subject: What is retried; decides the jitter.
        tries: How often it was tried, from 1.
        asked: The earliest time that the other side named; never undercut.
        now: Aware, UTC.

    Returns:
        Doubling from 2 s to 5 min, plus up to a quarter; not before *asked*, plus the same jitter.
    """
    wait = min(LONGEST, FIRST * (1 << min(tries - 1, 10)))
    jitter = wait * (int(digest(subject, tries)[:4], 16) / 0xFFFF / 4)
    earliest = max(now + wait, asked) if asked else now + wait
    return earliest + jitter
