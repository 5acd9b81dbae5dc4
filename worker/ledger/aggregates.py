"""
What episodes and windows have in common where they are read: members, unsettled actions, and a place in a line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, select

from worker.core.model import Action, Member, SignalId
from worker.ledger.rows import AnyRow, action_of, member_of
from worker.ledger.statements import chunks, one_of
from worker.ledger.tables import ACTION, MEMBER, SIGNAL


def members_of(connection: Connection, ids: Sequence[str]) -> Mapping[str, Mapping[SignalId, Member]]:
    """Give the members of each aggregate, by its id; their signals as they are now."""
    members: dict[str, dict[SignalId, Member]] = defaultdict(dict)
    for row in _in_chunks(connection, _MEMBERS, MEMBER.c.aggregate, ids):
        member = member_of(row)
        members[row.aggregate][member.signal.id] = member
    return members


def actions_of(connection: Connection, ids: Sequence[str]) -> Mapping[str, Sequence[Action]]:
    """Give the unsettled actions of each aggregate, by its id."""
    actions: dict[str, list[Action]] = defaultdict(list)
    for row in _in_chunks(connection, _UNSETTLED, ACTION.c.aggregate, ids):
        actions[row.aggregate].append(action_of(row))
    return actions


def having(connection: Connection, table: Table, ids: Collection[SignalId]) -> Sequence[AnyRow]:
    """Give the live ones that any of the signals is a member of."""
    found: dict[str, AnyRow] = {}
    for some in chunks(ids):
        members = select(MEMBER.c.aggregate).where(one_of(MEMBER.c.source, MEMBER.c.key, some), MEMBER.c.live)
        found |= {row.id: row for row in connection.execute(select(table).where(table.c.id.in_(members)))}
    return list(found.values())


def newest(connection: Connection, table: Table, line: ColumnElement[str], keys: Collection[str]) -> Sequence[AnyRow]:
    """Give the newest of each line that has any; *line*: the column that names it."""
    rows: list[AnyRow] = []
    for some in chunks(keys):
        last = (
            select(line.label("line"), func.max(table.c.number).label("number"))
            .where(line.in_(some))
            .group_by(line)
            .subquery()
        )
        rows += connection.execute(select(table).join(last, and_(line == last.c.line, table.c.number == last.c.number)))
    return rows


def _in_chunks(connection: Connection, query: Select[Any], column: Any, ids: Sequence[str]) -> Iterator[AnyRow]:
    for some in chunks(ids):
        yield from connection.execute(query.where(column.in_(some)))


_MEMBERS = (
    select(MEMBER.c.aggregate, MEMBER.c.joined_at, MEMBER.c.cleared, SIGNAL.c.version, SIGNAL.c.body)
    .join(SIGNAL, and_(MEMBER.c.source == SIGNAL.c.source, MEMBER.c.key == SIGNAL.c.key))
    .order_by(MEMBER.c.joined_at, MEMBER.c.source, MEMBER.c.key)
)
_UNSETTLED = (
    select(ACTION.c.aggregate, ACTION.c.not_before, ACTION.c.body)
    .where(ACTION.c.settled.is_(False))
    .order_by(ACTION.c.aggregate, ACTION.c.seq)
)
