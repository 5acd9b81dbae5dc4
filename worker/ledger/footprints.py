"""
What was written to a page, whole, for comparing it with what the page shows. This file may not know how that is done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, select, type_coerce

from worker.core.drift import Sweep
from worker.core.footprints import Footprint
from worker.core.model import Action, Attempt, Episode, Window
from worker.ledger import windows
from worker.ledger.columns import handle
from worker.ledger.database import Part
from worker.ledger.episodes import LIVE, whole
from worker.ledger.rows import action_of, attempt_of, sweep_of
from worker.ledger.statements import chunks
from worker.ledger.tables import ACTION, ATTEMPT, EPISODE, SWEEP, WINDOW


class Footprints(Part):
    """Implements ``ports.Footprints``."""

    def footprint(self, aggregate: str) -> Footprint | None:
        """Give what one episode or window wrote; None where there is no such thing."""
        with self._database.read() as connection:
            return next(iter(_footprints(connection, _subjects(connection, [aggregate]))), None)

    def footprints(self, page: str, since: datetime) -> Sequence[Footprint]:
        """Give the footprints of everything on a page that is live, or whose actions were decided after *since*."""
        here = ACTION.c.page == page
        questions = (
            select(EPISODE.c.id).where(EPISODE.c.phase.in_(LIVE), EPISODE.c.page == page),
            select(WINDOW.c.id).where(WINDOW.c.phase.in_(windows.LIVE), WINDOW.c.page == page),
            select(ACTION.c.aggregate).where(ACTION.c.settled.is_(False), here),
            select(ACTION.c.aggregate).where(ACTION.c.created_at > since, here),
        )
        with self._database.read() as connection:
            found = {each for question in questions for each in connection.scalars(question)}
            return _footprints(connection, _subjects(connection, sorted(found)))

    def sweep(self, page: str) -> Sweep:
        """Give what the comparisons of a page have come to."""
        with self._database.read() as connection:
            row = connection.execute(select(SWEEP).where(SWEEP.c.page == page)).one_or_none()
        return sweep_of(row) if row is not None else Sweep(page=page)


def _subjects(connection: Connection, ids: Sequence[str]) -> list[Episode | Window]:
    found: list[Episode | Window] = []
    for some in chunks(ids):
        found += whole(connection, connection.execute(select(EPISODE).where(EPISODE.c.id.in_(some))).all())
        found += windows.whole(connection, connection.execute(select(WINDOW).where(WINDOW.c.id.in_(some))).all())
    return sorted(found, key=lambda subject: subject.id)


def _footprints(connection: Connection, subjects: Sequence[Episode | Window]) -> list[Footprint]:
    ids = [subject.id for subject in subjects]
    actions: dict[str, list[Action]] = defaultdict(list)
    for row in _all(connection, select(ACTION).order_by(ACTION.c.seq), ACTION.c.aggregate, ids):
        actions[row.aggregate].append(action_of(row))
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    query = select(ATTEMPT, ACTION.c.aggregate).join(ACTION, ACTION.c.id == ATTEMPT.c.action_id)
    for row in _all(connection, query.order_by(ACTION.c.seq, ATTEMPT.c.number), ACTION.c.aggregate, ids):
        attempts[row.aggregate].append(attempt_of(row))
    own: dict[str, set[str]] = defaultdict(set)
    places = {subject.remote_id for subject in subjects if subject.remote_id}
    posts = select(type_coerce(ACTION.c.remote_id, Text).label("place"), ACTION.c.update_id)
    for row in _all(connection, posts.where(ACTION.c.update_id != ""), ACTION.c.remote_id, sorted(places)):
        own[row.place].add(row.update_id)
    return [
        Footprint(
            subject=subject,
            actions=tuple(actions[subject.id]),
            attempts=tuple(attempts[subject.id]),
            own=frozenset(own[handle(subject.remote_id)]),
        )
        for subject in subjects
    ]


def _all(connection: Connection, query: Select[Any], column: Any, values: Collection[str]) -> Sequence[Any]:
    return [row for some in chunks(values) for row in connection.execute(query.where(column.in_(some)))]
