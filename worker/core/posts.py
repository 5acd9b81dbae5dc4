"""
What an ``incident:`` episode posts: which words fit, which status and components go with them, and whom they mail.

This file may not know when anything is posted: that is decided in ``core.episodes``. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from worker.core.drafts import Draft, create_key
from worker.core.model import (
    ActionKind,
    BackfillStep,
    ComponentStatus,
    Content,
    IncidentStatus,
    Member,
    PageState,
    Post,
    Status,
)
from worker.core.ruleset import IncidentPlan
from worker.core.words import Standing, words_for

_SAID_AS = {Post.REOPEN: Post.OPEN, Post.RELAPSE: Post.OPEN}
_MAILED_AS = {Post.REOPEN: Post.OPEN, Post.RELAPSE: Post.MONITORING}


def same(wanted: Mapping[str, ComponentStatus], known: Mapping[str, ComponentStatus]) -> bool:
    """Say whether two views of the components come to the same; one that is not named is operational."""
    names = wanted.keys() | known.keys()
    good = ComponentStatus.OPERATIONAL
    return all(wanted.get(name, good) is known.get(name, good) for name in names)


def fitting(known: PageState, wanted: Mapping[str, ComponentStatus]) -> Post:
    """
    Say what kind of post brings the page up to what is true.

    What is back after we said that we only watch has grown only where it is worse than it was told before that.
    """
    if known.incident_status is IncidentStatus.RESOLVED:
        return Post.REOPEN
    calm = known.incident_status is IncidentStatus.MONITORING
    told = known.before if calm else known.components
    if any(wanted[name].rank > told.get(name, ComponentStatus.OPERATIONAL).rank for name in wanted):
        return Post.WORSEN
    return Post.RELAPSE if calm else Post.IMPROVE


def first(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    """Open the incident, in place of an opening that waits and says something else."""
    components = standing.components()
    draft.keep_back(rests=False)
    opening = draft.opening
    if opening is not None and (not opening.replaceable or opening.content.components == components):
        return
    content = Content(
        title=_title(draft, plan, standing),
        message=_text(draft, plan, standing, Post.OPEN),
        incident_status=IncidentStatus.INVESTIGATING,
        components=components,
        notify=Post.OPEN in plan.notify,
    )
    draft.add(ActionKind.OPEN_INCIDENT, Post.OPEN, content, key=_key(draft, standing))


def update(draft: Draft, plan: IncidentPlan, standing: Standing, post: Post, status: IncidentStatus) -> None:
    """Post on the incident; every component that was ever said in it is said again, cleared ones as operational."""
    known = draft.episode.known
    # Whoever was mailed that we only watch must hear that it is back, whatever else mails.
    taken_back = known is not None and known.incident_status is IncidentStatus.MONITORING
    content = Content(
        message=_text(draft, plan, standing, post),
        incident_status=status,
        components=standing.components(draft.episode.touched),
        notify=_MAILED_AS.get(post, post) in plan.notify or (taken_back and Post.MONITORING in plan.notify),
    )
    draft.add(ActionKind.UPDATE_INCIDENT, post, content)


def last(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    """Say that it is over."""
    notify = Post.RESOLVE in plan.notify and draft.episode.mailed
    draft.close(_text(draft, plan, standing, Post.RESOLVE), notify=notify)


def in_retrospect(draft: Draft, plan: IncidentPlan, standing: Standing) -> None:
    """Tell of what is over already, as an incident that began and ended."""
    worst = Standing(plan.impact, (_as_firing(m) for m in standing.members))
    steps = (
        BackfillStep(
            at=draft.episode.held_since,
            incident_status=IncidentStatus.INVESTIGATING,
            message=_text(draft, plan, worst, Post.OPEN),
            components=worst.components(),
        ),
        BackfillStep(
            at=draft.now, incident_status=IncidentStatus.RESOLVED, message=_text(draft, plan, worst, Post.RESOLVE)
        ),
    )
    content = Content(title=_title(draft, plan, worst), steps=steps)
    draft.add(ActionKind.BACKFILL_INCIDENT, Post.BACKFILL, content, key=_key(draft, worst))


def _as_firing(member: Member) -> Member:
    signal = replace(member.signal, event=replace(member.signal.event, status=Status.FIRING))
    return replace(member, signal=signal, cleared=False)


def _text(draft: Draft, plan: IncidentPlan, standing: Standing, post: Post) -> str:
    said_as = _SAID_AS.get(post, post)
    template = plan.keepalive.text if post is Post.KEEPALIVE and plan.keepalive else plan.say[said_as]
    return template.render(_words(draft, standing))


def _title(draft: Draft, plan: IncidentPlan, standing: Standing) -> str:
    return plan.title.render(_words(draft, standing))


def _words(draft: Draft, standing: Standing) -> Mapping[str, object]:
    leading = standing.leading()
    assert leading is not None
    components = standing.components() or standing.components(draft.episode.touched)
    speakers = standing.firing or standing.members
    return words_for(draft.rule, draft.episode, leading.signal.event, speakers, components, draft.context, draft.now)


def _key(draft: Draft, standing: Standing) -> str:
    leading = standing.leading()
    assert leading is not None
    return create_key(draft, leading.signal)
