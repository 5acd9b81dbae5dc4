"""
What people and programs ask of the ledger. This file may not write.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, or_, select

from worker.core.breaker import BOTH
from worker.core.drift import counted
from worker.core.model import (
    PAUSE,
    UNMATCHED,
    ActionKind,
    ActionState,
    Episode,
    Notice,
    Phase,
    Severity,
    Window,
    WindowPhase,
)
from worker.ledger.columns import Utc
from worker.ledger.database import Part
from worker.ledger.episodes import whole
from worker.ledger.rows import (
    PARKED,
    PENDING,
    AnyRow,
    action_of,
    attempt_of,
    decision_of,
    heard_of,
    inbound_of,
    notice_of,
    received_of,
    sweep_of,
)
from worker.ledger.tables import (
    ACTION,
    ATTEMPT,
    DECISION,
    EPISODE,
    EVENT,
    FLAG,
    INBOUND,
    MEMBER,
    NOTICE,
    SIGNAL,
    SWEEP,
    WINDOW,
)
from worker.ledger.windows import whole as whole_windows
from worker.ports import HistoryLine, InboundStory, Place, Received, Story, caused_by, says

_decided_by: ColumnElement[str] = func.coalesce(EPISODE.c.rule_id, WINDOW.c.plan_id)
_ACTIONS = (
    select(ACTION, _decided_by.label("rule_id"), EPISODE.c.number, EPISODE.c.body.label("episode_body"))
    .outerjoin(EPISODE, EPISODE.c.id == ACTION.c.aggregate)
    .outerjoin(WINDOW, WINDOW.c.id == ACTION.c.aggregate)
)

_NEVER = literal(datetime(9999, 1, 1, tzinfo=UTC), Utc)
SOME = 200
"""How many rows are read at once where most are passed over."""

_SIZE = func.length(INBOUND.c.body).label("size")
_RECEIVED = select(*(column for column in INBOUND.c if column.name not in ("body", "headers", "query")), _SIZE)


class Queries(Part):
    """Implements ``ports.Queries``."""

    def history(
        self,
        *,
        page: str = "",
        rule_id: str = "",
        states: Collection[ActionState] = (),
        text: str = "",
        since: datetime | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> Sequence[HistoryLine]:
        """See ``ports.Queries.history``."""
        query = _ACTIONS.order_by(ACTION.c.shown_at.desc(), ACTION.c.aggregate.desc(), ACTION.c.seq.desc())
        if page:
            query = query.where(ACTION.c.page == page)
        if rule_id:
            query = query.where(_decided_by == rule_id)
        if states:
            query = query.where(ACTION.c.state.in_([state.value for state in states]))
        if since is not None:
            query = query.where(ACTION.c.shown_at >= since)
        if before is not None:
            query = query.where(_behind(before))
        with self._database.read() as connection:
            if not text:
                return [_line_of(row) for row in connection.execute(query.limit(limit))]
            # The words stand within JSON, which each database reads in its own way; there are few actions.
            with connection.execute(query.execution_options(yield_per=SOME)) as rows:
                lines = map(_line_of, rows)
                return list(islice((line for line in lines if says(line.action, text)), limit))

    def episodes(
        self,
        *,
        phases: Collection[Phase] = (),
        page: str = "",
        rule_id: str = "",
        before: tuple[datetime | None, str] | None = None,
        limit: int = 100,
    ) -> Sequence[Episode]:
        """See ``ports.Queries.episodes``."""
        ended = func.coalesce(EPISODE.c.ended_at, _NEVER)
        query = select(EPISODE).order_by(ended.desc(), EPISODE.c.id.desc()).limit(limit)
        if phases:
            query = query.where(EPISODE.c.phase.in_([phase.value for phase in phases]))
        if page:
            query = query.where(EPISODE.c.page == page)
        if rule_id:
            query = query.where(EPISODE.c.rule_id == rule_id)
        if before is not None:
            at, episode_id = before
            then = literal(at, Utc) if at else _NEVER
            query = query.where(or_(ended < then, and_(ended == then, EPISODE.c.id < episode_id)))
        with self._database.read() as connection:
            return whole(connection, connection.execute(query).all())

    def inbounds(
        self,
        *,
        source: str = "",
        states: Collection[str] = (),
        unparsed: bool = False,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Received]:
        """See ``ports.Queries.inbounds``."""
        query = _RECEIVED.order_by(INBOUND.c.seq.desc()).limit(limit)
        if source:
            query = query.where(INBOUND.c.source == source)
        if states:
            query = query.where(INBOUND.c.state.in_(states))
        if unparsed:
            query = query.where(INBOUND.c.unparsed > 0)
        if since is not None:
            query = query.where(INBOUND.c.received_at >= since)
        if before is not None:
            query = query.where(INBOUND.c.seq < before)
        with self._database.read() as connection:
            return [received_of(row) for row in connection.execute(query)]

    def inbound(self, seq: int) -> InboundStory | None:
        """Tell one inbound."""
        request = select(INBOUND, _SIZE).where(INBOUND.c.seq == seq)
        heard = select(EVENT).where(EVENT.c.inbound_seq == seq).order_by(EVENT.c.position, EVENT.c.id)
        with self._database.read() as connection:
            row = connection.execute(request).one_or_none()
            if row is None:
                return None
            inbound = inbound_of(row)
            lines = [heard_of(line) for line in connection.execute(heard)]
            caused = select(DECISION).where(DECISION.c.cause == caused_by(inbound)).order_by(DECISION.c.id)
            decisions = [decision_of(line) for line in connection.execute(caused)]
        return InboundStory(received=received_of(row), inbound=inbound, heard=lines, decisions=decisions)

    def story(self, reference: str) -> Story | None:
        """Tell one episode, by its id or by ``<rule>#<number>`` where that is unambiguous; or one window, by its id."""
        with self._database.read() as connection:
            rows = connection.execute(_referred(reference)).all()
            if len(rows) == 1 or (rows and rows[0].id == reference):
                return _story(connection, whole(connection, rows[:1])[0])
            rows = connection.execute(select(WINDOW).where(WINDOW.c.id == reference)).all()
            return _story(connection, whole_windows(connection, rows)[0]) if rows else None

    def totals(self) -> Mapping[str, int]:
        """See ``ports.Queries.totals``."""
        with self._database.read() as connection:
            inbounds = _counts(connection, INBOUND.c.state)
            unparsed = _counts(connection, INBOUND.c.state, INBOUND.c.state == PARKED, INBOUND.c.unparsed > 0)
            phases = _counts(connection, EPISODE.c.phase)
            windows = _counts(connection, WINDOW.c.phase)
            actions = _counts(connection, ACTION.c.state)
            done = _counts(connection, ACTION.c.kind, ACTION.c.state == ActionState.DONE.value)
            events = connection.scalar(select(func.count()).select_from(EVENT)) or 0
            swept = [sweep_of(row) for row in connection.execute(select(SWEEP))]
            firing = connection.scalar(select(func.count()).where(SIGNAL.c.firing)) or 0
            flags = _counts(connection, FLAG.c.name)
        return {
            "inbounds": sum(inbounds.values()),
            **{f"inbounds_{state}": inbounds.get(state, 0) for state in (PENDING, PARKED)},
            "inbounds_unparsed": sum(unparsed.values()),
            "events": events,
            "signals_firing": firing,
            "pauses": flags.get(PAUSE, 0),
            "unmatched": flags.get(UNMATCHED, 0),
            "breakers": sum(flags.get(name, 0) for name in BOTH),
            **{f"episodes_{phase}": phases.get(phase, 0) for phase in Phase},
            **{f"windows_{phase}": windows.get(phase, 0) for phase in WindowPhase},
            **{f"actions_{state}": actions.get(state, 0) for state in ActionState},
            **{f"actions_done_{kind}": done.get(kind, 0) for kind in ActionKind},
            **{f"drift_{kind}": count for kind, count in counted(each for s in swept for each in s.found).items()},
        }

    def notices(
        self, limit: int = 100, *, since: datetime | None = None, severity: Severity = Severity.INFO, skip: int = 0
    ) -> Sequence[tuple[datetime, Notice]]:
        """Give notices of at least *severity*, the newest first, without the first *skip*."""
        query = select(NOTICE).where(NOTICE.c.severity >= severity.value).order_by(NOTICE.c.id.desc())
        query = query.limit(limit).offset(skip)
        if since is not None:
            query = query.where(NOTICE.c.at >= since)
        with self._database.read() as connection:
            return [(row.at, notice_of(row)) for row in connection.execute(query)]


