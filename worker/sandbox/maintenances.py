"""
What may be done with maintenance windows, and how an automated one moves by itself.

Automation is evaluated when somebody looks: ``settle`` publishes what was due, stamped with the time it was due.

Source: incident.io API, official SDK 2.29.0 (``status_pages_v2``), read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from worker.sandbox.board import Board, Shelf, check_room, check_unset
from worker.sandbox.incidents import API, UpdateDraft
from worker.sandbox.model import (
    COMPLETE,
    IN_PROGRESS,
    OPERATIONAL,
    SCHEDULED,
    UNDER_MAINTENANCE,
    ComponentStatuses,
    Maintenance,
    Update,
    named,
)
from worker.sandbox.wire import Complaint, Refused

AUTOMATION = "automation"
_TEXTS: Mapping[str, str] = {
    IN_PROGRESS: "Scheduled maintenance is now in progress.",
    COMPLETE: "Scheduled maintenance is now complete.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceDraft:
    """What a create asks for."""

    page_id: str
    name: str
    message: str
    status: str
    start_at: datetime
    end_at: datetime
    affected: tuple[str, ...]
    notify: bool = False
    automate: bool = False


class Maintenances:
    """All maintenance windows of all pages."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.shelf: Shelf[Maintenance] = Shelf("status page maintenance")

    def schedule(self, draft: MaintenanceDraft, now: datetime, author: str = API) -> Maintenance:
        """
        Publish a new window, in whatever status the draft says.

        Raises:
            Refused: 404 unknown page; 422 unknown component, an end not after the start, too many subscribers.
        """
        self._board.page(draft.page_id)
        _check_order(draft.start_at, draft.end_at)
        self._board.check_components(draft.page_id, draft.affected, "/affected_component_ids/{}")
        if author == API:
            self._board.check_mailing(draft.page_id, draft.notify)
        statuses = _moved(draft.status, dict.fromkeys(draft.affected, OPERATIONAL), ())
        window = Maintenance(
            id=self._board.mint("M"),
            page_id=draft.page_id,
            name=self._board.switches.tidy(draft.name),
            published_at=now,
            start_at=draft.start_at,
            end_at=draft.end_at,
            automate=draft.automate,
            notify=draft.notify,
            affected=draft.affected,
            changed_at=now,
            updates=(self._board.update(draft.message, draft.status, statuses, now, author),),
        )
        return self._keep(window, draft.notify, now)

    def post(self, draft: UpdateDraft, now: datetime, author: str = API) -> Update:
        """
        Publish an update. One that sets a status takes the window over from automation.

        Raises:
            Refused: 404 unknown window; 422 as for ``schedule``, components with complete, more than 100 updates.
        """
        window = self.shelf.show(draft.subject_id)
        said = draft.component_statuses or ()
        check_unset(draft.component_statuses, draft.status, COMPLETE)
        pointer = "/component_statuses/{}/component_id"
        self._board.check_components(window.page_id, named(said), pointer)
        if author == API:
            check_room(window.updates)
            self._board.check_mailing(window.page_id, draft.notify)
        moves = draft.status is not None and draft.status != window.status
        statuses = _moved(draft.status or "", window.component_statuses(), said) if moves else said
        update = self._board.update(draft.message, draft.status or window.status, statuses, now, author)
        automate = window.automate and (draft.status is None or author == AUTOMATION)
        window = replace(window, updates=(*window.updates, update), automate=automate, changed_at=now)
        self._keep(window, draft.notify, now)
        return update

    def reschedule(self, window_id: str, name: str, start_at: datetime, end_at: datetime, now: datetime) -> Maintenance:
        """
        Give the window another name and time. Publishes nothing, mails nobody, never moves a status back.

        Raises:
            Refused: 404 unknown window; 422 an end not after the start.
        """
        window = self.shelf.show(window_id)
        _check_order(start_at, end_at)
        name = self._board.switches.tidy(name)
        window = replace(window, name=name, start_at=start_at, end_at=end_at, changed_at=now)
        self.shelf.put(window, now)
        return window

    def settle(self, now: datetime) -> None:
        """Let every automated window do what it was due to do up to ``now``."""
        for window in self.shelf.all():
            while (move := _next_move(window)) is not None and move[1] <= now:
                status, at = move
                draft = UpdateDraft(subject_id=window.id, message=_TEXTS[status], status=status, notify=window.notify)
                self.post(draft, at, AUTOMATION)
                window = self.shelf.show(window.id)

    def _keep(self, window: Maintenance, notify: bool, now: datetime) -> Maintenance:
        self.shelf.put(window, now)
        if notify:
            self._board.mail(window)
        return window


def _next_move(window: Maintenance) -> tuple[str, datetime] | None:
    """The next status of an automated window and when it is due; None when there is none."""
    steps = {SCHEDULED: (IN_PROGRESS, window.start_at), IN_PROGRESS: (COMPLETE, window.end_at)}
    step = steps.get(window.status) if window.automate else None
    return step and (step[0], max(step[1], window.changed_at))


def _moved(status: str, now_said: Mapping[str, str], said: ComponentStatuses) -> ComponentStatuses:
    """What a move to ``status`` makes of the components: those that ``said`` does not name follow the window."""
    target = UNDER_MAINTENANCE if status == IN_PROGRESS else OPERATIONAL
    follow = [
        component for component, current in now_said.items() if current != target and component not in named(said)
    ]
    return (*said, *((component, target) for component in follow))


def _check_order(start_at: datetime, end_at: datetime) -> None:
    if end_at <= start_at:
        raise Refused(422, Complaint("invalid_value", "end_at must be after start_at", "/end_at"))
