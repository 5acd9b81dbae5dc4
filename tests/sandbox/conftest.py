"""A sandbox with a clock that the test moves: in process (``desk``) and over TCP (``server``)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.sandbox import DEFAULT, Faults, SandboxServer, State, build_pages

from .desk import Clock, Desk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> Desk:
    return Desk(clock)


@pytest.fixture
def server(clock: Clock) -> Iterator[SandboxServer]:
    with SandboxServer(State(build_pages(DEFAULT, clock())), Faults(), clock) as running:
        yield running
