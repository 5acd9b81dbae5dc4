"""
What is sent to incident.io for each action: pure, within every limit of the API, the same bytes every time.

Source: the official SDK, PyPI ``incident-io`` 2.29.0 (``StatusPages*PayloadV2``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from worker.core.model import Action, ComponentStatus, Directory, IncidentStatus, Request
from worker.errors import EvaluationFailed
from worker.providers._text import cut
from worker.providers.incident_io.vocabulary import (
    INCIDENT,
    MAX_MESSAGE,
    MAX_NAME,
    RETROSPECTIVE,
    WINDOW,
    Form,
    Thing,
    Verb,
    form_of,
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
    form = form_of(action)
    method, path, build = _BUILDERS[form.thing, form.verb]
    if form.verb in (Verb.UPDATE, Verb.EDIT, Verb.DELETE) and not usable_id(target_of(action)):
        raise EvaluationFailed(f"{action.kind} of {action.id} has no object on the page to write to")
    if "{id}" in path:
        path = path.format(id=target_of(action))
    payload = build(action, form, directory)
    return Request(method=method, target=path, body=_canonical(payload) if payload else b"")


def _create(action: Action, form: Form, directory: Directory) -> Json:
    return {
        "status_page_id": directory.page_id,
        "idempotency_key": _key(action),
        "name": _name(action),
        "message": _message(action, action.content.message),
        "notify_subscribers": action.content.notify,
    }


def _open(action: Action, form: Form, directory: Directory) -> Json:
    status = action.content.incident_status
    if status is None:
        raise EvaluationFailed(f"{action.kind} of {action.id} has no incident status")
    return _create(action, form, directory) | _posted(action, form, status, action.content.components, directory)


def _schedule(action: Action, form: Form, directory: Directory) -> Json:
    ids = _statuses(action, WINDOW, dict.fromkeys(action.content.components, ComponentStatus.UNDER_MAINTENANCE), directory)
    return {
        **_create(action, form, directory),
        **_times(action),
        form.thing.status: form.status,
        "affected_component_ids": sorted(ids),
        "automate_maintenance_status": action.content.automate,
    }


def _backfill(action: Action, form: Form, directory: Directory) -> Json:
    steps = action.content.steps
    if not steps or steps[-1].incident_status is not IncidentStatus.RESOLVED:
        raise EvaluationFailed(f"{action.kind} of {action.id} does not end with a resolved step")
    if any(later.at < earlier.at for earlier, later in zip(steps, steps[1:], strict=False)):
        raise EvaluationFailed(f"{action.kind} of {action.id} does not tell its steps oldest first")
    return {
        "status_page_id": directory.page_id,
        "idempotency_key": _key(action),
        "name": _name(action),
        "updates": [
            {"message": _message(action, step.message), "published_at": _rfc3339(step.at)}
            | _posted(action, form, step.incident_status, step.components, directory)
            for step in steps
        ],
    }


def _update(action: Action, form: Form, directory: Directory) -> Json:
    own = action.content.incident_status if form.thing is INCIDENT else None
    return {
        form.thing.id: target_of(action),
        "message": _message(action, action.content.message),
        "notify_subscribers": action.content.notify,
        **_posted(action, form, form.status or own, action.content.components, directory),
    }


def _rename(action: Action, form: Form, directory: Directory) -> Json:
    return {"name": _name(action)}


def _reschedule(action: Action, form: Form, directory: Directory) -> Json:
    return {"name": _name(action), **_times(action)}


def _nothing(action: Action, form: Form, directory: Directory) -> Json:
    return {}


_Builder = Callable[[Action, Form, Directory], Json]

_BUILDERS: Mapping[tuple[Thing, Verb], tuple[str, str, _Builder]] = {
    (INCIDENT, Verb.CREATE): ("POST", INCIDENT.path, _open),
    (INCIDENT, Verb.BACKFILL): ("POST", RETROSPECTIVE, _backfill),
    (INCIDENT, Verb.UPDATE): ("POST", INCIDENT.updates_path, _update),
    (INCIDENT, Verb.EDIT): ("PUT", f"{INCIDENT.path}/{{id}}", _rename),
    (WINDOW, Verb.CREATE): ("POST", WINDOW.path, _schedule),
    (WINDOW, Verb.UPDATE): ("POST", WINDOW.updates_path, _update),
    (WINDOW, Verb.EDIT): ("PUT", f"{WINDOW.path}/{{id}}", _reschedule),
    (WINDOW, Verb.DELETE): ("DELETE", f"{WINDOW.path}/{{id}}", _nothing),
}


def _posted(
    action: Action, form: Form, status: str | None, components: Mapping[str, ComponentStatus], directory: Directory
) -> Json:
    """Give the status and the component statuses of one post; the latter must be absent where the status ends all."""
    said: Json = {form.thing.status: str(status)} if status else {}
    statuses = {} if status == form.thing.final else _statuses(action, form.thing, components, directory)
    entries = [{"component_id": id, "component_status": str(statuses[id])} for id in sorted(statuses)]
    return said | ({"component_statuses": entries} if entries else {})


def _statuses(
    action: Action, thing: Thing, components: Mapping[str, ComponentStatus], directory: Directory
) -> Mapping[str, ComponentStatus]:
    """Give the status per component id; where two of our names mean the same one, the worse."""
    unknown = sorted(name for name in components if name not in directory.components)
    if unknown:
        raise EvaluationFailed(f"page `{directory.name}` no longer has the component(s) {', '.join(unknown)}")
    wrong = sorted({str(status) for status in components.values() if status not in _ALLOWED[thing]})
    if wrong:
        raise EvaluationFailed(f"{action.kind} of {action.id}: a component cannot be {', '.join(wrong)} there")
    statuses: dict[str, ComponentStatus] = {}
    for name, status in components.items():
        for id in directory.components[name]:
            statuses[id] = max(status, statuses.get(id, status), key=lambda each: each.rank)
    return statuses


def _key(action: Action) -> str:
    if not action.key:
        raise EvaluationFailed(f"{action.kind} of {action.id} has no idempotency key")
    return action.key


def _name(action: Action) -> str:
    name = cut(" ".join(action.content.title.split()), MAX_NAME)
    if not name:
        raise EvaluationFailed(f"{action.kind} of {action.id} has no title")
    return name


def _message(action: Action, text: str) -> str:
    message = cut(text, MAX_MESSAGE)
    if not message.strip():
        raise EvaluationFailed(f"{action.kind} of {action.id} has no text")
    return message


def _times(action: Action) -> Json:
    starts, ends = action.content.starts_at, action.content.ends_at
    if starts is None or ends is None or ends <= starts:
        raise EvaluationFailed(f"{action.kind} of {action.id} needs a start and an end after it")
    return {"start_at": _rfc3339(starts), "end_at": _rfc3339(ends)}


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _canonical(payload: Json) -> bytes:
    return json.dumps(payload, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
