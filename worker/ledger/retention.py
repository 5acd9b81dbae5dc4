"""
Removal of what nobody needs any more, a few rows at a time.

Children go before their parents, so that a run that ends anywhere leaves nothing that points nowhere. This file may
not know how long anything is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    select,
    type_coerce,
)

from worker.ledger.columns import Name
from worker.ledger.database import Part
from worker.ledger.episodes import LIVE
from worker.ledger.rows import PENDING
from worker.ledger.statements import one_of, run_many
from worker.ledger.tables import ACTION, ATTEMPT, DECISION, EPISODE, EVENT, INBOUND, MEMBER, NOTICE, SIGNAL, WINDOW
from worker.ledger.windows import ENDED_WINDOWS

Removal = Callable[[int], int]
"""Removes at most so many rows; says how many."""


class Retention(Part):
    """Implements ``ports.Retention``."""

    def prune(
        self, *, inbounds_before: datetime, signals_before: datetime, ended_before: datetime, limit: int = 500
    ) -> int:
        """See ``ports.Retention.prune``."""
        episodes = (EPISODE, EPISODE.c.ended_at < ended_before, EPISODE.c.phase.not_in(LIVE))
        # What was called off long before its time is known until then, or its entry would plan it again.
        past = and_(WINDOW.c.muted_until < ended_before, WINDOW.c.ends_at < ended_before)
        windows = (WINDOW, past, WINDOW.c.phase.in_(ENDED_WINDOWS))

        def work(connection: Connection) -> int:
            return _in_turn(
                limit,
                lambda most: _inbounds(connection, inbounds_before, most),
                lambda most: _signals(connection, signals_before, most),
                lambda most: _aggregates(connection, *episodes, most),
                lambda most: _aggregates(connection, *windows, most),
                lambda most: _notices(connection, ended_before, most),
            )

        return self._database.write(work)


def _in_turn(limit: int, *removals: Removal) -> int:
    """Remove at most *limit* rows; nothing of a removal before all of those before it."""
    removed = 0
    for removal in removals:
        if removed < limit:
            removed += removal(limit - removed)
    return removed


def _inbounds(connection: Connection, before: datetime, limit: int) -> int:
    # In order of receipt: nothing but the oldest is looked at.
    oldest = select(INBOUND.c.seq, INBOUND.c.received_at, INBOUND.c.state).order_by(INBOUND.c.seq).limit(limit)
    old = [row.seq for row in connection.execute(oldest) if row.received_at < before and row.state != PENDING]
    if not old:
        return 0
    return _in_turn(
        limit,
        lambda most: _remove(connection, EVENT, most, EVENT.c.inbound_seq.in_(old)),
        lambda most: _remove(connection, INBOUND, most, INBOUND.c.seq.in_(old)),
    )


def _signals(connection: Connection, before: datetime, limit: int) -> int:
    joined = exists().where(MEMBER.c.source == SIGNAL.c.source, MEMBER.c.key == SIGNAL.c.key, MEMBER.c.live)
    silent = (SIGNAL.c.firing.is_(False), SIGNAL.c.heard_at < before)
    query = select(_raw(SIGNAL.c.source), _raw(SIGNAL.c.key)).where(*silent, ~joined)
    pairs = [(source, key) for source, key in connection.execute(query.order_by(SIGNAL.c.heard_at).limit(limit))]
    if not pairs:
        return 0
    return _in_turn(
        limit,
        lambda most: _remove(connection, MEMBER, most, one_of(_raw(MEMBER.c.source), _raw(MEMBER.c.key), pairs)),
        # It may fire by now, where another worker commits meanwhile.
        lambda most: _remove(
            connection, SIGNAL, most, one_of(_raw(SIGNAL.c.source), _raw(SIGNAL.c.key), pairs), *silent
        ),
    )


def _aggregates(
    connection: Connection, table: Table, over: ColumnElement[bool], ended: ColumnElement[bool], limit: int
) -> int:
    """Remove episodes, or windows, with all that belongs to them."""
    waiting = select(ACTION.c.aggregate).where(ACTION.c.settled.is_(False))
    query = select(table.c.id).where(over, ended, table.c.id.not_in(waiting)).limit(limit)
    ids: Collection[str] = connection.scalars(query).all()
    if not ids:
        return 0
    actions = select(ACTION.c.id).where(ACTION.c.aggregate.in_(ids))
    return _in_turn(
        limit,
        lambda most: _remove(connection, ATTEMPT, most, ATTEMPT.c.action_id.in_(actions)),
        lambda most: _remove(connection, ACTION, most, ACTION.c.aggregate.in_(ids)),
        lambda most: _remove(connection, DECISION, most, DECISION.c.aggregate.in_(ids)),
        lambda most: _remove(connection, MEMBER, most, MEMBER.c.aggregate.in_(ids)),
        lambda most: _remove(connection, table, most, table.c.id.in_(ids), over),
    )


def _notices(connection: Connection, before: datetime, limit: int) -> int:
    oldest = select(NOTICE.c.id, NOTICE.c.at).order_by(NOTICE.c.id).limit(limit)
    old = [row.id for row in connection.execute(oldest) if row.at < before]
    return _remove(connection, NOTICE, limit, NOTICE.c.id.in_(old)) if old else 0


def _remove(
    connection: Connection, table: Table, limit: int, chosen: ColumnElement[bool], *still: ColumnElement[bool]
) -> int:
    """Remove at most *limit* of the *chosen* rows; each only where the rest holds at that moment."""
    keys = {column.name: _raw(column) for column in table.primary_key.columns}
    rows = connection.execute(select(*keys.values()).where(chosen).limit(limit)).all()
    one = delete(table).where(*(key == bindparam(f"at_{name}", type_=key.type) for name, key in keys.items()), *still)
    return run_many(
        connection, one, ({f"at_{name}": value for name, value in zip(keys, row, strict=True)} for row in rows)
    )


def _raw(column: Column[Any]) -> ColumnElement[Any]:
    """Give a column as it is stored: a long name has no way back from its handle."""
    return type_coerce(column, Text) if isinstance(column.type, Name) else column
