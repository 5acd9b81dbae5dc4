"""
CloudEvents 1.0 over HTTP: one event in the headers, one in the body, or several (https://github.com/cloudevents/spec).

The envelope says what an event is and where it comes from, and nothing about what fires: that is for a mapping in the
rules, as in kind ``json``. Expressions see an event in its JSON form, whatever it was sent as: its attributes, and its
``data``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from worker.core.model import Inbound, Unreadable
from worker.core.ruleset import SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _json, _mapping, _request

_PREFIX = "ce-"
_REQUIRED = ("id", "source", "type", "specversion")


class CloudEvents:
    """Reads CloudEvents by a configured mapping."""

    kind = "cloudevents"
    schemes: Mapping[str, Mapping[str, str]] = {**_auth.SCHEMES, "path_token": {"parameter": "access_token"}}
    event_kinds: frozenset[str] = frozenset()  # any: the configuration chooses the word
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give what the mapping makes of each event; one that is none costs no other of its batch."""
        if config.mapping is None:
            raise PayloadNotUnderstood("the source has no `event` mapping to read events by")
        events = list(_events(inbound))
        if len(events) > _mapping.MAX_ITEMS:
            raise PayloadNotUnderstood(f"more than {_mapping.MAX_ITEMS} events")
        return [each for index, event in enumerate(events) for each in _read(index, event, inbound, config)]

    def delivery_id(self, inbound: Inbound) -> str:
        """Give what tells the event from all others, its source and id; of a batch that of all of them."""
        if sent_as := _auth.message_id(inbound.headers):
            return sent_as
        names = [f"{event['source']} {event['id']}" for event in _events(inbound) if not _fault(event)]
        if len(names) == 1:
            return _fields.bounded(names[0])
        return "sha256:" + hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""

    def welcome(self, inbound: Inbound) -> Mapping[str, str]:
        """Let whoever asks send, at any rate: what is sent has to prove itself anyway."""
        origin = inbound.headers.get("webhook-request-origin", "")
        return {"webhook-allowed-origin": origin, "webhook-allowed-rate": "*"} if origin else {}


def _read(index: int, event: Any, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
    why = _fault(event)
    if why or config.mapping is None:
        return (Unreadable(why=f"event {index}: {why}"),)
    return _mapping.statements(config.mapping, event, len(inbound.body), inbound, config)


def _events(inbound: Inbound) -> Iterator[Any]:
    """Give each event in its JSON form; by what is there, for content types cannot be trusted."""
    if _PREFIX + "specversion" in inbound.headers:
        yield {**_attributes(inbound.headers), **({"data": _request.read(inbound)} if inbound.body else {})}
        return
    body = _json.read(inbound.body)
    if type(body) not in (dict, list):
        raise PayloadNotUnderstood("not a CloudEvent, nor a list of them")
    yield from body if type(body) is list else (body,)


def _attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = {
            name.removeprefix(_PREFIX): unquote(value, errors="strict")
            for name, value in headers.items()
            if name.startswith(_PREFIX)
        }
    except UnicodeDecodeError:
        raise PayloadNotUnderstood("an attribute is not UTF-8, percent-encoded") from None
    if any("\0" in value for value in found.values()):
        raise PayloadNotUnderstood("an attribute holds the character NUL")
    return {**found, "datacontenttype": headers.get("content-type", "")}


def _fault(event: Any) -> str:
    if type(event) is not dict:
        return "not an object"
    for name in _REQUIRED:
        if type(event.get(name)) is not str or not event[name]:
            return f"{name}: missing; it is no CloudEvent"
    return ""
