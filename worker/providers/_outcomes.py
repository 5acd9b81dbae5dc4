"""
What became of a request, and what that means: the one place that tells done from not sent from who knows.

Values and pure functions. Knows no vendor, no HTTP library, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from worker.core.model import Result

LONGEST_WAIT = timedelta(minutes=15)
"""However long a page asks us to wait, we ask again after this."""

_DIGITS = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A whole HTTP answer.

    Args:
        headers: Lower-case names; of a repeated name the values joined by ", ".
        complete: False where the body is not what the page sent: too long and cut off, or in an unknown encoding.
        retry_at: Earliest next try, where the page told one.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    complete: bool = True
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """
    No whole answer came.

    Args:
        sent: Whether any byte of the request may have left.
        detail: What happened, for people, free of secrets.
        retry_at: Earliest next try, where one is known.
    """

    sent: bool
    detail: str
    retry_at: datetime | None = None


Exchange = Answer | Unanswered

_BY_STATUS: Mapping[int, Result] = {
    401: Result.DENIED,
    403: Result.DENIED,
    429: Result.NOT_SENT,
    **dict.fromkeys((400, 404, 405, 406, 412, 413, 422), Result.REFUSED),
}


def classify(exchange: Exchange, *, echoed: bool) -> Result:
    """
    Say what became of a write. Exhaustive: whatever is not listed may or may not have been applied.

    Args:
        echoed: Whether a 2xx answer could be read as the page's echo of our write.
    """
    if isinstance(exchange, Unanswered):
        return Result.UNKNOWN if exchange.sent else Result.NOT_SENT
    if 200 <= exchange.status < 300:
        return Result.DONE if echoed and exchange.complete else Result.UNKNOWN
    return _BY_STATUS.get(exchange.status, Result.UNKNOWN)


def told_wait(words: Iterable[object], now: datetime) -> datetime | None:
    """
    Read when a page wants to be asked again; the latest of all that it told.

    Args:
        words: Values of ``Retry-After`` and the like: seconds, an HTTP date or an RFC 3339 time. Others are ignored.
        now: Aware, UTC.

    Returns:
        A time after *now* and at most 15 minutes after it; None where nothing was told that lies ahead.
    """
    times = [at for at in (_time(word, now) for word in words) if at is not None and at > now]
    return min(max(times), now + LONGEST_WAIT) if times else None


def _time(word: object, now: datetime) -> datetime | None:
    if isinstance(word, str) and _DIGITS.fullmatch(word.strip()):
        word = float(word)
    if isinstance(word, int | float):
        in_range = 0 < word <= LONGEST_WAIT.total_seconds()
        return now + (timedelta(seconds=word) if in_range else LONGEST_WAIT) if word > 0 else None
    return _date(word.strip()) if isinstance(word, str) else None


def _date(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
