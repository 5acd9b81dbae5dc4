"""
One episode or window as a story: what came in, what was decided, what was tried and what the page got, in order of
time and side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.ports import Story

COLUMNS = ("in", "decided", "done", "page")
"""From left to right."""
TOGETHER = timedelta(seconds=2)
"""What happens within so long of one another is told side by side."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """
    Something that happened.

    Args:
        kind: "event", "decision", "action", "attempt" or "post": what *about* is.
    """

    at: datetime
    column: str
    kind: str
    about: object


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened at about the same time, by column."""

    at: datetime
    columns: Mapping[str, Sequence[Chapter]]


_ORDER = {kind: place for place, kind in enumerate(("event", "decision", "action", "attempt", "post"))}


def moments(story: Story) -> Sequence[Moment]:
    """Tell a story in order of time, what belongs together side by side."""
    found: list[list[Chapter]] = []
    for chapter in sorted(_told(story), key=lambda chapter: (chapter.at, _ORDER[chapter.kind])):
        if not found or chapter.at - found[-1][0].at > TOGETHER:
            found.append([])
        found[-1].append(chapter)
    return [Moment(each[0].at, {name: [c for c in each if c.column == name] for name in COLUMNS}) for each in found]


def _told(story: Story) -> Iterator[Chapter]:
    for at, heard in story.heard:
        yield Chapter(at, "in", "event", heard)
    for decision in story.decisions:
        yield Chapter(decision.at, "decided", "decision", decision)
    for line in story.actions:
        yield Chapter(line.action.created_at, "done", "action", line)
        if line.said_at is not None:
            yield Chapter(line.said_at, "page", "post", line)
    for attempt in story.attempts:
        yield Chapter(attempt.started_at, "done", "attempt", attempt)
