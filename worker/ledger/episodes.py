"""
Signals and episodes as they are read: whole, with few queries for many.

A member's signal is joined as it is now, not as it was when the episode was committed. This file may not know what
an episode does next.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from worker.core.model import Action, Episode, Member, Phase, Signal, SignalId
from worker.ledger.database import Part
from worker.ledger.rows import AnyRow, action_of, episode_of, member_of, signal_of
from worker.ledger.statements import chunks, one_of
from worker.ledger.tables import ACTION, EPISODE, MEMBER, REVISION, SIGNAL

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

    def latest(self, keys: Collection[str]) -> Mapping[str, Episode]:
        """Give the newest episode of each key that has one, live or ended."""
        episodes: dict[str, Episode] = {}
        with self._database.read() as connection:
            for some in chunks(keys):
                newest = (
                    select(EPISODE.c.key, func.max(EPISODE.c.number).label("number"))
                    .where(EPISODE.c.key.in_(some))
                    .group_by(EPISODE.c.key)
                    .subquery()
                )
                query = select(EPISODE).join(
                    newest, and_(EPISODE.c.key == newest.c.key, EPISODE.c.number == newest.c.number)
                )
                rows = connection.execute(query).all()
                episodes |= {row.key: episode for row, episode in zip(rows, whole(connection, rows), strict=True)}
        return episodes

    def joined(self, ids: Collection[SignalId]) -> Sequence[Episode]:
        """Give the live episodes that any of the signals is a member of, the oldest first."""
        with self._database.read() as connection:
            found = {
                row.id: row
                for some in chunks(ids)
                for row in connection.execute(
                    select(EPISODE).where(
                        EPISODE.c.id.in_(
                            select(MEMBER.c.episode).where(one_of(MEMBER.c.source, MEMBER.c.key, some), MEMBER.c.live)
                        )
                    )
                )
            }
            return sorted(whole(connection, list(found.values())), key=lambda episode: (episode.created_at, episode.id))

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
    members: dict[str, dict[SignalId, Member]] = defaultdict(dict)
    for row in _in_chunks(connection, _MEMBERS, MEMBER.c.episode, ids):
        member = member_of(row)
        members[row.episode][member.signal.id] = member
    actions: dict[str, list[Action]] = defaultdict(list)
    for row in _in_chunks(connection, _UNSETTLED, ACTION.c.aggregate, ids):
        actions[row.aggregate].append(action_of(row))
    return [episode_of(row, members.get(row.id, {}), tuple(actions.get(row.id, ()))) for row in rows]


def _in_chunks(connection: Connection, query: Select[Any], column: Any, ids: Sequence[str]) -> Iterator[AnyRow]:
    for some in chunks(ids):
        yield from connection.execute(query.where(column.in_(some)))


_MEMBERS = (
    select(MEMBER.c.episode, MEMBER.c.joined_at, MEMBER.c.cleared, SIGNAL.c.version, SIGNAL.c.body)
    .join(SIGNAL, and_(MEMBER.c.source == SIGNAL.c.source, MEMBER.c.key == SIGNAL.c.key))
    .order_by(MEMBER.c.joined_at, MEMBER.c.source, MEMBER.c.key)
)
_UNSETTLED = (
    select(ACTION.c.aggregate, ACTION.c.not_before, ACTION.c.body)
    .where(ACTION.c.settled.is_(False))
    .order_by(ACTION.c.aggregate, ACTION.c.seq)
)
