"""``test``: do the rules say what their tests claim?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import answer, document, remark
from worker.cli.failures import NO
from worker.cli.options import JsonOption, settings_of
from worker.errors import ConfigError

if TYPE_CHECKING:
    from worker.cli.verdicts import Tested
    from worker.core.ruleset import RuleSet
    from worker.rehearse.coverage import Coverage
    from worker.rehearse.reading import Case


def rule_tests(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="RULES_DIR", help="Rules directory; else STATUSBRIDGE_RULES, else ./rules.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("-k", metavar="TEXT", help="Only tests with this in their name or file.", show_default=False)
    ] = "",
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Also say which rules, texts and branches no test reaches.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write a JUnit report.", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also name the tests that pass.")] = False,
    as_json: JsonOption = False,
) -> None:
    """
    Test a rules directory: play what stands in its tests/*.yaml, and compare every action.

    Time is virtual, the ledger and the pages are in memory, nothing leaves this machine; what decides is what the
    worker runs. A test that fails shows what came instead, why, and by which line of the rules.

    \b
    Examples:
      statusbridge test rules
      statusbridge test rules -k blip --verbose
      statusbridge test rules --coverage --junit report.xml     in CI

    Exit codes: 0 all pass; 1 a test fails; 2 the rules or the tests are wrong in themselves.
    """
    from worker.bootstrap.rehearsal import load_cases

    folder = settings_of(rules=directory).rules
    rules, cases = load_cases(folder)
    chosen = [case for case in cases if name.lower() in f"{case.file} {case.name}".lower()]
    if not chosen:
        raise ConfigError(f"-k: no test has `{name[:60]}` in its name; there are {len(cases)}")
    reached = _coverage(rules) if coverage else None
    tested = [_tested(case, rules, reached) for case in chosen]
    if junit is not None:
        from worker.cli.junit import as_junit

        junit.write_bytes(as_junit(tested, folder))
    if as_json:
        from worker.cli.verdicts import as_data

        document(as_data(tested, reached, folder))
    else:
        _tell(tested, reached, folder, verbose=verbose)
    raise typer.Exit(0 if all(each.verdict.holds for each in tested) else NO)


def _coverage(rules: RuleSet) -> Coverage:
    from worker.rehearse.coverage import Coverage

    return Coverage(rules)


def _tested(case: Case, rules: RuleSet, coverage: Coverage | None) -> Tested:
    from worker.bootstrap.rehearsal import play_case
    from worker.cli.verdicts import Tested
    from worker.rehearse.verdict import judge

    began = time.perf_counter()
    verdict = judge(play_case(case, rules, coverage))
    return Tested(case, verdict, time.perf_counter() - began)


def _tell(tested: list[Tested], coverage: Coverage | None, folder: Path, *, verbose: bool) -> None:
    from worker.cli.verdicts import coverage_in_words, failure, many

    failed = [each for each in tested if not each.verdict.holds]
    for each in tested:
        if each.verdict.holds and verbose:
            answer(f"ok    {each.case.name}  ({each.case.place})")
        elif not each.verdict.holds:
            answer(failure(each.verdict, folder))
    if coverage is not None:
        answer(coverage_in_words(coverage, folder))
    days = sum(each.case.length.total_seconds() for each in tested) / 86400
    took = sum(each.took for each in tested)
    line = f"{many(len(tested), 'test')}, {many(len(failed), 'failure')}; {days:.1f} virtual days in {took:.1f} s"
    (remark if failed else answer)(line)
