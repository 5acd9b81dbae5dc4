"""
What a maintenance window does next.

``decide`` is pure and level-triggered, as that of episodes: it takes one stimulus into account and then asks, whatever
the stimulus was, where the window should stand at this time, what the page should say of it, and when to look again.
Late is therefore a time like any other: what was passed over while nobody was there is said once, as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from worker.core import event_windows, page_windows, window_edits, window_orders
from worker.core.footprints import Matched, Observed
from worker.core.interventions import Asked
from worker.core.markdown import cut
from worker.core.matching import fits
from worker.core.membership import Heard, joined
from worker.core.model import (
    ActionKind,
    ActionState,
    ComponentStatus,
    Content,
    Event,
    Origin,
    Outcome,
    Post,
    Severity,
    Window,
    WindowPhase,
    WindowStatus,
    digest,
)
from worker.core.phrases import duration
from worker.core.ruleset import Driver, Missed, Said, WindowPlan
from worker.core.window_drafts import (
    NOT_THERE,
    WAITING,
    Disowned,
    Planned,
    Stimulus,
    WindowContext,
    WindowDraft,
    WindowVerdict,
)
from worker.errors import EvaluationFailed

MISSED_AFTER = timedelta(minutes=1)
"""A start that is noticed so much later was missed: nobody was there."""

LONGEST_NAME = 80
"""Characters of a signal's title that a notice repeats."""

LOOK_AGAIN = timedelta(minutes=1)
"""How often it is asked whether the work is done at last."""

ENDED = "The maintenance has ended."
"""Said where nothing is known of the text that was meant for it."""

CANCELLED = "This maintenance will not take place."


def decide(window: Window, stimulus: Stimulus, context: WindowContext, now: datetime) -> WindowVerdict:
    """
    Decide what follows for one window.

    Args:
        stimulus: What happened.
        context: What else is known.
        now: Aware, UTC.

    Raises:
        CommandRefused: What a person asks makes no sense now.
    """
    draft = WindowDraft(window, context, now)
    if isinstance(stimulus, Outcome):
        draft.cause = f"outcome of {stimulus.action_id}"
        draft.settle(stimulus)
    elif isinstance(stimulus, Asked):
        draft.cause = stimulus.cause
        window_orders.heed(draft, stimulus)
    elif isinstance(stimulus, Planned):
        draft.cause = "the rules"
        _follow(draft, stimulus)
    elif isinstance(stimulus, Heard):
        draft.cause = stimulus.cause
        draft.set(members=joined(window.members, stimulus.items, now))
    elif isinstance(stimulus, Observed):
        draft.cause = "the page"
        page_windows.see(draft, stimulus)
    elif isinstance(stimulus, Matched):
        draft.cause = "the page"
        page_windows.match(draft, stimulus)
    elif isinstance(stimulus, Disowned):
        draft.cause = "the page"
        page_windows.disown(draft)
    else:
        draft.cause = stimulus.cause
    draft.attempt(lambda: _reconcile(draft))
    return draft.verdict()


def muted(windows: Iterable[Window], page: str) -> Mapping[str, datetime]:
    """Give the components of a page that *windows* mute, and until when; what the page never had mutes nothing."""
    until: dict[str, datetime] = {}
    for window in windows:
        for name in window.components if window.page == page and not window.unpublished else ():
            until[name] = max(window.muted_until, until.get(name, window.muted_until))
    return until


def unmutes(before: Window, after: Window) -> bool:
    """Whether what *before* kept back is to be looked at again."""
    if before.phase is not WindowPhase.IN_PROGRESS:
        return False
    if after.phase is not WindowPhase.IN_PROGRESS or after.muted_until != before.muted_until:
        return True
    return after.unpublished is not before.unpublished or not set(before.components) <= set(after.components)


def mutes(window: Window, now: datetime) -> bool:
    """Whether signals on its components are kept back, or were until a moment ago."""
    if window.phase is WindowPhase.IN_PROGRESS:
        return not window.unpublished
    return window.phase is WindowPhase.COMPLETE and window.muted_until > now


def _reconcile(draft: WindowDraft) -> None:
    if draft.window.origin is Origin.PAGE:
        page_windows.reconcile(draft)
    elif draft.context.gone and draft.window.phase in WAITING:
        draft.set(withdrawn=draft.window.origin is Origin.ENTRY)
        _call_off(draft, f"its {draft.window.origin} is gone")
    elif draft.window.origin is Origin.RULE:
        _heed_signals(draft)
    _move(draft)
    if draft.window.hands_off or draft.in_flight:
        pass  # a person speaks; or what the page has is not known, and the outcome will ask again
    elif not any(action.kind.creates and not action.replaceable for action in draft.window.actions):
        _TELL[draft.window.phase](draft)
    draft.set(unpublished=_unpublished(draft))
    draft.wake(_next(draft))


