"""
What a maintenance window does next.

``decide`` is pure and level-triggered, as that of episodes: it takes one stimulus into account and then asks, whatever
the stimulus was, where the window should stand at this time, what the page should say of it, and when to look again.
Late is therefore a time like any other: what was passed over while nobody was there is said once, as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from worker.core.actions import Working
from worker.core.model import (
    Action,
    ActionKind,
    ComponentStatus,
    Content,
    Notice,
    Outcome,
    Post,
    PublishMode,
    Window,
    WindowPhase,
    WindowStatus,
    digest,
)
from worker.core.ruleset import Driver, Missed, Said, WindowPlan

MISSED_AFTER = timedelta(minutes=1)
"""A start that is noticed so much later was missed: nobody was there."""

SILENT_AFTER = timedelta(minutes=15)
"""What is said so much later than it was due mails nobody."""

COMPLETED = "The maintenance is complete."
"""Said where the entry is gone that had a text for it."""

CANCELLED = "This maintenance will not take place."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed."""

    cause: str = "the clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The entry in force says when this window is to be; also where that is what it said before."""

    occurrence: str
    starts_at: datetime
    ends_at: datetime


Stimulus = Tick | Planned | Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowContext:
    """
    What decide may know beside the window. Read-only.

    Args:
        plan: The entry in force; None: it is gone.
        page_name: The page's public name, for texts.
        publish: The page's ceiling.
        names: Our component names to what the public calls them.
    """

    plan: WindowPlan | None
    page_name: str = ""
    publish: PublishMode = PublishMode.AUTO
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowVerdict:
    """What was decided; see ``drafts.Verdict``."""

    window: Window
    changed: bool
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    log: tuple[str, ...] = ()


def decide(window: Window, stimulus: Stimulus, context: WindowContext, now: datetime) -> WindowVerdict:
    """
    Decide what follows for one window.

    Args:
        stimulus: What happened.
        context: What else is known.
        now: Aware, UTC.
    """
    draft = _Draft(window, context, now)
    if isinstance(stimulus, Outcome):
        draft.cause = f"outcome of {stimulus.action_id}"
        draft.settle(stimulus)
    elif isinstance(stimulus, Planned):
        draft.cause = "the rules"
        _follow(draft, stimulus)
    else:
        draft.cause = stimulus.cause
    draft.attempt(lambda: _reconcile(draft))
    return draft.verdict()


def muted(windows: Iterable[Window], page: str) -> Mapping[str, datetime]:
    """Give the components of a page that *windows* mute, and until when."""
    until: dict[str, datetime] = {}
    for window in windows:
        for name in window.components if window.page == page else ():
            until[name] = max(window.muted_until, until.get(name, window.muted_until))
    return until


def unmutes(before: Window, after: Window) -> bool:
    """Whether what *before* kept back is to be looked at again."""
    if before.phase is not WindowPhase.IN_PROGRESS:
        return False
    return after.phase is not WindowPhase.IN_PROGRESS or after.muted_until != before.muted_until


class _Draft(Working[Window]):
    def __init__(self, window: Window, context: WindowContext, now: datetime) -> None:
        super().__init__(window, context.publish, "", now)
        self.context = context

    @property
    def window(self) -> Window:
        return self.subject

    @property
    def plan(self) -> WindowPlan:
        assert self.context.plan is not None
        return self.context.plan

    @property
    def revision(self) -> str:
        return self.context.plan.hash if self.context.plan else self.window.plan_hash

    @property
    def called(self) -> str:
        return f"maintenance `{self.window.plan_id}`"

    def waits(self, kind: ActionKind, post: Post) -> bool:  # noqa: ARG002
        """What the page shows already moves on by itself; only what is new to it waits."""
        return kind.creates

    def said(self, action: Action, outcome: Outcome) -> None:
        content = action.content
        status = outcome.window or content.window_status
        if status is not None:
            self.set(known=status)
        if content.starts_at is not None and content.ends_at is not None:
            self.set(known_times=(content.starts_at, content.ends_at))
        if content.message:
            self.set(posted_at=outcome.at)
        self.set(remote_id=outcome.remote_id or self.window.remote_id)

    def verdict(self) -> WindowVerdict:
        return WindowVerdict(
            window=self.window,
            changed=self.changed,
            actions=self.actions,
            notices=tuple(self.notices),
            log=tuple(self.log),
        )


