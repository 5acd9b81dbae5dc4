"""
Statements over many rows at once, in the words of both databases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Executable, Table, and_, false, or_
from sqlalchemy.dialects import postgresql, sqlite

_INSERTS: Mapping[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

T = TypeVar("T")

_AT_ONCE = 500
"""Values in one statement; SQLite takes 32,766."""

_COUNTED = {"preserve_rowcount": True}  # SQLAlchemy forgets how many rows an INSERT wrote

ByDialect = Mapping[str, Executable]
Values = Mapping[str, Any]


def insert_new(table: Table, keys: Sequence[str]) -> ByDialect:
    """Insert rows, pass over those whose *keys* are there."""
    return {name: make(table).on_conflict_do_nothing(index_elements=keys) for name, make in _INSERTS.items()}


def upsert(table: Table, *changing: str, **computed: Callable[[Any], ColumnElement[Any]]) -> ByDialect:
    """
    Insert rows, or change those that are there.

    Args:
        changing: Columns that take the new row's value.
        computed: Column names to what they become, given the new row.
    """
    return {name: _upsert(make(table), table, changing, computed) for name, make in _INSERTS.items()}


def _upsert(
    statement: Any, table: Table, changing: Sequence[str], computed: Mapping[str, Callable[[Any], ColumnElement[Any]]]
) -> Executable:
    taken = {name: statement.excluded[name] for name in changing}
    made = {name: make(statement.excluded) for name, make in computed.items()}
    keys = table.primary_key.columns.keys()
    result: Executable = statement.on_conflict_do_update(index_elements=keys, set_=taken | made)
    return result


def one_of(
    first: ColumnElement[str], second: ColumnElement[str], pairs: Iterable[tuple[str, str]]
) -> ColumnElement[bool]:
    """Ask for rows whose (first, second) is one of *pairs*; SQLite reads a whole table for row values in a list."""
    seconds: dict[str, list[str]] = defaultdict(list)
    for one, other in pairs:
        seconds[one].append(other)
    return or_(false(), *(and_(first == one, second.in_(others)) for one, others in sorted(seconds.items())))


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut *values* into lists that one statement can take."""
    everything = list(values)
    for start in range(0, len(everything), _AT_ONCE):
        yield everything[start : start + _AT_ONCE]


def run_many(connection: Connection, statement: Executable | ByDialect, rows: Iterable[Values]) -> int:
    """Execute *statement* for all *rows*; give how many were written."""
    parameters = list(rows)
    if not parameters:
        return 0
    chosen = statement[connection.dialect.name] if isinstance(statement, Mapping) else statement
    return connection.execute(chosen, parameters, execution_options=_COUNTED).rowcount
