"""The ledger as commands read it, the address of its worker, and times as people type them."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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


def unknown(book: Ledger, reference: str) -> str:
    """Say that nothing is called so, or more than one thing, and what there is."""
    rule, _, number = reference.rpartition("#")
    lines = book.history(rule_id=rule, limit=10_000) if rule and number.isdecimal() else ()
    meant = sorted({line.episode for line in lines if line.number == int(number)})
    if meant:
        return f"`{reference}` is more than one episode; name it in full: {', '.join(meant)}"
    return f"there is nothing called `{reference}`; `statusbridge history` names what there is"


@dataclass(frozen=True, slots=True)
class Left:
    """What a worker left beside its ledger: where it listens, who it is, and what lets commands in."""

    url: str
    pid: str
    token: str = field(repr=False)


def left_by_worker(run_file: Path | None) -> Left | None:
    """Read what a worker left beside its ledger; None where there is nothing to read. It may be of one that is gone."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(run_file.read_text()) if run_file else {}
        return Left(str(told["url"]), str(told["pid"]), str(told["token"]))
    return None


def holder_of(file: Path) -> str:
    """Give the process that holds the lock beside a ledger, or ""; shares the lock for an instant, writes nothing."""
    try:
        with Path(f"{file}.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Path(f"{file}.lock").read_text("ascii", "replace").strip() or "unknown"
    except OSError:
        pass
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
