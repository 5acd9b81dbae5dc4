"""
Maintenance windows as they are read. This file may not know what a window does next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select

from worker.core.model import Action, Window, WindowPhase
from worker.ledger.database import Part
from worker.ledger.rows import AnyRow, action_of, window_of
from worker.ledger.statements import chunks
from worker.ledger.tables import ACTION, WINDOW

LIVE = [phase.value for phase in WindowPhase if phase.live]


class Windows(Part):
    """Implements ``ports.Windows``."""

    def window(self, window_id: str) -> Window | None:
        """Give one window."""
        with self._database.read() as connection:
            rows = connection.execute(select(WINDOW).where(WINDOW.c.id == window_id)).all()
            return next(iter(whole(connection, rows)), None)

    def windows(self, since: datetime) -> Sequence[Window]:
        """Give every window that is live or ends after *since*, the earliest first."""
        query = select(WINDOW).where(or_(WINDOW.c.phase.in_(LIVE), WINDOW.c.ends_at > since))
        with self._database.read() as connection:
            return whole(connection, connection.execute(query.order_by(WINDOW.c.starts_at, WINDOW.c.id)).all())

    def muting(self, now: datetime) -> Sequence[Window]:
        """Give the windows in progress, and those that are complete for less than their grace."""
        in_progress = WINDOW.c.phase == WindowPhase.IN_PROGRESS.value
        in_grace = and_(WINDOW.c.phase == WindowPhase.COMPLETE.value, WINDOW.c.muted_until > now)
        query = select(WINDOW).where(or_(in_progress, in_grace)).order_by(WINDOW.c.starts_at, WINDOW.c.id)
        with self._database.read() as connection:
            return [window_of(row, ()) for row in connection.execute(query)]

    def due_windows(self, now: datetime, limit: int) -> Sequence[Window]:
        """Give windows whose ``wake_at`` has come, the earliest first."""
        query = select(WINDOW).where(WINDOW.c.wake_at <= now).order_by(WINDOW.c.wake_at, WINDOW.c.id).limit(limit)
        with self._database.read() as connection:
            return whole(connection, connection.execute(query).all())

    def next_window_wake(self) -> datetime | None:
        """Give the earliest ``wake_at``."""
        with self._database.read() as connection:
            earliest: datetime | None = connection.scalar(select(func.min(WINDOW.c.wake_at)))
        return earliest


def whole(connection: Connection, rows: Sequence[AnyRow]) -> list[Window]:
    """Make whole windows of rows of ``WINDOW``, in their order: one query for any number."""
    actions: dict[str, list[Action]] = defaultdict(list)
    unsettled = (
        select(ACTION.c.aggregate, ACTION.c.not_before, ACTION.c.body)
        .where(ACTION.c.settled.is_(False))
        .order_by(ACTION.c.aggregate, ACTION.c.seq)
    )
    for some in chunks(row.id for row in rows):
        for row in connection.execute(unsettled.where(ACTION.c.aggregate.in_(some))):
            actions[row.aggregate].append(action_of(row))
    return [window_of(row, tuple(actions.get(row.id, ()))) for row in rows]
