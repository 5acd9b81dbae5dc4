"""
Senders who tell of outages, a page that misbehaves, and what both remember. The worker is never asked.

A sender says the next thing only once the page shows the last: then each text must be there, in order, exactly once.
(What is over before it could be said is rightly never said.) Until it is answered 2xx it posts the same again; now and
then it does so although it was, once its text is there: not before, or what is lost would be mended.
"""

from __future__ import annotations

import json
import random  # noqa: TID251  (drawn from a seed)
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.crash.killed import clock
from tests.processes import alert, notification, post
from worker.sandbox import SandboxServer, State, faults
from worker.sandbox.wire import Request

SETTLE = timedelta(seconds=60)
BEGAN, WORSE, BETTER, OVER = "It began.", "It got worse.", "It got better.", "It is over."
REPEATS = 0.2

_SILENT = faults.drop(applied=False)
_REFUSING = faults.error(503, applied=False)
CHANCES = (
    (_SILENT, 0.06),
    (_REFUSING, 0.06),
    (faults.drop(applied=True), 0.1),
    (faults.error(502, applied=True), 0.1),
    (faults.truncated(), 0.04),
    *((faults.late(seconds), 0.05) for seconds in (20, 40, 58)),
)
UNHEARD = ((faults.drop(applied=True), 0.25), (faults.error(502, applied=True), 0.25))
"""What finds naive workers out soon."""
READS_SPARED = 0.9


class Weather(faults.Faults):
    """
    What the page does to requests.

    An update of which two sends were in vain is rightly left to a person, who is seldom needed: of each, one send at
    most is in vain, and none that a kill may have hit already.

    Attributes:
        spared: Names of incidents whose updates are not in vain.
    """

    def __init__(self, state: State, seed: int, chances: Sequence[tuple[faults.Fault, float]]) -> None:
        super().__init__(chances, seed)
        self._reads = random.Random(seed)
        self._state = state
        self._in_vain: set[bytes] = set()
        self.spared: set[str] = set()

    def pick(self, request: Request) -> faults.Fault | None:
        """See ``Faults``."""
        if not request.write and self._reads.random() < READS_SPARED:
            return None
        fault = super().pick(request)
        incident = json.loads(request.body).get("incident_id") if request.write else None
        if fault not in (_SILENT, _REFUSING) or incident is None:
            return fault
        name = next((each.name for each in self._state.incidents.shelf.all() if each.id == incident), "")
        if request.body in self._in_vain or name in self.spared:
            return None
        self._in_vain.add(request.body)
        return fault


