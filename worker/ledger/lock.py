"""
One writing process per SQLite file: a lock on a file beside it, held for life.

The lock file is never removed: a process that had it open would hold a lock that nobody else can see.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from worker.errors import LedgerLocked

_PAUSE_SECONDS = 0.05


class FileLock:
    """
    The right to write to one file.

    Args:
        path: The file; the lock is taken on ``<path>.lock``.
        patience: Seconds to wait for a process that holds it: commands do so for an instant.

    Raises:
        LedgerLocked: Another process holds it; the text names its pid.
        OSError: The lock file cannot be opened.
    """

    def __init__(self, path: Path, patience: float = 0) -> None:
        self._file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + patience
        while not self._taken():
            if time.monotonic() < until:
                time.sleep(_PAUSE_SECONDS)
                continue
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise LedgerLocked(
                f"{path}: the ledger is held by process {holder or 'unknown'}; "
                "stop that worker, or give this one a ledger of its own"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let others write."""
        os.close(self._file)
