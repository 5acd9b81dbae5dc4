"""
Words for people and documents for programs: answers on standard output, remarks on standard error.

Whatever is printed may have come from a webhook, so that nothing but printable characters reaches the terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

WIDTH_OF_A_PIPE = 160


def clean(text: str) -> str:
    """Replace what is neither printable nor a line break: terminals obey control characters."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text.replace("\t", " "))


def answer(text: str) -> None:
    """Say what was asked for."""
    typer.echo(clean(text))


def remark(text: str) -> None:
    """Say something beside the answer: a warning, a problem, a way on."""
    typer.echo(clean(text), err=True)


def document(data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON document, pure ASCII; times in ISO 8601, UTC."""
    typer.echo(json.dumps(data, indent=2, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return utc(value, "T") + "Z"
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def utc(at: datetime | None, between: str = " ") -> str:
    """Write a time in UTC, to the second, without its zone; "" for None."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(between, "seconds") if at else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str] | None = None) -> None:
    """
    Print a table; coloured only on a terminal and unless NO_COLOR is set.

    Args:
        columns: Headings; the first column is never wrapped.
        rows: Cells, plain text, of one or more lines.
        styles: Text of a whole cell to its colour.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        grid.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(clean(cell), style=(styles or {}).get(cell, "")) for cell in row))
    on_terminal = sys.stdout.isatty()
    width = None if on_terminal or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE
    console = Console(width=width, highlight=False, soft_wrap=False)
    with console.capture() as printed:
        console.print(grid)
    typer.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))
