"""
The sandbox over TCP: an ASGI application, and uvicorn around it, in the foreground or in a thread.

Only this file knows sockets. Faults that end a connection act on its transport, which ASGI does not hand out; the
protocol class here notes the transport of each client.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from worker.sandbox.content import DEFAULT, build_pages
from worker.sandbox.faults import Faults
from worker.sandbox.service import MAX_BODY, Clock, Exchange, Service
from worker.sandbox.state import State
from worker.sandbox.wire import Reply, Request

if TYPE_CHECKING:
    import asyncio

    import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def default_state(clock: Clock = utc_now) -> State:
    """A state with the page that stands in the examples."""
    return State(build_pages(DEFAULT, clock()))


class Wires:
    """The open connections, by client address, numbered as they came."""

    def __init__(self) -> None:
        self.count = 0
        self._open: dict[tuple[str, int], tuple[int, asyncio.Transport]] = {}

    def add(self, client: tuple[str, int], transport: asyncio.Transport) -> None:
        self.count += 1
        self._open[client] = (self.count, transport)

    def remove(self, client: tuple[str, int]) -> None:
        self._open.pop(client, None)

    def number(self, client: tuple[str, int]) -> int:
        return self._open[client][0] if client in self._open else 0

    def end(self, client: tuple[str, int]) -> None:
        """Close one connection after what was written to it has left."""
        if client in self._open:
            self._open[client][1].close()

    def abort_all(self) -> None:
        """Close every connection at once."""
        for _, transport in list(self._open.values()):
            transport.abort()


def make_app(state: State, faults: Faults, clock: Clock, wires: Wires | None = None) -> App:
    """
    The sandbox as an ASGI application.

    Args:
        clock: Aware time.
        wires: Where dropped connections are found; without it a drop raises ConnectionAbortedError out of the app.
    """
    import asyncio  # here and below: the package must load fast

    service = Service(state, faults, clock)
    lines = wires or Wires()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        client = tuple(scope.get("client") or ("", 0))
        request = await _request(scope, receive, lines.number(client))
        if request is None:
            return
        exchange = service.begin(request)
        try:
            await asyncio.sleep(exchange.fault.delay)
            reply = service.answer(exchange)
            await _send(exchange, reply, clock(), receive, send, lambda: lines.end(client))
        finally:
            service.end(exchange)
        if wires is None and (reply is None or exchange.fault.cut):
            raise ConnectionAbortedError(exchange.fault.name)

    return app


async def _request(scope: Message, receive: Receive, connection: int) -> Request | None:
    """Read a request; None where its client is gone before it was whole: nobody serves half of one."""
    body = b""
    more = True
    while more and len(body) <= MAX_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
        connection=connection,
    )


async def _send(
    exchange: Exchange, reply: Reply | None, now: datetime, receive: Receive, send: Send, end: Callable[[], None]
) -> None:
    if reply is not None:
        length = [] if reply.status == 204 else [("content-length", str(len(reply.body)))]
        headers = [*reply.headers, *length, ("date", format_datetime(now, usegmt=True))]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        sent = reply.body[: len(reply.body) // 2] if exchange.fault.cut else reply.body
        await send({"type": "http.response.body", "body": sent, "more_body": exchange.fault.cut})
    if reply is None or exchange.fault.cut:
        if exchange.fault.silence != "hang":
            end()
        await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _uvicorn(app: App, wires: Wires, host: str, port: int) -> uvicorn.Server:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                wires.add(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                wires.remove(self.client)
            super().connection_lost(exc)

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,  # the sandbox's own clock dates the answers
    )
    return uvicorn.Server(config)


class SandboxServer:
    """
    A sandbox in a thread, on a free port of the loopback; ``with SandboxServer() as server: server.url …``.

    Args:
        state: The default page where left out.
        clock: Aware time; replace it to move the sandbox's time.
    """

    def __init__(
        self,
        state: State | None = None,
        faults: Faults | None = None,
        clock: Clock = utc_now,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.clock = clock
        self.state = state or default_state(clock)
        self.faults = faults or Faults()
        self.wires = Wires()
        self._socket = socket.create_server((host, port))
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self.state.base_url = self.url
        app = make_app(self.state, self.faults, self.now, self.wires)
        self._server = _uvicorn(app, self.wires, host, port)
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread.start()

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.clock()

    def stop(self) -> None:
        """End the server and every connection to it."""
        self._server.should_exit = self._server.force_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may have ended by itself
                self._loop.call_soon_threadsafe(self.wires.abort_all)
        self._thread.join(timeout=5)
        self._socket.close()

    def __enter__(self) -> SandboxServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run(self) -> None:
        import asyncio

        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self._socket])

        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(run())


def serve(host: str, port: int, state: State | None = None, faults: Faults | None = None) -> None:
    """
    Run a sandbox in the foreground until interrupted.

    Args:
        port: 0 takes a free one; ``state.base_url`` says which before anything is served.

    Raises:
        OSError: The address is in use.
    """
    state = state or default_state()
    wires = Wires()
    with socket.create_server((host, port)) as listener:
        shown = f"[{host}]" if ":" in host else host
        state.base_url = f"http://{shown}:{listener.getsockname()[1]}"
        app = make_app(state, faults or Faults(), utc_now, wires)
        _uvicorn(app, wires, host, port).run(sockets=[listener])
