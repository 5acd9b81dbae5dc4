"""
The whole pipeline without threads: real rules, real sources, a real SQLite ledger, a page that does as it is told.

Time moves only when a test moves it; every alarm on the way rings.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes.provider import FakePage
from tests.unit.core.transcript import minutes
from worker.bootstrap import endpoints, rule_book, source_facts
from worker.core.commands import Done, read
from worker.core.model import Action, Episode, Inbound, Notice, episode_key
from worker.core.rules import load
from worker.core.ruleset import RuleSet
from worker.errors import PayloadNotUnderstood
from worker.ledger import Ledger, open_ledger
from worker.ports import Channel, Commit, Recorded, Statement
from worker.providers import PROVIDERS
from worker.steps.advance import Advance
from worker.steps.command import Commands
from worker.steps.deliver import Deliver
from worker.steps.intake import Intake, Receipt
from worker.steps.observe import Observe
from worker.steps.react import React

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SECRET = "whsec_c2VjcmV0IG9mIGEgc291cmNlIGluIHRlc3Rz"
SETTLE = timedelta(minutes=2)

HEAD = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${KEY}
    publish: auto
    components: {checkout: Checkout API, api: Public API, web: Dashboard}
    limits: {incidents: 10000 per 10m, updates: 10000 per 1h, mails: 10000 per 1h}
  other:
    provider: incident_io
    page: Other Status
    api_key: ${KEY}
    publish: auto
    components: {checkout: Checkout API, api: Public API, web: Dashboard}
    limits: {incidents: 10000 per 10m, updates: 10000 per 1h, mails: 10000 per 1h}
sources:
  alerts: {kind: alertmanager, auth: none}
  vendor: {kind: incident_io, auth: {standard_webhooks: ["${SECRET}"]}}
  words:
    kind: json
    auth: none
    event:
      each: {w: body.words}
      key: w.key
      status: w.status
      severity: "w.?severity.orValue('critical')"
      category: "w.?category.orValue('')"
      title: "w.?title.orValue('')"
      message: "w.?message.orValue('')"
      labels:
        service: "w.?service.orValue('checkout')"
        region: "w.?region.orValue('')"
        n: "w.?n.orValue('1')"
      private: "w.?private.orValue(false)"
      test: "w.?test.orValue(false)"
rules:
"""


def rule(name: str = "checkout", *, match: str = "{labels.service: checkout}", more: str = "", **incident: str) -> str:
    """Write one rule; keyword arguments become lines of its ``incident:`` block, *more* lines of the rule itself."""
    plan = {
        "page": "main",
        "components": "{checkout: {critical: full_outage, warning: degraded_performance}}",
        "title": f"{name.capitalize()} problems",
        "hold": "0s",
        "quiet": "1m",
        "min_gap": "1m",
        "say": "{open: It began., worsen: It got worse., improve: It got better., resolve: It is over.}",
        **incident,
    }
    lines = "".join(f"      {key}: {value}\n" for key, value in plan.items())
    group = "" if "group_by" in more else "    group_by: []\n"
    extra = "".join(f"    {line}\n" for line in more.splitlines() if line)
    return f"  - id: {name}\n    match: {match}\n{group}{extra}    incident:\n{lines}"


