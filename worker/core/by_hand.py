"""
Maintenance windows that people ask for: with words of their own, so that no entry of the rules is needed.

Pure. What a window does once it is there is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.commands import ScheduleWindow
from worker.core.compiling import compile_entry
from worker.core.model import Origin, Post, Window, WindowPhase, Word, digest, window_id
from worker.core.spec.scalars import LONGEST, format_duration
from worker.errors import CommandRefused

SHORTEST = timedelta(minutes=1)
LATEST_START = timedelta(minutes=1)
"""How long ago a start may be, so that "now" is now when it arrives."""

_ANNOUNCED = "Maintenance is planned."  # never posted: what the person wrote takes its place


def scheduled(order: ScheduleWindow, number: int, now: datetime) -> tuple[Window, Mapping[str, Mapping[str, Any]]]:
    """
    Make the window that a person asks for, and the entry that it follows.

    Args:
        number: Tells windows apart that are asked for in the same words; from 1.

    Returns:
        The window, planned and without actions; the spec of its entry, under its hash.

    Raises:
        CommandRefused: There cannot be such a window.
        ConfigError: Its title is none.
    """
    starts_at = max(order.starts_at.astimezone(UTC).replace(microsecond=0), now.replace(microsecond=0))
    ends_at = order.ends_at.astimezone(UTC).replace(microsecond=0)
    _check(order, starts_at, ends_at, now)
    asked = (order.page, sorted(order.components), order.title, starts_at, ends_at, number)
    ahead = starts_at - now.replace(microsecond=0)
    announced = bool(order.text) and bool(ahead)
    spec: dict[str, Any] = {
        "id": f"by-hand-{digest(*asked)[:8]}",
        "page": [order.page],
        "components": list(order.components),
        "title": order.title,
        "starts": f"{starts_at:%Y-%m-%dT%H:%M:%S}",
        "timezone": "UTC",
        "duration": format_duration(ends_at - starts_at),
    }
    if announced:
        spec["announce"] = {"before": format_duration(ahead), "text": _ANNOUNCED}
    entry = compile_entry(spec)
    occurrence = f"{entry.id}@{starts_at:%Y-%m-%dT%H:%M}"
    window = Window(
        id=window_id(order.page, occurrence),
        plan_id=entry.id,
        page=order.page,
        occurrence=occurrence,
        phase=WindowPhase.PLANNED,
        starts_at=starts_at,
        ends_at=ends_at,
        asked=(starts_at, ends_at),
        components=entry.components,
        plan_hash=entry.hash,
        created_at=now,
        origin=Origin.COMMAND,
        grace=entry.grace,
        given=_texts(order, announced),
    )
    return window, {entry.hash: entry.spec}


def _check(order: ScheduleWindow, starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    if order.starts_at < now - LATEST_START:
        raise CommandRefused(f"it would have started at {order.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC already")
    if ends_at - starts_at < SHORTEST:
        raise CommandRefused("it would last less than a minute: the end must come after the start")
    if ends_at - now > LONGEST:
        raise CommandRefused(f"it would end more than {LONGEST.days} days ahead")
    if "{{" in order.title or "{%" in order.title or "{#" in order.title:
        raise CommandRefused("its title is posted as it is: leave out `{{`, `{%` and `{#`")


def _texts(order: ScheduleWindow, announced: bool) -> dict[str, Word]:
    """What is said first mails, if it is to; a window that starts at once has no announcement."""
    start = order.start_text or ("" if announced else order.text)
    words = {
        Post.ANNOUNCE: Word(text=order.text, notify=order.notify),
        Post.START: Word(text=start, notify=None if announced else order.notify),
        Post.COMPLETE: Word(text=order.complete_text),
    }
    return {post.value: word for post, word in words.items() if word != Word()}
