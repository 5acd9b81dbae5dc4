"""
Rule sets to run under: drawn from a few dozen, each as data for the oracle and as the YAML that the worker reads.

Every rule groups by ``service``, so a line of episodes is a (rule, service); which rule a signal is for, its team says.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.sim.kernel import START
from worker.bootstrap import source_facts
from worker.core.rules import load
from worker.core.ruleset import RuleSet
from worker.providers import PROVIDERS

VARIANTS = 48
SERVICES = ("shop", "blog")
SECRET = "whsec_" + "c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24="
ENVIRON = {"KEY": "sandbox-key", "SECRET": SECRET}
NAMES = {"checkout": "Checkout API", "api": "Public API", "web": "Dashboard"}

HEAD = """
sources:
  alerts: {kind: alertmanager, auth: none}
  incident-io: {kind: incident_io, auth: {standard_webhooks: ["${SECRET}"]}}
  checks:
    kind: json
    auth: none
    event:
      each: {it: body.said}
      key: it.key
      status: it.status
      severity: it.severity
      started_at: it.started
      occurred_at: it.stamp
      labels: {team: it.team, service: it.service}
  jobs:
    kind: json
    auth: none
    event:
      each: {it: body.said}
      key: it.key
      status: it.status
      severity: it.severity
      started_at: it.started
      labels: {team: it.team, service: it.service}
  words:
    kind: json
    auth: none
    event:
      each: {it: body.said}
      kind: "'incident'"
      key: it.key
      status: it.status
      severity: it.severity
      status_name: it.name
      category: it.category
      message: it.message
      occurred_at: it.stamp
      labels: {team: it.team, service: it.service}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """
    One rule, as far as the oracle must know it.

    Args:
        id: Also the team whose signals it is for.
        impact: Component to {severity: status}.
    """

    id: str
    impact: Mapping[str, Mapping[str, str]]
    hold: timedelta = timedelta()
    quiet: timedelta = timedelta()
    min_gap: timedelta = timedelta()
    reopen_within: timedelta = timedelta()
    notify: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ("open", "worsen", "improve", "resolve")
    keepalive: timedelta | None = None
    too_short: str = "skip"
    existing: str = "hold"
    publish: str = "auto"
    yields_to: str = ""
    relay: bool = False

    def rank(self, severity: str) -> Mapping[str, str]:
        """Give what a signal of that severity does to which component."""
        hit = {name: statuses.get(severity, "") for name, statuses in self.impact.items()}
        return {name: status for name, status in hit.items() if status}

    def says(self, post: str, service: str) -> str:
        """Give the text of a post."""
        return f"{post}: {self.id} of {service}."

    def title(self, service: str) -> str:
        """Give the name of its incidents."""
        return f"Trouble with {self.id} of {service}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """One window, as far as the oracle must know it."""

    id: str
    components: tuple[str, ...]
    starts: datetime
    duration: timedelta
    announce: timedelta | None
    remind: timedelta | None
    grace: timedelta
    notify: bool
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rule set."""

    number: int
    specs: Mapping[str, Spec]
    settle: timedelta
    rules: RuleSet
    maintenance: tuple[Maintenance, ...] = ()
    limits: Mapping[str, tuple[int, timedelta]]
    yaml: str = field(repr=False)


@functools.cache
def plan(number: int) -> Plan:
    """Give one of the ``VARIANTS``."""
    chance = random.Random(f"plan {number}")
    specs = {spec.id: spec for spec in _specs(chance)}
    windows = (_maintenance(chance),) if chance.random() < 0.35 else ()
    settle = chance.choice([30, 60, 120])
    limits = _TIGHT if chance.random() < 0.3 else _LOOSE
    yaml = _yaml(specs.values(), windows, settle, limits)
    rules = load({"rules.yaml": yaml}, {}, source_kinds=source_facts(), provider_names=PROVIDERS)
    return Plan(
        number=number,
        specs=specs,
        settle=timedelta(seconds=settle),
        rules=rules,
        maintenance=windows,
        limits=limits,
        yaml=yaml,
    )


def _specs(chance: random.Random) -> list[Spec]:
    first = _incident(chance, "red", {"checkout": {"critical": "full_outage", "warning": "degraded_performance"}})
    found = [replace(first, publish="approve") if chance.random() < 0.12 else first]
    if chance.random() < 0.5:
        both = {
            "api": {"critical": "partial_outage", "warning": "degraded_performance"},
            "web": {"critical": "full_outage"},
        }
        found.append(_incident(chance, "blue", both, yields_to=chance.choice(["", "red"])))
    if chance.random() < 0.2:
        found.append(_incident(chance, "grey", {"web": {"critical": "full_outage"}}, publish="shadow"))
    if chance.random() < 0.35:
        found.append(
            Spec(id="desk", impact={"api": {"critical": "partial_outage", "warning": "partial_outage"}}, relay=True,
                 notify=_some(chance, ["open", "relay", "resolve"]), existing="open")
        )  # fmt: skip
    return found


