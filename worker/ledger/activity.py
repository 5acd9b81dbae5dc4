"""
How much happened when, counted for charts and for the list of rules. This file may not write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, and_, func, select, type_coerce

from worker.core.model import ActionState, Phase, WindowPhase
from worker.ledger.columns import micros
from worker.ledger.database import Part
from worker.ledger.rows import action_of
from worker.ledger.tables import ACTION, EPISODE, EVENT, WINDOW
from worker.ports import RuleCount, Span, spans

_KEPT_BACK = [state.value for state in (ActionState.REPLACED, ActionState.DISMISSED, ActionState.SHADOWED)]
_LIVE = [phase.value for phase in (*Phase, *WindowPhase) if phase.live]


class Activity(Part):
    """Implements ``rule_counts`` and ``activity`` of ``ports.Queries``."""

    def rule_counts(self) -> Mapping[str, RuleCount]:
        """Count what came of each rule and entry that anything came of, by its id."""
        counts: dict[str, RuleCount] = {}
        with self._database.read() as connection:
            for table, name in ((EPISODE, EPISODE.c.rule_id), (WINDOW, WINDOW.c.plan_id)):
                live = func.count().filter(table.c.phase.in_(_LIVE))
                begun = {row[0]: row[1:] for row in connection.execute(select(name, func.count(), live).group_by(name))}
                said = select(name, func.count(), func.max(ACTION.c.said_at)).join(
                    table, and_(table.c.id == ACTION.c.aggregate, ACTION.c.said_at.is_not(None))
                )
                posts = {row[0]: row[1:] for row in connection.execute(said.group_by(name))}
                for rule_id, (number, going) in begun.items():
                    count, last_at = posts.get(rule_id, (0, None))
                    counts[rule_id] = RuleCount(episodes=number, live=going, posts=count, last_at=last_at)
        return counts

    def activity(self, since: datetime, step: timedelta, until: datetime) -> Sequence[Span]:
        """Give what happened from *since* to *until*, in stretches of *step*, the oldest first, quiet ones too."""
        with self._database.read() as connection:
            place = _place(EVENT.c.at, since, step)
            heard = select(place, func.count()).where(EVENT.c.at >= since, EVENT.c.at < until).group_by(place)
            told = dict(connection.execute(heard).all())
            posts = [
                (row.said_at, action_of(row))
                for row in connection.execute(select(ACTION).where(ACTION.c.said_at >= since))
            ]
            dropped = select(ACTION.c.created_at).where(ACTION.c.created_at >= since, ACTION.c.state.in_(_KEPT_BACK))
            quiet = select(EPISODE.c.ended_at).where(
                EPISODE.c.ended_at >= since, EPISODE.c.phase == Phase.DISMISSED.value
            )
            kept_back = [*connection.scalars(dropped), *connection.scalars(quiet)]
        return spans(since, step, until, told, posts, kept_back)


def _place(column: ColumnElement[datetime], since: datetime, step: timedelta) -> ColumnElement[int]:
    """Count stretches; both databases divide whole numbers to whole numbers."""
    return (type_coerce(column, BigInteger) - micros(since)) // (step // timedelta(microseconds=1))
