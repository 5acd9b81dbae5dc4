"""
``make crash``: SIGKILL at named points and at random times, over and over, before a page that misbehaves.

Each of a few workers lives through many deaths, on one ledger, while senders tell of outages; then page and senders are
asked what came of it. Naive workers, with a fault in them, live the same lives: whoever judges must find them out.
"""

from __future__ import annotations

import argparse
import random  # noqa: TID251  (drawn from a seed)
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from tests.crash.killed import POINTS, SPEED, clock
from tests.crash.naive import NAIVE, Naive
from tests.crash.nursery import Alive, nursery
from tests.crash.story import CHANCES, SETTLE, UNHEARD, Sender, Tally, Weather, held, judge, shown
from tests.leaks import PAGE_KEY
from tests.mutants.trees import made
from tests.processes import write_rules
from worker.ports import DEADLINE
from worker.sandbox import DEFAULT, SandboxServer, State, build_pages

AT_ONCE = 2
MOST_ROUNDS = 3
"""How often a naive worker may be lucky."""
SERVICES = 6
LONGEST_LIFE_S = 8.0
AFTER_A_202, AT_A_POINT, AT_RANDOM = "after a 202", "at a point", "at random"
WAYS = (AFTER_A_202, AT_A_POINT, AT_RANDOM, AT_A_POINT)
PERSON_S = 2.0
PATIENCE_S, WITH_NAIVE_S = 300.0, 15.0
"""How long a text is waited for; of naive workers it is known that some never come."""
LINGERS_S = (DEADLINE + 2 * SETTLE).total_seconds() / SPEED
"""How long a worker is watched after all is said: longer than it may take for something to be said again."""


class Life:
    """One ledger, one page, and many workers, each killed but the last."""

    def __init__(self, folder: Path, seed: int, tree: Path | None) -> None:
        self._patience = PATIENCE_S if tree is None else WITH_NAIVE_S
        self._chance = random.Random(seed)
        self._points = cycle(self._chance.sample(POINTS, len(POINTS)))
        self._folder = folder
        self._tree = tree
        self._seed = seed
        self.tally = Tally()

    def live(self, kills: int) -> Tally:
        """Be killed so many times, then live on until everything is said; judge."""
        state = State(build_pages(DEFAULT, clock), api_key=PAGE_KEY)
        self._weather = Weather(state, self._seed, CHANCES if self._tree is None else UNHEARD)
        with SandboxServer(state, self._weather, clock) as page:
            rules = write_rules(self._folder / "rules", page.url, quiet="10s", settle=f"{SETTLE.seconds}s")
            ledger = self._folder / "crash.db"
            self._page, self._person = page, Person(ledger, self._tree, self.tally)
            self._senders = [
                Sender(f"s{n}", random.Random(self._seed + n), self.tally, self._patience) for n in range(SERVICES)
            ]
            with nursery(rules, ledger, self._tree) as self._nursery:
                for number in range(kills):
                    self._die(WAYS[number % len(WAYS)])
                self._end_well()
            judge(self.tally, self._senders, page, ledger)
        return self.tally

    def _die(self, way: str) -> None:
        point, visits = (next(self._points), self._chance.randint(1, 3)) if way == AT_A_POINT else ("-", 1)
        seconds = self._chance.uniform(0.0, 1.5) if way == AT_RANDOM else LONGEST_LIFE_S
        accepted = self.tally.accepted + self._chance.randint(1, 3) if way == AFTER_A_202 else sys.maxsize
        worker = self._nursery.worker(point, visits)
        ends = time.monotonic() + seconds
        self._tell(
            worker,
            lambda: worker.ended or self.tally.accepted >= accepted or time.monotonic() > ends,
            closing=False,
        )
        how = point if worker.ended else AFTER_A_202 if self.tally.accepted >= accepted else AT_RANDOM
        worker.kill()
        self._weather.spared = {sender.title for sender in self._senders if sender.expects}
        self.tally.kills[how] += 1

    def _end_well(self) -> None:
        self._weather.clear()
        worker = self._nursery.worker()

        def over() -> bool:
            self._person.looks()
            return worker.ended

        self._tell(worker, over, closing=True)
        time.sleep(LINGERS_S)

    def _tell(self, worker: Alive, over: Callable[[], bool], *, closing: bool) -> None:
        """Let all senders go on, until it is over or, when closing, nobody has anything to say."""
        while not over():
            page = shown(self._page)
            done = []
            for sender in self._senders if worker.url else ():
                done.append(sender.go_on(worker.url, page.get(sender.title, ()), closing_time=closing))
                if over():
                    return
            if closing and done and all(done):
                return
            time.sleep(0.02)


