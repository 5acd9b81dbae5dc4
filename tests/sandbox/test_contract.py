"""The vendor's own client understands every answer of the sandbox, over real HTTP."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.sandbox import SandboxServer, State, build_pages

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
CONTENT = {
    "pages": [
        {
            "name": "Acme Status",
            "description": "How we are doing",
            "items": [
                "Checkout API",
                {"component": "Internal API", "hidden": True},
                {"group": "Europe", "description": "In Frankfurt", "components": ["API", "Storage"]},
                {"sub_page": "Partners", "items": ["Feed", {"group": "Asia", "components": ["Cache"]}]},
            ],
        },
        {"name": "Acme Labs", "items": ["Rocket"]},
    ]
}
OPERATIONS = (
    "list_status_pages",
    "show_status_page",
    "show_status_page_structure",
    "show_status_page_component_availability",
    "create_status_page_incident",
    "create_status_page_incident_update",
    "create_status_page_retrospective_incident",
    "show_status_page_incident",
    "list_status_page_incidents",
    "update_status_page_incident",
    "create_status_page_maintenance",
    "create_status_page_maintenance_update",
    "show_status_page_maintenance",
    "list_status_page_maintenances",
    "update_status_page_maintenance",
    "delete_status_page_maintenance",
)


class Vendor:
    """The SDK, with a call per operation that never guesses: what it cannot parse raises."""

    def __init__(self, server: SandboxServer, key: str = "sandbox-key") -> None:
        import httpx
        from incident_io import AuthenticatedClient, models

        self.models = models
        self.client = AuthenticatedClient(
            base_url=server.url, token=key, raise_on_unexpected_status=True, timeout=httpx.Timeout(5)
        )
        names = {operation: f"status_pages_v2_{operation}" for operation in OPERATIONS}
        self.modules = {
            operation: importlib.import_module(f"incident_io.api.status_pages_v2.{name}")
            for operation, name in names.items()
        }

    def close(self) -> None:
        self.client.get_httpx_client().close()

    def __call__(self, operation: str, *args: Any, expect: int = 200, **kwargs: Any) -> Any:
        answer = self.modules[operation].sync_detailed(*args, client=self.client, **kwargs)
        assert answer.status_code == expect, answer.content
        assert answer.parsed is None or not _surplus(answer.parsed), "fields that the SDK does not know"
        return answer.parsed

    def body(self, payload: str, /, **fields: Any) -> Any:
        """The SDK's own payload model, so that what is sent is what the vendor's client would send."""
        return getattr(self.models, f"StatusPages{payload}PayloadV2").from_dict(fields)


def _surplus(value: Any) -> list[str]:
    """Field names in any answer object that the SDK has no attribute for."""
    if isinstance(value, list):
        return [name for item in value for name in _surplus(item)]
    if not hasattr(value, "additional_properties"):
        return []
    if type(value).__name__.endswith("Annotations"):
        return []
    inner = [getattr(value, field.name) for field in type(value).__attrs_attrs__ if field.init]
    return [*value.additional_properties, *(name for item in inner for name in _surplus(item))]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    state = State(build_pages(CONTENT, START - timedelta(days=10)), read_only_key="reader")
    with SandboxServer(state, clock=lambda: START) as running:
        yield running


@pytest.fixture(scope="module")
def vendor(server: SandboxServer) -> Iterator[Vendor]:
    with closing(Vendor(server)) as client:
        yield client


@pytest.fixture
def page(server: SandboxServer) -> Any:
    return server.state.page


def incident_body(vendor: Vendor, page: Any, key: str, **changes: Any) -> Any:
    fields = {
        "status_page_id": page.id,
        "idempotency_key": key,
        "name": "Checkout problems",
        "message": "We are *investigating*.",
        "incident_status": "investigating",
        "notify_subscribers": False,
        "component_statuses": [
            {"component_id": page.component_id("Checkout API"), "component_status": "partial_outage"}
        ],
    }
    return vendor.body("CreateStatusPageIncident", **(fields | changes))


def window_body(vendor: Vendor, page: Any, key: str) -> Any:
    return vendor.body(
        "CreateStatusPageMaintenance",
        status_page_id=page.id,
        idempotency_key=key,
        name="Database maintenance",
        message="Back soon.",
        maintenance_status="maintenance_scheduled",
        start_at="2026-11-23T11:00:00Z",
        end_at="2026-11-23T12:00:00Z",
        affected_component_ids=[page.component_id("Europe / API")],
        notify_subscribers=False,
        automate_maintenance_status=True,
    )


def update_body(vendor: Vendor, kind: str, subject_id: str, **fields: Any) -> Any:
    subject = {"Incident": "status_page_incident_id", "Maintenance": "status_page_maintenance_id"}[kind]
    words = {subject: subject_id, "message": "News.", "notify_subscribers": False}
    return vendor.body(f"CreateStatusPage{kind}Update", **(words | fields))


def test_pages_are_listed_shown_and_paged(vendor: Vendor, server: SandboxServer) -> None:
    first = vendor("list_status_pages", page_size=1)
    assert [page.name for page in first.status_pages] == ["Acme Status"]
    second = vendor("list_status_pages", page_size=1, after=first.pagination_meta.after)
    assert [page.public_url for page in second.status_pages] == [f"{server.url}/acme-labs"]
    assert not second.pagination_meta.after
    shown = vendor("show_status_page", first.status_pages[0].id).status_page
    assert (shown.name, shown.description, shown.public_url) == ("Acme Status", "How we are doing", server.url)


def test_the_structure_has_components_groups_and_sub_pages(vendor: Vendor, page: Any) -> None:
    items = vendor("show_status_page_structure", page.id).current_structure.items
    assert [item.component.name for item in items if item.component] == ["Checkout API", "Internal API"]
    assert [component.name for item in items if item.group for component in item.group.components] == ["API", "Storage"]
    assert items[3].sub_page.items[1].group.components[0].name == "Cache"


def test_an_incident_lives_from_create_to_resolve(vendor: Vendor, page: Any) -> None:
    made = vendor("create_status_page_incident", body=incident_body(vendor, page, "life"), expect=201)
    incident = made.status_page_incident
    vendor("update_status_page_incident", incident.id, body=vendor.body("UpdateStatusPageIncident", name="Payments"))
    worse = [{"component_id": page.component_id("Europe / API"), "component_status": "full_outage"}]
    body = update_body(vendor, "Incident", incident.id, incident_status="identified", component_statuses=worse)
    update = vendor("create_status_page_incident_update", body=body, expect=201).status_page_incident_update
    assert (update.status_page_incident_id, update.incident_status) == (incident.id, "identified")
    body = update_body(vendor, "Incident", incident.id, incident_status="resolved")
    vendor("create_status_page_incident_update", body=body, expect=201)
    shown = vendor("show_status_page_incident", incident.id).status_page_incident
    assert (shown.name, shown.incident_status, len(shown.updates)) == ("Payments", "resolved", 3)
    assert [impact.component_status for impact in shown.component_impacts] == ["partial_outage", "full_outage"]
    assert all(impact.end_at == START for impact in shown.component_impacts)


def test_incidents_are_filtered_and_paged(vendor: Vendor, page: Any) -> None:
    cache = page.component_id("Cache")
    on_cache = [{"component_id": cache, "component_status": "degraded_performance"}]
    ids = []
    for key in ("list-1", "list-2", "list-3"):
        body = incident_body(vendor, page, key, component_statuses=on_cache)
        ids.append(vendor("create_status_page_incident", body=body, expect=201).status_page_incident.id)
    group, sub_page = page.places()[cache].group.id, page.places()[cache].sub_page.id
    for filters in ({"component_id": cache}, {"group_id": group}, {"sub_page_id": sub_page}):
        found = vendor("list_status_page_incidents", status_page_id=page.id, **filters)
        assert {incident.id for incident in found.status_page_incidents} >= set(ids)
        assert all(cache in {i.component_id for i in it.component_impacts} for it in found.status_page_incidents)
    query = {"status_page_id": page.id, "component_id": cache, "page_size": 2}
    first = vendor("list_status_page_incidents", **query)
    second = vendor("list_status_page_incidents", **query, after=first.pagination_meta.after)
    assert [it.id for it in first.status_page_incidents + second.status_page_incidents] == ids[::-1]
    later = vendor("list_status_page_incidents", status_page_id=page.id, start_at=START, end_at=START)
    assert ids[0] in {it.id for it in later.status_page_incidents}
    before = vendor("list_status_page_incidents", status_page_id=page.id, end_at=START - timedelta(hours=1))
    assert ids[0] not in {it.id for it in before.status_page_incidents}


def test_a_retrospective_incident_and_the_availability_it_leaves(vendor: Vendor, page: Any) -> None:
    storage = page.component_id("Europe / Storage")
    down = [{"component_id": storage, "component_status": "full_outage"}]
    times = ["2026-11-20T00:00:00Z", "2026-11-20T12:00:00Z"]
    steps = [
        {"message": "Down", "incident_status": "investigating", "published_at": times[0], "component_statuses": down},
        {"message": "Up", "incident_status": "resolved", "published_at": times[1]},
    ]
    fields = {"status_page_id": page.id, "idempotency_key": "past", "name": "Disk", "updates": steps}
    body = vendor.body("CreateStatusPageRetrospectiveIncident", **fields)
    made = vendor("create_status_page_retrospective_incident", body=body, expect=201).status_page_incident
    assert (made.incident_status, made.published_at) == ("resolved", datetime(2026, 11, 20, tzinfo=UTC))
    start, end = datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    answer = vendor("show_status_page_component_availability", page.id, storage, start_at=start, end_at=end)
    assert answer.availability.availability_percent == "75.00"


def test_a_window_lives_from_create_to_delete(vendor: Vendor, page: Any) -> None:
    made = vendor("create_status_page_maintenance", body=window_body(vendor, page, "window"), expect=201)
    window = made.status_page_maintenance
    period = window.component_maintenance_periods[0]
    assert (period.start_at, period.end_at) == (START + timedelta(hours=1), START + timedelta(hours=2))
    fields = {"name": "Later", "start_at": "2026-11-24T11:00:00Z", "end_at": "2026-11-24T12:00:00Z"}
    body = vendor.body("UpdateStatusPageMaintenance", **fields)
    moved = vendor("update_status_page_maintenance", window.id, body=body)
    assert moved.status_page_maintenance.component_maintenance_periods[0].start_at == START + timedelta(hours=25)
    body = update_body(vendor, "Maintenance", window.id, maintenance_status="maintenance_in_progress")
    update = vendor("create_status_page_maintenance_update", body=body, expect=201).status_page_maintenance_update
    assert update.component_statuses[0].component_status == "under_maintenance"
    shown = vendor("show_status_page_maintenance", window.id).status_page_maintenance
    assert (shown.maintenance_status, shown.automate_maintenance_status) == ("maintenance_in_progress", False)
    group = page.places()[page.component_id("Europe / API")].group.id
    listed = vendor("list_status_page_maintenances", status_page_id=page.id, group_id=group)
    assert [it.id for it in listed.status_page_maintenances] == [window.id]
    vendor("delete_status_page_maintenance", window.id, expect=204)
    vendor("show_status_page_maintenance", window.id, expect=404)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": "x" * 201}, "/name"),
        ({"message": "x" * 4097}, "/message"),
        ({"incident_status": "melting"}, "/incident_status"),
        ({"component_statuses": [{"component_id": "01X", "component_status": "full_outage"}]},
         "/component_statuses/0/component_id"),
        ({"component_statuses": [{"component_id": "01X", "component_status": "under_maintenance"}]},
         "/component_statuses/0/component_status"),
        ({"incident_status": "resolved"}, "/component_statuses"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field(vendor: Vendor, page: Any, changes: Any, pointer: str) -> None:
    body = incident_body(vendor, page, f"bad-{pointer}", **changes)
    refusal = vendor("create_status_page_incident", body=body, expect=422)
    assert refusal.type_ == "validation_error"
    assert [error.source.pointer for error in refusal.errors] == [pointer]


def test_unknown_things_are_not_found(vendor: Vendor, page: Any) -> None:
    assert vendor("show_status_page", "01NONE", expect=404).type_ == "not_found"
    assert vendor("show_status_page_structure", "01NONE", expect=404).type_ == "not_found"
    body = update_body(vendor, "Incident", "01NONE")
    assert vendor("create_status_page_incident_update", body=body, expect=404).type_ == "not_found"
    assert vendor("list_status_page_incidents", status_page_id="01NONE", expect=404).type_ == "not_found"


def test_keys_are_checked(server: SandboxServer, page: Any) -> None:
    with closing(Vendor(server, "wrong")) as stranger:
        assert stranger("list_status_pages", expect=401).type_ == "authentication_error"
    with closing(Vendor(server, "reader")) as reader:
        reader("list_status_pages")
        body = incident_body(reader, page, "reader")
        assert reader("create_status_page_incident", body=body, expect=403).type_ == "resource_forbidden"


def test_a_rate_limit_says_when_to_come_back(vendor: Vendor, server: SandboxServer) -> None:
    server.state.switches.rate_limit = 2
    server.state.limits.forget()
    try:
        vendor("list_status_pages")
        vendor("list_status_pages")
        refusal = vendor("list_status_pages", expect=429)
    finally:
        server.state.switches.rate_limit = 0
    assert (refusal.type_, refusal.rate_limit.limit) == ("too_many_requests", 2)
    assert datetime.fromisoformat(refusal.rate_limit.retry_after) == START + timedelta(seconds=30)


def test_the_sdk_has_no_status_page_operation_that_is_missing_here() -> None:
    import pkgutil

    from incident_io.api import status_pages_v2

    names = {module.name.removeprefix("status_pages_v2_") for module in pkgutil.iter_modules(status_pages_v2.__path__)}
    assert names == set(OPERATIONS)
