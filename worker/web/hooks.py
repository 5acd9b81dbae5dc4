"""
``POST /hooks/{source}``: read the bytes within limits, hand them to intake, answer when they are on disk.

A plain ASGI endpoint: nothing is parsed that intake does not parse itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from worker.core.model import Inbound
from worker.errors import InboundError, InboundTooLarge, KeyNeeded, LedgerUnavailable, Overloaded
from worker.ports import Clock, Entry, Meter, Recorded
from worker.steps.intake import Intake, Receipt
from worker.web.errands import Errands

PREFIX = "/hooks/"
METHODS = ("POST", "PUT", "GET")
RETRY_AFTER_S = b"5"
MOST_DIGITS = 18
"""So many of a length are read; Python itself refuses to read thousands."""

_Bytes = TypeVar("_Bytes", bytes, bytearray)
_JSON = (b"content-type", b"application/json")


class HookEndpoint:
    """
    Args:
        max_body: Bytes; a larger body is refused before it is read.
        ring: Called once something new is on disk.
        errands: Fetches what sources need.

    Attributes:
        received: How many inbounds were authentic so far.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        max_body: int,
        clock: Clock,
        meter: Meter,
        ring: Callable[[], None],
        errands: Errands | None = None,
    ) -> None:
        self.received = 0
        self._intake = intake
        self._max_body = max_body
        self._clock = clock
        self._meter = meter
        self._ring = ring
        self._errands = errands or Errands(clock)
        self._arrived: list[tuple[Entry, asyncio.Future[Recorded]]] = []
        self._settled: deque[tuple[asyncio.Future[Recorded], Recorded | Exception]] = deque()
        self._waking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in METHODS or (scope["method"] == "GET" and not scope["query_string"]):
            await self._other(scope, send)
            return
        try:
            body = await self._body(scope, receive)
            if body is None:
                return
            inbound = _inbound(scope, body, self._clock)
            receipt = await self._recorded(inbound)
        except InboundError as wrong:
            self._meter.count("inbounds_refused", reason=type(wrong).__name__)
            await _answer(send, wrong.http_status, _refusal(wrong))
        except (Overloaded, LedgerUnavailable, KeyNeeded) as ours:
            self._meter.count("inbounds_refused", reason=type(ours).__name__)
            await _answer(send, 503, b'{"error":"not now; come back later"}', (b"retry-after", RETRY_AFTER_S))
        else:
            await _answer(send, 202, _accepted(receipt))
            if not receipt.accepted and (url := self._intake.errand(inbound)):
                self._errands.run(url)

    async def _other(self, scope: Scope, send: Send) -> None:
        """Answer what is no webhook: a sender that asks whether it may send, or a mistake."""
        yes: Mapping[str, str] = {}
        if scope["method"] == "OPTIONS":
            with suppress(InboundError):
                yes = self._intake.welcome(_inbound(scope, b"", self._clock))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in yes.items()]
        allow = (b"allow", ", ".join(METHODS).encode())
        if yes:
            await _answer(send, 200, b"{}", allow, *headers)
        else:
            await _answer(send, 405, b'{"error":"post it"}', allow)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:MOST_DIGITS]) > self._max_body:
                raise InboundTooLarge
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if not message.get("more_body"):
            return self._within(bytes(message.get("body", b"")))
        chunks = bytearray(message.get("body", b""))
        while message.get("more_body"):
            self._within(chunks)
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks += message.get("body", b"")
        return bytes(self._within(chunks))

    def _within(self, body: _Bytes) -> _Bytes:
        if len(body) > self._max_body:
            raise InboundTooLarge
        return body

    async def _recorded(self, inbound: Inbound) -> Receipt:
        try:
            entry = self._intake.understood(inbound)
        except KeyNeeded as needed:
            await self._errands.bring(needed.url, partial(self._intake.learn, inbound))
            entry = self._intake.understood(inbound)
        self.received += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Recorded] = loop.create_future()
        if not self._arrived:
            loop.call_soon(self._hand_over)
        self._arrived.append((entry, future))
        return self._intake.receipt(entry, await future)

    def _hand_over(self) -> None:
        """
        Queue what came in one round of the loop: one commit takes it all.

        Handed over one by one, the first would wake the ledger's writer, which then took the interpreter away from
        those who come next.
        """
        arrived, self._arrived = self._arrived, []
        loop = asyncio.get_running_loop()
        for entry, future in arrived:
            try:
                self._intake.record(entry, partial(self._done, loop, future))
            except (Overloaded, LedgerUnavailable) as ours:
                future.set_exception(ours)

    def _done(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Recorded], result: Recorded | Exception
    ) -> None:
        # Many are settled by one commit: one call into the loop wakes them all. The flag falls before the
        # deque is emptied, so that whoever still saw it up has appended in time.
        self._settled.append((future, result))
        if not self._waking:
            self._waking = True
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._waking = False
        while self._settled:
            future, result = self._settled.popleft()
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(
                    result if isinstance(result, LedgerUnavailable) else LedgerUnavailable(str(result))
                )
            else:
                future.set_result(result)
        self._ring()


def _inbound(scope: Scope, body: bytes, clock: Clock) -> Inbound:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Inbound(
        source=scope["path"][len(PREFIX) :],
        body=body,
        headers=headers,
        received_at=clock(),
        query=scope["query_string"].decode("latin-1"),
        method=scope["method"],
    )


def _accepted(receipt: Receipt) -> bytes:
    unparsed = b',"unparsed":%d' % receipt.unparsed if receipt.unparsed else b""
    return b'{"accepted":%d,"duplicates":%d%b}' % (receipt.accepted, receipt.duplicates, unparsed)


_REFUSALS = {401: b'{"error":"not authentic"}', 404: b'{"error":"no such source"}', 413: b'{"error":"body too large"}'}


def _refusal(wrong: InboundError) -> bytes:
    return _REFUSALS.get(wrong.http_status, b'{"error":"refused"}')


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})
