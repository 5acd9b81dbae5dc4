"""
The files of an open SQLite ledger: whether they are still those that were opened.

A process goes on reading and writing a file that was deleted or replaced: into a ghost, which is gone with the process,
while another worker may hold the new file. This file may not know what stands in them.
"""

from __future__ import annotations

import os
from pathlib import Path

from worker.errors import LedgerUnavailable
from worker.ledger.faults import LedgerBroken

_BESIDE = ("", "-wal", "-shm", ".lock")
"""What SQLite keeps beside the file for as long as it is open, and our lock."""

_Identity = tuple[int, int]


class OpenFiles:
    """
    The files as they are now, and must stay.

    Args:
        path: The ledger, open for writing.
    """

    def __init__(self, path: Path) -> None:
        self._known = {name: _identity(name) for name in (f"{path}{suffix}" for suffix in _BESIDE)}

    def check(self) -> None:
        """
        Look whether each file is still itself; takes a few microseconds.

        Raises:
            LedgerBroken: One was deleted, replaced, or moved away.
            LedgerUnavailable: This cannot be told now.
        """
        for name, known in self._known.items():
            try:
                now = _identity(name)
            except (FileNotFoundError, NotADirectoryError):
                raise LedgerBroken(_gone(name, "was deleted or moved away")) from None
            except OSError as error:
                raise LedgerUnavailable(f"{name}: cannot be looked at: {error.strerror}") from None
            if now != known:
                raise LedgerBroken(_gone(name, "was replaced by another file"))


def _identity(name: str) -> _Identity:
    found = os.stat(name)  # noqa: PTH116  (a Path costs twice as much, and every read and commit looks)
    return found.st_dev, found.st_ino


def _gone(name: str, what: str) -> str:
    return (
        f"{name} {what} while the worker had it open; nothing is published from it any more. Put it back, or restore "
        "a backup, before the next start; stop the worker before anybody touches these files"
    )
