"""
The query side of the API: filters and pages of lists, and how available a component was.

Source: incident.io API, official SDK 2.29.0 (``list_status_page_incidents``, ``list_status_page_maintenances``,
``show_status_page_component_availability``), read 2026-11-23. Not documented there, and so chosen here: lists are
newest first, ``page_size`` is 1 to 250.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from worker.sandbox.model import Incident, Maintenance, Page, Place, Span
from worker.sandbox.payloads import moment
from worker.sandbox.wire import Complaint, Refused

DEFAULT_PAGE_SIZE = 25
MAX_PAGE_SIZE = 250
MAX_AVAILABILITY = timedelta(days=366)
DOWN = ("partial_outage", "full_outage")


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Listed = TypeVar("Listed", bound=_HasId)
Posting = TypeVar("Posting", Incident, Maintenance)


def paginate(found: Sequence[Listed], query: Mapping[str, str]) -> tuple[Sequence[Listed], dict[str, Any]]:
    """The page of ``found`` that ``page_size`` and ``after`` ask for, and its ``pagination_meta``."""
    size = _page_size(query)
    start = 0
    if "after" in query:
        ids = [item.id for item in found]
        if query["after"] not in ids:
            raise _bad("after", "is not the id of a record in this list")
        start = ids.index(query["after"]) + 1
    part = found[start : start + size]
    more = {"after": part[-1].id} if start + size < len(found) else {}
    return part, {"page_size": size, **more}


def _page_size(query: Mapping[str, str]) -> int:
    text = query.get("page_size", str(DEFAULT_PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_PAGE_SIZE):
        raise _bad("page_size", f"must be a number from 1 to {MAX_PAGE_SIZE}")
    return int(text)


def required(query: Mapping[str, str], name: str) -> str:
    """A query parameter that must be there; Refused(422) if it is not."""
    if not query.get(name):
        raise Refused(422, Complaint("is_required", f"{name} is required", f"/{name}"))
    return query[name]


def time_of(query: Mapping[str, str], name: str) -> datetime:
    """A query parameter that must be an RFC 3339 time."""
    at = moment(required(query, name))
    if at is None:
        raise _bad(name, "must be an RFC 3339 time with an offset")
    return at


def impacted(postings: Iterable[Posting], page: Page, query: Mapping[str, str]) -> list[Posting]:
    """
    Those of one page whose impacts meet the filters of the query.

    With any filter set, an incident that never touched a component is not found.
    """
    tests = _tests(page, query)
    mine = [posting for posting in postings if posting.page_id == page.id]
    return [it for it in mine if not tests or any(all(test(span) for test in tests) for span in it.spans())]


def _tests(page: Page, query: Mapping[str, str]) -> list[Callable[[Span], bool]]:
    tests: list[Callable[[Span], bool]] = []
    for name, own_id in _PLACES.items():
        if name in query:
            ids = {key for key, place in page.places().items() if own_id(place) == query[name]}
            tests.append(lambda span, ids=ids: span.component_id in ids)  # type: ignore[misc]
    if "start_at" in query:
        start = time_of(query, "start_at")
        tests.append(lambda span: span.end_at is None or span.end_at >= start)
    if "end_at" in query:
        end = time_of(query, "end_at")
        tests.append(lambda span: span.start_at <= end)
    return tests


_PLACES: Mapping[str, Callable[[Place], str | None]] = {
    "component_id": lambda place: place.component.id,
    "group_id": lambda place: place.group.id if place.group else None,
    "sub_page_id": lambda place: place.sub_page.id if place.sub_page else None,
}


def availability(spans: Iterable[Span], since: datetime, start: datetime, end: datetime, now: datetime) -> str | None:
    """
    The share of a time that was neither a partial nor a full outage, in percent, floored to two decimals.

    Overlapping outages count once, time before ``since`` and after ``now`` not at all. None: nothing is known of it.

    Raises:
        Refused: 422 for an empty time, or one longer than 366 days.
    """
    if not timedelta(0) < end - start <= MAX_AVAILABILITY:
        raise _bad("end_at", "must be after start_at, by at most 366 days")
    start, end = max(start, since), min(end, now)
    if end <= start:
        return None
    down, reached = timedelta(0), start
    for span in sorted((span for span in spans if span.status in DOWN), key=lambda span: span.start_at):
        ends = min(span.end_at or end, end)
        begins = max(span.start_at, reached)
        if ends > begins:
            down += ends - begins
            reached = ends
    hundredths = 10_000 * (end - start - down) // (end - start)
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _bad(name: str, what: str) -> Refused:
    return Refused(422, Complaint("invalid_value", f"{name} {what}", f"/{name}"))
