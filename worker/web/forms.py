"""
What a person writes into a form of the dashboard, read as a command.

A form bears the words of ``core.commands``, and a few of its own: ``form_token``; ``on``, the page that it stands on;
and ``back``, where to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request

from worker.core.commands import COMMANDS, Command, read
from worker.errors import ConfigError, NotFound, Problem
from worker.web.render import link

MOST = 256 * 1024
"""Bytes of a form."""
_YES_NO = {"yes": True, "no": False}
_TIMES = ("starts_at", "ends_at")
_OWN = ("form_token", "back", "on", "by")


async def fields(request: Request) -> dict[str, list[str]]:
    """
    Read a form.

    Raises:
        ConfigError: It is larger than any of ours.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST:
            raise ConfigError("the form is too large")
    text = body.decode("utf-8", "replace")
    return parse_qs(text, keep_blank_values=True, max_num_fields=500)


def command(name: str, form: Mapping[str, list[str]], by: str) -> Command:
    """
    Make the command of a form.

    Args:
        name: One of ``COMMANDS``.
        by: Who is signed in.

    Raises:
        NotFound: There is no such command.
        ConfigError: A field is missing, unknown or wrong; all of them at once.
    """
    if name not in COMMANDS:
        raise NotFound(f"there is no command `{name[:60]}`")
    data: dict[str, Any] = {"by": by}
    for field, values in form.items():
        if field not in _OWN:
            data[field] = _value(field, values)
    return read(name, {field: value for field, value in data.items() if value is not None})


def _value(field: str, values: list[str]) -> Any:
    if field == "components":
        return [each for each in values if each]
    # Browsers end lines in two characters; pages and the texts of rules in one.
    value = values[-1].replace("\r\n", "\n")
    if field == "notify":
        return _YES_NO.get(value)
    if field in _TIMES:
        return _moment(field, value)
    return value


def _moment(field: str, text: str) -> str:
    """Forms ask for times in UTC, and browsers write no zone."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError([Problem(field, 0, 0, f"`{text[:40]}` is no time like 2026-12-06T02:00 (UTC)")]) from None
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).isoformat()


def again(form: Mapping[str, list[str]]) -> str:
    """Give the address of the page that a form stands on, with what a person wrote, so that it is shown there again."""
    path, _, query = local(form.get("on", ["/"])[-1]).partition("?")
    written = {field: values for field, values in form.items() if field not in (*_OWN, "hash")}
    return link(path, **{**parse_qs(query), **written})


def local(path: str) -> str:
    """Give a path of ours, whatever was asked for: nobody is sent to another site."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours else "/"
