"""
Column types that store what databases would lose: the zone of a time, hostile text, names of any length.

Both databases store the same representation. This file may not know tables.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Big = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite numbers rows by itself only where the column is called INTEGER."""

LONGEST_NAME = 1_000
"""In bytes. PostgreSQL refuses index entries above 2,704 bytes."""


def micros(at: datetime) -> int:
    """
    Give microseconds since 1970, UTC.

    Raises:
        ValueError: The time has no zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {at}")
    return (at - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """Give the aware UTC time of *at*, in microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


class Utc(TypeDecorator[datetime]):
    """An aware UTC time, as a number: SQLite drops zones, and numbers compare as times do."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """Refuse a time without a zone, store any other as UTC."""
        return None if value is None else micros(value)

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Give it back aware."""
        return None if value is None else moment(value)


# PostgreSQL stores no NUL, and neither database half a surrogate pair; senders may well write both into JSON.
_MARK = "\ufffe"
_UNSTORABLE = re.compile(f"[\x00\ud800-\udfff{_MARK}]")
_MARKED = re.compile(f"{_MARK}([0-9a-f]{{4}})")


def storable(text: str) -> str:
    """Mark the characters that no database stores, so that ``restored`` gives the same text back."""
    if text.isascii() and "\0" not in text:
        return text  # nearly all
    return _UNSTORABLE.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def restored(text: str) -> str:
    """Undo ``storable``."""
    return _MARKED.sub(lambda found: chr(int(found[1], 16)), text) if _MARK in text else text


def handle(name: str) -> str:
    """Make a name storable, and short enough for an index; different names stay different."""
    stored = storable(name)
    if len(stored) * 4 < LONGEST_NAME or len(octets := stored.encode()) < LONGEST_NAME:
        return stored
    # As long as the limit, which no short name is: so nobody can choose a name that equals another's handle.
    digest = hashlib.sha256(octets).hexdigest()
    return digest.rjust(LONGEST_NAME, "#")


class Words(TypeDecorator[str]):
    """Any text, given back as it was."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Mark what no database stores."""
        return None if value is None else storable(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> str | None:
        """Take the marks away."""
        return None if value is None else restored(value)

    def coerce_compared_value(self, _op: Any, _value: Any) -> Any:
        """Compare as it is stored."""
        return self


class Name(Words):
    """Text to look up by; a long one is stored by its ``handle``, so its full form must be kept elsewhere."""

    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Shorten it, and mark what no database stores."""
        return None if value is None else handle(value)
