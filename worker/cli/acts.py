"""
What ``demo`` plays: an alert storm, and a planned change in which another one is kept still.

Each act waits for what the page must come to, and tells what it came to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from worker.cli.rehearsal import HURRY, SPEED, Problem, Stage

STORM = 200
SERVICES = ("checkout", "cart", "payments", "search", "mail")
LATER_STORM = 50
SOURCE = "changes"
"""The source of the shipped rules that the second act needs."""

CHANGE = {"id": "CHG-7", "title": "New payment provider"}


def knows_changes(stage: Stage) -> bool:
    """Whether the rules have what the second act needs."""
    return SOURCE in stage.sources and stage.sources[SOURCE].kind == "json"


def storm(stage: Stage) -> Mapping[str, int]:
    """
    A blip, a storm of alerts over several services, and its end.

    Returns:
        Counts of what came in and what the page got; also ``duplicates``.
    """
    watcher, clock = stage.watcher, stage.clock
    blip = Problem("checkout", "critical", "node0:9100", clock())
    stage.send("checkout fires …", blip)
    clock.until(clock() + timedelta(seconds=90))
    stage.send(
        "… and is well again after 90 s: shorter than the rule's hold, so the page stays silent", blip, ended=True
    )
    clock.until(clock() + timedelta(seconds=60))

    alerts = list(_alerts(STORM, SERVICES, "warning", clock()))
    stage.send(f"a storm: {len(alerts)} alerts over {', '.join(SERVICES)}", *alerts)
    watcher.until(lambda: bool(watcher.incidents()), "one incident open")

    worse = Problem("checkout", "critical", "node999:9100", clock())
    stage.send("checkout gets worse: critical", worse)
    watcher.until(lambda: _posts(stage) >= 2, "an update that it got worse")
    stage.send("the critical alert is over; the warnings remain", worse, ended=True)
    watcher.until(lambda: _posts(stage) >= 3, "an update that it got better")

    stage.send("every alert is resolved; the rule's quiet time runs", *alerts, ended=True)
    watcher.until(lambda: all(i.status == "resolved" for i in watcher.incidents()), "resolved")
    return _counts(stage)


def change(stage: Stage) -> Mapping[str, int]:
    """
    A planned change is announced, begins, and ends early; alerts about what is worked on fire meanwhile, and go on.

    Returns:
        How many ``windows`` and ``posts`` about them the page got, how many ``alerts`` fired meanwhile, and how many
        ``incidents`` were open ``during`` the work and ``after`` it.
    """
    watcher, clock = stage.watcher, stage.clock
    before = len(watcher.incidents())
    starts = (clock() + timedelta(minutes=75)).replace(second=0, microsecond=0)
    ticket = {**CHANGE, "done": False, "starts": starts.isoformat(), "ends": (starts + timedelta(hours=1)).isoformat()}
    stage.note(f"a change ticket: {CHANGE['title']}, in 75 minutes")
    stage.sender.announce(stage.client, SOURCE, ticket)
    watcher.until(lambda: _said(stage) >= 1, "the window announced")
    clock.run(HURRY)
    watcher.until(lambda: _said(stage) >= 2, "the reminder")
    clock.until(starts - timedelta(minutes=3))
    clock.run(SPEED)
    watcher.until(lambda: _said(stage) >= 3, "the window in progress")

    alerts = list(_alerts(LATER_STORM, ("checkout",), "critical", clock()))
    stage.send(f"{len(alerts)} alerts about checkout, which is worked on: the page stays silent", *alerts)
    clock.until(clock() + timedelta(minutes=15))
    during = len(watcher.incidents()) - before
    stage.note("the ticket says done, earlier than planned; the alerts still fire")
    stage.sender.announce(stage.client, SOURCE, {**ticket, "done": True})
    watcher.until(lambda: _said(stage) >= 4, "the window complete")
    watcher.until(lambda: len(watcher.incidents()) > before, "an incident after the grace period")

    stage.send("every alert is resolved", *alerts, ended=True)
    watcher.until(lambda: all(i.status == "resolved" for i in watcher.incidents()), "resolved")
    after = len(watcher.incidents()) - before
    counts = {"windows": len(watcher.windows()), "posts": _said(stage), "alerts": len(alerts)}
    return {**counts, "during": during, "after": after}


def _alerts(count: int, services: tuple[str, ...], severity: str, started: datetime) -> Iterator[Problem]:
    for n in range(count):
        yield Problem(services[n % len(services)], severity, f"node{n}:9100", started)


def _posts(stage: Stage) -> int:
    return sum(len(incident.updates) for incident in stage.watcher.incidents())


def _said(stage: Stage) -> int:
    """How many posts the page has about the change."""
    return sum(len(window.updates) for window in stage.watcher.windows() if window.name == CHANGE["title"])


def _counts(stage: Stage) -> dict[str, int]:
    incidents: list[Any] = stage.watcher.incidents()
    texts = [(i.id, u.status, u.message) for i in incidents for u in i.updates]
    doubled = len(incidents) - len({i.name for i in incidents}) + len(texts) - len(set(texts))
    return {
        "notifications": stage.sender.count,
        "incidents": len(incidents),
        "updates": len(texts) - len(incidents),
        "duplicates": doubled,
    }
