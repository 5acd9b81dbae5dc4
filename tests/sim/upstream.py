"""
What happens upstream, and the senders that tell of it: at least once, in no particular order, until they die.

A sender knows an address to post to and what it was answered, nothing else.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from tests.sim.kernel import START, Due, Kernel, Task
from tests.sim.plans import SERVICES, Plan, Spec
from tests.sim.truth import Said

SEVERITIES = ("critical", "warning", "warning", "info")

Receive = Callable[[str, bytes, Mapping[str, str], Sequence[Said]], bool]
"""Posts a body to a source's address; says whether it was answered 2xx. *Said* is for the oracle's ears."""


@dataclass(kw_only=True)
class Manners:
    """
    How senders behave in one seed.

    Args:
        doubled: Probability that a delivery that was answered is made again.
        slow: Longest time on the way, seconds; what is on the way may be overtaken.
        dies_at: When all of one kind fall silent, for ever: source name to time.
    """

    doubled: float = 0
    slow: float = 0.2
    dies_at: Mapping[str, datetime] = field(default_factory=dict)


class Sender(Protocol):
    """Tells of what happens to its signals."""

    def tell(self, said: Said) -> None:
        """Something changed."""
        ...


class _Posting:
    def __init__(self, kernel: Kernel, source: str, receive: Receive, manners: Manners) -> None:
        self._kernel = kernel
        self._source = source
        self._receive = receive
        self._manners = manners

    @property
    def _silent(self) -> bool:
        dies_at = self._manners.dies_at.get(self._source)
        return dies_at is not None and self._kernel.now >= dies_at

    def _post(self, body: bytes, said: Sequence[Said]) -> bool:
        """Post once; some time passes."""
        chance = self._kernel.chance
        self._kernel.sleep(chance.uniform(0.001, self._manners.slow))
        if not self._receive(self._source, body, {}, said):
            return False
        if chance.random() < self._manners.doubled:
            Task(self._kernel, "again", lambda: self._again(body, said))
        return True

    def _again(self, body: bytes, said: Sequence[Said]) -> None:
        self._kernel.sleep(self._kernel.chance.expovariate(1 / 60))
        self._receive(self._source, body, {}, said)


class Edges(_Posting):
    """
    Posts every change once, until it is answered.

    Args:
        ordered: Whether each waits for the one before; else they overtake each other.
    """

    def __init__(self, kernel: Kernel, source: str, receive: Receive, manners: Manners, *, ordered: bool) -> None:
        super().__init__(kernel, source, receive, manners)
        self._ordered = ordered
        self._queue: list[Said] = []
        self._busy = False

    def tell(self, said: Said) -> None:
        if self._ordered:
            self._queue.append(said)
            if not self._busy:
                self._busy = True
                Task(self._kernel, self._source, self._drain)
        else:
            Task(self._kernel, self._source, lambda: self._insist(said))

    def _drain(self) -> None:
        while self._queue:
            self._insist(self._queue.pop(0))
        self._busy = False

    def _insist(self, said: Said) -> None:
        pause = 1.0
        while not self._silent and not self._post(_statement(said), [said]):
            self._kernel.sleep(pause)
            pause = min(pause * 2, 60)


class Snapshots(_Posting):
    """As Alertmanager: posts its whole group a while after any change, and again every so often."""

    def __init__(self, kernel: Kernel, source: str, receive: Receive, manners: Manners) -> None:
        super().__init__(kernel, source, receive, manners)
        self._alerts: dict[str, Said] = {}
        self._flushing = False
        self._wait = kernel.chance.choice([0, 1, 10, 30])
        self._repeat = kernel.chance.choice([600, 1800, 3600])
        self._next = Due(self._nudge)

    def tell(self, said: Said) -> None:
        self._alerts[said.key] = said
        if not self._flushing:
            self._flushing = True
            Task(self._kernel, self._source, self._flush)

    def _flush(self) -> None:
        pause, sent = 1.0, None
        while not self._silent and self._alerts and sent != self._alerts:
            self._kernel.sleep(self._wait)
            told = dict(self._alerts)
            if not self._post(_snapshot(told.values()), list(told.values())):
                self._kernel.sleep(pause)
                pause = min(pause * 2, 30)
                continue
            for key, said in told.items():
                if not said.firing and self._alerts.get(key) == said:
                    del self._alerts[key]
            sent = {key: said for key, said in told.items() if said.firing}
        self._flushing = False
        if self._alerts:
            self._next.off = True
            self._next = self._kernel.after(self._repeat, self._nudge)

    def _nudge(self) -> None:
        if not self._flushing and self._alerts:
            self._flushing = True
            Task(self._kernel, self._source, self._flush)


# -- stories


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens upstream."""

    at: datetime
    source: str
    said: Said


