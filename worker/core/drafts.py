"""
The working copy that decide fills in: one episode, what changed about its actions, what to tell whom.

Here lives everything that is the same for incidents and relays: joining members, making, replacing and settling
actions, what the page says once a post is done. This file may not know phases or rules' timing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from worker.core import retry
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    ComponentStatus,
    Content,
    Episode,
    Event,
    IncidentStatus,
    Member,
    Notice,
    Outcome,
    PageState,
    Phase,
    Post,
    PublishMode,
    Result,
    Severity,
    Signal,
    SignalId,
    digest,
)
from worker.core.ruleset import ApproveConfig, Existing, IncidentPlan, RelayPlan, Rule
from worker.core.signals import Change
from worker.errors import EvaluationFailed

FAULT_PAUSE = timedelta(minutes=1)
"""How soon a rule that failed is tried again."""

MOST_SENDS = 2
"""A write without an idempotency key is sent at most so often; then a person decides."""


DENIED = "the key is denied"
"""How the reason of an action begins that waits for a key that is good enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    One statement as an episode hears it.

    Args:
        signal: As it is after the statement.
        matches: Whether the rule wants it in this group; None where that could not be told.
    """

    event: Event
    signal: Signal
    change: Change
    matches: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The statements of one inbound that concern an episode, in order."""

    items: Sequence[Item]
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed, or something around the episode changed."""

    cause: str = "the clock"


Stimulus = Heard | Tick | Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    What decide may know beside the episode. Read-only.

    Args:
        rule: The revision that the episode follows; None: the rule is gone, and with it a held episode.
        page: Our name of the page.
        page_name: Its public name, for texts.
        publish: The stricter of the rule's and the page's.
        names: Our component names to what the public calls them.
        yielding: Whether an episode of a rule that this one yields to is live; the rule's id, or "".
        muted: Components under maintenance now.
        muted_until: When the last of these windows ends, its grace included.
        canary_well: Whether a resolve of the sources may be believed.
    """

    rule: Rule | None
    page: str
    page_name: str = ""
    publish: PublishMode = PublishMode.AUTO
    names: Mapping[str, str] = field(default_factory=dict)
    yielding: str = ""
    muted: frozenset[str] = frozenset()
    muted_until: datetime | None = None
    canary_well: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What was decided.

    Args:
        episode: None: there is none, and none is needed.
        changed: Whether anything about the episode or its actions is different now.
        actions: Those that are new or changed.
        log: One line each for the history.
        fault: Why the rule could not be followed, or ""; members are up to date, nothing else was decided.
    """

    episode: Episode | None
    changed: bool
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    log: tuple[str, ...] = ()
    fault: str = ""


class Draft:
    """
    A mutable copy of an episode for the length of one decision.

    Args:
        episode: As it was read.
        context: What else is known.
        cause: What made us decide, for people.
        now: Aware, UTC.
    """

    def __init__(self, episode: Episode, context: Context, cause: str, now: datetime) -> None:
        self.before = episode
        self.episode = episode
        self.context = context
        self.cause = cause
        self.now = now
        self.notices: list[Notice] = []
        self.log: list[str] = []
        self.fault = ""
        self._changed: dict[str, Action] = {}

    # -- the episode

    def set(self, **fields: Any) -> None:
        """Change fields of the episode."""
        self.episode = replace(self.episode, **fields)

    def say(self, line: str) -> None:
        """Add a line to the history."""
        self.log.append(line)

    def notice(self, code: str, text: str, severity: Severity = Severity.WARNING) -> None:
        """Tell the team."""
        self.notices.append(Notice(code=code, subject=self.episode.id, text=text, severity=severity))

    def join(self, items: Iterable[Item], counts: Callable[[Event], bool] = lambda event: True) -> bool:
        """
        Take the statements into the members; say whether any of them fires here that did not before.

        Args:
            counts: Whether an event that fires does anything to the page.
        """
        members: dict[SignalId, Member] = dict(self.episode.members)
        began = False
        for item in items:
            member = members.get(item.signal.id)
            was_firing = member is not None and member.firing and counts(member.signal.event)
            taken = self._taken(member, item)
            if taken is None:
                continue
            members[item.signal.id] = taken
            began = began or (taken.firing and counts(taken.signal.event) and not was_firing)
        if members != self.episode.members:
            self.set(members=members)
        return began

    def _taken(self, member: Member | None, item: Item) -> Member | None:
        if item.change in (Change.REPEAT, Change.STALE, Change.REMARK):
            return None
        if member is None:
            wanted = item.matches is True and item.signal.firing
            return Member(signal=item.signal, joined_at=self.now) if wanted else None
        cleared = member.cleared
        if item.signal.firing and item.matches is not None:
            cleared = not item.matches
        elif not item.signal.firing:
            cleared = False
        return replace(member, signal=item.signal, cleared=cleared)

    def wake(self, *times: datetime | None) -> None:
        """Set when to look again: the earliest of *times*."""
        self.set(wake_at=min((time for time in times if time is not None), default=None))

    # -- actions

    @property
    def in_flight(self) -> bool:
        """Whether an attempt may be on its way, or be on the page without our knowing."""
        return any(action.state in (ActionState.SENDING, ActionState.UNKNOWN) for action in self.episode.actions)

    def pending(self, *kinds: ActionKind) -> Action | None:
        """Give the unsettled action that a newer decision may replace."""
        return next((a for a in self.episode.actions if self._replaceable(a) and (not kinds or a.kind in kinds)), None)

    def _replaceable(self, action: Action) -> bool:
        held_update = action.state is ActionState.HELD and bool(self.episode.remote_id)
        return action.replaceable or (held_update and not action.kind.creates and not self.episode.hands_off)

    def put(self, action: Action) -> None:
        """Store a new or changed action."""
        self._changed[action.id] = action
        others = tuple(a for a in self.episode.actions if a.id != action.id)
        unsettled = others if action.state.settled else (*others, action)
        self.set(actions=tuple(sorted(unsettled, key=lambda a: a.seq)))

    def cancel(self, action: Action, reason: str) -> None:
        """Settle an action that nobody wants any more."""
        self.put(replace(action, state=ActionState.REPLACED, reason=reason))

    def add(self, kind: ActionKind, post: Post, content: Content, *, key: str = "") -> None:
        """
        Make an action, replacing the pending one that says less; relayed texts replace nothing.

        Where the page asked to be left alone for a while, that holds for what takes the place of an action too.
        """
        not_before = self.now
        if post is not Post.RELAY:
            for old in [a for a in self.episode.actions if self._replaceable(a)]:
                not_before = max(not_before, old.not_before)
                self.cancel(old, f"a newer decision took its place: {post}")
        rule, plan = self.rule, self.plan
        state, reason = self._first_state(plan.approve, post)
        action = Action(
            id=f"{self.episode.id}/{self.episode.next_seq}",
            aggregate=self.episode.id,
            seq=self.episode.next_seq,
            kind=kind,
            page=self.episode.page,
            post=post,
            content=content,
            state=state,
            created_at=self.now,
            not_before=not_before,
            rule_hash=rule.hash,
            cause=self.cause,
            key=key,
            remote_id="" if kind.creates else self.episode.remote_id,
            reason=reason,
            bypass_existing=plan.existing is Existing.OPEN,
        )
        self.set(next_seq=action.seq + 1)
        self.put(action)
        self.say(f"{kind} ({post}) {state}")
        if state is ActionState.SHADOWED:
            self._said(action, Outcome(action_id=action.id, result=Result.DONE, at=self.now))
        elif state is ActionState.AWAITING_APPROVAL:
            self.notice("approval_waits", f"{kind} awaits approval: {content.message or content.title}", Severity.INFO)

    def _first_state(self, approve: ApproveConfig, post: Post) -> tuple[ActionState, str]:
        if self.context.publish is PublishMode.SHADOW:
            return ActionState.SHADOWED, "publish: shadow"
        if self.context.publish is PublishMode.APPROVE and post in approve.posts:
            return ActionState.AWAITING_APPROVAL, "publish: approve"
        return ActionState.QUEUED, ""

    @property
    def rule(self) -> Rule:
        """The rule; asked only where there is one."""
        assert self.context.rule is not None
        return self.context.rule

    @property
    def plan(self) -> IncidentPlan | RelayPlan:
        """The rule's plan; asked only where there is one."""
        assert self.rule.plan is not None
        return self.rule.plan

    # -- outcomes

    def settle(self, outcome: Outcome) -> Action | None:
        """Take an outcome into account; give the action as it was, None where it is settled already."""
        action = next((a for a in self.episode.actions if a.id == outcome.action_id), None)
        if action is not None:
            getattr(self, f"_{outcome.result}")(action, outcome)
        return action

    def _done(self, action: Action, outcome: Outcome) -> None:
        reason = "; ".join(outcome.differences)
        self.put(
            replace(action, state=ActionState.DONE, reason=reason, remote_id=outcome.remote_id or action.remote_id)
        )
        self._said(action, outcome)
        self.say(f"{action.kind} ({action.post}) is on the page")

    def _said(self, action: Action, outcome: Outcome) -> None:
        content, episode = action.content, self.episode
        known = episode.known.components if episode.known else {}
        resolved = content.incident_status is IncidentStatus.RESOLVED
        components = dict.fromkeys(known, ComponentStatus.OPERATIONAL) if resolved else {**known, **content.components}
        status = content.incident_status or (
            episode.known.incident_status if episode.known else IncidentStatus.INVESTIGATING
        )
        if action.kind is ActionKind.BACKFILL_INCIDENT:
            self.set(remote_id=outcome.remote_id, posted_at=outcome.at)
            return
        self.set(
            known=PageState(incident_status=status, components=components),
            touched=episode.touched | frozenset(content.components),
            remote_id=outcome.remote_id or episode.remote_id,
            posted_at=outcome.at,
            mailed=content.notify if action.post is Post.OPEN else episode.mailed,
            keepalives=episode.keepalives + 1 if action.post is Post.KEEPALIVE else 0,
        )

    def _not_sent(self, action: Action, outcome: Outcome) -> None:
        self._again(action, retry.again(action.id, action.tries, outcome.retry_at, self.now), outcome.detail)

    def _denied(self, action: Action, outcome: Outcome) -> None:
        if not action.reason.startswith(DENIED):
            self.notice("page_denies", f"page `{action.page}` denies our key: {outcome.detail}", Severity.ERROR)
        at = max(self.now + retry.BREAKER, outcome.retry_at or self.now)
        self._again(action, at, f"{DENIED}: {outcome.detail}")

    def _again(self, action: Action, at: datetime, reason: str) -> None:
        """This attempt left nothing on the page; an earlier one of a create may have, so that stays unknown."""
        sends = max(0, action.sends - 1)
        state = ActionState.UNKNOWN if action.kind.creates and sends else ActionState.QUEUED
        self.put(replace(action, state=state, sends=sends, not_before=at, reason=reason))

    def _refused(self, action: Action, outcome: Outcome) -> None:
        self.put(replace(action, state=ActionState.PARKED, sends=max(0, action.sends - 1), reason=outcome.detail))
        self.notice("parked", f"the page refused {action.kind} ({action.id}): {outcome.detail}", Severity.ERROR)
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
        self._hold(action, f"sent {action.sends} times and not found on the page: {outcome.detail}")

    def _foreign(self, action: Action, outcome: Outcome) -> None:
        if self.context.rule is not None and self.plan.existing is Existing.ATTACH:
            self.put(replace(action, attach_to=outcome.foreign, not_before=self.now, reason=outcome.detail))
            self.say(f"attached to the page's incident {outcome.foreign}")
            return
        self._hold(action, f"somebody else's incident {outcome.foreign} is open on these components")

    def _person(self, action: Action, outcome: Outcome) -> None:
        self.set(hands_off=True)
        self._hold(action, f"a person has taken over: {outcome.detail}")

    def _replayed(self, action: Action, outcome: Outcome) -> None:
        self._hold(action, f"the page answered with an old incident: {outcome.detail}")

    def _hold(self, action: Action, reason: str) -> None:
        self.put(replace(action, state=ActionState.HELD, reason=reason))
        self.notice("held", f"{action.kind} ({action.id}) is held: {reason}", Severity.ERROR)
        self.say(f"{action.kind} ({action.post}) held: {reason}")

    # -- the result

    def attempt(self, step: Callable[[], None]) -> None:
        """Run *step*; where an expression or template fails, undo it, tell once, and look again later."""
        saved = self.episode, dict(self._changed), len(self.notices), len(self.log)
        try:
            step()
        except EvaluationFailed as failed:
            self.episode, self._changed = saved[0], saved[1]
            del self.notices[saved[2] :], self.log[saved[3] :]
            self.fault = str(failed)
            if self.episode.fault != self.fault:
                self.notice("evaluation_failed", f"rule `{self.rule.id}` cannot be followed: {failed}", Severity.ERROR)
                self.say(f"rule failed: {failed}")
            self.set(fault=self.fault, wake_at=self.now + FAULT_PAUSE)
        else:
            if self.episode.fault:
                self.set(fault="")

    def verdict(self) -> Verdict:
        """Give what was decided."""
        changed = self.episode != self.before or bool(self._changed)
        return Verdict(
            episode=self.episode,
            changed=changed,
            actions=tuple(self._changed.values()),
            notices=tuple(self.notices),
            log=tuple(self.log),
            fault=self.fault,
        )


