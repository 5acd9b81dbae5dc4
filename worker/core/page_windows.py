"""
Maintenance windows as the page shows them: those that people made there, times that they edited, and who moves what.

Nothing here says a word on the page. This file may not know when a window is due.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from worker.core.footprints import Matched, Observed, named, normal
from worker.core.matching import fits
from worker.core.model import (
    ActionKind,
    ActionState,
    Directory,
    Event,
    Origin,
    RemoteIncident,
    Status,
    Window,
    WindowPhase,
    WindowStatus,
    window_id,
)
from worker.core.ruleset import Adoption, WindowPlan
from worker.core.window_drafts import WAITING, WindowContext, WindowDraft
from worker.errors import EvaluationFailed

LONG_OVER = timedelta(days=1)
"""A window that should have ended so long ago is left as it is: its people have forgotten it, or gone."""

_ORDER = list(WindowStatus)


# -- windows that people made


def wanted(shown: RemoteIncident, adoption: Adoption) -> bool:
    """Say whether a window that people made is to be moved along."""
    named_so = Event(source="", kind="maintenance", key=shown.id, status=Status.INFO, title=shown.name)
    try:
        return fits((), adoption.title, named_so)
    except EvaluationFailed:
        return False  # what cannot be made out is nobody's but theirs


def adopted(shown: RemoteIncident, page: str, plan: WindowPlan, directory: Directory, now: datetime) -> Window | None:
    """
    Take a window that people made into the ledger; None where there is nothing to move, or not any more.

    One that the page moves by itself only mutes.
    """
    status = status_of(shown)
    if status in (None, WindowStatus.COMPLETE) or shown.starts_at is None or shown.ends_at is None:
        return None
    if shown.ends_at <= now - LONG_OVER:
        return None
    return Window(
        id=window_id(page, f"adopted@{shown.id}"),
        plan_id=plan.id,
        page=page,
        occurrence=shown.id,
        phase=WindowPhase.SCHEDULED if status is WindowStatus.SCHEDULED else WindowPhase.IN_PROGRESS,
        starts_at=shown.starts_at,
        ends_at=shown.ends_at,
        components=tuple(named(shown.component_ids, directory)),
        plan_hash=plan.hash,
        created_at=now,
        origin=Origin.PAGE,
        grace=plan.grace,
        known=status,
        known_times=(shown.starts_at, shown.ends_at),
        remote_id=shown.id,
        known_name=shown.name,
        accepted=frozenset(post.id for post in shown.updates),
        automated=shown.automate,
        hands_off=shown.automate,
    )


def begun_by_us(window: Window, shown: RemoteIncident, context: WindowContext, now: datetime) -> bool:
    """Say whether what is in progress says so in our words: the ledger was lost since."""
    draft = WindowDraft(window, context, now)
    try:
        said = normal(draft.plan.start.text.render(draft.words()))
    except EvaluationFailed:
        return False
    return any(post.status == WindowStatus.IN_PROGRESS and normal(post.message) == said for post in shown.updates)


def name_and_times(window: Window, context: WindowContext, now: datetime) -> tuple[str, datetime, datetime] | None:
    """Say what a window of ours will be called on the page, and when it will be; None where that cannot be told."""
    draft = WindowDraft(window, context, now)
    if context.plan is None:
        return None
    try:
        return normal(draft.plan.title.render(draft.words())), window.starts_at, window.ends_at
    except EvaluationFailed:
        return None


# -- what the page shows of a window


def see(draft: WindowDraft, seen: Observed) -> None:
    """Take into account what the page shows; no verdict while something of ours may be on its way."""
    window, shown = draft.window, seen.shown
    if not window.remote_id or draft.in_flight or window.phase is WindowPhase.CANCELLED:
        return
    if shown is None:
        if seen.current:
            _deleted(draft)
        return
    why = "" if window.hands_off else _takeover(window, seen, shown)
    if why:
        let_go(draft, why)
    if seen.current and _take_times(draft, shown) and window.origin is not Origin.PAGE and not window.hands_off:
        when = f"{draft.window.starts_at.isoformat()} – {draft.window.ends_at.isoformat()}"
        draft.notice("moved_on_page", f"moved on the page to {when}, and so it will be; the rules say something else")
    if draft.window.hands_off or shown.automate:
        _follow(draft, shown)
    draft.set(automated=shown.automate)
    if window.origin is Origin.PAGE or not window.known_name:
        draft.set(known_name=shown.name)


def reconcile(draft: WindowDraft) -> None:
    """Follow what the page's configuration says of an adopted window by now."""
    if draft.context.plan is not None:
        draft.set(plan_hash=draft.plan.hash, grace=draft.plan.grace)
    elif not draft.window.hands_off:
        let_go(draft, "its page adopts nothing any more")


