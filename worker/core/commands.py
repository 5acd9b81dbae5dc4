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

from annotated_types import Len
from pydantic import AwareDatetime, StringConstraints, TypeAdapter, ValidationError

from worker.errors import ConfigError, Problem

By = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
"""Who asks, as the history shall name them."""
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4096)]
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
        title: Posted in place of its title; "": as it is.
        text: Posted in place of its text; "": as it is.
    """

    __pydantic_config__ = _STRICT

    by: By
    action: Id
    hash: Hash
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    text: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismiss:
    """
    Do not publish something, or set a parked inbound aside.

    Args:
        subject: Id of an action that waits; or of an episode or window, none of which is public yet; or inbound/NUMBER.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleWindow:
    """
    Schedule a maintenance window that no entry of the rules plans.

    Args:
        text: The announcement; "": it appears when it starts.
        notify: Whether the first post mails the subscribers.
    """

    __pydantic_config__ = _STRICT

    by: By
    page: Id
    components: Annotated[tuple[Id, ...], Len(1, 1000)]
    title: Title
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    text: Text = ""
    start_text: Text = ""
    complete_text: Text = ""
    notify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWindow:
    """
    Start a maintenance window now.

    Args:
        window: Its id.
        text: Said instead of what the plan says; "": as planned.
        notify: Whether that mails the subscribers; None: as planned.
    """

    __pydantic_config__ = _STRICT

    by: By
    window: Id
    text: Text = ""
    notify: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteWindow(StartWindow):
    """Complete a maintenance window now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelWindow(StartWindow):
    """Call a maintenance window off before it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendWindow(StartWindow):
    """
    Let a maintenance window end later.

    Args:
        ends_at: Later than it would end now.
    """

    ends_at: AwareDatetime


WindowOrder = StartWindow | CompleteWindow | CancelWindow | ExtendWindow
Command = Pause | Resume | Approve | Dismiss | Retry | Adopt | ScheduleWindow | WindowOrder

COMMANDS: Mapping[str, type[Command]] = {
    "pause": Pause,
    "resume": Resume,
    "approve": Approve,
    "dismiss": Dismiss,
    "retry": Retry,
    "adopt": Adopt,
    "maintenance/schedule": ScheduleWindow,
    "maintenance/start": StartWindow,
    "maintenance/complete": CompleteWindow,
    "maintenance/extend": ExtendWindow,
    "maintenance/cancel": CancelWindow,
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


def verb(command: Command) -> str:
    """Say what a command is called, in words: "maintenance start"."""
    return next(name for name, form in COMMANDS.items() if form is type(command)).replace("/", " ")


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


def plain(name: str, command: Command) -> dict[str, Any]:
    """Give a command as data that JSON knows, and ``read`` makes it of."""
    data: dict[str, Any] = _form(name).dump_python(command, mode="json")
    return data


@cache
def _form(name: str) -> TypeAdapter[Command]:
    return TypeAdapter(COMMANDS[name])
