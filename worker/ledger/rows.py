"""
Domain values to rows and back: the only place that knows both.

Rows for writing are dictionaries of column values; rows that were read are SQLAlchemy rows of whole tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Row

from worker.core.concerns import Mailbox, Standing
from worker.core.drift import Sweep
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Attempt,
    Beat,
    Episode,
    Event,
    Flag,
    Inbound,
    Member,
    Notice,
    Severity,
    Signal,
    SignalId,
    Window,
)
from worker.ledger.codec import Form, dump
from worker.ledger.columns import handle
from worker.ports import Decision, Entry, Heard, Received

Values = dict[str, Any]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]

EVENTS = Form(Event)
SIGNALS = Form(Signal, without=("version",))
EPISODES = Form(Episode, without=("members", "actions", "wake_at", "version"))
WINDOWS = Form(Window, without=("members", "actions", "wake_at", "version"))
STANDINGS = Form(Standing, without=("version",))
MAILBOXES = Form(Mailbox, without=("receiver", "version"))
SWEEPS = Form(Sweep, without=("version",))
ACTIONS = Form(Action, without=("not_before",))
BEATS = Form(Beat, without=("source", "heard_at"))
ATTEMPTS = Form(Attempt, without=("action_id", "number", "body"))

PENDING, DONE, PARKED = "pending", "done", "parked"

CANARY = "canary "
"""How the name of a flag begins that keeps what is known of the canary of a source."""

_URGENT = frozenset({ActionKind.RESOLVE_INCIDENT, ActionKind.START_MAINTENANCE, ActionKind.COMPLETE_MAINTENANCE})


def stored_id(signal_id: SignalId) -> SignalId:
    """Name a signal as its columns do."""
    source, key = signal_id
    return handle(source), handle(key)


def inbound_values(entry: Entry, seq: int) -> Values:
    """An inbound that states nothing is not handed to react."""
    inbound = entry.inbound
    return {
        "seq": seq,
        "source": inbound.source,
        "delivery": entry.delivery,
        "method": inbound.method,
        "query": inbound.query,
        "headers": dump(dict(inbound.headers)),
        "body": inbound.body,
        "received_at": inbound.received_at,
        "statements": entry.statements,
        "unparsed": entry.unparsed,
        "state": PENDING if entry.statements or entry.unparsed else DONE,
        "detail": "",
    }


def inbound_of(row: AnyRow) -> Inbound:
    """Give the request as it came."""
    return Inbound(
        source=row.source,
        body=row.body,
        headers=json.loads(row.headers),
        received_at=row.received_at,
        query=row.query,
        method=row.method,
        seq=row.seq,
    )


def received_of(row: AnyRow) -> Received:
    """Give what the inbox lists of it; needs the column ``size`` beside those of the table."""
    return Received(
        seq=row.seq,
        source=row.source,
        received_at=row.received_at,
        state=row.state,
        detail=row.detail,
        statements=row.statements,
        unparsed=row.unparsed,
        size=row.size,
    )


def event_values(heard: Heard, at: datetime, noted_at: datetime) -> Values:
    """*at*: receipt of its inbound; *noted_at*: the commit that heard it."""
    return {
        "inbound_seq": heard.inbound_seq,
        "position": heard.position,
        "source": heard.event.source,
        "key": heard.event.key,
        "at": at,
        "noted_at": noted_at,
        "effect": heard.effect,
        "body": EVENTS.write(heard.event),
    }


def heard_of(row: AnyRow) -> Heard:
    """Give the line of history."""
    return Heard(inbound_seq=row.inbound_seq, position=row.position, event=EVENTS.read(row.body), effect=row.effect)


def signal_values(signal: Signal) -> Values:
    """With the version that it has once it is stored."""
    return {
        "source": signal.event.source,
        "key": signal.event.key,
        "scope": signal.event.scope,
        "firing": signal.firing,
        "heard_at": max(signal.since, signal.stamp),
        "version": signal.version + 1,
        "body": SIGNALS.write(signal),
    }


def signal_of(row: AnyRow) -> Signal:
    """Needs the columns ``version`` and ``body``."""
    return SIGNALS.read(row.body, version=row.version)


def episode_values(episode: Episode) -> Values:
    """With the version that it has once it is stored."""
    return {
        "id": episode.id,
        "key": episode.id.rpartition("#")[0],
        "rule_id": episode.rule_id,
        "page": episode.page,
        "number": episode.number,
        "phase": episode.phase.value,
        "ended_at": episode.ended_at,
        "wake_at": episode.wake_at,
        "version": episode.version + 1,
        "body": EPISODES.write(episode),
    }


def episode_of(row: AnyRow, members: Mapping[SignalId, Member], actions: tuple[Action, ...]) -> Episode:
    """Give the whole episode."""
    return EPISODES.read(row.body, wake_at=row.wake_at, version=row.version, members=members, actions=actions)


def member_values(aggregate: Episode | Window, member: Member) -> Values:
    """Without the signal, which has a row of its own."""
    source, key = member.signal.id
    return {
        "aggregate": aggregate.id,
        "source": source,
        "key": key,
        "joined_at": member.joined_at,
        "cleared": member.cleared,
        "live": aggregate.phase.live,
    }


def member_of(row: AnyRow) -> Member:
    """Needs the columns of the member, and ``version`` and ``body`` of its signal."""
    return Member(signal=signal_of(row), joined_at=row.joined_at, cleared=row.cleared)


def window_values(window: Window) -> Values:
    """With the version that it has once it is stored."""
    return {
        "id": window.id,
        "plan_id": window.plan_id,
        "page": window.page,
        "line": window.line,
        "number": window.number,
        "phase": window.phase.value,
        "starts_at": window.starts_at,
        "ends_at": window.ends_at,
        "muted_until": window.muted_until,
        "wake_at": window.wake_at,
        "version": window.version + 1,
        "body": WINDOWS.write(window),
    }


def window_of(row: AnyRow, members: Mapping[SignalId, Member], actions: tuple[Action, ...]) -> Window:
    """Give the whole window."""
    return WINDOWS.read(row.body, wake_at=row.wake_at, version=row.version, members=members, actions=actions)


def sweep_values(sweep: Sweep) -> Values:
    """With the version that it has once it is stored."""
    return {"page": sweep.page, "version": sweep.version + 1, "body": SWEEPS.write(sweep)}


def sweep_of(row: AnyRow) -> Sweep:
    """Give what the comparisons of a page have come to."""
    return SWEEPS.read(row.body, version=row.version)


def action_values(action: Action, now: datetime, lease: timedelta | None = None) -> Values:
    """*now*: the commit; the page has since then what is done in it. *lease*: see ``ports.Commit``."""
    said_at = now if action.state is ActionState.DONE else None
    return {
        "id": action.id,
        "aggregate": action.aggregate,
        "seq": action.seq,
        "kind": action.kind.value,
        "page": action.page,
        "state": action.state.value,
        "settled": action.state.settled,
        "workable": action.workable,
        "urgency": 0 if action.kind in _URGENT else 2 if action.looks_again else 1,
        "created_at": action.created_at,
        "not_before": action.not_before,
        "lease_until": now + lease if lease and action.state is ActionState.SENDING else None,
        "remote_id": action.remote_id,
        "update_id": action.update_id,
        "said_at": said_at,
        "shown_at": said_at or action.created_at,
        "body": ACTIONS.write(action),
    }


def action_of(row: AnyRow) -> Action:
    """Needs the columns ``not_before`` and ``body``."""
    return ACTIONS.read(row.body, not_before=row.not_before)


def attempt_values(attempt: Attempt) -> Values:
    """The exact bytes stand apart."""
    return {
        "action_id": attempt.action_id,
        "number": attempt.number,
        "sent": attempt.body,
        "sha256": attempt.sha256,
        "body": ATTEMPTS.write(attempt),
    }


def attempt_of(row: AnyRow) -> Attempt:
    """Give the attempt with its bytes."""
    return ATTEMPTS.read(row.body, action_id=row.action_id, number=row.number, body=row.sent)


def decision_values(decision: Decision) -> Values:
    """One line of history."""
    return {"aggregate": decision.aggregate, "at": decision.at, "cause": decision.cause, "text": decision.text}


def decision_of(row: AnyRow) -> Decision:
    """Give the line of history."""
    return Decision(aggregate=row.aggregate, at=row.at, cause=row.cause, text=row.text)


def notice_values(notice: Notice, at: datetime) -> Values:
    """*at*: the commit that made it."""
    return {
        "at": at,
        "code": notice.code,
        "subject": notice.subject,
        "severity": notice.severity.value,
        "text": notice.text,
        "over": notice.over,
        "taken": False,
    }


def memo_values(memo: Standing | Mailbox) -> Values:
    """What is remembered of notices, under the name that it is found by."""
    form: Form[Any] = STANDINGS if isinstance(memo, Standing) else MAILBOXES
    return {"name": memo.name, "version": memo.version + 1, "body": form.write(memo)}


def standing_of(row: AnyRow) -> Standing:
    """Give what stands."""
    return STANDINGS.read(row.body, version=row.version)


def mailbox_of(row: AnyRow, receiver: str) -> Mailbox:
    """Give what waits for a receiver."""
    return MAILBOXES.read(row.body, receiver=receiver, version=row.version)


def flag_values(flag: Flag) -> Values:
    """A flag that is set."""
    return {"page": flag.page, "name": flag.name, "at": flag.at, "value": flag.value}


def flag_of(row: AnyRow) -> Flag:
    """Give the flag."""
    return Flag(page=row.page, name=row.name, at=row.at, value=row.value)


def notice_of(row: AnyRow) -> Notice:
    """Give the message."""
    return Notice(code=row.code, subject=row.subject, text=row.text, severity=Severity(row.severity), over=row.over)


def beat_values(beat: Beat) -> Values:
    """A canary is of no page."""
    return {"page": "", "name": CANARY + beat.source, "at": beat.heard_at, "value": BEATS.write(beat)}


def beat_of(row: AnyRow) -> Beat:
    """Give what is known of a canary."""
    return BEATS.read(row.value, source=row.name.removeprefix(CANARY), heard_at=row.at)
