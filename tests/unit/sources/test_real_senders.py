"""What other people's libraries send: envelopes by the CloudEvents SDK, signatures by the signers of Svix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from svix.webhooks import Webhook

from worker.core.model import Event, Inbound, Status
from worker.core.rules import load
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import PayloadNotUnderstood, SignatureInvalid
from worker.sources import SOURCES

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[3] / "worker/sources/examples/cloudevents/config.yaml"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = AuthConfig(scheme="standard_webhooks")


def config() -> SourceConfig:
    return load({"x.yaml": EXAMPLE.read_text()}, {}, source_kinds=SOURCES, provider_names=()).sources["my-cloudevents"]


def event(**attributes: Any) -> CloudEvent:
    told = {
        "id": "a 1/€",
        "source": "/monitoring/eu west/€",
        "type": "org.example.incident.opened",
        "specversion": "1.0",
        "subject": 'incident "7" 100%',
        "time": NOW,
        "datacontenttype": "application/json",
    }
    return CloudEvent({**told, **attributes}, {"title": "Zahlung schlägt fehl", "service": "checkout"})


def inbound(message: HTTPMessage) -> Inbound:
    headers = {name.lower(): value for name, value in message.headers.items()}
    body = message.body if isinstance(message.body, bytes) else message.body.encode()
    return Inbound(source="events", body=body, headers=headers, received_at=NOW)


@pytest.mark.parametrize("write", [to_binary_event, to_structured_event], ids=["binary", "structured"])
def test_what_the_cloudevents_sdk_writes_says_the_same_in_either_mode(write: Any) -> None:
    source, request = SOURCES["cloudevents"], inbound(write(event()))
    (said,) = source.normalise(request, config())
    assert isinstance(said, Event)
    assert (said.key, said.status, said.occurred_at) == ('incident "7" 100%', Status.FIRING, NOW)
    assert said.title == "Zahlung schlägt fehl"
    assert said.labels == {"service": "checkout", "origin": "/monitoring/eu west/€"}
    assert source.delivery_id(request) == "/monitoring/eu west/€ a 1/€"
    assert source.delivery_id(inbound(write(event(id="a 2")))) != source.delivery_id(request)


def test_a_batch_is_known_by_all_of_its_events() -> None:
    def batch(*idents: str) -> Inbound:
        events = [json.loads(bytes(to_structured_event(event(id=ident)).body)) for ident in idents]
        headers = {"content-type": "application/cloudevents-batch+json"}
        return Inbound(source="events", body=json.dumps(events).encode(), headers=headers, received_at=NOW)

    source = SOURCES["cloudevents"]
    assert len(source.normalise(batch("1", "2"), config())) == 2
    assert source.delivery_id(batch("1", "2")) == source.delivery_id(batch("1", "2"))
    assert source.delivery_id(batch("1", "2")) != source.delivery_id(batch("1", "3"))


def test_an_attribute_that_is_no_text_makes_the_event_unreadable_and_nothing_more() -> None:
    source, request = SOURCES["cloudevents"], inbound(to_binary_event(event()))
    for wrong in ("%ff", "%00", ""):
        broken = replace(request, headers={**request.headers, "ce-subject": wrong})
        with suppress(PayloadNotUnderstood):
            assert not any(isinstance(each, Event) for each in source.normalise(broken, config()))


@pytest.mark.parametrize("prefix", ["svix-", "webhook-"])
@pytest.mark.parametrize("kind", ["incident_io", "json", "cloudevents"])
def test_what_svix_signs_is_believed_for_five_minutes(kind: str, prefix: str) -> None:
    body = b'{"event_type": "x"}'
    signature = Webhook(SECRET).sign("msg_1", NOW, body.decode())
    headers: Mapping[str, str] = {
        f"{prefix}id": "msg_1",
        f"{prefix}timestamp": str(int(NOW.timestamp())),
        f"{prefix}signature": f"v1a,AAAA {signature} v1,AAAA",
    }
    request = Inbound(source="s", body=body, headers=headers, received_at=NOW)
    SOURCES[kind].verify(request, SIGNED, (SECRET,), NOW + timedelta(minutes=4))
    assert SOURCES[kind].delivery_id(request) == "msg_1"
    for wrong, at in (
        (request, NOW + timedelta(minutes=6)),
        (replace(request, body=body + b" "), NOW),
        (replace(request, headers={**headers, f"{prefix}id": "msg_2"}), NOW),
    ):
        with pytest.raises(SignatureInvalid):
            SOURCES[kind].verify(wrong, SIGNED, (SECRET,), at)
