"""
A page that breaks: the rehearsal page behind a socket of its own, which spoils one answer to a write as it is told.

Whatever it does to the answer, the page has the write (*applied*) or has not; both are tried.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.unit.providers.raw import RawPage, resetting
from worker.core.model import Result
from worker.sandbox import DEFAULT_KEY, State
from worker.sandbox.api import handle
from worker.sandbox.wire import Reply, Request

STATUSES = (*range(300, 309), *range(400, 452), *range(500, 512), 599, 600, 999)
REFUSED = (400, 404, 405, 406, 412, 413, 422)
KEY_IS_BAD = (401, 403)
DEADLINE = 1.0


@dataclass(frozen=True, slots=True)
class Break:
    """
    One way to answer a write.

    Args:
        spoil: Gets the connection and the bytes of the good answer, and sends what it likes.
        applied: Whether the page has the write.
        result: What must be made of it.
    """

    name: str
    spoil: Callable[[socket.socket, bytes], None]
    applied: bool = True
    result: Result = Result.UNKNOWN


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that reached the page."""

    write: bool
    body: bytes


class BreakingPage(RawPage):
    """
    Args:
        clock: The time of the page.
    """

    def __init__(self, state: State, clock: Callable[[], datetime]) -> None:
        self.state = state
        self.clock = clock
        self.seen: list[Seen] = []
        self.next: Break | None = None
        super().__init__(self._answer)

    def _answer(self, connection: socket.socket) -> None:
        head, _, body = self.requests.pop().partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        parts = urlsplit(target)
        headers = {"authorization": f"Bearer {DEFAULT_KEY}"}
        query = dict(parse_qsl(parts.query))
        request = Request(method=method, path=parts.path, query=query, headers=headers, body=body)
        self.seen.append(Seen(request.write, body))
        broken, self.next = (self.next, None) if request.write else (None, self.next)
        if broken is None:
            connection.sendall(_bytes(handle(self.state, request, self.clock())))
        else:
            good = handle(self.state, request, self.clock()) if broken.applied else Reply(status=201, body=b"{}")
            broken.spoil(connection, _bytes(good))


