"""Options that several commands share, and the settings that follow from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.errors import ConfigError

if TYPE_CHECKING:
    from worker.settings import Settings

RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", metavar="DIR", help="Rules directory; else STATUSBRIDGE_RULES, else ./rules."),
]
LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="sqlite:///path or postgresql://…; else STATUSBRIDGE_LEDGER, else sqlite:///statusbridge.db.",
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="How long back: 90s, 30m, 2h, 7d; or a time: 2026-11-23T10:00Z (UTC)."),
]
LimitOption = Annotated[int, typer.Option(metavar="NUMBER", min=1, max=100_000, help="How many at most.")]


def not_blank(value: str | None) -> str | None:
    """
    Take an option that may be left out, but not be empty: a script whose variable is unset means nothing by it.

    Raises:
        typer.BadParameter: It is given, and empty.
    """
    if value is not None and not value.strip():
        raise typer.BadParameter("is empty; give it a value")
    return value


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]


def settings_of(*, rules: Path | None = None, ledger: str | None = None) -> Settings:
    """
    Collect the settings for a command that does not listen.

    Raises:
        ConfigError: A value cannot be read; all problems at once.
    """
    from worker.settings import from_environment

    # Where the worker may listen, and with which token, is asked of `run` alone.
    return from_environment({"rules": rules, "ledger": ledger, "host": "127.0.0.1"}, os.environ)


def header_of(text: str) -> tuple[str, str]:
    """
    Read ``NAME:VALUE``; the name in lower case, as all of ours are.

    Raises:
        ConfigError: It is not of this form.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"--header: `{text[:60]}` is not of the form NAME:VALUE")
    return name.strip().lower(), value.strip()
