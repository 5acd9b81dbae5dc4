"""The HTTP surface with a ledger in memory, asked in this process or over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from worker.bootstrap.reload import Reloaded
from worker.core.commands import Command, Done
from worker.core.model import Window
from worker.core.ruleset import AuthConfig, RuleSet, SourceConfig
from worker.errors import LedgerUnavailable
from worker.ports import Entry, Inbox, Recorded
from worker.rehearse.memory import MemoryLedger
from worker.sources import SOURCES
from worker.steps.intake import Endpoint, Intake
from worker.telemetry import PrometheusMeter
from worker.web.app import make_app
from worker.web.calendar import feed
from worker.web.desk import Desk
from worker.web.guard import Access
from worker.web.hooks import HookEndpoint
from worker.web.live import Live
from worker.web.server import Server
from worker.web.session import Sessions
from worker.web.widget import Widget

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
TOKEN = "canary-of-the-sender-77aa"
ADMIN = "canary-of-the-admin-88bb"
RUN = "canary-of-the-run-file-99cc"
CALENDAR = "canary-of-the-calendar-11dd"
LIMIT = 2000
SUMMARY: Mapping[str, Any] = {
    "page_title": "Acme",
    "page_url": "https://status.example.com",
    "ongoing_incidents": [],
    "in_progress_maintenances": [],
    "scheduled_maintenances": [],
}
RULES = RuleSet(pages={}, sources={}, rules=(), notices=(), hash="f" * 64)
Made = TypeVar("Made")


class HeldInbox:
    """Takes entries, and answers only when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Entry, Callable[[Recorded | Exception], None]]] = []

    def record(self, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        self.waiting.append((entry, done))

    def pending(self, limit: int) -> list[Any]:
        return []

    def settle(self, answer: Recorded | Exception | None = None) -> None:
        """Answer everybody who waits, from another thread, as a ledger does."""
        held, self.waiting = self.waiting, []

        def answer_all() -> None:
            for place, (_, done) in enumerate(held, 1):
                done(answer or Recorded(place, duplicate=False))

        thread = threading.Thread(target=answer_all)
        thread.start()
        thread.join()


@dataclass
class Site:
    """
    Args:
        inbox: Where inbounds go.
        admin: The admin token; "": none.
        run: Does what a person asks.
        reload: Reads the rules again.
        summary: Asks a page what it lets anybody show.
        elapsed: Seconds on the clock of the widget.
        limit: The largest body, bytes.
        clock: Gives the time.
        admins: Further admin tokens, name to SHA-256.
        rules: Those in force.
    """

    inbox: Inbox = field(default_factory=MemoryLedger)
    admin: str = ""
    run: Callable[[Command], Done] = lambda command: Done(said=(repr(command),))
    reload: Callable[[], Any] = lambda: Reloaded(hash="f" * 64, changed=True, said="new rule search")
    wrong: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    windows: list[tuple[Window, str]] = field(default_factory=list)
    summary: Callable[[str], Any] = lambda page: SUMMARY
    elapsed: float = 0.0
    limit: int = LIMIT
    clock: Callable[[], datetime] = lambda: NOW
    rings: int = 0
    admins: Mapping[str, str] = field(default_factory=dict)
    rules: RuleSet = RULES

    def __post_init__(self) -> None:
        self.meter = PrometheusMeter()
        self.endpoints = {
            "alerts": endpoint("alerts", "alertmanager", AuthConfig(scheme="bearer"), TOKEN),
            "open": endpoint("open", "alertmanager", AuthConfig(scheme="none")),
        }
        intake = Intake(self.inbox, lambda: self.endpoints, self.meter)
        self.hooks = HookEndpoint(intake, max_body=self.limit, clock=self.clock, meter=self.meter, ring=self.ring)
        self.widget = Widget(
            lambda: {"main"},
            lambda page: self.summary(page),
            ttl=30.0,
            stale=600.0,
            monotonic=lambda: self.elapsed,
            meter=self.meter,
        )
        self.live = Live()
        access = Access(admin_token=self.admin, admins=self.admins, run_token=RUN, calendar_token=CALENDAR)
        self.app = make_app(
            self.hooks,
            self.widget,
            alive=lambda: self.wrong,
            ready=lambda: self.missing,
            exposition=self.meter.exposition,
            calendar=lambda: feed(self.windows),
            run=lambda command: self.run(command),
            reload=lambda: self.reload(),
            access=access,
            sessions=Sessions(b"key", known=access.tokens.__contains__, clock=self.time, nonce=lambda: "n"),
            desk=Desk(
                self.inbox,  # type: ignore[arg-type]
                rules=lambda: self.rules,
                pages=dict,
                called=lambda window: window.known_name,
                clock=self.time,
            ),
            live=self.live,
        )

    def time(self) -> datetime:
        """The time now."""
        return self.clock()

    def ring(self) -> None:
        """Something new is on disk."""
        self.rings += 1

    def asks(self, work: Callable[[httpx.AsyncClient], Awaitable[Made]]) -> Made:
        """Do requests in this process."""

        async def inside() -> Made:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await work(client)

        return asyncio.run(inside())

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Do one request in this process."""
        return self.asks(lambda client: client.request(method, path, **more))

    def post(self, body: object, source: str = "alerts", **more: Any) -> httpx.Response:
        """Post to a hook with the right token."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", f"/hooks/{source}", content=raw, headers=AUTHENTIC, **more)

    def counted(self, name: str, **labels: str) -> float:
        """Read a counter."""
        return self.meter.registry.get_sample_value(f"statusbridge_{name}_total", labels) or 0


AUTHENTIC = {"authorization": f"Bearer {TOKEN}"}


def endpoint(name: str, kind: str, auth: AuthConfig, *secrets: str) -> Endpoint:
    """Configure a source."""
    return Endpoint(SourceConfig(name=name, kind=kind, auth=auth), SOURCES[kind], secrets)


def alerts(*names: str, **more: object) -> dict[str, object]:
    """Write Alertmanager's body."""
    listed = [
        {
            "status": "firing",
            "labels": {"alertname": name},
            "annotations": {},
            "startsAt": "2026-11-23T10:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": name,
        }
        for name in names
    ]
    return {"version": "4", "status": "firing", "groupKey": "g", "alerts": listed, **more}


class Unavailable:
    """An inbox whose ledger is gone."""

    def record(self, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        raise LedgerUnavailable(f"disk full while storing {entry.inbound.body!r}")

    def pending(self, limit: int) -> list[Any]:
        return []


@contextmanager
def served(site: Site) -> Iterator[tuple[str, int]]:
    """Serve over a real socket."""
    server = Server(site.app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
            assert thread.is_alive()
        yield server.servers[0].sockets[0].getsockname()[:2]
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Open a connection that gives up after some seconds."""
    with socket.create_connection(address, timeout=10) as wire:
        yield wire


def head(path: str = "/hooks/alerts", method: str = "POST", **headers: str) -> bytes:
    """Write the head of a request."""
    fields: Mapping[str, str] = {"host": "worker.test", **AUTHENTIC, **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def answer(wire: socket.socket) -> tuple[int, bytes]:
    """Read one answer: its status and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = wire.recv(65536)
        if not more:
            break
        data += more
    top, _, body = data.partition(b"\r\n\r\n")
    length = next((int(x.split(b":")[1]) for x in top.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += wire.recv(65536)
    return int(top.split(b" ", 2)[1] or 0), body
