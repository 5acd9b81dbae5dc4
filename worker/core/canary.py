"""
Canaries: a signal that always fires proves that its source can be believed when it says that others are over.

A monitoring that dies looks like a monitoring to which nothing is wrong any more: its alerts expire, and their
"resolved" cannot be told from a true one. Pure; which signal is a canary is not known here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from worker.core.model import Beat, Notice, Severity


def heard(beat: Beat | None, source: str, *, firing: bool, at: datetime, within: timedelta) -> Beat:
    """
    Take a statement about a canary into account.

    Args:
        beat: What is known so far; None: nothing.
        within: How long it may be silent.
    """
    known = beat or Beat(source=source, heard_at=at)
    if not firing:
        return replace(known, heard_at=at, firing=False)
    unbroken = known.firing and at - known.heard_at <= within
    return replace(known, heard_at=at, firing=True, since=known.since if unbroken else at)


def well_since(beat: Beat | None, within: timedelta, now: datetime) -> datetime | None:
    """Give since when a canary has fired without a break; None: it does not, as far as we know."""
    return beat.since if beat is not None and beat.firing and now - beat.heard_at <= within else None


def watched(beat: Beat | None, source: str, within: timedelta, now: datetime) -> tuple[Beat, Notice | None]:
    """
    Look whether a canary is well; the team is told once when it is gone, and once when it is back.

    One that was never heard is waited for, as long as one that was.
    """
    if beat is None:
        return Beat(source=source, heard_at=now), None
    well = well_since(beat, within, now) is not None
    gone = beat.firing is False or now - beat.heard_at > within
    if gone and not beat.told:
        text = "its canary does not fire: until it does, what this source says is resolved is not believed"
        return replace(beat, told=True), Notice(code="canary_gone", subject=source, text=text, severity=Severity.ERROR)
    if well and beat.told:
        text = "its canary fires again: what it says is resolved is believed, from now on"
        return replace(beat, told=False), Notice(code="canary_back", subject=source, text=text, severity=Severity.INFO)
    return beat, None
