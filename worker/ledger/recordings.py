"""
What came in, as it came, to be played again. This file may not write.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from worker.core.model import Inbound
from worker.ledger.database import Part
from worker.ledger.rows import inbound_of
from worker.ledger.tables import INBOUND


class Recordings(Part):
    """Implements ``ports.Recordings``."""

    def recorded(self, since: datetime, after: int = 0, limit: int = 1000) -> Sequence[Inbound]:
        """Give inbounds that were received at *since* or later and stand behind *after*, in order of receipt."""
        query = select(INBOUND).where(INBOUND.c.received_at >= since, INBOUND.c.seq > after)
        with self._database.read() as connection:
            return [inbound_of(row) for row in connection.execute(query.order_by(INBOUND.c.seq).limit(limit))]
