"""
What may be done with public incidents, and the rules that the vendor enforces when the API does it.

Text lengths and shapes are checked before (``payloads.py``). A person at the dashboard is bound by fewer rules.

Source: incident.io API, official SDK 2.29.0 (``status_pages_v2``), read 2026-11-23.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from worker.sandbox.board import Board, Shelf, check_room, check_unset
from worker.sandbox.model import OPERATIONAL, RESOLVED, ComponentStatuses, Incident, Update, last_said, named
from worker.sandbox.wire import Complaint, Refused

API = "api"
_STATUS_POINTER = "/component_statuses/{}/component_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDraft:
    """What a create asks for. ``component_statuses`` is None where the request did not set it."""

    page_id: str
    name: str
    message: str
    status: str
    component_statuses: ComponentStatuses | None = None
    notify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDraft:
    """What an update of an incident or window asks for; None: as it was."""

    subject_id: str
    message: str
    status: str | None = None
    component_statuses: ComponentStatuses | None = None
    notify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PastUpdate:
    """One step of a retrospective incident."""

    message: str
    status: str
    published_at: datetime
    component_statuses: ComponentStatuses | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrospectiveDraft:
    """What a retrospective create asks for; ``updates`` has at least one entry."""

    page_id: str
    name: str
    updates: tuple[PastUpdate, ...]


class Incidents:
    """All incidents of all pages."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.shelf: Shelf[Incident] = Shelf("status page incident")

    def open(self, draft: IncidentDraft, now: datetime, author: str = API) -> Incident:
        """
        Publish a new incident.

        Raises:
            Refused: 404 unknown page; 422 unknown component, components with resolved, too many subscribers.
        """
        self._check(draft.page_id, draft, author)
        update = self._board.update(draft.message, draft.status, draft.component_statuses or (), now, author)
        return self._publish(draft.page_id, draft.name, (update,), notify=draft.notify, now=now)

    def post(self, draft: UpdateDraft, now: datetime, author: str = API) -> Update:
        """
        Publish an update; with status resolved it ends the incident and restores its components.

        Raises:
            Refused: 404 unknown incident; 422 as for ``open``, more than 100 updates, or as the switches say.
        """
        incident = self.shelf.show(draft.subject_id)
        self._check(incident.page_id, draft, author)
        if author == API:
            check_room(incident.updates)
            self._check_resolved(incident, draft)
        status = draft.status or incident.status
        statuses = _restored(incident.updates) if status == RESOLVED else draft.component_statuses or ()
        update = self._board.update(draft.message, status, statuses, now, author)
        incident = replace(incident, updates=(*incident.updates, update))
        self.shelf.put(incident, now)
        if draft.notify:
            self._board.mail(incident)
        return update

    def rename(self, incident_id: str, name: str, now: datetime) -> Incident:
        """Give the incident another name; publishes nothing. Refused(404) if it is unknown."""
        incident = replace(self.shelf.show(incident_id), name=self._board.switches.tidy(name))
        self.shelf.put(incident, now)
        return incident

    def backfill(self, draft: RetrospectiveDraft, now: datetime) -> Incident:
        """
        Publish an incident that is over; mails nobody.

        Raises:
            Refused: 404 unknown page; 422 unknown component, time not past, wrong order, last one not resolved.
        """
        self._board.page(draft.page_id)
        _check_timeline(draft.updates, now)
        updates: tuple[Update, ...] = ()
        for index, past in enumerate(draft.updates):
            prefix = f"/updates/{index}"
            check_unset(past.component_statuses, past.status, RESOLVED)
            statuses = _restored(updates) if past.status == RESOLVED else past.component_statuses or ()
            pointer = prefix + _STATUS_POINTER
            self._board.check_components(draft.page_id, named(statuses), pointer)
            updates += (self._board.update(past.message, past.status, statuses, past.published_at, API),)
        return self._publish(draft.page_id, draft.name, updates, notify=False, now=now)

    def _publish(
        self, page_id: str, name: str, updates: tuple[Update, ...], *, notify: bool, now: datetime
    ) -> Incident:
        incident = Incident(
            id=self._board.mint("N"),
            page_id=page_id,
            name=self._board.switches.tidy(name),
            published_at=updates[0].published_at,
            updates=updates,
        )
        self.shelf.put(incident, now)
        if notify:
            self._board.mail(incident)
        return incident

    def _check(self, page_id: str, draft: IncidentDraft | UpdateDraft, author: str) -> None:
        self._board.page(page_id)
        check_unset(draft.component_statuses, draft.status, RESOLVED)
        self._board.check_components(page_id, named(draft.component_statuses or ()), _STATUS_POINTER)
        if author == API:
            self._board.check_mailing(page_id, draft.notify)

    def _check_resolved(self, incident: Incident, draft: UpdateDraft) -> None:
        if incident.ongoing:
            return
        switches = self._board.switches
        again = draft.status == RESOLVED
        if (switches.second_resolve if again else switches.update_on_resolved) == "refuse":
            raise Refused(422, Complaint("invalid_value", "This incident is already resolved", "/incident_status"))
        if draft.status is None and draft.component_statuses is not None:
            text = "component_statuses must not be set on a resolved incident"
            raise Refused(422, Complaint("invalid_value", text, "/component_statuses"))


def _restored(updates: tuple[Update, ...]) -> ComponentStatuses:
    return tuple((component, OPERATIONAL) for component, said in last_said(updates).items() if said != OPERATIONAL)


def _check_timeline(updates: tuple[PastUpdate, ...], now: datetime) -> None:
    complaints = []
    for index, update in enumerate(updates):
        pointer = f"/updates/{index}/published_at"
        if update.published_at >= now:
            complaints.append(Complaint("invalid_value", "published_at must be in the past", pointer))
        if index and update.published_at < updates[index - 1].published_at:
            complaints.append(Complaint("invalid_value", "updates must be ordered, earliest first", pointer))
    if updates[-1].status != RESOLVED:
        pointer = f"/updates/{len(updates) - 1}/incident_status"
        complaints.append(Complaint("invalid_value", 'the final update must set "resolved"', pointer))
    if complaints:
        raise Refused(422, *complaints)
