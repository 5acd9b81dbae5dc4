"""
A ledger that may be older than its pages: put back from a backup, made anew, or on a server that lost commits.
"""

from __future__ import annotations

from collections.abc import Iterable

from worker.core.model import UNMATCHED, Flag, Notice, Severity
from worker.ledger import Ledger
from worker.ports import Clock, Commit, Committer

ASKED = "it was asked for"
MARK_EVERY_S = 60.0
"""How often a ledger is marked as the one that was written last: a copy that is older than that is known as one."""


def hold_back(ledger: Ledger, committer: Committer, pages: Iterable[str], clock: Clock, *, asked: bool) -> None:
    """
    Let nothing be published from a ledger that may be older than its pages, until it was matched with each of them.

    Args:
        pages: Our names.
        asked: Also where nothing tells that it is.

    Raises:
        LedgerUnavailable: The ledger cannot be read or written now.
    """
    why = ledger.doubt() or (ASKED if asked else "")
    if not why:
        return
    now = clock()
    flags = [Flag(page=page, name=UNMATCHED, at=now, value=why) for page in sorted(pages)]
    text = f"the ledger may be older than the pages: {why}. Nothing is published until it was matched with them"
    notice = Notice(code="ledger_doubted", subject="ledger", text=text, severity=Severity.ERROR)
    committer.commit(Commit(now=now, flags=flags, notices=[notice]))
