"""
How fast one API key may be used: at most so many requests in any minute, nothing at all while the page says wait.

In-process and in memory: it spares us refusals, correctness never rests on it. Knows no HTTP and no wall clock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

PER_MINUTE = 1200
RESERVE = 120
"""Places of each minute that reads leave to writes: where places are scarce, writes go first."""
_MINUTE = 60.0
_SHORTEST_WAIT = 0.001


class Pace:
    """
    A sliding window over the last minute of one key. Thread-safe.

    A window and not a bucket: a bucket that refills while it is emptied would let almost twice the limit pass in one
    minute.

    Args:
        per_minute: Requests allowed in any 60 seconds.
        reserve: How many of those only writes may take.
        monotonic: Seconds that never run back.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        per_minute: int = PER_MINUTE,
        reserve: int = RESERVE,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = {True: per_minute, False: per_minute - reserve}
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._taken: deque[float] = deque(maxlen=per_minute)
        self._held_until = float("-inf")

    def take(self, *, write: bool, patience: float) -> float:
        """
        Take a place for one request, waiting for it if it is near.

        Args:
            write: Whether the request is a write; writes go before reads.
            patience: Longest wait in seconds.

        Returns:
            0.0 with the place taken; else the seconds until there may be one, with nothing taken.
        """
        give_up = self._monotonic() + patience
        while wait := self._try(write):
            if self._monotonic() + wait > give_up:
                return wait
            self._sleep(wait)
        return 0.0

    def hold(self, seconds: float) -> None:
        """Give out nothing for so many seconds; a longer hold that is already on stays on."""
        with self._lock:
            self._held_until = max(self._held_until, self._monotonic() + seconds)

    def _try(self, write: bool) -> float:
        with self._lock:
            now = self._monotonic()
            free_at = max(self._held_until, self._room_at(self._limits[write]))
            if free_at > now:
                return max(free_at - now, _SHORTEST_WAIT)
            self._taken.append(now)
            return 0.0

    def _room_at(self, limit: int) -> float:
        """When fewer than *limit* requests will lie within the last minute, if no more are made."""
        return self._taken[-limit] + _MINUTE if len(self._taken) >= limit else float("-inf")


_SHARED: dict[str, Pace] = {}


def shared(identity: str) -> Pace:
    """Give the one pace of a key, so that all pages that use it share its limit; *identity* is a digest of the key."""
    return _SHARED.setdefault(identity, Pace())
