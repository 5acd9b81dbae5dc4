"""``token``: an admin token for one person."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from worker.cli.console import answer, remark
from worker.errors import ConfigError

_NAME = re.compile(r"[\w.@-]{1,60}")


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, as the history shall name them.")],
) -> None:
    """
    Make an admin token for one person.

    Prints the token, for them alone, and what the worker is to be given of it: its name and its SHA-256, from which
    the token cannot be found. Keeps nothing.

    \b
    Examples:
      statusbridge token ann
      STATUSBRIDGE_ADMIN_TOKENS="ann=9f86… bob=60303…" statusbridge run

    Exit codes: 0 good; 2 the name cannot be used.
    """
    import secrets

    from worker.web.session import hashed

    if not _NAME.fullmatch(name):
        raise ConfigError("NAME: letters, digits, and . @ - _ only; 60 at most")
    made = secrets.token_urlsafe(32)
    remark(f"for {name} alone, and not shown again:")
    answer(made)
    remark("to be added to STATUSBRIDGE_ADMIN_TOKENS of the worker:")
    answer(f"{name}={hashed(made)}")
