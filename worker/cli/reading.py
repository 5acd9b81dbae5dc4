"""The ledger as commands read it, the address of its worker, and times as people type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from worker.errors import ConfigError

if TYPE_CHECKING:
    from worker.ledger import Ledger


def now() -> datetime:
    """Give the time: aware, UTC."""
    return datetime.now(UTC)


@contextmanager
def ledger_to_read(url: str) -> Iterator[Ledger]:
    """
    Open a ledger that a worker may be writing meanwhile.

    Raises:
        ConfigError: There is none, or it is of another version.
        LedgerUnavailable: Its server cannot be reached.
    """
    from worker.ledger import open_ledger

    ledger = open_ledger(url, clock=now, read_only=True)
    try:
        yield ledger
    finally:
        ledger.close()


def address_left(run_file: Path | None) -> str:
    """Give the address that a worker left beside its ledger; "" where there is none to read."""
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads(run_file.read_text())["url"]) if run_file else ""
    return ""


def moment(option: str, text: str, at: datetime) -> datetime:
    """
    Read "2h", "1d12h" as so long before *at*, or an ISO 8601 time, in UTC where it has no zone.

    Raises:
        ConfigError: It is neither.
    """
    from pydantic_core import PydanticCustomError

    from worker.core.spec.scalars import parse_duration

    try:
        return at - parse_duration(text)
    except PydanticCustomError:
        pass
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option}: `{text[:60]}` is neither like 90s, 30m, 2h, 7d nor like 2026-11-23T10:00Z"
        ) from None
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told
