"""One maintenance window on virtual time, with a page that answers as it is told and a worker that may be down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.core.actions import begin
from worker.core.model import (
    Action,
    ActionState,
    Notice,
    Outcome,
    Result,
    Window,
    WindowPhase,
    window_id,
)
from worker.core.recurrence import occurrences
from worker.core.rules import load
from worker.core.ruleset import WindowEntry
from worker.core.window_drafts import Planned, Stimulus, Tick, WindowContext
from worker.core.windows import decide

START = datetime(2026, 12, 6, 1, 0, tzinfo=UTC)
END = START + timedelta(hours=1)

ENTRY = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${KEY}
    publish: auto
    components: {checkout: Checkout API, api: Public API}
maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: 2026-12-06T02:00
    timezone: Europe/Berlin
    duration: 1h
    announce: {before: 72h, text: Coming., notify: true}
    remind: [{before: 1h, text: Soon.}, {before: 24h, text: Tomorrow.}]
    start: {text: It began., notify: true}
    complete: {text: It is over., notify: true}
"""


def plan_of(**lines: str) -> WindowEntry:
    """Compile the entry; keyword arguments take the place of its lines, "" leaves one out."""
    kept = [line for line in ENTRY.splitlines() if line.strip().partition(":")[0] not in lines]
    text = "\n".join([*kept, *(f"    {name}: {value}" for name, value in lines.items() if value)])
    return load({"rules.yaml": text}, {}, source_kinds={}, provider_names=["incident_io"]).maintenance[0]


class Clock:
    """
    Drives one window: time only passes through ``until``; every alarm on the way rings while the worker is up.

    Args:
        answer: Gives what becomes of a write.
    """

    def __init__(
        self,
        plan: WindowEntry | None = None,
        *,
        now: datetime | None = None,
        answer: Callable[[Action], Result] | None = None,
    ) -> None:
        plan = plan or plan_of()
        coming = occurrences(plan, START - timedelta(days=20), most=1)[0]
        self.now = now or START - timedelta(days=8)
        self.context = WindowContext(plan=plan, page_name="Acme Status")
        self.answer = answer or (lambda action: Result.DONE)
        self.up = True
        self.posts: list[tuple[datetime, Action]] = []
        self.phases: list[WindowPhase] = []
        self.notices: list[Notice] = []
        self.window = Window(
            id=window_id("main", coming.key),
            plan_id=plan.id,
            page="main",
            occurrence=coming.key,
            phase=WindowPhase.PLANNED,
            starts_at=coming.starts_at,
            ends_at=coming.ends_at,
            asked=(coming.starts_at, coming.ends_at),
            components=plan.components,
            plan_hash=plan.hash,
            created_at=self.now,
        )
        self.tick()

    def takes(self, stimulus: Stimulus) -> None:
        """Decide, and keep what was decided."""
        verdict = decide(self.window, stimulus, self.context, self.now)
        self.window = verdict.window
        self.notices += verdict.notices
        if not self.phases or self.phases[-1] is not self.window.phase:
            self.phases.append(self.window.phase)

    def tick(self) -> Clock:
        """Look now, and deliver what there is."""
        if self.up:
            self.takes(Tick())
            self.deliver()
        return self

    def planned(self, starts_at: datetime, ends_at: datetime) -> Clock:
        """The entry says another time."""
        self.takes(Planned(occurrence=self.window.occurrence, starts_at=starts_at, ends_at=ends_at))
        self.deliver()
        return self

    def gone(self) -> Clock:
        """The entry is taken out of the rules."""
        self.context = replace(self.context, gone=True)
        return self.tick()

    def deliver(self) -> None:
        """Work on the first action, as long as something comes of it."""
        while self.window.actions and self.window.actions[0].not_before <= self.now:
            head = self.window.actions[0]
            if head.state is ActionState.QUEUED:
                head = begin(head, self.now)
                actions = tuple(head if a.id == head.id else a for a in self.window.actions)
                self.window = replace(self.window, actions=actions)
            elif head.state is not ActionState.UNKNOWN:
                return
            result = self.answer(head)
            if result is Result.DONE:
                self.posts.append((self.now, head))
            remote_id = "m-1" if result is Result.DONE else ""
            self.takes(Outcome(action_id=head.id, result=result, at=self.now, remote_id=remote_id))

    def until(self, end: datetime) -> Clock:
        """Time passes up to *end*."""
        while self.up:
            waiting = [
                a.not_before for a in self.window.actions if a.state in (ActionState.QUEUED, ActionState.UNKNOWN)
            ]
            wakes = [self.window.wake_at] if self.window.wake_at else []
            ahead = [at for at in (*waiting, *wakes) if at > self.now]
            if not ahead or min(ahead) > end:
                break
            self.now = min(ahead)
            self.tick()
        self.now = end
        return self.tick()

    def down_until(self, end: datetime) -> Clock:
        """Nobody is there up to *end*."""
        self.now = end
        return self.tick()

    @property
    def said(self) -> list[str]:
        """Every post: when it was made, counted from the start, why, and whether it mailed."""
        return [
            f"{(at - START).total_seconds() / 60:+g}m {a.post}{' mails' if a.content.notify else ''}"
            for at, a in self.posts
        ]
