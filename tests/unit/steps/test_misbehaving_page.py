"""
A page that breaks in every way while it answers a write: what is made of it is what the table says, and nothing is
sent again before the page was looked at.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.unit.steps.misbehaving import (
    DEADLINE,
    Break,
    BreakingPage,
    every_byte,
    good_after_all,
    malformed,
    statuses,
)
from tests.unit.steps.rig import SETTLE, Rig, rule
from worker.core.model import Action, Result
from worker.ports import Channel
from worker.providers import PROVIDERS
from worker.providers._http import Http
from worker.providers._pace import Pace
from worker.rehearse.memory import MemoryLedger
from worker.sandbox import DEFAULT, DEFAULT_KEY, State, build_pages

RULES = rule(more="group_by: [region]\n", title='"Trouble in {{ region }}"', min_gap="0s", quiet="30s")
PAGE = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${KEY}
    base_url: BASE
    publish: auto
    components: {checkout: Checkout API}
    limits: {incidents: 10000 per 10m, updates: 10000 per 1h, mails: 10000 per 1h}
sources:
  alerts: {kind: alertmanager, auth: none}
rules:
"""
LONGEST = 1100
"""Longer than any answer of the page to one write."""


@dataclass
class Bench:
    """A pipeline that writes to a breaking page, and the next name for something new."""

    rig: Rig
    page: BreakingPage
    made: int = 0

    def new(self) -> str:
        """A region where nothing has happened yet."""
        self.made += 1
        return f"r{self.made}"

    def said(self, region: str) -> list[str]:
        """All posts that the page has about a region, of whatever incident."""
        about = [it for it in self.page.state.incidents.shelf.all() if region in it.name.split()]
        about_windows = [it for it in self.page.state.maintenances.shelf.all() if region in it.name.split()]
        assert len(about) + len(about_windows) <= 1, "one object for each"
        return [update.message for each in (*about, *about_windows) for update in each.updates]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    rig = Rig(tmp_path, ledger=MemoryLedger())
    state = State(build_pages(DEFAULT, rig.now))
    with BreakingPage(state, rig.clock) as page:
        rules = rig.use(RULES, PAGE.replace("BASE", page.url))
        pace = Pace(monotonic=lambda: rig.now.timestamp(), sleep=lambda seconds: None)
        http = partial(Http, pace=pace, write_deadline=DEADLINE, read_deadline=10)
        provider = PROVIDERS["incident_io"](rules.pages["main"], DEFAULT_KEY, rig.clock, http=http)
        directory = provider.directory()
        rig.channels = {"main": Channel(provider, lambda: directory, SETTLE)}
        yield Bench(rig, page)


# -- the writes that break: how to come to one, and which posts there are in the end


def opens(bench: Bench, region: str) -> None:
    bench.rig.fires(region, severity="warning", region=region)


def worsens(bench: Bench, region: str) -> None:
    bench.rig.fires(f"{region}-more", region=region)


def resolves(bench: Bench, region: str) -> None:
    bench.rig.clears(region, severity="warning", region=region).passes("30s")


def announces(bench: Bench, region: str) -> None:
    now = bench.rig.now
    bench.rig.asks(
        "maintenance/schedule",
        page="main",
        components=["checkout"],
        title=f"Work in {region}",
        starts_at=now + timedelta(hours=1),
        ends_at=now + timedelta(hours=2),
        text="It is planned.",
        start_text="It has begun.",
        complete_text="It is done.",
    )
    bench.rig.settles()


def waits(bench: Bench, region: str) -> None:
    bench.rig.passes("1h")


Deed = Callable[[Bench, str], None]
DEEDS: dict[str, tuple[Sequence[Deed], Deed, Sequence[str]]] = {
    "open": ((), opens, ["It began."]),
    "update": ((opens,), worsens, ["It began.", "It got worse."]),
    "resolve": ((opens,), resolves, ["It began.", "It is over."]),
    "announce": ((), announces, ["It is planned."]),
    "start": ((announces,), waits, ["It is planned.", "It has begun."]),
    "complete": ((announces, waits), waits, ["It is planned.", "It has begun.", "It is done."]),
}


def tried(bench: Bench, deed: str, broken: Break) -> None:
    """Come to the write, let it break, and see what is made of it and what follows."""
    rig, page, region = bench.rig, bench.page, bench.new()
    before, act, posts = DEEDS[deed]
    for each in before:
        each(bench, region)
    first, attempts = len(page.seen), len(rig.committer.commits)
    page.next = broken
    act(bench, region)
    assert page.next is None, "it was not written"
    action = _attempted(rig, attempts)[0]
    assert rig.ledger.attempts(action.id)[0].result is broken.result
    rig.passes("10m")
    writes = [index for index, seen in enumerate(page.seen) if seen.write and index >= first]
    repeated = [index for index in writes[1:] if page.seen[index].body == page.seen[writes[0]].body]
    if broken.result in (Result.DONE, Result.REFUSED) or broken.applied:
        assert not repeated, "sent again"
    else:
        assert len(repeated) == 1, "sent once more"
        assert not page.seen[repeated[0] - 1].write, "the page was looked at before"
    refused = broken.result is Result.REFUSED
    assert bench.said(region)[: len(posts)] == (posts[:-1] if refused else posts)
    _tidy(bench, region)


def _attempted(rig: Rig, since: int) -> list[Action]:
    commits = rig.committer.commits[since:]
    return [action for commit in commits if commit.attempts for action in commit.actions if action.tries == 1]


def _tidy(bench: Bench, region: str) -> None:
    """End all that the try has begun, by ourselves: what broke once breaks nothing later."""
    for name in (region, f"{region}-more"):
        bench.rig.clears(name, region=region)
    bench.rig.passes("3h" if bench.rig.ledger.windows(bench.rig.now - timedelta(hours=4)) else "2m")


def run(bench: Bench, deed: str, breaks: Iterator[Break], least: int) -> None:
    tries = list(breaks)
    assert len(tries) >= least
    wrong = []
    for each in tries:
        try:
            tried(bench, deed, each)
        except AssertionError as error:
            wrong.append(f"{each.name}: {str(error)[:100]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_an_answer_that_breaks_off_at_any_byte_is_looked_for(bench: Bench, deed: str) -> None:
    run(bench, deed, every_byte(LONGEST, 11), 100)


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_an_answer_of_which_nothing_can_be_concluded_is_looked_for(bench: Bench, deed: str) -> None:
    run(bench, deed, malformed(), 100)


@pytest.mark.parametrize("deed", DEEDS)
def test_an_answer_that_is_whole_is_believed_however_odd(bench: Bench, deed: str) -> None:
    run(bench, deed, good_after_all(), 10)


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_every_status_means_what_the_table_says_and_no_redirect_is_followed(bench: Bench, deed: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        run(bench, deed, statuses(elsewhere.getsockname()[1]), 250)
        elsewhere.settimeout(0.01)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_what_came_in_an_encoding_that_nobody_asked_for_is_looked_for(bench: Bench) -> None:
    """Such an answer may bear the id of our post; who takes that for known does not find the post by it."""
    run(bench, "update", (each for each in malformed() if "coding" in each.name or "gzip" in each.name), 6)
