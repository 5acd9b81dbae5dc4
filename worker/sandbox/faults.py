"""
What may go wrong between a worker and the page: each fault a value, planned per request or drawn by chance.

A fault says whether and when the request takes effect, and what the client gets to see of it. It knows nothing of
sockets (``server.py`` drops and cuts) nor of the API (``service.py`` applies).

Source: incident.io API, official SDK 2.29.0 (``ErrorRateLimit``: Retry-After and ``retry_after``), read 2026-11-23.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Literal

from worker.errors import ConfigError
from worker.sandbox.limits import too_many_requests
from worker.sandbox.wire import Complaint, RateLimit, Refused, Reply, Request, error_reply

RetryAfter = Literal["seconds", "date", "body", "absurd", "missing"]
Answer = Callable[[datetime], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    What happens to one request.

    Args:
        name: As it shall stand in the request log.
        applies: Whether the request takes effect at all.
        after: Seconds of the sandbox's clock until it does.
        delay: Real seconds of silence, before it takes effect and is answered.
        answer: What is answered in place of the true answer; asked with the time of the request.
        silence: No answer: the connection is dropped at once, or hangs until the client gives up.
        cut: Only half of the answer's body is sent, then the connection is dropped.
    """

    name: str
    applies: bool = True
    after: float = 0
    delay: float = 0
    answer: Answer | None = None
    silence: Literal["", "drop", "hang"] = ""
    cut: bool = False


def slow(seconds: float = 1) -> Fault:
    """The answer takes its time. A client that gives up earlier has been served all the same."""
    return Fault(name="slow", delay=seconds)


def error(status: int = 503, *, applied: bool) -> Fault:
    """A server error, before or after the request took effect."""
    return Fault(name=f"error-{_when(applied)}", applies=applied, answer=partial(_error, status))


def drop(*, applied: bool) -> Fault:
    """The connection ends without an answer, before or after the request took effect."""
    return Fault(name=f"drop-{_when(applied)}", applies=applied, silence="drop")


def hang(*, applied: bool) -> Fault:
    """No answer and no end: the client has to give up."""
    return Fault(name=f"hang-{_when(applied)}", applies=applied, silence="hang")


def late(seconds: float = 30, silence: Literal["drop", "hang"] = "drop") -> Fault:
    """No answer now; the request takes effect ``seconds`` later by the sandbox's clock."""
    return Fault(name="late", after=seconds, silence=silence)


def rate_limited(retry_after: RetryAfter = "seconds", seconds: float = 30) -> Fault:
    """A 429 that says when to come back in one of five ways; ``body`` says it in ``rate_limit.retry_after`` only."""
    return Fault(name=f"rate-limited-{retry_after}", applies=False, answer=partial(_rate_limited, retry_after, seconds))


def truncated() -> Fault:
    """The request takes effect, its answer breaks off in the middle."""
    return Fault(name="truncated", cut=True)


def html(status: int = 200, *, applied: bool = True) -> Fault:
    """A web page in place of JSON, as proxies send it."""
    body = b"<!doctype html><title>Just a moment</title><p>Please wait while we check your connection."
    return canned(status, body, ("content-type", "text/html"), applied=applied, name="html")


def redirect(location: str = "/elsewhere") -> Fault:
    """A 307 to another place; nothing takes effect."""
    return canned(307, b"", ("location", location), applied=False, name="redirect")


def canned(status: int, body: bytes, *headers: tuple[str, str], applied: bool, name: str = "canned") -> Fault:
    """Any answer whatever."""
    reply = Reply(status=status, body=body, headers=headers)
    return Fault(name=name, applies=applied, answer=lambda _now: reply)


def _when(applied: bool) -> str:
    return "applied" if applied else "unapplied"


def _error(status: int, _now: datetime) -> Reply:
    return error_reply(Refused(status, Complaint("internal_error", "Something went wrong on our side")), "fault")


