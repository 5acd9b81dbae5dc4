"""
The times in a captured body, moved to where a rehearsal needs them.

A time is any text of the JSON that is one as a whole (RFC 3339, with a zone). Nothing else of the body is touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_TIME = re.compile(r"[1-9]\d{3}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|z|[+-]\d\d:\d\d)")
"""Year 1, which stands for "no time", is none."""


@dataclass(slots=True)
class Rebase:
    """
    Moves the times of the bodies of one rehearsal.

    Of each body the newest time becomes the time of the step, and the others keep their distance to it; but a time that
    an earlier body bore too stays where that one had it: what is resolved keeps the start that it fired with.
    """

    _moved: dict[datetime, datetime] = field(default_factory=dict)

    def __call__(self, body: bytes, at: datetime) -> bytes:
        """
        Give the body with its times moved to end at *at*.

        Raises:
            ValueError: It is not JSON.
        """
        data = json.loads(body)
        times = sorted(set(_times(data)))
        if not times:
            return body
        newest = times[-1]
        shift = at - newest
        moved = {each: self._moved.get(each, each + shift) for each in times[:-1]} | {newest: at}
        self._moved.update(moved)
        return json.dumps(_replaced(data, lambda text: _written(moved[_read(text)]))).encode()


def _times(data: Any) -> Iterator[datetime]:
    if isinstance(data, dict):
        for value in data.values():
            yield from _times(value)
    elif isinstance(data, list):
        for value in data:
            yield from _times(value)
    elif _is_time(data):
        yield _read(data)


def _replaced(data: Any, move: Callable[[str], str]) -> Any:
    if isinstance(data, dict):
        return {key: _replaced(value, move) for key, value in data.items()}
    if isinstance(data, list):
        return [_replaced(value, move) for value in data]
    return move(data) if _is_time(data) else data


def _is_time(value: Any) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        _read(value)
    except ValueError:
        return False
    return True


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
