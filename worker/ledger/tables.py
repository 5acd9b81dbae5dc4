"""
The tables. A row never leaves the ledger: ``rows`` turns it into a domain value.

Columns are what is searched, ordered or changed alone; the rest of a value stands in ``body``, as JSON text. Table
models validate nothing, so rows are made in ``rows`` only. This file may not know what the values mean.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, MetaData, Table, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from worker.ledger.columns import Big, Name, Utc, Words


class Row(SQLModel):
    """What all tables have in common."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class InboundRow(Row, table=True):
    """One HTTP request as it came; kept until retention."""

    __tablename__ = "inbound"
    # AUTOINCREMENT: a number is never given again, not even after the newest rows were pruned.
    __table_args__ = (
        UniqueConstraint("source", "delivery"),
        Index(None, "state", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: int = Field(sa_type=Big, primary_key=True)
    source: str = Field(sa_type=Words)
    delivery: str | None = Field(sa_type=Name, nullable=True)
    method: str = Field(sa_type=Words)
    query: str = Field(sa_type=Words)
    headers: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(sa_type=Utc)
    statements: int
    unparsed: int
    state: str = Field(sa_type=Words)
    detail: str = Field(sa_type=Words)


class EventRow(Row, table=True):
    """History: one statement as it was heard. ``at``: receipt; ``noted_at``: the commit that heard it."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "source", "key", "noted_at"), Index(None, "inbound_seq"), Index(None, "at"))

    id: int = Field(sa_type=Big, primary_key=True)
    inbound_seq: int = Field(sa_type=Big)
    position: int
    source: str = Field(sa_type=Name)
    key: str = Field(sa_type=Name)
    at: datetime = Field(sa_type=Utc)
    noted_at: datetime = Field(sa_type=Utc)
    effect: str = Field(sa_type=Words)
    body: str = Field(sa_type=Text)


class SignalRow(Row, table=True):
    """The newest that is known of an upstream thing. ``heard_at``: when something new was last heard of it."""

    __tablename__ = "signal"
    __table_args__ = (Index(None, "source", "scope", "firing"), Index(None, "firing", "heard_at"))

    source: str = Field(sa_type=Name, primary_key=True)
    key: str = Field(sa_type=Name, primary_key=True)
    scope: str = Field(sa_type=Name)
    firing: bool
    heard_at: datetime = Field(sa_type=Utc)
    version: int
    body: str = Field(sa_type=Text)


class EpisodeRow(Row, table=True):
    """An episode without its members and actions. ``wake_at`` and ``version`` stand here alone."""

    __tablename__ = "episode"
    __table_args__ = (
        Index(None, "key", "number"),
        Index(None, "rule_id", "number"),
        Index(None, "phase", "rule_id", "page"),
        Index(None, "wake_at"),
        Index(None, "ended_at"),
    )

    id: str = Field(sa_type=Words, primary_key=True)
    key: str = Field(sa_type=Words)
    rule_id: str = Field(sa_type=Words)
    page: str = Field(sa_type=Words)
    number: int
    phase: str = Field(sa_type=Words)
    ended_at: datetime | None = Field(sa_type=Utc, nullable=True)
    wake_at: datetime | None = Field(sa_type=Utc, nullable=True)
    version: int
    body: str = Field(sa_type=Text)


class MemberRow(Row, table=True):
    """A signal's part in an episode or a window. ``live``: whether that is, so that ended ones cost no search."""

    __tablename__ = "member"
    __table_args__ = (
        ForeignKeyConstraint(["source", "key"], ["signal.source", "signal.key"]),
        Index(None, "source", "key", "live"),
        {"sqlite_with_rowid": False},
    )

    aggregate: str = Field(sa_type=Words, primary_key=True)
    source: str = Field(sa_type=Name, primary_key=True)
    key: str = Field(sa_type=Name, primary_key=True)
    joined_at: datetime = Field(sa_type=Utc)
    cleared: bool
    live: bool


class WindowRow(Row, table=True):
    """
    A maintenance window without its members and actions. ``wake_at`` and ``version`` stand here alone.

    The table is not called "window", which is a reserved word of SQL.
    """

    __tablename__ = "maintenance"
    __table_args__ = (
        Index(None, "phase", "muted_until"),
        Index(None, "ends_at"),
        Index(None, "wake_at"),
        Index(None, "line", "number"),
    )

    id: str = Field(sa_type=Words, primary_key=True)
    plan_id: str = Field(sa_type=Words)
    page: str = Field(sa_type=Words)
    line: str = Field(sa_type=Words)
    number: int
    phase: str = Field(sa_type=Words)
    starts_at: datetime = Field(sa_type=Utc)
    ends_at: datetime = Field(sa_type=Utc)
    muted_until: datetime = Field(sa_type=Utc)
    wake_at: datetime | None = Field(sa_type=Utc, nullable=True)
    version: int
    body: str = Field(sa_type=Text)


class ActionRow(Row, table=True):
    """
    One intended write. ``not_before`` stands here alone, and the lease beside it.

    ``workable``: the page may be asked about it. ``urgency``: the smaller, the sooner. ``said_at``: when the page was
    known to have it. ``shown_at``: that, or else when it was decided.
    """

    __tablename__ = "action"
    __table_args__ = (
        UniqueConstraint("aggregate", "seq"),
        Index(None, "settled", "urgency", "created_at"),
        Index(None, "state", "kind"),
        Index(None, "created_at"),
        Index(None, "shown_at"),
        Index(None, "remote_id"),
    )

    id: str = Field(sa_type=Words, primary_key=True)
    aggregate: str = Field(sa_type=Words)
    seq: int
    kind: str = Field(sa_type=Words)
    page: str = Field(sa_type=Words)
    state: str = Field(sa_type=Words)
    settled: bool
    workable: bool
    urgency: int
    created_at: datetime = Field(sa_type=Utc)
    not_before: datetime = Field(sa_type=Utc)
    lease_until: datetime | None = Field(sa_type=Utc, nullable=True)
    remote_id: str = Field(sa_type=Name)
    update_id: str = Field(sa_type=Words)
    said_at: datetime | None = Field(sa_type=Utc, nullable=True)
    shown_at: datetime = Field(sa_type=Utc)
    body: str = Field(sa_type=Text)


class AttemptRow(Row, table=True):
    """One try at an action: the exact bytes, and what became of them."""

    __tablename__ = "attempt"
    __table_args__ = (ForeignKeyConstraint(["action_id"], ["action.id"]),)

    action_id: str = Field(sa_type=Words, primary_key=True)
    number: int = Field(primary_key=True)
    sent: bytes = Field(sa_type=LargeBinary)
    sha256: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)


class DecisionRow(Row, table=True):
    """History: one line of what was decided, for people."""

    __tablename__ = "decision"
    __table_args__ = (Index(None, "aggregate"),)

    id: int = Field(sa_type=Big, primary_key=True)
    aggregate: str = Field(sa_type=Words)
    at: datetime = Field(sa_type=Utc)
    cause: str = Field(sa_type=Words)
    text: str = Field(sa_type=Words)


class NoticeRow(Row, table=True):
    """A message to the team that runs this. ``taken``: it is on its way to every receiver that there was."""

    __tablename__ = "notice"
    __table_args__ = (Index(None, "taken", "id"),)

    id: int = Field(sa_type=Big, primary_key=True)
    at: datetime = Field(sa_type=Utc)
    code: str = Field(sa_type=Words)
    subject: str = Field(sa_type=Words)
    severity: int
    text: str = Field(sa_type=Words)
    over: bool
    taken: bool


class MemoRow(Row, table=True):
    """What is remembered of notices: what they are about and stands still, and what waits for each receiver."""

    __tablename__ = "memo"

    name: str = Field(sa_type=Words, primary_key=True)
    version: int
    body: str = Field(sa_type=Text)


class RevisionRow(Row, table=True):
    """A rule as it was when it decided something, by its content hash."""

    __tablename__ = "revision"

    rule_hash: str = Field(sa_type=Words, primary_key=True)
    at: datetime = Field(sa_type=Utc)
    spec: str = Field(sa_type=Text)


class SweepRow(Row, table=True):
    """What the comparisons of a page with the ledger have come to."""

    __tablename__ = "sweep"

    page: str = Field(sa_type=Words, primary_key=True)
    version: int
    body: str = Field(sa_type=Text)


class FlagRow(Row, table=True):
    """What must survive a restart beside episodes: brakes, pauses, what a page was found to refuse. "" is all pages."""

    __tablename__ = "flag"

    page: str = Field(sa_type=Words, primary_key=True)
    name: str = Field(sa_type=Words, primary_key=True)
    at: datetime = Field(sa_type=Utc)
    value: str = Field(sa_type=Words)


class MetaRow(Row, table=True):
    """Facts about the ledger itself."""

    __tablename__ = "meta"

    name: str = Field(sa_type=Words, primary_key=True)
    value: str = Field(sa_type=Words)


def _table(row: type[Row]) -> Table:
    return Row.metadata.tables[str(row.__tablename__)]


INBOUND = _table(InboundRow)
EVENT = _table(EventRow)
SIGNAL = _table(SignalRow)
EPISODE = _table(EpisodeRow)
MEMBER = _table(MemberRow)
WINDOW = _table(WindowRow)
ACTION = _table(ActionRow)
ATTEMPT = _table(AttemptRow)
DECISION = _table(DecisionRow)
NOTICE = _table(NoticeRow)
MEMO = _table(MemoRow)
REVISION = _table(RevisionRow)
SWEEP = _table(SweepRow)
FLAG = _table(FlagRow)
META = _table(MetaRow)
