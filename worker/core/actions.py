"""
The working copy that decide fills in: an episode or a window, what changed about its actions, what to tell whom.

Here lives everything that is the same for all that writes to a page: making, replacing and settling actions. This file
may not know phases, signals or times of windows; what differs between episodes and windows are methods to override.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from worker.core import retry
from worker.core.approval import offer
from worker.core.footprints import Matched, bears
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Content,
    Episode,
    Notice,
    Outcome,
    Post,
    PublishMode,
    RemoteIncident,
    Result,
    Severity,
    Window,
    digest,
)
from worker.core.ruleset import ApproveConfig
from worker.errors import EvaluationFailed

FAULT_PAUSE = timedelta(minutes=1)
"""How soon a rule that failed is tried again."""

MOST_SENDS = 2
"""A write without an idempotency key is sent at most so often; then a person decides."""

KEPT_UPDATES = 10
"""So many of the updates that the page takes of one incident are kept: for people, and for its end."""

MATCHED = "the ledger was matched with the page"
"""The reason of what was settled because the ledger may have been older than the page."""

Subject = TypeVar("Subject", Episode, Window)


class Working(Generic[Subject]):
    """
    A mutable copy of an aggregate for the length of one decision.

    Args:
        subject: As it was read.
        publish: How far its actions may go by themselves.
        cause: What made us decide, for people.
        now: Aware, UTC.
    """

    bypasses = False
    """Whether somebody else's object on our components does not stop a create."""

    def __init__(self, subject: Subject, publish: PublishMode, cause: str, now: datetime) -> None:
        self.before: Subject = subject
        self.subject: Subject = subject
        self.publish = publish
        self.cause = cause
        self.now = now
        self.notices: list[Notice] = []
        self.log: list[str] = []
        self.fault = ""
        self._changed: dict[str, Action] = {}

    # -- what differs

    @property
    def revision(self) -> str:
        """The hash of the revision that decides."""
        raise NotImplementedError

    @property
    def called(self) -> str:
        """What to call the rule or entry in messages."""
        raise NotImplementedError

    def waits(self, kind: ActionKind, post: Post) -> bool:
        """Whether such an action waits for a person while ``publish`` is ``approve``."""
        raise NotImplementedError

    def said(self, action: Action, outcome: Outcome) -> None:
        """Take into account that the page has what *action* says."""
        raise NotImplementedError

    def give_up(self, why: str) -> None:
        """End what the page has never had: a person does not want it there."""
        raise NotImplementedError

    def take_back(self, shown: RemoteIncident) -> None:
        """Go on from what the page shows after a person had taken over."""
        raise NotImplementedError

    @property
    def approval(self) -> ApproveConfig:
        """What waits how long for a person, and what then."""
        return ApproveConfig()

    @property
    def guest(self) -> bool:
        """Whether what is said is posted on somebody else's object."""
        return False

    @property
    def rests_until(self) -> datetime:
        """The earliest time of the next write; now, where the page may be written to at any time."""
        return self.now

    # -- the aggregate

    def set(self, **fields: Any) -> None:
        """Change fields of the aggregate."""
        self.subject = replace(self.subject, **fields)

    def say(self, line: str) -> None:
        """Add a line to the history."""
        self.log.append(line)

    def notice(self, code: str, text: str, severity: Severity = Severity.WARNING) -> None:
        """Tell the team."""
        self.notices.append(Notice(code=code, subject=self.subject.id, text=text, severity=severity))

    def wake(self, *times: datetime | None) -> None:
        """Set when to look again: the earliest of *times*, and of the deadlines of what waits for approval."""
        actions: tuple[Action, ...] = self.subject.actions
        deadlines: list[datetime | None] = [
            action.deadline for action in actions if action.state is ActionState.AWAITING_APPROVAL
        ]
        self.set(wake_at=min((time for time in (*times, *deadlines) if time is not None), default=None))

    # -- actions

    @property
    def in_flight(self) -> bool:
        """Whether an attempt may be on its way, or be on the page without our knowing."""
        return any(action.state in (ActionState.SENDING, ActionState.UNKNOWN) for action in self.subject.actions)

    def pending(self, *kinds: ActionKind) -> Action | None:
        """Give the unsettled action that a newer decision may replace."""
        return next((a for a in self.subject.actions if self._replaceable(a) and (not kinds or a.kind in kinds)), None)

    def _replaceable(self, action: Action) -> bool:
        held_update = action.state is ActionState.HELD and bool(self.subject.remote_id)
        return action.replaceable or (held_update and not action.kind.creates and not self.subject.hands_off)

    def put(self, action: Action) -> None:
        """Store a new or changed action."""
        self._changed[action.id] = action
        others: tuple[Action, ...] = tuple(a for a in self.subject.actions if a.id != action.id)
        unsettled = others if action.state.settled else (*others, action)
        self.set(actions=tuple(sorted(unsettled, key=lambda a: a.seq)))

    def cancel(self, action: Action, reason: str) -> None:
        """Settle an action that nobody wants any more."""
        self.put(replace(action, state=ActionState.REPLACED, reason=reason))

    def add(self, kind: ActionKind, post: Post, content: Content, *, key: str = "") -> None:
        """
        Make an action, replacing the pending one that says less; relayed texts replace nothing.

        What takes the place of an action waits as long as that had to, be it because the page asked for it, or for
        somebody else's incident. An approval does not go over to it, but the deadline of one does.
        """
        blocked_by = ""
        bypasses = self.bypasses
        not_before = self.rests_until
        deadlines = []
        if post is not Post.RELAY:
            for old in [a for a in self.subject.actions if self._replaceable(a)]:
                if not old.braked:  # a brake looks again by itself, and lets a resolve pass
                    not_before = max(not_before, old.not_before)
                blocked_by = old.blocked_by if kind is old.kind else ""
                bypasses = bypasses or (old.bypass_existing and kind is old.kind)
                deadlines += [old.deadline] if old.deadline else []
                self.cancel(old, f"a newer decision took its place: {post}")
        state, reason = self._first_state(kind, post)
        waits = state is ActionState.AWAITING_APPROVAL
        if waits and not deadlines and self.approval.deadline is not None:
            deadlines = [self.now + self.approval.deadline]
        if blocked_by and state is ActionState.QUEUED:
            state, reason = ActionState.HELD, blocked(blocked_by)
        action = Action(
            id=f"{self.subject.id}/{self.subject.next_seq}",
            aggregate=self.subject.id,
            seq=self.subject.next_seq,
            kind=kind,
            page=self.subject.page,
            post=post,
            content=content,
            state=state,
            created_at=self.now,
            not_before=not_before,
            rule_hash=self.revision,
            cause=self.cause,
            key=key,
            remote_id="" if kind.creates else self.subject.remote_id,
            guest=self.guest and not kind.creates,
            reason=reason,
            deadline=min(deadlines, default=None) if waits else None,
            bypass_existing=bypasses,
            blocked_by=blocked_by if state is ActionState.HELD else "",
        )
        self.set(next_seq=action.seq + 1)
        self.put(action)
        self.say(f"{kind} ({post}) {state}")
        if state is ActionState.SHADOWED:
            self.shadow(action)
        elif waits:
            self.notice("approval_waits", offer(action), Severity.INFO)

    def _first_state(self, kind: ActionKind, post: Post) -> tuple[ActionState, str]:
        if self.publish is PublishMode.SHADOW:
            return ActionState.SHADOWED, "publish: shadow"
        if self.publish is PublishMode.APPROVE and self.waits(kind, post):
            return ActionState.AWAITING_APPROVAL, "publish: approve"
        return ActionState.QUEUED, ""

    def shadow(self, action: Action) -> None:
        """Take an action that is decided and never sent for said."""
        self.put(replace(action, state=ActionState.SHADOWED, reason="publish: shadow"))
        self.said(action, Outcome(action_id=action.id, result=Result.DONE, at=self.now))

    # -- outcomes

    def settle(self, outcome: Outcome) -> Action | None:
        """Take an outcome into account; give the action as it was, None where it is settled already."""
        action = next((a for a in self.subject.actions if a.id == outcome.action_id), None)
        if action is not None:
            getattr(self, f"_{outcome.result}")(action, outcome)
        return action

    def _done(self, action: Action, outcome: Outcome) -> None:
        reason = "; ".join(outcome.differences)
        self.put(
            replace(action, state=ActionState.DONE, reason=reason, remote_id=outcome.remote_id or action.remote_id)
        )
        self.said(action, outcome)
        subject = self.subject
        self.set(known_name=outcome.name or subject.known_name, accepted=subject.accepted | outcome.seen)
        self.say(f"{action.kind} ({action.post}) is on the page")

    def _not_sent(self, action: Action, outcome: Outcome) -> None:
        self._again(action, retry.again(action.id, action.tries, outcome.retry_at, self.now), outcome.detail)

    def _denied(self, action: Action, outcome: Outcome) -> None:
        """It waits no longer than its page, which is asked by whatever has its turn."""
        at = max(self.now + retry.passed(retry.BREAKER), outcome.retry_at or self.now)
        self._again(action, at, f"the key is denied: {outcome.detail}")

    def _unmailed(self, action: Action, outcome: Outcome) -> None:
        """The same post, silently. A create that was refused may have spent its key, so it comes under another."""
        others = action.sends - 1 if action.state is ActionState.SENDING else action.sends
        key = digest(action.key, "unmailed") if action.kind.creates and not others else action.key
        quiet = replace(action.content, notify=False)
        reason = f"mails nobody: {outcome.detail}"
        silent = replace(action, state=ActionState.QUEUED, content=quiet, key=key, sends=others)
        self.put(replace(silent, not_before=self.now, reason=reason))
        self.say(f"{action.kind} ({action.post}) {reason}")

    def _again(self, action: Action, at: datetime, reason: str) -> None:
        """This attempt left nothing on the page; an earlier one of a create may have, so that stays unknown."""
        sends = max(0, action.sends - 1)
        state = ActionState.UNKNOWN if action.kind.creates and sends else ActionState.QUEUED
        self.put(replace(action, state=state, sends=sends, not_before=at, reason=reason))

    def _refused(self, action: Action, outcome: Outcome) -> None:
        self.put(replace(action, state=ActionState.PARKED, sends=max(0, action.sends - 1), reason=outcome.detail))
        self.notice("parked", f"{action.kind} ({action.id}) is parked: {outcome.detail}", Severity.ERROR)
        self.say(f"{action.kind} ({action.post}) parked: {outcome.detail}")

    def _unknown(self, action: Action, outcome: Outcome) -> None:
        wait = outcome.retry_at or retry.again(action.id, action.tries, None, self.now)
        reads = action.clean_reads + 1 if outcome.clean_read else 0
        self.put(replace(action, state=ActionState.UNKNOWN, not_before=wait, clean_reads=reads, reason=outcome.detail))

    def _absent(self, action: Action, outcome: Outcome) -> None:
        if action.sends < MOST_SENDS:
            self.put(
                replace(action, state=ActionState.QUEUED, not_before=self.now, clean_reads=0, reason=outcome.detail)
            )
            self.say(f"{action.kind} ({action.post}) proven absent; sent once more")
            return
        self.hold(action, f"sent {action.sends} times and not found on the page: {outcome.detail}")

    def hand_over(self, why: str) -> None:
        """Leave the page's object to the person who has taken over: hold what waits, and tell it once."""
        self.set(hands_off=True)
        for action in self.subject.actions:
            if action.state is ActionState.QUEUED:
                self.put(replace(action, state=ActionState.HELD, reason=f"a person has taken over: {why}"))
        self.notice("taken_over", f"a person has taken over on the page: {why}; nothing more is posted there")
        self.say(f"hands off: {why}")

    def _shadowed(self, action: Action, outcome: Outcome) -> None:
        if action.kind.creates and action.sends:
            self.hold(action, f"{outcome.detail}, and whether the page has it is not known")
        else:
            self.shadow(action)

    def catch_up(self, seen: Matched) -> bool:
        """
        Settle by what the page shows what a ledger that is older than the page still believes to be open.

        Texts that are relayed are owed even so. A create is looked for by whoever sends it.

        Returns:
            Whether the page says more than this ledger ever meant to say.
        """
        unknown = list(seen.unknown)
        for action in [each for each in self.subject.actions if not each.kind.creates]:
            post = next((each for each in unknown if bears(action, each)), None)
            if post is not None:
                unknown.remove(post)
                self.put(replace(action, state=ActionState.DONE, update_id=post.id, reason=MATCHED))
            elif action.state not in (ActionState.SENDING, ActionState.UNKNOWN):
                continue
            elif action.post is Post.RELAY:
                self.put(replace(action, state=ActionState.QUEUED, sends=0, clean_reads=0, not_before=self.now))
            else:
                self.cancel(action, f"{MATCHED}: the page does not have it")
        return bool(unknown)

    def _person(self, action: Action, outcome: Outcome) -> None:
        self.set(hands_off=True)
        self.hold(action, f"a person has taken over: {outcome.detail}")

    def _braked(self, action: Action, outcome: Outcome) -> None:
        reason = f"brake: {outcome.detail}"
        if outcome.silent:
            quiet = replace(action.content, notify=False)
            self.put(replace(action, content=quiet, not_before=self.now, reason=reason))
            self.notice("mail_braked", f"{action.kind} ({action.id}) mails nobody: {outcome.detail}")
            self.say(f"{action.kind} ({action.post}) mails nobody: {outcome.detail}")
        elif outcome.retry_at is not None:
            self.put(replace(action, not_before=outcome.retry_at, braked=True, reason=reason))
            self.say(f"{action.kind} ({action.post}) waits until {outcome.retry_at:%H:%M:%S}: {outcome.detail}")
        else:
            self.put(replace(action, state=ActionState.AWAITING_APPROVAL, reason=reason))
            self.notice("braked", f"{action.kind} ({action.id}) awaits approval: {outcome.detail}", Severity.ERROR)
            self.say(f"{action.kind} ({action.post}) awaits approval: {outcome.detail}")

    def _replayed(self, action: Action, outcome: Outcome) -> None:
        self.hold(action, f"the page answered with an old object: {outcome.detail}")

    def hold(self, action: Action, reason: str) -> None:
        """Let a person look at it."""
        self.put(replace(action, state=ActionState.HELD, blocked_by="", reason=reason))
        self.notice("held", f"{action.kind} ({action.id}) is held: {reason}", Severity.ERROR)
        self.say(f"{action.kind} ({action.post}) held: {reason}")

    # -- the result

    def attempt(self, step: Callable[[], None]) -> None:
        """Run *step*; where an expression or template fails, undo it, tell once, and look again later."""
        saved = self.subject, dict(self._changed), len(self.notices), len(self.log)
        try:
            step()
        except EvaluationFailed as failed:
            self.subject, self._changed = saved[0], saved[1]
            del self.notices[saved[2] :], self.log[saved[3] :]
            self.fault = str(failed)
            if self.subject.fault != self.fault:
                self.notice("evaluation_failed", f"{self.called} cannot be followed: {failed}", Severity.ERROR)
                self.say(f"could not be followed: {failed}")
            self.set(fault=self.fault, wake_at=self.now + FAULT_PAUSE)
        else:
            if self.subject.fault:
                self.set(fault="")

    @property
    def changed(self) -> bool:
        """Whether anything about the aggregate or its actions is different now."""
        return self.subject != self.before or bool(self._changed)

    @property
    def actions(self) -> tuple[Action, ...]:
        """Those that are new or changed."""
        return tuple(self._changed.values())


def begin(action: Action, now: datetime) -> Action:
    """Mark an action as being sent; its attempt is written down in the same commit."""
    sending = replace(action, state=ActionState.SENDING, sends=action.sends + 1, tries=action.tries + 1)
    return replace(sending, blocked_by="", not_before=now)


def blocked(foreign: str) -> str:
    """Say why an opening is held behind somebody else's incident."""
    return f"somebody else's incident {foreign} is open on these components; it goes out once that is over"
