"""
How values read in public text: times, durations and lists in plain English, and the filters of templates.

What belongs here: pure functions from plain values to text, bounded in size. The template language is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.bindings import WRITABLE, as_text
from worker.core.markdown import cut

MAX_TEXT = 16_384
"""Characters of any text within a template: four times what the longest post holds."""
_LONGEST_JOINT = 100
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
_BRIEF = 120
"""Seconds; what is shorter is told to the second."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


class Trusted(str):
    """A text that is printed as it is, Markdown and all."""

    __slots__ = ()


def in_words(value: Any) -> str:
    """
    Write any value of a template: a list is "a, b and c", a time is "23 November 2026, 14:05 UTC", nothing is "".

    Raises:
        TypeError: It has no text of its own: a map or an object.
    """
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT]
    if isinstance(value, datetime):
        return f"{date(value)}, {time(value)}"
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, (list, tuple)):
        return list_words(value)
    if type(value) in WRITABLE:
        return as_text(value)
    raise TypeError("a map has no text of its own; name one of its fields" if _is_map(value) else "this has no text")


def time(value: Any) -> str:
    """Write the time of day: "14:05 UTC". Takes a time, or its ISO 8601 text; "" stays ""."""
    moment = _moment(value)
    return f"{moment:%H:%M} UTC" if moment else ""


def date(value: Any) -> str:
    """Write the date in UTC: "23 November 2026". Takes a time, or its ISO 8601 text; "" stays ""."""
    moment = _moment(value)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}" if moment else ""


def duration(value: Any) -> str:
    """
    Write a length of time in its two largest units, seconds only below two minutes: "12 minutes", "1 day 3 hours".

    Args:
        value: A timedelta, or a number of seconds.
    """
    length = value if isinstance(value, timedelta) else timedelta(seconds=_number(value))
    seconds = max(int(length.total_seconds()), 0)
    parts = []
    for unit, size in _UNITS if seconds >= _BRIEF else (*_UNITS, ("second", 1)):
        count, seconds = divmod(seconds, size)
        parts.append(_counted(count, unit) if count else "")
    first = next((at for at, part in enumerate(parts) if part), len(parts))
    return " ".join(part for part in parts[first : first + 2] if part) or "0 seconds"


def list_words(value: Any) -> str:
    """Write a list: "a", "a and b", "a, b and c"."""
    parts = _texts(_list(value))
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def weight(value: Any) -> int:
    """Say what it costs to go through a value once: one, and one for each element or eight characters."""
    if isinstance(value, str):
        return 1 + len(value) // 8
    return 1 + len(value) if isinstance(value, (list, tuple, dict)) else 1


def join(value: Any, d: str = "") -> str:
    """Put *d* between the elements of a list."""
    return in_words(d)[:_LONGEST_JOINT].join(_texts(_list(value)))[:MAX_TEXT]


def length(value: Any) -> int:
    """Count elements or characters."""
    return len(value)


def default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:  # noqa: ARG001
    """Give *default_value* in place of "" and nothing; missing words are "", so that *boolean* means nothing."""
    return default_value if value is None or value == "" else value


def first(value: Any) -> Any:
    """Give the first element; "" of none."""
    return next(iter(_list(value)), "")


def last(value: Any) -> Any:
    """Give the last element; "" of none."""
    return next(iter(reversed(_list(value))), "")


def sort(value: Any, reverse: bool = False) -> list[Any]:
    """Order a list; text without regard to case."""
    return sorted(_list(value), key=lambda item: item.lower() if isinstance(item, str) else item, reverse=bool(reverse))


def unique(value: Any) -> list[Any]:
    """Leave out what a list has already, in order."""
    return list(dict.fromkeys(_list(value)))


def replace(value: Any, old: str, new: str) -> str:
    """
    Put *new* in place of each *old*.

    Raises:
        ValueError: The result would be too long, or *old* is "".
    """
    text, old, new = in_words(value), in_words(old), in_words(new)
    if not old:
        raise ValueError("`replace` needs a text to look for")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_TEXT:
        raise ValueError(f"`replace` would make more than {MAX_TEXT:,} characters")
    return text.replace(old, new)


def truncate(value: Any, length: int = 255) -> str:
    """Shorten to at most *length* characters, at a word, with "…"."""
    return cut(in_words(value), max(int(length), 1))


def whole(value: Any, default: int = 0) -> int:
    """Read a whole number, cutting the fraction off; *default* of what is none."""
    try:
        return int(_number(value))
    except (ValueError, OverflowError):
        return default


FILTERS: Mapping[str, Callable[..., Any]] = {
    "capitalize": lambda value: in_words(value).capitalize(),
    "date": date,
    "default": default,
    "duration": duration,
    "first": first,
    "int": whole,
    "join": join,
    "last": last,
    "length": length,
    "list_words": list_words,
    "lower": lambda value: in_words(value).lower(),
    "replace": replace,
    "round": lambda value, precision=0: round(float(_number(value)), int(precision)),
    "sort": sort,
    "time": time,
    "title": lambda value: _WORD.sub(lambda word: word[0].capitalize(), in_words(value)),
    "trim": lambda value: in_words(value).strip(),
    "truncate": truncate,
    "trusted": lambda value: Trusted(in_words(value)),
    "unique": unique,
    "upper": lambda value: in_words(value).upper(),
}
"""The filters of templates, by name."""


def _moment(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(in_words(value))
    if moment.tzinfo is None:
        raise ValueError("this time has no zone")
    return moment.astimezone(UTC)


def _number(value: Any) -> float:
    if isinstance(value, (int, float)):
        return value
    return float(in_words(value)[:40])


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("this filter takes a list")
    return value


def _texts(values: Iterable[Any]) -> list[str]:
    """Write elements, as many as fit."""
    parts, room = [], MAX_TEXT
    for value in values:
        part = in_words(value)[:room].strip()
        parts.append(part)
        room -= len(part) + 1
        if room <= 0:
            break
    return parts


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)
