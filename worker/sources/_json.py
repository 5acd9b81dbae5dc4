"""
Strict JSON out of a request body.

Refused, beside what no JSON parser takes: invalid UTF-8, lone surrogates, NaN and Infinity (also 1e999), NUL in text,
repeated keys, nesting deeper than 32. Two parsers that read one body differently are a way to smuggle a statement past
the one that checked it, and a sender that pastes foreign text into a template repeats keys without knowing it.

Speed matters here: every inbound passes. This file may not know any vendor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

from pydantic_core import from_json

from worker.errors import PayloadNotUnderstood

MAX_DEPTH = 32

_NESTED_OR_FLOAT = frozenset({dict, list, float})
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an even number of backslashes before it is text about \u0000
_BLANKS = (b" ", b"\t", b"\n", b"\r")


def read(body: bytes) -> Any:
    """
    Read a body.

    Raises:
        PayloadNotUnderstood: It is not strict JSON. The text tells what and where, and nothing of the content but the
            name of a repeated key.
    """
    body = body.rstrip()
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise PayloadNotUnderstood(f"the body is not JSON: {error}") from None
    keys = _survey(value)
    if b"\\u0000" in body and _NUL.search(body):
        raise PayloadNotUnderstood("the body is not usable JSON: a text holds the character NUL")
    if body.count(b'":') != keys or any(blank in body and blank + b":" in body for blank in _BLANKS):
        _refuse_repeated_keys(body)
    return value


def _survey(value: Any) -> int:
    """Count all keys of all objects, level by level; refuse what is too deep, and numbers that became infinite."""
    keys = 0
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        objects = [item for item in level if type(item) is dict]
        keys += sum(map(len, objects))
        children: Iterable[Any] = chain.from_iterable(
            [item.values() for item in objects] + [item for item in level if type(item) is list]
        )
        level = [child for child in children if type(child) in _NESTED_OR_FLOAT]
        if not level:
            return keys
        if float in map(type, level):
            _refuse_infinite(item for item in level if type(item) is float)
    raise PayloadNotUnderstood(f"the body is not usable JSON: it is nested deeper than {MAX_DEPTH}")


def _refuse_infinite(numbers: Iterable[float]) -> None:
    if any(number in (float("inf"), float("-inf")) for number in numbers):
        raise PayloadNotUnderstood("the body is not usable JSON: a number is too large")


def _refuse_repeated_keys(body: bytes) -> None:
    """
    Read once more, with an eye on repeated keys.

    Three times as slow as the fast parser, which keeps the last of them silently; so it is asked only where counting
    ``":`` could not rule them out: each key is followed by one, unless a blank stands between, and only text that
    holds the same two characters adds to the count.
    """
    json.loads(body, object_pairs_hook=_pairs)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PayloadNotUnderstood(f"the body is not usable JSON: the key {twice[:60]!r} is given twice")
    return found
