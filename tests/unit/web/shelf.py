"""A ledger with something of everything in it, to be shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.fakes.ledger_rows import NOW, action, entry, episode, event, record_all, signal, window
from worker.core.model import (
    PAUSE,
    ActionKind,
    ActionState,
    Attempt,
    ComponentStatus,
    Content,
    Flag,
    IncidentStatus,
    Notice,
    PageState,
    Phase,
    Post,
    Result,
    Severity,
    WindowPhase,
)
from worker.ports import Commit, Decision, Handled, Heard, Recorded
from worker.rehearse.memory import MemoryLedger

WAITS = "rule@main#2/1"
OPEN = "rule@main#1"
WINDOW = "main/db@2026-11-24T02:00"


def filled(text: str = "text", **given: Any) -> MemoryLedger:
    """
    Fill a ledger: an open episode, one whose opening waits, a window, webhooks, notices.

    Args:
        text: What everything bears that somebody outside could have written.
        given: Changes of the content that waits.
    """
    ledger = MemoryLedger()
    answers = record_all(ledger, [entry(source="am", body=f'{{"a": "{text}"}}'.encode()), entry(source="ci")])
    first, second = (each.seq for each in answers if isinstance(each, Recorded))
    heard = event("k", title=text, severity=text, labels={text: text}, annotations={"a": text}, message=text)
    statuses = {"api": ComponentStatus.PARTIAL_OUTAGE, "web": ComponentStatus.OPERATIONAL}
    known = PageState(incident_status=IncidentStatus.INVESTIGATING, components=statuses)
    said = Content(title=text, message=text, incident_status=IncidentStatus.INVESTIGATING, notify=True)
    worse = {"api": ComponentStatus.FULL_OUTAGE}
    waits = replace(said, title=f"title {text}", message=f"message {text}", components=worse, **given)
    opened = {"kind": ActionKind.OPEN_INCIDENT, "post": Post.OPEN, "page": "main", "cause": text, "reason": text}
    named = {"page": "main", "known_name": text, "fault": text}
    public = {**named, "known": known, "remote_id": "r1", "group": {text: text}}
    ledger.commit(
        Commit(
            now=NOW + timedelta(seconds=3),
            handled=[Handled(seq=first), Handled(seq=second, state="parked", detail=text)],
            heard=[Heard(inbound_seq=first, position=0, event=heard, effect=text)],
            signals=[signal("k", title=text)],
            episodes=[
                episode(1, signal("k"), key="rule@main", **public),
                episode(2, key="rule@main"),
                episode(3, key="rule@main", phase=Phase.RESOLVED, ended_at=NOW),
            ],
            windows=[window("db@2026-11-24T02:00", id=WINDOW, phase=WindowPhase.SCHEDULED, **named)],
            actions=[
                action(OPEN, 1, state=ActionState.DONE, content=said, **opened),
                action(OPEN, 2, state=ActionState.HELD, content=said, reason=text, page="main"),
                action("rule@main#2", 1, state=ActionState.AWAITING_APPROVAL, content=waits, **opened),
            ],
            attempts=[
                Attempt(
                    action_id=f"{OPEN}/1",
                    number=1,
                    started_at=NOW,
                    method="POST",
                    target="/v2/x",
                    body=b"{}",
                    result=Result.DONE,
                    finished_at=NOW,
                    detail=text,
                )
            ],
            decisions=[Decision(aggregate=OPEN, at=NOW, cause=text, text=text)],
            notices=[Notice(code="held", subject=text, text=text, severity=Severity.ERROR)],
            flags=[Flag(page="main", name=PAUSE, at=NOW, value=text)],
        )
    )
    return ledger
