"""
Which faults a seed has, and when: each seed draws for itself, so that some see many at once, and some none.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.sim.kernel import START
from tests.sim.network import Spans, Weather
from tests.sim.people import AT_THE_WORKER, ON_THE_PAGE
from tests.sim.upstream import Manners
from worker.sandbox import Switches

UNHEARD = (
    "drop-applied",
    "drop-unapplied",
    "error-applied",
    "error-unapplied",
    "hang-applied",
    "hang-unapplied",
    "late",
    "truncated",
    "html",
    "redirect",
)
AIMED = ("", "after_intent", "after_send")
"""Points that are seldom come to, where it matters most."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens at a time, and how much of it: seconds, port calls …"""

    at: datetime
    amount: float = 0


@dataclass(kw_only=True)
class Swarm:
    """
    What goes wrong in one seed.

    Args:
        crashes: ``amount``: after so many calls of a port; below 0: at the next point of ``AIMED`` at that place.
        pauses: The worker stands still for so many seconds.
        steps: The worker's clock is set forward by so many seconds, or back.
        full_disks: For so many seconds.
        stale: Reads show the page as it was so many seconds ago; for ten minutes.
        people: ``amount``: which of ``ON_THE_PAGE``.
        operators: ``amount``: which of ``AT_THE_WORKER``.
    """

    length: timedelta
    weather: Weather
    manners: Manners
    switches: Switches
    restlessness: float = 0
    deaf: float = 0
    downtime: float = 5
    crashes: Sequence[Moment] = ()
    pauses: Sequence[Moment] = ()
    steps: Sequence[Moment] = ()
    full_disks: Sequence[Moment] = ()
    stale: Sequence[Moment] = ()
    people: Sequence[Moment] = ()
    operators: Sequence[Moment] = ()
    names: list[str] = field(default_factory=list)


def draw(chance: random.Random, settle: timedelta, *, beyond: bool) -> Swarm:
    """
    Draw a swarm.

    Args:
        settle: How long a request that was given up may still be applied, as configured; the page keeps to it.
        beyond: The page does not keep to it.
    """
    length = timedelta(minutes=chance.choice([30, 60, 120]))
    names: list[str] = []
    calm = chance.random() < 0.1

    def drawn(name: str, probability: float) -> bool:
        active = chance.random() < probability and not calm
        if active:
            names.append(name)
        return active

    def moments(name: str, probability: float, most: int, amounts: Sequence[float]) -> list[Moment]:
        count = chance.randint(1, most) if drawn(name, probability) else 0
        return sorted(
            (Moment(START + length * chance.random(), chance.choice(amounts)) for _ in range(count)),
            key=lambda moment: moment.at,
        )

    def spans(name: str, probability: float, most: int, longest: float) -> Spans:
        starts = moments(name, probability, most, [longest / 20, longest / 4, longest])
        return tuple((start.at, start.at + timedelta(seconds=start.amount)) for start in starts)

    stale = moments("stale", 0.25, 3, [1, 5, 20])
    most_stale = max((moment.amount for moment in stale), default=0)
    kinds = [name for name in UNHEARD if drawn(name, 0.25)]
    harsh = chance.choice([0.02, 0.1, 0.3])
    weather = Weather(
        chances={name: harsh / max(1, len(kinds) ** 0.5) / 2 for name in kinds},
        slow=chance.choice([0.02, 0.2]) if drawn("slow", 0.25) else 0,
        refused=chance.choice([0.02, 0.3]) if drawn("refused", 0.2) else 0,
        late=(settle.total_seconds() + 25 - most_stale) * (4 if beyond else 1),
        outages=spans("outage", 0.2, 2, 3 * 3600),
        overloads=spans("overload", 0.2, 3, 600),
        denials=spans("denial", 0.1, 1, 1200),
    )
    sources = ("alerts", "checks", "jobs", "words")
    manners = Manners(
        doubled=chance.choice([0.1, 0.5]) if drawn("doubled", 0.3) else 0,
        slow=chance.choice([5, 30]) if drawn("reordered", 0.3) else 0.2,
        dies_at={chance.choice(sources): START + length * chance.random()} if drawn("death", 0.1) else {},
    )
    return Swarm(
        length=length,
        weather=weather,
        manners=manners,
        switches=_switches(chance, calm=calm),
        restlessness=chance.choice([0.01, 0.1]) if drawn("restless", 0.5) else 0,
        deaf=chance.choice([0.1, 1]) if drawn("deaf", 0.3) else 0,
        downtime=chance.choice([1, 30, 900]),
        crashes=moments("crash", 0.35, 4, [1, 2, 5, 10, 20, 50, 100, -1, -2]),
        pauses=moments("pause", 0.15, 2, [2, 40, 100, 600]),
        steps=moments("clock", 0.12, 2, [2, 30, 300, 3600, -2, -30, -300, -3600]),
        full_disks=moments("full disk", 0.1, 2, [5, 60, 300]),
        stale=stale,
        people=moments("people", 0.2, 3, range(len(ON_THE_PAGE))),
        operators=moments("operators", 0.3, 6, range(len(AT_THE_WORKER))),
        names=names,
    )


def _switches(chance: random.Random, *, calm: bool) -> Switches:
    switches = Switches()
    if not calm:
        switches.refused_key = chance.choice(["free", "spent"])
        switches.replay_shows = chance.choice(["original", "current"])
        switches.update_on_resolved = chance.choice(["reopen", "refuse"])
        switches.second_resolve = chance.choice(["accept", "refuse"])
        switches.text = chance.choice(["exact", "trimmed"])
    return switches