def match(draft: WindowDraft, seen: Matched) -> None:
    """Go on from what the page shows: this ledger may be older."""
    window, shown = draft.window, seen.shown
    if not window.remote_id or window.phase is WindowPhase.CANCELLED:
        return
    if shown is None:
        _deleted(draft)
        return
    draft.catch_up(seen)
    posts = {post.id for post in shown.updates}
    draft.set(accepted=window.accepted | posts, known_name=shown.name, automated=shown.automate)
    _take_times(draft, shown)
    _follow(draft, shown)


def let_go(draft: WindowDraft, why: str) -> None:
    """Leave a window to whoever moves it now; told where it was ours, and nothing of it is left to be done by hand."""
    draft.set(hands_off=True)
    for action in draft.window.actions:
        if action.state is ActionState.QUEUED:
            draft.cancel(action, f"left alone: {why}")
    draft.say(f"hands off: {why}")
    if draft.window.origin is not Origin.PAGE:
        draft.notice("taken_over", f"left alone from now on: {why}")


def disown(draft: WindowDraft) -> None:
    """End an adopted window without a word: another window of ours speaks for it."""
    let_go(draft, "it is one that we made ourselves")
    draft.to(WindowPhase.CANCELLED, ended_at=draft.now)


def _takeover(window: Window, seen: Observed, shown: RemoteIncident) -> str:
    if shown.automate != window.automated:
        return "the page moves it by itself now" if shown.automate else "the page does not move it by itself any more"
    if window.origin is not Origin.PAGE:
        return "" if shown.automate else seen.takeover(window.known_name)
    status = status_of(shown)
    if status is None or window.known is None or status is window.known:
        return ""
    ahead = _ORDER.index(status) > _ORDER.index(window.known)
    return f"somebody has set it to {status}" if ahead or seen.current else ""


def _deleted(draft: WindowDraft) -> None:
    """What is not announced any more mutes nothing either."""
    if not draft.window.hands_off:
        let_go(draft, "it was deleted")
    draft.set(known=WindowStatus.COMPLETE)
    if draft.window.phase.live:
        draft.to(WindowPhase.CANCELLED, ended_at=draft.now)


def _take_times(draft: WindowDraft, shown: RemoteIncident) -> bool:
    """Obey times that a person edited on the page; of what has begun, only the end. Say whether there are any."""
    window, status = draft.window, status_of(shown)
    ours = any(action.kind is ActionKind.RESCHEDULE_MAINTENANCE for action in window.actions)
    if ours or shown.starts_at is None or shown.ends_at is None or not window.known_times:
        return False
    if status not in (WindowStatus.SCHEDULED, WindowStatus.IN_PROGRESS):
        return False
    waits = status is WindowStatus.SCHEDULED
    times = (shown.starts_at if waits else window.known_times[0], shown.ends_at)
    if times == window.known_times:
        return False
    draft.set(known_times=times, starts_at=times[0] if waits else window.starts_at, ends_at=times[1])
    draft.set(extended=0, overran=False, owed=None)
    draft.say(f"moved on the page to {draft.window.starts_at.isoformat()} – {draft.window.ends_at.isoformat()}")
    _back(draft, waits=waits)
    return True


def _back(draft: WindowDraft, *, waits: bool) -> None:
    """What was begun or ended for its old time, and is not on the page, is undone."""
    window, now = draft.window, draft.now
    if waits and now < window.starts_at and window.phase not in WAITING:
        phase = WindowPhase.SCHEDULED
    elif not waits and now < window.ends_at and window.phase is WindowPhase.COMPLETE:
        phase = WindowPhase.IN_PROGRESS
    else:
        phase = window.phase
    if phase is not window.phase:
        draft.to(phase, ended_at=None, missed_start=False)
        for action in window.actions:
            if action.replaceable:
                draft.cancel(action, "it was moved on the page")
    if waits and draft.context.plan is not None:
        draft.set(reminded=draft.reminders_due())


def _follow(draft: WindowDraft, shown: RemoteIncident) -> None:
    """Stand where the page says, for somebody else moves it there."""
    window, status = draft.window, status_of(shown)
    if status is None:
        return
    draft.set(known=status)
    if status is WindowStatus.IN_PROGRESS and window.phase in WAITING:
        draft.to(WindowPhase.IN_PROGRESS)
    elif status is WindowStatus.COMPLETE and window.phase.live:
        said = [post.published_at for post in shown.updates if post.status == status and post.published_at is not None]
        draft.to(WindowPhase.COMPLETE, ended_at=min([*said, draft.now]))


def status_of(shown: RemoteIncident) -> WindowStatus | None:
    """Give the status of a window; None where it is a word that we do not know."""
    return WindowStatus(shown.status) if shown.status in _ORDER else None
