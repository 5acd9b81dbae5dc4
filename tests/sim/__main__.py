"""
``python -m tests.sim``: many seeds on all cores, what they exercised, and which of them went wrong.

``--seed N`` tells one seed line by line. Exit code 1: something went wrong, or was never exercised.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from multiprocessing import Pool
from pathlib import Path

from tests.sim.ledgers import MemoryStore, scratch, sqlite_files
from tests.sim.node import simulated
from tests.sim.plans import VARIANTS, plan
from tests.sim.run import Result, World
from tests.sim.sometimes import missing

TWICE = 40
"""One in so many seeds is run on both ledgers, and must go the same way on both, to the last line of its trace."""

MOST_SHOWN = 20


class Bench:
    """
    A process that is prepared to run seeds, for the length of a ``with`` block.

    Args:
        folder: For ledgers in files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        self._stack.enter_context(simulated())
        self._fresh = self._stack.enter_context(sqlite_files(self._folder))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def run(self, seed: int, *, beyond: bool = False, sqlite: bool = False) -> Result:
        """Run one seed."""
        world = World(seed, self._fresh() if sqlite else MemoryStore(), beyond)
        try:
            return world.run()
        except Exception:
            world.wrong("simulator", traceback.format_exc())
            return world.result()

    def judged(self, seed: int, *, beyond: bool = False) -> Result:
        """Run one seed, some of them twice."""
        result = self.run(seed, beyond=beyond)
        if seed % TWICE == 0:
            again = self.run(seed, beyond=beyond, sqlite=True)
            if again.digest != result.digest:
                pairs = zip(result.trace, again.trace, strict=False)
                differs = next((pair for pair in pairs if pair[0] != pair[1]), "in length")
                result.wrong.append(("not determined", f"in a file it goes another way: {differs}"))
            result.seen["run on a SQLite file"] += 1
        return result


_bench: Bench


def _prepare(folder: Path) -> None:
    global _bench
    _bench = Bench(folder).__enter__()
    for number in range(VARIANTS):
        plan(number)
    gc.freeze()  # what stays for good needs no looking at over and over: a fifth of the time


def _in_pool(job: tuple[int, bool]) -> tuple[int, list[tuple[str, str]], Counter[str], str]:
    result = _bench.judged(job[0], beyond=job[1])
    return result.seed, result.wrong, result.seen, result.story


def sweep(seeds: Iterable[int], *, beyond: bool, processes: int) -> int:
    """Run many seeds, print what came of them, give the exit code."""
    began, seen, kinds = time.monotonic(), Counter[str](), Counter[str]()
    failed: list[tuple[int, str, str]] = []
    with scratch() as folder, Pool(processes, _prepare, (folder,)) as pool:
        for count, (seed, wrong, counts, story) in enumerate(
            pool.imap_unordered(_in_pool, ((seed, beyond) for seed in seeds), 5), 1
        ):
            seen.update(counts)
            seen["seeds"] += 1
            if wrong:
                kinds[wrong[0][0]] += 1
                failed.append((seed, f"{wrong[0][0]}: {wrong[0][1]}", story))
            if count % 500 == 0:
                print(f"  {count} seeds, {len(failed)} wrong, {time.monotonic() - began:.0f} s", flush=True)
    took = time.monotonic() - began
    for name in sorted(seen):
        print(f"{seen[name]:9}  {name}")
    print(f"\n{seen['seeds']} seeds in {took:.0f} s ({seen['seeds'] / took:.0f}/s)")
    return _verdict(failed, kinds, missing(seen), beyond)


def _verdict(failed: list[tuple[int, str, str]], kinds: Counter[str], never: list[str], beyond: bool) -> int:
    for seed, what, story in sorted(failed)[:MOST_SHOWN]:
        print(f"\nseed {seed}: {what[:300]}\n  {story}\n  make sim SEED={seed}{' BEYOND=1' if beyond else ''}")
    if never:
        print(f"\nnever exercised: {', '.join(never)}")
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    print(f"\nwrong: {told or 'none'}")
    return 1 if failed or never else 0


def tell(seed: int, *, beyond: bool, sqlite: bool) -> int:
    """Print all that happens in one seed."""
    with scratch() as folder, Bench(folder) as bench:
        result = bench.run(seed, beyond=beyond, sqlite=sqlite)
    print(f"seed {seed}: {result.story}\n")
    print("\n".join(result.trace))
    print(f"\ntrace {result.digest[:16]}; wrong: {'; '.join(map(': '.join, result.wrong)) or 'nothing'}")
    return 1 if result.wrong else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="tell this one line by line")
    parser.add_argument("--beyond", action="store_true", help="let the page apply requests later than `settle` says")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="so many at once")
    parser.add_argument("--sqlite", action="store_true", help="with --seed: on a SQLite file")
    args = parser.parse_args()
    if args.seed is not None:
        return tell(args.seed, beyond=args.beyond, sqlite=args.sqlite)
    seeds = range(args.first, args.first + args.seeds)
    return sweep(seeds, beyond=args.beyond, processes=args.processes)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must not depend on chance
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]])
    sys.exit(main())
