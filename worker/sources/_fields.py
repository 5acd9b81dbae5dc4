"""
Typed reading of single fields out of JSON values.

Absent, null and "" are one for optional fields. What has the wrong type is refused, never guessed at; errors begin with
the field's name, so that a caller that walks a list can put the place in front. This file may not know any vendor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from worker.core.bindings import as_text
from worker.errors import PayloadNotUnderstood

MAX_NAME = 500
"""Characters of a key, scope or title. Ledgers index the first two; PostgreSQL refuses index rows above 2.7 kB."""

_ZERO_TIME = "0001-01-01"
_UNITS = (1, 10**3, 10**6, 10**9)  # of a second
_LATEST = 10**11  # seconds: the year 5138; as milliseconds: 1973
_SHORTEST_EPOCH = 9  # digits, from 1973 on; shorter digits in a text may as well be a date


def text(fields: Mapping[str, Any], name: str) -> str:
    """Read an optional text."""
    value = fields.get(name)
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise PayloadNotUnderstood(f"{name}: not a text")


def identity(fields: Mapping[str, Any], name: str) -> str:
    """
    Read a text that something is known by; "" where it is absent.

    One that is too long for an index gives way to its SHA-256, which tells apart just as well.
    """
    return bounded(text(fields, name))


def required(fields: Mapping[str, Any], name: str) -> str:
    """Read a text that something is known by, and that must be there."""
    value = identity(fields, name)
    if not value:
        raise PayloadNotUnderstood(f"{name}: missing")
    return value


def bounded(value: str) -> str:
    """Give *value*, or its SHA-256 where it is longer than ``MAX_NAME``."""
    return value if len(value) <= MAX_NAME else "sha256:" + hashlib.sha256(value.encode()).hexdigest()


def one_line(value: str) -> str:
    """Put a text on one line of at most ``MAX_NAME`` characters."""
    if len(value) > MAX_NAME or not value.isprintable():
        value = " ".join(value.split())
        return value if len(value) <= MAX_NAME else value[: MAX_NAME - 1] + "…"
    return value


def texts(fields: Mapping[str, Any], name: str) -> dict[str, str]:
    """Read an optional object that has nothing but texts."""
    value = child(fields, name)
    try:
        "".join(value.values())  # the cheapest way to look at every type
    except TypeError:
        wrong = next(key for key, item in value.items() if type(item) is not str)
        raise PayloadNotUnderstood(f"{name}.{wrong[:60]}: not a text") from None
    return value


def tags(value: Any, name: str) -> dict[str, str]:
    """
    Make labels of whatever senders call tags.

    A map; a list of maps with ``name``, ``key`` or ``tag``, and ``value``; a list of texts, "name:value" or "name"
    alone, which is then "true"; or one such text with blanks or commas between. A name that is given several times
    has its values joined by ", ". Empty values, and those that are no scalars, are left out.
    """
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if value is None:
        value = ()
    if not isinstance(value, dict | list | tuple):
        raise PayloadNotUnderstood(f"{name}: neither a map nor a list of tags")
    found: dict[str, dict[str, None]] = {}
    for label, text in value.items() if isinstance(value, dict) else map(_tag, value):
        if isinstance(label, str) and label and isinstance(text, str | int | float) and text != "":
            found.setdefault(label, {})[as_text(text)] = None
    return {label: ", ".join(texts) for label, texts in found.items()}


def _tag(item: Any) -> tuple[Any, Any]:
    if isinstance(item, str):
        label, colon, text = item.partition(":")
        return label.strip(), text.strip() if colon else "true"
    if not isinstance(item, dict):
        return None, None
    return next((item[key] for key in ("name", "key", "tag") if key in item), None), item.get("value")


def child(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Read an optional object."""
    value = fields.get(name)
    if type(value) is dict:
        return value
    if value is None:
        return {}
    raise PayloadNotUnderstood(f"{name}: not an object")


def items(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Read an optional list of anything."""
    value = fields.get(name)
    if value is None:
        return []
    if type(value) is not list:
        raise PayloadNotUnderstood(f"{name}: not a list")
    return value


def children(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Read an optional list of objects."""
    value = items(fields, name)
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise PayloadNotUnderstood(f"{name}[{index}]: not an object")
    return value


def time(fields: Mapping[str, Any], name: str) -> datetime | None:
    """Read an optional time, see ``moment``."""
    try:
        return moment(fields.get(name))
    except (ValueError, OverflowError, OSError):
        raise PayloadNotUnderstood(f"{name}: not a time (RFC 3339 with an offset, or seconds since 1970)") from None


def moment(value: object) -> datetime | None:
    """
    Make an aware UTC time of RFC 3339 text, of seconds, milliseconds, micro- or nanoseconds since 1970, also as text.

    None for everything that senders write for "no time": null, "", 0, and year 1 (Go's zero time). Fractions beyond
    microseconds are cut.

    Raises:
        ValueError, OverflowError, OSError: It is no time.
    """
    if isinstance(value, str):
        return _from_text(value)
    if value is None:
        return None
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    raise ValueError


def _from_text(value: str) -> datetime | None:
    if not value.strip("0") or value.startswith(_ZERO_TIME):
        return None
    if value.isascii() and value.isdecimal() and _SHORTEST_EPOCH <= len(value) <= 20:
        return _from_number(int(value))
    return _utc(datetime.fromisoformat(value))


def _from_number(value: float) -> datetime | None:
    if value <= 0:
        return None
    for unit in _UNITS:
        if value < _LATEST * unit:
            return datetime.fromtimestamp(value / unit, UTC)
    raise ValueError


def _utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError
    return value.astimezone(UTC)