def _unpublished(draft: WindowDraft) -> bool:
    """Whether what has begun is not on the page, nor on its way there."""
    window = draft.window
    waits = window.phase is WindowPhase.IN_PROGRESS and window.known is None
    return waits and not any(action.kind.creates and action.workable for action in window.actions)


# -- when it is to be


def _follow(draft: WindowDraft, planned: Planned) -> None:
    """Take over what the entry says; what was called off because that was gone is planned again."""
    window = draft.window
    draft.set(occurrence=planned.occurrence)
    if window.withdrawn and window.known in (None, WindowStatus.COMPLETE) and not draft.in_flight:
        draft.say("planned again")
        draft.set(phase=WindowPhase.PLANNED, ended_at=None, withdrawn=False)
        draft.set(**NOT_THERE, hands_off=False)
    window_edits.take_up(draft)
    _ask(draft, planned.starts_at, planned.ends_at)


def _heed_signals(draft: WindowDraft) -> None:
    """A window of a rule is wanted as long as any of its signals fires, and at the times that these say."""
    window = draft.window
    if not window.phase.live:
        return
    if draft.context.plan is not None and not draft.context.gone:
        window_edits.take_up(draft)
    firing = [member for member in window.members.values() if member.firing]
    if firing:
        if draft.context.plan is not None:
            _ask(draft, *event_windows.times(draft.context.plan, firing, window))
    elif window.phase in WAITING:
        draft.set(asked=())
        _call_off(draft, "all its signals are over before it began")
    elif window.asked:
        draft.say("all its signals are over")
        draft.set(asked=(), starts_at=min(window.starts_at, draft.now), ends_at=draft.now)


def _ask(draft: WindowDraft, starts_at: datetime, ends_at: datetime) -> None:
    """Take over what it is asked for, where that is news; what has begun keeps its start."""
    window = draft.window
    if window.asked == (starts_at, ends_at) or not window.phase.live:
        return
    begun = window.phase is WindowPhase.IN_PROGRESS
    draft.set(asked=(starts_at, ends_at))
    wanted = (window.starts_at, max(ends_at, draft.now)) if begun else (starts_at, ends_at)
    if wanted == (window.starts_at, window.ends_at):
        return
    draft.set(starts_at=wanted[0], ends_at=wanted[1], extended=0, overran=False)
    draft.say(f"moved to {wanted[0].isoformat()} – {wanted[1].isoformat()}")
    draft.set(owed=Post.RESCHEDULE if draft.plan.reschedule else None)
    if not begun:
        draft.set(reminded=draft.reminders_due())


def _call_off(draft: WindowDraft, why: str) -> None:
    draft.say(f"cancelled: {why}")
    draft.set(phase=WindowPhase.CANCELLED, ended_at=draft.now)


# -- where it stands


def _move(draft: WindowDraft) -> None:
    window, now = draft.window, draft.now
    if not window.phase.live:
        return
    if window.phase is WindowPhase.PLANNED and window.members and window.ends_at <= window.created_at:
        draft.to(WindowPhase.SKIPPED, ended_at=now)
        draft.say(f"over since {window.ends_at.isoformat()}, before it was heard of: nothing is said")
        draft.notice(
            "window_past",
            f"it was to be {window.starts_at.isoformat()} – {window.ends_at.isoformat()}, and was heard of after that: "
            "nothing is said of it; look whether the times of its signals are right",
        )
        return
    if now >= window.ends_at and not _goes_on(draft):
        _tell_missed(draft)
        draft.to(WindowPhase.COMPLETE, ended_at=now if window.overran else window.ends_at)
        if _left_to_people(window) and window.known not in (None, WindowStatus.COMPLETE):
            draft.notice("complete_by_hand", "over, but not ours to move on the page any more: look there")
    elif window.phase is WindowPhase.IN_PROGRESS:
        return
    elif now >= window.starts_at:
        if window.hands_off and not window.automated:
            return  # whoever moves it begins it when they like, and the page will show it
        skips = draft.context.plan is not None and draft.plan.missed is Missed.SKIP
        missed = skips and now - _start_due(window) > MISSED_AFTER
        draft.to(WindowPhase.IN_PROGRESS, missed_start=missed)
        _tell_late(draft)
    elif window.phase is WindowPhase.PLANNED and now >= _announced_at(draft):
        draft.to(WindowPhase.SCHEDULED)


