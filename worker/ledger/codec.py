"""
Domain values to JSON text and back, without loss.

A ``Form`` is compiled once from the type hints of a dataclass. Fields at their default are left out, so that a field
that is added with a default needs no migration; names that the class no longer has are passed over.
This file may not know tables.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

Convert = Callable[[Any], Any]
_Pair = tuple[Convert | None, Convert | None]
"""To plain data and back; None where the value is plain data already."""

_AS_IT_IS: _Pair = (None, None)
_MICROSECOND = timedelta(microseconds=1)


class Form(Generic[T]):
    """
    The JSON form of one dataclass.

    Args:
        kind: The dataclass.
        without: Fields that are kept elsewhere; they must be given to ``read``.

    Raises:
        TypeError: A field has a type that JSON cannot hold without loss.
    """

    def __init__(self, kind: type[T], *, without: Collection[str] = ()) -> None:
        hints = get_type_hints(kind)
        kept = [field for field in fields(cast(Any, kind)) if field.name not in without]
        pairs = {field.name: _pair(hints[field.name]) for field in kept}
        self._kind = kind
        self._names = frozenset(pairs)
        self._writers = [(field.name, _default(field), pairs[field.name][0]) for field in kept]
        self._readers = [(name, back) for name, (_, back) in pairs.items() if back is not None]

    def plain(self, value: T) -> dict[str, Any]:
        """Give *value* as data that ``json`` knows."""
        result = {}
        for name, default, convert in self._writers:
            item = getattr(value, name)
            if item != default:
                result[name] = item if convert is None else convert(item)
        return result

    def value(self, plain: Mapping[str, Any], **given: Any) -> T:
        """Make the value again; *given* are the fields that are kept elsewhere."""
        known = dict(plain) if plain.keys() <= self._names else {k: v for k, v in plain.items() if k in self._names}
        for name, convert in self._readers:
            if name in known:
                known[name] = convert(known[name])
        return self._kind(**known, **given)

    def write(self, value: T) -> str:
        """Give *value* as JSON text, pure ASCII."""
        return dump(self.plain(value))

    def read(self, text: str, **given: Any) -> T:
        """Make the value again from JSON text; *given* are the fields that are kept elsewhere."""
        return self.value(json.loads(text), **given)


dump = json.JSONEncoder(separators=(",", ":")).encode
"""Plain data to JSON text. ASCII, because neither a NUL nor half a surrogate pair survives in a column of text."""


def _pair(hint: Any) -> _Pair:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, arguments)
    if origin is not None:
        return _container(hint, origin, arguments)
    if hint in (str, int, bool):
        return _AS_IT_IS
    if hint is timedelta:
        return lambda length: length // _MICROSECOND, lambda count: timedelta(microseconds=count)
    if hint is datetime:
        return _write_time, datetime.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    if is_dataclass(hint):
        form: Form[Any] = Form(cast(type[Any], hint))
        return form.plain, form.value
    raise TypeError(f"no lossless JSON form for {hint}")


def _optional(hint: Any, arguments: tuple[Any, ...]) -> _Pair:
    inner = [argument for argument in arguments if argument is not type(None)]
    if len(inner) != 1:
        raise TypeError(f"no lossless JSON form for {hint}")
    write, read = _pair(inner[0])
    return _unless_none(write), _unless_none(read)


def _container(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> _Pair:
    if origin is Mapping and arguments[0] is str:
        write, read = _pair(arguments[1])
        return _each_value(write) or dict, _each_value(read)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        write, read = _pair(arguments[0])
        return _each(write, list), _each(read, tuple)
    if origin is frozenset and arguments == (str,):
        return sorted, frozenset
    raise TypeError(f"no lossless JSON form for {hint}")


def _enum(kind: type[Enum]) -> _Pair:
    return lambda member: member.value, {member.value: member for member in kind}.__getitem__


def _unless_none(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: None if value is None else convert(value))


def _each_value(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: {name: convert(item) for name, item in value.items()})


def _each(convert: Convert | None, make: Callable[[Any], Any]) -> Convert:
    return make if convert is None else lambda value: make(convert(item) for item in value)


def _write_time(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone: {value}")
    return value.astimezone(UTC).isoformat()


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
