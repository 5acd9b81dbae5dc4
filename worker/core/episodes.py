"""
The heart: what an episode does next.

``decide`` is pure and level-triggered: it takes one stimulus into account and then asks, whatever the stimulus was,
what the phase should be, what the page should say, and when to look again. Deciding twice changes nothing.
This file holds the phases of ``incident:`` rules, ``core.posts`` what is posted in them; ``core.relays`` is the same
for ``relay:`` rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.core import posts, relays
from worker.core.actions import KEPT_UPDATES
from worker.core.drafts import Context, Draft, Stimulus, Verdict, full, new_episode
from worker.core.footprints import Matched, Observed
from worker.core.interventions import Asked, expire, heed
from worker.core.membership import Heard
from worker.core.model import (
    Action,
    ActionState,
    Episode,
    Event,
    IncidentStatus,
    Outcome,
    Phase,
    Post,
    PublishMode,
    Result,
    Severity,
)
from worker.core.phrases import duration
from worker.core.ruleset import IncidentPlan, RelayPlan, TooShort
from worker.core.words import Standing, counts

DISBELIEF = timedelta(minutes=1)
"""How soon it is asked again whether a canary is well."""

SCARCE_UPDATES = 2 * KEPT_UPDATES
SCARCE_GAP = timedelta(minutes=5)
"""From so few updates that the page still takes on, the least gap is no shorter, and grows with each."""

NOTHING = Verdict(episode=None, changed=False)


def decide(
    episode: Episode | None,
    stimulus: Stimulus,
    context: Context,
    now: datetime,
    *,
    key: str = "",
    group: Mapping[str, str] | None = None,
) -> Verdict:
    """
    Decide what follows for one line of episodes.

    Args:
        episode: Its newest episode; None: there was none.
        stimulus: What happened.
        context: What else is known.
        now: Aware, UTC.
        key: Name of the line of episodes; needed where an episode may begin.
        group: What the group is known by; needed where an episode may begin.

    Returns:
        With ``fault`` set where an expression or a template of the rule failed: the members are up to date then,
        nothing else is decided, and the episode wakes soon to try again.

    Raises:
        CommandRefused: What a person asks makes no sense now.
    """
    if context.rule is not None and isinstance(context.rule.plan, RelayPlan):
        return relays.decide(episode, stimulus, context, now, key=key, group=group or {})
    if isinstance(stimulus, Heard):
        return _heard(episode, stimulus, context, now, key, group or {})
    if episode is None:
        return NOTHING
    draft = Draft(episode, context, "the clock", now)
    if isinstance(stimulus, Outcome):
        draft.cause = f"outcome of {stimulus.action_id}"
        action = draft.settle(stimulus)
        if action is not None:
            _after_outcome(draft, action, stimulus)
    elif isinstance(stimulus, Observed):
        draft.cause = "the page"
        draft.see(stimulus)
    elif isinstance(stimulus, Matched):
        draft.cause = "the page"
        draft.match(stimulus)
    elif isinstance(stimulus, Asked):
        draft.cause = stimulus.cause
        heed(draft, stimulus)
    else:
        draft.cause = stimulus.cause
    draft.follow_publish()
    draft.attempt(lambda: _reconcile(draft))
    return draft.verdict()


def _heard(
    episode: Episode | None, heard: Heard, context: Context, now: datetime, key: str, group: Mapping[str, str]
) -> Verdict:
    live = episode is not None and episode.phase.live
    plan = context.rule.plan if context.rule is not None else None

    def counting(event: Event) -> bool:
        return not isinstance(plan, IncidentPlan) or counts(plan.impact, event)

    if episode is not None and (live or _may_come_back(episode, context, now)):
        draft = Draft(episode, context, heard.cause, now)
        began = draft.join(heard.items, counting)
        if not live and began:
            draft.say("held: fires again soon after the end")
            draft.set(phase=Phase.HELD, again_since=now, told_max_open=False)
    else:
        if context.rule is None:
            return NOTHING
        fresh = new_episode(key, episode, group, context, now)
        draft = Draft(fresh, context, heard.cause, now)
        if not draft.join(heard.items, counting):
            return NOTHING
        draft.say("held: first signal fires")
    draft.follow_publish()
    draft.attempt(lambda: _reconcile(draft))
    return draft.verdict()


def _may_come_back(episode: Episode, context: Context, now: datetime) -> bool:
    """Whether a signal that fires now belongs to the ended episode: soon enough, or its end was never published."""
    plan = context.rule.plan if context.rule else None
    if episode.phase is not Phase.RESOLVED or not isinstance(plan, IncidentPlan) or episode.ended_at is None:
        return False
    if episode.hands_off or episode.shadow is not (context.publish is PublishMode.SHADOW):
        return False
    if _end_unsaid(episode):
        return True
    soon = now - episode.ended_at < plan.reopen_within
    return soon and not episode.guest and not full(episode)  # somebody else's may be over: look anew


def _end_unsaid(episode: Episode) -> bool:
    """Whether the page still shows as open what was decided to be over."""
    return any(action.post is Post.RESOLVE and action.replaceable for action in episode.actions)


def _after_outcome(draft: Draft, action: Action, outcome: Outcome) -> None:
    if action.post is Post.REOPEN and outcome.result in (Result.REFUSED, Result.FULL):
        draft.cancel(action, f"the page does not reopen: {outcome.detail}; a new incident follows")
        draft.notices.clear()
        draft.set(known=None, remote_id="", touched=frozenset(), mailed=False, posted_at=None, room=None)
        draft.set(previous_end=draft.now)


def _reconcile(draft: Draft) -> None:
    expire(draft)
    if draft.context.rule is None:
        _rule_is_gone(draft)
        return
    step = _PHASES.get(draft.episode.phase)
    if step is None:
        draft.wake()
        return
    plan = draft.plan
    assert isinstance(plan, IncidentPlan)
    step(draft, plan, Standing(plan.impact, draft.episode.members.values()))


def _rule_is_gone(draft: Draft) -> None:
    if draft.episode.phase is Phase.HELD and draft.episode.again_since is not None:
        _stay_ended(draft, "its rule is gone")
    elif draft.episode.phase is Phase.HELD:
        draft.say("dismissed: its rule is gone")
        draft.set(phase=Phase.DISMISSED, ended_at=draft.now)
    draft.wake()


# -- held


def _held(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    draft.set(rule_hash=draft.rule.hash)
    again = draft.episode.again_since
    if not standing.firing and again is not None:
        _stay_ended(draft, "all clear within `hold`")
        return
    if not standing.firing:
        _dismiss(draft, plan, standing, "all clear before anything was public")
        return
    ready = (again or draft.episode.held_since) + plan.hold
    if _end_unsaid(draft.episode):
        _begin(draft, plan, standing)
    elif draft.now < ready:
        draft.wake(ready)
    elif muted_until := _muted(draft, standing):
        draft.wake(muted_until)
    elif draft.context.yielding:
        draft.wake(draft.now + timedelta(minutes=1))
    else:
        _begin(draft, plan, standing)


def _begin(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    draft.set(phase=Phase.OPEN, opened_at=draft.now, again_since=None, ended_at=None, clearing_since=None)
    _open(draft, plan, standing)


def _stay_ended(draft: Draft, why: str) -> None:
    """A blip soon after the end: nothing is said, and the end stays what it was."""
    draft.set(phase=Phase.RESOLVED, again_since=None)
    draft.say(f"stays resolved: {why}")
    draft.wake()


def _muted(draft: Draft, standing: Standing) -> datetime | None:
    """When muting ends; None where any component that is touched is not muted."""
    muted, touched = draft.context.muted, standing.components()
    if not touched or not touched.keys() <= muted.keys():
        return None
    until = min(muted[name] for name in touched)
    return until if until > draft.now else None


def _dismiss(draft: Draft, plan: IncidentPlan, standing: Standing, why: str) -> None:
    for action in draft.episode.actions:
        if action.state in (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL):
            draft.notice(
                "cleared_unpublished",
                f"{action.kind} ({action.id}) was {action.state} and is not needed any more: {why}",
            )
        draft.cancel(action, why)
    if plan.too_short is TooShort.BACKFILL and not draft.episode.remote_id:
        posts.in_retrospect(draft, plan, standing)
    draft.set(phase=Phase.DISMISSED, ended_at=draft.now)
    draft.say(f"dismissed: {why}")
    draft.wake()


# -- open


def _open(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    if not standing.firing:
        draft.set(phase=Phase.CLEARING, clearing_since=draft.now)
        draft.say("all clear; waiting for quiet")
        _clearing(draft, plan, standing)
        return
    wakes = [_max_open(draft, plan)]
    if not draft.in_flight and draft.speaks:
        if draft.episode.known is None:
            posts.first(draft, plan, standing)
        elif draft.context.yielding:
            _take_back(draft, "another rule goes before")
            wakes.append(draft.now + timedelta(minutes=1))
        else:
            wakes.append(_follow(draft, plan, standing))
    draft.wake(*wakes)


def _take_back(draft: Draft, why: str) -> None:
    """What waits to be sent is not to be said any more; what waits for a person stays before that person."""
    pending = draft.pending()
    if pending is not None and pending.state is ActionState.QUEUED:
        draft.withdraw(pending, why)


def _max_open(draft: Draft, plan: IncidentPlan) -> datetime | None:
    opened = draft.episode.opened_at
    if plan.max_open is None or opened is None or draft.episode.told_max_open:
        return None
    limit = opened + plan.max_open
    if draft.now < limit:
        return limit
    draft.notice("max_open", f"open for {duration(draft.now - opened)} and still firing; look whether it is true")
    draft.set(told_max_open=True)
    return None


def _follow(draft: Draft, plan: IncidentPlan, standing: Standing) -> datetime | None:
    """Bring the page up to what is true; give the time to look again."""
    known = draft.episode.known
    assert known is not None
    wanted = standing.components(draft.episode.touched)
    back = known.incident_status in (IncidentStatus.MONITORING, IncidentStatus.RESOLVED)
    pending = draft.pending()
    if not back and posts.same(wanted, known.components):
        if pending is not None and pending.post is not Post.KEEPALIVE:
            draft.withdraw(pending, "the page says it already")
        return _keepalive(draft, plan, standing)
    post = posts.fitting(known, wanted)
    if pending is not None:
        if pending.post is post and pending.content.components == wanted:
            return None
    elif post is not Post.REOPEN and (later := _gap(draft, plan)):
        return later
    if post is Post.IMPROVE and draft.believed_since() is None:
        return draft.now + DISBELIEF
    posts.update(draft, plan, standing, post, IncidentStatus.INVESTIGATING)
    return None


def _gap(draft: Draft, plan: IncidentPlan) -> datetime | None:
    posted = draft.episode.posted_at
    later = posted + _least_gap(draft, plan) if posted else draft.now
    return later if later > draft.now else None


def _least_gap(draft: Draft, plan: IncidentPlan) -> timedelta:
    """The fewer updates the page takes, the more is said in each of them."""
    room = draft.episode.room
    if room is None or room > SCARCE_UPDATES:
        return plan.min_gap
    return max(plan.min_gap, SCARCE_GAP) * (SCARCE_UPDATES + 2 - room)


def _keepalive(draft: Draft, plan: IncidentPlan, standing: Standing) -> datetime | None:
    keepalive, episode = plan.keepalive, draft.episode
    if keepalive is None or episode.posted_at is None or episode.keepalives >= keepalive.times:
        return None
    due = episode.posted_at + max(keepalive.every, _least_gap(draft, plan))
    if draft.now < due:
        return due
    if draft.pending() is None and episode.known is not None:
        posts.update(draft, plan, standing, Post.KEEPALIVE, episode.known.incident_status)
    return None


# -- clearing


def _clearing(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    since = draft.episode.clearing_since
    assert since is not None
    if standing.firing:
        draft.set(phase=Phase.OPEN, clearing_since=None)
        draft.say("fires again during quiet")
        _open(draft, plan, standing)
        return
    believed = draft.believed_since()
    if believed is None:
        draft.wake(draft.now + DISBELIEF)
        return
    ends = max(since, believed) + plan.quiet
    if draft.in_flight:
        draft.wake(max(ends, draft.now + timedelta(minutes=1)))
    elif draft.now < ends:
        # A monitoring that is just back has not looked yet: nothing is said before quiet is over.
        draft.keep_back(rests=True)
        draft.wake(ends, _monitoring(draft, plan, standing) if believed <= since else None)
    else:
        _resolve(draft, plan, standing)


def _monitoring(draft: Draft, plan: IncidentPlan, standing: Standing) -> datetime | None:
    known = draft.episode.known
    if not draft.speaks:
        return None
    if known is None:
        _take_back(draft, "all is clear meanwhile")
        return None
    pending = draft.pending()
    if pending is not None and pending.post is not Post.MONITORING:
        draft.withdraw(pending, "all is clear meanwhile")
        pending = None
    if Post.MONITORING not in plan.say or known.incident_status is IncidentStatus.RESOLVED:
        return None
    if known.incident_status is IncidentStatus.MONITORING or (pending and pending.post is Post.MONITORING):
        return None
    if pending is None and (later := _gap(draft, plan)):
        return later
    posts.update(draft, plan, standing, Post.MONITORING, IncidentStatus.MONITORING)
    return None


def _resolve(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    known = draft.episode.known
    opening = draft.opening
    if opening is not None and opening.state is ActionState.HELD and not opening.replaceable:
        draft.notice(
            "resolve_waits",
            "all clear, but whether the page has the incident is not known; look and dismiss",
            Severity.ERROR,
        )
    elif known is None:
        _dismiss(draft, plan, standing, "all clear before it was published")
        return
    elif draft.episode.hands_off:
        draft.leave_the_end("all clear")
    elif draft.silenced:
        draft.say("the page is not told")
    elif known.incident_status is IncidentStatus.RESOLVED:
        for action in draft.episode.actions:
            draft.cancel(action, "all clear before the page was told that it was back")
    else:
        posts.last(draft, plan, standing)
    draft.set(phase=Phase.RESOLVED, ended_at=draft.now)
    draft.say("resolved")
    draft.wake()


_PHASES = {Phase.HELD: _held, Phase.OPEN: _open, Phase.CLEARING: _clearing}