def _incident(chance: random.Random, name: str, impact: Mapping[str, Mapping[str, str]], **more: str) -> Spec:
    monitoring = ("monitoring",) if chance.random() < 0.4 else ()
    keepalive = chance.choice([None, None, timedelta(minutes=20)])
    return Spec(
        id=name,
        impact=impact,
        hold=timedelta(seconds=chance.choice([0, 0, 60, 180])),
        quiet=timedelta(seconds=chance.choice([0, 60, 300, 600])),
        min_gap=timedelta(seconds=chance.choice([0, 60, 300])),
        reopen_within=timedelta(minutes=chance.choice([0, 0, 10])),
        notify=_some(chance, ["open", "worsen", "improve", "monitoring", "resolve"]),
        texts=("open", "worsen", "improve", *monitoring, "resolve", *(("keepalive",) if keepalive else ())),
        keepalive=keepalive,
        too_short=chance.choice(["skip", "backfill"]),
        existing=chance.choice(["hold", "attach", "open", "open"]),
        **more,  # type: ignore[arg-type]
    )


def _some(chance: random.Random, names: list[str]) -> frozenset[str]:
    return frozenset(name for name in names if chance.random() < 0.6)


def _maintenance(chance: random.Random) -> Maintenance:
    return Maintenance(
        id="upkeep",
        components=tuple(chance.sample(sorted(NAMES), chance.choice([1, 2]))),
        starts=START + timedelta(minutes=chance.choice([35, 50, 75])),
        duration=timedelta(minutes=chance.choice([10, 30])),
        announce=chance.choice([None, timedelta(minutes=30)]),
        remind=chance.choice([None, timedelta(minutes=10)]),
        grace=timedelta(minutes=chance.choice([0, 5])),
        notify=chance.random() < 0.5,
        driver=chance.choice(["worker", "worker", "provider"]),
    )


# -- as YAML; JSON is YAML


_LOOSE = dict.fromkeys(("incidents", "updates", "mails"), (1000, timedelta(hours=1)))
_TIGHT = {
    "incidents": (2, timedelta(minutes=10)),
    "updates": (2, timedelta(minutes=15)),
    "mails": (2, timedelta(minutes=30)),
}


def _yaml(
    specs: Any, windows: tuple[Maintenance, ...], settle: int, limits: Mapping[str, tuple[int, timedelta]]
) -> str:
    page = {
        "provider": "incident_io",
        "page": "Acme Status",
        "api_key": "${KEY}",
        "base_url": "https://page.invalid",
        "publish": "auto",
        "settle": f"{settle}s",
        "components": NAMES,
        "limits": {name: f"{most} per {_seconds(length)}" for name, (most, length) in limits.items()},
    }
    rules = [_relay(spec) if spec.relay else _rule(spec) for spec in specs]
    parts = {"pages": {"main": page}, "rules": rules, "maintenance": [_window(each) for each in windows]}
    text = "\n".join(f"{name}: {json.dumps(part, default=str)}" for name, part in parts.items() if part)
    return HEAD + text


def _rule(spec: Spec) -> dict[str, Any]:
    service = "{{ service }}"
    incident = {
        "page": "main",
        "components": spec.impact,
        "hold": _seconds(spec.hold),
        "quiet": _seconds(spec.quiet),
        "min_gap": _seconds(spec.min_gap),
        "reopen_within": _seconds(spec.reopen_within),
        "notify": sorted(spec.notify & {*spec.texts, "resolve"}),
        "too_short": spec.too_short,
        "existing": spec.existing,
        "publish": spec.publish,
        "title": spec.title(service),
        "say": {post: spec.says(post, service) for post in spec.texts if post != "keepalive"},
    }
    if spec.keepalive:
        incident["say"]["keepalive"] = {
            "every": _seconds(spec.keepalive),
            "times": 2,
            "text": spec.says("keepalive", service),
        }
    if spec.publish == "approve":
        incident["approve"] = {"posts": ["open", "worsen"], "deadline": "20m", "on_expiry": "hold"}
    if spec.yields_to:
        incident["yield_to"] = [spec.yields_to]
    return {"id": spec.id, "match": {"labels.team": spec.id}, "group_by": ["service"], "incident": incident}


def _relay(spec: Spec) -> dict[str, Any]:
    return {
        "id": spec.id,
        "source": "words",
        "match": {"labels.team": spec.id},
        "group_by": {"service": "label('service')"},
        "vars": {"message": "event.message"},
        "relay": {
            "page": "main",
            "title": spec.title("{{ service }}"),
            "components": spec.impact,
            "status": {"Found": "identified", "Watching": "monitoring"},
            "resolve_on": ["closed"],
            "text": "{{ message }}",
            "resolve": spec.says("resolve", "{{ service }}"),
            "notify": sorted(spec.notify),
            "existing": spec.existing,
        },
    }


def _window(window: Maintenance) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": window.id,
        "page": "main",
        "components": list(window.components),
        "title": "Upkeep",
        "starts": window.starts.strftime("%Y-%m-%dT%H:%M"),
        "timezone": "UTC",
        "duration": _seconds(window.duration),
        "grace": _seconds(window.grace),
        "driver": window.driver,
        "start": {"text": "Upkeep begins.", "notify": window.notify},
        "complete": {"text": "Upkeep is done.", "notify": window.notify},
    }
    if window.announce:
        entry["announce"] = {"before": _seconds(window.announce), "text": "Upkeep is near.", "notify": window.notify}
    if window.remind and window.announce:
        entry["remind"] = [{"before": _seconds(window.remind), "text": "Upkeep is very near.", "notify": window.notify}]
    return entry


def _seconds(length: timedelta) -> str:
    return f"{int(length.total_seconds())}s"
