"""
The words of incident.io's Status Page API: its two kinds of object, and which request each action is.

Source: the official SDK, PyPI ``incident-io`` 2.29.0 (``incident_io.api.status_pages_v2``, ``incident_io.models``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from worker.core.model import Action, ActionKind

MAX_NAME = 200
MAX_MESSAGE = 4096
MAX_UPDATES = 100
SCOPE = "Create status page incidents, status page maintenance windows, and publish status page updates"
RETROSPECTIVE = "/v2/status_page_retrospective_incidents"


@dataclass(frozen=True, slots=True)
class Thing:
    """
    An incident or a maintenance window.

    Args:
        noun: Its name in paths and answers.
        status: The field that holds its status.
        final: The status that ends it, and returns its components to operational.
        impacts: The field that lists which components it touched.
    """

    noun: str
    status: str
    final: str
    impacts: str

    @property
    def id(self) -> str:
        """The field in which its updates name it."""
        return f"{self.noun}_id"

    @property
    def update(self) -> str:
        """The name of one of its updates in answers."""
        return f"{self.noun}_update"

    @property
    def path(self) -> str:
        """Where all of them are."""
        return f"/v2/{self.noun}s"

    @property
    def updates_path(self) -> str:
        """Where updates are posted."""
        return f"/v2/{self.noun}_updates"


INCIDENT = Thing("status_page_incident", "incident_status", "resolved", "component_impacts")
WINDOW = Thing("status_page_maintenance", "maintenance_status", "maintenance_complete", "component_maintenance_periods")


class Verb(Enum):
    """What an action does to its object."""

    CREATE = "POST"
    BACKFILL = "POST a retrospective"
    UPDATE = "POST an update"
    EDIT = "PUT"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Form:
    """How an action is said: to which kind of object, by which verb, with which status ("": the action's own)."""

    thing: Thing
    verb: Verb
    status: str = ""


FORMS: Mapping[ActionKind, Form] = {
    ActionKind.OPEN_INCIDENT: Form(INCIDENT, Verb.CREATE),
    ActionKind.UPDATE_INCIDENT: Form(INCIDENT, Verb.UPDATE),
    ActionKind.RESOLVE_INCIDENT: Form(INCIDENT, Verb.UPDATE, INCIDENT.final),
    ActionKind.RENAME_INCIDENT: Form(INCIDENT, Verb.EDIT),
    ActionKind.BACKFILL_INCIDENT: Form(INCIDENT, Verb.BACKFILL, INCIDENT.final),
    ActionKind.SCHEDULE_MAINTENANCE: Form(WINDOW, Verb.CREATE, "maintenance_scheduled"),
    ActionKind.UPDATE_MAINTENANCE: Form(WINDOW, Verb.UPDATE),
    ActionKind.START_MAINTENANCE: Form(WINDOW, Verb.UPDATE, "maintenance_in_progress"),
    ActionKind.COMPLETE_MAINTENANCE: Form(WINDOW, Verb.UPDATE, WINDOW.final),
    ActionKind.RESCHEDULE_MAINTENANCE: Form(WINDOW, Verb.EDIT),
    ActionKind.CANCEL_MAINTENANCE: Form(WINDOW, Verb.DELETE),
}


def target_of(action: Action) -> str:
    """Give the id of the object that *action* writes to; "" for creates."""
    return "" if action.kind.creates else action.remote_id
