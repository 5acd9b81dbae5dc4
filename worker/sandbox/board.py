"""
What incidents and windows share: the pages, the ids, the mails, the history of every object, and the rules for both.

Knows neither what an incident nor what a window may do; that is ``incidents.py`` and ``maintenances.py``.

Source: incident.io API, official SDK 2.29.0, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from worker.sandbox.model import ComponentStatuses, Incident, Maintenance, Page, Update
from worker.sandbox.switches import Switches
from worker.sandbox.wire import Complaint, Refused

MAX_UPDATES = 100
MAX_MAILED_SUBSCRIBERS = 1000

Posting = TypeVar("Posting", Incident, Maintenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mailing: an update that went to all ``recipients`` subscribers of the page."""

    at: datetime
    page_id: str
    subject_id: str
    update_id: str
    name: str
    message: str
    status: str
    author: str
    recipients: int


def sandbox_id(kind: str, number: int) -> str:
    """An id that looks like a ULID, sorts by age and is the same in every run; ``kind`` is one letter."""
    return f"01SBX{kind}{number:020d}"


class Board:
    """The pages of one organisation and everything that was mailed from them."""

    def __init__(self, pages: Iterable[Page], switches: Switches) -> None:
        self.pages = {page.id: page for page in pages}
        self.switches = switches
        self.mails: list[Mail] = []
        self._minted = 0

    def mint(self, kind: str) -> str:
        """A new id."""
        self._minted += 1
        return sandbox_id(kind, self._minted)

    def page(self, page_id: str) -> Page:
        """The page; Refused(404) if there is none."""
        try:
            return self.pages[page_id]
        except KeyError:
            raise not_found("status page", page_id, "/status_page_id") from None

    def check_components(self, page_id: str, ids: Iterable[str], pointer: str) -> None:
        """Refused(422) unless every id is a component of the page; ``pointer`` has ``{}`` for the position."""
        known = self.page(page_id).places()
        complaints = [
            Complaint("invalid_value", f"Component {component_id} is not on this status page", pointer.format(index))
            for index, component_id in enumerate(ids)
            if component_id not in known
        ]
        if complaints:
            raise Refused(422, *complaints)

    def check_mailing(self, page_id: str, notify: bool) -> None:
        """Refused(422) if a mailing is asked of a page with too many subscribers for this API."""
        if notify and self.page(page_id).subscribers > MAX_MAILED_SUBSCRIBERS:
            text = f"Pages with more than {MAX_MAILED_SUBSCRIBERS} subscribers cannot be notified through the API"
            raise Refused(422, Complaint("too_many_subscribers", text, "/notify_subscribers"))

    def update(self, message: str, status: str, statuses: ComponentStatuses, at: datetime, author: str) -> Update:
        """A new update with an id of its own."""
        return Update(
            id=self.mint("X"),
            message=self.switches.tidy(message),
            status=status,
            component_statuses=statuses,
            published_at=at,
            author=author,
        )

    def mail(self, posting: Incident | Maintenance) -> None:
        """Send the last update of ``posting`` to every subscriber of its page."""
        update = posting.updates[-1]
        self.mails.append(
            Mail(
                at=update.published_at,
                page_id=posting.page_id,
                subject_id=posting.id,
                update_id=update.id,
                name=posting.name,
                message=update.message,
                status=update.status,
                author=update.author,
                recipients=self.page(posting.page_id).subscribers,
            )
        )


class Shelf(Generic[Posting]):
    """Objects of one kind with all their versions, so that a stale read can be imitated."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._versions: dict[str, list[tuple[datetime, Posting | None]]] = {}

    def put(self, posting: Posting, now: datetime) -> None:
        """Make this the current version."""
        self._versions.setdefault(posting.id, []).append((now, posting))

    def remove(self, posting_id: str, now: datetime) -> None:
        """Delete it; Refused(404) if it does not exist."""
        self.show(posting_id)
        self._versions[posting_id].append((now, None))

    def show(self, posting_id: str, as_of: datetime | None = None) -> Posting:
        """One object now, or as it was ``as_of``; Refused(404) if it does not, or did not yet, exist."""
        found = self._version(posting_id, as_of) if posting_id in self._versions else None
        if found is None:
            raise not_found(self._noun, posting_id)
        return found

    def all(self, as_of: datetime | None = None) -> list[Posting]:
        """Every object now, or as of then; newest first."""
        found = [posting for key in self._versions if (posting := self._version(key, as_of)) is not None]
        return sorted(found, key=lambda posting: (posting.published_at, posting.id), reverse=True)

    def __contains__(self, posting_id: object) -> bool:
        return posting_id in self._versions

    def _version(self, posting_id: str, as_of: datetime | None) -> Posting | None:
        versions = self._versions[posting_id]
        if as_of is None:
            return versions[-1][1]
        return next((posting for at, posting in reversed(versions) if at <= as_of), None)


def check_room(updates: Collection[Update]) -> None:
    """Refused(422) when an incident or window has as many updates as it may have."""
    if len(updates) >= MAX_UPDATES:
        raise Refused(422, Complaint("too_many_updates", f"There is a limit of {MAX_UPDATES} updates"))


def check_unset(statuses: ComponentStatuses | None, status: str | None, final: str) -> None:
    """Refused(422) when component statuses come with the status that sets them all to operational."""
    if statuses is not None and status == final:
        text = f'component_statuses must not be set when the status is being set to "{final}"'
        raise Refused(422, Complaint("invalid_value", text, "/component_statuses"))


def not_found(noun: str, sought: str, pointer: str = "") -> Refused:
    """A 404 in the vendor's shape."""
    return Refused(404, Complaint("not_found", f"Could not find {noun} {sought}", pointer))
