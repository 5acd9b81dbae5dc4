"""A page that misbehaves: a TCP server on the loopback whose every connection is served by a script."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from worker.providers._http import Http
from worker.providers._pace import Pace

KEY = "canary-Key-9f3a7c51d2"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)

Script = Callable[[socket.socket], None]


class RawPage:
    """
    Serves each connection in a thread: reads one request, then runs the script.

    Args:
        script: Gets the connection after the request was read; it is closed when the script returns.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            request = read_request(connection)
            if request:
                self.requests.append(request)
                self.script(connection)


def read_request(connection: socket.socket) -> bytes:
    """One whole HTTP request, or what came of it."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def response(status: int, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of an answer with a length."""
    lines = [f"HTTP/1.1 {status} Some", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(data: bytes) -> Script:
    """Sends *data* and ends."""
    return lambda connection: connection.sendall(data)


def resetting(data: bytes) -> Script:
    """Sends *data* and resets the connection."""

    def script(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def http_to(url: str, **options: Any) -> Http:
    """Ours, with a pace of its own and a clock that stands still."""
    return Http(url, KEY, **{"clock": lambda: NOW, "pace": Pace(), **options})
