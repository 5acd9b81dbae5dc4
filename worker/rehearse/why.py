"""
Why an action came, or did not: what was heard, what was decided on the way, and which line of the rules had a say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.core.matching import Line, explain
from worker.core.model import Episode, Event, Origin, Post, Status, Window
from worker.core.ruleset import IncidentPlan, Rule
from worker.core.spec.scalars import LONGEST
from worker.ports import Heard
from worker.rehearse.places import Places
from worker.rehearse.play import Saying
from worker.rehearse.reading import Wanted
from worker.rehearse.stage import Stage

MOST_LINES = 12

_SELF_EVIDENT = re.compile(r" (queued|shadowed|is on the page)$")
"""Ends of decisions that only say what the action itself shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """
    One step on the way to an action.

    Args:
        at: When; None where it is about no time.
        event: What was heard; None for a decision.
        more: How many others said the same at once.
        text: What was decided, or why not; "" for an event.
        place: The step of the test, or the line of the rules; "" where there is none.
    """

    at: datetime | None
    text: str = ""
    event: Event | None = None
    more: int = 0
    place: str = ""


Sent = Mapping[int, tuple[datetime, str]]
"""Place in the inbox to when a body was sent, and to where that is written; "" where it is nowhere."""


def came(stage: Stage, sent: Sent, saying: Saying, places: Places, since: datetime | None = None) -> list[Because]:
    """
    Tell how an action came to be, the oldest first.

    Args:
        sent: What was sent.
        since: What happened until then is known already; None: nothing is.
    """
    action = saying.action
    story = stage.ledger.story(action.aggregate)
    heard = [line for _, line in story.heard] if story is not None else []
    chapters = [
        *_heard(sent, heard, saying.at),
        *(
            Because(at=each.at, text=each.text)
            for each in stage.decisions.get(action.aggregate, [])
            if each.at <= saying.at and not _SELF_EVIDENT.search(each.text)
        ),
    ]
    news = [each for each in chapters if since is None or (each.at is not None and each.at > since)]
    told = sorted(news, key=lambda because: (because.at or saying.at, because.event is None))
    rule = rule_of(stage, saying.rule)
    governing = places.governing(saying, "at", rule)
    last = [Because(at=action.created_at, text=f"by {governing}")] if governing is not None else []
    about = story.about if story is not None else None
    episode = about if isinstance(about, Episode) else None
    late = [] if episode is None or rule is None else list(_kept_back(stage, saying, episode, rule, places))
    return [*told[-MOST_LINES:], *(late or last)]


def _kept_back(stage: Stage, saying: Saying, episode: Episode, rule: Rule, places: Places) -> Iterator[Because]:
    """Tell what made an opening later than ``hold`` did."""
    at, plan = saying.action.created_at, rule.plan
    if (
        saying.action.post is not Post.OPEN
        or not isinstance(plan, IncidentPlan)
        or at <= episode.held_since + plan.hold
    ):
        return
    # One that a person has ended before the signal came mutes on through its `grace`.
    windows = stage.ledger.windows(episode.held_since - LONGEST)
    muting = next((each for each in windows if each.page == episode.page and each.muted_until == at), None)
    if muting is not None:
        name = muting.known_name if muting.origin is Origin.PAGE else muting.plan_id
        yield Because(
            at=at,
            text=f"maintenance `{name}`, and its `grace`, kept it back until now",
            place=_muted_at(muting, places),
        )
    elif plan.yield_to:
        others = " and ".join(f"`{other}`" for other in plan.yield_to)
        place = places.rule(rule.id, "incident", "yield_to")
        yield Because(at=at, text=f"it yielded to {others} until now", place=place)


def _muted_at(muting: Window, places: Places) -> str:
    """Give the place that a person would change to have a window mute less, or more."""
    if muting.origin is Origin.PAGE:
        above = "adopt_maintenance"
        return places.page(muting.page, above, "grace") or places.page(muting.page, above)
    return places.window(muting.plan_id, "grace") or places.window(muting.plan_id) or places.rule(muting.plan_id)


def missing(stage: Stage, sent: Sent, want: Wanted, places: Places) -> list[Because]:
    """Tell what kept an expected action from coming, as far as can be told."""
    rule = rule_of(stage, want.spec.rule or "")
    if rule is None:
        return []
    own = [a for a in stage.decisions if a.partition("@")[0] == rule.identity]
    decided = [Because(at=each.at, text=each.text) for aggregate in own for each in stage.decisions[aggregate]]
    if decided:
        return sorted(decided, key=lambda because: (because.at is None, because.at))[:MOST_LINES]
    return list(_unmatched(stage, sent, rule, places))[:MOST_LINES] or [
        Because(at=None, text="nothing fired in this test")
    ]


def rule_of(stage: Stage, rule_id: str) -> Rule | None:
    """Give the rule of an id."""
    return next((rule for rule in stage.book.rules.rules if rule.id == rule_id), None)


def _heard(sent: Sent, heard: Sequence[Heard], until: datetime) -> Iterator[Because]:
    """Tell what was heard, once for all that said the same in one body."""
    bodies: dict[tuple[int, Status], list[Heard]] = {}
    for line in heard:
        bodies.setdefault((line.inbound_seq, line.event.status), []).append(line)
    for (seq, _), lines in bodies.items():
        at, place = sent.get(seq, (None, ""))
        if at is not None and at <= until:
            yield Because(at=at, event=lines[0].event, more=len(lines) - 1, place=place)


def _unmatched(stage: Stage, sent: Sent, rule: Rule, places: Places) -> Iterator[Because]:
    """Tell of each body that fires which line of the rule it does not meet."""
    told: set[tuple[str, str]] = set()
    for heard in stage.heard:
        at, place = sent.get(heard.inbound_seq, (None, ""))
        failed = first_failure(rule, heard.event)
        if at is None or heard.event.status is not Status.FIRING or failed is None:
            continue
        if (place, failed.field) not in told:
            told.add((place, failed.field))
            yield Because(at=at, event=heard.event, place=place)
            yield Because(at=at, text=in_words(failed), place=line_place(rule, failed, places))


def first_failure(rule: Rule, event: Event) -> Line | None:
    """Give the first line of a rule that an event does not meet."""
    return next((line for line in explain(rule, event) if not line.held), None)


def in_words(line: Line) -> str:
    """Say what a line wants and what there is."""
    return f"`{line.field}` is `{line.actual}`; wanted: {line.wanted}"


def line_place(rule: Rule, line: Line, places: Places) -> str:
    """Give the place of a line in the rule files."""
    for path in ((line.field,), ("match", line.field), tuple(line.field.split(".", 1))):
        if place := places.rule(rule.id, *path):
            return place
    return rule.place
