"""
Sessions of people with a browser: a signed cookie instead of a token in every request.

The cookie says who, by which token, and until when; nothing is kept here but which sessions were ended early. What a
form of another site cannot know is derived from it: a word that every form of ours bears.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

from worker.ports import Clock

COOKIE = "statusbridge_session"
LASTS = timedelta(hours=12)
MOST_TRIES = 10
WITHIN = timedelta(minutes=5)
"""So often within so long may one address, or all together ten times as often, be wrong about a token."""

MOST_ENDED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """
    Somebody who is signed in.

    Args:
        name: As the history shall name them.
        token: The name of the token that they showed.
        form_token: What every form of theirs bears.
    """

    name: str
    token: str
    form_token: str


class Sessions:
    """
    Args:
        key: Signs the cookies.
        known: Says whether a token of that name still opens the door.
        nonce: Gives text that nobody can guess.
    """

    def __init__(self, key: bytes, *, known: Callable[[str], bool], clock: Clock, nonce: Callable[[], str]) -> None:
        self._key = key
        self._known = known
        self._clock = clock
        self._nonce = nonce
        self._ended: deque[str] = deque(maxlen=MOST_ENDED)

    def begin(self, name: str, token: str) -> str:
        """Give the value of the cookie."""
        until = int((self._clock() + LASTS).timestamp())
        plain = json.dumps([name, token, until, self._nonce()], separators=(",", ":"))
        body = base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")
        return f"{body}.{self._sign('session', body)}"

    def visitor(self, cookies: str) -> Visitor | None:
        """Read the cookies of a request; None: nobody is signed in."""
        value = cookie(cookies, COOKIE)
        body, _, signature = value.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()) or value in self._ended:
            return None
        name, token, until, _ = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if until < self._clock().timestamp() or not self._known(token):
            return None
        return Visitor(name=name, token=token, form_token=self._sign("form", body))

    def end(self, cookies: str) -> None:
        """Let the session of a request open nothing any more."""
        self._ended.append(cookie(cookies, COOKIE))

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()


def cookie(header: str, name: str) -> str:
    """Give one cookie of a header; "" where there is none, or it cannot be read."""
    jar: SimpleCookie = SimpleCookie()
    for part in header.split(";"):  # one by one: a cookie of somebody else's that is odd hides none of ours
        if part.strip().startswith(f"{name}="):
            try:
                jar.load(part.strip())
            except CookieError:
                return ""
    return jar[name].value if name in jar else ""


class Tries:
    """Counts who was wrong about a token, and says when it is too often."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: deque[tuple[datetime, str]] = deque(maxlen=MOST_TRIES * 10)

    def wait(self, address: str) -> int:
        """Give how many seconds an address has to wait before its next try; 0: none."""
        now = self._clock()
        while self._wrong and self._wrong[0][0] <= now - WITHIN:
            self._wrong.popleft()
        own = [at for at, by in self._wrong if by == address]
        times = own if len(own) >= MOST_TRIES else [at for at, _ in self._wrong]
        full = len(own) >= MOST_TRIES or len(times) >= MOST_TRIES * 10
        return max(1, int((times[0] + WITHIN - now).total_seconds())) if full else 0

    def count(self, address: str) -> None:
        """Take note that an address was wrong."""
        self._wrong.append((self._clock(), address))


def hashed(token: str) -> str:
    """Give the form in which a token may be kept: its SHA-256. It must be long and random: nothing slows a search."""
    return hashlib.sha256(token.encode()).hexdigest()


def holder(tokens: Mapping[str, str], given: bytes) -> str:
    """
    Say whose token was given.

    Args:
        tokens: Name to SHA-256, hexadecimal.
    """
    digest = hashlib.sha256(given).hexdigest()
    # All are compared, so that the time tells nothing of which one was near.
    found = [name for name, known in tokens.items() if hmac.compare_digest(digest, known)]
    return found[0] if found else ""
