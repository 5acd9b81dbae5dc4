"""
HTTP to a status page: the only place that touches httpx, and httpcore, the part of httpx that owns the sockets.

Every request has a connection of its own, a deadline that nothing outlasts, and a note of whether its first byte may
have left. No retries, no redirects, no cookies, no proxies, nothing from the environment. Knows no vendor.

Source: https://www.python-httpx.org/advanced/transports/ (own transports), https://www.encode.io/httpcore/network-backends/
(streams).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from worker.ports import Clock
from worker.providers import _pace
from worker.providers._outcomes import Answer, Exchange, Unanswered, told_wait
from worker.providers._text import plain

CONNECT_TIMEOUT = 5.0
WRITE_DEADLINE = 30.0
READ_DEADLINE = 15.0
WRITE_CAP = 1024 * 1024
READ_CAP = 32 * 1024 * 1024
"""A list of incidents with all their updates is far larger than the answer to a write."""
PATIENCE = 2.0
HOLD = timedelta(seconds=5)
"""How long a key rests after a 429 that says nothing of when to come back."""
HIDDEN = "***"
"""What stands in place of the key, should it ever come back in an answer or an error."""

_SOCKETS = httpcore.SyncBackend()

for _name in ("httpx", "httpcore"):  # what they log holds addresses and headers
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@functools.cache
def tls() -> ssl.SSLContext:
    """Give the one TLS context: authorities of httpx and of this machine. Making one costs tens of milliseconds."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Overdue(Exception):
    """The deadline has passed."""


class _Call:
    """One request under way: the time it has left, and whether it may have begun to leave."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self.began = False
        self._seconds = seconds
        self._monotonic = monotonic
        self._ends = monotonic() + seconds

    def left(self, most: float = float("inf")) -> float:
        """Give the seconds left, at most *most*; raises _Overdue where there are none."""
        left = self._ends - self._monotonic()
        if left <= 0:
            raise _Overdue(f"the deadline of {self._seconds:g} s has passed")
        return min(left, most)


class _Stream(httpcore.NetworkStream):
    """A connection that serves one call and lets nothing outlast it, be it one byte at a time."""

    def __init__(self, inner: httpcore.NetworkStream, call: _Call) -> None:
        self._inner = inner
        self._call = call

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 the call's own deadline holds
        return self._inner.read(max_bytes, self._call.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 the same
        left = self._call.left()
        self._call.began = True
        self._inner.write(buffer, left)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _connect(origin: httpcore.Origin, call: _Call) -> _Stream:
    host = origin.host.decode("ascii")
    stream = _SOCKETS.connect_tcp(host, origin.port, call.left(CONNECT_TIMEOUT))
    if origin.scheme == b"https":
        try:
            stream = stream.start_tls(tls(), host, call.left(CONNECT_TIMEOUT))
        except _Overdue:
            stream.close()
            raise
    return _Stream(stream, call)


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: Any, connection: httpcore.HTTP11Connection) -> None:
        self._inner = inner
        self._connection = connection

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        self._connection.close()


class _FreshConnections(httpx.BaseTransport):
    """
    A transport that cannot reuse a connection, because it keeps none.

    So a write never meets one that the other side is just closing, and a call's deadline holds from the first SYN on.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url
        url = httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
        connection = httpcore.HTTP11Connection(url.origin, _connect(url.origin, request.extensions["call"]))
        asked = httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream)
        answer = connection.handle_request(asked)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream, connection))


