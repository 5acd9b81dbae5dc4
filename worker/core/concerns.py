"""
What the team is told of: how long it stands, what is late, and what waits for each receiver.

Pure. Steps tell when something begins; here is judged when it is over, and what nobody told because nothing happened:
that is what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

from worker.core.drift import Sweep
from worker.core.footprints import Footprint
from worker.core.model import Action, ActionState, Episode, Notice, Severity, Window, WindowPhase, WindowStatus
from worker.core.phrases import duration

BEHIND = timedelta(minutes=5)
"""A post that nothing holds back and that is not on the page so long after it was decided is behind."""

LATE = timedelta(minutes=1)
"""A window that has not moved so long after its time is late."""

LAST_CALL = timedelta(minutes=2)
"""So long before its end, or for the last quarter of it, the wait for an approval is told once more."""

MOST_WAITING = 200
"""Notices that wait for one receiver; the oldest beyond are dropped, and their number is told."""

_WAITS = (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL)
_UNDER_WAY = (ActionState.QUEUED, ActionState.SENDING, ActionState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that was told and is not over."""

    code: str
    subject: str
    severity: Severity
    text: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    Everything that was told and is not over.

    Args:
        open: ``key`` to concern.
        version: How often it was committed; 0: never.
    """

    open: Mapping[str, Concern] = field(default_factory=dict)
    version: int = 0

    @property
    def name(self) -> str:
        """What it is found by."""
        return "standing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """
    What waits for one receiver.

    Args:
        receiver: A digest of its address.
        waiting: Numbers of notices, in order.
        dropped: How many were dropped because too many wait, and are not told of yet.
        tries: How often in a row it did not take what it was told.
        not_before: The earliest next try; None: now.
        failing_since: Since when it takes nothing; None: it does.
        version: How often it was committed; 0: never.
    """

    receiver: str
    waiting: tuple[int, ...] = ()
    dropped: int = 0
    tries: int = 0
    not_before: datetime | None = None
    failing_since: datetime | None = None
    version: int = 0

    @property
    def name(self) -> str:
        """What it is found by."""
        return mailbox_name(self.receiver)

    def with_more(self, numbers: Sequence[int]) -> Mailbox:
        """Put notices into it."""
        waiting = (*self.waiting, *numbers)
        over = max(0, len(waiting) - MOST_WAITING)
        return replace(self, waiting=waiting[over:], dropped=self.dropped + over)


def mailbox_name(receiver: str) -> str:
    """Name the mailbox of a receiver."""
    return f"mailbox/{receiver}"


def key(code: str, subject: str) -> str:
    """Name a concern."""
    return f"{code} {subject}"


_ENDS: Mapping[str, Sequence[str]] = {
    "rules_changed": ("rules_refused",),
    "page_right": ("page_wrong",),
    "page_answers": ("page_denies", "page_fails"),
    "canary_back": ("canary_gone",),
    "resumed": ("paused",),
}
"""Notices that tell by themselves that others are over."""


def ends(notice: Notice) -> bool:
    """Say whether a notice tells that something is over."""
    return notice.over or notice.code in _ENDS


_OF_ACTIONS = frozenset({"held", "parked", "approval_waits", "braked", "approval_expires"})
_OF_SUBJECTS = frozenset({"max_open", "evaluation_failed", "page_behind", "window_late"})
_STANDS = frozenset({*chain(*_ENDS.values()), *_OF_ACTIONS, *_OF_SUBJECTS, "drift"})


def heard(standing: Standing, notice: Notice, at: datetime) -> tuple[Standing, Notice]:
    """
    Take a notice in; give it back as it is to be told: what ends something is as loud as that was.

    Args:
        at: When it was made.
    """
    ended = {key(code, notice.subject) for code in _ENDS.get(notice.code, ())} & standing.open.keys()
    if ended:
        left = {name: each for name, each in standing.open.items() if name not in ended}
        loudest = max(notice.severity, *(standing.open[name].severity for name in ended))
        return replace(standing, open=left), replace(notice, over=True, severity=loudest)
    if notice.code not in _STANDS or notice.over:
        return standing, notice
    concern = Concern(code=notice.code, subject=notice.subject, severity=notice.severity, text=notice.text, since=at)
    return replace(standing, open={**standing.open, key(notice.code, notice.subject): concern}), notice


def judged(
    standing: Standing,
    footprints: Iterable[Footprint],
    sweeps: Iterable[Sweep],
    now: datetime,
    paused: frozenset[str] = frozenset(),
    mended: frozenset[str] = frozenset(),
) -> tuple[Standing, Sequence[Notice]]:
    """
    Judge what is over by now, and what is late.

    Args:
        footprints: Of all that is live or has unsettled actions, on every page.
        sweeps: Of every page.
        paused: Pages on which nothing can be expected.
        mended: ``key`` of what is known to be over, although nobody said so.

    Returns:
        What stands from now on, and what is to be told of that: of each thing its beginning, once, and its end.
    """
    subjects = {each.subject.id: each.subject for each in footprints}
    drifts = {each.subject or each.remote_id for sweep in sweeps for each in sweep.found}
    late = {
        key(notice.code, notice.subject): notice
        for subject in subjects.values()
        if subject.page not in paused
        for notice in _late(subject, now)
    }
    over = {name for name, each in standing.open.items() if _over(each, subjects, drifts, name in late)}
    over |= mended & standing.open.keys()
    new = {name: notice for name, notice in late.items() if name not in standing.open}
    told = [_ended(standing.open[name], now) for name in sorted(over)] + [new[name] for name in sorted(new)]
    left = {name: each for name, each in standing.open.items() if name not in over}
    begun = {
        name: Concern(code=n.code, subject=n.subject, severity=n.severity, text=n.text, since=now)
        for name, n in new.items()
    }
    return (replace(standing, open={**left, **begun}) if over or new else standing), told


def _over(concern: Concern, subjects: Mapping[str, Episode | Window], drifts: set[str], late: bool) -> bool:
    if concern.code == "drift":
        return concern.subject not in drifts
    if concern.code not in _OF_ACTIONS | _OF_SUBJECTS:
        return False
    subject = subjects.get(concern.subject)
    if subject is None:
        return True
    actions = subject.actions
    return {
        "approval_waits": lambda: not any(each.state is ActionState.AWAITING_APPROVAL for each in actions),
        "braked": lambda: not any(each.state is ActionState.AWAITING_APPROVAL for each in actions),
        "approval_expires": lambda: not late,
        "held": lambda: not any(each.state is ActionState.HELD for each in actions),
        "parked": lambda: not any(each.state is ActionState.PARKED for each in actions),
        "max_open": lambda: not subject.phase.live,
        "evaluation_failed": lambda: not subject.fault,
        "page_behind": lambda: not late,
        "window_late": lambda: not late,
    }[concern.code]()


def _ended(concern: Concern, now: datetime) -> Notice:
    text = f"over after {duration(now - concern.since)}: {concern.text.partition('. ')[0]}"
    return Notice(code=concern.code, subject=concern.subject, text=text, severity=concern.severity, over=True)


def _late(subject: Episode | Window, now: datetime) -> Iterable[Notice]:
    """What is wrong with it because nothing has happened."""
    expiring = [each for each in subject.actions if _expires(each, now)]
    if expiring and (until := expiring[0].deadline) is not None:
        text = f"{expiring[0].id} still awaits approval, and only until {until:%H:%M:%S} UTC"
        yield Notice(code="approval_expires", subject=subject.id, text=text, severity=Severity.ERROR)
    if subject.actions and _behind(first := subject.actions[0], now):
        text = f"{first.kind} ({first.id}) is not on page `{first.page}`, decided at {first.created_at:%H:%M:%S} UTC"
        text += f": {first.reason}" if first.reason else ""
        yield Notice(code="page_behind", subject=subject.id, text=text, severity=Severity.ERROR)
    if isinstance(subject, Window) and (due := _due(subject)) is not None and due + LATE <= now:
        text = f"the page does not say so, but it was to move at {due:%H:%M:%S} UTC"
        yield Notice(code="window_late", subject=subject.id, text=text, severity=Severity.ERROR)


def _expires(action: Action, now: datetime) -> bool:
    if action.state is not ActionState.AWAITING_APPROVAL or action.deadline is None:
        return False
    wait = action.deadline - action.created_at
    return action.deadline - now <= min(max(LAST_CALL, wait / 4), wait / 2)


def _behind(action: Action, now: datetime) -> bool:
    under_way = action.state in _UNDER_WAY and not action.braked and not action.kind.of_window
    just_approved = bool(action.approved_by) and not action.tries
    return under_way and not just_approved and action.created_at + BEHIND <= now


def _due(window: Window) -> datetime | None:
    """When the page was to say something else of a window that is ours to move; None: it says what it should."""
    if window.hands_off or window.automated or any(each.state in _WAITS for each in window.actions):
        return None
    if window.known is WindowStatus.IN_PROGRESS:
        return window.ended_at or window.ends_at
    if window.known is WindowStatus.SCHEDULED and window.phase is not WindowPhase.SKIPPED and not window.missed_start:
        return window.begun_at or window.starts_at
    return None
