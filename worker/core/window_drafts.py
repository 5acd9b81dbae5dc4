"""
The working copy of a maintenance window that decide fills in.

Here stand what may happen to a window, what decide may know beside it, what the page has once a post is done, and the
words of its texts. This file may not know phases, nor what follows from a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, overload

from worker.core.actions import Working
from worker.core.footprints import Matched, Observed
from worker.core.interventions import Asked
from worker.core.membership import Heard
from worker.core.model import (
    Action,
    ActionKind,
    Content,
    Event,
    Notice,
    Outcome,
    Post,
    PublishMode,
    RemoteIncident,
    Window,
    WindowPhase,
    WindowStatus,
)
from worker.core.ruleset import Impact, Rule, Said, WindowPlan
from worker.core.words import Standing, own_words
from worker.errors import EvaluationFailed

WAITING = (WindowPhase.PLANNED, WindowPhase.SCHEDULED)
"""Phases before the start."""

NOT_THERE: Mapping[str, Any] = {
    "known": None,
    "known_times": (),
    "known_components": {},
    "named_by": "",
    "remote_id": "",
}
"""What is known of a window that the page does not have, or not any more."""

SILENT_AFTER = timedelta(minutes=15)
"""What is said so much later than it was due mails nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed, or the rules are others now."""

    cause: str = "the clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The entry in force says when this window is to be; also where that is what it said before."""

    occurrence: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disowned:
    """An adopted window turned out to be one that we made ourselves, and that the ledger knows as such."""


