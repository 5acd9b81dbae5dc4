"""
incident.io's JSON, read into values: tolerant of new fields and new words, strict about what an answer must be.

Pure. Whatever a page answers ends in a value, or in Unreadable.

Source: the official SDK, PyPI ``incident-io`` 2.29.0 (``StatusPage*V2``, ``ErrorResponse``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from worker.core.model import RemoteIncident, RemoteUpdate
from worker.providers._components import Availability, ListedComponent, ListedPage
from worker.providers._outcomes import Answer
from worker.providers._text import plain
from worker.providers.incident_io.payloads import usable_id
from worker.providers.incident_io.vocabulary import WINDOW, Thing

Json = Mapping[str, Any]

_NEVER = datetime.min.replace(tzinfo=UTC)
_LONGEST_COMPLAINT = 500


class Unreadable(Exception):
    """An answer that is not what this API sends. The text says what is missing."""


def document(body: bytes) -> Json:
    """Read an answer's body; raises Unreadable where it is no JSON object."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("the answer is not JSON") from None
    if not isinstance(data, dict):
        raise Unreadable("the answer is no JSON object")
    return data


def child(data: Json, name: str) -> Json:
    """Give the object called *name*; raises Unreadable where there is none."""
    value = data.get(name)
    if not isinstance(value, dict):
        raise Unreadable(f"the answer has no `{name}`")
    return value


def records(data: Json, name: str) -> list[Json]:
    """Give the list of objects called *name*; raises Unreadable where there is none: a missed record is a lie."""
    values = data.get(name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise Unreadable(f"the answer has no list `{name}`")
    return values


def children(data: Json, name: str) -> list[Json]:
    """Give the list of objects called *name*, as far as there is one."""
    values = data.get(name)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def after(data: Json) -> str:
    """Give where the list goes on, or ""."""
    meta = data.get("pagination_meta")
    return text(meta, "after") if isinstance(meta, dict) else ""


def text(data: Json, name: str) -> str:
    """Give the text called *name*, or ""."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def identity(data: Json, name: str = "id") -> str:
    """Give the id called *name*; raises Unreadable where there is none that could be one."""
    value = data.get(name)
    if not usable_id(value):
        raise Unreadable(f"the answer has no usable `{name}`")
    return str(value)


def time(data: Json, name: str) -> datetime | None:
    """Give the time called *name* in UTC; None where there is none."""
    try:
        at = datetime.fromisoformat(text(data, name))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def update(data: Json, thing: Thing) -> RemoteUpdate:
    """Read one update of an incident or window; its status may be a word that we do not know."""
    return RemoteUpdate(
        id=identity(data),
        message=text(data, "message"),
        status=text(data, thing.status),
        published_at=time(data, "published_at"),
        components={text(one, "component_id"): text(one, "component_status") for one in _touched([data])},
    )


def _touched(posts: Iterable[Json]) -> Iterator[Json]:
    """Give what posts say of components."""
    return (one for post in posts for one in children(post, "component_statuses") if text(one, "component_id"))


def incident(data: Json, thing: Thing) -> RemoteIncident:
    """
    Read an incident or window; updates oldest first, and every component that it ever touched. The times of a window
    stand nowhere but in the periods of its components.
    """
    posts = records(data, "updates")
    updates = sorted((update(post, thing) for post in posts), key=lambda each: each.published_at or _NEVER)
    periods = children(data, thing.impacts) if thing is WINDOW else []
    touched = [*children(data, thing.impacts), *_touched(posts)]
    return RemoteIncident(
        id=identity(data),
        name=text(data, "name"),
        status=text(data, thing.status),
        updates=tuple(updates),
        component_ids=frozenset(filter(None, (text(one, "component_id") for one in touched))),
        published_at=time(data, "published_at"),
        starts_at=min(filter(None, (time(one, "start_at") for one in periods)), default=None),
        ends_at=max(filter(None, (time(one, "end_at") for one in periods)), default=None),
        automate=data.get("automate_maintenance_status") is True,
    )


def page(data: Json) -> ListedPage:
    """Read a status page without its components."""
    return ListedPage(id=identity(data), name=text(data, "name"), public_url=text(data, "public_url"))


def components(structure: Json) -> tuple[ListedComponent, ...]:
    """Read the components of a page's structure, in its order; items of kinds that we do not know are passed over."""
    return tuple(_items(records(child(structure, "current_structure"), "items"), ""))


def _items(items: Iterable[Json], sub_page: str) -> Iterator[ListedComponent]:
    for item in items:
        if isinstance(item.get("component"), dict):
            yield replace(_component(item["component"]), sub_page=sub_page)
        if isinstance(item.get("group"), dict):
            yield from _members(item["group"], sub_page)
        if isinstance(item.get("sub_page"), dict):
            yield from _items(children(item["sub_page"], "items"), text(item["sub_page"], "name"))


def _members(group: Json, sub_page: str) -> Iterator[ListedComponent]:
    for data in children(group, "components"):
        member = _component(data)
        yield replace(
            member,
            group=text(group, "name"),
            group_id=identity(group),
            sub_page=sub_page,
            hidden=member.hidden or group.get("hidden") is True,
        )


def _component(data: Json) -> ListedComponent:
    return ListedComponent(
        id=identity(data, "component_id"), name=text(data, "name"), hidden=data.get("hidden") is True
    )


def availability(data: Json, start: datetime, end: datetime) -> Availability:
    """Read how available a component was between *start* and *end*."""
    return Availability(
        component_id=identity(data, "component_id"),
        start=start,
        end=end,
        percent=text(data, "availability_percent") or None,
        since=time(data, "data_available_since"),
    )


def told_wait(body: bytes) -> object:
    """Give what the body of an error says of when to come back: an RFC 3339 time, or None."""
    try:
        return child(document(body), "rate_limit").get("retry_after")
    except Unreadable:
        return None


def is_error(answer: Answer) -> bool:
    """Say whether an error was written by the API itself, and not by something that stands before it."""
    try:
        data = document(answer.body)
    except Unreadable:
        return False
    return isinstance(data.get("type"), str) and isinstance(data.get("errors"), list)


def refuses_mail(answer: Answer) -> bool:
    """Say whether all that an error complains of is whom a post would mail."""
    entries = children(document(answer.body), "errors") if is_error(answer) else []
    return bool(entries) and all(_of_mail(entry) for entry in entries)


def _of_mail(entry: Json) -> bool:
    """What it says counts only where it names no field: it may repeat our own words."""
    source = entry.get("source")
    place = f"{text(source, 'field')} {text(source, 'pointer')}".strip() if isinstance(source, dict) else ""
    return "subscriber" in f"{place} {text(entry, 'code')} {'' if place else text(entry, 'message')}".lower()


def complaint(answer: Answer) -> str:
    """
    Say in one line what the page answered: ``422 validation_error: name: must be …``.

    Each entry begins with the field that it is about, where the page names one.
    """
    if not is_error(answer):
        return plain(f"{answer.status} ({answer.headers.get('content-type', 'no content type')})")
    data = document(answer.body)
    entries = "; ".join(_entry(entry) for entry in children(data, "errors"))
    request_id = text(data, "request_id")
    told = f"{answer.status} {text(data, 'type')}" + (f": {entries}" if entries else "")
    return plain(told + (f" (request {request_id})" if request_id else ""), _LONGEST_COMPLAINT)


def _entry(entry: Json) -> str:
    source = entry.get("source")
    field = text(source, "field") if isinstance(source, dict) else ""
    return ": ".join(filter(None, (field, text(entry, "message") or text(entry, "code"))))