class Recorder:
    """A committer that remembers what passed through it, and can be interrupted just before."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.commits: list[Commit] = []
        self.before: Callable[[Commit], None] = lambda commit: None

    def commit(self, commit: Commit) -> None:
        self.before(commit)
        self._ledger.commit(commit)
        self.commits.append(commit)


class Counts:
    """A meter that counts; see ``ports.Meter``."""

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        key = ":".join([name, *(value for _, value in sorted(labels.items()))])
        self.counted[key] = self.counted.get(key, 0) + by

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        pass


class Rig:
    """
    Args:
        path: The ledger; made where it is missing.
        rules: What stands under ``rules:``.
        page: Kept over a loss of the ledger.
        head: What stands before the rules.
        ledger: In place of the one at *path*, where thousands of decisions would take too long on a disk.
    """

    def __init__(
        self, path: Path, rules: str = "", *, page: FakePage | None = None, head: str = HEAD, ledger: Any = None
    ) -> None:
        self.now = START
        self.path = path
        self.ledger: Ledger = ledger or open_ledger(f"sqlite:///{path}", clock=self.clock)
        self.page = page or FakePage(self.clock)
        self.page.clock = self.clock
        self.meter = Counts()
        self.committer = Recorder(self.ledger)
        self.use(rules or rule(), head)
        common: dict[str, Any] = {
            "episodes": self.ledger,
            "windows": self.ledger,
            "committer": self.committer,
            "book": lambda: self.book,
            "clock": self.clock,
            "meter": self.meter,
        }
        self.intake = Intake(self.ledger, lambda: self.endpoints, self.meter)
        self.normalise: Callable[[Inbound], Any] = self._normalise
        self.advance_step = Advance(**common)
        self.deliver_step = Deliver(
            outbox=self.ledger,
            footprints=self.ledger,
            switches=self.ledger,
            channels=lambda: self.channels,
            checkpoint=lambda point: self.checkpoint(point),
            even_since=lambda: self.even_since(),
            **common,
        )
        self.even_since: Callable[[], datetime] = lambda: START - timedelta(days=1)
        self.observe_step = Observe(
            footprints=self.ledger,
            switches=self.ledger,
            channels=lambda: self.channels,
            every=timedelta(minutes=1),
            **common,
        )
        self.react_step = React(
            inbox=self.ledger,
            normalise=lambda inbound: self.normalise(inbound),
            shared=self.observe_step.hint,
            **common,
        )
        self.command_step = Commands(
            switches=self.ledger,
            queries=self.ledger,
            footprints=self.ledger,
            provider=lambda page: self.channels[page].provider,
            **common,
        )
        self.checkpoint: Callable[[str], None] = lambda point: None
        self.channels: Mapping[str, Channel] = {"main": Channel(self.page, self.page.directory, SETTLE)}

    def close(self) -> None:
        self.ledger.close()

    def clock(self) -> datetime:
        return self.now

    def use(self, rules: str, head: str = HEAD) -> RuleSet:
        """Swap the rule set, as a reload does."""
        self.rules = load({"rules.yaml": head + rules}, {}, source_kinds=source_facts(), provider_names=PROVIDERS)
        self.book = rule_book(self.rules)
        self.endpoints = endpoints(self.rules, {"KEY": "k", "SECRET": SECRET})
        return self.rules

    def _normalise(self, inbound: Inbound) -> Any:
        endpoint = self.endpoints.get(inbound.source)
        if endpoint is None:
            raise PayloadNotUnderstood("not configured any more")
        statements: list[Statement] = list(endpoint.source.normalise(inbound, endpoint.config))
        return statements

    # -- what happens

    def receives(self, source: str, body: object, **more: Any) -> Receipt:
        """A body arrives; give what would be answered."""
        answers: list[Recorded | Exception] = []
        there = threading.Event()

        def done(answer: Recorded | Exception) -> None:
            answers.append(answer)
            there.set()

        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"headers": {}, "received_at": self.now, **more}
        entry = self.intake.understood(Inbound(source=source, body=raw, **given))
        self.intake.record(entry, done)
        assert there.wait(10)
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return self.intake.receipt(entry, answer)

    def alerts(self, *alerts: Mapping[str, object], **group: object) -> Rig:
        """Alertmanager posts alerts; nothing reacts yet."""
        self.receives("alerts", notification(*alerts, **group))
        return self

    def words(self, *words: Mapping[str, object]) -> Rig:
        """A sender of JSON posts statements; nothing reacts yet."""
        self.receives("words", {"words": list(words)})
        return self

    def reacts(self) -> Rig:
        """Everything in the inbox is reacted to."""
        while self.react_step.run_once():
            pass
        return self

    def delivers(self) -> Rig:
        """Every action that is due is worked on."""
        while self.deliver_step.run_once():
            pass
        return self

    def looks(self, page: str = "main") -> Rig:
        """The page is looked at, if that is due, and everything follows."""
        self.observe_step.run_once(page)
        return self.settles()

    def advances(self) -> Rig:
        """Every episode that is due is looked at."""
        for _ in range(100):
            if not self.advance_step.run_once():
                return self
        raise AssertionError("advance never ends")

    def settles(self) -> Rig:
        """Everything that can be done now is done."""
        while self.react_step.run_once() or self.advance_step.run_once() or self.deliver_step.run_once():
            pass
        return self

    def asks(self, name: str, **fields: Any) -> Done:
        """A person asks for something; nothing follows yet."""
        return self.command_step.run(read(name, {"by": "ann", **fields}))

    def fires(self, *names: str, severity: str = "critical", service: str = "checkout", **labels: str) -> Rig:
        """Alerts fire, and everything follows."""
        return self.alerts(
            *(alert(n, severity, service=service, started=self._started(n), **labels) for n in names or ("a",))
        ).settles()

    def clears(self, *names: str, severity: str = "critical", service: str = "checkout", **labels: str) -> Rig:
        """Alerts are resolved, and everything follows."""
        return self.alerts(
            *(
                alert(n, severity, "resolved", service=service, started=self._started(n), ended=self.now, **labels)
                for n in names or ("a",)
            )
        ).settles()

    def _started(self, name: str) -> datetime:
        known = self.ledger.signals([("alerts", name)]).get(("alerts", name))
        if known is None or known.event.started_at is None or not known.firing:
            return self.now
        return known.event.started_at

    def passes(self, length: str | timedelta) -> Rig:
        """Time passes; every alarm on the way rings."""
        end = self.now + (length if isinstance(length, timedelta) else minutes(length))
        self.settles()
        for _ in range(2000):
            ahead = [at for at in self._alarms() if at and at > self.now]
            at = min(ahead, default=end)
            if at > end or not ahead:
                break
            self.now = at
            self.settles()
        else:
            raise AssertionError("there is always something to do")
        self.now = end
        return self.settles()

    def _alarms(self) -> list[datetime | None]:
        return [self.ledger.next_wake(), self.ledger.next_window_wake(), self.ledger.next_due(self.now)]

    # -- what can be seen

    def episode(self, name: str = "checkout", page: str = "main", **group: str) -> Episode:
        """Give the newest episode of a line."""
        key = episode_key(name, page, group)
        return self.ledger.latest([key])[key]

    def phase(self, name: str = "checkout", page: str = "main", **group: str) -> str:
        """Where the newest episode of a line stands."""
        found = self.ledger.latest([episode_key(name, page, group)])
        return str(next(iter(found.values())).phase) if found else "none"

    def actions(self, name: str = "checkout", page: str = "main", **group: str) -> list[str]:
        """Give the unsettled actions of the newest episode."""
        return [f"{a.post} {a.state}" for a in self.episode(name, page, **group).actions]

    def head(self, name: str = "checkout") -> Action:
        """Give the first unsettled action."""
        return self.episode(name).actions[0]

    @property
    def notices(self) -> list[Notice]:
        """Every notice, oldest first."""
        return [notice for _, notice in self.ledger.notices(1000)][::-1]

    @property
    def codes(self) -> list[str]:
        """The codes of all notices, oldest first."""
        return [notice.code for notice in self.notices]

    @property
    def said(self) -> list[str]:
        """Every write that left: when, kind, why."""
        return [
            f"{(sent.at - START).total_seconds() / 60:g}m {sent.action.kind.split('_')[0]} {sent.action.post}"
            for sent in self.page.sent
        ]


def alert(
    name: str = "a",
    severity: str = "critical",
    status: str = "firing",
    *,
    service: str = "checkout",
    started: datetime = START,
    ended: datetime | None = None,
    **labels: str,
) -> dict[str, object]:
    """Make one alert of Alertmanager's."""
    return {
        "status": status,
        "labels": {"alertname": name, "service": service, "severity": severity, **labels},
        "annotations": {},
        "startsAt": started.isoformat(),
        "endsAt": ended.isoformat() if ended else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": name,
    }


def notification(*alerts: Mapping[str, object], **more: object) -> dict[str, object]:
    """Wrap alerts as Alertmanager does."""
    firing = any(each["status"] == "firing" for each in alerts)
    return {
        "version": "4",
        "status": "firing" if firing else "resolved",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "alerts": list(alerts),
        **more,
    }
