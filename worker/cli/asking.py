"""
The way of commands that change something: through the worker that holds the ledger, else by ourselves.

A SQLite ledger has one writer. Where a worker is it, it takes commands through its API; the address and a token stand
in a file beside the ledger. A ledger in PostgreSQL has any number: there commands write themselves, always.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.errors import CommandRefused, ConfigError, LedgerLocked, LedgerUnavailable, NotFound, Problem

if TYPE_CHECKING:
    from worker.cli.reading import Left
    from worker.core.commands import Command, Done
    from worker.settings import Settings

PATIENCE_S = 5.0
"""How long to wait for a worker that holds the ledger already and does not listen yet, or for another command."""
LOOK_S = 0.1
TIMEOUT_S = 30.0

ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who asks, for the history. Default: your name on this machine."),
]


def ask(settings: Settings, name: str, by: str | None, **fields: Any) -> Done:
    """
    Have a command done.

    Args:
        name: One of ``core.commands.COMMANDS``.
        by: Who asks; None: who is logged in.
        fields: Its other fields.

    Raises:
        ConfigError: The command is wrong, or the ledger cannot be written by this user.
        CommandRefused: It makes no sense now.
        LedgerUnavailable: It could not be done now.
    """
    from worker.core.commands import read

    command = read(name, {"by": _who() if by is None else by, **fields})
    file = _file(settings)
    until = time.monotonic() + PATIENCE_S
    while True:
        worker = _worker(settings, file)
        if worker is not None:
            return _through(worker, name, command)
        try:
            return _by_ourselves(settings, file, command)
        except LedgerLocked:
            if time.monotonic() > until:
                raise
        time.sleep(LOOK_S)


def _who() -> str:
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError, ImportError):  # nobody has that number; which error says so depends on the Python
        return f"uid {os.getuid()}"


def _file(settings: Settings) -> Path | None:
    """Give the file of the ledger, which must be there; None for a server."""
    from worker.bootstrap import run_file_of

    beside = run_file_of(settings.ledger)
    if beside is None:
        return None
    file = beside.with_suffix("")
    if not file.exists():
        raise ConfigError(f"{file}: there is no ledger here; name that of your worker with --ledger")
    return file


def _by_ourselves(settings: Settings, file: Path | None, command: Command) -> Done:
    from worker.bootstrap.by_hand import by_hand
    from worker.cli.reading import holder_of

    # What root leaves beside the ledger, its owner cannot open again.
    if file is not None and not holder_of(file) and (owner := file.stat().st_uid) != os.geteuid():
        raise ConfigError(f"{file}: the ledger belongs to user {owner}; run this as that user: sudo -u '#{owner}' …")
    return by_hand(settings, command)


def _worker(settings: Settings, file: Path | None) -> Left | None:
    """Give what the holder of the ledger left; None where another process left it, or nothing is there yet."""
    from worker.bootstrap import run_file_of
    from worker.cli.reading import holder_of, left_by_worker

    left = left_by_worker(run_file_of(settings.ledger))
    return left if file is not None and left is not None and left.pid == holder_of(file) else None


def _through(worker: Left, name: str, command: Command) -> Done:
    import httpx

    from worker.core.commands import plain

    headers = {"authorization": f"Bearer {worker.token}"}
    try:
        # No proxy of the environment: the token is for the worker alone.
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False, headers=headers) as client:
            reply = client.post(f"{worker.url}/api/v1/{name}", json=plain(name, command))
    except httpx.ConnectError:
        raise LedgerUnavailable(
            f"nobody answers at {worker.url}: the worker that holds the ledger is about to end; nothing was done"
        ) from None
    except httpx.HTTPError as failed:
        raise LedgerUnavailable(
            f"the worker at {worker.url} did not answer ({type(failed).__name__}); whether it has done it, "
            "`statusbridge history` shows"
        ) from None
    return _understood(reply.status_code, _json(reply))


def _json(reply: Any) -> Mapping[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"detail": f"it answered {reply.status_code} without a reason"}


def _understood(status: int, body: Mapping[str, Any]) -> Done:
    from worker.core.commands import Done

    if status == 200:
        return Done(said=tuple(body["said"]), sending=tuple(body["sending"]))
    detail = str(body.get("detail", ""))
    if status == 422:
        raise ConfigError([Problem("", 0, 0, detail)])
    raise {404: NotFound, 409: CommandRefused}.get(status, LedgerUnavailable)(detail)
