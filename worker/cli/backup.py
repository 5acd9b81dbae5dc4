"""``backup``: a sound copy of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.console import answer
from worker.cli.options import LedgerOption, settings_of

_CALLED = {"inbound": "webhook", "episode": "episode", "maintenance": "window", "action": "action"}


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; a file that does not exist yet.")],
    ledger: LedgerOption = None,
) -> None:
    """
    Copy the ledger, and look whether the copy is sound.

    As it is at one moment, while a worker may be writing. The copy is there whole or not at all, for its owner alone,
    and overwrites nothing. A worker that is started on it knows it as a backup.

    \b
    Example:
      statusbridge backup --ledger sqlite:////var/lib/statusbridge/ledger.db /var/backups/ledger-2026-11-23.db

    Exit codes: 0 the copy is there and sound; 1 it could not be made now; 2 there is no such ledger, or FILE exists or
    cannot be written.
    """
    from worker.cli.reading import now
    from worker.ledger.backup import back_up

    counts = back_up(settings_of(ledger=ledger).ledger, file, now())
    told = ", ".join(f"{count} {_CALLED[name]}{'' if count == 1 else 's'}" for name, count in counts.items())
    answer(f"{file}: {file.stat().st_size:,} bytes, sound: {told}")
