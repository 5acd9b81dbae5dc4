"""
Maintenance windows as they are read. This file may not know what a window does next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select

from worker.core.model import SignalId, Window, WindowPhase
from worker.ledger.aggregates import actions_of, having, members_of, newest
from worker.ledger.database import Part
from worker.ledger.rows import AnyRow, window_of
from worker.ledger.tables import WINDOW

LIVE = [phase.value for phase in WindowPhase if phase.live]
ENDED_WINDOWS = [phase.value for phase in WindowPhase if not phase.live]


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

    def latest_windows(self, lines: Collection[str]) -> Mapping[str, Window]:
        """Give the newest window of each line that has one, live or ended."""
        with self._database.read() as connection:
            return {
                window.line: window for window in whole(connection, newest(connection, WINDOW, WINDOW.c.line, lines))
            }

    def joined_windows(self, ids: Collection[SignalId]) -> Sequence[Window]:
        """Give the live windows that any of the signals is a member of, the oldest first."""
        with self._database.read() as connection:
            found = whole(connection, having(connection, WINDOW, ids))
        return sorted(found, key=lambda window: (window.created_at, window.id))

    def muting(self, now: datetime) -> Sequence[Window]:
        """Give the windows in progress, and those that are complete for less than their grace."""
        in_progress = WINDOW.c.phase == WindowPhase.IN_PROGRESS.value
        in_grace = and_(WINDOW.c.phase == WindowPhase.COMPLETE.value, WINDOW.c.muted_until > now)
        query = select(WINDOW).where(or_(in_progress, in_grace)).order_by(WINDOW.c.starts_at, WINDOW.c.id)
        with self._database.read() as connection:
            return [window_of(row, {}, ()) for row in connection.execute(query)]

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
    """Make whole windows of rows of ``WINDOW``, in their order: two queries for any number."""
    members = members_of(connection, [row.id for row in rows if row.line])
    actions = actions_of(connection, [row.id for row in rows])
    return [window_of(row, members.get(row.id, {}), tuple(actions.get(row.id, ()))) for row in rows]