def _bytes(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Some", f"content-length: {len(reply.body)}", "content-type: application/json"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body


# -- ways to end


def closes(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)


def resets(connection: socket.socket, data: bytes) -> None:
    resetting(data)(connection)


def half_closes(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)


def stalls(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.recv(1)  # until it is given up


def drips(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(DEADLINE / 8)


ENDINGS = (closes, resets, half_closes)


def every_byte(length: int, step: int) -> Iterator[Break]:
    """The good answer, broken off after each *step*-th byte of so many, in turn in each of three ways."""
    for at in range(0, length, step):
        ends = ENDINGS[(at // step) % len(ENDINGS)]
        yield Break(
            f"{ends.__name__} after {at} bytes", lambda c, good, at=at, ends=ends: ends(c, good[: at % len(good)])
        )  # type: ignore[misc]


# -- answers that are none


def _body(good: bytes) -> bytes:
    return good.partition(b"\r\n\r\n")[2]


def _head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 201 Created", *lines]).encode() + b"\r\n\r\n"


def _said(status: int, body: bytes, *lines: str) -> bytes:
    told = [f"HTTP/1.1 {status} Some", f"content-length: {len(body)}", *lines]
    return "\r\n".join(told).encode() + b"\r\n\r\n" + body


def _chunk(data: bytes, size: str | None = None) -> bytes:
    return (size or f"{len(data):x}").encode() + b"\r\n" + data + b"\r\n"


CHUNKED = _head("transfer-encoding: chunked")

_MALFORMED: Mapping[str, Callable[[bytes], bytes]] = {
    "nothing": lambda good: b"",
    "TLS": lambda good: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
    "SSH": lambda good: b"SSH-2.0-OpenSSH_9.9\r\n" + good,
    "noise": lambda good: bytes(range(256)) * 8,
    "ICY": lambda good: b"ICY 201 OK\r\n\r\n" + _body(good),
    "status of letters": lambda good: good.replace(b" 201 ", b" abc ", 1),
    "status of five digits": lambda good: good.replace(b" 201 ", b" 20101 ", 1),
    "status of one digit": lambda good: good.replace(b" 201 ", b" 2 ", 1),
    "negative status": lambda good: good.replace(b" 201 ", b" -201 ", 1),
    "no status": lambda good: good.replace(b" 201 Some", b"", 1),
    "another protocol": lambda good: good.replace(b"HTTP/1.1", b"HTTP/two", 1),
    "HTTP 0.9": _body,
    "header without colon": lambda good: _head("nothing here") + _body(good),
    "header name of blanks": lambda good: _head("  : x") + _body(good),
    "NUL in a header": lambda good: _head("x-a: a\0b") + _body(good),
    "header of a megabyte": lambda good: _head(f"x-a: {'a' * 1_000_000}") + _body(good),
    "100,000 headers": lambda good: _head(*[f"x-{n}: a" for n in range(100_000)]) + _body(good),
    "headers without end": lambda good: b"HTTP/1.1 201 Created\r\nx-a: a\r\n",
    "length too long": lambda good: _head(f"content-length: {len(_body(good)) + 9}") + _body(good),
    "length too short": lambda good: _head(f"content-length: {len(_body(good)) - 9}") + _body(good),
    "length zero": lambda good: _head("content-length: 0") + _body(good),
    "negative length": lambda good: _head("content-length: -1") + _body(good),
    "length of letters": lambda good: _head("content-length: many") + _body(good),
    "hex length": lambda good: _head("content-length: 0x10") + _body(good),
    "length of 40 digits": lambda good: _head(f"content-length: {'9' * 40}") + _body(good),
    "two lengths": lambda good: _head("content-length: 5", f"content-length: {len(_body(good))}") + _body(good),
    "chunk of letters": lambda good: CHUNKED + b"zz\r\n" + _body(good) + b"\r\n0\r\n\r\n",
    "negative chunk": lambda good: CHUNKED + b"-5\r\n" + _body(good) + b"\r\n0\r\n\r\n",
    "endless chunk size": lambda good: CHUNKED + b"f" * 100_000 + b"\r\n" + _body(good),
    "chunk too large": lambda good: CHUNKED + _chunk(_body(good), "ffffff"),
    "chunk too small": lambda good: CHUNKED + _chunk(_body(good), "5") + b"0\r\n\r\n",
    "no last chunk": lambda good: CHUNKED + _chunk(_body(good)),
    "half a last chunk": lambda good: CHUNKED + _chunk(_body(good)) + b"0\r\n",
    "an empty chunked body": lambda good: CHUNKED + b"0\r\n\r\n",
    "unknown transfer encoding": lambda good: _head("transfer-encoding: zip") + _body(good),
    "gzip": lambda good: _said(201, gzip.compress(_body(good)), "content-encoding: gzip"),
    "gzip bomb": lambda good: _said(201, BOMB, "content-encoding: gzip"),
    "gzip that is none": lambda good: _said(201, _body(good), "content-encoding: gzip"),
    "brotli": lambda good: _said(201, _body(good), "content-encoding: br"),
    "unknown content encoding": lambda good: _said(201, _body(good), "content-encoding: x"),
    "two megabytes": lambda good: _said(201, b" " * 2_000_000 + _body(good)),
    "101": lambda good: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "100 and no more": lambda good: b"HTTP/1.1 100 Continue\r\n\r\n",
    "204": lambda good: b"HTTP/1.1 204 No Content\r\n\r\n",
    "HTML": lambda good: _said(200, b"<html>Sign in</html>", "content-type: text/html"),
    "letters that are no UTF-8": lambda good: _said(201, b"\xff\xfe\x80" + _body(good)),
    "JSON and more": lambda good: _said(201, _body(good) + b"}"),
    "half of it": lambda good: _said(201, _body(good)[: len(_body(good)) // 2]),
    **{
        f"the body {body[:12]!r}": lambda good, body=body: _said(201, body)  # type: ignore[misc]
        for body in (b"", b"null", b"true", b"[]", b"{}", b'"x"', b"1e999", b"NaN", b"[" * 200_000, b'{"a":' * 99_999)
    },
}
BOMB = gzip.compress(b'{"a": "' + b"0" * 50_000_000 + b'"}', 9)

_UNUSABLE: tuple[Any, ...] = (None, "", 7, True, [], {}, "a/b", "..", "x" * 999, "a\0")
_SHAPES: Mapping[str, Callable[[str, Any], Any]] = {
    "a list of it": lambda name, data: {name: [data]},
    "null": lambda name, data: {name: None},
    "text": lambda name, data: {name: json.dumps(data)},
    "another name": lambda name, data: {f"{name}s": data},
    "without its cover": lambda name, data: data,
    "no id": lambda name, data: {name: {key: value for key, value in data.items() if key != "id"}},
    **{
        f"the id {bad!r:.9}": lambda name, data, bad=bad: {name: {**data, "id": bad}}  # type: ignore[misc]
        for bad in _UNUSABLE
    },
    "another page and object": lambda name, data: {
        name: {
            **data,
            "id": "01OTHER",
            **{key: "01OTHER" for key in data if key.endswith("_id")},
        }
    },
}


def _shaped(change: Callable[[str, Any], Any]) -> Callable[[bytes], bytes]:
    def spoil(good: bytes) -> bytes:
        ((name, data),) = json.loads(_body(good)).items()
        return _said(201, json.dumps(change(name, data)).encode())

    return spoil


def malformed() -> Iterator[Break]:
    """Answers that nothing may be concluded from, applied; those that need no good answer also not applied."""
    for name, make in _MALFORMED.items():
        yield Break(name, lambda c, good, make=make: _sent(c, make(good)))  # type: ignore[misc]
        yield Break(f"{name}, not applied", lambda c, good, make=make: _sent(c, make(good)), applied=False)  # type: ignore[misc]
    for name, shape in _SHAPES.items():
        yield Break(name, lambda c, good, shape=shape: _sent(c, _shaped(shape)(good)))  # type: ignore[misc]
    for at in (0, 9, 30, 60, 200):
        yield Break(f"silence after {at} bytes", lambda c, good, at=at: stalls(c, good[:at]), applied=at % 4 == 0)  # type: ignore[misc]
    yield Break("drip", drips)
    yield Break("drip, not applied", drips, applied=False)


def _sent(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(1)
    connection.recv(1)


def good_after_all() -> Iterator[Break]:
    """Odd answers that are whole: to take them for unknown would be a needless second look."""
    done = Break("", closes, result=Result.DONE)
    yield replace(done, name="as it is")
    yield replace(done, name="after a 100", spoil=lambda c, good: closes(c, b"HTTP/1.1 100 Continue\r\n\r\n" + good))
    yield replace(done, name="after a 103", spoil=lambda c, good: closes(c, b"HTTP/1.1 103 Early Hints\r\n\r\n" + good))
    yield replace(done, name="chunked", spoil=lambda c, g: closes(c, CHUNKED + _chunk(_body(g)) + b"0\r\n\r\n"))
    yield replace(done, name="no length", spoil=lambda c, good: closes(c, _head() + _body(good)))
    yield replace(done, name="two answers", spoil=lambda c, good: closes(c, good + good))
    yield replace(done, name="then noise", spoil=lambda c, good: closes(c, good + bytes(range(256))))
    yield replace(done, name="then a reset", spoil=lambda c, good: half_closes(c, good))
    yield replace(done, name="HTTP 1.0", spoil=lambda c, good: closes(c, good.replace(b"HTTP/1.1", b"HTTP/1.0", 1)))
    yield replace(done, name="with new fields", spoil=lambda c, good: closes(c, _shaped(_with_more)(good)))


def _with_more(name: str, data: Any) -> Any:
    return {"a": [], name: {**data, "new": {"deep": [1]}, "\ud800": 1e300}, "z": None}


def statuses(elsewhere: int) -> Iterator[Break]:
    """
    Every status that is no success, with and without the API's own error body.

    Args:
        elsewhere: A port that no redirect may lead to.
    """
    error = json.dumps({"type": "x", "status": 1, "errors": [{"code": "x", "message": "no"}]}).encode()
    for status in STATUSES:
        for body in (error, b"<html>"):
            result = Result.REFUSED if status in REFUSED else Result.DENIED if status in KEY_IS_BAD else Result.UNKNOWN
            result = Result.NOT_SENT if status == 429 else result
            told = _said(status, b"" if status == 304 else body, f"location: http://127.0.0.1:{elsewhere}/v2/x")
            name = f"{status} {'of the API' if body is error else 'of another'}"
            yield Break(name, lambda c, good, told=told: closes(c, told), applied=False, result=result)  # type: ignore[misc]
            if result is Result.UNKNOWN:
                yield Break(f"{name}, applied", lambda c, good, told=told: closes(c, told))  # type: ignore[misc]
    for wait in ("0", "-1", "never", "9" * 30, "1e9", "Mon, 99 Foo 2026"):
        told = _said(429, error, f"retry-after: {wait}")
        yield Break(
            f"429 for {wait:.9}", lambda c, good, told=told: closes(c, told), applied=False, result=Result.NOT_SENT
        )  # type: ignore[misc]
