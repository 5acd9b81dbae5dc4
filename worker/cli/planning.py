"""A plan in words, as a comment for a pull request, and as data. Pure: nothing is read or printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.cli.console import utc
from worker.cli.sayings import called, saying_data
from worker.rehearse.plan import Change, Comparison, Run
from worker.telling.words import HASH, words

MOST_CHANGES = 200
"""How many posts of each kind are named; the counts are of all."""

MOST_FAULTS = 5

_KINDS = ("gone", "new", "different")
_HEADINGS: Mapping[str, str] = {
    "gone": "would not have happened",
    "new": "would have happened besides",
    "different": "would have been different",
}
_SIGNS: Mapping[str, str] = {"gone": "-", "new": "+", "different": "~"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    Everything that is told of two sets of rules.

    Args:
        webhooks: How many were played since *since*.
        until: When the last of them came.
        hashes: Of the rules in force, and of the changed ones.
    """

    comparison: Comparison
    before: Run
    after: Run
    webhooks: int
    since: datetime
    until: datetime
    hashes: tuple[str, str]


def kind_of(change: Change) -> str:
    """Say what a change is: "gone", "new" or "different"."""
    if change.after is None:
        return "gone"
    return "new" if change.before is None else "different"


# --- text


def as_text(plan: Plan) -> str:
    """Tell a plan on a terminal."""
    lines = [_heading(plan), ""]
    lines += [f"{'':<12}{'in force':>10}{'changed':>10}"]
    lines += [
        f"{name:<12}{was:>10}{now:>10}{_signed(now - was):>8}".rstrip() for name, was, now in _counts(plan.comparison)
    ]
    lines += ["", *_remarks(plan)]
    for kind in _KINDS:
        found = [change for change in plan.comparison.changes if kind_of(change) == kind]
        if found:
            lines.append(f"{_HEADINGS[kind]} ({len(found)})")
            lines += [line for change in found[:MOST_CHANGES] for line in _change(change, kind)]
            lines += _more(found)
            lines.append("")
    if not plan.comparison.changes:
        lines.append(f"nothing would have been different: {plan.comparison.same} posts are the same")
    return "\n".join(lines).rstrip()


def _heading(plan: Plan) -> str:
    old, new = (each[:HASH] for each in plan.hashes)
    span = f"{utc(plan.since)} to {utc(plan.until)} UTC"
    return f"{plan.webhooks} webhooks, {span}, through rules {old} and {new}"


def _counts(comparison: Comparison) -> Iterator[tuple[str, int, int]]:
    for name, was in comparison.before.items():
        yield name, was, comparison.after[name]


def _signed(difference: int) -> str:
    return f"{difference:+d}" if difference else ""


def _change(change: Change, kind: str) -> Iterator[str]:
    saying = change.before or change.after
    assert saying is not None
    yield f"  {_SIGNS[kind]} {utc(saying.at)}  {called(saying)}"
    if kind == "different":
        for each in change.fields:
            yield f"        {each.name}: {each.wanted}"
            yield f"        {' ' * len(each.name)}→ {each.got}"
        return
    yield from (f"        {line}" for line in words(saying.action.content).splitlines())
    if change.instead:
        yield f"        instead: {change.instead}"


def _more(found: Sequence[Change]) -> list[str]:
    return [f"  … and {len(found) - MOST_CHANGES} more"] if len(found) > MOST_CHANGES else []


def _remarks(plan: Plan) -> list[str]:
    lines = []
    for name, run in (("in force", plan.before), ("changed", plan.after)):
        lines += [
            f"the rules {name} have no source `{source}`: {count} webhooks left out"
            for source, count in run.skipped.items()
        ]
        faults = run.faults()
        lines += [f"with the rules {name}: {fault}" for fault in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            lines.append(f"with the rules {name}: {len(faults) - MOST_FAULTS} more faults")
    return [*lines, ""] if lines else []


# --- Markdown


def as_markdown(plan: Plan) -> str:
    """Tell a plan as a comment for a pull request."""
    lines = ["### What the status page would have said", "", f"{_heading(plan)}.", ""]
    lines += ["| | in force | changed | |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {was} | {now} | {_signed(now - was)} |" for name, was, now in _counts(plan.comparison)]
    lines += ["", *(f"> {line}" if line else "" for line in _remarks(plan))]
    for kind in _KINDS:
        found = [change for change in plan.comparison.changes if kind_of(change) == kind]
        if found:
            lines += [f"<details><summary>{len(found)} {_posts(found)} {_HEADINGS[kind]}</summary>", "", "```diff"]
            lines += [_fenced(line) for change in found[:MOST_CHANGES] for line in _diff(change, kind)]
            lines += [*_more(found), "```", "", "</details>", ""]
    if not plan.comparison.changes:
        lines.append(f"Nothing would have been different: {plan.comparison.same} posts are the same.")
    return "\n".join(lines).rstrip()


def _posts(found: Sequence[Change]) -> str:
    return "post" if len(found) == 1 else "posts"


def _diff(change: Change, kind: str) -> Iterator[str]:
    """Write a change so that the sign stands first, as diffs have it."""
    for line in _change(change, kind):
        bare = line[4:] if line.startswith(f"  {_SIGNS[kind]} ") else line
        sign = {"different": "!"}.get(kind, _SIGNS[kind]) if bare is not line else " "
        yield f"{sign} {bare}"


def _fenced(line: str) -> str:
    """Keep what a text holds from ending the block that it stands in."""
    return line.replace("```", "'''")


# --- data


def as_data(plan: Plan) -> Mapping[str, Any]:
    """Give a plan for programs."""
    comparison = plan.comparison
    return {
        "webhooks": plan.webhooks,
        "since": plan.since,
        "until": plan.until,
        "hashes": {"in_force": plan.hashes[0], "changed": plan.hashes[1]},
        "in_force": dict(comparison.before),
        "changed": dict(comparison.after),
        "same": comparison.same,
        "changes": [_change_data(change) for change in comparison.changes],
        "faults": {"in_force": plan.before.faults(), "changed": plan.after.faults()},
        "skipped": {"in_force": dict(plan.before.skipped), "changed": dict(plan.after.skipped)},
    }


def _change_data(change: Change) -> Mapping[str, Any]:
    return {
        "kind": kind_of(change),
        "in_force": saying_data(change.before) if change.before is not None else None,
        "changed": saying_data(change.after) if change.after is not None else None,
        "fields": {each.name: [each.wanted, each.got] for each in change.fields},
        "instead": change.instead,
    }
