"""
What a person's word does to an episode or a window, and to the actions that wait for one.

Here lives everything that is the same for both; what differs are methods of the working copies. Whatever makes no sense
is refused with a sentence that names the way out, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from worker.core.actions import MOST_SENDS, Working
from worker.core.approval import approval_hash, to_be_approved
from worker.core.commands import Adopt, Approve, Dismiss, Retry, WindowOrder, verb
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Episode,
    IncidentStatus,
    Outcome,
    Post,
    PublishMode,
    RemoteIncident,
    Result,
    Window,
    digest,
)
from worker.errors import CommandRefused, NotFound

Order = Approve | Dismiss | Retry | Adopt
"""A command about an episode or a window."""

_WAITS_FOR_A_PERSON = (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL)
_UNDER_WAY = (ActionState.SENDING, ActionState.UNKNOWN)
_ELSEWHERE: Mapping[type[Episode | Window], str] = {
    Episode: "end it there, and the worker keeps its hands off; what waits is dismissed by its own id",
    Window: "`maintenance cancel` calls it off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    A person asks for something.

    Args:
        shown: For ``Adopt``: what the page shows of the object now; None: it has none of this id.
    """

    order: Order | WindowOrder
    shown: RemoteIncident | None = None

    @property
    def cause(self) -> str:
        """Who asked for what, for the history."""
        return f"{self.order.by} ({verb(self.order)})"


def heed(draft: Working[Any], asked: Asked) -> None:
    """
    Do what a person asks.

    Raises:
        CommandRefused: It makes no sense now.
        NotFound: There is no such action.
    """
    _HEED[type(asked.order)](draft, asked)


def expire(draft: Working[Any]) -> None:
    """Do what the rule says of posts that nobody has approved in time."""
    for action in draft.subject.actions:
        due = action.deadline is not None and action.deadline <= draft.now
        if due and action.state is ActionState.AWAITING_APPROVAL:
            why = f"nobody approved it until {action.deadline:%Y-%m-%d %H:%M} UTC"
            _EXPIRED[draft.approval.on_expiry](draft, action, why)


# -- approve


def _approve(draft: Working[Any], asked: Asked) -> None:
    assert isinstance(asked.order, Approve)
    action = _unsettled(draft, asked.order.action)
    if not to_be_approved(action):
        raise CommandRefused(f"{action.id} does not wait for approval: it is {_stands(action)}")
    if draft.publish is PublishMode.SHADOW:
        raise CommandRefused(f"{action.id} is not sent whoever approves it: `publish` is `shadow` by now")
    seen = approval_hash(action)
    if asked.order.hash != seen:
        raise CommandRefused(f"{action.id} says something else than what was approved; look at it again")
    by = asked.order.by
    edited = _edited(action, asked.order)
    draft.put(
        replace(
            edited,
            state=ActionState.QUEUED,
            not_before=draft.now,
            deadline=None,
            approved_by=by,
            reason=f"approved by {by}",
        )
    )
    how = "approved" if edited == action else f"approved in other words than sha256 {seen}"
    draft.say(f"{action.kind} ({action.post}) {how}: sha256 {approval_hash(edited)}")


def _edited(action: Action, order: Approve) -> Action:
    """Put the words of whoever approves in place of ours."""
    content = action.content
    if (order.title and not content.title) or (order.text and not content.message):
        raise CommandRefused(f"{action.id} has no {'title' if order.title and not content.title else 'text'} to change")
    words = replace(content, title=order.title or content.title, message=order.text or content.message)
    return replace(action, content=words)


def _hold(draft: Working[Any], action: Action, why: str) -> None:
    draft.hold(action, why)


def _publish(draft: Working[Any], action: Action, why: str) -> None:
    reason = f"{why}; `on_expiry: publish`"
    draft.put(replace(action, state=ActionState.QUEUED, not_before=draft.now, deadline=None, reason=reason))
    draft.say(f"{action.kind} ({action.post}) goes out: {reason}")


def _drop(draft: Working[Any], action: Action, why: str) -> None:
    _let_go(draft, action, f"{why}; `on_expiry: drop`")
    draft.notice("approval_expired", f"{action.kind} ({action.id}) is not said: {why}")


_EXPIRED: Mapping[str, Callable[[Working[Any], Action, str], None]] = {
    "hold": _hold,
    "publish": _publish,
    "drop": _drop,
}


# -- dismiss


def _dismiss(draft: Working[Any], asked: Asked) -> None:
    assert isinstance(asked.order, Dismiss)
    why = ": ".join(filter(None, (f"dismissed by {asked.order.by}", asked.order.reason)))
    if asked.order.subject == draft.subject.id:
        _dismiss_all(draft, why)
        return
    action = _unsettled(draft, asked.order.subject)
    if action.state in _UNDER_WAY:
        raise CommandRefused(f"{action.id} is {_stands(action)}: it may be on the page; dismiss it once that is known")
    _let_go(draft, action, why)


