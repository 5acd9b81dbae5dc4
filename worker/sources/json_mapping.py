"""
Any tool that can send JSON, without code: the rules directory says in CEL how its body is read (kind ``json``).

Expressions see ``body``, ``headers`` (lower-case names, without those that carry credentials) and the names of
``each``. Whatever fails in one of them fails the whole body, and the error names the item and the field: half a
statement is never made. This file may not know how expressions are written or compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from worker.core.conditions import as_text
from worker.core.model import Event, Inbound, Status
from worker.core.ruleset import AuthConfig, JsonMapping, Program, SourceConfig
from worker.errors import EvaluationFailed, PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _json

MAX_ITEMS = 1000
_DEFAULT_KIND = "event"
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
_Row = dict[str, Any]


class JsonSource:
    """Reads any JSON by a configured mapping."""

    kind = "json"
    schemes = _auth.SCHEMES
    event_kinds: frozenset[str] = frozenset()  # any: the configuration chooses the word
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give one event an item of ``each``, where ``when`` holds."""
        if config.mapping is None:
            raise PayloadNotUnderstood("the source has no `event` mapping to read bodies by")
        outer = {"body": _json.read(inbound.body), "headers": _open_headers(inbound, config.auth)}
        rows = _rows(config.mapping, outer)
        same = _constants(config.mapping, outer) if len(rows) > 1 else {}
        events = (_numbered(config.name, config.mapping, index, row, same) for index, row in enumerate(rows))
        return [event for event in events if event is not None]

    def delivery_id(self, inbound: Inbound) -> str:
        """Give the id of Standard Webhooks, where there is one."""
        return _auth.message_id(inbound.headers)


def _open_headers(inbound: Inbound, auth: AuthConfig) -> dict[str, str]:
    """Leave out what proves the sender: a label made of it would put the secret into the ledger."""
    secret = _CREDENTIALS | {auth.options.get("name", "").lower()}
    return {name: value for name, value in inbound.headers.items() if name not in secret}


def _rows(mapping: JsonMapping, outer: _Row) -> list[_Row]:
    rows = [outer]
    for name, program in mapping.each:
        inner: list[_Row] = []
        for row in rows:
            items = _evaluate(program, row, f"each.{name}")
            if not isinstance(items, list):
                raise PayloadNotUnderstood(f"each.{name}: the expression gave no list")
            if len(inner) + len(items) > MAX_ITEMS:
                raise PayloadNotUnderstood(f"each.{name}: more than {MAX_ITEMS} items")
            inner.extend({**row, name: item} for item in items)
        rows = inner
    return rows


def _constants(mapping: JsonMapping, outer: _Row) -> _Row:
    """
    Evaluate what needs no name of ``each``, once instead of for every item.

    To hand the whole body to an expression is what costs. One that gives a value while the names are unbound gives the
    same with any items.
    """
    found: _Row = {}
    for name, program in mapping.fields.items():
        with suppress(EvaluationFailed):
            found[name] = program.evaluate(outer)
    return found


def _numbered(source: str, mapping: JsonMapping, index: int, row: _Row, same: _Row) -> Event | None:
    try:
        if mapping.when is not None and not _flag({"when": _evaluate(mapping.when, row, "when")}, "when"):
            return None
        fields = mapping.fields.items()
        return _event(
            source, {name: same[name] if name in same else _evaluate(each, row, name) for name, each in fields}
        )
    except PayloadNotUnderstood as error:
        raise PayloadNotUnderstood(f"item {index}: {error}") from None


def _evaluate(program: Program, row: _Row, name: str) -> Any:
    try:
        return program.evaluate(row)
    except EvaluationFailed as error:
        raise PayloadNotUnderstood(f"{name}: {error}") from None


def _event(source: str, values: Mapping[str, Any]) -> Event:
    fields: dict[str, Any] = {"kind": _DEFAULT_KIND, "labels": {}, "annotations": {}}
    for name in values:
        group, dot, label = name.partition(".")
        if dot:
            fields[group][label] = _text(values, name)
        else:
            fields[name] = _READERS[name](values, name)
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
