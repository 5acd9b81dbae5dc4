"""
Webhooks as they came, to be played again: from a ledger, or from a folder of files.

In a folder: ``<source>/<time>_<anything>.json``, the time as 20261123T100000Z; of names that begin with none the time
of the file counts. Headers may stand beside a body, in ``….headers.json``; there also ``:method`` and ``:query``, where
the request was no ``POST`` or its address said something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from worker.core.model import Inbound
from worker.errors import ConfigError, Problem
from worker.telling.data import PROOF

if TYPE_CHECKING:
    from worker.ledger import Ledger

CHUNK = 1000
HEADERS = ".headers.json"
EARLIEST, LATEST = 1970, 2200
_LIKE_A_TIME = re.compile(r"\d{4}-?\d\d-?\d\dT")


def from_ledger(ledger: Ledger, since: datetime) -> Iterator[Sequence[Inbound]]:
    """Give the webhooks that a ledger has from *since* on, in order of receipt, some at a time."""
    after = 0
    while found := ledger.recorded(since, after, CHUNK):
        yield found
        after = found[-1].seq


def from_folder(folder: Path) -> list[Inbound]:
    """
    Read a folder of webhooks, in order of their times.

    Raises:
        ConfigError: There is none, or headers cannot be read; all problems at once.
    """
    problems = [
        Problem(str(path), 0, 0, "put it into a folder named after its source")
        for path in sorted(folder.glob("*.json"))
        if path.is_file()
    ]
    found = [_inbound(path, problems) for path in sorted(folder.glob("*/*")) if _is_body(path)]
    if not found and not problems:
        message = "there is no <source>/<time>.json below it"
        problems.append(Problem(str(folder), 0, 0, message if folder.is_dir() else "there is no such folder"))
    if problems:
        raise ConfigError(problems)
    return sorted(found, key=lambda inbound: inbound.received_at)


def save(folder: Path, inbounds: Sequence[Inbound]) -> int:
    """Write webhooks as ``from_folder`` reads them, without what proved their senders; give how many."""
    for inbound in inbounds:
        home = folder / inbound.source
        home.mkdir(parents=True, exist_ok=True)
        name = f"{inbound.received_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}_{inbound.seq}"
        (home / f"{name}.json").write_bytes(inbound.body)
        headers = {key: value for key, value in inbound.headers.items() if not PROOF.search(key)}
        headers |= {":method": inbound.method} if inbound.method != "POST" else {}
        headers |= {":query": inbound.query} if inbound.query else {}
        (home / f"{name}{HEADERS}").write_text(json.dumps(headers, indent=1) + "\n")
    return len(inbounds)


def _is_body(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and not path.name.endswith(HEADERS)


def _inbound(path: Path, problems: list[Problem]) -> Inbound:
    headers = _headers(path.with_name(path.stem + HEADERS), problems)
    return Inbound(
        source=path.parent.name,
        body=path.read_bytes(),
        method=headers.pop(":method", "POST"),
        query=headers.pop(":query", ""),
        headers=headers,
        received_at=_time(path, problems),
    )


def _time(path: Path, problems: list[Problem]) -> datetime:
    told = path.stem.partition("_")[0]
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if not _LIKE_A_TIME.match(told):
        return written
    try:
        at = datetime.fromisoformat(told)
        if EARLIEST <= at.year <= LATEST:
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except ValueError:
        pass
    message = f"its name begins like a time, but is none from {EARLIEST} to {LATEST}; write 20261123T100000Z"
    problems.append(Problem(str(path), 0, 0, message))
    return written


def _headers(path: Path, problems: list[Problem]) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return {str(name).lower(): str(value) for name, value in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError):
        problems.append(Problem(str(path), 0, 0, "this is no JSON map of header names to values"))
        return {}
