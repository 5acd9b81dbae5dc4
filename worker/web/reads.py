"""
The reading part of the API: what the dashboard shows, as data. Long lists come in parts.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import FastAPI, Path, Query
from pydantic import AwareDatetime

from worker.core.model import ActionState, Phase, Severity
from worker.errors import ConfigError, NotFound, Problem
from worker.ports import HistoryLine, Span, place_of
from worker.telling.data import (
    ActionData,
    EpisodeData,
    InboundData,
    NoticeData,
    RequestData,
    StatementData,
    StoryData,
    WindowData,
    action_data,
    episode_data,
    inbound_data,
    notice_data,
    request_data,
    story_data,
)
from worker.web.desk import Desk, Overview, RulesNow
from worker.web.problems import PROBLEMS

T = TypeVar("T")
Row = TypeVar("Row")

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
After = Annotated[str, Query(max_length=4000, description="`next` of the answer before, for the part behind it.")]
Page = Annotated[str, Query(max_length=200, description="Only of this page, as the rules call it.")]
Rule = Annotated[str, Query(max_length=200, description="Only of this rule or entry.")]
Since = Annotated[AwareDatetime | None, Query(description="Only since then: ISO 8601, with a zone.")]
LONGEST_LOOK = 90
MOST_SEQ = 2**63 - 1
Seq = Annotated[int, Path(ge=1, le=MOST_SEQ, description="Its number.")]


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Part of a list; ``next``: what to ask for the part behind it, null at the end."""

    items: Sequence[T]
    next: str | None


def add_reads(app: FastAPI, desk: Desk, prefix: str) -> None:
    """Add the routes."""
    problems: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (401, 404, 421, 422, 503)}

    def get(path: str, name: str) -> Callable[[Callable[..., Any]], Any]:
        return app.get(prefix + path, operation_id=name, responses=problems)

    @get("/status", "status")
    def status() -> Overview:
        """Tell how everything stands: pages, what is open, what waits for a person."""
        return desk.overview()

    @get("/history", "history")
    def history(
        page: Page = "",
        rule: Rule = "",
        state: Annotated[list[ActionState], Query()] = [],  # noqa: B006  (FastAPI copies it)
        text: Annotated[str, Query(max_length=200, description="Stands in the title or the message.")] = "",
        since: Since = None,
        after: After = "",
        limit: Limit = 100,
    ) -> Part[ActionData]:
        """Tell what the pages got, or did not get, and why; the newest first."""
        before = history_place(after)
        lines = desk.book.history(
            page=page, rule_id=rule, states=state, text=text, since=since, before=before, limit=limit
        )
        return part(lines, limit, action_data, history_mark)

    @get("/episodes", "episodes")
    def episodes(
        page: Page = "",
        rule: Rule = "",
        phase: Annotated[list[Phase], Query()] = [],  # noqa: B006
        after: After = "",
        limit: Limit = 100,
    ) -> Part[EpisodeData]:
        """List episodes: those that are not over first, then the newest end first."""
        place = placed(after, _moment_or_none, str)
        found = desk.book.episodes(
            page=page, rule_id=rule, phases=phase, before=place and (place[0], place[1]), limit=limit
        )
        return part(found, limit, episode_data, lambda e: mark(e.ended_at, e.id))

    @get("/story", "story")
    def story(of: Annotated[str, Query(max_length=1000, description="Id of an episode or window.")]) -> StoryData:
        """Tell everything about one episode or maintenance window."""
        found = desk.book.story(of)
        if found is None:
            raise NotFound(f"there is nothing called `{of[:200]}`")
        return story_data(found)

    @get("/inbounds", "inbounds")
    def inbounds(
        source: Annotated[str, Query(max_length=200, description="Only of this source.")] = "",
        state: Annotated[list[str], Query(description="pending, done or parked.")] = [],  # noqa: B006
        unparsed: Annotated[bool, Query(description="Only those not understood, whole or in part.")] = False,
        since: Since = None,
        after: After = "",
        limit: Limit = 100,
    ) -> Part[InboundData]:
        """List the webhooks that came in, the newest first."""
        place = placed(after, number)
        found = desk.book.inbounds(
            source=source, states=state, unparsed=unparsed, since=since, before=place[0] if place else None, limit=limit
        )
        return part(found, limit, inbound_data, lambda r: mark(r.seq))

    @get("/inbounds/{seq}", "inbound")
    def inbound(seq: Seq) -> RequestData:
        """Show one webhook, without what proved its sender."""
        found = desk.book.inbound(seq)
        if found is None:
            raise NotFound(NO_INBOUND.format(seq))
        return request_data(found)

    @get("/inbounds/{seq}/explanation", "explanation")
    def explanation(seq: Seq) -> Sequence[StatementData]:
        """Tell what every rule in force makes of a webhook, line by line."""
        found = desk.explanation(seq)
        if found is None:
            raise NotFound(NO_INBOUND.format(seq))
        return found

    @get("/notices", "notices")
    def notices(
        severity: Annotated[str, Query(pattern="^(info|warning|error)$", description="At least.")] = "info",
        since: Since = None,
        after: After = "",
        limit: Limit = 100,
    ) -> Part[NoticeData]:
        """List what the worker has told its team, the newest first."""
        place = placed(after, number)
        skip = place[0] if place else 0
        found = desk.book.notices(limit, since=since, severity=Severity[severity.upper()], skip=skip)
        more = mark(skip + limit) if len(found) == limit else None
        return Part([notice_data(*each) for each in found], more)

    @get("/windows", "windows")
    def windows(page: Page = "", since: Since = None) -> Part[WindowData]:
        """List the maintenance windows that are not over, or ended since; the earliest first, all in one part."""
        found = desk.windows(since or desk.clock() - timedelta(days=1))
        return Part([window for window in found if page in ("", window.page)], None)

    @get("/rules", "rules")
    def rules() -> RulesNow:
        """List the rules in force, with what came of each."""
        return desk.rules()

    @get("/activity", "activity")
    def activity(
        days: Annotated[int, Query(ge=1, le=LONGEST_LOOK, description="How far to look back.")] = 1,
    ) -> Sequence[Span]:
        """Count what was heard, published and not published, by stretches of time."""
        return desk.activity(timedelta(days=days))


