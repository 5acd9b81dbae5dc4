"""
When to try again. Pure: jitter is derived from what is retried, so the same retry always waits the same time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from worker.core.model import digest

FIRST = timedelta(seconds=2)
LONGEST = timedelta(minutes=1)
"""Many that wait for a page do not ask more often together: it has a breaker."""

BREAKER = timedelta(minutes=1)
"""How often a page is asked again that denies our key, or has not answered for long."""

FIRST_PAUSE = timedelta(seconds=5)

LOOK = timedelta(minutes=1)
"""How often it is looked whether somebody else's incident is still open."""


def again(subject: str, tries: int, asked: datetime | None, now: datetime, longest: timedelta = LONGEST) -> datetime:
    """
    Say when to try *subject* again.

    Args:
        subject: What is retried; decides the jitter.
        tries: How often it was tried, from 1.
        asked: The earliest time that the other side named; never undercut.
        now: Aware, UTC.

    Returns:
        Doubling from 2 s to *longest*, plus up to a quarter; not before *asked*, plus the same jitter.
    """
    wait = min(longest, FIRST * (1 << min(tries - 1, 10)))
    jitter = wait * (int(digest(subject, tries)[:4], 16) / 0xFFFF / 4)
    earliest = max(now + wait, asked) if asked else now + wait
    return earliest + jitter


def pause(waited: timedelta) -> timedelta:
    """Say how long to leave a page alone that has not answered for so long: the longer, the longer, up to a minute."""
    return min(max(waited / 10, FIRST_PAUSE), BREAKER)


def passed(pause: timedelta) -> timedelta:
    """Say how long what had its turn with a page waits for another, so that something else has the next."""
    return pause * 1.25
