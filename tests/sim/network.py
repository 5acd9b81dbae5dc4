"""
What lies between the worker and the page: latency, weather, and the page itself, the sandbox without its socket.

The worker's own HTTP client is used down to the exchange of one request for one answer. A request that has left goes
its way whatever becomes of the worker.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import httpcore
import httpx

from tests.sim.kernel import Kernel, Task
from worker.core.model import Action
from worker.providers._http import Http, _Call, _Overdue
from worker.providers._outcomes import Answer
from worker.providers._pace import Pace
from worker.sandbox import Fault, Reply, Request, Service, State, faults
from worker.sandbox.state import RequestRecord

Spans = tuple[tuple[datetime, datetime], ...]


@dataclass(slots=True)
class Write:
    """
    One write as it left the worker.

    Args:
        action: What it was sent for, as it was then.
        read_at: When the worker last read the page before it, in the same task.
        overdue: It leaves later than the worker had it for itself.
    """

    at: datetime
    action: Action
    method: str
    target: str
    body: bytes
    read_at: datetime
    task: Task
    ended_at: datetime | None = None
    record: RequestRecord | None = None
    overdue: bool = False

    @property
    def applied_at(self) -> datetime | None:
        """When the page took it; None where it never did."""
        return self.record.applied_at if self.record else None


@dataclass(kw_only=True)
class Weather:
    """
    What goes wrong on the way, and at the page.

    Args:
        chances: Fault to its probability for each request.
        slow: Probability that a request takes long, up to beyond the deadline.
        refused: Probability that no connection comes about.
        late: Longest time until a request that was given up takes effect, seconds.
        outages: When the page cannot be reached.
        overloads: When the page answers 429, and says until when.
        denials: When the page takes no key.
    """

    chances: Mapping[str, float] = field(default_factory=dict)
    slow: float = 0
    refused: float = 0
    late: float = 60
    outages: Spans = ()
    overloads: Spans = ()
    denials: Spans = ()


def _within(spans: Spans, at: datetime) -> datetime | None:
    return next((end for start, end in spans if start <= at < end), None)


class Observer(Protocol):
    """Who is told of what happens on the network."""

    @property
    def clock_is_wrong(self) -> bool:
        """Whether the worker's clock is not the page's."""
        ...

    def tell(self, who: str, what: str) -> None:
        """A line for the trace."""
        ...

    def seen(self, what: str) -> None:
        """Something to be counted."""
        ...

    def wrong(self, kind: str, what: str) -> None:
        """Something that must not be."""
        ...

    def sends(self, write: Write) -> None:
        """A write leaves."""
        ...


class Network:
    """
    Args:
        state: The page.
        world: Is told of what happens.
    """

    def __init__(self, kernel: Kernel, state: State, weather: Weather, world: Observer) -> None:
        self._kernel = kernel
        self._service = Service(state, self, lambda: kernel.now)  # type: ignore[arg-type]
        self.world = world
        self.weather = weather
        self.writes: list[Write] = []

    def http(self, base_url: str, api_key: str, **more: Any) -> Http:
        """Make the worker's HTTP client; it lives and dies with the worker."""
        client = SimHttp(
            base_url,
            api_key,
            pace=Pace(monotonic=lambda: self._kernel.seconds, sleep=self._kernel.sleep),
            monotonic=lambda: self._kernel.seconds,
            **more,
        )
        client.network = self
        return client

    def exchange(self, client: SimHttp, method: str, target: str, body: bytes, call: _Call) -> httpx.Response:
        """Send one request and wait for its answer, as long as the call may last."""
        kernel, weather = self._kernel, self.weather
        if kernel.now < client.rests_until and not self.world.clock_is_wrong:
            self.world.wrong("impatient", f"{method} {target} although the page asked to wait")
        if _within(weather.outages, kernel.now) or kernel.chance.random() < weather.refused:
            self.world.seen("fault refused")
            self.world.tell("net", f"{method} {target}: no connection")
            kernel.sleep(kernel.chance.choice([0.001, call.left(5)]))
            raise httpcore.ConnectError("refused")
        call.began = True
        task = Task.current()
        write = self._leaves(task, method, target, body)
        answers: list[tuple[Reply | None, datetime | None]] = []
        resume = task.resumption()

        def answered(reply: Reply | None, until: datetime | None) -> None:
            answers.append((reply, until))
            resume()

        def arrives() -> None:
            if task.alive or kernel.chance.random() < 0.5:
                back = self._latency()
                self._serve(write, method, target, body, lambda *said: kernel.after(back, lambda: answered(*said)))

        kernel.after(self._latency(), arrives)
        given_up = kernel.after(call.left(), resume)
        task.suspend()
        given_up.off = True
        if write:
            write.ended_at = kernel.now
        if not answers:
            self.world.seen("fault given up")
            raise httpcore.ReadTimeout("no answer in time")
        reply, until = answers[0]
        if reply is None:
            raise httpcore.RemoteProtocolError("the connection ended")
        if until:
            client.rests_until = until - timedelta(seconds=1)
        return httpx.Response(reply.status, headers=list(reply.headers), content=reply.body)

    def _leaves(self, task: Task, method: str, target: str, body: bytes) -> Write | None:
        now = self._kernel.now
        if method == "GET":
            task.read_at = now
            return None
        assert task.writing is not None
        write = Write(now, task.writing, method, target, body, task.read_at, task)
        self.writes.append(write)
        self.world.sends(write)
        return write

    def _latency(self) -> float:
        chance = self._kernel.chance
        if chance.random() < self.weather.slow:
            return chance.uniform(1, 20)
        return chance.uniform(0.005, 0.3)

    def _serve(
        self,
        write: Write | None,
        method: str,
        target: str,
        body: bytes,
        answer: Callable[[Reply | None, datetime | None], object],
    ) -> None:
        parts = urlsplit(target)
        query, headers = dict(parse_qsl(parts.query)), {"authorization": "Bearer sandbox-key"}
        request = Request(method=method, path=parts.path, query=query, headers=headers, body=body)
        exchange = self._service.begin(request)
        if write:
            write.record = exchange.record
        reply = self._service.answer(exchange)
        self._service.end(exchange)
        fault = exchange.fault
        said = f"{method} {parts.path} → {reply.status if reply else 'nothing'}"
        self.world.tell("page", f"{said}{' [' + fault.name + ']' if fault.name else ''}")
        if fault.name:
            self.world.seen(f"fault {fault.name}")
        if fault.after:
            self._kernel.after(fault.after, lambda: self._service.settle(self._kernel.now))
        if fault.silence != "hang":
            answer(None if fault.cut else reply, _within(self.weather.overloads, self._kernel.now))

    def pick(self, request: Request) -> Fault | None:
        """Choose what goes wrong with a request; asked by the page."""
        now, chance = self._kernel.now, self._kernel.chance
        if until := _within(self.weather.overloads, now):
            left = (until - now).total_seconds()
            return faults.rate_limited(chance.choice(["seconds", "date", "body"]), max(1, left))
        if _within(self.weather.denials, now):
            return faults.canned(chance.choice([401, 403]), b"{}", applied=False, name="denied")
        ticket = chance.random()
        for name, probability in self.weather.chances.items():
            if ticket < probability:
                return self._fault(name, request)
            ticket -= probability
        return None

    def _fault(self, name: str, request: Request) -> Fault | None:
        if name == "late":
            seconds = self._kernel.chance.uniform(1, self.weather.late)
            return faults.late(seconds, self._kernel.chance.choice(["drop", "hang"])) if request.write else None
        return faults.NAMED[name](None)


class SimHttp(Http):
    """The worker's HTTP client on the simulated network; all but the exchange itself is its own."""

    network: Network
    rests_until = datetime.min.replace(tzinfo=UTC)

    def _exchange(self, method: str, target: str, body: bytes, cap: int, call: _Call) -> Answer:
        try:
            response = self.network.exchange(self, method, target, body, call)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError, _Overdue):
            raise
        except Exception:  # a fault of the simulation's, which would pass for one of the network's
            self.network.world.wrong("simulator", traceback.format_exc())
            raise
        return self._answer(response, response.content, complete=True)