class Person:
    """Whoever is told what is held, and lets it go out: the command looks for it on the page first."""

    def __init__(self, ledger: Path, tree: Path | None, tally: Tally) -> None:
        self._ledger, self._tree, self._tally = ledger, tree, tally
        self._done: set[str] = set()
        self._looks_at = 0.0

    def looks(self) -> None:
        """Look every few seconds; once for each action."""
        if time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + PERSON_S
        for action in set(held(self._ledger)) - self._done:
            command = ("worker", "retry", action, "--by", "crash", "--ledger", f"sqlite:///{self._ledger}")
            run = subprocess.run([sys.executable, "-m", *command], cwd=self._tree, capture_output=True, check=False)
            if run.returncode == 0:
                self._done.add(action)
                self._tally.retried += 1


def lives(count: int, kills: int, seed: int, tree: Path | None = None) -> Tally:
    """Let so many lives be lived, each with so many kills, some at once."""
    total = Tally()
    with tempfile.TemporaryDirectory(prefix="crash-") as made_folder, ThreadPoolExecutor(AT_ONCE) as pool:

        def live(number: int) -> Tally:
            folder = Path(made_folder) / str(number)
            folder.mkdir()
            return Life(folder, seed + 1000 * number, tree).live(kills)

        for number, tally in enumerate(pool.map(live, range(count)), 1):
            total += tally
            if tree is None:
                print(f"life {number}/{count}: {tally.kills.total()} kills, {tally}", flush=True)
    return total


def found_out(naive: Naive, kills: int, seed: int) -> bool:
    """Let a naive worker live; say whether it ended as it must."""
    tally, found = Tally(), False
    with made(*naive.faults) as tree:
        for attempt in range(MOST_ROUNDS if kills else 0):
            if not found:
                tally += lives(AT_ONCE, kills, seed + 100 * attempt, tree)
                found = bool(getattr(tally, naive.ends_in))
    print(f"a naive worker {naive.does}: {tally}: {'found out' if found else 'NOT FOUND OUT'}", flush=True)
    return found


def main() -> int:
    """Live all lives; print what came of them."""
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--lives", type=int, default=8)
    parser.add_argument("--kills", type=int, default=14, help="in each life")
    parser.add_argument("--naive", type=int, default=6, help="kills in each life of a naive worker; 0: none lives")
    parser.add_argument("--seed", type=int, default=1, help="what is drawn; not how threads and sockets take turns")
    asked = parser.parse_args()
    began = time.monotonic()
    tally = lives(asked.lives, asked.kills, asked.seed)
    print(*(f"{line}\n" for line in tally.wrong), sep="", end="")
    print(f"killed {tally.kills.total()} times: {_listed(tally.kills)}; the page: {_listed(tally.faults)}")
    print(f"seed {asked.seed}: {tally} · {time.monotonic() - began:.0f} s", flush=True)
    missed = set(POINTS) - tally.kills.keys() if asked.lives * asked.kills >= 100 else set()
    print(*(f"never came to {point}: nothing is proven there\n" for point in sorted(missed)), sep="", end="")
    found = [found_out(naive, asked.naive, asked.seed) for naive in NAIVE if asked.naive]
    print(f"naive workers found out: {found.count(True)}/{len(found)} · {time.monotonic() - began:.0f} s")
    return int(bool(tally.wrong or missed) or not all(found))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
