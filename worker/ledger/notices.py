"""
Notices on their way to their receivers. This file may not know who those are, or what is told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select

from worker.core.concerns import Mailbox, Standing, mailbox_name
from worker.core.model import Notice
from worker.ledger.database import Part
from worker.ledger.rows import AnyRow, mailbox_of, notice_of, standing_of
from worker.ledger.statements import chunks
from worker.ledger.tables import MEMO, NOTICE


class Notices(Part):
    """Implements ``ports.Notices``."""

    def untaken(self, since: datetime, limit: int) -> Sequence[tuple[int, datetime, Notice]]:
        """Give notices made at *since* or later that nobody has taken on their way, the oldest first, numbered."""
        query = select(NOTICE).where(NOTICE.c.taken.is_(False), NOTICE.c.at >= since)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(NOTICE.c.id).limit(limit)).all()
        return [(row.id, row.at, notice_of(row)) for row in rows]

    def numbered(self, numbers: Collection[int]) -> Sequence[tuple[int, datetime, Notice]]:
        """Give those of the notices that are still there, in order."""
        found: list[tuple[int, datetime, Notice]] = []
        with self._database.read() as connection:
            for some in chunks(sorted(numbers)):
                rows = connection.execute(select(NOTICE).where(NOTICE.c.id.in_(some)).order_by(NOTICE.c.id))
                found += [(row.id, row.at, notice_of(row)) for row in rows]
        return found

    def standing(self) -> Standing:
        """Give what was told and is not over."""
        row = self._memo(Standing().name)
        return standing_of(row) if row is not None else Standing()

    def mailbox(self, receiver: str) -> Mailbox:
        """Give what waits for a receiver."""
        row = self._memo(mailbox_name(receiver))
        return mailbox_of(row, receiver) if row is not None else Mailbox(receiver=receiver)

    def _memo(self, name: str) -> AnyRow | None:
        with self._database.read() as connection:
            return connection.execute(select(MEMO).where(MEMO.c.name == name)).one_or_none()
