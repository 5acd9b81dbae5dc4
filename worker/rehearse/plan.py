"""
The same webhooks through two sets of rules: what the public would have read, and what would have been different.

What people did meanwhile, on the page or by commands, is not played: it was an answer to what was said then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.core.model import ActionKind, Inbound
from worker.rehearse.aligning import aligned
from worker.rehearse.play import FAULTS, Saying, sayings
from worker.rehearse.stage import Stage
from worker.rehearse.verdict import Deviation, counts, in_words

TAIL = timedelta(days=1)
"""So long after the last webhook time goes on, so that what has begun can end."""

APART = timedelta(hours=6)
"""Two posts further apart than this are not the same one, moved."""

_CREATES = (ActionKind.OPEN_INCIDENT, ActionKind.BACKFILL_INCIDENT)


@dataclass(slots=True)
class Run:
    """
    One set of rules on its way through the webhooks.

    Args:
        stage: Fresh, its clock before the first of them.
        skipped: Source that the set does not have, to how many webhooks of it were left out.
    """

    stage: Stage
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, inbounds: Iterable[Inbound]) -> None:
        """Play webhooks, in order of receipt."""
        for inbound in inbounds:
            if inbound.source in self.stage.endpoints:
                self.stage.receive(inbound)
            else:
                self.skipped[inbound.source] += 1
        self.stage.ledger.forget_bodies()

    def end(self, at: datetime) -> None:
        """Let time go on until then."""
        self.stage.until(at)

    def faults(self) -> list[str]:
        """Tell what went wrong with bodies and rules, each once, the most frequent first."""
        told = Counter(notice.text for _, notice in self.stage.notices if notice.code in FAULTS)
        return [f"{text}{f' ({count} times)' if count > 1 else ''}" for text, count in told.most_common()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One post that is not the same under both sets.

    Args:
        before: None: it is new.
        after: None: it would not happen any more.
        fields: Where there are both: what is different.
        instead: Where it would not happen any more: what would be decided in its place, or "".
    """

    before: Saying | None
    after: Saying | None
    fields: Sequence[Deviation] = ()
    instead: str = ""

    @property
    def at(self) -> datetime:
        """When it happens."""
        saying = self.before or self.after
        assert saying is not None
        return saying.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    Two sets held side by side.

    Args:
        same: How many posts are the same under both.
    """

    changes: Sequence[Change]
    same: int
    before: Mapping[str, int]
    after: Mapping[str, int]


def compare(before: Run, after: Run, since: datetime) -> Comparison:
    """Hold what two sets said against each other; what was said before *since* was only to warm up."""
    old, new = (_lines(run, since) for run in (before, after))
    changes: list[Change] = []
    same = 0
    for line in sorted(old.keys() | new.keys()):
        for was, now, fields in aligned(old.get(line, []), new.get(line, []), _differences):
            if was is not None and now is not None and not fields:
                same += 1
                continue
            instead = _instead(after.stage, was) if now is None and was is not None else ""
            changes.append(Change(before=was, after=now, fields=fields, instead=instead))
    said = ([saying for line in each.values() for saying in line] for each in (old, new))
    totals = [counts(each) for each in said]
    return Comparison(changes=sorted(changes, key=lambda c: c.at), same=same, before=totals[0], after=totals[1])


def _lines(run: Run, since: datetime) -> dict[str, list[Saying]]:
    """Sort what was said by what it is about, as both sets know it."""
    lines: dict[str, list[Saying]] = {}
    for saying in sayings(run.stage):
        if saying.at >= since:
            lines.setdefault(_about(run.stage, saying), []).append(saying)
    return lines


def _about(stage: Stage, saying: Saying) -> str:
    """
    Name the trouble: its line of episodes, and when it began to fire, which no rule changes. Of a window, its entry or
    rule: its times may be what has changed.
    """
    action = saying.action
    episode = None if action.kind.of_window else stage.ledger.get(action.aggregate)
    if episode is None:
        return f"{saying.who}@{action.page} {sorted(saying.group.items())}"
    return f"{action.aggregate.rpartition('#')[0]} {episode.held_since.isoformat()}"


def _differences(was: Saying, now: Saying) -> Sequence[Deviation] | None:
    """Name what is not the same about two posts of one line; None where they are not the same post."""
    before, after = was.action, now.action
    if before.kind is not after.kind or before.post is not after.post or abs(was.at - now.at) > APART:
        return None
    pairs = {
        "at": (was.at.replace(microsecond=0), now.at.replace(microsecond=0)),
        "state": (before.state, after.state),
        "components": (dict(before.content.components), dict(after.content.components)),
        "mails": (before.content.notify, after.content.notify),
        "title": (before.content.title, after.content.title),
        "text": (was.text, now.text),
        "starts": (before.content.starts_at, after.content.starts_at),
        "ends": (before.content.ends_at, after.content.ends_at),
    }
    return [Deviation(name, in_words(old), in_words(new)) for name, (old, new) in pairs.items() if old != new]


def _instead(stage: Stage, was: Saying) -> str:
    """Say what is decided where an incident was opened and is not any more: it was dismissed, or is held."""
    if was.action.kind not in _CREATES:
        return ""
    line = was.action.aggregate.rpartition("#")[0]
    own = [each for aggregate, told in stage.decisions.items() if aggregate.startswith(f"{line}#") for each in told]
    near = [each for each in own if was.at - APART <= each.at <= was.at + APART]
    ended = next((each for each in near if each.text.startswith("dismissed") and each.at >= was.at), None)
    last = ended or (near[-1] if near else None)
    return last.text if last is not None else "no signal matches any more"
