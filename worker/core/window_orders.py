"""
What people ask of maintenance windows: to start, to end now or later, not to take place.

Pure. What the page is told then is not known here: a window stands elsewhere, and decide says what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC

from worker.core import interventions
from worker.core.commands import CancelWindow, CompleteWindow, ExtendWindow, StartWindow, WindowOrder
from worker.core.interventions import Asked
from worker.core.model import Post, Window, WindowPhase, Word
from worker.core.ruleset import Driver
from worker.core.spec.scalars import LONGEST
from worker.core.window_drafts import WindowDraft
from worker.errors import CommandRefused

WAITING = (WindowPhase.PLANNED, WindowPhase.SCHEDULED)


def heed(draft: WindowDraft, asked: Asked) -> None:
    """
    Do what a person asks.

    Raises:
        CommandRefused: It makes no sense now.
        NotFound: There is no such action.
    """
    order = asked.order
    if not isinstance(order, StartWindow):
        interventions.heed(draft, asked)
        return
    by_itself = draft.context.plan is not None and draft.plan.driver is Driver.PROVIDER
    if draft.window.automated or by_itself:
        raise CommandRefused(f"the page moves {order.window} by itself: do it there")
    if draft.window.hands_off:
        raise CommandRefused(f"a person moves {order.window} on the page: `adopt` gives it back to the worker")
    _HEED[type(order)](draft, order)


def _start(draft: WindowDraft, order: WindowOrder) -> None:
    window = draft.window
    _expect(window, WAITING)
    _say(draft, Post.START, order)
    if window.known is None:
        draft.set(starts_at=draft.now)  # nobody has been told another time
    draft.set(phase=WindowPhase.IN_PROGRESS, begun_at=draft.now)
    draft.say("in progress, before its time")


def _complete(draft: WindowDraft, order: WindowOrder) -> None:
    window = draft.window
    if window.phase in WAITING:
        raise CommandRefused(f"{window.id} has not begun: `maintenance cancel` calls it off")
    _expect(window, (WindowPhase.IN_PROGRESS,))
    _say(draft, Post.COMPLETE, order)
    draft.set(phase=WindowPhase.COMPLETE, ended_at=draft.now)
    draft.say("complete, before its time")


def _cancel(draft: WindowDraft, order: WindowOrder) -> None:
    window = draft.window
    if window.phase is WindowPhase.IN_PROGRESS:
        raise CommandRefused(f"{window.id} has begun: `maintenance complete` ends it")
    _expect(window, WAITING)
    _say(draft, Post.CANCEL, order)
    draft.give_up("it does not take place")


def _extend(draft: WindowDraft, order: WindowOrder) -> None:
    assert isinstance(order, ExtendWindow)
    window, ends_at = draft.window, order.ends_at.astimezone(UTC)
    _expect(window, (*WAITING, WindowPhase.IN_PROGRESS))
    if ends_at <= max(window.ends_at, draft.now):
        raise CommandRefused(f"{window.id} ends at {window.ends_at:%Y-%m-%d %H:%M} UTC already: name a later end")
    if ends_at - window.starts_at > LONGEST:
        raise CommandRefused(f"{window.id} would last longer than {LONGEST.days} days")
    _say(draft, Post.EXTEND, order)
    owed = Post.EXTEND if order.text else Post.RESCHEDULE if draft.plan.reschedule else None
    draft.set(ends_at=ends_at, owed=owed, overran=False)
    draft.say(f"extended to {ends_at.isoformat()}")


_HEED: Mapping[type[WindowOrder], Callable[[WindowDraft, WindowOrder], None]] = {
    StartWindow: _start,
    CompleteWindow: _complete,
    CancelWindow: _cancel,
    ExtendWindow: _extend,
}


def _expect(window: Window, phases: tuple[WindowPhase, ...]) -> None:
    if window.phase not in phases:
        since = f" since {window.ended_at:%Y-%m-%d %H:%M} UTC" if window.ended_at else ""
        raise CommandRefused(f"{window.id} is {window.phase.value.replace('_', ' ')} already{since}")


def _say(draft: WindowDraft, post: Post, order: WindowOrder) -> None:
    if order.text or order.notify is not None:
        draft.set(given={**draft.window.given, post.value: Word(text=order.text, notify=order.notify)})