def _tell_late(draft: WindowDraft) -> None:
    """Tell the team of a start that nobody was there for, or that was planned after its time."""
    window, late = draft.window, draft.now - _start_due(draft.window)
    if window.automated or late <= MISSED_AFTER:
        return
    due = f"it was to begin at {_start_due(window):%Y-%m-%d %H:%M:%S} UTC"
    if window.missed_start:
        draft.notice("window_missed", f"{due}, and nobody was there: by `missed: skip` the start is not said")
    else:
        draft.notice("window_late", f"{due}, and begins {duration(late)} late: until now nobody was there")


def _tell_missed(draft: WindowDraft) -> None:
    """Tell the team of a window that is over before it was begun."""
    window = draft.window
    if window.phase not in WAITING or window.automated or window.hands_off:
        return
    span = f"{window.starts_at:%Y-%m-%d %H:%M:%S} – {window.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    said = "nothing is said of it" if window.known is None else "the page is told that it is over, and no more"
    draft.notice("window_missed", f"it was to be {span}, and nobody was there: {said}")


def _left_to_people(window: Window) -> bool:
    """Whether a window of ours is to be ended by a person."""
    return window.hands_off and not window.automated and window.origin is not Origin.PAGE


def _goes_on(draft: WindowDraft) -> bool:
    """
    Whether the work takes longer than planned: a while longer, as often as may be said.

    After that the page is left as it is, because it would be false that the work is done; but what keeps it from being
    said is a matter for people.
    """
    window, plan = draft.window, draft.context.plan
    if plan is None or plan.overrun is None or window.hands_off or window.missed_start:
        return False
    if window.phase in WAITING and plan.missed is Missed.SKIP:
        return False
    overrun = plan.overrun
    busy = next((event for event in draft.context.firing if fits(overrun.sources, overrun.matchers, event)), None)
    if busy is None:
        return False
    if window.extended < overrun.times:
        later = window.ends_at + overrun.extend
        later = later if later > draft.now else draft.now + overrun.extend
        draft.set(ends_at=later, extended=window.extended + 1, owed=Post.EXTEND)
        draft.say(f"extended to {later.isoformat()}: {_signal(busy)} fires")
    elif not window.overran:
        draft.set(overran=True)
        draft.say("takes longer than it may be extended")
        draft.notice(
            "overrun",
            f"{_signal(busy)} still fires, and the end was put off {_often(window.extended)} by "
            f"{duration(overrun.extend)}: the page goes on saying that the work is in progress, past the end that it "
            "names, and nothing is muted any more; `statusbridge maintenance extend` or `complete` says what is true",
            Severity.ERROR,
        )
    return True


def _signal(event: Event) -> str:
    """Name a signal so that people know it: its key may be a mere number."""
    called = f"`{event.key}` of `{event.source}`"
    return f"“{cut(event.title, LONGEST_NAME)}” ({called})" if event.title else called


def _often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def _start_due(window: Window) -> datetime:
    """When it should have started: of what was heard of too late, at once."""
    return max(window.starts_at, window.created_at) if window.members else window.starts_at


def _announced_at(draft: WindowDraft) -> datetime:
    announce, starts_at = draft.plan.announce, draft.window.starts_at
    return starts_at - announce.before if announce else starts_at


def _next(draft: WindowDraft) -> datetime | None:
    window = draft.window
    if window.phase is WindowPhase.PLANNED:
        return _announced_at(draft)
    if window.phase is WindowPhase.SCHEDULED and window.hands_off:
        return window.starts_at if window.automated else window.ends_at
    if window.phase is WindowPhase.SCHEDULED:
        ahead = [window.starts_at - each.before for each in _reminders(draft)[window.reminded :]]
        return min([window.starts_at, *ahead])
    if window.phase is WindowPhase.IN_PROGRESS:
        return draft.now + LOOK_AGAIN if window.overran else window.ends_at
    return None


# -- what the page should say


def _announce(draft: WindowDraft) -> None:
    window = draft.window
    due = draft.reminders_due()
    reminds = due > window.reminded and window.known is not None
    # An announcement that is as late as a reminder says it all; what is said is said, also where the clock is set back.
    draft.set(reminded=max(due, window.reminded))
    announce = draft.plan.announce
    if window.known is None and announce is not None:
        _create(draft, Post.ANNOUNCE, announce, WindowStatus.SCHEDULED, _announced_at(draft))
    elif reminds:
        said = _reminders(draft)[due - 1]
        content = draft.says(said, window.starts_at - said.before)
        draft.add(ActionKind.UPDATE_MAINTENANCE, Post.REMIND, content)
    else:
        window_edits.keep(draft)


def _reminders(draft: WindowDraft) -> list[Said]:
    return sorted(draft.plan.reminders, key=lambda said: said.before, reverse=True)


