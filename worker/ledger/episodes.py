"""
Signals and episodes as they are read: whole, with few queries for many.

A member's signal is joined as it is now, not as it was when the episode was committed. This file may not know what
an episode does next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from worker.core.model import Beat, Episode, Phase, Signal, SignalId
from worker.ledger.aggregates import actions_of, having, members_of, newest
from worker.ledger.database import Part
from worker.ledger.rows import CANARY, AnyRow, beat_of, episode_of, signal_of
from worker.ledger.statements import chunks, one_of
from worker.ledger.tables import EPISODE, FLAG, REVISION, SIGNAL

LIVE = [phase.value for phase in Phase if phase.live]


class Episodes(Part):
    """Implements ``ports.Episodes``."""

    def signals(self, ids: Collection[SignalId]) -> Mapping[SignalId, Signal]:
        """Give those of the signals that are known."""
        with self._database.read() as connection:
            found = [
                signal_of(row)
                for some in chunks(ids)
                for row in connection.execute(
                    select(SIGNAL.c.version, SIGNAL.c.body).where(one_of(SIGNAL.c.source, SIGNAL.c.key, some))
                )
            ]
        return {signal.id: signal for signal in found}

    def scope(self, source: str, scope: str) -> Sequence[Signal]:
        """Give the firing signals of a sender's group."""
        query = select(SIGNAL.c.version, SIGNAL.c.body).where(
            SIGNAL.c.source == source, SIGNAL.c.scope == scope, SIGNAL.c.firing
        )
        with self._database.read() as connection:
            return sorted(map(signal_of, connection.execute(query)), key=lambda signal: signal.id)

    def firing(self, sources: Collection[str]) -> Sequence[Signal]:
        """Give the signals that fire, of the sources; () for any."""
        query = select(SIGNAL.c.version, SIGNAL.c.body).where(SIGNAL.c.firing)
        query = query.where(SIGNAL.c.source.in_(list(sources))) if sources else query
        with self._database.read() as connection:
            return sorted(map(signal_of, connection.execute(query)), key=lambda signal: signal.id)

    def latest(self, keys: Collection[str]) -> Mapping[str, Episode]:
        """Give the newest episode of each key that has one, live or ended."""
        with self._database.read() as connection:
            rows = newest(connection, EPISODE, EPISODE.c.key, keys)
            return {row.key: episode for row, episode in zip(rows, whole(connection, rows), strict=True)}

    def joined(self, ids: Collection[SignalId]) -> Sequence[Episode]:
        """Give the live episodes that any of the signals is a member of, the oldest first."""
        with self._database.read() as connection:
            found = whole(connection, having(connection, EPISODE, ids))
        return sorted(found, key=lambda episode: (episode.created_at, episode.id))

    def get(self, episode_id: str) -> Episode | None:
        """Give one episode."""
        with self._database.read() as connection:
            rows = connection.execute(select(EPISODE).where(EPISODE.c.id == episode_id)).all()
            return next(iter(whole(connection, rows)), None)

    def due(self, now: datetime, limit: int) -> Sequence[Episode]:
        """Give episodes whose ``wake_at`` has come, the earliest first."""
        query = select(EPISODE).where(EPISODE.c.wake_at <= now).order_by(EPISODE.c.wake_at, EPISODE.c.id).limit(limit)
        with self._database.read() as connection:
            return whole(connection, connection.execute(query).all())

    def next_wake(self) -> datetime | None:
        """Give the earliest ``wake_at``."""
        with self._database.read() as connection:
            earliest: datetime | None = connection.scalar(select(func.min(EPISODE.c.wake_at)))
        return earliest

    def beats(self) -> Mapping[str, Beat]:
        """Give what is known of the canaries, by source."""
        with self._database.read() as connection:
            rows = connection.execute(select(FLAG).where(FLAG.c.name.startswith(CANARY)))
            return {beat.source: beat for beat in map(beat_of, rows)}

    def live(self, rule_ids: Collection[str], page: str) -> bool:
        """Say whether any of the rules has a live episode on the page."""
        query = select(EPISODE.c.id).where(
            EPISODE.c.phase.in_(LIVE), EPISODE.c.rule_id.in_(list(rule_ids)), EPISODE.c.page == page
        )
        with self._database.read() as connection:
            return connection.scalar(query.limit(1)) is not None

    def revision(self, rule_hash: str) -> Mapping[str, Any] | None:
        """Give the spec of a rule revision."""
        with self._database.read() as connection:
            spec = connection.scalar(select(REVISION.c.spec).where(REVISION.c.rule_hash == rule_hash))
        return None if spec is None else json.loads(spec)


def whole(connection: Connection, rows: Sequence[AnyRow]) -> list[Episode]:
    """Make whole episodes of rows of ``EPISODE``, in their order: two queries for any number."""
    ids = [row.id for row in rows]
    members, actions = members_of(connection, ids), actions_of(connection, ids)
    return [episode_of(row, members.get(row.id, {}), tuple(actions.get(row.id, ()))) for row in rows]
