"""
Where notices go: webhooks of chats and programs, and addresses that want to hear that all is well.

An address is a secret: who has it can write there. So nothing tells of it but its host. Every call has a deadline that
nothing outlasts; no redirects, no cookies, no proxies, nothing from the environment.

Source: https://api.slack.com/messaging/webhooks (Mattermost, Rocket.Chat and Discord, below ``/slack``, take the same),
https://healthchecks.io/docs/ (any GET counts).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from worker.core.concerns import ends
from worker.core.model import Severity
from worker.ports import Clock, Receipt, Told

DEADLINE = 10.0
LONGEST_TEXT = 600
MOST_WAIT = timedelta(minutes=10)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MARKS = {Severity.INFO: "ℹ️", Severity.WARNING: "⚠️", Severity.ERROR: "🔴"}
_OVER = "✅"


def slack(told: Sequence[Told], dropped: int) -> bytes:
    """Write notices as Slack's incoming webhooks take them."""
    lines = [_line(each) for each in told]
    if dropped:
        lines.insert(0, f"({dropped} older notices are not told here: `statusbridge notices`)")
    return _json({"text": "\n".join(lines)})


def plain(told: Sequence[Told], dropped: int) -> bytes:
    """Write notices for programs."""
    return _json({"version": 1, "dropped": dropped, "notices": [_data(each) for each in told]})


FORMATS: Mapping[str, Callable[[Sequence[Told], int], bytes]] = {"slack": slack, "json": plain}


def _line(told: Told) -> str:
    notice = told.notice
    mark = _OVER if ends(notice) else _MARKS[notice.severity]
    # A link's text must not end the link; escaped it cannot.
    about = _escaped(notice.subject)
    about = f"<{told.link}|{about}>" if told.link else f"*{about}*"
    text = notice.text if len(notice.text) <= LONGEST_TEXT else notice.text[:LONGEST_TEXT] + " …"
    return f"{mark} {about}: {_escaped(text)} ({told.at:%Y-%m-%d %H:%M:%S} UTC, {notice.code})"


def _escaped(text: str) -> str:
    """Whatever stands in a notice is text: it mentions nobody and links nowhere."""
    for char, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, name)
    return text.replace("|", "¦").replace("\n", " ")


def _data(told: Told) -> dict[str, Any]:
    notice = told.notice
    return {
        "at": told.at.isoformat(),
        "code": notice.code,
        "about": notice.subject,
        "severity": notice.severity.name.lower(),
        "over": ends(notice),
        "text": notice.text,
        "link": told.link,
    }


def _json(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class Webhook:
    """
    Implements ``ports.Receiver``.

    Args:
        address: ``https://…``; ``http://`` on this machine only.
        format_: A key of ``FORMATS``.

    Raises:
        ValueError: The address is none; the text does not hold it.
    """

    def __init__(self, address: str, format_: str, clock: Clock, deadline: float = DEADLINE) -> None:
        self.host = checked(address)
        self._address = address
        self._format = FORMATS[format_]
        self._clock = clock
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"Webhook({self.host})"

    def tell(self, told: Sequence[Told], dropped: int) -> Receipt:
        """See ``ports.Receiver``."""
        return _receipt(self.host, self._clock, self._deadline, self._address, self._format(told, dropped))


class Heartbeat:
    """
    An address that is called while all is well; arguments and ValueError as ``Webhook``.
    """

    def __init__(self, address: str, clock: Clock, deadline: float = DEADLINE) -> None:
        self.host = checked(address)
        self._address = address
        self._clock = clock
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"Heartbeat({self.host})"

    def beat(self) -> Receipt:
        """Call it once; every failure is a receipt."""
        return _receipt(self.host, self._clock, self._deadline, self._address, None)


def checked(address: str) -> str:
    """
    Give the host of an address.

    Raises:
        ValueError: It is none that may be called.
    """
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("it is no address like https://hooks.example.com/…") from None
    if not host or parts.scheme not in ("http", "https") or not all("!" <= char <= "~" for char in address):
        raise ValueError("it is no address like https://hooks.example.com/…")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ValueError("it must begin with https://; http:// is for this machine only")
    return host


def _receipt(host: str, clock: Clock, deadline: float, address: str, body: bytes | None) -> Receipt:
    try:
        status, wait = asyncio.run(_called(address, body, deadline))
    except TimeoutError:
        return Receipt(taken=False, detail=f"{host}: no answer within {deadline:g} s")
    except Exception as fault:  # what it says may hold the address
        return Receipt(taken=False, detail=f"{host}: {type(fault).__name__}")
    if 200 <= status < 300:
        return Receipt(taken=True)
    return Receipt(taken=False, detail=f"{host}: {status}", retry_at=_later(wait, clock()))


async def _called(address: str, body: bytes | None, deadline: float) -> tuple[int, str]:
    async with asyncio.timeout(deadline):
        transport = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
        headers = {"user-agent": "statusbridge", "connection": "close"}
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=deadline, headers=headers) as client:
            method, more = ("GET", {}) if body is None else ("POST", {"content-type": "application/json"})
            async with client.stream(method, address, content=body, headers=more) as answer:
                return answer.status_code, answer.headers.get("retry-after", "")


def _later(wait: str, now: datetime) -> datetime | None:
    """Waits in seconds are heeded, up to a limit."""
    seconds = wait[:9] if wait.isascii() and wait.isdigit() else ""
    return now + min(timedelta(seconds=int(seconds)), MOST_WAIT) if seconds else None


@cache
def _tls() -> ssl.SSLContext:
    """Make the one TLS context: that costs tens of milliseconds."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
