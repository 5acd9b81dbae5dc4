"""
Everything the sandbox remembers, in memory: pages, incidents, windows, mails, keys, and the requests it got.

Pure but for one lock: time comes in as ``now``, ids come from a counter, so that every run is the same.
The ``person_…`` methods are what somebody does at the vendor's dashboard: bound by fewer rules, and always mailed.

Source: incident.io API, official SDK 2.29.0, read 2026-11-23.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from worker.sandbox.board import Board, Mail
from worker.sandbox.incidents import IncidentDraft, Incidents, UpdateDraft
from worker.sandbox.keys import Keys
from worker.sandbox.limits import Limits
from worker.sandbox.maintenances import MaintenanceDraft, Maintenances
from worker.sandbox.model import IN_PROGRESS, RESOLVED, SCHEDULED, Incident, Maintenance, Page, Update, worst
from worker.sandbox.switches import Switches

DEFAULT_KEY = "sandbox-key"
PERSON = "person"
REMEMBERED_REQUESTS = 100_000


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """
    One request and what became of it.

    Args:
        headers: As they came, without the value of Authorization.
        connection: Number of its TCP connection, from 1.
        live_writes: Writes under way when it came, itself included; 0 for a read.
        fault: Name of the fault that met it, or "".
        status: Status of the answer that was meant for it, or None when it was to get none.
        outcome: open (under way), answered, dropped, or cut (the answer ended early).
        applied_at: When it changed the page; None: it has not.
    """

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    sha256: str
    connection: int
    live_writes: int
    fault: str
    status: int | None = None
    outcome: str = "open"
    applied_at: datetime | None = None


class State:
    """
    The memory of one sandbox.

    Args:
        pages: At least one; the first is the page at ``/``.
        api_key: The bearer token that may do everything; change it to revoke it.
        read_only_key: A token that may only read, if there is one.
    """

    def __init__(
        self,
        pages: Iterable[Page],
        *,
        switches: Switches | None = None,
        api_key: str = DEFAULT_KEY,
        read_only_key: str | None = None,
    ) -> None:
        self.switches = switches or Switches()
        self.api_key = api_key
        self.read_only_key = read_only_key
        self.base_url = "http://sandbox.invalid"
        self.board = Board(pages, self.switches)
        self.incidents = Incidents(self.board)
        self.maintenances = Maintenances(self.board)
        self.keys = Keys(self.switches)
        self.limits = Limits(self.switches)
        self.requests: deque[RequestRecord] = deque(maxlen=REMEMBERED_REQUESTS)
        self.live_writes = 0
        self.max_live_writes = 0
        self.lock = threading.RLock()

    @property
    def page(self) -> Page:
        """The first page."""
        return next(iter(self.board.pages.values()))

    @property
    def pages(self) -> Mapping[str, Page]:
        """Every page, by id."""
        return self.board.pages

    @property
    def mails(self) -> list[Mail]:
        """Every mailing so far, oldest first."""
        return self.board.mails

    def settle(self, now: datetime) -> None:
        """Let the service do what it was due to do by itself up to ``now``."""
        with self.lock:
            self.maintenances.settle(now)

    def ongoing_incidents(self, page_id: str) -> list[Incident]:
        """The page's unresolved incidents, newest first."""
        return [it for it in self.incidents.shelf.all() if it.page_id == page_id and it.ongoing]

    def windows(self, page_id: str, status: str) -> list[Maintenance]:
        """The page's windows in that status, soonest first."""
        found = [it for it in self.maintenances.shelf.all() if it.page_id == page_id and it.status == status]
        return sorted(found, key=lambda window: (window.start_at, window.id))

    def component_statuses(self, page_id: str) -> dict[str, str]:
        """Each component's status on the page: the worst over its ongoing incidents and windows."""
        said = [incident.component_statuses() for incident in self.ongoing_incidents(page_id)]
        said += [window.component_statuses() for window in self.windows(page_id, IN_PROGRESS)]
        places = self.board.page(page_id).places()
        return {key: worst(statuses[key] for statuses in said if key in statuses) for key in places}

    def person_opens(
        self,
        name: str,
        message: str,
        components: Mapping[str, str] | None = None,
        status: str = "investigating",
        *,
        page_id: str | None = None,
        now: datetime,
    ) -> Incident:
        """Somebody opens an incident; ``components`` maps names, ``Group / Name`` or ids to statuses."""
        page = self.board.page(page_id or self.page.id)
        statuses = tuple((_component_id(page, name), status) for name, status in (components or {}).items())
        draft = IncidentDraft(
            page_id=page.id,
            name=name,
            message=message,
            status=status,
            component_statuses=statuses or None,
            notify=True,
        )
        with self.lock:
            return self.incidents.open(draft, now, PERSON)

    def person_schedules(
        self,
        name: str,
        message: str,
        components: Iterable[str],
        start_at: datetime,
        end_at: datetime,
        *,
        page_id: str | None = None,
        automate: bool = False,
        now: datetime,
    ) -> Maintenance:
        """Somebody schedules a maintenance window."""
        page = self.board.page(page_id or self.page.id)
        draft = MaintenanceDraft(
            page_id=page.id,
            name=name,
            message=message,
            status=SCHEDULED,
            start_at=start_at,
            end_at=end_at,
            affected=tuple(_component_id(page, component) for component in components),
            notify=True,
            automate=automate,
        )
        with self.lock:
            return self.maintenances.schedule(draft, now, PERSON)

    def person_posts(self, subject_id: str, message: str, status: str | None = None, *, now: datetime) -> Update:
        """Somebody posts on an incident or window."""
        draft = UpdateDraft(subject_id=subject_id, message=message, status=status, notify=True)
        with self.lock:
            self.settle(now)
            if subject_id in self.maintenances.shelf:
                return self.maintenances.post(draft, now, PERSON)
            return self.incidents.post(draft, now, PERSON)

    def person_resolves(
        self, incident_id: str, message: str = "This incident has been resolved.", *, now: datetime
    ) -> Update:
        """Somebody resolves an incident."""
        return self.person_posts(incident_id, message, RESOLVED, now=now)

    def person_renames(self, subject_id: str, name: str, *, now: datetime) -> None:
        """Somebody gives an incident or window another name."""
        with self.lock:
            self.settle(now)
            if subject_id in self.maintenances.shelf:
                window = self.maintenances.shelf.show(subject_id)
                self.maintenances.reschedule(subject_id, name, window.start_at, window.end_at, now)
            else:
                self.incidents.rename(subject_id, name, now)

    def person_reschedules(self, maintenance_id: str, start_at: datetime, end_at: datetime, *, now: datetime) -> None:
        """Somebody moves a window."""
        with self.lock:
            self.settle(now)
            name = self.maintenances.shelf.show(maintenance_id).name
            self.maintenances.reschedule(maintenance_id, name, start_at, end_at, now)

    def person_deletes(self, subject_id: str, *, now: datetime) -> None:
        """Somebody deletes an incident or window."""
        shelf = self.maintenances.shelf if subject_id in self.maintenances.shelf else self.incidents.shelf
        with self.lock:
            shelf.remove(subject_id, now)


def _component_id(page: Page, name: str) -> str:
    return name if name in page.places() else page.component_id(name)