Stimulus = Tick | Planned | Heard | Outcome | Asked | Observed | Disowned | Matched


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowContext:
    """
    What decide may know beside the window. Read-only.

    Args:
        plan: What the window follows: its entry or rule in force, or, where that is gone, the revision that it followed
            last; None: not even that is known.
        gone: Its entry or rule is not in force any more, or does not have this window any more.
        rule: Where the plan is a rule's: the rule.
        page_name: The page's public name, for texts.
        publish: The page's ceiling.
        names: Our component names to what the public calls them.
        firing: What the signals that fire say, of the sources that ``overrun`` asks; read once it has begun.
    """

    plan: WindowPlan | None
    gone: bool = False
    rule: Rule | None = None
    page_name: str = ""
    publish: PublishMode = PublishMode.AUTO
    names: Mapping[str, str] = field(default_factory=dict)
    firing: Sequence[Event] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowVerdict:
    """What was decided; see ``drafts.Verdict``."""

    window: Window
    changed: bool
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    log: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class AsWritten:
    """A text that a person wrote for this window; a ``ruleset.Template`` without words."""

    text: str

    def render(self, words: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Give it as it is."""
        return self.text

    def likeness(self, text: str) -> int | None:
        """See ``ruleset.Template``."""
        return len(text) if text == self.text else None


def _tells(old: Content, new: Content) -> bool:
    """Whether a post tells something else, whatever its words are at this moment."""
    return (old.starts_at, old.ends_at, old.components) != (new.starts_at, new.ends_at, new.components)


def _reads(old: Content, new: Content) -> bool:
    """Whether another revision has other words for the same."""
    return (old.title, old.message) != (new.title, new.message)


def called(window: Window, context: WindowContext, now: datetime) -> str:
    """Say what the public calls a window: as the page does, else as its plan will; where that fails, the plan's id."""
    if window.known_name or context.plan is None:
        return window.known_name or window.plan_id
    try:
        return context.plan.title.render(WindowDraft(window, context, now).words())
    except EvaluationFailed:
        return window.plan_id


class WindowDraft(Working[Window]):
    """
    A mutable copy of a window for the length of one decision.

    Args:
        window: As it was read.
        context: What else is known.
        now: Aware, UTC.
    """

    def __init__(self, window: Window, context: WindowContext, now: datetime) -> None:
        super().__init__(window, context.publish, "", now)
        self.context = context

    @property
    def window(self) -> Window:
        """As it is by now."""
        return self.subject

    @property
    def plan(self) -> WindowPlan:
        """What it follows; asked only where that is known."""
        assert self.context.plan is not None
        return self.context.plan

    @property
    def revision(self) -> str:
        """See ``Working``."""
        return self.context.plan.hash if self.context.plan else self.window.plan_hash

    @property
    def called(self) -> str:
        """See ``Working``."""
        return f"maintenance `{self.window.plan_id}`"

    def waits(self, kind: ActionKind, post: Post) -> bool:  # noqa: ARG002
        """What the page shows already moves on by itself; only what is new to it waits."""
        return kind.creates

    def said(self, action: Action, outcome: Outcome) -> None:
        """See ``Working``."""
        content = action.content
        if action.kind is ActionKind.CANCEL_MAINTENANCE:
            self.set(**NOT_THERE)
            return
        if action.kind.creates:
            self.set(automated=content.automate)
        status = outcome.window or content.window_status
        if status is not None:
            self.set(known=status)
        if content.starts_at is not None and content.ends_at is not None:
            self.set(known_times=(content.starts_at, content.ends_at))
        if content.title:
            self.set(named_by=action.rule_hash)
        if content.components:
            self.set(known_components={**self.window.known_components, **content.components})
        if content.message:
            self.set(posted_at=outcome.at)
        if self._tells_times(action):
            self.set(owed=None)
        self.set(remote_id=outcome.remote_id or self.window.remote_id)

    def give_up(self, why: str) -> None:
        """See ``Working``."""
        self.say(f"cancelled: {why}")
        self.set(phase=WindowPhase.CANCELLED, ended_at=self.now)

    def take_back(self, shown: RemoteIncident) -> None:
        """See ``Working``."""
        self.set(known=WindowStatus(shown.status), automated=shown.automate)
        if shown.starts_at is not None and shown.ends_at is not None:
            self.set(known_times=(shown.starts_at, shown.ends_at))

    def once(self, kind: ActionKind, post: Post, content: Content, *, key: str = "") -> None:
        """Make an action, where none that waits says the same already."""
        pending = self.pending(kind)
        if pending is not None and pending.post is post and not _tells(pending.content, content):
            by_another = pending.rule_hash != self.revision
            if not (by_another and _reads(pending.content, content)):
                return
        self.add(kind, post, content, key=key)

    def to(self, phase: WindowPhase, **fields: Any) -> None:
        """Let it stand somewhere else."""
        self.set(phase=phase, **fields)
        self.say(phase.value.replace("_", " "))

    def reminders_due(self) -> int:
        """Count the reminders whose time has come."""
        return sum(self.window.starts_at - said.before <= self.now for said in self.plan.reminders)

    def _tells_times(self, action: Action) -> bool:
        """Whether nobody need be told the new times any more."""
        as_they_are = (action.content.starts_at, action.content.ends_at) == (self.window.starts_at, self.window.ends_at)
        return action.post is Post.START or (bool(action.content.message) and as_they_are)

    @overload
    def meant(self, post: Post, planned: Said) -> Said: ...
    @overload
    def meant(self, post: Post | None, planned: Said | None) -> Said | None: ...
    def meant(self, post: Post | None, planned: Said | None) -> Said | None:
        """Give what is to be said: what a person wants, else what is planned; None where neither says anything."""
        word = self.window.given.get(post) if post is not None else None
        if word is None or (planned is None and not word.text):
            return planned
        said = planned or Said(text=AsWritten(word.text), notify=False)
        text = AsWritten(word.text) if word.text else said.text
        return replace(said, text=text, notify=said.notify if word.notify is None else word.notify)

    def says(self, said: Said, due: datetime, **more: Any) -> Content:
        """Make a post of a text; what comes much later than it was *due*, and than we heard of it, mails nobody."""
        notify = said.notify and self.now - max(due, self.window.created_at) <= SILENT_AFTER
        return Content(message=said.text.render(self.words()), notify=notify, **more)

    def words(self) -> Mapping[str, Any]:
        """
        Collect the words that its texts may use.

        Raises:
            EvaluationFailed: A variable of its rule failed.
        """
        window, context = self.window, self.context
        leading = Standing(Impact(), window.members.values()).leading()
        own: Mapping[str, Any] = window.group
        begun_at = window.begun_at or window.starts_at
        if context.rule is not None and leading is not None:
            firing = [member for member in window.members.values() if member.firing]
            own = own_words(context.rule, window.group, leading.signal.event, firing or window.members.values())
        return {
            **own,
            "components": [context.names.get(name, name) for name in window.components],
            "severity": leading.signal.event.severity if leading else "",
            "episode": None,
            "window": {
                "starts_at": begun_at,
                "ends_at": window.ends_at,
                "duration": window.ends_at - begun_at,
            },
            "page": context.page_name or window.page,
            "now": self.now,
        }

    def verdict(self) -> WindowVerdict:
        """Give what was decided."""
        return WindowVerdict(
            window=self.window,
            changed=self.changed,
            actions=self.actions,
            notices=tuple(self.notices),
            log=tuple(self.log),
            fault=self.fault,
        )
