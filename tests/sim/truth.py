"""
What is true upstream, from what was accepted: the oracle's own account, written without a look at the worker's.

A signal's state is what was said last: by the sender's stamp, where it stamps, else by receipt. A line's want is the
worst of what its firing signals do to each component.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.sim.kernel import START
from tests.sim.plans import Spec

WORST = ("operational", "degraded_performance", "partial_outage", "full_outage")
Want = Mapping[str, str]
TICK = timedelta(seconds=3)
"""How much later than it is due the clock may look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    One statement of a sender.

    Args:
        stamp: The sender's; None for one that stamps nothing.
        text: Only for what is relayed; "" else.
        name: Only for what is relayed: the upstream's word for the status.
    """

    key: str
    team: str
    service: str
    firing: bool
    severity: str
    started: datetime
    stamp: datetime | None = None
    text: str = ""
    name: str = ""


@dataclass(slots=True)
class Line:
    """
    One (rule, service).

    Attributes:
        fires_since: Signal to when it began to fire, for those that fire.
        wants: What the page should say, from the time at the same place of ``times`` on; {}: nothing.
        relayed: Every text that was accepted in its turn, oldest first.
    """

    spec: Spec
    service: str
    signals: dict[str, Said] = field(default_factory=dict)
    fires_since: dict[str, datetime] = field(default_factory=dict)
    times: list[datetime] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)
    relayed: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return self.spec.title(self.service)

    @property
    def want(self) -> Want:
        """What the page should say now."""
        return self.wants[-1] if self.wants else {}

    @property
    def spells(self) -> int:
        """How often something began after nothing was."""
        return sum(bool(after) and not before for before, after in zip([{}, *self.wants], self.wants, strict=False))

    def between(self, since: datetime, until: datetime) -> Sequence[Want]:
        """Give every want that held at any time from *since* to *until*."""
        first, last = bisect_right(self.times, since), bisect_right(self.times, until)
        return [self.wants[first - 1] if first else {}, *self.wants[first:last]]

    def longest_clear(self, since: datetime, until: datetime) -> timedelta | None:
        """Give how long nothing was wanted, where that was so at any time from *since* to *until*; else None."""
        starts, ends = [START, *self.times], [*self.times, until]
        clear = zip(starts, ends, [{}, *self.wants], strict=True)
        return max((end - start for start, end, want in clear if not want and end >= since), default=None)

    def firing_since(self, at: datetime) -> datetime | None:
        """Give since when something was wanted at *at*, gaps shorter than ``quiet`` counted in; None: nothing was."""
        place = bisect_right(self.times, at)
        if not place or not self.wants[place - 1]:
            return None
        began = self.times[place - 1]
        for since, until, want in reversed(
            list(zip(self.times, self.times[1:], self.wants, strict=False))[: place - 1]
        ):
            if not want and until - since > self.spec.quiet + TICK:
                break
            began = since if want else began
        return began

    def heard(self, said: Sequence[Said], at: datetime) -> None:
        """A delivery with these statements about it was committed."""
        for each in said:
            self._note(each, at)
        want = self._worst()
        if want != self.want:
            self.times.append(at)
            self.wants.append(want)

    def _note(self, said: Said, at: datetime) -> None:
        known = self.signals.get(said.key)
        if known is not None and _stale(said, known):
            return
        firing = said.firing if known is None else known.firing
        if self.spec.relay and firing and (known is None or said.text != known.text):
            self.relayed.append(said.text)
        self.signals[said.key] = said
        if said.firing:
            self.fires_since.setdefault(said.key, at)
        else:
            self.fires_since.pop(said.key, None)

    def _worst(self) -> Want:
        worst: dict[str, str] = {}
        for said in self.signals.values():
            for name, status in self.spec.rank(said.severity).items() if said.firing else ():
                worst[name] = max(worst.get(name, status), status, key=WORST.index)
        return worst


def _stale(said: Said, known: Said) -> bool:
    if said.stamp is not None and known.stamp is not None:
        return said.stamp < known.stamp
    return not said.firing and said.started < known.started


class Truth:
    """All lines."""

    def __init__(self, specs: Mapping[str, Spec]) -> None:
        self._specs = specs
        self.lines: dict[tuple[str, str], Line] = {}

    def heard(self, said: Sequence[Said], at: datetime) -> None:
        """A delivery with these statements was committed."""
        for rule, service in dict.fromkeys((each.team, each.service) for each in said):
            self.line(rule, service).heard([e for e in said if (e.team, e.service) == (rule, service)], at)

    def line(self, rule: str, service: str) -> Line:
        """Give one line."""
        return self.lines.setdefault((rule, service), Line(self._specs[rule], service))

    def titled(self, title: str) -> Line | None:
        """Give the line whose incidents bear this name."""
        return next((line for line in self.lines.values() if line.title == title), None)