def new_episode(key: str, last: Episode | None, group: Mapping[str, str], context: Context, now: datetime) -> Episode:
    """Make the next episode of a line of episodes, after *last*; held, without members."""
    assert context.rule is not None
    number = last.number + 1 if last else 1
    return Episode(
        id=f"{key}#{number}",
        rule_id=context.rule.identity,
        page=context.page,
        group=group,
        number=number,
        phase=Phase.HELD,
        rule_hash=context.rule.hash,
        created_at=now,
        held_since=now,
        previous_end=last.ended_at if last else None,
    )


def create_key(draft: Draft, leading: Signal) -> str:
    """
    Derive the idempotency key of an open from what it is about, so that it survives the loss of the ledger,
    and so that a new outage never gets the old incident back. An occurrence that was there before the last incident
    ended may have opened one already (its severity fell below what the rule counts, and rose again): told apart.
    """
    episode, started = draft.episode, leading.event.started_at
    base = digest(
        "v1",
        episode.page,
        draft.rule.identity,
        dict(episode.group),
        leading.id,
        started.isoformat() if started else "",
        leading.last_resolve.isoformat() if leading.last_resolve else "",
    )
    again = episode.previous_end is not None and leading.since <= episode.previous_end
    return digest(base, episode.number, episode.next_seq) if again else base


def begin(action: Action, now: datetime) -> Action:
    """Mark an action as being sent; its attempt is written down in the same commit."""
    return replace(action, state=ActionState.SENDING, sends=action.sends + 1, tries=action.tries + 1, not_before=now)


def humanised(length: timedelta) -> str:
    """Say a length of time as people do: "under a minute", "12 minutes", "3 hours 5 minutes"."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return "under a minute"
    hours, rest = divmod(minutes, 60)
    parts = [
        f"{count} {unit}{'s' if count > 1 else ''}" for count, unit in ((hours, "hour"), (rest, "minute")) if count
    ]
    return " ".join(parts)