NO_INBOUND = "there is no inbound {}; old ones are removed"


def part(rows: Sequence[Row], limit: int, data: Callable[[Row], T], marked: Callable[[Row], str]) -> Part[T]:
    """Give a part of a list, and where the next begins: where it is full there may be more."""
    return Part([data(row) for row in rows], marked(rows[-1]) if len(rows) == limit else None)


def history_mark(line: HistoryLine) -> str:
    """Name a place in the history."""
    return mark(*place_of(line))


def history_place(after: str) -> tuple[datetime, str, int] | None:
    """
    Read a place in the history; None for "".

    Raises:
        ConfigError: It is none.
    """
    place = placed(after, _moment, str, number)
    return place and (place[0], place[1], place[2])


def mark(*place: object) -> str:
    """Write a place in a list as one word for an address."""
    plain = [each.isoformat() if isinstance(each, datetime) else each for each in place]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def placed(after: str, *forms: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    """
    Read what ``mark`` wrote; None for "".

    Raises:
        ConfigError: It is something else.
    """
    if not after:
        return None
    try:
        plain = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        return tuple(form(each) for form, each in zip(forms, plain, strict=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ConfigError([Problem("after", 0, 0, "is not the `next` of an answer")]) from None


def number(value: Any) -> int:
    """Read a number that a database can hold."""
    if type(value) is not int or abs(value) > MOST_SEQ:
        raise ValueError
    return value


def _moment(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError
    return at


def _moment_or_none(value: Any) -> datetime | None:
    return None if value is None else _moment(value)
