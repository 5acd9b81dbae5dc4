"""
The simulation finds nothing where it once found something, and goes the same way twice. ``make sim`` runs many seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.__main__ import Bench
from tests.sim.ledgers import scratch

SEEDS = [
    int(line.split()[0]) for line in Path(__file__).with_name("seeds.txt").read_text().splitlines() if line[0] != "#"
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with scratch() as folder, Bench(folder) as bench:
        yield bench


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_once_went_wrong_goes_right(bench: Bench, seed: int) -> None:
    result = bench.run(seed)
    assert result.wrong == [], "\n".join(result.trace)


def test_some_seeds_go_right(bench: Bench) -> None:
    assert [(seed, wrong) for seed in range(5000, 5060) if (wrong := bench.run(seed).wrong)] == []


@pytest.mark.slow
def test_many_seeds_go_right(bench: Bench) -> None:
    """Ends with the first that does not."""
    for seed in range(10_000, 10_300):
        assert bench.run(seed).wrong == [], f"make sim SEED={seed}"


def test_a_seed_goes_the_same_way_twice_and_on_every_ledger(bench: Bench) -> None:
    for seed in (3, 41, 49):
        first = bench.run(seed)
        assert bench.run(seed).trace == first.trace
        assert bench.run(seed, sqlite=True).trace == first.trace
