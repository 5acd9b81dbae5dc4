"""
The checks of ``doctor``: each looks at one thing and says how it is, and the way out where it is wrong.

A check never raises for what it came to find. Secrets appear by name only.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.errors import ConfigError, LedgerUnavailable, Problem

if TYPE_CHECKING:
    from worker.core.ruleset import RuleSet
    from worker.settings import Settings

OLDEST_PYTHON = (3, 11)
LITTLE_SPACE = 1 << 30
NO_SPACE = 100 << 20


class Verdict(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; ``way_out`` is "" where there is nothing to do."""

    name: str
    verdict: Verdict
    text: str
    way_out: str = ""

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {"check": self.name, "verdict": self.verdict.value, "text": self.text, "way_out": self.way_out}


def examine(rules: Path | None, ledger: str | None, online: bool) -> list[Finding]:
    """Do every check that can be done; what hangs on something that is broken is left out."""
    return list(_examine(rules, ledger, online))


def _examine(rules: Path | None, ledger: str | None, online: bool) -> Iterator[Finding]:
    yield _python()
    yield from _libraries()
    try:
        settings = _settings(rules, ledger)
    except ConfigError as wrong:
        yield from _wrong("settings", wrong.problems)
        return
    yield from _ledger(settings)
    try:
        loaded = _rules(settings)
    except ConfigError as wrong:
        yield from _wrong("rules", wrong.problems)
        return
    yield from _about_rules(settings, loaded)
    yield from _secrets(loaded)
    if online:
        yield from _pages(loaded)


def _settings(rules: Path | None, ledger: str | None) -> Settings:
    from worker.settings import from_environment

    # As `run` would read them, so that it is told here what would stop it.
    return from_environment({"rules": rules, "ledger": ledger}, os.environ)


def _rules(settings: Settings) -> RuleSet:
    from worker.bootstrap import load_rules

    return load_rules(settings.rules)


def _wrong(name: str, problems: tuple[Problem, ...]) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(name, Verdict.FAIL, str(problem))


def _python() -> Finding:
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", Verdict.FAIL, text, "install Python 3.11 or newer")
    return Finding("python", Verdict.OK, text)


def _libraries() -> Iterator[Finding]:
    from worker.ledger import sqlite_faults

    fault = sqlite_faults()
    if fault:
        yield Finding(
            "sqlite",
            Verdict.WARN,
            fault,
            "run a Python whose SQLite is 3.51.3 or newer, or keep the ledger in PostgreSQL",
        )
    else:
        yield Finding("sqlite", Verdict.OK, "the library has no known fault that endangers a ledger")
    yield _cel()
    yield _zones()


def _cel() -> Finding:
    try:
        from worker.core.conditions import Want, compile_event

        compile_event("1 + 1 == 2", Want.BOOL)
    except Exception as broken:
        way_out = "install statusbridge again, for this Python and this machine"
        return Finding("conditions", Verdict.FAIL, f"CEL does not work: {type(broken).__name__}: {broken}", way_out)
    return Finding("conditions", Verdict.OK, f"CEL {_version('cel-expr-python')}")


def _zones() -> Finding:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        return Finding("time zones", Verdict.FAIL, "there is no time zone data", "pip install tzdata")
    return Finding("time zones", Verdict.OK, f"tzdata {_version('tzdata')}")


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of the system"


# -- the ledger


def _ledger(settings: Settings) -> Iterator[Finding]:
    from worker.bootstrap import run_file_of

    beside = run_file_of(settings.ledger)
    if beside is None:
        yield _readable(settings.ledger)
        yield from _pauses(settings.ledger)
        return
    file = beside.with_suffix("")
    yield _readable(settings.ledger) if file.exists() else _to_be_made(file)
    if file.parent.is_dir():
        yield _space(file.parent)
    yield from _private("ledger file", file)
    yield from _private("run file", beside)
    if file.exists():
        yield _holder(file, beside)
        yield from _pauses(settings.ledger)


