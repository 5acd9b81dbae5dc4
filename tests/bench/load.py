"""
A load generator on loopback: raw sockets, prepared bytes, nothing parsed but the status line and the length.

Run as its own process: ``python -m tests.bench.load`` reads one JSON job from standard input and prints one answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop


@dataclass
class Bodies:
    """Distinct bodies of one shape: the marker is replaced by a number that never repeats."""

    template: bytes
    marker: bytes
    serial: int

    def __iter__(self) -> Iterator[bytes]:
        parts = self.template.split(self.marker)
        while True:
            self.serial += 1
            yield b"%016x".__mod__(self.serial).join(parts) if len(parts) > 1 else self.template


@dataclass
class Tally:
    """What the answers were."""

    done: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One kept-alive connection that asks as fast as it is answered."""

    def __init__(self, head: bytes, bodies: Iterator[bytes], tally: Tally, until: float) -> None:
        self.head, self.bodies, self.tally, self.until = head, bodies, tally, until
        self.ended = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.post()

    def post(self) -> None:
        self.sent = time.perf_counter()
        if self.sent >= self.until:
            self.transport.close()
            return
        body = next(self.bodies)
        length = b"content-length: %d\r\n" % len(body) if body else b""
        self.transport.write(self.head + length + b"\r\n" + body)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        good = self.buffer[9:10] == b"2"
        self.buffer = b""
        self.tally.done += good
        self.tally.failed += not good
        self.tally.latencies.append(time.perf_counter() - self.sent)
        self.post()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def run(job: dict[str, object]) -> dict[str, object]:
    """Ask with so many connections for so many seconds."""
    host, port = str(job["host"]), int(str(job["port"]))
    lines = [f"{job['method']} {job['path']} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in dict(job["headers"]).items()]  # type: ignore[call-overload]
    head = ("\r\n".join(lines) + "\r\n").encode()
    bodies = iter(Bodies(str(job["template"]).encode(), str(job["marker"]).encode(), int(str(job["serial"]))))
    tally = Tally()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    until = began + float(str(job["seconds"]))
    made = [
        await loop.create_connection(lambda: Client(head, bodies, tally, until), host, port)
        for _ in range(int(str(job["connections"])))
    ]
    await asyncio.gather(*(client.ended for _, client in made))
    took = time.perf_counter() - began
    ordered = sorted(tally.latencies) or [0.0]
    return {
        "rate": tally.done / took,
        "failed": tally.failed,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
        "done": tally.done,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
