"""
A status page in memory, to play rules against: it answers at once, keeps its word, and people can write on it.

It implements ``ports.Provider``. What can go wrong on the way to a real page is the matter of the steps' own tests;
here it can be out of reach, and that is all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from worker.core.model import (
    Action,
    ActionKind,
    Directory,
    IncidentStatus,
    Outcome,
    RemoteIncident,
    RemoteUpdate,
    Request,
    Result,
    WindowStatus,
)
from worker.core.ruleset import ComponentRef, PageConfig
from worker.errors import ProviderUnavailable
from worker.ports import Clock

_OVER = (IncidentStatus.RESOLVED, WindowStatus.COMPLETE)


class RehearsalPage:
    """
    Args:
        config: Which components it has: all that the rules name.
        clock: Aware, UTC.
    """

    supports = frozenset(ActionKind)
    most_updates = 100

    def __init__(self, config: PageConfig, clock: Clock) -> None:
        self.name = config.page
        self.unreachable_until: datetime | None = None
        self._clock = clock
        self._components = _ids(config.components)
        self._objects: dict[str, RemoteIncident] = {}
        self._open: dict[str, None] = {}
        self._keys: dict[str, str] = {}
        self._ids = 0

    @property
    def next_move(self) -> datetime | None:
        """When it moves a window by itself the next time; None: it never does, as far as is known."""
        moves = (_move(self._objects[each]) for each in self._open)
        return min((at for at, _ in moves if at is not None), default=None)

    def move(self) -> bool:
        """Move the windows that are automated and due; say whether there were any."""
        due = [
            (each, to) for each in self._open for at, to in [_move(self._objects[each])] if at and at <= self._clock()
        ]
        for remote_id, status in due:
            self.post(remote_id, "", status)
        return bool(due)

    # -- ports.Provider

    def directory(self) -> Directory:
        """See ``ports.Provider``."""
        return Directory(page_id=self.name, name=self.name, public_url="", components=self._components)

    def ongoing(self, directory: Directory) -> Sequence[RemoteIncident]:  # noqa: ARG002
        """See ``ports.Provider``."""
        self._look()
        return [shown for each in self._open if (shown := self._objects[each]).starts_at is None]

    def windows(self, directory: Directory) -> Sequence[RemoteIncident]:  # noqa: ARG002
        """See ``ports.Provider``."""
        self._look()
        return [shown for each in self._open if (shown := self._objects[each]).starts_at is not None]

    def show(self, remote_id: str, kind: ActionKind) -> RemoteIncident | None:  # noqa: ARG002
        """See ``ports.Provider``."""
        self._look()
        return self._objects.get(remote_id)

    def summary(self, directory: Directory) -> None:
        """See ``ports.Provider``."""

    def request(self, action: Action, directory: Directory) -> Request:  # noqa: ARG002
        """See ``ports.Provider``."""
        return Request(method="SAY", target=action.kind.value, body=b"")

    def send(self, action: Action, request: Request) -> Outcome:  # noqa: ARG002
        """See ``ports.Provider``."""
        remote_id = self._keys.get(action.key, "") if action.kind.creates else action.remote_id
        if not remote_id:
            remote_id = self._keys[action.key] = self._created(action)
            self._written(remote_id, action)
        elif not action.kind.creates:
            self._written(remote_id, action)
        shown = self._objects[remote_id]
        return Outcome(
            action_id=action.id,
            result=Result.DONE,
            at=self._clock(),
            remote_id=remote_id,
            update_id=shown.updates[-1].id if shown.updates else "",
            published_at=shown.published_at,
            name=shown.name,
        )

    def _look(self) -> None:
        if self.unreachable_until is not None and self._clock() < self.unreachable_until:
            raise ProviderUnavailable("the page cannot be reached")

    def _created(self, action: Action) -> str:
        content = action.content
        return self._create(content.title, content.components, content.starts_at, content.ends_at, content.automate)

    def _written(self, remote_id: str, action: Action) -> None:
        content = action.content
        if action.kind is ActionKind.RESCHEDULE_MAINTENANCE:
            self.reschedule(remote_id, content.starts_at, content.ends_at)
        elif content.steps:
            for step in content.steps:
                self.post(remote_id, step.message, step.incident_status)
        else:
            self.post(remote_id, content.message, action.incident_status or content.window_status or "")

    # -- what people do on it

    def open(self, title: str, components: Sequence[str], text: str) -> str:
        """Somebody opens an incident on components, our names; give its id."""
        remote_id = self._create(title, dict.fromkeys(components))
        self.post(remote_id, text, IncidentStatus.INVESTIGATING)
        return remote_id

    def schedule(
        self,
        title: str,
        components: Sequence[str],
        text: str,
        starts_at: datetime,
        ends_at: datetime,
        *,
        automate: bool,
    ) -> None:
        """Somebody makes a maintenance window; with *automate* the page moves it by itself."""
        remote_id = self._create(title, dict.fromkeys(components), starts_at, ends_at, automate)
        self.post(remote_id, text, WindowStatus.SCHEDULED)

    def reschedule(self, remote_id: str, starts_at: datetime | None, ends_at: datetime | None) -> None:
        """Somebody, or we, edit the times of a window; None stays as it is."""
        shown = self._objects[remote_id]
        self._objects[remote_id] = replace(
            shown, starts_at=starts_at or shown.starts_at, ends_at=ends_at or shown.ends_at
        )

    def post(self, remote_id: str, text: str, status: str = "") -> None:
        """Something is posted on an incident or window; "": its status stays."""
        shown = self._objects[remote_id]
        update = RemoteUpdate(
            id=self._next("post"), message=text, status=status or shown.status, published_at=self._clock()
        )
        self._objects[remote_id] = replace(shown, status=update.status, updates=(*shown.updates, update))
        if update.status in _OVER:
            self._open.pop(remote_id, None)
        else:
            self._open[remote_id] = None

    def rename(self, remote_id: str, title: str) -> None:
        """Somebody calls an incident something else."""
        self._objects[remote_id] = replace(self._objects[remote_id], name=title)

    def delete(self, remote_id: str) -> None:
        """Somebody takes an incident off the page."""
        self._objects.pop(remote_id)
        self._open.pop(remote_id, None)

    def called(self, title: str) -> str:
        """Find the newest incident of a name; give its id, or "" where there is none."""
        found = [each for each, shown in self._objects.items() if shown.name == title]
        return found[-1] if found else ""

    def has(self, remote_id: str) -> bool:
        """Say whether the page has an object."""
        return remote_id in self._objects

    def is_open(self, remote_id: str) -> bool:
        """Say whether an object is there, and not over."""
        return remote_id in self._open

    def is_window(self, remote_id: str) -> bool:
        """Say whether an object that is there is a maintenance window."""
        return self._objects[remote_id].starts_at is not None

    # -- inside

    def _create(
        self,
        title: str,
        components: Mapping[str, object],
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        automate: bool = False,
    ) -> str:
        remote_id = self._next("object")
        touched = frozenset(each for name in components for each in self._components.get(name, ()))
        self._objects[remote_id] = RemoteIncident(
            id=remote_id,
            name=title,
            status="",
            component_ids=touched,
            published_at=self._clock(),
            starts_at=starts_at,
            ends_at=ends_at,
            automate=automate,
        )
        return remote_id

    def _next(self, noun: str) -> str:
        self._ids += 1
        return f"{noun}-{self._ids}"


def _move(shown: RemoteIncident) -> tuple[datetime | None, WindowStatus]:
    """Say when the page moves a window by itself, and to what; None: never."""
    waits = shown.status == WindowStatus.SCHEDULED
    at = shown.starts_at if waits else shown.ends_at
    return at if shown.automate else None, WindowStatus.IN_PROGRESS if waits else WindowStatus.COMPLETE


def _ids(components: Mapping[str, ComponentRef]) -> dict[str, tuple[str, ...]]:
    """A component's id is its name on the page; a group's are all of those that the rules name of it."""
    names = {ref.name for ref in components.values() if ref.name}
    found: dict[str, tuple[str, ...]] = {}
    for ours, ref in components.items():
        group = f"{ref.group} / "
        found[ours] = (ref.name,) if ref.name else (f"{group}*", *sorted(n for n in names if n.startswith(group)))
    return found
