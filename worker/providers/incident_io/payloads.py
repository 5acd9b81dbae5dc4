"""
What is sent to incident.io for each action: pure, within every limit of the API, the same bytes every time.

Source: the official SDK, PyPI ``incident-io`` 2.29.0 (``StatusPages*PayloadV2``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from worker.core.model import Action, ComponentStatus, Content, Directory, IncidentStatus, Request, WindowStatus
from worker.errors import EvaluationFailed
from worker.providers._components import near
from worker.providers._text import cut
from worker.providers.incident_io.vocabulary import (
    FORMS,
    INCIDENT,
    MAX_MESSAGE,
    MAX_NAME,
    RETROSPECTIVE,
    WINDOW,
    Form,
    Thing,
    Verb,
    target_of,
)

Json = dict[str, Any]

_ID = re.compile(r"(?!\.+$)[\w.~:-]{1,128}", re.ASCII)
_ALLOWED: Mapping[Thing, frozenset[ComponentStatus]] = {
    INCIDENT: frozenset(ComponentStatus) - {ComponentStatus.UNDER_MAINTENANCE},
    WINDOW: frozenset({ComponentStatus.OPERATIONAL, ComponentStatus.UNDER_MAINTENANCE}),
}


def usable_id(text: object) -> bool:
    """Say whether *text* may be an id of the API: something that can stand in a path and lead nowhere else."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def request_of(action: Action, directory: Directory) -> Request:
    """
    Build the request of an action.

    Raises:
        EvaluationFailed: The action lacks what the API demands, or says what the API has no word for.
    """
    draft = _Draft(action, FORMS[action.kind], directory)
    method, path, build = _REQUESTS[draft.form.thing, draft.form.verb]
    payload = build(draft)
    return Request(method=method, target=path(draft), body=_canonical(payload) if payload else b"")


