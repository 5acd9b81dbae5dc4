"""
Commits: rows, and the versions they were read at; all of it or nothing.

What a commit needs to know beforehand is read outside the transaction: the versions, checked inside it, prove that it
still holds. Statements take many rows at once. This file may not know why a step commits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import (
    BigInteger,
    Connection,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from worker.core.model import ActionState, Episode, Member, SignalId, Window
from worker.errors import Conflict
from worker.ledger.codec import dump
from worker.ledger.columns import Utc, micros
from worker.ledger.database import Part
from worker.ledger.episodes import LIVE
from worker.ledger.rows import (
    PENDING,
    Values,
    action_values,
    attempt_values,
    beat_values,
    decision_values,
    episode_values,
    event_values,
    flag_values,
    member_values,
    memo_values,
    notice_values,
    signal_values,
    stored_id,
    sweep_values,
    window_values,
)
from worker.ledger.statements import chunks, insert_new, run_many, upsert
from worker.ledger.tables import (
    ACTION,
    ATTEMPT,
    DECISION,
    EPISODE,
    EVENT,
    FLAG,
    INBOUND,
    MEMBER,
    MEMO,
    NOTICE,
    REVISION,
    SIGNAL,
    SWEEP,
    WINDOW,
)
from worker.ports import Commit, Handled, Heard

Aggregate: TypeAlias = Episode | Window


@dataclass(slots=True)
class _Known:
    """The stored members of an episode or a window: when each joined, in microseconds, and whether it was cleared."""

    members: dict[SignalId, tuple[int, bool]] = field(default_factory=dict)
    live: bool | None = None


class Commits(Part):
    """Implements ``ports.Committer``."""

    def commit(self, commit: Commit) -> None:
        """
        Store all of it or nothing; return when it is on disk.

        Raises:
            Conflict: Something was changed since it was read.
            LedgerUnavailable: The ledger cannot take it now.
            ValueError: No ledger can take it: it contradicts itself or what is stored.
        """
        known = self._known([*commit.episodes, *commit.windows])
        self._database.write(lambda connection: _apply(connection, commit, known))
        self._database.backlog.pends(-sum(inbound.was == PENDING for inbound in commit.handled))

    def _known(self, aggregates: Sequence[Aggregate]) -> Mapping[str, _Known]:
        known: dict[str, _Known] = defaultdict(_Known)
        old = [each.id for each in aggregates if each.version and each.members]
        if old:
            with self._database.read() as connection:
                for some in chunks(old):
                    stored = connection.execute(_STORED_MEMBERS.where(MEMBER.c.aggregate.in_(some)))
                    for aggregate, source, key, joined_at, cleared, live in stored:
                        known[aggregate].members[source, key] = (joined_at, cleared)
                        known[aggregate].live = live
        return known


def _apply(connection: Connection, commit: Commit, known: Mapping[str, _Known]) -> None:
    now = commit.now
    _handle(connection, commit.handled)
    _versioned(connection, SIGNAL, map(signal_values, commit.signals))
    _versioned(connection, EPISODE, map(episode_values, commit.episodes))
    _versioned(connection, WINDOW, map(window_values, commit.windows))
    _members(connection, [*commit.episodes, *commit.windows], known)
    _versioned(connection, SWEEP, map(sweep_values, commit.sweeps))
    _versioned(connection, MEMO, map(memo_values, commit.memos))
    _take(connection, commit.taken)
    run_many(connection, _ACTIONS, (action_values(action, now, commit.lease) for action in commit.actions))
    run_many(connection, _ATTEMPTS, map(attempt_values, commit.attempts))
    run_many(connection, _REVISIONS, _revisions(commit))
    run_many(connection, insert(EVENT), _history(connection, commit.heard, now))
    run_many(connection, insert(DECISION), map(decision_values, commit.decisions))
    run_many(connection, insert(NOTICE), (notice_values(notice, now) for notice in commit.notices))
    run_many(connection, _FLAGS, (flag_values(flag) for flag in commit.flags if flag.value is not None))
    gone = (flag for flag in commit.flags if flag.value is None)
    run_many(connection, _NO_FLAG, ({"at_page": flag.page, "at_name": flag.name} for flag in gone))
    run_many(connection, _FLAGS, map(beat_values, commit.beats))
    run_many(
        connection,
        _WAKE,
        ({"at_rule": rule, "at_page": page, "at_now": now} for rule, page in sorted(set(commit.wakes))),
    )


def _handle(connection: Connection, handled: Sequence[Handled]) -> None:
    alike: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for inbound in handled:
        alike[inbound.was, inbound.state, inbound.detail].append(inbound.seq)
    for (was, state, detail), seqs in alike.items():
        for some in chunks(seqs):
            # Another worker may have taken the same inbound: only one of them handles it.
            where = INBOUND.c.seq.in_(some), INBOUND.c.state == was
            changed = connection.execute(update(INBOUND).where(*where).values(state=state, detail=detail))
            _expect(changed.rowcount, len(some), "an inbound was handled meanwhile")


def _take(connection: Connection, notices: Sequence[int]) -> None:
    for some in chunks(notices):
        where = NOTICE.c.id.in_(some), NOTICE.c.taken.is_(False)
        changed = connection.execute(update(NOTICE).where(*where).values(taken=True))
        _expect(changed.rowcount, len(some), "a notice was taken meanwhile")


def _versioned(connection: Connection, table: Table, rows: Iterable[Values]) -> None:
    """Insert what is new, update what is still stored at the version that it was read at."""
    names = table.primary_key.columns.keys()
    # In one order, so that two workers never wait for each other.
    ordered = sorted(rows, key=lambda row: [row[name] for name in names])
    new = [row for row in ordered if row["version"] == 1]
    old = [_at_version(row, names) for row in ordered if row["version"] > 1]
    _expect(run_many(connection, _NEW[table], new), len(new), f"a new {table.name} is known by now")
    _expect(run_many(connection, _OLD[table], old), len(old), f"a {table.name} was changed meanwhile")


def _expect(count: int, wanted: int, otherwise: str) -> None:
    if count != wanted:
        raise Conflict(otherwise)


def _at_version(row: Values, names: Iterable[str]) -> Values:
    values = {f"at_{name}" if name in names else name: value for name, value in row.items()}
    return values | {"at_version": row["version"] - 1}


def _members(connection: Connection, aggregates: Iterable[Aggregate], known: Mapping[str, _Known]) -> None:
    # An episode may have thousands; only those that changed are written.
    rows: list[Values] = []
    for each in aggregates:
        stored = known.get(each.id) or _Known()
        if stored.live not in (None, each.phase.live):
            connection.execute(update(MEMBER).where(MEMBER.c.aggregate == each.id).values(live=each.phase.live))
        rows += (
            member_values(each, member)
            for signal_id, member in each.members.items()
            if stored.members.get(stored_id(signal_id)) != _standing(member)
        )
    run_many(connection, _MEMBERS, rows)


def _standing(member: Member) -> tuple[int, bool]:
    return micros(member.joined_at), member.cleared


def _revisions(commit: Commit) -> Iterable[Values]:
    return [
        {"rule_hash": rule_hash, "at": commit.now, "spec": dump(spec)} for rule_hash, spec in commit.revisions.items()
    ]


def _history(connection: Connection, heard: Sequence[Heard], now: datetime) -> list[Values]:
    seqs = {line.inbound_seq for line in heard}
    received: dict[int, datetime] = {}
    for some in chunks(sorted(seqs)):
        query = select(INBOUND.c.seq, INBOUND.c.received_at).where(INBOUND.c.seq.in_(some))
        received |= {row.seq: row.received_at for row in connection.execute(query)}
    return [event_values(line, received.get(line.inbound_seq, now), now) for line in heard]


def _at_stored_version(table: Table) -> Update:
    keys = [column == bindparam(f"at_{column.name}") for column in table.primary_key.columns]
    return update(table).where(and_(*keys, table.c.version == bindparam("at_version")))


_VERSIONED = (SIGNAL, EPISODE, WINDOW, SWEEP, MEMO)
_NEW = {table: insert_new(table, table.primary_key.columns.keys()) for table in _VERSIONED}
_OLD = {table: _at_stored_version(table) for table in _VERSIONED}

_STORED_MEMBERS = select(
    MEMBER.c.aggregate,
    type_coerce(MEMBER.c.source, Text),
    type_coerce(MEMBER.c.key, Text),
    type_coerce(MEMBER.c.joined_at, BigInteger),
    MEMBER.c.cleared,
    MEMBER.c.live,
)
_MEMBERS = upsert(MEMBER, "joined_at", "cleared", "live")

# A commit ends the lease of an action that it changes: but while it is sending, its holder is at work.
_ACTIONS = upsert(
    ACTION,
    "kind",
    "state",
    "settled",
    "workable",
    "urgency",
    "not_before",
    "remote_id",
    "update_id",
    "body",
    said_at=lambda new: func.coalesce(ACTION.c.said_at, new.said_at),
    shown_at=lambda new: func.coalesce(ACTION.c.said_at, new.shown_at),
    lease_until=lambda new: case(
        (new.state == ActionState.SENDING.value, func.coalesce(new.lease_until, ACTION.c.lease_until)), else_=None
    ),
)
_ATTEMPTS = upsert(ATTEMPT, "sent", "sha256", "body")
_REVISIONS = insert_new(REVISION, ["rule_hash"])
_FLAGS = upsert(FLAG, "at", "value")
_NO_FLAG = delete(FLAG).where(FLAG.c.page == bindparam("at_page"), FLAG.c.name == bindparam("at_name"))

_NOW = bindparam("at_now", type_=Utc)
_WAKE = (
    update(EPISODE)
    .where(
        or_(*(EPISODE.c.phase == phase for phase in LIVE)),
        or_(EPISODE.c.rule_id == bindparam("at_rule"), bindparam("at_rule") == ""),
        EPISODE.c.page == bindparam("at_page"),
    )
    .values(
        version=EPISODE.c.version + 1,
        wake_at=case((or_(EPISODE.c.wake_at.is_(None), EPISODE.c.wake_at > _NOW), _NOW), else_=EPISODE.c.wake_at),
    )
)