def _readable(url: str) -> Finding:
    from worker.cli.reading import ledger_to_read
    from worker.telling.words import pairs

    try:
        with ledger_to_read(url) as ledger:
            facts = {name: fact for name, fact in ledger.describe().items() if fact and name != "faults"}
    except ConfigError as wrong:
        return Finding("ledger", Verdict.FAIL, str(wrong))
    except LedgerUnavailable as unavailable:
        return Finding("ledger", Verdict.FAIL, str(unavailable), "start the database server, or mend the address")
    return Finding("ledger", Verdict.OK, pairs(facts, " "))


def _pauses(url: str) -> Iterator[Finding]:
    from worker.cli.reading import ledger_to_read
    from worker.core.model import PAUSE

    try:
        with ledger_to_read(url) as ledger:
            flags = ledger.flags(PAUSE)
    except (ConfigError, LedgerUnavailable):
        return  # told already
    for flag in flags:
        where = f"page `{flag.page}` is" if flag.page else "all pages are"
        way_out = f"statusbridge resume{' --page ' + flag.page if flag.page else ''}"
        yield Finding(
            "pause", Verdict.WARN, f"{where} paused since {flag.at:%Y-%m-%d %H:%M} UTC by {flag.value}", way_out
        )


def _to_be_made(file: Path) -> Finding:
    if not file.parent.is_dir():
        return Finding("ledger", Verdict.FAIL, f"{file.parent}: no such directory", f"mkdir -p {file.parent}")
    if not os.access(file.parent, os.W_OK):
        return Finding(
            "ledger",
            Verdict.FAIL,
            f"{file.parent} cannot be written to",
            "run as the user that owns it, or name another --ledger",
        )
    return Finding("ledger", Verdict.OK, f"{file} is not there yet; the first `statusbridge run` makes it")


def _space(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    text = f"{free / (1 << 30):.1f} GiB free in {directory.resolve()}"
    if free >= LITTLE_SPACE:
        return Finding("disk", Verdict.OK, text)
    verdict = Verdict.WARN if free >= NO_SPACE else Verdict.FAIL
    return Finding("disk", verdict, text, "make room: a ledger that cannot grow takes no webhook")


def _holder(file: Path, run_file: Path) -> Finding:
    from worker.cli.reading import holder_of, left_by_worker

    pid = holder_of(file)
    if not pid:
        return Finding("worker", Verdict.OK, "no worker holds the ledger")
    left = left_by_worker(run_file)
    listens = f" and listens on {left.url}" if left is not None and left.pid == pid else ""
    return Finding("worker", Verdict.OK, f"process {pid} holds the ledger{listens}")


# -- the rules


def _about_rules(settings: Settings, rules: RuleSet) -> Iterator[Finding]:
    from worker.cli.check import revision, summary

    yield Finding("rules", Verdict.OK, f"{settings.rules}: {summary(rules)}; {revision(rules, settings.rules)}")
    for warning in rules.warnings:
        yield Finding("rules", Verdict.WARN, warning)


def _secrets(rules: RuleSet) -> Iterator[Finding]:
    from worker.rules_dir import resolve_secret, secret_refs

    for name, ref in {str(ref): ref for ref in secret_refs(rules)}.items():
        try:
            resolve_secret(ref, os.environ)
        except ConfigError as missing:
            yield Finding("secret", Verdict.FAIL, str(missing))
        else:
            yield Finding("secret", Verdict.OK, f"{name} is here")


def _private(name: str, file: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        yield Finding(
            name, Verdict.WARN, f"{file} has mode {mode:04o}: others on this machine may read it", f"chmod 600 {file}"
        )


def _pages(rules: RuleSet) -> Iterator[Finding]:
    from worker.cli.online import look

    for found in look(rules):
        name = f"page {found.page}"
        if found.directory is not None:
            yield Finding(
                name,
                Verdict.OK,
                f"`{found.directory.name}` answers; {len(found.directory.components)} components found",
            )
        if found.unavailable:
            yield Finding(
                name, Verdict.FAIL, found.unavailable, "is the address right, and does this machine reach it?"
            )
        yield from _wrong(name, found.problems)
        for note in found.notes:
            yield Finding(name, Verdict.WARN, note)
