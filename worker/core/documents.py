"""
YAML text to plain data, every part of which knows where it was written.

What belongs here: what a rule file may look like as YAML, whatever it says. Stricter than YAML itself: one document
a file, no aliases, anchors, tags or merge keys, no key twice, and budgets, so that a hostile file costs little.
This file may not know what any key means; ``core.slips`` finds the words for what YAML itself refuses.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``on``, ``no``, dates and
``12:30:45`` are text. Stricter in two places: ``012``, ``.inf`` and ``.nan`` are text as well. Keys are always text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml

from worker.core.slips import MISSING_SPACE, explain
from worker.errors import ConfigError, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 50_000

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document."""


Spot = tuple[int, int, str]
"""
Where a value stands: line and column, 1-based, and what surrounds a scalar: ``"``, ``'``, ``|``, ``>`` or "".

A plain tuple, because there are many of them: the garbage collector need not look at one again.
"""


@dataclass(frozen=True, slots=True)
class Document:
    """
    One file, read.

    Args:
        file: As the person knows it.
        data: dict, list, str, int, float, bool or None; None for a file without content.
        values: Where each value stands.
        keys: Where the key of each value in a map stands.
        written: For the values that are no text: the text as it was written.
        problems: What is wrong with its form, though all of it could be read.
    """

    file: str
    data: Any
    values: Mapping[Path, Spot] = field(default_factory=dict)
    keys: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    written: Mapping[Path, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def at(self, path: Path) -> Any:
        """Give the value at *path*, which must be there."""
        data = self.data
        for part in path:
            data = data[part]
        return data

    def value_at(self, path: Path) -> tuple[int, int]:
        """Give (line, column) of the value at *path*, or of the nearest thing around it that stands in the file."""
        while path not in self.values and path:
            path = path[:-1]
        line, column, _ = self.values.get(path, (1, 1, ""))
        return (line, column)

    def key_at(self, path: Path) -> tuple[int, int]:
        """Give (line, column) of the key at *path*; of the value where there is no key."""
        return self.keys.get(path) or self.value_at(path)

    def inside(self, path: Path, line: int, column: int) -> tuple[int, int]:
        """
        Give (line, column) in the file of a place inside the text at *path*.

        Exact for plain texts, quoted ones without escapes, and ``|`` blocks; the line alone is right for ``>`` blocks.
        """
        if path not in self.values:
            return self.value_at(path)
        first, start, style = self.values[path]
        if style in ("|", ">"):
            return (first + line, self._indent(first) + column)
        return (first, start + len(style) + column - 1) if line == 1 else (first + line - 1, column)

    def _indent(self, first: int) -> int:
        """Give the indentation of the block whose header stands in line *first*."""
        return next((len(text) - len(text.lstrip(" ")) for text in self.lines[first:] if text.strip()), 0)


def parse(file: str, text: str) -> Document:
    """
    Read one file.

    Args:
        file: As the person knows it; used in problems only.
        text: Its content.

    Returns:
        The content, also where something of its form is wrong: then ``problems`` says what.

    Raises:
        ConfigError: It cannot be read as a whole; with every problem that could be found before YAML gave up.
    """
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    problems = list(_unwelcome(file, text))
    if problems:
        raise ConfigError(problems)
    reader = _Reader(file, text)
    data = reader.read()
    if reader.lost:
        raise ConfigError(reader.problems)
    return Document(
        file, data, reader.values, reader.keys, reader.written, reader.lines, problems=tuple(reader.problems)
    )


_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control, direction and invisible characters: what a reviewer sees would not be what is published."""


def _unwelcome(file: str, text: str) -> list[Problem]:
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        return [Problem(file, 0, 0, f"the file is larger than {MAX_BYTES // 1024} KiB; split it into several files")]
    return [
        Problem(file, text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start()), why)
        for found in islice(_HIDDEN.finditer(text), 10)
        for why in [_hidden_words(found[0])]
    ]


def _hidden_words(character: str) -> str:
    return f"an invisible character (U+{ord(character):04X}) stands here; remove it"


_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]{0,17})(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST_OF_NUMBER = frozenset("-+.0123456789")


def _resolve(text: str) -> Any:
    """Read a plain scalar by the core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST_OF_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


_NO_ALIAS = "a value that starts with `*` is a YAML alias, which is not allowed; quote it if it is text"
_NO_ANCHOR = "a value that starts with `&` is a YAML anchor, which is not allowed; quote it if it is text"
_NO_TAG = "a value that starts with `!` is a YAML tag, which is not allowed; quote it if it is text"
_ONE_DOCUMENT = "a second document starts here; one file holds one document: move it to a file of its own"


class _GiveUpError(Exception):
    """Reading on would only find follow-up faults, or cost too much."""


class _Reader:
    """Walks the parser's events once and builds data, places and problems; ``lost``: the data may mean other things."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = tuple(text.splitlines())
        self.problems: list[Problem] = []
        self.lost = False
        self.values: dict[Path, Spot] = {}
        self.keys: dict[Path, tuple[int, int]] = {}
        self.written: dict[Path, str] = {}
        self._nodes = 0
        self._next: Callable[[], Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader)).__next__
        self._build: Mapping[type, Callable[[Any, Path], Any]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.AliasEvent: self._alias,
        }

    def read(self) -> Any:
        try:
            return self._documents()
        except _GiveUpError:
            pass
        except yaml.MarkedYAMLError as error:
            self.problems.append(explain(self.file, self.lines, error))
        raise ConfigError(self.problems)

    def _documents(self) -> Any:
        data = None
        self._next()
        event = self._next()
        if isinstance(event, yaml.DocumentStartEvent):
            if event.version or event.tags:
                self._fault(event, "`%` directives are not allowed; remove the line")
            data = self._node(self._next(), ())
            self._next()
            event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._fault(event, _ONE_DOCUMENT)
        return data

    def _fault(self, event: Any, message: str) -> None:
        self.problems.append(Problem(self.file, event.start_mark.line + 1, event.start_mark.column + 1, message))

    def _lose(self, event: Any, message: str) -> None:
        """Tell a fault that leaves open what the file means."""
        self._fault(event, message)
        self.lost = True

    def _node(self, event: Any, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(event, f"the file holds more than {MAX_NODES} values; split it into several files")
        if len(path) > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        return self._build[type(event)](event, path)

    def _stop(self, event: Any, message: str) -> None:
        self._fault(event, message)
        raise _GiveUpError

    def _alias(self, event: Any, _path: Path) -> None:
        self._fault(event, _NO_ALIAS)

    def _begin(self, event: Any, path: Path, style: str = "") -> None:
        mark = event.start_mark
        self.values[path] = (mark.line + 1, mark.column + 1, style)
        if event.anchor is not None:
            self._fault(event, _NO_ANCHOR)
        if event.tag is not None:
            self._fault(event, _NO_TAG)

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        style = event.style or ""
        self._begin(event, path, style)
        text: str = event.value
        if style:
            if style == '"' and (found := _HIDDEN.search(text)):
                self._fault(event, _hidden_words(found[0]))
            return text
        value = _resolve(text)
        if not isinstance(value, str):
            self.written[path] = text
        return value

    def _sequence(self, event: yaml.SequenceStartEvent, path: Path) -> list[Any]:
        self._begin(event, path)
        items: list[Any] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(item, (*path, len(items))))
        return items

    def _mapping(self, event: yaml.MappingStartEvent, path: Path) -> dict[str, Any]:
        self._begin(event, path)
        entries: dict[str, Any] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            name = self._key(key, event)
            inner = (*path, name)
            twice = self.keys.get(inner)
            if twice:
                self._lose(key, f"the key `{name}` stands here twice, first in line {twice[0]}; keep one of them")
            self.keys[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
            entries[name] = self._node(self._next(), inner)
            if entries[name] is None:
                self._check_space(key, entries, path)
        return entries

    def _key(self, event: Any, around: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            if self._source(around).startswith("{{"):
                self._stop(around, "a text that starts with `{{` must be in quotes")
            self._stop(event, "a key must be text")
        if event.anchor is not None or event.tag is not None:
            self._fault(event, "a key must be plain text, without `&` or `!` before it")
        if event.value == "<<" and not event.style:
            self._lose(event, "the merge key `<<` is not allowed; write the keys out, or use `defaults`")
        if found := _HIDDEN.search(event.value):
            self._fault(event, _hidden_words(found[0]))
        self._nodes += 1
        return str(event.value)

    def _check_space(self, key: Any, entries: dict[str, Any], path: Path) -> None:
        if not key.style and (slip := MISSING_SPACE.match(key.value)):
            self._fault(key, f"a space is missing after the colon of `{slip['key']}:`")
            # What follows the colon may be a secret: only the key is kept, as one whose value is told to be wrong.
            del entries[key.value]
            self.written.pop((*path, key.value), None)
            if slip["key"] not in entries:
                entries[slip["key"]] = None
                self.keys[*path, slip["key"]] = self.keys[*path, key.value]

    def _source(self, event: Any) -> str:
        line: str = self.lines[event.start_mark.line]
        return line[event.start_mark.column :]