@dataclass(frozen=True, slots=True)
class _Draft:
    """An action on its way to a payload; each method but the last few builds one kind of body."""

    action: Action
    form: Form
    directory: Directory

    def opened(self) -> Json:
        status = self.action.incident_status
        if status is None:
            raise self.fault("has no incident status")
        return self._created() | self._posted(status, self.action.content.components)

    def scheduled(self) -> Json:
        affected = dict.fromkeys(self.action.content.components, ComponentStatus.UNDER_MAINTENANCE)
        return {
            **self._created(),
            **self._times(),
            self.form.thing.status: self.action.content.window_status or self.form.status,
            "affected_component_ids": sorted(self._statuses(affected)),
            "automate_maintenance_status": self.action.content.automate,
        }

    def backfilled(self) -> Json:
        steps = self.action.content.steps
        if not steps or steps[-1].incident_status is not IncidentStatus.RESOLVED:
            raise self.fault("does not end with a resolved step")
        if any(later.at < earlier.at for earlier, later in pairwise(steps)):
            raise self.fault("does not tell its steps oldest first")
        return {
            "status_page_id": self.directory.page_id,
            "idempotency_key": self._key(),
            "name": self._name(),
            "updates": [
                {"message": self._message(step.message), "published_at": _rfc3339(step.at)}
                | self._posted(step.incident_status, step.components)
                for step in steps
            ],
        }

    def updated(self) -> Json:
        content = self.action.content
        own = self.action.incident_status if self.form.thing is INCIDENT else None
        return {
            self.form.thing.id: self.target(),
            "message": self._message(content.message),
            "notify_subscribers": content.notify,
            **self._posted(self.form.status or own, self._as_of_now(content)),
        }

    def _as_of_now(self, content: Content) -> Mapping[str, ComponentStatus]:
        """Nothing is under maintenance before its start: to name a component is all that can be done."""
        if content.window_status is WindowStatus.SCHEDULED:
            return dict.fromkeys(content.components, ComponentStatus.OPERATIONAL)
        return content.components

    def renamed(self) -> Json:
        return {"name": self._name()}

    def rescheduled(self) -> Json:
        return {"name": self._name(), **self._times()}

    def nothing(self) -> Json:
        return {}

    def target(self) -> str:
        """Give the id of the object to write to."""
        target = target_of(self.action)
        if not usable_id(target):
            raise self.fault("has no object on the page to write to")
        return target

    def fault(self, what: str) -> EvaluationFailed:
        """Say what is wrong with the action."""
        return EvaluationFailed(f"it {what}")

    def _created(self) -> Json:
        return {
            "status_page_id": self.directory.page_id,
            "idempotency_key": self._key(),
            "name": self._name(),
            "message": self._message(self.action.content.message),
            "notify_subscribers": self.action.content.notify,
        }

    def _posted(self, status: str | None, components: Mapping[str, ComponentStatus]) -> Json:
        """Give the statuses of one post; those of components must be absent where the post ends everything."""
        said: Json = {self.form.thing.status: str(status)} if status else {}
        statuses = {} if status == self.form.thing.final else self._statuses(components)
        entries = [{"component_id": each, "component_status": str(statuses[each])} for each in sorted(statuses)]
        return said | ({"component_statuses": entries} if entries else {})

    def _statuses(self, components: Mapping[str, ComponentStatus]) -> Mapping[str, ComponentStatus]:
        """Give the status per component id; where two of our names mean the same one, the worse."""
        known = self.directory.components
        unknown = [self._not_there(name) for name in sorted(components) if name not in known]
        if unknown:
            raise self.fault(f"names what cannot be found: {', '.join(unknown)}")
        wrong = sorted({str(status) for status in components.values() if status not in _ALLOWED[self.form.thing]})
        if wrong:
            raise self.fault(f"says of a component what cannot be said there: {', '.join(wrong)}")
        statuses: dict[str, ComponentStatus] = {}
        for name, status in components.items():
            for each in known[name]:
                statuses[each] = max(status, statuses.get(each, status), key=lambda one: one.rank)
        return statuses

    def _not_there(self, name: str) -> str:
        if name in self.directory.missing:
            return f"`{name}` ({self.directory.missing[name]})"
        hint = near(name, self.directory.components)
        # What stands in a rule is checked when it is loaded, against the names of that time.
        came = "it was computed by `components.from`, or was removed after the episode began"
        return f"`{cut(name, MAX_NAME)}` (page `{self.action.page}` has no such name in the rules{hint}; {came})"

    def _key(self) -> str:
        if not self.action.key:
            raise self.fault("has no idempotency key")
        return self.action.key

    def _name(self) -> str:
        name = cut(" ".join(self.action.content.title.splitlines()).strip(), MAX_NAME)
        if not name:
            raise self.fault("has no title")
        return name

    def _message(self, text: str) -> str:
        message = cut(text, MAX_MESSAGE)
        if not message.strip():
            raise self.fault("has no text")
        return message

    def _times(self) -> Json:
        starts, ends = self.action.content.starts_at, self.action.content.ends_at
        if starts is None or ends is None or ends <= starts:
            raise self.fault("needs a start and an end after it")
        return {"start_at": _rfc3339(starts), "end_at": _rfc3339(ends)}


def _at(path: str) -> Callable[[_Draft], str]:
    return lambda draft: path


def _one_at(path: str) -> Callable[[_Draft], str]:
    return lambda draft: f"{path}/{draft.target()}"


_REQUESTS: Mapping[tuple[Thing, Verb], tuple[str, Callable[[_Draft], str], Callable[[_Draft], Json]]] = {
    (INCIDENT, Verb.CREATE): ("POST", _at(INCIDENT.path), _Draft.opened),
    (INCIDENT, Verb.BACKFILL): ("POST", _at(RETROSPECTIVE), _Draft.backfilled),
    (INCIDENT, Verb.UPDATE): ("POST", _at(INCIDENT.updates_path), _Draft.updated),
    (INCIDENT, Verb.EDIT): ("PUT", _one_at(INCIDENT.path), _Draft.renamed),
    (WINDOW, Verb.CREATE): ("POST", _at(WINDOW.path), _Draft.scheduled),
    (WINDOW, Verb.UPDATE): ("POST", _at(WINDOW.updates_path), _Draft.updated),
    (WINDOW, Verb.EDIT): ("PUT", _one_at(WINDOW.path), _Draft.rescheduled),
    (WINDOW, Verb.DELETE): ("DELETE", _one_at(WINDOW.path), _Draft.nothing),
}


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _canonical(payload: Json) -> bytes:
    return json.dumps(payload, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
