"""
Statements over many rows at once, in the words of both databases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

_INSERTS: Mapping[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

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


def run_many(connection: Connection, statement: Executable | ByDialect, rows: Iterable[Values]) -> int:
    """Execute *statement* for all *rows*; give how many were written."""
    parameters = list(rows)
    if not parameters:
        return 0
    chosen = statement[connection.dialect.name] if isinstance(statement, Mapping) else statement
    return connection.execute(chosen, parameters).rowcount
