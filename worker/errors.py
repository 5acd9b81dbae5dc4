"""
Every exception of the project; a class exists only where some ``except`` decides by it.

::

    ConfigError                 wrong configuration or call: exit code 2. Not below WorkerError: no loop can swallow it
    WorkerError
    ├── InboundError            the sender's fault; carries the HTTP status to answer
    │   ├── SourceUnknown       404
    │   ├── SignatureInvalid    401
    │   └── InboundTooLarge     413
    ├── KeyNeeded               what proves a request has to be fetched first: fetch it, ask again
    ├── PayloadNotUnderstood    authentic, but not readable as events: recorded, answered 202
    ├── Overloaded              the backlog is full: 503 and Retry-After
    ├── LedgerUnavailable       the ledger cannot take a commit now: 503 and Retry-After
    │   └── LedgerLocked        another process holds the ledger
    ├── Conflict                somebody else changed what a decision was based on: read again, decide again
    ├── CommandRefused          what a person asks makes no sense now: 409, exit code 1
    │   └── NotFound            it is about nothing that there is: 404
    ├── EvaluationFailed        a condition, variable or template failed at run time: park, tell, never guess
    └── ProviderUnavailable     a read of the page failed: try again later
        └── KeyDenied           because the page does not take our key: ask once a minute, whatever waits
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """
    One fault in what a person wrote, at its place.

    Args:
        file: Path as the person knows it, or the name of a setting.
        line: 1-based; 0 where the fault is in no line.
        column: 1-based; 0 where the fault is in no column.
        message: What is wrong, and what was meant, in one sentence or two.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" if place else self.message


class ConfigError(Exception):
    """Wrong configuration; carries every problem at once. Exit code 2."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = (
            (Problem("", 0, 0, problems),) if isinstance(problems, str) else tuple(sorted(problems))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class WorkerError(Exception):
    """The root of everything that a step or the shell may handle."""


class InboundError(WorkerError):
    """The sender's fault. ``http_status`` is what to answer."""

    http_status = 400


class SourceUnknown(InboundError):
    """No source of this name is configured."""

    http_status = 404


class SignatureInvalid(InboundError):
    """The request is not authentic. The text says nothing that helps to forge one."""

    http_status = 401


class InboundTooLarge(InboundError):
    """The body is larger than the limit."""

    http_status = 413


class KeyNeeded(WorkerError):
    """What proves a request has to be fetched first, from ``url``, which the source has looked at."""

    def __init__(self, url: str) -> None:
        super().__init__(f"the key at {url} is not known yet")
        self.url = url


class PayloadNotUnderstood(WorkerError):
    """An authentic body that cannot be read as events. The text is safe to show."""


class Overloaded(WorkerError):
    """The backlog is full."""


class LedgerUnavailable(WorkerError):
    """The ledger cannot take or give rows now."""


class LedgerLocked(LedgerUnavailable):
    """Another process holds the ledger."""


class Conflict(WorkerError):
    """What a decision was based on has changed meanwhile."""


class CommandRefused(WorkerError):
    """What a person asks makes no sense now. The text says why, and the way out."""


class NotFound(CommandRefused):
    """What a person asks is about nothing that there is. The text says how to find it."""


class EvaluationFailed(WorkerError):
    """A condition, a variable or a template failed at run time. The text names it and why."""


class ProviderUnavailable(WorkerError):
    """A read of the page failed. The text is free of secrets."""


class KeyDenied(ProviderUnavailable):
    """The page does not take our key."""
