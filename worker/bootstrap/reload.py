"""
Rules that change while the worker runs: read again when somebody asks, and when the directory has changed.

A set is used whole or not at all. One that cannot be used changes nothing: what is in force stays in force, and the
team is told every fault. What a set is, and how it is put in force, is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from worker import rules_dir
from worker.bootstrap.in_force import InForce, meant
from worker.core.model import Notice, PublishMode, Severity
from worker.core.ruleset import EventWindowPlan, RuleSet, SourceConfig
from worker.errors import ConfigError, Problem
from worker.ports import Clock

HASH = 12
MOST_TOLD = 50
"""Faults that one notice tells."""

MOST_READS = 5
"""How often a directory that changes while it is read is read anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """
    What came of reading the rules again.

    Args:
        hash: Of the rules in force.
        changed: Whether they mean something else now.
        said: What is different, for people; "" where nothing is.
    """

    hash: str
    changed: bool
    said: str = ""


class Gauges(Protocol):
    """Counts, and shows values; see ``telemetry.PrometheusMeter``."""

    def count(self, name: str, by: int = 1, **labels: str) -> None: ...
    def show(self, name: str, value: float) -> None: ...


class Reloader:
    """
    Args:
        directory: The rules.
        unasked: Whether to read them when the directory has changed, too.
        current: Gives those in force.
        load: Reads the directory and makes what it holds ready to be used; raises ConfigError.
        use: Puts it in force.
        wake: Has everything that is live looked at again.
        tell: Takes what the team has to know.
    """

    def __init__(
        self,
        directory: Path,
        *,
        unasked: bool,
        current: Callable[[], RuleSet],
        load: Callable[[], InForce],
        use: Callable[[InForce], None],
        wake: Callable[[], None],
        tell: Callable[[Notice], None],
        meter: Gauges,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._unasked = unasked
        self._current = current
        self._load = load
        self._use = use
        self._wake = wake
        self._tell = tell
        self._meter = meter
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._known = self._seen = self._signature()
        self._refused: Sequence[Problem] = ()
        self._again = False
        self._good()

    def ask(self) -> None:
        """Have the rules read again, soon; safe to be called from a signal handler."""
        self._asked.set()

    def look(self) -> int:
        """
        Read the rules again, where somebody has asked, or where the directory has changed and is at rest again.

        Returns:
            1 where it did.
        """
        if self._again:
            self._again = False
            self._wake()
        seen = self._signature()
        at_rest, self._seen = seen == self._seen, seen
        changed = self._unasked and at_rest and seen != self._known
        if not changed and not self._asked.is_set():
            return 0
        self._asked.clear()
        with suppress(ConfigError):  # everything about it was told
            self()
        return 1

    def __call__(self) -> Reloaded:
        """
        Read the rules again, now.

        Raises:
            ConfigError: They cannot be used, and those in force stay in force; all problems at once.
        """
        with self._lock:
            before = self._current()
            try:
                after = self._at_rest()
            except ConfigError as wrong:
                self._refuse(before, wrong.problems)
                raise
            self._use(after)
            self._wake()
            self._again = True  # for what was being decided by the old ones meanwhile
            return self._took(before, after.rules)

    def _at_rest(self) -> InForce:
        """Load, and again where files were exchanged meanwhile: half of the one and half of the other set is none."""
        for remaining in reversed(range(MOST_READS)):
            self._known = self._signature()
            try:
                loaded = self._load()
            except ConfigError:
                if self._signature() == self._known or not remaining:
                    raise
                continue
            if self._signature() == self._known:
                return loaded
        return loaded

    def _signature(self) -> rules_dir.Signature:
        return rules_dir.signature(self._directory, rules_dir.secret_refs(self._current()))

    def _refuse(self, before: RuleSet, problems: Sequence[Problem]) -> None:
        self._meter.count("reloads", outcome="refused")
        self._meter.show("rules_last_reload_successful", 0)
        if problems == self._refused:
            return  # the same faults were told already
        self._refused = problems
        told = "; ".join(str(problem) for problem in problems[:MOST_TOLD])
        more = f"; and {len(problems) - MOST_TOLD} more" if len(problems) > MOST_TOLD else ""
        text = f"the changed rules cannot be used, rules {before.hash[:HASH]} stay in force: {told}{more}"
        self._tell(Notice(code="rules_refused", subject=str(self._directory), text=text, severity=Severity.ERROR))

    def _took(self, before: RuleSet, after: RuleSet) -> Reloaded:
        changed = before.hash != after.hash
        self._meter.count("reloads", outcome="changed" if changed else "unchanged")
        recovered = bool(self._refused)
        self._good()
        said = "; ".join(_differences(before, after)) if changed else ""
        if changed or recovered:
            commit = rules_dir.git_commit(self._directory)
            named = f"rules {after.hash[:HASH]}{f' (git {commit[:HASH]})' if commit else ''}"
            text = f"{named} are in force{': ' + said if said else ', as before'}"
            self._tell(Notice(code="rules_changed", subject=str(self._directory), text=text, severity=Severity.INFO))
        return Reloaded(hash=after.hash, changed=changed, said=said)

    def _good(self) -> None:
        self._refused = ()
        self._meter.show("rules_last_reload_successful", 1)
        self._meter.show("rules_last_reload_success_timestamp_seconds", self._clock().timestamp())


def _differences(before: RuleSet, after: RuleSet) -> list[str]:
    """Name what is not the same, by kind and id; what is published from now on, or no more, before all else."""
    kinds: Mapping[str, tuple[Mapping[str, object], Mapping[str, object]]] = {
        "rule": ({r.id: r.hash for r in before.rules}, {r.id: r.hash for r in after.rules}),
        "maintenance": ({w.id: w.hash for w in before.maintenance}, {w.id: w.hash for w in after.maintenance}),
        "source": (
            {n: _source(s) for n, s in before.sources.items()},
            {n: _source(s) for n, s in after.sources.items()},
        ),
        "page": ({n: meant(p) for n, p in before.pages.items()}, {n: meant(p) for n, p in after.pages.items()}),
    }
    then, now = _publishing(before), _publishing(after)
    told = [f"{who}: publish {then[who]} → {now[who]}" for who in now if who in then and then[who] is not now[who]]
    for kind, (old, new) in kinds.items():
        told += [
            f"{verb} {kind} {', '.join(sorted(names))}"
            for verb, names in (
                ("new", new.keys() - old.keys()),
                ("changed", {name for name in new.keys() & old.keys() if new[name] != old[name]}),
                ("gone", old.keys() - new.keys()),
            )
            if names
        ]
    return told or ["what sources send is read otherwise, or notices go elsewhere"]


def _publishing(rules: RuleSet) -> dict[str, PublishMode]:
    return {
        **{f"page {page.name}": page.publish for page in rules.pages.values()},
        **{f"rule {r.id}": r.plan.publish for r in rules.rules if not isinstance(r.plan, EventWindowPlan)},
    }


def _source(source: SourceConfig) -> object:
    """Tell who sends and how that is proven, wherever in the files it stands; mappings cannot be compared."""
    secrets = tuple(replace(secret, place="") for secret in source.auth.secrets)
    return (source.kind, replace(source.auth, secrets=secrets), source.canary)