@dataclass
class Tally:
    """What is wrong, as lines for people; and how much there was to go wrong."""

    accepted: int = 0
    texts: int = 0
    retried: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Tally:
        """Add what another story came to."""
        for name in ("accepted", "texts", "retried"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("lost", "doubled", "unsaid"):
            getattr(self, name).extend(getattr(other, name))
        self.kills.update(other.kills)
        self.faults.update(other.faults)
        return self

    @property
    def wrong(self) -> Sequence[str]:
        """Everything that is wrong."""
        return [*self.lost, *self.doubled, *self.unsaid]

    def __str__(self) -> str:
        """Sum up."""
        told = f"{len(self.lost)} lost, {len(self.doubled)} duplicate, {len(self.unsaid)} never published"
        retried = f" ({self.retried} left to a person, who said retry)" if self.retried else ""
        return f"{self.accepted} webhooks accepted, {self.texts} texts due{retried}: {told}"


class Sender:
    """
    Tells of the outages of one service, one after the other.

    Args:
        patience: How long, in our seconds, texts are waited for at the end.
    """

    def __init__(self, service: str, chance: random.Random, tally: Tally, patience: float) -> None:
        self.title = f"Trouble with {service}"
        self.accepted: set[str] = set()
        self.expected: list[list[str]] = []
        self.stuck = False
        self._patience = patience
        self._service = service
        self._chance = chance
        self._tally = tally
        self._numbers = iter(range(1, 1_000_000))
        self._plot: Iterator[tuple[bytes, str]] = iter(())
        self._waiting: tuple[bytes, str] | None = None
        self._last = b""
        self._waits = False
        self._closes_at = 0.0

    def go_on(self, url: str, shown: Sequence[Sequence[str]], *, closing_time: bool) -> bool:
        """
        Do what is next, without waiting for it; say whether there is nothing any more.

        Args:
            shown: What the page says of the service, incident by incident.
        """
        if closing_time and not self._closes_at:
            self._closes_at = time.monotonic() + self._patience
        if self.stuck or not self._is_shown(shown):
            self.stuck = closing_time and time.monotonic() > self._closes_at
            return self.stuck
        if self._last and self._chance.random() < REPEATS:
            self._post(url, self._last)
        self._last = b""
        if self._waiting is None:
            self._waiting = next(self._plot, None)
        if self._waiting is None:
            if closing_time:
                return True
            self._plot = self._outage()
            self._waiting = next(self._plot)
        if self._post(url, self._waiting[0]):
            body, text = self._waiting
            if text == BEGAN:
                self.expected.append([])
            self.expected[-1].append(text)
            self._last, self._waiting, self._waits = body, None, True
        return False

    @property
    def expects(self) -> bool:
        """Whether a text was still to come when last asked."""
        return self._waits

    def _is_shown(self, shown: Sequence[Sequence[str]]) -> bool:
        newest = shown[len(self.expected) - 1 :] if self.expected else ()
        if not self.expected or any(set(self.expected[-1]) <= set(texts) for texts in newest):
            self._waits = False
        return not self._waits

    def _post(self, url: str, body: bytes) -> bool:
        try:
            accepted = post(url, json.loads(body)).status_code == 202
        except httpx.HTTPError:
            return False
        if accepted:
            self._tally.accepted += 1
            self.accepted.add(_number(body))
        return accepted

    def _outage(self) -> Iterator[tuple[bytes, str]]:
        slow, down = (self._name(name) for name in ("slow", "down"))
        yield self._says({slow: "firing"}), BEGAN
        if self._chance.random() < 0.5:
            yield self._says({slow: "firing", down: "firing"}), WORSE
            if self._chance.random() < 0.5:
                yield self._says({slow: "firing", down: "resolved"}), BETTER
            yield self._says({slow: "resolved", down: "resolved"}), OVER
        else:
            yield self._says({slow: "resolved"}), OVER

    def _name(self, name: str) -> tuple[str, str]:
        return name, f"{clock().isoformat()}"

    def _says(self, states: Mapping[tuple[str, str], str]) -> bytes:
        """Make a body that is like no other."""
        alerts: list[Mapping[str, Any]] = []
        for (name, began), status in states.items():
            severity = "warning" if name == "slow" else "critical"
            each = alert(name, self._service, severity, status, began)
            ended = clock().isoformat() if status == "resolved" else each["endsAt"]
            alerts.append(
                {**each, "endsAt": ended, "annotations": {"number": f"{self._service}-{next(self._numbers)}"}}
            )
        return json.dumps(notification(*alerts)).encode()


def shown(page: SandboxServer) -> Mapping[str, list[list[str]]]:
    """Give what the page says, by the name of its incidents, the oldest first."""
    found: dict[str, list[list[str]]] = {}
    with page.state.lock:
        for incident in reversed(page.state.incidents.shelf.all()):
            found.setdefault(incident.name, []).append([update.message for update in incident.updates])
    return found


def judge(tally: Tally, senders: Sequence[Sender], page: SandboxServer, ledger: Path) -> None:
    """Compare what was accepted with what is in the ledger's file, and what was due with what is on the page."""
    stored = _stored(ledger)
    on_page, left = dict(shown(page)), _left(ledger)
    for sender in senders:
        gone = sorted(sender.accepted - stored)
        tally.lost += [f"{number}: answered 202, and not in the ledger" for number in gone]
        says = on_page.pop(sender.title, [])
        tally.texts += sum(map(len, sender.expected))
        due = Counter((text, place) for place, texts in enumerate(sender.expected) for text in texts)
        there = Counter((text, place) for place, texts in enumerate(says) for text in texts)
        where = f"{sender.title}: {says}, due {sender.expected}; {left}"
        tally.doubled += [f"{text!r} {where}" for (text, _) in (there - due).elements()]
        tally.unsaid += [f"{text!r} {where}" for (text, _) in (due - there).elements()]
    tally.doubled += [f"{name}: {says}, and nobody said so" for name, says in on_page.items()]
    tally.faults.update(record.fault for record in page.state.requests if record.fault)


def _stored(ledger: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as file:
        return {_number(row[0]) for row in file.execute("SELECT body FROM inbound")}


def held(ledger: Path) -> Sequence[str]:
    """Give the actions that are left to a person."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as file:
        return [row[0] for row in file.execute("SELECT id FROM action WHERE state = 'held'")]


def _left(ledger: Path) -> str:
    """Give what the ledger has to say for itself; for people, nothing is judged by it."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as file:
        rows = file.execute("SELECT id, kind, state, body FROM action WHERE NOT settled").fetchall()
    told = [f"{row[0]} {row[1]} {row[2]}: {json.loads(row[3]).get('reason')}" for row in rows]
    return "; ".join(told) or "all is settled"


def _number(body: bytes) -> str:
    return str(json.loads(body)["alerts"][0]["annotations"]["number"])
