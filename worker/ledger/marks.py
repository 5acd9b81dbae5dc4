"""
Whether a ledger is the one that was written last, or was put back from somewhere: then the page may be ahead of it.

What tells so stands outside the tables, where a copy of them does not reach. This file may not know what follows.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from worker.ledger.database import Part
from worker.ledger.statements import run_many, upsert
from worker.ledger.tables import META

MARK, COPIED = "mark", "copied_at"
"""Names in ``META``: what it was marked with last; in a copy that ``backup`` made, when."""

_KEEP = upsert(META, "value")


class Marks(Part):
    """Methods of the ledger for whoever starts a worker on it."""

    def doubt(self) -> str:
        """Say why this may not be the ledger that was written last, for people; "" where nothing tells so."""
        with self._database.read() as connection:
            kept = {row.name: row.value for row in connection.execute(select(META))}
        if COPIED in kept:
            return f"it is a backup of {kept[COPIED]}"
        return self._database.doubt(kept.get(MARK, ""))

    def mark(self) -> None:
        """
        Mark it as the one that was written last; whatever was copied before is known to be older from now on.

        Raises:
            LedgerUnavailable: The ledger cannot be written now.
            OSError: What stands beside it cannot be.
        """

        def go_on(connection: Connection) -> str:
            kept = connection.scalar(select(META.c.value).where(META.c.name == MARK)) or ""
            mark = self._database.next_mark(kept)
            run_many(connection, _KEEP, [{"name": MARK, "value": mark}])
            connection.execute(delete(META).where(META.c.name == COPIED))
            return mark

        self._database.leave_mark(self._database.write(go_on))  # in this order: what stands beside is never ahead
