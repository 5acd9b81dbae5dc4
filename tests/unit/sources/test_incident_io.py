"""incident.io: what must not become public never looks as if it could, and order is told by the stamps."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from worker.core.model import Event, Inbound, SharedPost, Status
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources.incident_io import IncidentIo

CONFIG = SourceConfig(name="iio", kind="incident_io", auth=AuthConfig(scheme="standard_webhooks"))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parents[2] / "payloads/incident_io"

UPDATED = "public_incident.incident_updated_v2"
CHANGED = "public_incident.incident_status_updated_v2"
FIRED, CLEARED = "public_alert.alert_created_v1", "public_alert.alert_resolved_v1"


def incident(category: str = "live", **changes: Any) -> dict[str, Any]:
    plain = {
        "id": "01INC",
        "name": "Checkout is slow",
        "mode": "standard",
        "incident_status": {"category": category, "name": "Fixing"},
        "created_at": "2026-11-23T08:00:00Z",
        "updated_at": "2026-11-23T09:00:00Z",
    }
    return plain | changes


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "id": "01ALT",
        "title": "Slow",
        "created_at": "2026-11-23T08:00:00Z",
        "updated_at": "2026-11-23T09:00:00Z",
    } | changes


def read(event_type: str, payload: Any, **headers: str) -> list[Statement]:
    body = json.dumps({"event_type": event_type, event_type: payload}).encode()
    return list(IncidentIo().normalise(Inbound(source="iio", body=body, headers=headers, received_at=NOW), CONFIG))


def event(event_type: str, payload: Any) -> Event:
    (statement,) = read(event_type, payload)
    assert isinstance(statement, Event)
    return statement


@pytest.mark.parametrize(
    ("category", "status"),
    [
        *((firing, Status.FIRING) for firing in ("triage", "live", "paused")),
        *((over, Status.RESOLVED) for over in ("learning", "closed", "canceled", "declined", "merged")),
        ("sung_about", Status.INFO),
    ],
)
def test_the_category_tells_the_status_and_the_name_is_kept(category: str, status: Status) -> None:
    for said in (event(UPDATED, incident(category)), event("public_incident.incident_created_v2", incident(category))):
        assert (said.status, said.category, said.status_name) == (status, category, "Fixing")


def test_a_change_of_status_is_told_by_the_new_status_and_stamped_by_the_incident() -> None:
    change = {
        "incident": incident("live"),
        "new_status": {"category": "closed", "name": "Done"},
        "previous_status": {"category": "live", "name": "Fixing"},
        "message": "All is well.",
    }
    said = event(CHANGED, change)
    assert (said.status, said.category, said.status_name) == (Status.RESOLVED, "closed", "Done")
    assert (said.key, said.message, said.occurred_at) == ("01INC", "All is well.", AT)


def test_the_message_is_what_people_wrote_or_nothing() -> None:
    assert event(UPDATED, incident(most_recent_update_message="We\n\nfix *it*.")).message == "We\n\nfix *it*."
    assert event(UPDATED, incident(most_recent_update_message=None)).message == ""
    assert event(CHANGED, {"incident": incident(), "new_status": {"category": "live"}}).message == ""


@pytest.mark.parametrize(
    ("mode", "test"),
    [("standard", False), (None, False), ("test", True), ("tutorial", True), ("drill", True), ("Standard", True)],
)
def test_only_what_is_known_to_be_real_is_no_rehearsal(mode: str | None, test: bool) -> None:
    assert event(UPDATED, incident(mode=mode)).test is test


def test_a_retrospective_incident_is_of_its_own_kind_and_never_fires() -> None:
    for category in ("triage", "live", "closed"):
        said = event(UPDATED, incident(category, mode="retrospective"))
        assert (said.kind, said.status) == ("retrospective_incident", Status.INFO)


@pytest.mark.parametrize(
    ("visibility", "private"), [("public", False), (None, False), ("private", True), ("new", True)]
)
def test_what_is_not_public_is_private_in_a_public_event_too(visibility: str | None, private: bool) -> None:
    assert event(UPDATED, incident(visibility=visibility)).private is private


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("private_incident.incident_created_v2", "incident"),
        ("private_incident.incident_updated_v2", "incident"),
        ("private_incident.incident_status_updated_v9", "incident"),
        ("private_alert.alert_created_v1", "alert"),
        ("private_alert.alert_resolved_v1", "alert"),
    ],
)
def test_of_private_things_the_id_is_kept_and_nothing_fires(event_type: str, kind: str) -> None:
    said = event(event_type, {"id": "01SECRET", "name": "should not be here"})
    assert said == Event(source="iio", kind=kind, key="01SECRET", status=Status.INFO, private=True)


@pytest.mark.parametrize(
    "event_type",
    [
        "private_incident.membership_granted_v1",
        "private_incident.follow_up_created_v1",
        "private_escalation.escalation_created_v1",
        "public_incident.follow_up_updated_v2",
        "public_escalation.escalation_created_v1",
        "schedule.created_v1",
        "public_incident.incident_updated_v3",
        "of_the_future",
    ],
)
def test_other_event_types_say_nothing(event_type: str) -> None:
    assert read(event_type, {"id": "01X"}) == []
    assert read(event_type, None) == []


def test_the_event_type_of_an_alert_tells_its_status_and_not_the_field() -> None:
    assert event(FIRED, alert(status="resolved")).status is Status.FIRING
    assert event(CLEARED, alert(status="firing")).status is Status.RESOLVED


def test_an_alert_is_resolved_later_than_it_fired_even_if_updated_at_stands_still() -> None:
    fired = event(FIRED, alert(resolved_at="2026-11-23T09:30:00Z"))
    cleared = event(CLEARED, alert(resolved_at="2026-11-23T09:30:00Z"))
    assert (fired.occurred_at, cleared.occurred_at) == (AT, AT + timedelta(minutes=30))
    assert event(CLEARED, alert(resolved_at=None)).occurred_at == AT
    assert event(CLEARED, alert(resolved_at="2026-11-23T08:30:00Z")).occurred_at == AT


@pytest.mark.parametrize("event_type", [UPDATED, FIRED])
def test_a_statement_without_a_stamp_is_refused(event_type: str) -> None:
    payload = (incident if event_type == UPDATED else alert)(updated_at=None)
    with pytest.raises(PayloadNotUnderstood, match=rf"^{event_type}: updated_at: missing$"):
        read(event_type, payload)


def test_custom_fields_become_labels_that_cannot_be_taken_for_others() -> None:
    def field(name: str, *values: dict[str, Any]) -> dict[str, Any]:
        return {"custom_field": {"name": name}, "values": values}

    fields = [
        field("Affected Region(s)", {"value_option": {"value": "eu"}}, {"value_option": {"value": "us"}}),
        field("Type", {"value_text": "mine"}),
        field("Größe", {"value_numeric": "3"}),
        field("Empty"),
        field("🔥", {"value_text": "no name left"}),
    ]
    said = event(
        UPDATED,
        incident(custom_field_entries=fields, incident_type={"name": "Outage"}, severity={"name": "Major", "rank": 2}),
    )
    assert said.labels == {
        "custom_affected_region_s": "eu, us",
        "custom_type": "mine",
        "custom_größe": "3",
        "type": "Outage",
        "mode": "standard",
        "severity": "Major",
    }
    assert (said.severity, said.severity_rank) == ("Major", 2)


def test_attributes_of_an_alert_become_labels_and_its_severity() -> None:
    def attribute(name: str, **value: Any) -> dict[str, Any]:
        return {"attribute": {"name": name}} | value

    attributes = [
        attribute("Service", value={"label": "Checkout", "literal": "01CAT"}),
        attribute("Priority", value={"literal": "P1"}),
        attribute("Regions", array_value=[{"label": "eu"}, {"label": "us"}]),
        attribute("Tags", value={"label": "kept, as nobody tagged it"}),
        attribute("Owner"),
    ]
    said = event(FIRED, alert(attributes=attributes, deduplication_key="dk"))
    assert said.labels == {
        "service": "Checkout",
        "priority": "P1",
        "regions": "eu, us",
        "tags": "kept, as nobody tagged it",
        "deduplication_key": "dk",
    }
    assert said.severity == "P1"


def test_a_shared_post_names_the_page_incident_and_the_update() -> None:
    shared = {"status_page_incident": {"id": "01SPI"}, "update": {"id": "01UPD", "status_page_incident_id": "01OTHER"}}
    assert read("status_page_incident.update_shared_v1", shared) == [SharedPost(remote_id="01SPI", update_id="01UPD")]
    with pytest.raises(PayloadNotUnderstood, match="id: missing"):
        read("status_page_incident.update_shared_v1", {"status_page_incident": {"id": "01SPI"}})


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"event_type": 7}', b'{"event_type": ""}', b'"x"'])
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadNotUnderstood):
        IncidentIo().normalise(Inbound(source="iio", body=body, headers={}, received_at=NOW), CONFIG)


def test_a_known_type_without_its_payload_is_refused() -> None:
    for payload in (None, {}, {"id": "01INC"}):
        with pytest.raises(PayloadNotUnderstood, match=f"^{UPDATED}: "):
            read(UPDATED, payload)
    with pytest.raises(PayloadNotUnderstood, match="not an object"):
        read(UPDATED, [])


@pytest.mark.parametrize("rank", ["2", 2.5, True])
def test_a_rank_is_a_whole_number(rank: object) -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"severity\.rank"):
        read(UPDATED, incident(severity={"name": "Major", "rank": rank}))


MODELS = {
    "incident_created": "public_incident_incident_created_v2",
    "incident_updated": "public_incident_incident_updated_v2",
    "incident_status_updated": "public_incident_incident_status_updated_v2",
    "incident_private": "private_incident_incident_updated_v2",
    "alert_created": "public_alert_created_v1",
    "alert_resolved": "public_alert_resolved_v1",
    "alert_private": "private_alert_created_v1",
    "page_update_shared": "status_page_incident_update_shared_v1",
}


@pytest.mark.parametrize("case", MODELS)
def test_the_captured_bodies_are_such_as_the_vendors_own_models_read(case: str) -> None:
    """The bodies under ``tests/payloads`` are ours; the vendor's SDK is the judge of their shape."""
    module = importlib.import_module(f"incident_io.models.webhooks_{MODELS[case]}_response_body")
    model = next(value for name, value in vars(module).items() if name.endswith("ResponseBody"))
    body = json.loads((PAYLOADS / case / "body.json").read_text())
    model.from_dict(json.loads(json.dumps(body)))
