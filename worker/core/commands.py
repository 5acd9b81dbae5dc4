"""
What people may ask for, as data.

A command is read from plain data, so that the command line and HTTP take the same and say the same of what is wrong.
This file may not know what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError

from worker.errors import ConfigError, Problem

By = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
"""Who asks, as the history shall name them."""
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Let nothing be written to a page, or ("") to any, until it is resumed."""

    __pydantic_config__ = _STRICT

    by: By
    page: str = ""
    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Let a page, or ("") all pages, be written to again."""

    __pydantic_config__ = _STRICT

    by: By
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """
    Let an action that waits for approval go out.

    Args:
        action: Its id.
        hash: What was looked at (``approval.approval_hash``).
    """

    __pydantic_config__ = _STRICT

    by: By
    action: Id
    hash: Hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismiss:
    """
    Do not publish something.

    Args:
        subject: Id of an action that waits; or of an episode or window, none of which is public yet.
    """

    __pydantic_config__ = _STRICT

    by: By
    subject: Id
    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Let an action that is held or parked go out."""

    __pydantic_config__ = _STRICT

    by: By
    action: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """
    Give back to the worker what a person has taken over on the page.

    Args:
        subject: Id of an episode or window.
    """

    __pydantic_config__ = _STRICT

    by: By
    subject: Id


Command = Pause | Resume | Approve | Dismiss | Retry | Adopt

COMMANDS: Mapping[str, type[Command]] = {
    "pause": Pause,
    "resume": Resume,
    "approve": Approve,
    "dismiss": Dismiss,
    "retry": Retry,
    "adopt": Adopt,
}
"""What a command is called, on the command line and in an address, to its form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """
    What came of a command.

    Args:
        said: For people, one sentence each.
        sending: Ids of the actions that were on their way to the page already, and may still arrive there.
    """

    said: tuple[str, ...]
    sending: tuple[str, ...] = ()


def read(name: str, data: Mapping[str, Any]) -> Command:
    """
    Make a command.

    Args:
        name: One of ``COMMANDS``.
        data: Its fields.

    Raises:
        ConfigError: A field is missing, unknown or wrong; all of them at once.
    """
    try:
        return _form(name).validate_python(data)
    except ValidationError as wrong:
        faults = wrong.errors(include_url=False, include_input=False)
        raise ConfigError([Problem(".".join(map(str, f["loc"])), 0, 0, f["msg"]) for f in faults]) from None


@cache
def _form(name: str) -> TypeAdapter[Command]:
    return TypeAdapter(COMMANDS[name])
