"""
What was expected of a rule test, held against what came: exactly the same, or the differences that a person can read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from worker.core.model import ActionKind
from worker.core.spec.scalars import format_duration
from worker.rehearse.aligning import aligned
from worker.rehearse.play import Played, Saying
from worker.rehearse.reading import Wanted, absolute
from worker.rehearse.spec import ContainsSpec, ExpectSpec

CREATES = (ActionKind.OPEN_INCIDENT, ActionKind.BACKFILL_INCIDENT)


@dataclass(frozen=True, slots=True)
class Deviation:
    """A field that is not as expected; both in words."""

    name: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    A line of the comparison, in order of time.

    Args:
        wanted: None: it was not expected.
        saying: None: it did not come.
        deviations: Where both are there: what is not the same.
    """

    wanted: Wanted | None
    saying: Saying | None
    deviations: Sequence[Deviation] = ()

    @property
    def right(self) -> bool:
        """Whether it came as expected."""
        return self.wanted is not None and self.saying is not None and not self.deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    Whether a case holds.

    Args:
        rows: The whole comparison, what is right included.
        totals: Counts that are not as expected.
        problems: (place, why): steps that made no sense, and faults of bodies and rules that the test does not expect.
        notices: (expected, got) codes, where they differ.
    """

    played: Played
    rows: Sequence[Row]
    totals: Sequence[Deviation] = ()
    problems: Sequence[tuple[str, str]] = ()
    notices: tuple[Sequence[str], Sequence[str]] | None = None

    @property
    def holds(self) -> bool:
        """Whether everything came as expected, and nothing else."""
        return not (self.totals or self.problems or self.notices) and all(row.right for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Judge:
    start: datetime

    def deviations(self, want: Wanted, saying: Saying) -> list[Deviation]:
        """Compare every field that the test names."""
        found = []
        if want.at is not None and abs(want.at - saying.at) >= timedelta(seconds=1):
            found.append(Deviation("at", clock(want.at, self.start), clock(saying.at, self.start)))
        for name, read in _FIELDS.items():
            wanted = getattr(want.spec, name)
            if wanted is None:
                continue
            wanted = absolute(wanted, self.start) if isinstance(wanted, timedelta) else wanted
            got = read(saying)
            if isinstance(wanted, ContainsSpec):
                if wanted.contains not in got:
                    found.append(Deviation(name, f"something with {_quoted(wanted.contains)}", _quoted(got)))
            elif not _same(wanted, got):
                found.append(Deviation(name, in_words(wanted), in_words(got)))
        if want.spec.state is None and not saying.said:
            found.append(Deviation("state", "on the page", in_words(saying.action.state)))
        return found


_FIELDS: Mapping[str, Callable[[Saying], Any]] = {
    "rule": lambda saying: saying.rule,
    "maintenance": lambda saying: saying.window,
    "page": lambda saying: saying.action.page,
    "group": lambda saying: dict(saying.group),
    "post": lambda saying: saying.action.post,
    "status": lambda saying: saying.action.content.incident_status or saying.action.content.window_status,
    "components": lambda saying: dict(saying.action.content.components),
    "mails": lambda saying: saying.action.content.notify,
    "title": lambda saying: saying.title,
    "text": lambda saying: saying.text,
    "starts": lambda saying: saying.action.content.starts_at,
    "ends": lambda saying: saying.action.content.ends_at,
    "state": lambda saying: saying.action.state,
}


def _same(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, str) and isinstance(got, str):
        return wanted.strip() == got.strip()
    return bool(wanted == got)


def judge(played: Played) -> Verdict:
    """Hold what was expected of a case against what came."""
    case, said = played.case, played.sayings
    spec = case.spec
    codes = [notice.code for _, notice in played.notices]
    faults = () if spec.notices is not None else [(case.place, f"{f.subject}: {f.text}") for f in played.faults]
    return Verdict(
        played=played,
        rows=[] if case.wanted is None else _aligned(case.wanted, said, _Judge(spec.start)),
        totals=_totals(spec.totals, said),
        problems=(*played.problems, *faults),
        notices=None if spec.notices is None or list(spec.notices) == codes else (spec.notices, codes),
    )


def counts(said: Sequence[Saying]) -> dict[str, int]:
    """Count what the public gets: incidents, further posts on them, and posts that mail."""
    told = [saying for saying in said if saying.said]
    incidents = [saying for saying in told if not saying.action.kind.of_window]
    opened = sum(saying.action.kind in CREATES for saying in incidents)
    return {
        "incidents": opened,
        "updates": len(incidents) - opened,
        "mails": sum(saying.action.content.notify for saying in told),
    }


def _totals(wanted: Any, said: Sequence[Saying]) -> list[Deviation]:
    got = counts(said)
    asked = {name: getattr(wanted, name) for name in got} if wanted is not None else {}
    return [
        Deviation(name, str(count), str(got[name]))
        for name, count in asked.items()
        if count is not None and count != got[name]
    ]


# --- which of those that came is which of those that were expected


def _aligned(wanted: Sequence[Wanted], said: Sequence[Saying], judge: _Judge) -> list[Row]:
    """Pair them in order, so that as little as possible is missing, unexpected, or different."""
    rows = aligned(wanted, _in_order_of(wanted, said, judge), lambda want, saying: _pair(want, saying, judge))
    return [Row(wanted=want, saying=saying, deviations=deviations) for want, saying, deviations in rows]


def _pair(want: Wanted, saying: Saying, judge: _Judge) -> list[Deviation] | None:
    """Give what differs; None where they are not about the same."""
    return judge.deviations(want, saying) if want.spec.do is saying.action.kind else None


def _in_order_of(wanted: Sequence[Wanted], said: Sequence[Saying], judge: _Judge) -> list[Saying]:
    """Of what was said at one time, put that first which is expected first: its order means nothing."""
    free = list(enumerate(wanted))
    ranks: dict[str, int] = {}
    for saying in said:
        found = next(((n, w) for n, w in free if _pair(w, saying, judge) == []), None)
        if found is not None:
            free.remove(found)
            ranks[saying.action.id] = found[0]
    return sorted(said, key=lambda saying: (saying.at, ranks.get(saying.action.id, len(wanted))))


# --- words


def clock(at: datetime, start: datetime) -> str:
    """Say a time as rule tests do, so long after the start; after a week with the time as well."""
    since = at - start
    told = format_duration(since) if since >= timedelta() else f"-{format_duration(-since)}"
    return told if since < timedelta(days=7) else f"{told} ({at:%Y-%m-%dT%H:%M:%SZ})"


def in_words(value: Any) -> str:
    """Write a value as it would stand in a rule test."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {item}" for name, item in value.items()) + "}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return _quoted(value) if type(value) is str else "nothing" if value is None else str(value)


def _quoted(text: str) -> str:
    return f"“{text.strip()}”"


def describe(spec: ExpectSpec) -> str:
    """Write an expected action on one line: "open_incident checkout-outage"."""
    rest = {name: getattr(spec, name) for name in ("post", "status", "components", "mails", "state")}
    told = [f"{name} {in_words(value)}" for name, value in rest.items() if value is not None]
    who = spec.rule or spec.maintenance or ""
    return f"{spec.do} {who}".strip() + (f": {', '.join(told)}" if told else "")
