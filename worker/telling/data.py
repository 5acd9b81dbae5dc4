"""
What the ledger knows as data for programs: the answers of the API, and of commands with ``--json``.

A field that is here stays, with its name and its meaning. Pure: nothing is read or printed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.core.answers import Answer, Statement
from worker.core.approval import approval_hash, to_be_approved
from worker.core.concerns import ends
from worker.core.drift import Drift
from worker.core.model import Attempt, Episode, Event, Inbound, Notice, Window
from worker.ports import Decision, Heard, HistoryLine, InboundStory, Received, Story

PROOF = re.compile(r"signature|token|secret|key|auth|cookie")
"""What proves a sender: a header whose name bears such a word is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionData:
    """One post: what it says, how it stands and why; ``episode`` is the id of its episode or window."""

    id: str
    episode: str
    rule: str
    number: int
    group: Mapping[str, str]
    page: str
    kind: str
    post: str
    state: str
    decided_at: datetime
    said_at: datetime | None
    cause: str
    reason: str
    rule_hash: str
    title: str
    message: str
    incident_status: str | None
    guest: bool
    components: Mapping[str, str]
    notify: bool
    starts_at: datetime | None
    ends_at: datetime | None
    remote_id: str
    update_id: str
    attempts: int
    approved_by: str
    approve_until: datetime | None
    approval_hash: str | None


