"""
Who may ask: tokens, sessions, and what a browser must not be talked into.

Hooks do not come by here: their senders prove themselves.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.calendar import PATH as CALENDAR
from worker.web.problems import problem
from worker.web.session import Sessions, Visitor, hashed, holder

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/hooks"})
"""The last is where a sender posts whose address lacks the source: told that nothing is there, not that it may not."""
READS = frozenset({"GET", "HEAD"})
SIGN_IN, STATIC, FORMS = "/sign-in", "/static/", "/act/"
FORM_TOKEN = "x-form-token"  # noqa: S105  (a header)
ADMIN, RUN = "admin", "run file"
"""What the tokens are called that have no name of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    What lets in whom.

    Args:
        admin_token: Asked for everything but hooks and health; "": reading is free, unless there are *admins*.
        admins: The same for several, name to the SHA-256 of their token, hexadecimal.
        calendar_token: Opens the calendar alone, in its address; calendars send no headers. "": none.
        run_token: Does what the admin token does; the worker leaves it to commands on its own machine. "": none.
    """

    admin_token: str = ""
    admins: Mapping[str, str] = field(default_factory=dict)
    run_token: str = ""
    calendar_token: str = ""

    def __repr__(self) -> str:
        return "Access()"

    @property
    def closed(self) -> bool:
        """Whether reading asks for a token, too."""
        return bool(self.admin_token or self.admins)

    @property
    def tokens(self) -> Mapping[str, str]:
        """Every one that may do everything: its name to its SHA-256."""
        plain = {ADMIN: self.admin_token, RUN: self.run_token}
        return {**self.admins, **{name: hashed(token) for name, token in plain.items() if token}}


class Guard:
    """
    Asks for a token for all that writes, and where there is an admin token for all that reads; from a browser for the
    cookie of a session in its place.

    Where nobody has set a token only this machine can reach the worker, and what it is asked must be meant for it: a
    page in a browser may have its own name point here, but it cannot change what it is called.
    """

    def __init__(self, app: ASGIApp, access: Access, sessions: Sessions) -> None:
        self._app = app
        self._access = access
        self._tokens = access.tokens
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer with what is missing."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._misled(scope["method"], headers)
        scope["visitor"] = self._sessions.visitor(headers.get(b"cookie", b"").decode("latin-1"))
        if refusal is None and not self._of_a_calendar(scope) and not _of_strangers(scope["path"]):
            refusal = self._stranger(scope, headers)
        await (refusal or self._app)(scope, receive, send)

    def _misled(self, method: str, headers: Mapping[bytes, bytes]) -> ASGIApp | None:
        if not self._access.closed and not _of_this_machine(headers.get(b"host", b"")):
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

    def _stranger(self, scope: Scope, headers: Mapping[bytes, bytes]) -> ASGIApp | None:
        reads = scope["method"] in READS
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and holder(self._tokens, given):
            return None
        visitor: Visitor | None = scope["visitor"]
        if visitor is not None:
            # A form bears its word in the body: whoever reads that looks at it.
            if reads or scope["path"].startswith(FORMS) or _bears(headers, visitor):
                return None
            return problem(403, "form_token_needed", f"with a session, the header {FORM_TOKEN} is needed")
        if reads and not self._access.closed:
            return None
        browser = b"text/html" in headers.get(b"accept", b"")
        if browser and scope["path"].startswith(FORMS):
            return None  # told there in a way that loses nothing of what was written
        if reads and browser:
            query = scope["query_string"].decode("latin-1")
            there = scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse(f"{SIGN_IN}?to={quote(there, safe='/')}", 303)
        return problem(401, "token_needed", "the admin token is needed", headers={"www-authenticate": "Bearer"})


def _of_strangers(path: str) -> bool:
    """Whether it is what nobody can need a token for: where one is shown, and what that page looks like."""
    return path == SIGN_IN or path.startswith(STATIC)


def _bears(headers: Mapping[bytes, bytes], visitor: Visitor) -> bool:
    return hmac.compare_digest(headers.get(FORM_TOKEN.encode(), b""), visitor.form_token.encode())


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
