"""
What rules said, or would have said, in a stretch of time, held against what people published meanwhile.

Pure: lines of the history and incidents of the page come in, counts and pairs come out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from worker.core.model import Action, ActionKind, ActionState, RemoteIncident

NEAR = timedelta(hours=2)
"""Two incidents on one component whose openings are further apart than this are about different troubles."""

CREATES = (ActionKind.OPEN_INCIDENT, ActionKind.BACKFILL_INCIDENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """
    An incident as a rule opened it, or would have.

    Args:
        called: What people call the episode: "checkout-outage#3".
        at: When the page had it; of what it does not have, when it was decided.
        people: The page's incident that people opened about the same; None: there is none.
    """

    called: str
    action: Action
    at: datetime
    people: RemoteIncident | None = None

    @property
    def lead(self) -> timedelta | None:
        """How much sooner than people; negative: later."""
        published = self.people.published_at if self.people is not None else None
        return published - self.at if published is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """
    One page in a stretch of time.

    Args:
        counts: State of an action to how many incidents, updates and mails it stands for.
        openings: The oldest first.
        people: Incidents of people that no rule has, or would have, opened; () too where the page was not asked.
    """

    counts: Mapping[ActionState, Mapping[str, int]]
    openings: Sequence[Opening]
    people: Sequence[RemoteIncident] = ()

    @property
    def lead(self) -> timedelta | None:
        """How much sooner than people, in the middle; None where nothing can be compared."""
        leads = [opening.lead.total_seconds() for opening in self.openings if opening.lead is not None]
        return timedelta(seconds=median(leads)) if leads else None


def counted(actions: Collection[Action]) -> Mapping[ActionState, Mapping[str, int]]:
    """Count what actions stand for, by state; those that nobody ever gets are left out."""
    found: dict[ActionState, dict[str, int]] = {}
    for action in actions:
        if action.state in (ActionState.REPLACED, ActionState.DISMISSED) or action.kind.of_window:
            continue
        counts = found.setdefault(action.state, {"incidents": 0, "updates": 0, "mails": 0})
        counts["incidents" if action.kind in CREATES else "updates"] += 1
        counts["mails"] += action.content.notify
    return found


def held_against(
    openings: Sequence[Opening], people: Sequence[RemoteIncident], ids: Mapping[str, Collection[str]]
) -> tuple[list[Opening], list[RemoteIncident]]:
    """
    Pair what rules opened with what people did about the same components at about the same time.

    Args:
        people: Incidents of the page that are not ours.
        ids: Our component names to the page's.

    Returns:
        The openings, each with its pair where it has one; and the incidents of people that have none.
    """
    free = [incident for incident in people if incident.published_at is not None]
    paired: list[Opening] = []
    for opening in openings:
        touched = {remote for name in _components(opening.action) for remote in ids.get(name, ())}
        near = [incident for incident in free if incident.component_ids & touched and _apart(opening, incident) <= NEAR]
        nearest = min(near, key=lambda incident: _apart(opening, incident), default=None)
        if nearest is not None:
            free.remove(nearest)
        paired.append(Opening(called=opening.called, action=opening.action, at=opening.at, people=nearest))
    return paired, free


def _components(action: Action) -> Collection[str]:
    """Give our names of what an opening is about; of a backfill, of all that it tells."""
    return {*action.content.components, *(name for step in action.content.steps for name in step.components)}


def _apart(opening: Opening, incident: RemoteIncident) -> timedelta:
    assert incident.published_at is not None
    return abs(incident.published_at - opening.at)