class Http:
    """
    One page API: an address and a key. Thread-safe.

    Args:
        base_url: ``https://host[:port][/prefix]``; ``http`` for rehearsals.
        api_key: Sent as bearer token, shown nowhere; None: what anybody may read is read.
        clock: Only for when the page wants to be asked again.
        told: Reads from the body of a 429 what the vendor says there about that: seconds, a date, anything.
        pace: Limits requests; by default the one that everybody with this key shares.
        write_deadline: Seconds from the call until a write is given up, whatever the page does.
        read_deadline: The same for a read.
        read_cap: Bytes; what is larger is not read to its end.
        monotonic: Seconds that never run back.

    Raises:
        ValueError: The address or the key is not usable; the text says why and holds neither.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        clock: Clock,
        told: Callable[[bytes], object] = lambda body: None,
        pace: _pace.Pace | None = None,
        write_deadline: float = WRITE_DEADLINE,
        read_deadline: float = READ_DEADLINE,
        read_cap: int = READ_CAP,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = _host(base_url)
        self._base = base_url.rstrip("/")
        self._key = None if api_key is None else _checked_key(api_key)
        self._clock = clock
        self._told = told
        self._pace = pace or _pace.shared(hashlib.sha256(f"{self._base} {api_key}".encode()).hexdigest())
        self._limits = {True: (write_deadline, WRITE_CAP), False: (read_deadline, read_cap)}
        self._monotonic = monotonic
        self._client = httpx.Client(
            transport=_FreshConnections(),
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={
                "accept": "application/json",
                "accept-encoding": "identity",
                "connection": "close",
                "user-agent": "statusbridge",
                **({"authorization": f"Bearer {api_key}"} if api_key is not None else {}),
            },
        )

    def __repr__(self) -> str:
        return f"Http({self.host})"

    def write(self, method: str, target: str, body: bytes) -> Exchange:
        """
        Send a write once. Never raises: whatever happens is told in the value.

        Args:
            target: Path and query, from "/".
            body: Sent verbatim as JSON; b"" for none.
        """
        return self._ask(method, target, body, write=True)

    def read(self, target: str) -> Exchange:
        """Read once; as ``write``."""
        return self._ask("GET", target, b"", write=False)

    def _ask(self, method: str, target: str, body: bytes, *, write: bool) -> Exchange:
        seconds, cap = self._limits[write]
        call = _Call(seconds, self._monotonic)
        wait = self._pace.take(write=write, patience=min(PATIENCE, seconds))
        if wait:
            at = self._clock() + timedelta(seconds=wait)
            return Unanswered(sent=False, detail=f"{self.host}: the key is at its rate limit", retry_at=at)
        try:
            answer = self._exchange(method, target, body, cap, call)
        except Exception as fault:  # whatever it is, only one thing matters: may a byte have left
            return Unanswered(sent=call.began, detail=self._tell(fault, call))
        return answer

    def _exchange(self, method: str, target: str, body: bytes, cap: int, call: _Call) -> Answer:
        request = self._client.build_request(
            method,
            self._base + target,
            content=body or None,
            headers={"content-type": "application/json"} if body else {},
            extensions={"call": call},
        )
        response = self._client.send(request, stream=True)
        try:
            content, complete = _body(response, cap)
        finally:
            response.close()
        return self._answer(response, content, complete)

    def _answer(self, response: httpx.Response, content: bytes, complete: bool) -> Answer:
        retry_at, now = None, self._clock()
        if not response.is_success:
            retry_at = told_wait((response.headers.get("retry-after"), self._told(content)), now)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self._pace.hold((retry_at - now if retry_at else HOLD).total_seconds())
        return Answer(
            status=response.status_code,
            headers={name: self._without_key(value) for name, value in response.headers.items()},
            body=content if self._key is None else content.replace(self._key.encode(), HIDDEN.encode()),
            complete=complete,
            retry_at=retry_at,
        )

    def _tell(self, fault: Exception, call: _Call) -> str:
        what = "no whole answer" if call.began else "could not be reached"
        text = f"{self.host}: {what}: {str(fault) or type(fault).__name__}"
        return plain(self._without_key(text), 300)

    def _without_key(self, text: str) -> str:
        return text if self._key is None else text.replace(self._key, HIDDEN)


def _body(response: httpx.Response, cap: int) -> tuple[bytes, bool]:
    """Read at most *cap* bytes as sent; False where that is not all, or not plain."""
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > cap:
            return bytes(content[:cap]), False
    return bytes(content), response.headers.get("content-encoding", "identity") == "identity"


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as fault:
        raise ValueError("the address of the API is not a URL") from fault
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("the address of the API must begin with https:// and a host name")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the address of the API must hold no user name, query or fragment")
    return f"{host}:{port}" if port else host


def _checked_key(api_key: str) -> str:
    if not api_key or not all("!" <= char <= "~" for char in api_key):
        raise ValueError("the API key is empty, or holds a blank, a line break or another character that no key holds")
    return api_key
