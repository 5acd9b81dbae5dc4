"""
One sandbox without its socket: public page, widget and API behind one door, with faults and a log of requests.

``exchange`` serves whoever runs in the same process and in virtual time; ``server.py`` serves the same over TCP.

Source: incident.io API, official SDK 2.29.0, read 2026-11-23.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.sandbox import api, public
from worker.sandbox.faults import Fault, Faults
from worker.sandbox.state import RequestRecord, State
from worker.sandbox.wire import Complaint, Refused, Reply, Request

Clock = Callable[[], datetime]
MAX_BODY = 1_048_576


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that is being served."""

    request: Request
    record: RequestRecord
    fault: Fault


@dataclass(frozen=True, slots=True)
class _Late:
    due: datetime
    exchange: Exchange


class Service:
    """
    Serves requests one after the other or interleaved: ``begin``, then ``answer``, then ``end``.

    Args:
        clock: Aware time; everything that the sandbox dates or waits for goes by it.
    """

    def __init__(self, state: State, faults: Faults, clock: Clock) -> None:
        self.state = state
        self.faults = faults
        self.clock = clock
        self._late: list[_Late] = []

    def exchange(self, request: Request) -> Reply | None:
        """
        Serve a request at once, whatever ``delay`` its fault asks for.

        Returns:
            The answer; None where the client gets none, or only a part of it.
        """
        exchange = self.begin(request)
        reply = self.answer(exchange)
        self.end(exchange)
        return None if exchange.fault.cut else reply

    def begin(self, request: Request) -> Exchange:
        """Log the request and see which fault meets it."""
        state = self.state
        with state.lock:
            fault = self.faults.pick(request) or Fault(name="")
            state.live_writes += request.write
            state.max_live_writes = max(state.max_live_writes, state.live_writes)
            record = _record(request, fault, state.live_writes if request.write else 0, self.clock())
            state.requests.append(record)
            return Exchange(request, record, fault)

    def answer(self, exchange: Exchange) -> Reply | None:
        """Let the request take effect, now or later; None: it gets no answer."""
        with self.state.lock:
            now = self.clock()
            self.settle(now)
            fault = exchange.fault
            reply = None
            if fault.after:
                self._late.append(_Late(now + timedelta(seconds=fault.after), exchange))
            elif fault.applies:
                reply = self._apply(exchange, now)
            reply = None if fault.silence else fault.answer(now) if fault.answer else reply
            exchange.record.status = reply.status if reply else None
            return reply

    def end(self, exchange: Exchange) -> None:
        """Note that the client got what it was to get."""
        with self.state.lock:
            self.state.live_writes -= exchange.request.write
            lost = "cut" if exchange.fault.cut else "dropped" if exchange.fault.silence else "answered"
            exchange.record.outcome = lost

    def settle(self, now: datetime) -> None:
        """Let everything happen that was due up to ``now``, in order: late requests and automated windows."""
        with self.state.lock:
            for late in sorted((late for late in self._late if late.due <= now), key=lambda late: late.due):
                self._late.remove(late)
                self._apply(late.exchange, late.due)
            self.state.settle(now)

    def _apply(self, exchange: Exchange, now: datetime) -> Reply:
        request = exchange.request
        if len(request.body) > MAX_BODY:
            text = f"The body must be at most {MAX_BODY} bytes"
            return api.refusal(Refused(413, Complaint("payload_too_large", text)), request, now)
        reply = api.handle(self.state, request, now) if request.api else public.handle(self.state, request)
        if request.write and reply.status < 300:
            exchange.record.applied_at = now
        return reply


def _record(request: Request, fault: Fault, live_writes: int, now: datetime) -> RequestRecord:
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    return RequestRecord(
        at=now,
        method=request.method,
        path=request.path,
        query=request.query,
        headers=headers,
        body=request.body,
        sha256=hashlib.sha256(request.body).hexdigest(),
        connection=request.connection,
        live_writes=live_writes,
        fault=fault.name,
    )
