"""Small, valid domain values for tests of the ledger: every argument that does not matter has a default."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Content,
    Episode,
    Event,
    Inbound,
    Member,
    Phase,
    Post,
    Signal,
    Status,
    Window,
    WindowPhase,
)
from worker.ports import Entry, Inbox, Recorded

NOW = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def entry(delivery: str | None = None, *, source: str = "am", body: bytes = b"{}", **given: Any) -> Entry:
    inbound = Inbound(source=source, body=body, headers={"content-type": "application/json"}, received_at=NOW)
    return Entry(**{"inbound": inbound, "delivery": delivery, "statements": 1, **given})


def record_all(inbox: Inbox, entries: Iterable[Entry]) -> list[Recorded | Exception]:
    """Queue all entries before any answer is waited for."""
    answers: list[tuple[int, Recorded | Exception]] = []
    arrived = threading.Semaphore(0)
    count = 0
    for number, each in enumerate(entries):

        def done(answer: Recorded | Exception, number: int = number) -> None:
            answers.append((number, answer))
            arrived.release()

        inbox.record(each, done)
        count += 1
    for _ in range(count):
        assert arrived.acquire(timeout=20), "an entry was never answered"
    return [answer for _, answer in sorted(answers, key=lambda pair: pair[0])]


def record(inbox: Inbox, *deliveries: str | None) -> Sequence[int]:
    """Record entries; give their places."""
    answers = record_all(inbox, map(entry, deliveries))
    return [answer.seq for answer in answers if isinstance(answer, Recorded)]


def event(key: str = "k", status: Status = Status.FIRING, **given: Any) -> Event:
    return Event(**{"source": "am", "kind": "alert", "key": key, "status": status, **given})


def signal(key: str = "k", status: Status = Status.FIRING, *, version: int = 0, **given: Any) -> Signal:
    return Signal(event=event(key, status, **given), stamp=NOW, since=NOW, version=version)


def member(of: Signal, **given: Any) -> Member:
    return Member(**{"signal": of, "joined_at": NOW, **given})


def episode(number: int = 1, *signals: Signal, key: str = "rule@page", **given: Any) -> Episode:
    rule_id, _, page = key.partition("@")
    values: dict[str, Any] = {
        "id": f"{key}#{number}",
        "rule_id": rule_id,
        "page": page.partition(".")[0],
        "group": {},
        "number": number,
        "phase": Phase.OPEN,
        "rule_hash": "hash",
        "created_at": NOW,
        "held_since": NOW,
        "members": {each.id: member(each) for each in signals},
    }
    return Episode(**{**values, **given})


def window(name: str = "db@2026-11-24T02:00", **given: Any) -> Window:
    values: dict[str, Any] = {
        "id": f"page/{name}",
        "plan_id": name.partition("@")[0],
        "page": "page",
        "occurrence": name,
        "phase": WindowPhase.PLANNED,
        "starts_at": NOW + 10 * MINUTE,
        "ends_at": NOW + 20 * MINUTE,
        "components": ("api", "checkout"),
        "plan_hash": "hash",
        "created_at": NOW,
    }
    return Window(**{**values, **given})


def action(of: str = "rule@page#1", seq: int = 1, **given: Any) -> Action:
    values: dict[str, Any] = {
        "id": f"{of}/{seq}",
        "aggregate": of,
        "seq": seq,
        "kind": ActionKind.UPDATE_INCIDENT,
        "page": "page",
        "post": Post.WORSEN,
        "content": Content(message="We look into it."),
        "state": ActionState.QUEUED,
        "created_at": NOW + seq * SECOND,
        "not_before": NOW,
        "rule_hash": "hash",
        "cause": "inbound 1",
    }
    return Action(**{**values, **given})


def stored(value: Any) -> Any:
    """Give the value as it is after a commit: one version further."""
    return replace(value, version=value.version + 1)