def action_data(line: HistoryLine) -> ActionData:
    """One action for programs."""
    action, content = line.action, line.action.content
    return ActionData(
        id=action.id,
        episode=line.episode,
        rule=line.rule_id,
        number=line.number,
        group=dict(line.group),
        page=action.page,
        kind=action.kind.value,
        post=action.post.value,
        state=action.state.value,
        decided_at=action.created_at,
        said_at=line.said_at,
        cause=action.cause,
        reason=action.reason,
        rule_hash=action.rule_hash,
        title=content.title,
        message=content.message,
        incident_status=action.incident_status.value if action.incident_status else None,
        guest=action.guest,
        components={name: status.value for name, status in content.components.items()},
        notify=content.notify,
        starts_at=content.starts_at,
        ends_at=content.ends_at,
        remote_id=action.remote_id,
        update_id=line.update_id,
        attempts=line.attempts,
        approved_by=action.approved_by,
        approve_until=action.deadline,
        approval_hash=approval_hash(action) if to_be_approved(action) else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One post of a window that is not settled."""

    id: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowData:
    """One maintenance window."""

    id: str
    origin: str
    plan: str
    page: str
    phase: str
    title: str
    components: Sequence[str]
    starts_at: datetime
    ends_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    muted_until: datetime
    page_says: str | None
    remote_id: str
    hands_off: bool
    fault: str
    actions: Sequence[Waiting]


def window_data(window: Window, title: str) -> WindowData:
    """One window for programs; *title*: what the public calls it."""
    return WindowData(
        id=window.id,
        origin=window.origin.value,
        plan=window.plan_id,
        page=window.page,
        phase=window.phase.value,
        title=title,
        components=window.components,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        begun_at=window.begun_at,
        ended_at=window.ended_at,
        muted_until=window.muted_until,
        page_says=window.known.value if window.known else None,
        remote_id=window.remote_id,
        hands_off=window.hands_off,
        fault=window.fault,
        actions=[Waiting(id=a.id, kind=a.kind.value, state=a.state.value) for a in window.actions],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeData:
    """One episode."""

    id: str
    rule: str
    rule_hash: str
    page: str
    group: Mapping[str, str]
    number: int
    phase: str
    created_at: datetime
    opened_at: datetime | None
    ended_at: datetime | None
    remote_id: str
    hands_off: bool
    fault: str


def episode_data(episode: Episode) -> EpisodeData:
    """One episode for programs."""
    return EpisodeData(
        id=episode.id,
        rule=episode.rule_id,
        rule_hash=episode.rule_hash,
        page=episode.page,
        group=dict(episode.group),
        number=episode.number,
        phase=episode.phase.value,
        created_at=episode.created_at,
        opened_at=episode.opened_at,
        ended_at=episode.ended_at,
        remote_id=episode.remote_id,
        hands_off=episode.hands_off,
        fault=episode.fault,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventData:
    """One statement as it was heard."""

    at: datetime
    inbound: int
    source: str
    kind: str
    key: str
    status: str
    severity: str
    title: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionData:
    """What was decided, and because of what."""

    at: datetime
    cause: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptData:
    """One try at a post; ``sha256`` is of the bytes that were sent."""

    action: str
    number: int
    started_at: datetime
    finished_at: datetime | None
    method: str
    target: str
    bytes: int
    sha256: str
    result: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryData:
    """Everything about one episode or window, each list oldest first; one of the first two is null."""

    episode: EpisodeData | None
    window: WindowData | None
    events: Sequence[EventData]
    decisions: Sequence[DecisionData]
    actions: Sequence[ActionData]
    attempts: Sequence[AttemptData]


def story_data(story: Story) -> StoryData:
    """The story of one episode or window for programs."""
    about = story.about
    return StoryData(
        episode=episode_data(about) if isinstance(about, Episode) else None,
        window=window_data(about, about.known_name) if isinstance(about, Window) else None,
        events=[_event(at, heard) for at, heard in story.heard],
        decisions=[_decision(each) for each in story.decisions],
        actions=[action_data(line) for line in story.actions],
        attempts=[_attempt(each) for each in story.attempts],
    )


def _event(at: datetime, heard: Heard) -> EventData:
    event = heard.event
    return EventData(
        at=at,
        inbound=heard.inbound_seq,
        source=event.source,
        kind=event.kind,
        key=event.key,
        status=event.status.value,
        severity=event.severity,
        title=event.title,
        effect=heard.effect,
    )


def _decision(decision: Decision) -> DecisionData:
    return DecisionData(at=decision.at, cause=decision.cause, text=decision.text)


def _attempt(attempt: Attempt) -> AttemptData:
    return AttemptData(
        action=attempt.action_id,
        number=attempt.number,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        method=attempt.method,
        target=attempt.target,
        bytes=len(attempt.body),
        sha256=attempt.sha256,
        result=attempt.result.value if attempt.result else None,
        detail=attempt.detail,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftData:
    """One difference between a page and the ledger."""

    kind: str
    page: str
    subject: str
    remote_id: str
    what: str
    text: str


def drift_data(page: str, drift: Drift) -> DriftData:
    """One difference for programs."""
    return DriftData(
        kind=drift.kind.value,
        page=page,
        subject=drift.subject,
        remote_id=drift.remote_id,
        what=drift.what,
        text=drift.text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeData:
    """A message to the team that runs this; ``over``: what was told under the same code is over."""

    at: datetime
    severity: str
    code: str
    about: str
    text: str
    over: bool


def notice_data(at: datetime, notice: Notice) -> NoticeData:
    """One notice for programs."""
    loud = notice.severity.name.lower()
    over = ends(notice)
    return NoticeData(at=at, severity=loud, code=notice.code, about=notice.subject, text=notice.text, over=over)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundData:
    """One webhook as the inbox lists it."""

    inbound: int
    source: str
    received_at: datetime
    state: str
    events: int
    unparsed: int
    bytes: int
    why: str


def inbound_data(received: Received) -> InboundData:
    """One inbound for programs."""
    return InboundData(
        inbound=received.seq,
        source=received.source,
        received_at=received.received_at,
        state=received.state,
        events=received.statements,
        unparsed=received.unparsed,
        bytes=received.size,
        why=received.detail,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardData:
    """One statement of a webhook, and what it changed."""

    kind: str
    key: str
    status: str
    severity: str
    title: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestData(InboundData):
    """One webhook as it came, without what proved its sender, and what was heard in it."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: str
    heard: Sequence[HeardData]


def request_data(story: InboundStory) -> RequestData:
    """One inbound whole for programs."""
    listed = inbound_data(story.received)
    return RequestData(
        **{name: getattr(listed, name) for name in InboundData.__dataclass_fields__},
        method=story.inbound.method,
        query=story.inbound.query,
        headers=shown_headers(story.inbound),
        body=shown_body(story.inbound),
        heard=[_heard(each) for each in story.heard],
    )


def _heard(heard: Heard) -> HeardData:
    event = heard.event
    return HeardData(
        kind=event.kind,
        key=event.key,
        status=event.status.value,
        severity=event.severity,
        title=event.title,
        effect=heard.effect,
    )


def shown_headers(inbound: Inbound) -> dict[str, str]:
    """Give the headers, without the values that prove the sender."""
    return {name: "(hidden)" if PROOF.search(name) else value for name, value in inbound.headers.items()}


def shown_body(inbound: Inbound) -> str:
    """Give the body as text."""
    return inbound.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineData:
    """One line of a rule, held against a statement."""

    field: str
    wanted: str
    actual: str
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerData:
    """What one rule says to a statement."""

    rule: str
    place: str
    matches: bool
    idle: bool
    components: Mapping[str, str]
    lines: Sequence[LineData]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementData:
    """One statement, and what every rule says to it."""

    source: str
    kind: str
    key: str
    status: str
    severity: str
    title: str
    labels: Mapping[str, str]
    rules: Sequence[AnswerData]


def statement_data(statement: Statement) -> StatementData:
    """One statement with what rules make of it for programs."""
    event: Event = statement.event
    return StatementData(
        source=event.source,
        kind=event.kind,
        key=event.key,
        status=event.status.value,
        severity=event.severity,
        title=event.title,
        labels=dict(event.labels),
        rules=[_answer(each) for each in statement.answers],
    )


def _answer(found: Answer) -> AnswerData:
    return AnswerData(
        rule=found.rule.id,
        place=found.rule.place,
        matches=found.matches,
        idle=found.idle,
        components={name: status.value for name, status in found.components.items()},
        lines=[
            LineData(field=line.field, wanted=line.wanted, actual=line.actual, held=line.held) for line in found.lines
        ],
    )
