"""
The working copy of an episode that decide fills in.

Here lives everything that is the same for incidents and relays: joining members, and what the page says once a post is
done. This file may not know phases or rules' timing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from worker.core import membership, retry
from worker.core.actions import KEPT_UPDATES, MATCHED, Working, blocked
from worker.core.footprints import Matched, Observed
from worker.core.interventions import Asked
from worker.core.membership import Heard, Item
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
    RemoteIncident,
    Severity,
    Signal,
    SignalId,
    digest,
)
from worker.core.ruleset import ApproveConfig, EventWindowPlan, Existing, IncidentPlan, RelayPlan, Rule
from worker.errors import CommandRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed, or something around the episode changed."""

    cause: str = "the clock"


Stimulus = Heard | Tick | Outcome | Observed | Asked | Matched


EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    What decide may know beside the episode. Read-only.

    Args:
        rule: The revision that the episode follows; None: the rule is gone, and with it a held episode.
        page: Our name of the page.
        page_name: Its public name, for texts.
        publish: The stricter of the page's and the rule's, as it is in force.
        approve: What waits for a person, as the rule in force says it; None: as the rule above does.
        names: Our component names to what the public calls them.
        yielding: Whether an episode of a rule that this one yields to is live; the rule's id, or "".
        muted: Our names of the components under maintenance, and until when, grace included.
        canaries: The sources that have a canary, and since when it is well; None: it is not.
    """

    rule: Rule | None
    page: str
    page_name: str = ""
    publish: PublishMode = PublishMode.AUTO
    approve: ApproveConfig | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    yielding: str = ""
    muted: Mapping[str, datetime] = field(default_factory=dict)
    canaries: Mapping[str, datetime | None] = field(default_factory=dict)


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


class Draft(Working[Episode]):
    """
    A mutable copy of an episode for the length of one decision.

    Args:
        episode: As it was read.
        context: What else is known.
        cause: What made us decide, for people.
        now: Aware, UTC.
    """

    def __init__(self, episode: Episode, context: Context, cause: str, now: datetime) -> None:
        super().__init__(episode, PublishMode.SHADOW if episode.shadow else context.publish, cause, now)
        self.context = context
        if context.rule is not None:
            self.bypasses = self.plan.existing is Existing.OPEN

    @property
    def episode(self) -> Episode:
        """As it is by now."""
        return self.subject

    def believed_since(self) -> datetime | None:
        """Since when it may be believed that members are resolved; None: it may not."""
        sources = {member.signal.event.source for member in self.episode.members.values()}
        sinces = [self.context.canaries[source] for source in sources if source in self.context.canaries]
        known = [since for since in sinces if since is not None]
        return max(known, default=EVER) if len(known) == len(sinces) else None

    @property
    def revision(self) -> str:
        """See ``Working``."""
        return self.rule.hash

    @property
    def called(self) -> str:
        """See ``Working``."""
        return f"rule `{self.rule.id}`"

    @property
    def guest(self) -> bool:
        """See ``Working``."""
        return self.episode.guest

    @property
    def opening(self) -> Action | None:
        """The first word about it, as long as it is unsettled."""
        return next((action for action in self.episode.actions if action.post is Post.OPEN), None)

    def close(self, message: str, *, notify: bool) -> None:
        """Say the last word. It ends our incident; somebody else's stays open for them to end."""
        kind = ActionKind.UPDATE_INCIDENT if self.guest else ActionKind.RESOLVE_INCIDENT
        components = dict.fromkeys(self.episode.touched, ComponentStatus.OPERATIONAL) if self.guest else {}
        content = Content(
            message=message, incident_status=IncidentStatus.RESOLVED, components=components, notify=notify
        )
        self.add(kind, Post.RESOLVE, content)
        if self.guest:
            theirs = self.episode.remote_id or "that it waits to be posted on"
            self.notice("left_open", f"all clear; the incident {theirs} is somebody else's, and theirs to close")

    def _foreign(self, action: Action, outcome: Outcome) -> None:
        if self.plan.existing is Existing.ATTACH:
            attached = replace(action, kind=ActionKind.UPDATE_INCIDENT, guest=True, remote_id=outcome.foreign)
            self.put(replace(attached, state=ActionState.QUEUED, not_before=self.now, reason=outcome.detail))
            self.set(guest=True)
            self.say(f"attached to the page's incident {outcome.foreign}")
            return
        why = blocked(outcome.foreign)
        held = replace(action, state=ActionState.HELD, blocked_by=outcome.foreign, reason=why)
        self.put(replace(held, not_before=self.now + retry.LOOK))
        if not self.episode.told_blocked:
            self.set(told_blocked=True)
            self.notice("held", f"{action.kind} ({action.id}) is held: {why}", Severity.ERROR)
        self.say(f"{action.kind} ({action.post}) held: {why}")

    def _gone(self, action: Action, outcome: Outcome) -> None:
        ours = replace(action, kind=ActionKind.OPEN_INCIDENT, guest=False, remote_id="", sends=0)
        self.put(replace(ours, state=ActionState.QUEUED, not_before=self.now, reason=outcome.detail))
        self.set(guest=False)
        self.say(f"not attached any more: {outcome.detail}")

    def _note_room(self, outcome: Outcome) -> None:
        if outcome.room is None:
            return
        before = full(self.episode)
        self.set(room=outcome.room)
        if full(self.episode) and not before:
            self.notice(
                "updates_used_up",
                f"incident {self.episode.remote_id} takes only {outcome.room} more updates; nothing is posted on it by "
                "itself any more but its end: post by hand what must be said before",
                Severity.ERROR,
            )

    def _full(self, action: Action, outcome: Outcome) -> None:
        self.cancel(action, f"not said: {outcome.detail}")
        self._note_room(outcome)
        self.say(f"{action.kind} ({action.post}) not said: {outcome.detail}")

    def keep_back(self, rests: bool) -> None:
        """Say whether an opening that waits for somebody else's incident waits for something to fire as well."""
        opening = self.opening
        if opening is not None and opening.blocked_by and opening.rests is not rests:
            self.put(replace(opening, rests=rests))

    @property
    def rests_until(self) -> datetime:
        """See ``Working``."""
        return max(self.now, self.episode.rests_until or self.now)

    def withdraw(self, action: Action, reason: str) -> None:
        """Cancel an action that nothing takes the place of; what is decided next waits as long as it had to."""
        self.cancel(action, reason)
        if not action.braked:
            self.set(rests_until=max(self.rests_until, action.not_before))

    def waits(self, kind: ActionKind, post: Post) -> bool:  # noqa: ARG002
        """See ``Working``."""
        return post in self.approval.posts

    def join(self, items: Iterable[Item], counts: Callable[[Event], bool] = lambda event: True) -> bool:
        """
        Take the statements into the members; say whether any of them fires here that did not before.

        Args:
            counts: Whether an event that fires does anything to the page.
        """
        members: dict[SignalId, Member] = dict(self.episode.members)
        began = False
        self.set(unheard=False)
        for item in items:
            member = members.get(item.signal.id)
            was_firing = member is not None and member.firing and counts(member.signal.event)
            taken = membership.taken(member, item, self.now)
            if taken is None:
                continue
            members[item.signal.id] = taken
            began = began or (taken.firing and counts(taken.signal.event) and not was_firing)
        if members != self.episode.members:
            self.set(members=members)
        return began

    @property
    def rule(self) -> Rule:
        """The rule; asked only where there is one."""
        assert self.context.rule is not None
        return self.context.rule

    @property
    def plan(self) -> IncidentPlan | RelayPlan:
        """The rule's plan; asked only where there is one."""
        assert not isinstance(self.rule.plan, EventWindowPlan)
        return self.rule.plan

    def said(self, action: Action, outcome: Outcome) -> None:
        """See ``Working``."""
        content, episode = action.content, self.episode
        if action.kind is ActionKind.BACKFILL_INCIDENT:
            self.set(remote_id=outcome.remote_id, posted_at=outcome.at)
            return
        self.set(
            known=_known_after(episode.known, content),
            touched=episode.touched | frozenset(content.components),
            remote_id=outcome.remote_id or episode.remote_id,
            posted_at=outcome.at,
            mailed=content.notify if action.post is Post.OPEN else episode.mailed,
            guest=action.guest if action.post is Post.OPEN else episode.guest,
            told_blocked=episode.told_blocked and action.post is not Post.OPEN,
            keepalives=episode.keepalives + 1 if action.post is Post.KEEPALIVE else 0,
        )
        self._note_room(outcome)

    @property
    def public(self) -> bool:
        """Whether the page has, or may have, an incident of it."""
        tried = any(action.kind.creates and action.sends for action in self.episode.actions)
        return bool(self.episode.remote_id) or self.in_flight or tried

    @property
    def silenced(self) -> bool:
        """Whether it is public, and `publish` has become `shadow`: then nothing more may be written to the page."""
        return self.publish is PublishMode.SHADOW and not self.episode.shadow and self.public

    @property
    def speaks(self) -> bool:
        """Whether anything but its end may be posted now."""
        return not (self.episode.hands_off or self.episode.unheard or self.silenced or full(self.episode))

    def shadow(self, action: Action) -> None:
        """See ``Working``. On a public incident nothing is taken for said that the page does not have."""
        if self.silenced:
            self.put(replace(action, state=ActionState.SHADOWED, reason="publish: shadow"))
            return
        self.set(shadow=True)
        super().shadow(replace(action, guest=False))

    def follow_publish(self) -> None:
        """Where `publish` has become `shadow`, send nothing of what waits, and tell once what stays on the page."""
        if self.publish is not PublishMode.SHADOW or self.episode.shadow:
            self.set(told_open=False)
            return
        for action in self.episode.actions:
            may_be_there = action.kind.creates and action.sends
            if action.state not in (ActionState.SENDING, ActionState.UNKNOWN) and not may_be_there:
                self.shadow(action)
        known = self.episode.known
        over = known is not None and known.incident_status is IncidentStatus.RESOLVED
        if self.silenced and not over and not self.episode.told_open:
            self.set(told_open=True)
            what = f"incident {self.episode.remote_id}" if self.episode.remote_id else "what may be there of it"
            self.notice(
                "stays_open",
                f"`publish` is `shadow` now: {what} stays on page `{self.episode.page}` as it is; close it by hand",
                Severity.ERROR,
            )

    def see(self, seen: Observed) -> None:
        """Take into account what the page shows; no verdict about people while something of ours may be on its way."""
        episode = self.episode
        if episode.hands_off or self.in_flight or not episode.remote_id:
            return
        why = seen.takeover(episode.known_name, guest=episode.guest)
        if why:
            over = seen.shown is None or seen.shown.status == IncidentStatus.RESOLVED
            if over and episode.known is not None:
                self.set(known=replace(episode.known, incident_status=IncidentStatus.RESOLVED))
            self.hand_over(why)
        elif seen.shown is not None and not episode.known_name:
            self.set(known_name=seen.shown.name)

    def match(self, seen: Matched) -> None:
        """Go on from what the page shows: this ledger may be older."""
        episode, shown = self.episode, seen.shown
        if not episode.remote_id or episode.hands_off:
            return
        if shown is None:
            self.see(Observed(shown=None))
            return
        ahead = self.catch_up(seen)
        self.set(
            unheard=ahead or episode.unheard,
            accepted=episode.accepted | {post.id for post in shown.updates},
            known_name=shown.name,
        )
        if episode.known is None or episode.guest:
            return
        over = shown.status == IncidentStatus.RESOLVED
        status = IncidentStatus(shown.status) if shown.status in list(IncidentStatus) else episode.known.incident_status
        said = {name: seen.components[name] for name in self._speaks_of() & seen.components.keys()}
        components = {**episode.known.components, **said}
        if over:
            components = dict.fromkeys(components, ComponentStatus.OPERATIONAL)
        self.set(known=PageState(incident_status=status, components=components), touched=episode.touched | said.keys())
        posted = [post.published_at for post in shown.updates if post.published_at is not None]
        self.set(posted_at=max([*posted, *([episode.posted_at] if episode.posted_at else [])], default=None))
        if over or ahead:
            why = f"{MATCHED}: the page says {'that it is over' if over else 'more by now'}"
            for action in [each for each in self.episode.actions if over or each.replaceable]:
                self.cancel(action, why)
        if over and episode.phase.live:
            self.say("resolved: the page says so")
            self.set(phase=Phase.RESOLVED, ended_at=max(posted, default=self.now))

    def _speaks_of(self) -> frozenset[str]:
        """Give the components that its incident may be about."""
        impact = self.plan.impact.by_name if self.context.rule is not None else {}
        return self.episode.touched | impact.keys()

    @property
    def approval(self) -> ApproveConfig:
        """See ``Working``."""
        if self.context.rule is None:
            return ApproveConfig()
        return self.context.approve or self.plan.approve

    def give_up(self, why: str) -> None:
        """See ``Working``."""
        self.say(f"dismissed: {why}")
        self.set(phase=Phase.DISMISSED, ended_at=self.now)

    def take_back(self, shown: RemoteIncident) -> None:
        """See ``Working``; what ended meanwhile, and was left to the person, is looked at once more."""
        episode, status = self.episode, IncidentStatus(shown.status)
        if episode.known is not None:
            self.set(known=replace(episode.known, incident_status=status))
        if episode.phase.live or any(action.post is Post.RESOLVE for action in episode.actions):
            return
        relayed = self.context.rule is None or isinstance(self.plan, RelayPlan)
        if status is IncidentStatus.RESOLVED or relayed or episode.clearing_since is None:
            raise CommandRefused(f"{episode.id} is {episode.phase}: what the page still shows of it, end there")
        self.set(phase=Phase.CLEARING, ended_at=None)

    def leave_the_end(self, why: str) -> None:
        """Tell that the person who has taken over must resolve it; nothing where the page says so already."""
        known = self.episode.known
        if known is None or known.incident_status is not IncidentStatus.RESOLVED:
            text = f"{why}, but a person has taken over on the page: resolve it there"
            self.notice("resolve_by_hand", text, Severity.ERROR)

    def verdict(self) -> Verdict:
        """Give what was decided."""
        return Verdict(
            episode=self.episode,
            changed=self.changed,
            actions=self.actions,
            notices=tuple(self.notices),
            log=tuple(self.log),
            fault=self.fault,
        )


