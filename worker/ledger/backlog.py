"""
How much waits in the inbox, and when that is too much. This file may not know databases.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What may wait before the inbox refuses more.

    Args:
        queued: Entries in memory, not yet on disk.
        pending: Recorded inbounds that were not reacted to.
        queued_bytes: The bodies of the queued entries together.
    """

    queued: int
    pending: int
    queued_bytes: int = 64 << 20


class Backlog:
    """Counts what waits; where workers share a database, what is pending is an estimate that is set right often."""

    def __init__(self, limits: Limits, pending: int = 0) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._queued = 0
        self._queued_bytes = 0
        self._pending = pending

    def admit(self, size: int) -> bool:
        """Count one more entry with a body of *size* bytes; False, and not counted, where that is too much."""
        with self._lock:
            if (
                self._queued >= self._limits.queued
                or self._queued_bytes + size > self._limits.queued_bytes
                or self._queued + self._pending >= self._limits.pending
            ):
                return False
            self._queued += 1
            self._queued_bytes += size
            return True

    def left_queue(self, size: int) -> None:
        """Count an entry out of the memory, whatever became of it."""
        with self._lock:
            self._queued -= 1
            self._queued_bytes -= size

    def pends(self, more: int) -> None:
        """Count inbounds that now wait for react; fewer where *more* is negative."""
        with self._lock:
            self._pending += more

    def recounted(self, pending: int) -> None:
        """Set right what others may have changed."""
        with self._lock:
            self._pending = pending