def _rate_limited(retry_after: RetryAfter, seconds: float, now: datetime) -> Reply:
    retry_at = now + timedelta(seconds=seconds)
    told = {"seconds": f"{seconds:.0f}", "date": format_datetime(retry_at, usegmt=True), "absurd": "99999999999999"}
    headers = [("retry-after", told[retry_after])] if retry_after in told else []
    if retry_after == "body":
        refused = too_many_requests(RateLimit("api_key", 1200, retry_at))
    else:
        refused = Refused(429, Complaint("too_many_requests", "You have made too many requests"))
    return error_reply(refused, "fault", *headers)


NAMED: Mapping[str, Callable[[float | None], Fault]] = {
    "slow": lambda seconds: slow(1 if seconds is None else seconds),
    "error-unapplied": lambda _: error(applied=False),
    "error-applied": lambda _: error(applied=True),
    "drop-unapplied": lambda _: drop(applied=False),
    "drop-applied": lambda _: drop(applied=True),
    "hang-unapplied": lambda _: hang(applied=False),
    "hang-applied": lambda _: hang(applied=True),
    "late": lambda seconds: late(30 if seconds is None else seconds),
    "rate-limited-seconds": lambda seconds: rate_limited("seconds", 30 if seconds is None else seconds),
    "rate-limited-date": lambda seconds: rate_limited("date", 30 if seconds is None else seconds),
    "rate-limited-body": lambda seconds: rate_limited("body", 30 if seconds is None else seconds),
    "rate-limited-absurd": lambda _: rate_limited("absurd"),
    "rate-limited-missing": lambda _: rate_limited("missing"),
    "truncated": lambda _: truncated(),
    "html": lambda _: html(),
    "redirect": lambda _: redirect(),
}


@dataclass(frozen=True, slots=True)
class _Plan:
    method: str
    path: re.Pattern[str]
    queue: deque[Fault]

    def meets(self, request: Request) -> bool:
        return self.method in ("*", request.method) and self.path.search(request.path) is not None


class Faults:
    """
    Which fault meets which request: first what was planned with ``next``, then chance.

    Args:
        chances: Probability per request to the API for each fault; together at most 1.
        seed: The same seed and order of requests give the same faults.
    """

    def __init__(self, chances: Iterable[tuple[Fault, float]] = (), seed: int = 0) -> None:
        self._chances = tuple(chances)
        self._random = random.Random(seed)  # noqa: S311 - chance for a rehearsal
        self._plans: list[_Plan] = []

    @classmethod
    def parse(cls, options: Iterable[str], seed: int = 0) -> Faults:
        """
        Faults from ``name[:seconds]=probability`` texts, as given on a command line.

        Raises:
            ConfigError: A name or number is wrong, or the probabilities exceed 1; all such are told at once.
        """
        chances, problems = [], []
        for option in options:
            match = re.fullmatch(r"([a-z-]+)(?::(\d{1,9}(?:\.\d+)?))?=([01](?:\.\d+)?|\.\d+)", option)
            if match is None:
                problems.append(f"fault {option!r}: write name=probability or name:seconds=probability")
            elif match[1] not in NAMED:
                problems.append(f"fault {option!r}: no such fault; there are {', '.join(NAMED)}")
            else:
                chances.append((NAMED[match[1]](float(match[2]) if match[2] else None), float(match[3])))
        if sum(chance for _, chance in chances) > 1 + 1e-9:
            problems.append("faults: the probabilities exceed 1 together")
        if problems:
            raise ConfigError("\n".join(problems))
        return cls(chances, seed)

    def next(self, method: str, path: str, *faults: Fault) -> None:
        """
        Plan faults for the next requests that fit, one each, in order.

        Args:
            method: An HTTP method, or ``*`` for any.
            path: A regular expression, searched in the path.
        """
        self._plans.append(_Plan(method, re.compile(path), deque(faults)))

    def clear(self) -> None:
        """Forget what was planned, and leave nothing to chance any more."""
        self._plans.clear()
        self._chances = ()

    def pick(self, request: Request) -> Fault | None:
        """The fault for this request; only requests to the API are met."""
        if not request.api:
            return None
        for plan in self._plans:
            if plan.queue and plan.meets(request):
                return plan.queue.popleft()
        return self._draw()

    def _draw(self) -> Fault | None:
        if not self._chances:
            return None
        ticket = self._random.random()
        for fault, chance in self._chances:
            if ticket < chance:
                return fault
            ticket -= chance
        return None
