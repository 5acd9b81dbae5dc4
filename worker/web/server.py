"""
The HTTP server: uvicorn, with limits on what is sent slowly, and with answers that leave in one piece.

uvicorn itself waits for ever for a request whose head was begun, and takes a head of any size. This file may not know
what is served.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

RECEIVE_S = 15.0
"""The longest that a request may take to arrive, from its first byte, or from the connection, to its last."""

MOST_HEAD = 64 * 1024
"""Bytes of a request line and headers; 32 KiB at most are usual among servers."""

BACKLOG = 2048
"""Connections that may wait until they are taken."""

MOST_CONNECTIONS = 1000
"""Beyond, requests are answered 503 at once."""


def bound(host: str, port: int) -> list[socket.socket]:
    """
    Listen on every address of *host*; nothing is taken yet.

    Raises:
        OSError: There is no such address here, or somebody else listens there.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            listening.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
    except OSError:
        for each in listening:
            each.close()
        raise
    return listening


class Server(uvicorn.Server):
    """
    Serves until ``should_exit`` is set or a signal comes.

    Args:
        started: Called with the address once the server listens.
        ending: Called when it begins to end: what would never be answered in full is to be let go.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        started: Callable[[str], None] = lambda url: None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=5,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
            )
        )
        self._tell = started
        self._ending = ending

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and tell where."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._tell(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """End, once what was asked is answered."""
        self._ending()
        await super().shutdown(sockets)  # type: ignore[arg-type]

    async def on_tick(self, counter: int) -> bool:
        """Close the connections whose requests take too long to arrive; asked ten times a second."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, _Connection):
                connection.end_if_late()
        return await super().on_tick(counter)


class _Connection(HttpToolsProtocol):
    _since: float | None = None
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _Whole(transport, self.loop)  # type: ignore[assignment]
        self._since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            self._since = self.loop.time()
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD and self.parser is not None and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        self._head = -1 << 62  # what follows is the body, which the app measures
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._since, self._head = None, 0
        super().on_message_complete()

    def end_if_late(self) -> None:
        if self._since is not None and self.loop.time() - self._since > RECEIVE_S:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class _Whole:
    """
    A transport that sends at once what is written within one round of the loop.

    uvicorn writes the head and the body of an answer apart; each write is a system call, and wakes the sender.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