def full(episode: Episode) -> bool:
    """Whether the page's incident has nearly all updates that it may have: only its end is said then."""
    return episode.room is not None and episode.room <= KEPT_UPDATES


def _known_after(known: PageState | None, content: Content) -> PageState:
    """Say what the page shows once it has a post."""
    before = known or PageState(incident_status=IncidentStatus.INVESTIGATING, components={})
    status = content.incident_status or before.incident_status
    components = {**before.components, **content.components}
    if status is IncidentStatus.RESOLVED:
        components = dict.fromkeys(before.components, ComponentStatus.OPERATIONAL)
    if status is not IncidentStatus.MONITORING:
        return PageState(incident_status=status, components=components)
    calm_already = before.incident_status is IncidentStatus.MONITORING
    return PageState(
        incident_status=status, components=components, before=before.before if calm_already else before.components
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
    episode = draft.episode
    base = occurrence_key(episode.page, draft.rule.identity, episode.group, leading)
    again = episode.previous_end is not None and leading.since <= episode.previous_end
    return digest(base, episode.number, episode.next_seq) if again else base


def occurrence_key(page: str, identity: str, group: Mapping[str, str], leading: Signal) -> str:
    """Name what a rule (by its *identity*) makes on a page of one occurrence of a signal."""
    started = leading.event.started_at
    return digest(
        "v1",
        page,
        identity,
        dict(group),
        leading.id,
        started.isoformat() if started else "",
        leading.last_resolve.isoformat() if leading.last_resolve else "",
    )