def _reconcile(draft: _Draft) -> None:
    if draft.context.plan is None and draft.window.phase in (WindowPhase.PLANNED, WindowPhase.SCHEDULED):
        draft.say("cancelled: its entry is gone")
        draft.set(phase=WindowPhase.CANCELLED, ended_at=draft.now, withdrawn=True)
    _move(draft)
    if draft.window.hands_off or draft.in_flight:
        pass  # a person speaks; or what the page has is not known, and the outcome will ask again
    elif not any(action.kind.creates and not action.replaceable for action in draft.window.actions):
        _TELL[draft.window.phase](draft)
    draft.wake(_next(draft))


# -- where it stands


def _follow(draft: _Draft, planned: Planned) -> None:
    """Take over what the entry says; what has begun keeps its start."""
    window = draft.window
    draft.set(occurrence=planned.occurrence, plan_hash=draft.plan.hash, grace=draft.plan.grace)
    if window.withdrawn and window.known in (None, WindowStatus.COMPLETE):
        draft.say("planned again")
        draft.set(phase=WindowPhase.PLANNED, ended_at=None, withdrawn=False)
        draft.set(known=None, known_times=(), remote_id="", hands_off=False)
    elif window.phase not in (WindowPhase.PLANNED, WindowPhase.SCHEDULED):
        return
    draft.set(components=draft.plan.components)
    if (window.starts_at, window.ends_at) != (planned.starts_at, planned.ends_at):
        draft.set(starts_at=planned.starts_at, ends_at=planned.ends_at)
        draft.set(reminded=_reminders_due(draft))
        draft.say(f"moved to {planned.starts_at.isoformat()}")


def _move(draft: _Draft) -> None:
    window, now = draft.window, draft.now
    if not window.phase.live:
        return
    if now >= window.ends_at:
        _to(draft, WindowPhase.COMPLETE, ended_at=window.ends_at)
        if draft.window.hands_off and window.known is not None:
            draft.notice("complete_by_hand", "over, but not ours to move on the page any more: look there")
    elif window.phase is WindowPhase.IN_PROGRESS:
        return
    elif now >= window.starts_at:
        missed = now - window.starts_at > MISSED_AFTER and draft.plan.missed is Missed.SKIP
        _to(draft, WindowPhase.IN_PROGRESS, missed_start=missed)
    elif window.phase is WindowPhase.PLANNED and now >= _announced_at(draft):
        _to(draft, WindowPhase.SCHEDULED)


def _to(draft: _Draft, phase: WindowPhase, **fields: Any) -> None:
    draft.set(phase=phase, **fields)
    draft.say(phase.value.replace("_", " "))


def _announced_at(draft: _Draft) -> datetime:
    announce, starts_at = draft.plan.announce, draft.window.starts_at
    return starts_at - announce.before if announce else starts_at


def _next(draft: _Draft) -> datetime | None:
    window = draft.window
    if window.phase is WindowPhase.PLANNED:
        return _announced_at(draft)
    if window.phase is WindowPhase.SCHEDULED:
        ahead = [window.starts_at - each.before for each in _reminders(draft)[window.reminded :]]
        return min([window.starts_at, *ahead])
    return window.ends_at if window.phase is WindowPhase.IN_PROGRESS else None


# -- what the page should say


def _announce(draft: _Draft) -> None:
    window = draft.window
    due = _reminders_due(draft)
    reminds = due > window.reminded and window.known is not None
    draft.set(reminded=due)  # an announcement that is as late as a reminder says it all
    announce = draft.plan.announce
    if window.known is None and announce is not None:
        _create(draft, Post.ANNOUNCE, announce, WindowStatus.SCHEDULED, _announced_at(draft))
    elif reminds:
        said = _reminders(draft)[due - 1]
        notify = _notify(draft, said, window.starts_at - said.before)
        draft.add(ActionKind.UPDATE_MAINTENANCE, Post.REMIND, Content(message=_text(draft, said), notify=notify))
    else:
        _keep_times(draft)


def _reminders(draft: _Draft) -> list[Said]:
    return sorted(draft.plan.reminders, key=lambda said: said.before, reverse=True)


def _reminders_due(draft: _Draft) -> int:
    return sum(draft.window.starts_at - said.before <= draft.now for said in draft.plan.reminders)


def _start(draft: _Draft) -> None:
    window, plan = draft.window, draft.context.plan
    if window.missed_start or plan is None:
        return
    if window.known is None:
        _create(draft, Post.START, plan.start, WindowStatus.IN_PROGRESS, window.starts_at)
    elif window.known is WindowStatus.SCHEDULED and plan.driver is Driver.WORKER:
        content = Content(
            message=_text(draft, plan.start),
            components=dict.fromkeys(window.components, ComponentStatus.UNDER_MAINTENANCE),
            notify=_notify(draft, plan.start, window.starts_at),
            window_status=WindowStatus.IN_PROGRESS,
        )
        _once(draft, ActionKind.START_MAINTENANCE, Post.START, content)
    else:
        _keep_times(draft)


