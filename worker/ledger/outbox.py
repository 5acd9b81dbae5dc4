"""
The outbox: actions from decision until they are settled, the leases on them, and what came of them.

Work is found by its state, so that any number of workers may look for it. This file may not know what a page is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, exists, func, literal, or_, select, update

from worker.core.brakes import Posted
from worker.core.model import PAUSE, UNMATCHED, UNREADABLE, UNWRITABLE, Action, ActionKind, ActionState, Attempt
from worker.core.retry import BREAKER
from worker.ledger.database import Part
from worker.ledger.rows import action_of, attempt_of
from worker.ledger.tables import ACTION, ATTEMPT, FLAG
from worker.ports import EVERY_KIND, LONGEST_PAUSE, UNBRAKED

_UNBRAKED = sorted(kind.value for kind in UNBRAKED)
_IN_FLIGHT = [state.value for state in (ActionState.UNKNOWN, ActionState.SENDING)]
_CREATES = [kind.value for kind in ActionKind if kind.creates]


class Outbox(Part):
    """Implements ``ports.Outbox``."""

    def claim(
        self, now: datetime, lease: timedelta, pages: Collection[str], kinds: Collection[ActionKind] = EVERY_KIND
    ) -> Action | None:
        """
        Lease the next action that may be worked on: queued, unknown, sending with a lapsed lease, or held only behind
        somebody else's incident; due; of one of the pages that is not paused, and of *kinds*; the first unsettled one
        of its aggregate. Resolves and transitions come first, then the oldest; what is held comes last. Of a page
        whose breaker is open, one at its turn; where it can be read, what only reads has no need of one.
        """
        given: dict[str, Any] = {"at_now": now, "at_most": now + LONGEST_PAUSE, "these_pages": list(pages)}
        given["at_turn"] = now + BREAKER
        query = _CLAIM if kinds is EVERY_KIND else _CLAIM_OF_KIND
        if kinds is not EVERY_KIND:
            given["these_kinds"] = [kind.value for kind in kinds]

        def take(connection: Connection) -> Action | None:
            row = connection.execute(query, given).one_or_none()
            while row is not None and not _has_turn(connection, row, given):
                row = connection.execute(query, given).one_or_none()
            if row is None:
                return None
            connection.execute(update(ACTION).where(ACTION.c.id == row.id).values(lease_until=now + lease))
            return action_of(row)

        return self._database.write(take)

    def paused(self, page: str) -> bool:
        """Say whether nothing may be written to a page now."""
        query = select(FLAG.c.page).where(_pauses(literal(page))).limit(1)
        with self._database.read() as connection:
            return connection.scalar(query) is not None

    def release(self, action_id: str, not_before: datetime) -> None:
        """Give a lease back without a verdict."""
        change = update(ACTION).where(ACTION.c.id == action_id).values(lease_until=None, not_before=not_before)
        self._database.write(lambda connection: connection.execute(change))

    def forget_leases(self) -> None:
        """Drop every lease: their holders are known to be gone, because nobody else can hold this ledger."""
        change = (
            update(ACTION)
            .where(ACTION.c.settled.is_(False), ACTION.c.lease_until.is_not(None))
            .values(lease_until=None)
        )
        self._database.write(lambda connection: connection.execute(change))

    def next_due(self, now: datetime) -> datetime | None:
        """Give the earliest time at which ``claim`` may find something, of whatever page; never before *now*."""
        with self._database.read() as connection:
            heads = connection.execute(_NEXT_DUE).all()
            breakers = connection.execute(select(FLAG.c.page, FLAG.c.name, FLAG.c.at).where(_BREAKER)).all()
        turns = {(row.page, row.name): row.at for row in breakers if now < row.at <= now + BREAKER}
        due = (max([head.due, *(turns.get((head.page, name), now) for name in _breakers(head))]) for head in heads)
        return min(due, default=None)

    def attempts(self, action_id: str) -> Sequence[Attempt]:
        """Give every attempt at an action, the oldest first."""
        query = select(ATTEMPT).where(ATTEMPT.c.action_id == action_id).order_by(ATTEMPT.c.number)
        with self._database.read() as connection:
            return [attempt_of(row) for row in connection.execute(query)]

    def own_updates(self, remote_id: str) -> frozenset[str]:
        """Give the page's ids of every post that we are known to have made on one object."""
        query = select(ACTION.c.update_id).where(ACTION.c.remote_id == remote_id, ACTION.c.update_id != "")
        with self._database.read() as connection:
            return frozenset(connection.scalars(query))

    def posted(self, page: str, since: datetime, now: datetime) -> Sequence[Posted]:
        """Give the actions that a page has since *since* or later, and those that it may have, or have soon."""
        since_then = ACTION.c.said_at >= since
        under_way = or_(ACTION.c.state.in_(_IN_FLIGHT), ACTION.c.lease_until > now)
        may_have = and_(ACTION.c.settled.is_(False), under_way)
        query = (
            select(ACTION.c.said_at, ACTION.c.created_at, ACTION.c.state, ACTION.c.not_before, ACTION.c.body)
            .where(ACTION.c.page == page, or_(since_then, may_have))
            .order_by(ACTION.c.created_at, ACTION.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Posted(action=action_of(row), at=row.said_at or row.not_before) for row in rows]

    def made(self, remote_id: str) -> bool:
        """Say whether a create of ours is known to have made the page's object."""
        done = ACTION.c.kind.in_(_CREATES), ACTION.c.state == ActionState.DONE.value
        with self._database.read() as connection:
            return connection.scalar(select(exists().where(ACTION.c.remote_id == remote_id, *done))) is True

    def unsettled_creates(self, page: str) -> Sequence[Action]:
        """Give the creates on a page whose outcome is not known, the oldest first."""
        query = (
            select(ACTION.c.state, ACTION.c.not_before, ACTION.c.body)
            .where(ACTION.c.settled.is_(False), ACTION.c.kind.in_(_CREATES), ACTION.c.page == page)
            .order_by(ACTION.c.created_at, ACTION.c.id)
        )
        with self._database.read() as connection:
            unsettled = [action_of(row) for row in connection.execute(query)]
        return [action for action in unsettled if action.sends or action.state.value in _IN_FLIGHT]


def _pauses(page: ColumnElement[str]) -> ColumnElement[bool]:
    """The flags that keep everything from a page; that one is there says all, whatever stands in it."""
    return and_(FLAG.c.name.in_([PAUSE, UNMATCHED]), or_(FLAG.c.page == page, FLAG.c.page == ""))


def _breakers(row: Any) -> Sequence[str]:
    """The names of the flags of a breaker that concern an action."""
    return (UNREADABLE,) if row.reads_back else (UNREADABLE, UNWRITABLE)


def _has_turn(connection: Connection, row: Any, given: dict[str, Any]) -> bool:
    """Take the turn of a page whose breaker is open; of two that want it at once, one gets it."""
    concern = FLAG.c.page == row.page, FLAG.c.name.in_(_breakers(row))
    found = connection.scalar(select(func.count()).select_from(FLAG).where(*concern))
    if not found:
        return True
    now, turn = given["at_now"], given["at_turn"]
    taken = update(FLAG).where(*concern, or_(FLAG.c.at <= now, FLAG.c.at > turn)).values(at=turn)
    return connection.execute(taken).rowcount == found


def _first_and_workable() -> ColumnElement[bool]:
    """The heads of their aggregates; one that waits for a person blocks those behind it."""
    earlier = ACTION.alias("earlier")
    blocked = exists().where(
        earlier.c.aggregate == ACTION.c.aggregate, earlier.c.seq < ACTION.c.seq, earlier.c.settled.is_(False)
    )
    return and_(ACTION.c.settled.is_(False), ACTION.c.workable.is_(True), ~blocked)


# Every thread that delivers asks this over and over; to put it together takes longer than to run it.
_NOW, _MOST = (bindparam(name, type_=ACTION.c.not_before.type) for name in ("at_now", "at_most"))
_TURN = bindparam("at_turn", type_=ACTION.c.not_before.type)
_READS_BACK = or_(  # of what is workable
    ACTION.c.state == ActionState.HELD.value, and_(ACTION.c.state.in_(_IN_FLIGHT), ACTION.c.kind.not_in(_CREATES))
)
_BREAKER = FLAG.c.name.in_([UNREADABLE, UNWRITABLE])
_SHUT = and_(
    _BREAKER,
    FLAG.c.page == ACTION.c.page,
    or_(FLAG.c.name == UNREADABLE, ~_READS_BACK),
    FLAG.c.at > _NOW,
    FLAG.c.at <= _TURN,
)
_CLAIM = (
    select(ACTION.c.id, ACTION.c.page, _READS_BACK.label("reads_back"), ACTION.c.not_before, ACTION.c.body)
    .where(_first_and_workable(), ACTION.c.page.in_(bindparam("these_pages", expanding=True)))
    .where(~exists().where(_pauses(ACTION.c.page)), ~exists().where(_SHUT))
    .where(
        or_(ACTION.c.not_before <= _NOW, and_(ACTION.c.not_before > _MOST, ACTION.c.kind.in_(_UNBRAKED))),
        or_(ACTION.c.lease_until.is_(None), ACTION.c.lease_until <= _NOW, ACTION.c.lease_until > _MOST),
    )
    .order_by(ACTION.c.urgency, ACTION.c.created_at, ACTION.c.aggregate, ACTION.c.seq)
    .limit(1)
    .with_for_update(skip_locked=True)  # SQLite has no such words: there one connection alone claims
)
_CLAIM_OF_KIND = _CLAIM.where(ACTION.c.kind.in_(bindparam("these_kinds", expanding=True)))

_FREE_AT = case((ACTION.c.lease_until > ACTION.c.not_before, ACTION.c.lease_until), else_=ACTION.c.not_before)
_NEXT_DUE = (
    select(ACTION.c.page, _READS_BACK.label("reads_back"), func.min(_FREE_AT).label("due"))
    .where(_first_and_workable())
    .group_by(ACTION.c.page, _READS_BACK)
)
