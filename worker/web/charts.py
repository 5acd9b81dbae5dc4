"""
Where the marks of a chart lie: numbers for the templates, which draw them.

All lengths are in the units of the drawing, whose width is ``WIDTH``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.ports import Span
from worker.telling.data import WindowData

WIDTH = 720
LEFT = 44
"""Room for the words of the upright axis."""
TALL = 90
_PLOT = WIDTH - LEFT


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, from the top left; ``said``: what it means, in words."""

    x: float
    y: float
    width: float
    height: float
    said: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word at a place of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Bars over time; ``top``: what the highest could be."""

    bars: Sequence[Bar]
    top: int
    total: int
    days: Sequence[Label]


def columns(spans: Sequence[Span], counts: Sequence[int], noun: str) -> Columns:
    """Draw one count of each stretch as a bar; *noun*: what is counted."""
    top = _round(max(counts, default=0))
    step = _PLOT / max(1, len(spans))
    bars = [
        Bar(
            x=round(LEFT + n * step, 1),
            y=round(TALL - TALL * count / top, 1),
            width=round(max(1.0, step - 1), 1),
            height=round(TALL * count / top, 1),
            said=f"{span.at:%d %b %H:%M}: {count} {noun}",
        )
        for n, (span, count) in enumerate(zip(spans, counts, strict=True))
        if count
    ]
    return Columns(bars, top, sum(counts), _ticks(spans))


@dataclass(frozen=True, slots=True)
class Dot:
    """One post, from when it went out and how long that took."""

    x: float
    y: float
    late: bool
    said: str


@dataclass(frozen=True, slots=True)
class Dots:
    """Posts over time, upwards by powers of ten."""

    dots: Sequence[Dot]
    levels: Sequence[Label]
    days: Sequence[Label]


_LEVELS = (("0.1 s", 0.1), ("1 s", 1.0), ("10 s", 10.0), ("1 min", 60.0), ("10 min", 600.0), ("1 h", 3600.0))
LATE_S = 60.0
"""A post that took longer is drawn as late."""


def dots(spans: Sequence[Span]) -> Dots:
    """Draw how long each post took from the decision to the page."""
    step = _PLOT / max(1, len(spans))
    found = [
        Dot(
            x=round(LEFT + (n + 0.5) * step, 1),
            y=_height(lag),
            late=lag > LATE_S,
            said=f"{span.at:%d %b %H:%M}: {lag:.1f} s",
        )
        for n, span in enumerate(spans)
        for lag in span.lags
    ]
    return Dots(found, [Label(_height(at), text) for text, at in _LEVELS], _ticks(spans))


def _height(lag: float) -> float:
    low, high = math.log10(0.05), math.log10(7200)
    place = (math.log10(min(max(lag, 0.05), 7200)) - low) / (high - low)
    return round(TALL - TALL * place, 1)


def _ticks(spans: Sequence[Span]) -> list[Label]:
    """Name some moments below: midnights, or hours where all is within a day or two."""
    if not spans:
        return []
    step = _PLOT / len(spans)
    length = spans[-1].at - spans[0].at
    hours = length <= timedelta(days=2)
    every = 6 if hours else 24 * max(1, math.ceil(length.days / 8))
    first = spans[0].at.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for n, span in enumerate(spans):
        since = span.at - first
        if since % timedelta(hours=every) == timedelta():
            found.append(Label(round(LEFT + n * step, 1), f"{span.at:%H:%M}" if hours else f"{span.at:%d %b}"))
    return found


def _round(count: int) -> int:
    """Give the next round number."""
    if count <= 5:
        return max(1, count)
    power: int = 10 ** (len(str(count)) - 1)
    return next(power * n // 2 for n in range(2, 21) if power * n // 2 >= count)


@dataclass(frozen=True, slots=True)
class Lane:
    """One window on the timeline."""

    window: WindowData
    bar: Bar
    y: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Windows over the days around now."""

    lanes: Sequence[Lane]
    now: float
    days: Sequence[Label]
    height: float


LANE = 26
ROOM = 48
"""What a word below the timeline needs."""
BEFORE = timedelta(hours=12)
AHEAD = timedelta(days=8)


def timeline(windows: Sequence[WindowData], now: datetime) -> Timeline:
    """Draw the windows that touch the coming days, each in a lane of its own."""
    start, end = now - BEFORE, now + AHEAD
    shown = [w for w in windows if w.phase not in ("cancelled", "skipped") and w.starts_at < end and w.ends_at > start]

    def x(at: datetime) -> float:
        return round(WIDTH * (min(max(at, start), end) - start) / (end - start), 1)

    lanes = []
    for n, window in enumerate(shown):
        begin, over = window.begun_at or window.starts_at, window.ended_at or window.ends_at
        said = f"{window.title or window.id}: {begin:%d %b %H:%M} to {over:%d %b %H:%M} UTC, {window.phase}"
        bar = Bar(x(begin), n * LANE + 4, round(max(4.0, x(over) - x(begin)), 1), LANE - 8, said)
        lanes.append(Lane(window, bar, n * LANE))
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight + timedelta(days=n) for n in range(1, 10)]
    marks = [Label(x(day), f"{day:%a %d}") for day in days if start < day < end]
    marks = [mark for mark in marks if mark.at < WIDTH - ROOM and not -ROOM < mark.at - x(now) < ROOM]
    return Timeline(lanes, x(now), marks, len(lanes) * LANE)