def stories(plan: Plan, chance: random.Random, length: timedelta) -> list[Happening]:
    """Draw what happens upstream within *length*; most of it ends, some does not."""
    found: list[Happening] = []
    for spec in plan.specs.values():
        if spec.relay:
            found += _case(spec, chance, length)
            continue
        services = SERVICES if chance.random() < 0.4 else SERVICES[:1]
        for service in services:
            found += _spells(spec, service, chance, length)
    return found


def _spells(spec: Spec, service: str, chance: random.Random, length: timedelta) -> list[Happening]:
    source = chance.choice(["alerts", "alerts", "checks", "jobs"])
    found: list[Happening] = []
    for signal in range(chance.choice([1, 1, 2, 3])):
        at = START + length * chance.random() * 0.6
        for _ in range(chance.choice([1, 1, 2, 4])):
            severity = chance.choice(SEVERITIES)
            lasts = timedelta(seconds=chance.choice([20, 90, 400, 1500]) * chance.uniform(0.5, 1.5))
            key = f"{spec.id}-{service}-{signal}" + (f"-{severity}" if source == "alerts" else "")
            said = Said(key=key, team=spec.id, service=service, firing=True, severity=severity, started=at)
            found.append(Happening(at, source, said))
            if source != "alerts" and chance.random() < 0.3:
                at += lasts / 2
                found.append(Happening(at, source, replace(said, severity=chance.choice(SEVERITIES))))
                said = found[-1].said
            at += lasts
            if chance.random() < 0.1:
                break
            found.append(Happening(at, source, replace(said, firing=False)))
            at += timedelta(seconds=chance.choice([10, 60, 300, 900]) * chance.uniform(0.5, 1.5))
    stamped = source == "checks"
    return [replace(h, said=replace(h.said, stamp=h.at)) if stamped else h for h in found if h.at < START + length]


def _case(spec: Spec, chance: random.Random, length: timedelta) -> list[Happening]:
    found: list[Happening] = []
    for number in range(chance.choice([1, 1, 2])):
        service = f"case{number}"
        at = START + length * chance.random() * 0.5
        said = Said(key=service, team=spec.id, service=service, firing=True, severity="critical", started=at)
        for step in range(chance.choice([1, 3, 6])):
            name = chance.choice(["Looking", "Found", "Watching"])
            text = f"Word {step} on {service}."
            found.append(Happening(at, "words", replace(said, stamp=at, text=text, name=name)))
            at += timedelta(seconds=chance.choice([1, 30, 600]) * chance.uniform(0.5, 1.5))
        if chance.random() < 0.9:
            text = spec.says("resolve", service)
            found.append(Happening(at, "words", replace(said, stamp=at, firing=False, text=text, name="Closed")))
    return [happening for happening in found if happening.at < START + length]


# -- bodies


def _statement(said: Said) -> bytes:
    one: dict[str, Any] = {
        "key": said.key,
        "status": "firing" if said.firing else "resolved",
        "severity": said.severity,
        "started": said.started.isoformat(),
        "stamp": said.stamp.isoformat() if said.stamp else "",
        "team": said.team,
        "service": said.service,
        "name": said.name,
        "category": "live" if said.firing else "closed",
        "message": said.text,
    }
    return json.dumps({"said": [one]}).encode()


def _snapshot(alerts: Any) -> bytes:
    told = [
        {
            "status": "firing" if said.firing else "resolved",
            "labels": {"team": said.team, "service": said.service, "severity": said.severity},
            "annotations": {},
            "startsAt": said.started.isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": said.key,
        }
        for said in alerts
    ]
    firing = any(said.firing for said in alerts)
    body = {"version": "4", "status": "firing" if firing else "resolved", "groupKey": "{}:{}", "truncatedAlerts": 0}
    return json.dumps({**body, "alerts": told}).encode()