def _behind(place: Place) -> ColumnElement[bool]:
    at, aggregate, seq = place
    within = and_(ACTION.c.aggregate == aggregate, ACTION.c.seq < seq)
    same_time = and_(ACTION.c.shown_at == at, or_(ACTION.c.aggregate < aggregate, within))
    return or_(ACTION.c.shown_at < at, same_time)


def _counts(connection: Connection, column: Any, *where: Any) -> dict[str, int]:
    rows = connection.execute(select(column, func.count()).where(*where).group_by(column))
    return dict(rows.all())


def _referred(reference: str) -> Select[Any]:
    rule_id, _, number = reference.rpartition("#")
    by_id = EPISODE.c.id == reference
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return select(EPISODE).where(by_id)
    by_number = and_(EPISODE.c.rule_id == rule_id, EPISODE.c.number == int(number))
    return select(EPISODE).where(or_(by_id, by_number)).order_by(EPISODE.c.id != reference).limit(2)


def _story(connection: Connection, about: Episode | Window) -> Story:
    def rows(query: Select[Any]) -> Sequence[AnyRow]:
        return connection.execute(query).all()

    actions = rows(_ACTIONS.where(ACTION.c.aggregate == about.id).order_by(ACTION.c.seq))
    attempts = (
        select(ATTEMPT)
        .join(ACTION, ACTION.c.id == ATTEMPT.c.action_id)
        .where(ACTION.c.aggregate == about.id)
        .order_by(ACTION.c.seq, ATTEMPT.c.number)
    )
    decisions = select(DECISION).where(DECISION.c.aggregate == about.id).order_by(DECISION.c.id)
    return Story(
        about=about,
        heard=[(row.at, heard_of(row)) for row in rows(_heard(about))],
        decisions=[decision_of(row) for row in rows(decisions)],
        actions=[_line_of(row) for row in actions],
        attempts=[attempt_of(row) for row in rows(attempts)],
    )


def _heard(about: Episode | Window) -> Select[Any]:
    """What was said of its members, from when each joined until it ended."""
    same = and_(EVENT.c.source == MEMBER.c.source, EVENT.c.key == MEMBER.c.key)
    query = (
        select(EVENT)
        .join(MEMBER, and_(same, EVENT.c.noted_at >= MEMBER.c.joined_at))
        .where(MEMBER.c.aggregate == about.id)
        .order_by(EVENT.c.id)
    )
    return query if about.ended_at is None else query.where(EVENT.c.noted_at <= about.ended_at)


def _line_of(row: AnyRow) -> HistoryLine:
    action = action_of(row)
    return HistoryLine(
        action=action,
        episode=action.aggregate,
        rule_id=row.rule_id or "",
        number=row.number or 0,
        group=json.loads(row.episode_body or "{}").get("group", {}),
        said_at=row.said_at,
        update_id=row.update_id,
        attempts=action.tries,
    )
