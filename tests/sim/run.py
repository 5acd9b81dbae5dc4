"""
One seed from its beginning to its verdict: a world, its story, its faults, and the calm in which all must come good.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.sim import checks
from tests.sim.faults import AIMED, Moment, Swarm, draw
from tests.sim.kernel import START, Kernel
from tests.sim.ledgers import Store
from tests.sim.network import Network, Weather, Write
from tests.sim.node import Node
from tests.sim.people import AT_THE_WORKER, ON_THE_PAGE, People
from tests.sim.plans import VARIANTS, Plan, plan
from tests.sim.truth import Said, Truth
from tests.sim.upstream import Edges, Happening, Sender, Snapshots, stories
from worker.core.model import Notice
from worker.ports import Commit
from worker.sandbox import DEFAULT, State, build_pages

_NUMBER = re.compile(r"inbound \d+")
CALM = timedelta(minutes=40)
"""More than hold, quiet, gap, the longest pause between two tries, and settle with its reads, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a seed; ``wrong``: (kind, what)."""

    seed: int
    wrong: list[tuple[str, str]]
    seen: Counter[str]
    trace: Sequence[str]
    story: str

    @property
    def digest(self) -> str:
        """Of the whole trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


@dataclass
class World:
    """
    Everything in one seed.

    Args:
        seed: Decides everything.
        store: The ledger.
        beyond: Requests may be applied later than ``settle`` allows for.
    """

    seed: int
    store: Store
    beyond: bool = False
    wrongs: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    hands_off: set[str] = field(default_factory=set)
    disturbed: list[tuple[datetime, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.seed)
        chance = self.kernel.chance
        self.plan: Plan = plan(chance.randrange(VARIANTS))
        self.swarm: Swarm = draw(chance, self.plan.settle, beyond=self.beyond)
        self.page = State(build_pages(DEFAULT, START), switches=self.swarm.switches)
        self.truth = Truth(self.plan.specs)
        self.network = Network(self.kernel, self.page, self.swarm.weather, self)
        self.node = Node(
            self.kernel,
            self.plan,
            self.store,
            self.network,
            self,
            restlessness=self.swarm.restlessness,
            deaf=self.swarm.deaf,
        )
        self.people = People(self)
        self.checker = checks.Checker(self)

    @property
    def clock_is_wrong(self) -> bool:
        """Whether the worker's clock is not the page's."""
        return bool(self.node.offset)

    # -- who is told

    def tell(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        at = self.kernel.now - START
        self.trace.append(f"{str(at)[:12]:<12} {who:<10} {what}")

    def seen(self, what: str) -> None:
        """Count what happened."""
        self.counts[what] += 1

    def wrong(self, kind: str, what: str) -> None:
        """Note a violation."""
        self.tell("WRONG", f"{kind}: {what}")
        self.wrongs.append((kind, what))

    def sends(self, write: Write) -> None:
        """See ``network.Observer``."""
        self.tell("send", f"{write.action.id} {write.action.kind} ({write.action.post}) #{write.action.sends}")
        self.checker.on_send(write)

    def committed(self, commit: Commit) -> None:
        """See ``node.World``."""
        for decision in commit.decisions:
            cause = _NUMBER.sub("inbound", decision.cause)  # ledgers may number them differently
            self.tell("decided", f"{decision.aggregate}: {decision.text} [{cause}]")
        for action in commit.actions:
            self.checker.on_action(action)
            self.seen(f"action {action.kind} {action.state}")
            self.tell("action", f"{action.id} {action.post} {action.state} {action.reason}")
        for episode in commit.episodes:
            self.seen(f"episode {episode.phase}")
            (self.hands_off.add if episode.hands_off else self.hands_off.discard)(episode.id)
        for window in commit.windows:
            self.seen(f"window {window.phase}")
        for attempt in commit.attempts:
            if attempt.result:
                self.seen(f"attempt {attempt.result}")
        for notice in commit.notices:
            self.seen(f"notice {notice.code}")
            self.tell("notice", f"{notice.code} {notice.subject}: {notice.text}")
        self.notices += commit.notices

    # -- the run

    def run(self) -> Result:
        """Run it all."""
        swarm, kernel = self.swarm, self.kernel
        self.node.start()
        end = START + swarm.length
        for happening in self._story():
            kernel.at(happening.at, self._telling(happening))
        self._nemesis()
        kernel.run(end)
        self._calm()
        back = sum((-moment.amount for moment in swarm.steps if moment.amount < 0), 0.0)
        over = [window.starts + window.duration + window.grace for window in self.plan.maintenance]
        kernel.run(max([end + CALM, *over]) + self.plan.settle * 2 + timedelta(minutes=5, seconds=back + 7))
        for _ in range(3):
            self.node.look()
            kernel.run(kernel.now + timedelta(minutes=1))
        self.page.settle(kernel.now)
        self.checker.at_end()
        self.node.crash()
        return self.result()

    def result(self) -> Result:
        """Give what came of it so far."""
        swarm = self.swarm
        for name in swarm.names:
            self.seen(f"swarm {name}")
        story = f"plan {self.plan.number}, settle {self.plan.settle}, faults: {', '.join(swarm.names) or 'none'}"
        return Result(seed=self.seed, wrong=self.wrongs, seen=self.counts, trace=self.trace, story=story)

    def _story(self) -> Sequence[Happening]:
        found = stories(self.plan, self.kernel.chance, self.swarm.length)
        self._senders = {place: self._sender(place[0]) for place in dict.fromkeys(map(_place, found))}
        return found

    def _sender(self, source: str) -> Sender:
        parts: Any = (self.kernel, source, self._receive, self.swarm.manners)
        return Snapshots(*parts) if source == "alerts" else Edges(*parts, ordered=source == "jobs")

    def _telling(self, happening: Happening) -> Callable[[], None]:
        sender = self._senders[_place(happening)]
        return lambda: sender.tell(happening.said)

    def _receive(self, source: str, body: bytes, headers: Mapping[str, str], said: Sequence[Said]) -> bool:
        def stored() -> None:
            self.tell(
                "stored", "; ".join(f"{s.key} {'fires ' + s.severity if s.firing else 'over'} {s.text}" for s in said)
            )
            self.truth.heard(said, self.kernel.now)

        answered = self.node.receive(source, body, headers, stored)
        if not answered:
            self.seen("sender refused")
        return answered

    # -- what goes wrong

    def _nemesis(self) -> None:
        swarm, at = self.swarm, self.kernel.at
        for moment in swarm.crashes:
            at(moment.at, lambda m=moment: self._doom(m))  # type: ignore[misc]
        for moment in swarm.pauses:
            at(moment.at, lambda m=moment: self._in_the_midst(lambda: self._pause(m.amount)))  # type: ignore[misc]
        for moment in swarm.steps:
            at(moment.at, lambda m=moment: self._in_the_midst(lambda: self._step(m.amount)))  # type: ignore[misc]
        for moment in swarm.full_disks:
            at(moment.at, lambda m=moment: self._fill_disk(m.amount))  # type: ignore[misc]
        for moment in swarm.stale:
            at(moment.at, lambda m=moment: self._lag(m.amount))  # type: ignore[misc]
        for moment in swarm.people:
            at(moment.at, lambda m=moment: self.people.on_the_page(ON_THE_PAGE[int(m.amount)]))  # type: ignore[misc]
        for moment in swarm.operators:
            at(moment.at, lambda m=moment: self.people.at_the_worker(AT_THE_WORKER[int(m.amount)]))  # type: ignore[misc]
        for start, end in (*swarm.weather.outages, *swarm.weather.denials, *swarm.weather.overloads):
            self.tell("page", f"trouble from {start - START} to {end - START}")

    def _doom(self, moment: Moment) -> None:
        named = AIMED[-int(moment.amount)] if moment.amount < 0 else ""
        self.node.interrupt(1 if named else int(moment.amount), self.node.die, named)

    def _in_the_midst(self, happens: Callable[[], None]) -> None:
        """Let something happen in the midst of what the worker does next; or now, while it does nothing."""
        calls = self.kernel.chance.choice([0, 1, 5, 15, 40])
        self.node.interrupt(calls, happens) if calls else happens()

    def fell(self) -> None:
        """The worker was killed; somebody starts it again."""
        down = self.kernel.chance.uniform(0.5, self.swarm.downtime)
        self._disturb(down)
        self.kernel.after(down, self._restart)

    def _restart(self) -> None:
        self.tell("worker", "starts")
        self.seen("restart")
        self.node.start()

    def _disturb(self, seconds: float) -> None:
        self.disturbed.append((self.kernel.now, self.kernel.now + timedelta(seconds=seconds)))

    def _pause(self, seconds: float) -> None:
        if not self.node.up or self.node.gate.shut:
            return
        gate = self.node.gate
        gate.shut = True
        self.seen("pause")
        self.tell("worker", f"stands still for {seconds} s")
        self._disturb(seconds)
        self.kernel.after(seconds, gate.open)

    def _step(self, seconds: float) -> None:
        self.node.offset += timedelta(seconds=seconds)
        self.seen("step forward" if seconds > 0 else "step back")
        self.tell("worker", f"its clock is set by {seconds} s")
        if self.node.up:
            self.kernel.after(self.kernel.chance.uniform(0, 2), self.node.look)

    def _fill_disk(self, seconds: float) -> None:
        if self.node.up:
            node, ledger = self.node, self.node.ledger
            node.disk_full = True
            self.seen("full disk")
            self.tell("worker", f"the disk is full for {seconds} s")
            self._disturb(seconds)

            def freed() -> None:
                if node.up and node.ledger is ledger:
                    node.disk_full = False
                    node.look()

            self.kernel.after(seconds, freed)

    def _lag(self, seconds: float) -> None:
        switches = self.page.switches
        switches.list_lag, switches.show_lag = self.kernel.chance.choice(
            [(seconds, 0), (0, seconds), (seconds, seconds)]
        )
        self.seen("stale reads")
        self.tell("page", f"lists are {switches.list_lag} s old, objects {switches.show_lag} s")

        def over() -> None:
            switches.list_lag = switches.show_lag = 0

        self.kernel.after(600, over)

    def _calm(self) -> None:
        self.tell("calm", "no more faults")
        self.network.weather = Weather()
        self.page.switches.list_lag = self.page.switches.show_lag = 0
        self.node.interruptions.clear()
        self.people.calm_down()
        if self.node.up:
            self.node.disk_full = False
            if self.node.gate.shut:
                self.node.gate.open()
            self.node.look()


def _place(happening: Happening) -> tuple[str, str, str]:
    return happening.source, happening.said.team, happening.said.service
