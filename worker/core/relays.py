"""
What a ``relay:`` episode does next: people run the incident upstream, and the page follows their words.

Every text is posted in order and none is merged away; there is no hold, no quiet and no gap. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from worker.core.drafts import Context, Draft, Stimulus, Verdict, create_key, new_episode
from worker.core.footprints import Matched, Observed
from worker.core.interventions import Asked, expire, heed
from worker.core.membership import Heard, Item
from worker.core.model import (
    ActionKind,
    ActionState,
    Content,
    Episode,
    Event,
    IncidentStatus,
    Outcome,
    Phase,
    Post,
    Severity,
)
from worker.core.ruleset import RelayPlan
from worker.core.signals import Change
from worker.core.words import ANY, Standing, words_for

NOTHING = Verdict(episode=None, changed=False)


def decide(
    episode: Episode | None, stimulus: Stimulus, context: Context, now: datetime, *, key: str, group: Mapping[str, str]
) -> Verdict:
    """
    Decide what follows for one relayed incident; arguments as for ``episodes.decide``.

    Returns:
        With ``fault`` set where an expression or a template of the rule failed: that statement was not relayed.
    """
    if not isinstance(stimulus, Heard):
        return _unheard(episode, stimulus, context, now)
    if episode is None or not episode.phase.live:
        began = [item for item in stimulus.items if _begins(item, context)]
        if not began:
            return NOTHING
        episode = new_episode(key, episode, group, context, now)
    draft = Draft(episode, context, stimulus.cause, now)
    draft.follow_publish()
    for item in stimulus.items:
        draft.join([item])
        draft.attempt(lambda item=item: _hear(draft, item))  # type: ignore[misc]
    draft.wake()
    return draft.verdict()


def _unheard(episode: Episode | None, stimulus: Stimulus, context: Context, now: datetime) -> Verdict:
    if episode is None:
        return NOTHING
    draft = Draft(episode, context, "the clock", now)
    if isinstance(stimulus, Outcome):
        draft.cause = f"outcome of {stimulus.action_id}"
        draft.settle(stimulus)
        _bind(draft)
    elif isinstance(stimulus, Observed):
        draft.cause = "the page"
        draft.see(stimulus)
    elif isinstance(stimulus, Matched):
        draft.cause = "the page"
        draft.match(stimulus)
    elif isinstance(stimulus, Asked):
        draft.cause = stimulus.cause
        heed(draft, stimulus)
    draft.follow_publish()
    expire(draft)
    draft.wake()
    return draft.verdict()


def _bind(draft: Draft) -> None:
    """Tell the posts that wait which page incident they belong to, and whose it is, once that is known."""
    if draft.opening is not None or not draft.episode.remote_id:
        return
    remote_id, guest = draft.episode.remote_id, draft.episode.guest
    for action in draft.episode.actions:
        kind = _LAST_WORD[guest] if action.post is Post.RESOLVE else action.kind
        if (action.remote_id, action.guest) != (remote_id, guest):
            draft.put(replace(action, kind=kind, remote_id=remote_id, guest=guest))


_LAST_WORD = {True: ActionKind.UPDATE_INCIDENT, False: ActionKind.RESOLVE_INCIDENT}


def _plan(context: Context) -> RelayPlan:
    assert context.rule is not None
    assert isinstance(context.rule.plan, RelayPlan)
    return context.rule.plan


def _begins(item: Item, context: Context) -> bool:
    over = item.event.category in _plan(context).resolve_on
    return item.matches is True and item.signal.firing and item.change is Change.NEWS and not over


def _hear(draft: Draft, item: Item) -> None:
    plan = _plan(draft.context)
    member = draft.episode.members.get(item.signal.id)
    if member is None or item.change is not Change.NEWS or not draft.episode.phase.live:
        return
    if item.event.category in plan.resolve_on or member.cleared:
        _end(draft, plan, item.event)
    else:
        _relay(draft, plan, item.event)


def _give_up(draft: Draft, *more: ActionState) -> None:
    """Let a newer text pass one that the page refused or that is held, so that the end is never stuck behind it."""
    for action in draft.episode.actions:
        if action.state in (ActionState.PARKED, ActionState.HELD, *more) and action.post is not Post.OPEN:
            draft.cancel(action, "a newer text follows")


def _relay(draft: Draft, plan: RelayPlan, event: Event) -> None:
    if not draft.speaks:
        return
    words = _words(draft, plan, event)
    text = plan.text.render(words)
    status = plan.status.get(event.status_name)
    if not text or (text == draft.episode.relayed and status in (None, _status_said(draft))):
        return
    components = Standing(plan.impact, draft.episode.members.values()).components(draft.episode.touched)
    opening = draft.episode.phase is Phase.HELD
    content = Content(
        title=plan.title.render(words) if opening else "",
        message=text,
        incident_status=status or _status_said(draft),
        components=components,
        notify=(Post.OPEN if opening else Post.RELAY) in plan.notify,
    )
    if opening:
        key = create_key(draft, draft.episode.members[event.source, event.key].signal)
        draft.set(phase=Phase.OPEN, opened_at=draft.now)
        draft.add(ActionKind.OPEN_INCIDENT, Post.OPEN, content, key=key)
    else:
        _give_up(draft)
        draft.add(ActionKind.UPDATE_INCIDENT, Post.RELAY, content)
    draft.set(relayed=text)


def _status_said(draft: Draft) -> IncidentStatus:
    """What the page says, or will say once all that waits is posted."""
    waiting = [a.content.incident_status for a in draft.episode.actions if a.content.incident_status]
    if waiting:
        return waiting[-1]
    return draft.episode.known.incident_status if draft.episode.known else IncidentStatus.INVESTIGATING


def _end(draft: Draft, plan: RelayPlan, event: Event) -> None:
    unsent = draft.opening if draft.opening is not None and draft.opening.replaceable else None
    if draft.episode.phase is Phase.HELD or unsent is not None:
        if unsent is not None:
            draft.notice("cleared_unpublished", "the incident ended upstream before it was published; nothing was said")
        for action in draft.episode.actions:
            draft.cancel(action, "ended upstream before it was published")
        draft.set(phase=Phase.DISMISSED, ended_at=draft.now)
        draft.say("dismissed: ended upstream before anything was public")
        return
    template = plan.resolve.get(event.category) or plan.resolve.get(ANY)
    if template is None:
        draft.notice(
            "resolve_by_hand",
            f"ended upstream as `{event.category}`, but the rule has no text for that",
            Severity.ERROR,
        )
        return
    if draft.episode.hands_off:
        draft.leave_the_end("ended upstream")
    elif draft.silenced:
        draft.say("the page is not told")
    else:
        notify = Post.RESOLVE in plan.notify and _mailed(draft)
        message = template.render(_words(draft, plan, event))
        _give_up(draft, ActionState.AWAITING_APPROVAL)
        draft.close(message, notify=notify)
    draft.set(phase=Phase.RESOLVED, ended_at=draft.now)
    draft.say("resolved")


def _mailed(draft: Draft) -> bool:
    opens = [a for a in draft.episode.actions if a.post is Post.OPEN and not a.state.settled]
    return draft.episode.mailed or any(a.content.notify and a.state is not ActionState.PARKED for a in opens)


def _words(draft: Draft, plan: RelayPlan, event: Event) -> Mapping[str, object]:
    standing = Standing(plan.impact, draft.episode.members.values())
    components = standing.components() or standing.components(draft.episode.touched)
    return words_for(draft.rule, draft.episode, event, standing.firing, components, draft.context, draft.now)
