"""
Events out of any JSON by a mapping: which expression gives which field.

Expressions see ``body``, ``headers`` (lower-case names, without those that carry credentials) and the names of
``each``. Whatever fails in one of them makes its item unreadable, and the reason names the item and the field: half a
statement is never made. This file may not know any vendor, nor how expressions are written or compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from worker.core.conditions import as_text
from worker.core.model import Event, Inbound, Status, Unreadable
from worker.core.ruleset import AuthConfig, JsonMapping, Program, SourceConfig
from worker.core.spec.sources import ALL
from worker.errors import EvaluationFailed, PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _fields

MAX_ITEMS = 1000
MAX_BYTES_READ = 8_000_000
"""How much body one inbound may hand to expressions, over all items; about a quarter of a second of work."""
_DEFAULT_KIND = "event"
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
_Row = dict[str, Any]


def statements(
    mapping: JsonMapping, body: Any, size: int, inbound: Inbound, config: SourceConfig
) -> Sequence[Statement]:
    """
    Give one event an item of ``each``, where ``when`` holds; and what cannot be read of the others.

    Args:
        body: What expressions see as ``body``: any JSON.
        size: About how many bytes it is.
        inbound: What it came with.

    Raises:
        PayloadNotUnderstood: The body as a whole cannot be read.
    """
    whole = {"body": body, "headers": _open_headers(inbound, config.auth)}
    reading = _Reading(mapping, whole, size)
    read = (_statement_of(config.name, reading, index, row) for index, row in enumerate(reading.rows()))
    return [statement for statement in read if statement is not None]


def _open_headers(inbound: Inbound, auth: AuthConfig) -> dict[str, str]:
    """Leave out what proves the sender: a label made of it would put the secret into the ledger."""
    secret = _CREDENTIALS | {auth.options.get("name", "").lower()}
    return {name: value for name, value in inbound.headers.items() if name not in secret}


class _Reading:
    """
    One body on its way through a mapping.

    To hand the whole body to an expression is what costs, so it is done where nothing less will do: what gives a value
    from an item's names alone needs no body; what gives one without them is the same for all items. The rest is
    counted.
    """

    def __init__(self, mapping: JsonMapping, whole: _Row, size: int) -> None:
        self.mapping = mapping
        self._whole = whole
        self._size = size
        self._left = MAX_BYTES_READ
        self._same: dict[str, Any] = {}
        self._differs: set[str] = set()

    def evaluate(self, program: Program, row: _Row, name: str) -> Any:
        if name in self._same:
            return self._same[name]
        if row:
            with suppress(EvaluationFailed):
                return program.evaluate(row)
            if name not in self._differs:
                with suppress(EvaluationFailed):
                    return self._same.setdefault(name, program.evaluate(self._whole))
                self._differs.add(name)
            self._count(name)
        try:
            return program.evaluate({**self._whole, **row})
        except EvaluationFailed as error:
            raise PayloadNotUnderstood(f"{name}: {error}") from None

    def _count(self, name: str) -> None:
        self._left -= self._size
        if self._left < 0:
            raise PayloadNotUnderstood(f"{name}: too long a body to be read for every item; give it a name in `each`")

    def rows(self) -> list[_Row]:
        """Give the names of each item, in order; one row without any where the mapping has no ``each``."""
        rows: list[_Row] = [{}]
        for name, program in self.mapping.each:
            inner: list[_Row] = []
            for row in rows:
                items = self.evaluate(program, row, f"each.{name}")
                if not isinstance(items, list):
                    raise PayloadNotUnderstood(f"each.{name}: the expression gave no list")
                if len(inner) + len(items) > MAX_ITEMS:
                    raise PayloadNotUnderstood(f"each.{name}: more than {MAX_ITEMS} items")
                inner.extend({**row, name: item} for item in items)
            rows = inner
        return rows


def _statement_of(source: str, reading: _Reading, index: int, row: _Row) -> Event | Unreadable | None:
    mapping = reading.mapping
    try:
        if mapping.when is not None and not _flag({"when": reading.evaluate(mapping.when, row, "when")}, "when"):
            return None
        return _event(source, {name: reading.evaluate(each, row, name) for name, each in mapping.fields.items()})
    except PayloadNotUnderstood as error:
        return Unreadable(why=f"item {index}: {error}")


def _event(source: str, values: Mapping[str, Any]) -> Event:
    fields: dict[str, Any] = {"kind": _DEFAULT_KIND, "labels": {}, "annotations": {}}
    for name, value in values.items():
        group, dot, label = name.partition(".")
        if not dot:
            fields[name] = _READERS[name](values, name)
        elif label == ALL:
            fields[group] = {**_fields.tags(value, name), **fields[group]}
        elif text := _text(values, name):
            fields[group][label] = text
    for name in ("kind", "key", "status"):
        if not fields.get(name):
            raise PayloadNotUnderstood(f"{name}: missing")
    if "occurred_at" in fields and fields["occurred_at"] is None:
        raise PayloadNotUnderstood("occurred_at: missing; a source stamps every event or none")
    return Event(source=source, **fields)


def _text(values: Mapping[str, Any], name: str) -> str:
    try:
        return as_text(values[name])
    except TypeError:
        raise PayloadNotUnderstood(f"{name}: neither a text nor a number") from None


def _identity(values: Mapping[str, Any], name: str) -> str:
    return _fields.bounded(_text(values, name))


def _line(values: Mapping[str, Any], name: str) -> str:
    return _fields.one_line(_text(values, name))


def _status(values: Mapping[str, Any], name: str) -> Status:
    try:
        return Status(values[name])
    except ValueError:
        raise PayloadNotUnderstood(f"{name}: must be one of {', '.join(Status)}") from None


def _flag(values: Mapping[str, Any], name: str) -> bool:
    value = values[name]
    if value is not None and not isinstance(value, bool):
        raise PayloadNotUnderstood(f"{name}: neither true nor false")
    return bool(value)


def _rank(values: Mapping[str, Any], name: str) -> int:
    value = values[name]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and type(value) is not int:
        raise PayloadNotUnderstood(f"{name}: not a whole number")
    return value or 0


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
    "kind": _identity,
    "key": _identity,
    "status": _status,
    "severity": _text,
    "severity_rank": _rank,
    "status_name": _text,
    "category": _text,
    "title": _line,
    "message": _text,
    "url": _text,
    "started_at": _fields.time,
    "occurred_at": _fields.time,
    "private": _flag,
    "test": _flag,
}
