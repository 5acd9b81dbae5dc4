"""
Verdicts of rule tests in words and as data: what came instead, why, and by which line of the rules.

Pure but for reading the rule files once, to name their lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.cli.sayings import called, heard, saying_data
from worker.rehearse.verdict import Deviation, Row, Verdict, clock, describe
from worker.rehearse.why import Because, came, missing, rule_of
from worker.telling.words import words as texts

if TYPE_CHECKING:
    from worker.rehearse.coverage import Coverage, Point
    from worker.rehearse.places import Places
    from worker.rehearse.play import Saying
    from worker.rehearse.reading import Case, Wanted

MOST_ROWS = 30
"""How many differences of one test are shown."""


@dataclass(frozen=True, slots=True)
class Tested:
    """A case, whether it holds, and how many seconds it took to find out."""

    case: Case
    verdict: Verdict
    took: float


def many(count: int, noun: str) -> str:
    """Count things: "1 test", "2 tests"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


@cache
def _places(folder: Path) -> Places:
    from worker.bootstrap.rehearsal import places_in

    return places_in(folder)


# --- words


def failure(verdict: Verdict, folder: Path) -> str:
    """Tell why a test fails."""
    case = verdict.played.case
    lines = [f"FAIL  {case.name}  ({case.place})"]
    lines += [f"  ! {text}  ({place})" for place, text in verdict.problems]
    lines += [f"  ~ {total.name}: expected {total.wanted}, got {total.got}" for total in verdict.totals]
    if verdict.notices is not None:
        wanted, got = (", ".join(codes) or "none" for codes in verdict.notices)
        lines.append(f"  ~ notices: expected {wanted}; got {got}")
        start = case.spec.start
        lines += [
            f"           {clock(at, start):<6} {notice.code}: {notice.text}" for at, notice in verdict.played.notices
        ]
    wrong = [row for row in verdict.rows if not row.right]
    teller = _Teller(verdict, _places(folder))
    for row in wrong[:MOST_ROWS]:
        lines += teller.row(row)
    if len(wrong) > MOST_ROWS:
        lines.append(f"  … and {many(len(wrong) - MOST_ROWS, 'more difference')}")
    return "\n".join([*lines, ""])


class _Teller:
    """Tells the differences of one verdict; of each episode what happened is told once."""

    def __init__(self, verdict: Verdict, places: Places) -> None:
        self._played = verdict.played
        self._start = verdict.played.case.spec.start
        self._places = places
        self._told: dict[str, datetime] = {}

    def row(self, row: Row) -> Iterator[str]:
        if row.saying is None:
            assert row.wanted is not None
            yield from self._missing(row.wanted)
        elif row.wanted is None:
            yield from self._unexpected(row.saying)
        else:
            yield from self._deviating(row.wanted, row.saying, row.deviations)

    def _missing(self, want: Wanted) -> Iterator[str]:
        yield f"  - {self._clock(want.at)} {describe(want.spec)}"
        yield f"           expected ({want.place}), but did not come"
        yield from self._because(missing(self._played.stage, self._played.sent, want, self._places))

    def _unexpected(self, saying: Saying) -> Iterator[str]:
        yield f"  + {self._clock(saying.at)} {called(saying)}"
        yield from (f"           {line}" for line in texts(saying.action.content).splitlines())
        yield "           came, but is not expected"
        yield from self._came(saying)

    def _deviating(self, want: Wanted, saying: Saying, deviations: Sequence[Deviation]) -> Iterator[str]:
        rule = rule_of(self._played.stage, saying.rule)
        yield f"  ~ {self._clock(saying.at)} {called(saying)}  ({want.place})"
        for each in deviations:
            governing = self._places.governing(saying, each.name, rule)
            yield f"           {each.name}: expected {each.wanted}"
            yield f"           {' ' * len(each.name)}       got {each.got}" + (f"  by {governing}" if governing else "")
        if any(each.name in _EXPLAINED for each in deviations):
            yield from self._came(saying)

    def _came(self, saying: Saying) -> Iterator[str]:
        aggregate = saying.action.aggregate
        chain = came(self._played.stage, self._played.sent, saying, self._places, self._told.get(aggregate))
        self._told[aggregate] = saying.action.created_at
        yield from self._because(chain)

    def _because(self, chain: Sequence[Because]) -> Iterator[str]:
        if chain:
            yield "           because"
        for because in chain:
            text = because.text if because.event is None else heard(because.event, because.more)
            yield f"             {self._clock(because.at)} {text}" + (f"  ({because.place})" if because.place else "")

    def _clock(self, at: datetime | None) -> str:
        return f"{clock(at, self._start) if at is not None else '':<6}"


_EXPLAINED = ("at", "components", "rule", "state", "post")
"""Deviations whose cause lies in what happened, not in a text alone."""

# --- coverage


def coverage_in_words(coverage: Coverage, folder: Path) -> str:
    """Tell what of the rules no test reaches."""
    places, missed = _places(folder), coverage.missed
    reached = len(coverage.points) - len(missed)
    lines = [f"tests reach {reached} of {len(coverage.points)} points of the rules"]
    for owner, points in groupby(missed, key=lambda point: f"{point.kind} {point.owner}"):
        lines.append(f"  {owner}: no test reaches")
        lines += [f"    {point.what:<40} {_place(point, places)}".rstrip() for point in points]
    return "\n".join([*lines, ""])


def _place(point: Point, places: Places) -> str:
    """Give the place of a point, or of the nearest thing around it that is written."""
    find = {"rule": places.rule, "maintenance": places.window, "page": places.page}[point.kind]
    for length in range(len(point.path), -1, -1):
        if place := find(point.owner, *point.path[:length]):
            return place + ("" if length == len(point.path) else " (by default)")
    return ""


# --- data


def as_data(tested: Sequence[Tested], coverage: Coverage | None, folder: Path) -> Mapping[str, Any]:
    """Give everything for programs."""
    return {
        "ok": all(each.verdict.holds for each in tested),
        "tests": [_case_data(each, folder) for each in tested],
        **({} if coverage is None else {"coverage": _coverage_data(coverage, folder)}),
    }


def _coverage_data(coverage: Coverage, folder: Path) -> Mapping[str, Any]:
    missed = [
        {"owner": point.owner, "what": point.what, "place": _place(point, _places(folder))} for point in coverage.missed
    ]
    return {"points": len(coverage.points), "reached": len(coverage.points) - len(missed), "missed": missed}


def _case_data(tested: Tested, folder: Path) -> Mapping[str, Any]:
    case, verdict = tested.case, tested.verdict
    return {
        "name": case.name,
        "file": case.file,
        "place": case.place,
        "ok": verdict.holds,
        "seconds": round(tested.took, 3),
        "virtual_seconds": case.length.total_seconds(),
        "failure": "" if verdict.holds else failure(verdict, folder),
        "actions": [saying_data(saying) for saying in verdict.played.sayings],
        "notices": [
            {"at": at, "code": notice.code, "about": notice.subject, "text": notice.text}
            for at, notice in verdict.played.notices
        ],
    }
