"""
``/widget/{page}``: what a page's owner may show of it elsewhere, for anybody, and a banner that shows it.

A plain ASGI endpoint beside the app, as that of the hooks is: it is asked by every visitor of every page that bears the
banner. What a summary is made of, and by whom, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib.resources import files
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from worker.errors import WorkerError
from worker.ports import Meter
from worker.web.widget.snapshots import Json, Snapshot, Snapshots

PREFIX = "/widget/"
READS = ("GET", "HEAD")
MOST_COMPONENTS = 20
LONGEST_QUERY = 2000
SCRIPT_CACHE = b"public, max-age=3600"

Headers = list[tuple[bytes, bytes]]

_OPEN: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"age, cache-status, etag, retry-after"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"x-content-type-options", b"nosniff"),
]
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"if-none-match"),
    (b"access-control-max-age", b"86400"),
]
_JSON = (b"content-type", b"application/json")
_DEMO_POLICY = b"default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"


class Widget:
    """
    Args:
        pages: Gives the names of the pages that have one.
        summary: Asks for the summary of a page, in a thread; raises WorkerError where there is none.
        ttl: Seconds for which a summary is fresh: so often at most it is asked for.
        stale: Seconds after which one is not shown any more, however unreachable the page may be.
        monotonic: Seconds that never run back.
    """

    def __init__(
        self,
        pages: Callable[[], Collection[str]],
        summary: Callable[[str], Json],
        *,
        ttl: float,
        stale: float,
        monotonic: Callable[[], float],
        meter: Meter,
    ) -> None:
        self._pages = pages
        self._meter = meter
        self._snapshots = Snapshots(summary, ttl=ttl, stale=stale, monotonic=monotonic, meter=meter)
        fresh = f"public, max-age={ttl:.0f}, stale-while-revalidate={ttl:.0f}, stale-if-error={stale:.0f}"
        self._cache_control = (b"cache-control", fresh.encode())
        self._retry_after = (b"retry-after", f"{max(1, ttl):.0f}".encode())
        self._banner = _asset("banner.js")
        self._demo = _asset("demo.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one request."""
        page, _, rest = scope["path"][len(PREFIX) :].partition("/")
        method = scope["method"]
        if method == "OPTIONS":
            await _answer(send, 204, b"", _PREFLIGHT, method)
        elif method not in READS:
            await _refuse(send, 405, b"read it", method, (b"allow", b"GET, HEAD, OPTIONS"))
        elif page not in self._pages():
            await _refuse(send, 404, b"no such page", method)
        elif rest == "":
            await self._summary(page, scope, send)
        elif rest == "banner.js":
            await self._static(scope, send, b"text/javascript; charset=utf-8", self._banner)
        elif rest == "demo":
            policy = (b"content-security-policy", _DEMO_POLICY)
            await self._static(scope, send, b"text/html; charset=utf-8", self._demo, policy)
        else:
            await _refuse(send, 404, b"nothing is here", method)

    async def _summary(self, page: str, scope: Scope, send: Send) -> None:
        components = _components(scope["query_string"])
        if components is None:
            await _refuse(send, 400, b"too many components", scope["method"])
            return
        try:
            shown = await self._snapshots.get(page)
        except WorkerError:
            self._meter.count("widget_requests", page=page, outcome="unavailable")
            await _refuse(send, 503, b"not known now", scope["method"], self._retry_after)
            return
        self._meter.count("widget_requests", page=page, outcome=shown.outcome)
        body, etag = shown.part(components)
        headers = [_JSON, (b"etag", etag), self._cache_control, (b"age", b"%d" % shown.age)]
        headers.append((b"cache-status", shown.status))
        await _conditional(scope, send, body, etag, headers)

    async def _static(
        self, scope: Scope, send: Send, kind: bytes, asset: tuple[bytes, bytes], *more: tuple[bytes, bytes]
    ) -> None:
        body, etag = asset
        headers = [(b"content-type", kind), (b"etag", etag), (b"cache-control", SCRIPT_CACHE), *more]
        await _conditional(scope, send, body, etag, headers)


def _components(query: bytes) -> tuple[str, ...] | None:
    """Give the components that are asked for, in one order; () for all, None where they are too many."""
    if not query:
        return ()
    if len(query) > LONGEST_QUERY:
        return None
    asked = {value.casefold() for name, value in parse_qsl(query.decode("latin-1")) if name == "component"}
    return tuple(sorted(asked)) if len(asked) <= MOST_COMPONENTS else None


def _asset(name: str) -> tuple[bytes, bytes]:
    body = (files(__package__) / name).read_bytes()
    return body, Snapshot.etag_of(body)


async def _conditional(scope: Scope, send: Send, body: bytes, etag: bytes, headers: Headers) -> None:
    known = next((value for name, value in scope["headers"] if name == b"if-none-match"), None)
    if known is not None and (etag in known or known.strip() == b"*"):
        await _answer(send, 304, b"", headers, scope["method"])
    else:
        await _answer(send, 200, body, headers, scope["method"])


async def _refuse(send: Send, status: int, why: bytes, method: str, *more: tuple[bytes, bytes]) -> None:
    body = b'{"error":"%b"}' % why
    await _answer(send, status, body, [_JSON, (b"cache-control", b"no-store"), *more], method)


async def _answer(send: Send, status: int, body: bytes, headers: Headers, method: str) -> None:
    length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length, *_OPEN]})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