def _create(draft: _Draft, post: Post, said: Said, status: WindowStatus, due: datetime) -> None:
    window = draft.window
    content = Content(
        title=draft.plan.title.render(_words(draft)),
        message=_text(draft, said),
        components=dict.fromkeys(window.components, ComponentStatus.UNDER_MAINTENANCE),
        notify=_notify(draft, said, due),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        window_status=status,
        automate=draft.plan.driver is Driver.PROVIDER,
    )
    key = digest("window", "v1", window.id, *(["again", window.next_seq] if _was_cancelled(window) else []))
    _once(draft, ActionKind.SCHEDULE_MAINTENANCE, post, content, key=key)


def _was_cancelled(window: Window) -> bool:
    """Whether the page has had, and has lost, this window before: its key would bring the old one back."""
    return window.posted_at is not None


def _complete(draft: _Draft) -> None:
    plan, window = draft.context.plan, draft.window
    if window.known is None:
        for action in window.actions:
            draft.cancel(action, "over before it was published")
        _to(draft, WindowPhase.SKIPPED)
    elif plan is None or plan.driver is Driver.WORKER:
        began = window.known is WindowStatus.IN_PROGRESS
        notify = plan is not None and began and _notify(draft, plan.complete, window.ends_at)
        _end(draft, Post.COMPLETE, _text(draft, plan.complete) if plan else COMPLETED, notify=notify)


def _cancel(draft: _Draft) -> None:
    if draft.window.known is None:
        for action in draft.window.actions:
            draft.cancel(action, "cancelled before it was published")
    else:
        _end(draft, Post.CANCEL, CANCELLED, notify=False)


def _end(draft: _Draft, post: Post, text: str, *, notify: bool) -> None:
    if draft.window.known is not WindowStatus.COMPLETE:
        content = Content(message=text, notify=notify, window_status=WindowStatus.COMPLETE)
        _once(draft, ActionKind.COMPLETE_MAINTENANCE, post, content)


def _keep_times(draft: _Draft) -> None:
    """Bring the page's times up to ours; a post that waits comes first."""
    window = draft.window
    others = [action for action in window.actions if action.kind is not ActionKind.RESCHEDULE_MAINTENANCE]
    if window.known is None or not window.known_times or others:
        return
    if window.known_times == (window.starts_at, window.ends_at):
        return
    content = Content(title=draft.plan.title.render(_words(draft)), starts_at=window.starts_at, ends_at=window.ends_at)
    _once(draft, ActionKind.RESCHEDULE_MAINTENANCE, Post.RESCHEDULE, content)


def _once(draft: _Draft, kind: ActionKind, post: Post, content: Content, *, key: str = "") -> None:
    """Make an action, where none that waits says the same already."""
    pending = draft.pending(kind)
    if pending is None or pending.post is not post or _times(pending.content) != _times(content):
        draft.add(kind, post, content, key=key)


def _times(content: Content) -> tuple[datetime | None, datetime | None]:
    return content.starts_at, content.ends_at


def _nothing(draft: _Draft) -> None:
    for action in draft.window.actions:
        if draft.window.phase is WindowPhase.PLANNED and action.replaceable:
            draft.cancel(action, "it was moved, and is not due yet")


_TELL: Mapping[WindowPhase, Callable[[_Draft], None]] = {
    WindowPhase.PLANNED: _nothing,
    WindowPhase.SCHEDULED: _announce,
    WindowPhase.IN_PROGRESS: _start,
    WindowPhase.COMPLETE: _complete,
    WindowPhase.CANCELLED: _cancel,
    WindowPhase.SKIPPED: _nothing,
}


# -- words


def _notify(draft: _Draft, said: Said, due: datetime) -> bool:
    return said.notify and draft.now - due <= SILENT_AFTER


def _text(draft: _Draft, said: Said) -> str:
    return said.text.render(_words(draft))


def _words(draft: _Draft) -> Mapping[str, Any]:
    window, context = draft.window, draft.context
    return {
        "components": [context.names.get(name, name) for name in window.components],
        "severity": "",
        "episode": None,
        "window": {
            "starts_at": window.starts_at,
            "ends_at": window.ends_at,
            "duration": window.ends_at - window.starts_at,
        },
        "page": context.page_name or window.page,
        "now": draft.now,
    }
