"""
The answer to a write, compared with what we asked for: is it about our object, and does it say our words?

Pure. Source: the official SDK, PyPI ``incident-io`` 2.29.0 (``StatusPages*ResultV2``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.core.footprints import normal
from worker.core.model import Action, RemoteIncident, RemoteUpdate, Request, WindowStatus
from worker.providers._text import plain
from worker.providers.incident_io import reading
from worker.providers.incident_io.vocabulary import FORMS, WINDOW, Form, Verb, target_of

Sent = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """What an answer says of our write; the fields are those of ``Outcome``."""

    remote_id: str
    update_id: str = ""
    published_at: datetime | None = None
    window: WindowStatus | None = None
    name: str = ""
    differences: tuple[str, ...] = ()


def echo_of(action: Action, request: Request, body: bytes) -> Echo:
    """
    Read the body of a 2xx answer.

    An object that is ours but says other words is still an echo: the differences are told, the caller judges.

    Raises:
        reading.Unreadable: The answer is not about the object that we wrote to, or cannot be read.
    """
    form = FORMS[action.kind]
    if form.verb is Verb.DELETE:
        return Echo(remote_id=target_of(action))
    return _READERS[form.verb](form, json.loads(request.body), target_of(action), reading.document(body))


def _of_create(form: Form, sent: Sent, _target: str, told: reading.Json) -> Echo:
    data = reading.child(told, form.thing.noun)
    if reading.text(data, "status_page_id") != sent["status_page_id"]:
        raise reading.Unreadable("the answer is about another page")
    shown = reading.incident(data, form.thing)
    last = sent["updates"][-1] if form.verb is Verb.BACKFILL else sent
    post = _our_post(shown, last["message"])
    return Echo(
        remote_id=shown.id,
        update_id=post.id if post else "",
        published_at=shown.published_at,
        window=window_status(shown) if form.thing is WINDOW else None,
        name=shown.name,
        differences=_differences(
            ("name", sent["name"], shown.name),
            ("status", last[form.thing.status], shown.status),
            ("message", last["message"], post.message if post else ""),
        ),
    )


def window_status(shown: RemoteIncident) -> WindowStatus | None:
    """Give the status of a window; None where it is a word that we do not know."""
    return WindowStatus(shown.status) if shown.status in list(WindowStatus) else None


def _our_post(shown: RemoteIncident, message: str) -> RemoteUpdate | None:
    """Find the newest update that bears our message; a single one is ours whatever the page made of the words."""
    ours = [post for post in shown.updates if normal(post.message) == normal(message)]
    return ours[-1] if ours else shown.updates[0] if len(shown.updates) == 1 else None


def _of_update(form: Form, sent: Sent, target: str, told: reading.Json) -> Echo:
    data = reading.child(told, form.thing.update)
    if reading.text(data, form.thing.id) != target:
        raise reading.Unreadable("the answer is about another object")
    post = reading.update(data, form.thing)
    return Echo(
        remote_id=target,
        update_id=post.id,
        published_at=post.published_at,
        differences=_differences(
            ("status", sent.get(form.thing.status, post.status), post.status),
            ("message", sent["message"], post.message),
        ),
    )


def _of_edit(form: Form, sent: Sent, target: str, told: reading.Json) -> Echo:
    data = reading.child(told, form.thing.noun)
    if reading.identity(data) != target:
        raise reading.Unreadable("the answer is about another object")
    name = reading.text(data, "name")
    return Echo(remote_id=target, name=name, differences=_differences(("name", sent["name"], name)))


_READERS: Mapping[Verb, Callable[[Form, Sent, str, reading.Json], Echo]] = {
    Verb.CREATE: _of_create,
    Verb.BACKFILL: _of_create,
    Verb.UPDATE: _of_update,
    Verb.EDIT: _of_edit,
}


def _differences(*fields: tuple[str, str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name}: sent `{plain(ours, 80)}`, page shows `{plain(theirs, 80)}`"
        for name, ours, theirs in fields
        if normal(ours) != normal(theirs)
    )
