"""Verdicts of rule tests as a JUnit report, the form that CI servers read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from worker.cli.console import clean
from worker.cli.verdicts import Tested, failure


def as_junit(tested: Sequence[Tested], folder: Path) -> bytes:
    """Give the report; a test suite for each file."""
    root = Element("testsuites", _counts(tested))
    for file, group in groupby(tested, key=lambda each: each.case.file):
        cases = list(group)
        suite = SubElement(root, "testsuite", {"name": file, **_counts(cases)})
        for each in cases:
            _add(suite, each, folder)
    indent(root)
    report: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"


def _add(suite: Element, each: Tested, folder: Path) -> None:
    line = each.case.place.split(":")[-2]
    facts = {"classname": each.case.file, "name": each.case.name, "file": each.case.file, "line": line}
    case = SubElement(suite, "testcase", {**facts, "time": f"{each.took:.3f}"})
    if not each.verdict.holds:
        first, _, rest = clean(failure(each.verdict, folder)).partition("\n")
        SubElement(case, "failure", {"message": first}).text = rest


def _counts(tested: Sequence[Tested]) -> dict[str, str]:
    return {
        "tests": str(len(tested)),
        "failures": str(sum(not each.verdict.holds for each in tested)),
        "errors": "0",
        "time": f"{sum(each.took for each in tested):.3f}",
    }
