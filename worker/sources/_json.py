"""
Strict JSON out of a request body.

Refused, beside what no JSON parser takes: invalid UTF-8, lone surrogates, NaN and Infinity (also 1e999), NUL in text,
repeated keys, nesting deeper than 32. Two parsers that read one body differently are a way to smuggle a statement past
the one that checked it, and a sender that pastes foreign text into a template repeats keys without knowing it.

Speed matters here: every inbound passes. This file may not know any vendor.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

from worker.errors import PayloadNotUnderstood

MAX_DEPTH = 32

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an even number of backslashes before it is text about \u0000
_BLANKS = b" \t\n\r"


def read(body: bytes) -> Any:
    """
    Read a body.

    Raises:
        PayloadNotUnderstood: It is not strict JSON. The text tells what and where, and nothing of the content but the
            name of a repeated key.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise PayloadNotUnderstood(f"the body is not JSON: {error}") from None
    keys = _count_keys((value,), 0)
    if b"\\u0000" in body and _NUL.search(body):
        raise PayloadNotUnderstood("the body is not usable JSON: a text holds the character NUL")
    if body.translate(None, _BLANKS).count(b'":') != keys:
        _refuse_repeated_keys(body)
    return value


def _count_keys(values: Iterable[Any], depth: int) -> int:
    """Count the keys of all objects; refuse what is too deep, and numbers that became infinite."""
    if depth > MAX_DEPTH:
        raise PayloadNotUnderstood(f"the body is not usable JSON: it is nested deeper than {MAX_DEPTH}")
    keys = 0
    for value in values:
        kind = type(value)
        if kind is dict:
            keys += len(value) + _count_keys(value.values(), depth + 1)
        elif kind is list:
            keys += _count_keys(value, depth + 1)
        elif kind is float and math.isinf(value):
            raise PayloadNotUnderstood("the body is not usable JSON: a number is too large")
    return keys


def _refuse_repeated_keys(body: bytes) -> None:
    """
    Read once more, with an eye on repeated keys.

    Three times as slow as the fast parser, which keeps the last of them silently; so it is asked only where counting
    ``":`` could not rule them out: blanks aside, each key is followed by one, and only text that holds the same two
    characters adds to the count.
    """
    json.loads(body, object_pairs_hook=_pairs)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PayloadNotUnderstood(f"the body is not usable JSON: the key {twice[:60]!r} is given twice")
    return found