def _start(draft: WindowDraft) -> None:
    window, plan = draft.window, draft.context.plan
    _take_back(draft, (Post.REMIND,), "it has begun")
    if window.missed_start or plan is None:
        return
    if window.known is None:
        _create(draft, Post.START, plan.start, WindowStatus.IN_PROGRESS, _start_due(window))
    elif window.known is WindowStatus.SCHEDULED and plan.driver is Driver.WORKER:
        content = draft.says(
            draft.meant(Post.START, plan.start),
            _start_due(window),
            components=window_edits.statuses(draft),
            window_status=WindowStatus.IN_PROGRESS,
        )
        draft.once(ActionKind.START_MAINTENANCE, Post.START, content)
    else:
        window_edits.keep(draft)


def _create(draft: WindowDraft, post: Post, said: Said, status: WindowStatus, due: datetime) -> None:
    window = draft.window
    content = draft.says(
        draft.meant(post, said),
        due,
        title=draft.plan.title.render(draft.words()),
        components=dict.fromkeys(window.components, ComponentStatus.UNDER_MAINTENANCE),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        window_status=status,
        automate=draft.plan.driver is Driver.PROVIDER,
    )
    # The page has had, and has lost, a window before that was posted on: its key would bring the old one back.
    again = [] if window.posted_at is None else ["again", window.next_seq]
    draft.once(ActionKind.SCHEDULE_MAINTENANCE, post, content, key=digest("window", "v1", _named(window), *again))


def _named(window: Window) -> str:
    return window.key or window.id


def _complete(draft: WindowDraft) -> None:
    plan, window = draft.context.plan, draft.window
    if window.known is None:
        for action in window.actions:
            draft.cancel(action, "over before it was published")
        draft.to(WindowPhase.SKIPPED)
        return
    _take_back(draft, (Post.REMIND, *window_edits.OWN_POSTS), "it is over")
    if plan is None or plan.driver is Driver.WORKER:
        _end(draft, Post.COMPLETE, _last_word(plan, window) if plan else None, ENDED)


def _take_back(draft: WindowDraft, posts: Sequence[Post], why: str) -> None:
    """What waited for the page, and speaks of what is past by now, is not said any more."""
    for action in draft.window.actions:
        if action.post in posts and action.state is ActionState.QUEUED:
            draft.cancel(action, why)


def _last_word(plan: WindowPlan, window: Window) -> Said:
    text = plan.failed if event_windows.failed(window) else plan.complete.text
    return Said(text=text, notify=plan.complete.notify and window.known is WindowStatus.IN_PROGRESS)


def _cancel(draft: WindowDraft) -> None:
    window, plan = draft.window, draft.context.plan
    if window.known is None:
        for action in window.actions:
            draft.cancel(action, "cancelled before it was published")
    elif window.known is not WindowStatus.COMPLETE:
        _end(draft, Post.CANCEL, plan.cancel if plan else None, CANCELLED)
    elif plan is not None and plan.cancel_deletes:
        draft.once(ActionKind.CANCEL_MAINTENANCE, Post.CANCEL, Content())


def _end(draft: WindowDraft, post: Post, said: Said | None, otherwise: str) -> None:
    """Say a last word; where the text for it fails, another: the page must not go on saying what is over."""
    window, waits = draft.window, draft.pending(ActionKind.COMPLETE_MAINTENANCE)
    if window.known is WindowStatus.COMPLETE or (waits is not None and waits.post is post):
        return
    end: dict[str, Any] = {"window_status": WindowStatus.COMPLETE}
    due = window.ended_at or window.ends_at
    said = draft.meant(post, said)
    try:
        content = draft.says(said, due, **end) if said else Content(message=otherwise, **end)
    except EvaluationFailed as failed:
        content = Content(message=otherwise, **end)
        draft.notice("evaluation_failed", f"{draft.called}: `{otherwise}` is said instead of its text: {failed}")
    draft.add(ActionKind.COMPLETE_MAINTENANCE, post, content)


def _nothing(draft: WindowDraft) -> None:
    for action in draft.window.actions:
        if draft.window.phase is WindowPhase.PLANNED and action.replaceable:
            draft.cancel(action, "it was moved, and is not due yet")


_TELL: Mapping[WindowPhase, Callable[[WindowDraft], None]] = {
    WindowPhase.PLANNED: _nothing,
    WindowPhase.SCHEDULED: _announce,
    WindowPhase.IN_PROGRESS: _start,
    WindowPhase.COMPLETE: _complete,
    WindowPhase.CANCELLED: _cancel,
    WindowPhase.SKIPPED: _nothing,
}
