"""
``GET /maintenance.ics``: the maintenance windows, for calendars (RFC 5545). Nothing can be changed through it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from worker.core.model import Window, WindowPhase

if TYPE_CHECKING:
    from icalendar import Event

PATH = "/maintenance.ics"
MEDIA_TYPE = "text/calendar; charset=utf-8"
REFRESH = timedelta(minutes=15)

_STATUS = {
    WindowPhase.PLANNED: "TENTATIVE",  # nobody has been told yet
    WindowPhase.SKIPPED: "TENTATIVE",
    WindowPhase.CANCELLED: "CANCELLED",
}


def feed(windows: Iterable[tuple[Window, str]]) -> bytes:
    """
    Write a calendar.

    A window keeps its UID whatever becomes of it; SEQUENCE grows with every change.

    Args:
        windows: Each with what the public calls it.
    """
    from icalendar import Calendar  # costs a tenth of a second

    calendar = Calendar()
    calendar.add("prodid", "-//statusbridge//maintenance windows//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", "Maintenance windows")
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    for window, title in windows:
        calendar.add_component(_event(window, title))
    return calendar.to_ical()  # type: ignore[no-any-return]


def _event(window: Window, title: str) -> Event:
    from icalendar import Event

    event = Event()
    event.add("uid", f"{window.id}@statusbridge")
    event.add("sequence", window.version)
    event.add("dtstamp", max(filter(None, (window.created_at, window.posted_at, window.ended_at))))
    event.add("dtstart", _start(window))
    event.add("dtend", _end(window))
    event.add("summary", title)
    said = f"{window.phase.value.replace('_', ' ')}; page {window.page}: {', '.join(window.components)}"
    event.add("description", said)
    event.add("status", _STATUS.get(window.phase, "CONFIRMED"))
    event.add("transp", "TRANSPARENT")
    return event


def _start(window: Window) -> datetime:
    return min(window.begun_at or window.starts_at, window.starts_at)


def _end(window: Window) -> datetime:
    """An early end counts; a window that was called off is shown where it was to be."""
    if window.phase is not WindowPhase.COMPLETE or window.ended_at is None:
        return window.ends_at
    return max(window.ended_at, _start(window))
