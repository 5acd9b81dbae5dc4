"""``check``: is a rules directory right?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.console import answer, document, remark
from worker.cli.failures import NO, WRONG
from worker.cli.options import JsonOption, settings_of
from worker.errors import ConfigError, Problem
from worker.telling.words import HASH

if TYPE_CHECKING:
    from worker.cli.online import Look
    from worker.core.ruleset import RuleSet


class Format(StrEnum):
    """How problems are written."""

    TEXT = "text"
    GITHUB = "github"


@dataclass(slots=True)
class Report:
    """What was found; ``rules`` is None where they could not be loaded, ``looks`` is empty where no page was asked."""

    rules: RuleSet | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    @property
    def unavailable(self) -> list[str]:
        """Pages that could not be read, each with why."""
        return [f"page `{look.page}`: {look.unavailable}" for look in self.looks if look.unavailable]

    def code(self, strict: bool) -> int:
        """Give the exit code."""
        if self.problems or (strict and self.warnings):
            return WRONG
        return NO if self.unavailable else 0


def check(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="RULES_DIR", help="Rules directory; else STATUSBRIDGE_RULES, else ./rules.", show_default=False
        ),
    ] = None,
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Also look up every secret, and ask every page for its components. Writes nothing."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what was checked when all is well.")] = False,
    form: Annotated[Format, typer.Option("--format", help="github: annotations in a pull request.")] = Format.TEXT,
    as_json: JsonOption = False,
) -> None:
    """
    Check a rules directory; needs no secret and no network.

    Says nothing when all is well. Else every problem, each as `file:line:col: what is wrong, and what was meant`.

    \b
    Examples:
      statusbridge check rules
      statusbridge check rules --strict --format github     in a pull request
      statusbridge check rules --online                     before a roll-out: are secrets and components really there?

    Exit codes: 0 right; 1 a page could not be asked (--online); 2 wrong.
    """
    report = _report(settings_of(rules=directory).rules, online)
    if as_json:
        document(_as_data(report, strict))
    else:
        _tell(report, form, verbose, strict)
    raise typer.Exit(report.code(strict))


def _report(directory: Path, online: bool) -> Report:
    from worker.bootstrap import load_rules

    report = Report()
    try:
        report.rules = load_rules(directory)
    except ConfigError as wrong:
        report.problems += wrong.problems
        return report
    report.warnings += [placed(warning) for warning in report.rules.warnings]
    if online:
        _ask(report, report.rules)
    return report


def _ask(report: Report, rules: RuleSet) -> None:
    from worker.cli.online import look, secret_problems

    report.problems += secret_problems(rules)
    report.looks = look(rules)
    for found in report.looks:
        report.problems += found.problems
        report.warnings += [Problem(f"page `{found.page}`", 0, 0, note) for note in found.notes]
    # A page whose key is missing is told as a missing secret already.
    report.problems = list(dict.fromkeys(report.problems))


_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)", re.DOTALL)


def placed(text: str) -> Problem:
    """Read ``file:line:col: text`` back into its parts."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return Problem("", 0, 0, text)
    return Problem(found["file"], int(found["line"]), int(found["column"]), found["message"])


def _tell(report: Report, form: Format, verbose: bool, strict: bool) -> None:
    for problem in report.problems:
        _WRITE[form](problem, "error")
    for warning in report.warnings:
        _WRITE[form](warning, "error" if strict else "warning")
    for unavailable in report.unavailable:
        _WRITE[form](Problem("", 0, 0, unavailable), "error")
    for found in report.looks:
        if found.directory is not None:
            answer(_seen(found))
    if verbose and report.rules is not None and not report.code(strict):
        answer(f"ok: {summary(report.rules)}")


def _seen(found: Look) -> str:
    assert found.directory is not None
    page = found.directory
    lines = [
        f"page `{found.page}` is `{page.name}` ({page.page_id}){' at ' + page.public_url if page.public_url else ''}"
    ]
    lines += [f"  {ours} → {', '.join(ids)}" for ours, ids in page.components.items()]
    return "\n".join(lines)


def summary(rules: RuleSet) -> str:
    """Count what a set holds: "3 rules, 2 sources, 1 page"."""
    parts: Mapping[str, Sequence[Any] | Mapping[str, Any]] = {
        "rule": rules.rules,
        "maintenance window": rules.maintenance,
        "source": rules.sources,
        "page": rules.pages,
    }
    counted = [f"{len(part)} {name}{'' if len(part) == 1 else 's'}" for name, part in parts.items() if part]
    return ", ".join(counted) or "nothing in it"


def revision(rules: RuleSet, directory: Path) -> str:
    """Name what is in force: "rules 4d3f0a6be1c2 (git 68a5d2e2b1c0)"."""
    from worker.rules_dir import git_commit

    commit = git_commit(directory)
    return f"rules {rules.hash[:HASH]}{f' (git {commit[:HASH]})' if commit else ''}"


def _as_text(problem: Problem, level: str) -> None:
    text = (
        problem
        if level == "error"
        else Problem(problem.file, problem.line, problem.column, f"warning: {problem.message}")
    )
    remark(str(text))


def _as_annotation(problem: Problem, level: str) -> None:
    """Source of the form and its escapes: GitHub Actions, workflow commands."""
    places = {"file": problem.file, "line": problem.line, "col": problem.column}
    where = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in places.items() if value)
    answer(f"::{level}{' ' + where if where else ''}::{_escaped(problem.message)}")


def _escaped(text: str, also: str = "") -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


_WRITE: Mapping[Format, Callable[[Problem, str], None]] = {Format.TEXT: _as_text, Format.GITHUB: _as_annotation}


def _as_data(report: Report, strict: bool) -> dict[str, Any]:
    rules = report.rules
    return {
        "ok": not report.code(strict),
        "hash": rules.hash if rules else None,
        "rules": [rule.id for rule in rules.rules] if rules else [],
        "sources": sorted(rules.sources) if rules else [],
        "problems": [_problem(problem) for problem in report.problems],
        "warnings": [_problem(warning) for warning in report.warnings],
        "unavailable": report.unavailable,
        "pages": [
            {
                "page": found.page,
                "id": found.directory.page_id,
                "name": found.directory.name,
                "components": dict(found.directory.components),
            }
            for found in report.looks
            if found.directory is not None
        ],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}
