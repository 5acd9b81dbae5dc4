"""
How our values look to an expression, and how an expression's values look as text.

What belongs here: conversion, both ways, between events, JSON and the plain data that the CEL library reads rightly. It
reads text up to the first NUL only, refuses lone surrogates and numbers beyond 64 bits, and takes a time only where
exactly a time is declared, never null and never within a list or map. So a time is bound as text, "" where there is
none, as in every other field; ``timestamp(event.started_at)`` makes a time of it. The library is not used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.model import Event, Signal

_LARGEST = 2**63 - 1


def event_bindings(event: Event) -> dict[str, Any]:
    """Give the variables ``event.*`` of an event."""
    return {
        "event.source": event.source,
        "event.kind": event.kind,
        "event.key": event.key,
        "event.status": event.status.value,
        "event.severity": event.severity,
        "event.severity_rank": event.severity_rank,
        "event.status_name": event.status_name,
        "event.category": event.category,
        "event.title": event.title,
        "event.message": event.message,
        "event.labels": event.labels,
        "event.annotations": event.annotations,
        "event.url": event.url,
        "event.scope": event.scope,
        "event.private": event.private,
        "event.test": event.test,
        "event.started_at": as_text(event.started_at),
        "event.occurred_at": as_text(event.occurred_at),
    }


def signal_bindings(signals: Iterable[Signal]) -> list[dict[str, Any]]:
    """Give the elements of the variable ``signals``: the newest statement of each signal, in the given order."""
    return [
        {
            "key": event.key,
            "source": event.source,
            "kind": event.kind,
            "status": event.status.value,
            "severity": event.severity,
            "severity_rank": event.severity_rank,
            "title": event.title,
            "message": event.message,
            "labels": dict(event.labels),
            "annotations": dict(event.annotations),
            "url": event.url,
            "started_at": as_text(event.started_at),
        }
        for event in (signal.event for signal in signals)
    ]


def as_text(value: Any) -> str:
    """
    Write a plain value as text: null is "", true is "true", 3.0 is "3", a time is ISO 8601 in UTC with "Z".

    Raises:
        TypeError: It is a list, a map or anything else that has no one text.
    """
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"a {'map' if isinstance(value, Mapping) else type(value).__name__} is not text")
    return writer(value)


def bindable(value: Any) -> Any:
    """Make a value of ours, or of any JSON, one that the library reads rightly; it refuses what is neither."""
    convert = _CONVERTERS.get(type(value))
    if convert is not None:
        return convert(value)
    if isinstance(value, Mapping):
        return _bindable_map(value)
    return _bindable_list(value) if isinstance(value, (tuple, set, frozenset)) else value


def readable(text: str) -> str:
    """Put U+FFFD in place of what the library does not read: NUL and lone surrogates."""
    text = text.replace("\0", "\ufffd") if "\0" in text else text
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _float_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _bindable_map(value: Mapping[Any, Any]) -> dict[Any, Any]:
    return {bindable(key): bindable(item) for key, item in value.items()}


def _bindable_list(value: Iterable[Any]) -> list[Any]:
    return [bindable(item) for item in value]


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float_text,
    type(None): lambda _: "",
    datetime: lambda value: value.astimezone(UTC).isoformat().replace("+00:00", "Z"),
}
WRITABLE = frozenset(_WRITERS)
"""The types that ``as_text`` takes."""
_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    str: readable,
    int: lambda value: value if -_LARGEST <= value <= _LARGEST else float(value),
    dict: _bindable_map,
    list: _bindable_list,
    datetime: as_text,
    timedelta: lambda value: f"{value.total_seconds()}s",
    **dict.fromkeys((bool, float, type(None)), lambda value: value),
}