def _dismiss_all(draft: Working[Any], why: str) -> None:
    subject = draft.subject
    if draft.in_flight:
        raise CommandRefused(f"{subject.id} is being published just now; dismiss it once that is known")
    if subject.remote_id:
        raise CommandRefused(f"{subject.id} is on the page already: {_ELSEWHERE[type(subject)]}")
    if not subject.phase.live and not subject.actions:
        raise CommandRefused(f"{subject.id} is {subject.phase} already")
    for action in subject.actions:
        draft.put(replace(action, state=ActionState.DISMISSED, reason=why))
    draft.give_up(why)


def _let_go(draft: Working[Any], action: Action, why: str) -> None:
    """Say nothing of it; nothing but news makes the same post again."""
    draft.put(replace(action, state=ActionState.DISMISSED, reason=why))
    draft.say(f"{action.kind} ({action.post}) {why}")
    if action.kind.creates or action.post is Post.OPEN:
        if action.kind is not ActionKind.BACKFILL_INCIDENT and draft.subject.phase.live:
            draft.give_up(why)
    elif action.post is not Post.RELAY:
        draft.said(action, Outcome(action_id=action.id, result=Result.DONE, at=draft.now))


# -- retry


def _retry(draft: Working[Any], asked: Asked) -> None:
    assert isinstance(asked.order, Retry)
    action, subject = _unsettled(draft, asked.order.action), draft.subject
    if action.state not in _WAITS_FOR_A_PERSON:
        raise CommandRefused(f"{action.id} is {_stands(action)}: it needs no help")
    if to_be_approved(action):
        raise CommandRefused(f"{action.id} waits for approval: approve or dismiss it")
    if subject.hands_off:
        raise CommandRefused(f"a person has taken {subject.id} over on the page: `adopt` gives it back to the worker")
    begins = action.kind.creates or action.post is Post.OPEN
    if begins and action.kind is not ActionKind.BACKFILL_INCIDENT and not subject.phase.live:
        raise CommandRefused(f"{subject.id} is {subject.phase}: nobody would end what this begins; dismiss it")
    draft.put(_again(replace(action, not_before=draft.now, reason=f"retried by {asked.order.by}")))
    draft.say(f"{action.kind} ({action.post}) retried")


def _again(action: Action) -> Action:
    """Let it go out once more, by the way that says nothing twice."""
    if action.blocked_by:
        return replace(action, state=ActionState.QUEUED, blocked_by="", bypass_existing=True)
    if not action.sends:
        return replace(action, state=ActionState.QUEUED)
    if action.kind.creates and action.state is ActionState.PARKED:
        return replace(action, state=ActionState.UNKNOWN)  # one of the sends before may have arrived: the same key
    if action.kind.creates:
        # Its key brings an old object back, which is over.
        return replace(action, state=ActionState.QUEUED, sends=0, key=digest(action.key, "again", action.tries))
    # Read once more; what is not there then is sent once more.
    return replace(action, state=ActionState.UNKNOWN, sends=MOST_SENDS - 1, clean_reads=1)


# -- adopt


def _adopt(draft: Working[Any], asked: Asked) -> None:
    subject, shown = draft.subject, asked.shown
    if not subject.hands_off:
        raise CommandRefused(f"{subject.id} is the worker's already")
    if shown is None:
        raise CommandRefused(f"the page has no object of {subject.id} any more; there is nothing to go on with")
    if shown.automate:
        raise CommandRefused(f"the page moves {subject.id} by itself; switch its automation off first")
    seen = frozenset(update.id for update in shown.updates)
    draft.set(hands_off=False, accepted=subject.accepted | seen, known_name=shown.name)
    draft.take_back(shown)
    draft.say(f"given back: the page says {shown.status}, in {len(seen)} posts")
    for action in draft.subject.actions:
        if action.post is Post.RESOLVE and shown.status == IncidentStatus.RESOLVED:
            draft.cancel(action, "the page says it already")
        elif action.state is ActionState.HELD and not action.kind.creates:
            draft.put(_again(replace(action, not_before=draft.now, reason=f"given back by {asked.order.by}")))


_HEED: Mapping[type[Order | WindowOrder], Callable[[Working[Any], Asked], None]] = {
    Approve: _approve,
    Dismiss: _dismiss,
    Retry: _retry,
    Adopt: _adopt,
}


def _unsettled(draft: Working[Any], action_id: str) -> Action:
    actions: Sequence[Action] = draft.subject.actions
    found = next((action for action in actions if action.id == action_id), None)
    if found is None:
        raise NotFound(f"there is no action {action_id} that waits; `statusbridge history` names those that do")
    return found


def _stands(action: Action) -> str:
    return f"{action.state.value.replace('_', ' ')}{': ' + action.reason if action.reason else ''}"
