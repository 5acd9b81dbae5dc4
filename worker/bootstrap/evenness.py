"""
Whether a clock runs evenly: people and NTP set it, and machines sleep. Then it says nothing of how long something took.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from worker.ports import Clock

MOST_S = 2.0
"""What a clock may gain or lose between two looks; NTP slews by a thousandth."""


class Evenness:
    """
    Gives the time, by a clock, since when that clock has run evenly; as long as nothing is known against it, for ever.

    Args:
        monotonic: Seconds that run on whatever becomes of the clock, and stand still while the machine sleeps.
    """

    def __init__(self, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = self._difference(clock())
        self._since = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        """Look at both clocks."""
        now = self._clock()
        ahead = self._difference(now)
        if abs(ahead - self._ahead) > MOST_S:
            self._since = now
        self._ahead = ahead
        return self._since

    def _difference(self, now: datetime) -> float:
        return now.timestamp() - self._monotonic()
