"""
Who may ask: tokens, and what a browser must not be talked into.

Hooks do not come by here: their senders prove themselves.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.calendar import PATH as CALENDAR
from worker.web.problems import problem

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/hooks"})
"""The last is where a sender posts whose address lacks the source: told that nothing is there, not that it may not."""
READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    What lets in whom.

    Args:
        admin_token: Asked for everything but hooks and health; "": reading is free.
        calendar_token: Opens the calendar alone, in its address; calendars send no headers. "": none.
        run_token: Does what the admin token does; the worker leaves it to commands on its own machine. "": none.
    """

    admin_token: str = ""
    run_token: str = ""
    calendar_token: str = ""

    def __repr__(self) -> str:
        return "Access()"

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """Every one that may do everything."""
        return tuple(token.encode() for token in (self.admin_token, self.run_token) if token)


class Guard:
    """
    Asks for a token for all that writes, and where there is an admin token for all that reads.

    Where nobody has set a token only this machine can reach the worker, and what it is asked must be meant for it: a
    page in a browser may have its own name point here, but it cannot change what it is called.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer with what is missing."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._misled(scope["method"], headers)
        if refusal is None and not self._of_a_calendar(scope):
            refusal = self._stranger(scope["method"], headers)
        await (refusal or self._app)(scope, receive, send)

    def _misled(self, method: str, headers: Mapping[bytes, bytes]) -> ASGIApp | None:
        if not self._access.admin_token and not _of_this_machine(headers.get(b"host", b"")):
            return problem(421, "misdirected", "this worker is asked as 127.0.0.1 or localhost only")
        if method not in READS and _from_elsewhere(headers):
            return problem(403, "foreign_origin", "a page of another site may not ask this")
        return None

    def _of_a_calendar(self, scope: Scope) -> bool:
        token = self._access.calendar_token
        if not token or scope["path"] != CALENDAR or scope["method"] not in READS:
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        return hmac.compare_digest(given[-1].encode(), token.encode())

    def _stranger(self, method: str, headers: Mapping[bytes, bytes]) -> ASGIApp | None:
        if method in READS and not self._access.admin_token:
            return None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        # All are compared, so that the time tells nothing of which one was near.
        found = [hmac.compare_digest(given, token) for token in self._access.tokens]
        if scheme.lower() == b"bearer" and any(found):
            return None
        return problem(401, "token_needed", "the admin token is needed", headers={"www-authenticate": "Bearer"})


def _of_this_machine(host: bytes) -> bool:
    name = _split(host.decode("latin-1"))
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _split(host: str) -> str:
    """Take the port off."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _from_elsewhere(headers: Mapping[bytes, bytes]) -> bool:
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host", b"")
