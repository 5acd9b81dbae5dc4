"""
What a status page is made of: its parts, its incidents, its maintenance windows, and what follows from their updates.

Values only. A change makes a new value, so that the page can also be shown as it was some seconds ago.
This file may not know how anything is stored, validated or sent.

Source: incident.io API, official SDK 2.29.0 (``StatusPage*V2``), read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

OPERATIONAL = "operational"
UNDER_MAINTENANCE = "under_maintenance"
DEGRADED = "degraded_performance"
RESOLVED = "resolved"
SCHEDULED = "maintenance_scheduled"
IN_PROGRESS = "maintenance_in_progress"
COMPLETE = "maintenance_complete"

INCIDENT_STATUSES = ("investigating", "identified", "monitoring", RESOLVED)
INCIDENT_COMPONENT_STATUSES = (OPERATIONAL, DEGRADED, "partial_outage", "full_outage")
MAINTENANCE_STATUSES = (SCHEDULED, IN_PROGRESS, COMPLETE)
MAINTENANCE_COMPONENT_STATUSES = (OPERATIONAL, UNDER_MAINTENANCE)

BEST_TO_WORST = (OPERATIONAL, UNDER_MAINTENANCE, DEGRADED, "partial_outage", "full_outage")

ComponentStatuses = tuple[tuple[str, str], ...]


def worst(statuses: Iterable[str]) -> str:
    """The worst of some component statuses; operational when there are none."""
    return max(statuses, key=BEST_TO_WORST.index, default=OPERATIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part of the page that has a status."""

    id: str
    name: str
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Components shown under one heading."""

    id: str
    name: str
    components: tuple[Component, ...]
    description: str = ""
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubPage:
    """A page within the page: its own components and groups."""

    id: str
    name: str
    items: tuple[Component | Group, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a component stands on its page; it may be hidden by itself or with its group."""

    component: Component
    group: Group | None
    sub_page: SubPage | None

    @property
    def hidden(self) -> bool:
        return self.component.hidden or (self.group is not None and self.group.hidden)

    @property
    def label(self) -> str:
        """``Group / Name``, or the name alone."""
        return f"{self.group.name} / {self.component.name}" if self.group else self.component.name


@dataclass(slots=True, kw_only=True)
class Page:
    """
    One status page. The one value that may be changed in place, for rehearsals.

    Args:
        slug: Its place below the server's address; empty for the page at ``/``.
        subscribers: How many people a mailing post reaches.
        widget: Whether its owner has switched the Widget API on.
        created_at: Availability before this is unknown.
    """

    id: str
    name: str
    slug: str
    items: tuple[Component | Group | SubPage, ...]
    created_at: datetime
    description: str = ""
    subscribers: int = 0
    widget: bool = True

    def places(self) -> dict[str, Place]:
        """Every component of the page, by id, in the order of the page."""
        return {place.component.id: place for place in _places(self.items, None)}

    def component_id(self, label: str) -> str:
        """The id of the component called ``Name`` or ``Group / Name``; KeyError if there is none, or more than one."""
        found = [key for key, place in self.places().items() if label in (place.label, place.component.name)]
        if len(found) != 1:
            raise KeyError(f"{self.name} has {len(found)} components called {label!r}")
        return found[0]


def _places(items: Iterable[Component | Group | SubPage], sub_page: SubPage | None) -> Iterator[Place]:
    for item in items:
        if isinstance(item, SubPage):
            yield from _places(item.items, item)
        elif isinstance(item, Group):
            yield from (Place(component, item, sub_page) for component in item.components)
        else:
            yield Place(item, None, sub_page)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One published text. ``author`` is api, person or automation."""

    id: str
    message: str
    status: str
    component_statuses: ComponentStatuses
    published_at: datetime
    author: str


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which a component had a status; no end: it still has."""

    component_id: str
    status: str
    start_at: datetime
    end_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One public incident. ``updates`` is never empty, oldest first."""

    id: str
    page_id: str
    name: str
    published_at: datetime
    updates: tuple[Update, ...]

    @property
    def status(self) -> str:
        return self.updates[-1].status

    @property
    def ongoing(self) -> bool:
        return self.status != RESOLVED

    def component_statuses(self) -> dict[str, str]:
        """What was last said of each component that was ever mentioned."""
        return last_said(self.updates)

    def spans(self) -> tuple[Span, ...]:
        """Its component impacts: every time a component was worse than operational because of it."""
        return _spans(self.updates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """
    One maintenance window. ``updates`` is never empty, oldest first.

    Args:
        automate: Whether the service moves it at ``start_at`` and ``end_at`` by itself.
        notify: Whether those automated updates mail subscribers.
        changed_at: Time of the last change of any kind; automation publishes nothing earlier than this.
    """

    id: str
    page_id: str
    name: str
    published_at: datetime
    start_at: datetime
    end_at: datetime
    automate: bool
    notify: bool
    affected: tuple[str, ...]
    changed_at: datetime
    updates: tuple[Update, ...]

    @property
    def status(self) -> str:
        return self.updates[-1].status

    @property
    def ongoing(self) -> bool:
        return self.status == IN_PROGRESS

    def component_statuses(self) -> dict[str, str]:
        """What was last said of each component; operational before anything was."""
        return dict.fromkeys(self.affected, OPERATIONAL) | last_said(self.updates)

    def spans(self) -> tuple[Span, ...]:
        """
        Its component maintenance periods: what was, what is (until the planned end), what is planned.

        The API shows the planned start and end of a window nowhere else.
        """
        periods: list[Span] = []
        begun: set[str] = set()
        for span in _spans(self.updates):
            start = span.start_at if span.component_id in begun else min(span.start_at, self.start_at)
            begun.add(span.component_id)
            periods.append(replace(span, start_at=start, end_at=span.end_at or self.end_at))
        if self.status == SCHEDULED:
            periods += [Span(component, UNDER_MAINTENANCE, self.start_at, self.end_at) for component in self.affected]
        return tuple(periods)


def named(statuses: ComponentStatuses) -> list[str]:
    """The ids of the components, in order."""
    return [component_id for component_id, _ in statuses]


def last_said(updates: Iterable[Update]) -> dict[str, str]:
    """What the updates last said of each component that they mention."""
    return {component: status for update in updates for component, status in update.component_statuses}


def _spans(updates: Iterable[Update]) -> tuple[Span, ...]:
    spans: list[Span] = []
    running: dict[str, int] = {}
    for update in updates:
        for component_id, status in update.component_statuses:
            index = running.get(component_id)
            if index is not None and spans[index].status == status:
                continue
            if index is not None:
                spans[index] = replace(spans[index], end_at=update.published_at)
                del running[component_id]
            if status != OPERATIONAL:
                running[component_id] = len(spans)
                spans.append(Span(component_id, status, update.published_at, None))
    return tuple(spans)
