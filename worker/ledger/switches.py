"""
What holds for a whole page, and survives a restart. This file may not know what a flag is set for.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from worker.core.model import ActionState, Flag
from worker.ledger.database import Part
from worker.ledger.rows import flag_of
from worker.ledger.tables import ACTION, FLAG


class Switches(Part):
    """Implements ``ports.Switches``."""

    def flags(self, *names: str) -> Sequence[Flag]:
        """Give the flags of these names, by page."""
        with self._database.read() as connection:
            rows = connection.execute(select(FLAG).where(FLAG.c.name.in_(names)).order_by(FLAG.c.page))
            return [flag_of(row) for row in rows]

    def sending(self, page: str = "") -> Sequence[str]:
        """Give the ids of the actions whose attempt may be on its way; "": to whatever page."""
        under_way = ACTION.c.settled.is_(False), ACTION.c.state == ActionState.SENDING.value
        query = select(ACTION.c.id).where(*under_way).order_by(ACTION.c.id)
        with self._database.read() as connection:
            return list(connection.scalars(query.where(ACTION.c.page == page) if page else query))
