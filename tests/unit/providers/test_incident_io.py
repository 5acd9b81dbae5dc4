"""What is sent to incident.io, what its answers mean, and how names are found on its pages."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    BackfillStep,
    ComponentStatus,
    Content,
    Directory,
    IncidentStatus,
    Outcome,
    Post,
    PublishMode,
    Request,
    Result,
    WindowStatus,
)
from worker.core.ruleset import ComponentRef, PageConfig
from worker.errors import ConfigError, EvaluationFailed, Problem, ProviderUnavailable
from worker.providers._http import Http
from worker.providers._pace import Pace
from worker.providers.incident_io import IncidentIo
from worker.providers.incident_io.payloads import request_of
from worker.providers.incident_io.vocabulary import FORMS

from .raw import KEY, NOW, RawPage, answering, response

PAGE = "01PAGE"
INCIDENT = "01INCIDENT"
DIRECTORY = Directory(
    page_id=PAGE,
    name="Acme Status",
    public_url="",
    components={"checkout": ("01C",), "api": ("01A",), "europe": ("01E", "01A")},
)
CONTENTS: Mapping[ActionKind, Content] = {
    ActionKind.OPEN_INCIDENT: Content(
        title="Checkout is down",
        message="We look.",
        incident_status=IncidentStatus.INVESTIGATING,
        components={"checkout": ComponentStatus.FULL_OUTAGE},
        notify=True,
    ),
    ActionKind.UPDATE_INCIDENT: Content(message="Found.", incident_status=IncidentStatus.IDENTIFIED),
    ActionKind.RESOLVE_INCIDENT: Content(message="Over.", components={"checkout": ComponentStatus.OPERATIONAL}),
    ActionKind.RENAME_INCIDENT: Content(title="Checkout was down"),
    ActionKind.BACKFILL_INCIDENT: Content(
        title="A blip",
        steps=(
            BackfillStep(
                at=NOW - timedelta(minutes=9),
                incident_status=IncidentStatus.INVESTIGATING,
                message="It began.",
                components={"api": ComponentStatus.DEGRADED_PERFORMANCE},
            ),
            BackfillStep(at=NOW - timedelta(minutes=5), incident_status=IncidentStatus.RESOLVED, message="It ended."),
        ),
    ),
    ActionKind.SCHEDULE_MAINTENANCE: Content(
        title="Upgrade",
        message="On Sunday.",
        components={"api": ComponentStatus.UNDER_MAINTENANCE, "europe": ComponentStatus.UNDER_MAINTENANCE},
        starts_at=NOW + timedelta(days=1),
        ends_at=NOW + timedelta(days=1, hours=1),
    ),
    ActionKind.UPDATE_MAINTENANCE: Content(message="Tomorrow."),
    ActionKind.START_MAINTENANCE: Content(message="Begun.", components={"api": ComponentStatus.UNDER_MAINTENANCE}),
    ActionKind.COMPLETE_MAINTENANCE: Content(message="Done.", components={"api": ComponentStatus.OPERATIONAL}),
    ActionKind.RESCHEDULE_MAINTENANCE: Content(
        title="Upgrade", starts_at=NOW + timedelta(days=2), ends_at=NOW + timedelta(days=2, hours=1)
    ),
    ActionKind.CANCEL_MAINTENANCE: Content(),
}


def action(kind: ActionKind, **changes: Any) -> Action:
    base = Action(
        id="checkout-outage@main#1/1",
        aggregate="checkout-outage@main#1",
        seq=1,
        kind=kind,
        page="main",
        post=Post.OPEN,
        content=CONTENTS[kind],
        state=ActionState.SENDING,
        created_at=NOW,
        not_before=NOW,
        rule_hash="",
        cause="",
        key="key-1" if kind.creates else "",
        remote_id="" if kind.creates else INCIDENT,
    )
    return replace(base, **changes)


def saying(kind: ActionKind, **changes: Any) -> Action:
    return action(kind, content=replace(CONTENTS[kind], **changes))


def sent(it: Action) -> tuple[str, str, Any]:
    request = request_of(it, DIRECTORY)
    return request.method, request.target, json.loads(request.body) if request.body else None


EXPECTED: Mapping[ActionKind, tuple[str, str, Any]] = {
    ActionKind.OPEN_INCIDENT: (
        "POST",
        "/v2/status_page_incidents",
        {
            "status_page_id": PAGE,
            "idempotency_key": "key-1",
            "name": "Checkout is down",
            "message": "We look.",
            "incident_status": "investigating",
            "notify_subscribers": True,
            "component_statuses": [{"component_id": "01C", "component_status": "full_outage"}],
        },
    ),
    ActionKind.UPDATE_INCIDENT: (
        "POST",
        "/v2/status_page_incident_updates",
        {
            "status_page_incident_id": INCIDENT,
            "message": "Found.",
            "incident_status": "identified",
            "notify_subscribers": False,
        },
    ),
    ActionKind.RESOLVE_INCIDENT: (
        "POST",
        "/v2/status_page_incident_updates",
        {
            "status_page_incident_id": INCIDENT,
            "message": "Over.",
            "incident_status": "resolved",
            "notify_subscribers": False,
        },
    ),
    ActionKind.RENAME_INCIDENT: ("PUT", f"/v2/status_page_incidents/{INCIDENT}", {"name": "Checkout was down"}),
    ActionKind.BACKFILL_INCIDENT: (
        "POST",
        "/v2/status_page_retrospective_incidents",
        {
            "status_page_id": PAGE,
            "idempotency_key": "key-1",
            "name": "A blip",
            "updates": [
                {
                    "message": "It began.",
                    "incident_status": "investigating",
                    "published_at": "2026-11-23T09:51:00+00:00",
                    "component_statuses": [{"component_id": "01A", "component_status": "degraded_performance"}],
                },
                {
                    "message": "It ended.",
                    "incident_status": "resolved",
                    "published_at": "2026-11-23T09:55:00+00:00",
                },
            ],
        },
    ),
    ActionKind.SCHEDULE_MAINTENANCE: (
        "POST",
        "/v2/status_page_maintenances",
        {
            "status_page_id": PAGE,
            "idempotency_key": "key-1",
            "name": "Upgrade",
            "message": "On Sunday.",
            "maintenance_status": "maintenance_scheduled",
            "start_at": "2026-11-24T10:00:00+00:00",
            "end_at": "2026-11-24T11:00:00+00:00",
            "affected_component_ids": ["01A", "01E"],
            "notify_subscribers": False,
            "automate_maintenance_status": False,
        },
    ),
    ActionKind.UPDATE_MAINTENANCE: (
        "POST",
        "/v2/status_page_maintenance_updates",
        {"status_page_maintenance_id": INCIDENT, "message": "Tomorrow.", "notify_subscribers": False},
    ),
    ActionKind.START_MAINTENANCE: (
        "POST",
        "/v2/status_page_maintenance_updates",
        {
            "status_page_maintenance_id": INCIDENT,
            "message": "Begun.",
            "maintenance_status": "maintenance_in_progress",
            "notify_subscribers": False,
            "component_statuses": [{"component_id": "01A", "component_status": "under_maintenance"}],
        },
    ),
    ActionKind.COMPLETE_MAINTENANCE: (
        "POST",
        "/v2/status_page_maintenance_updates",
        {
            "status_page_maintenance_id": INCIDENT,
            "message": "Done.",
            "maintenance_status": "maintenance_complete",
            "notify_subscribers": False,
        },
    ),
    ActionKind.RESCHEDULE_MAINTENANCE: (
        "PUT",
        f"/v2/status_page_maintenances/{INCIDENT}",
        {"name": "Upgrade", "start_at": "2026-11-25T10:00:00+00:00", "end_at": "2026-11-25T11:00:00+00:00"},
    ),
    ActionKind.CANCEL_MAINTENANCE: ("DELETE", f"/v2/status_page_maintenances/{INCIDENT}", None),
}


@pytest.mark.parametrize("kind", ActionKind)
def test_each_action_is_this_request(kind: ActionKind) -> None:
    assert sent(action(kind)) == EXPECTED[kind]


def test_a_window_may_be_created_in_progress(oracle: Callable[[str, str], Any]) -> None:
    it = saying(ActionKind.SCHEDULE_MAINTENANCE, window_status=WindowStatus.IN_PROGRESS)
    method, target, body = EXPECTED[ActionKind.SCHEDULE_MAINTENANCE]
    assert sent(it) == (method, target, {**body, "maintenance_status": "maintenance_in_progress"})
    assert oracle(method, target).from_dict(sent(it)[2]).to_dict() == sent(it)[2]


def test_components_that_are_named_before_the_start_are_not_under_maintenance_yet() -> None:
    components = {"checkout": ComponentStatus.UNDER_MAINTENANCE, "api": ComponentStatus.OPERATIONAL}
    for status, checkout in ((WindowStatus.SCHEDULED, "operational"), (WindowStatus.IN_PROGRESS, "under_maintenance")):
        _, _, body = sent(saying(ActionKind.UPDATE_MAINTENANCE, components=components, window_status=status))
        assert "maintenance_status" not in body
        assert {each["component_id"]: each["component_status"] for each in body["component_statuses"]} == {
            "01C": checkout,
            "01A": "operational",
        }


def test_a_post_on_somebody_elses_incident_sets_no_status() -> None:
    said = saying(ActionKind.OPEN_INCIDENT).content
    update = action(ActionKind.UPDATE_INCIDENT, guest=True, remote_id="01THEIRS", content=said)
    method, target, payload = sent(update)
    assert (method, target) == ("POST", "/v2/status_page_incident_updates")
    assert payload == {
        "status_page_incident_id": "01THEIRS",
        "message": "We look.",
        "notify_subscribers": True,
        "component_statuses": [{"component_id": "01C", "component_status": "full_outage"}],
    }


def test_bytes_are_canonical_utf8() -> None:
    first = saying(
        ActionKind.OPEN_INCIDENT, message="é 🔥", components=_statuses(checkout="partial_outage", api="operational")
    )
    second = saying(
        ActionKind.OPEN_INCIDENT, message="é 🔥", components=_statuses(api="operational", checkout="partial_outage")
    )
    body = request_of(first, DIRECTORY).body
    assert body == request_of(second, DIRECTORY).body
    assert body.decode() == json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert '"message":"é 🔥"'.encode() in body


def _statuses(**names: str) -> dict[str, ComponentStatus]:
    return {name: ComponentStatus(status) for name, status in names.items()}


def test_a_group_means_all_its_components_and_the_worse_status_wins() -> None:
    _, _, payload = sent(
        saying(ActionKind.OPEN_INCIDENT, components=_statuses(europe="partial_outage", api="degraded_performance"))
    )
    assert payload["component_statuses"] == [
        {"component_id": "01A", "component_status": "partial_outage"},
        {"component_id": "01E", "component_status": "partial_outage"},
    ]


@pytest.mark.parametrize(
    ("it", "why"),
    [
        (action(ActionKind.OPEN_INCIDENT, key=""), "no idempotency key"),
        (saying(ActionKind.OPEN_INCIDENT, title=" \n"), "no title"),
        (saying(ActionKind.OPEN_INCIDENT, message=" \n"), "no text"),
        (saying(ActionKind.OPEN_INCIDENT, incident_status=None), "no incident status"),
        (
            saying(ActionKind.OPEN_INCIDENT, components=_statuses(gone="full_outage", lost="full_outage")),
            "`gone`.*`lost`",
        ),
        (saying(ActionKind.OPEN_INCIDENT, components=_statuses(api="under_maintenance")), "under_maintenance"),
        (saying(ActionKind.START_MAINTENANCE, components=_statuses(api="full_outage")), "full_outage"),
        (action(ActionKind.UPDATE_INCIDENT, remote_id=""), "no object"),
        (action(ActionKind.RENAME_INCIDENT, remote_id="../status_pages"), "no object"),
        (action(ActionKind.CANCEL_MAINTENANCE, remote_id=".."), "no object"),
        (action(ActionKind.CANCEL_MAINTENANCE, remote_id="a?b"), "no object"),
        (saying(ActionKind.BACKFILL_INCIDENT, steps=()), "resolved step"),
        (saying(ActionKind.BACKFILL_INCIDENT, steps=CONTENTS[ActionKind.BACKFILL_INCIDENT].steps[:1]), "resolved step"),
        (
            saying(
                ActionKind.BACKFILL_INCIDENT,
                steps=(
                    CONTENTS[ActionKind.BACKFILL_INCIDENT].steps[0],
                    replace(CONTENTS[ActionKind.BACKFILL_INCIDENT].steps[1], at=NOW - timedelta(hours=1)),
                ),
            ),
            "oldest first",
        ),
        (saying(ActionKind.SCHEDULE_MAINTENANCE, starts_at=None), "a start and an end"),
        (saying(ActionKind.RESCHEDULE_MAINTENANCE, ends_at=NOW), "a start and an end"),
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_sent(it: Action, why: str) -> None:
    with pytest.raises(EvaluationFailed, match=why):
        request_of(it, DIRECTORY)


def test_a_resolve_lands_although_the_page_has_lost_a_component() -> None:
    assert (
        sent(saying(ActionKind.RESOLVE_INCIDENT, components=_statuses(gone="operational")))
        == EXPECTED[ActionKind.RESOLVE_INCIDENT]
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("word " * 60, "word " * 39 + "word…"),
        ("a" * 150 + " " + "b" * 60, "a" * 150 + "…"),
        ("a" * 100 + " " + "b" * 120, "a" * 100 + " " + "b" * 98 + "…"),
        ("a" * 150 + " " + "b" * 49, "a" * 150 + " " + "b" * 49),
        ("a" * 180 + " bcd" * 10, "a" * 180 + " bcd bcd bcd bcd…"),
        ("two\nlines\r\nmore", "two lines more"),
        ("half \ud83d pair, nul \0", "half ? pair, nul "),
    ],
)
def test_names_are_one_line_cut_at_a_word(text: str, shown: str) -> None:
    _, _, payload = sent(saying(ActionKind.RENAME_INCIDENT, title=text))
    assert payload["name"].strip() == shown.strip()


# -- the vendor's own payload models accept every body that can be built

TEXTS = st.one_of(
    st.text(min_size=1, max_size=300),
    st.builds(lambda word, times: (word * times)[:10_000], st.text(min_size=1, max_size=30), st.integers(1, 2000)),
).filter(lambda text: text.replace("\0", "").strip())
TIMES = st.integers(1_500_000_000, 1_900_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
INCIDENT_COMPONENTS = st.dictionaries(
    st.sampled_from(sorted(DIRECTORY.components)),
    st.sampled_from(sorted(set(ComponentStatus) - {ComponentStatus.UNDER_MAINTENANCE})),
)
WINDOW_COMPONENTS = st.dictionaries(
    st.sampled_from(sorted(DIRECTORY.components)),
    st.sampled_from([ComponentStatus.OPERATIONAL, ComponentStatus.UNDER_MAINTENANCE]),
)


@st.composite
def steps(draw: st.DrawFn) -> tuple[BackfillStep, ...]:
    times = sorted(draw(st.lists(TIMES, min_size=1, max_size=4)))
    statuses = [*draw(st.lists(st.sampled_from(IncidentStatus), min_size=3, max_size=3)), IncidentStatus.RESOLVED]
    return tuple(
        BackfillStep(at=at, incident_status=status, message=draw(TEXTS), components=draw(INCIDENT_COMPONENTS))
        for at, status in zip(times, statuses[-len(times) :], strict=True)
    )


@st.composite
def actions(draw: st.DrawFn) -> Action:
    kind = draw(st.sampled_from(ActionKind))
    starts = draw(TIMES)
    content = Content(
        title=draw(TEXTS),
        message=draw(TEXTS),
        incident_status=draw(st.sampled_from(IncidentStatus)),
        components=draw(WINDOW_COMPONENTS if "maintenance" in kind else INCIDENT_COMPONENTS),
        notify=draw(st.booleans()),
        steps=draw(steps()) if kind is ActionKind.BACKFILL_INCIDENT else (),
        starts_at=starts,
        ends_at=starts + draw(st.timedeltas(timedelta(seconds=1), timedelta(days=99))),
        automate=draw(st.booleans()),
    )
    return action(kind, content=content, guest=draw(st.booleans()) if kind is ActionKind.UPDATE_INCIDENT else False)


MODELS = {
    ("POST", "/v2/status_page_incidents"): "create_status_page_incident",
    ("POST", "/v2/status_page_incident_updates"): "create_status_page_incident_update",
    ("POST", "/v2/status_page_retrospective_incidents"): "create_status_page_retrospective_incident",
    ("PUT", f"/v2/status_page_incidents/{INCIDENT}"): "update_status_page_incident",
    ("POST", "/v2/status_page_maintenances"): "create_status_page_maintenance",
    ("POST", "/v2/status_page_maintenance_updates"): "create_status_page_maintenance_update",
    ("PUT", f"/v2/status_page_maintenances/{INCIDENT}"): "update_status_page_maintenance",
}


@pytest.fixture(scope="module")
def oracle() -> Callable[[str, str], Any]:
    """Gives the SDK's payload model of an operation."""

    def model(method: str, target: str) -> Any:
        name = f"status_pages_{MODELS[method, target]}_payload_v2"
        module = importlib.import_module(f"incident_io.models.{name}")
        return getattr(module, "".join(part.capitalize() for part in name.split("_")))

    model("POST", "/v2/status_page_incidents")  # the first import takes seconds
    return model


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(it=actions())
def test_the_vendors_models_read_back_what_is_sent_and_no_limit_is_broken(
    it: Action, oracle: Callable[[str, str], Any]
) -> None:
    request = request_of(it, DIRECTORY)
    if request.method == "DELETE":
        assert request.body == b""
        return
    ours = json.loads(request.body)
    assert oracle(request.method, request.target).from_dict(ours).to_dict() == ours
    _obeys_the_limits(ours)


def _obeys_the_limits(ours: dict[str, Any]) -> None:
    assert 0 < len(ours.get("name", "x")) <= 200
    for post in ours.get("updates", [ours]):
        assert 0 < len(post.get("message", "x")) <= 4096
        statuses = [entry["component_id"] for entry in post.get("component_statuses", [])]
        assert len(statuses) == len(set(statuses))
        if post.get("incident_status") == "resolved" or post.get("maintenance_status") == "maintenance_complete":
            assert "component_statuses" not in post


# -- what an answer to a write means


def config(**components: ComponentRef) -> PageConfig:
    return PageConfig(
        name="main",
        provider="incident_io",
        page="Acme Status",
        api_key=None,
        base_url="",
        publish=PublishMode.AUTO,
        components=components,
        place="rules/pages.yaml:2:3",
    )


class Page(RawPage):
    """Answers by path with JSON, or bytes."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        super().__init__(lambda connection: connection.sendall(self._answer(self.requests[-1])))

    def _answer(self, request: bytes) -> bytes:
        path = request.split(b" ")[1].decode().removeprefix("/v2/")
        answer = self.answers.get(path, self.answers.get(path.partition("?")[0]))
        if answer is None:
            return response(404, NOT_FOUND)
        return answer if isinstance(answer, bytes) else response(200, json.dumps(answer).encode())


NOT_FOUND = json.dumps(
    {"type": "not_found", "status": 404, "request_id": "r1", "errors": [{"code": "not_found", "message": "No such."}]}
).encode()


@pytest.fixture
def page() -> Iterator[Page]:
    with Page() as page:
        yield page


def provider(page: RawPage, configured: PageConfig | None = None, **options: Any) -> IncidentIo:
    at = replace(configured or config(), base_url=page.url)
    return IncidentIo(at, KEY, lambda: NOW, http=partial(Http, pace=Pace(), **options))


def shown_incident(**changes: Any) -> dict[str, Any]:
    return {
        "id": "01NEW",
        "status_page_id": PAGE,
        "name": "Checkout is down",
        "incident_status": "investigating",
        "published_at": "2026-11-23T10:00:01.123456Z",
        "component_impacts": [],
        "updates": [shown_update()],
        **changes,
    }


def shown_update(**changes: Any) -> dict[str, Any]:
    return {
        "id": "01UPD",
        "status_page_incident_id": INCIDENT,
        "message": "We look.",
        "incident_status": "investigating",
        "published_at": "2026-11-23T10:00:01Z",
        "component_statuses": [],
        **changes,
    }


def outcome(page: Page, it: Action, answer: bytes | Any) -> Outcome:
    request = request_of(it, DIRECTORY)
    page.answers[request.target.removeprefix("/v2/")] = answer
    return provider(page).send(it, request)


def test_a_create_is_done_when_the_page_shows_it(page: Page) -> None:
    it = action(ActionKind.OPEN_INCIDENT)
    done = outcome(page, it, {"status_page_incident": shown_incident()})
    assert done == Outcome(
        action_id=it.id,
        result=Result.DONE,
        at=NOW,
        remote_id="01NEW",
        update_id="01UPD",
        published_at=datetime(2026, 11, 23, 10, 0, 1, 123456, UTC),
        name=shown_incident()["name"],
    )


def test_the_update_of_a_create_is_the_newest_that_bears_our_words(page: Page) -> None:
    posts = [
        shown_update(id="01THIRD", message="Somebody else's", published_at="2026-11-23T10:02:00Z"),
        shown_update(id="01FIRST", published_at="2026-11-23T10:00:00Z"),
        shown_update(id="01SECOND", message="\r\nWe look.  ", published_at="2026-11-23T10:01:00Z"),
    ]
    done = outcome(page, action(ActionKind.OPEN_INCIDENT), {"status_page_incident": shown_incident(updates=posts)})
    assert (done.result, done.update_id, done.differences) == (Result.DONE, "01SECOND", ())


def test_a_create_that_brought_back_something_else_is_done_but_says_so(page: Page) -> None:
    old = shown_incident(
        id="01OLD",
        name="Last week's",
        incident_status="resolved",
        published_at="2026-11-16T10:00:00Z",
        updates=[shown_update(id="01A", message="Old"), shown_update(id="01B", message="Older")],
    )
    done = outcome(page, action(ActionKind.OPEN_INCIDENT), {"status_page_incident": old})
    assert (done.result, done.remote_id, done.update_id) == (Result.DONE, "01OLD", "")
    assert done.published_at == datetime(2026, 11, 16, 10, tzinfo=UTC)
    assert [difference.partition(":")[0] for difference in done.differences] == ["name", "status", "message"]
    assert done.differences[0] == "name: sent `Checkout is down`, page shows `Last week's`"


@pytest.mark.parametrize(
    ("theirs", "differs"),
    [
        ("We look.", False),
        (" We look.\r\n", False),
        ("We look…", True),
        ("We look.\n\nMore", True),
        ("", True),
    ],
)
def test_an_update_is_compared_as_a_page_may_tidy_it(page: Page, theirs: str, differs: bool) -> None:
    it = saying(ActionKind.UPDATE_INCIDENT, message="We look.")
    told = {"status_page_incident_update": shown_update(message=theirs, incident_status="identified")}
    done = outcome(page, it, told)
    assert (done.result, done.remote_id, done.update_id) == (Result.DONE, INCIDENT, "01UPD")
    assert bool(done.differences) is differs


def test_composed_and_decomposed_letters_are_the_same_words(page: Page) -> None:
    it = saying(ActionKind.UPDATE_INCIDENT, message="Caf\u00e9\r\nopen")
    told = {"status_page_incident_update": shown_update(message="Cafe\u0301\nopen", incident_status="identified")}
    assert outcome(page, it, told).differences == ()


GOOD_ANSWERS: Mapping[ActionKind, Any] = {
    ActionKind.OPEN_INCIDENT: {"status_page_incident": shown_incident()},
    ActionKind.UPDATE_INCIDENT: {"status_page_incident_update": shown_update(incident_status="identified")},
    ActionKind.RENAME_INCIDENT: {"status_page_incident": shown_incident(id=INCIDENT)},
    ActionKind.BACKFILL_INCIDENT: {"status_page_incident": shown_incident()},
    ActionKind.SCHEDULE_MAINTENANCE: {
        "status_page_maintenance": shown_incident(maintenance_status="maintenance_scheduled")
    },
    ActionKind.START_MAINTENANCE: {
        "status_page_maintenance_update": {
            "id": "01UPD",
            "status_page_maintenance_id": INCIDENT,
            "message": "Begun.",
            "maintenance_status": "maintenance_in_progress",
        }
    },
    ActionKind.RESCHEDULE_MAINTENANCE: {"status_page_maintenance": shown_incident(id=INCIDENT)},
}


def spoiled(answer: Any) -> Iterator[Any]:
    """The answer with something missing or of somebody else."""
    ((name, data),) = answer.items()
    yield {}
    yield {name: None}
    yield {name: [data]}
    yield {f"{name}s": data}
    unusable: list[Any] = [None, "", 7, "..", "a/b", "x" * 500, {}]
    for bad in unusable:
        yield {name: {**data, "id": bad}}
    for other in ("status_page_id", "status_page_incident_id", "status_page_maintenance_id"):
        if other in data:
            yield {name: {**data, "id": "01OTHER", other: "01OTHER"}}


@pytest.mark.parametrize("kind", GOOD_ANSWERS)
def test_a_2xx_that_is_not_about_our_object_is_unknown(page: Page, kind: ActionKind) -> None:
    assert outcome(page, action(kind), GOOD_ANSWERS[kind]).result is Result.DONE
    for answer in spoiled(GOOD_ANSWERS[kind]):
        assert outcome(page, action(kind), answer).result is Result.UNKNOWN, answer


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'"x"', b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"NaN"],
    ids=lambda body: repr(body[:6]),
)
def test_a_2xx_that_cannot_be_read_is_unknown(page: Page, body: bytes) -> None:
    done = outcome(page, action(ActionKind.UPDATE_INCIDENT), response(201, body))
    assert (done.result, done.remote_id) == (Result.UNKNOWN, "")


def test_an_answer_without_a_length_that_breaks_off_anywhere_is_never_done(page: Page) -> None:
    body = json.dumps(GOOD_ANSWERS[ActionKind.UPDATE_INCIDENT]).encode()
    head = b"HTTP/1.1 201 Created\r\n\r\n"
    for length in range(len(body)):
        done = outcome(page, action(ActionKind.UPDATE_INCIDENT), head + body[:length])
        assert done.result is Result.UNKNOWN, length
    assert outcome(page, action(ActionKind.UPDATE_INCIDENT), head + body).result is Result.DONE


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=9), st.just(PAGE), st.just(INCIDENT)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(sorted({*shown_incident(), *shown_update(), "errors", "type", "source", "rate_limit"})),
            inner,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(sorted(GOOD_ANSWERS)), status=st.sampled_from([200, 201, 400, 422, 429, 500]), data=JSON)
def test_no_answer_makes_a_send_raise(kind: ActionKind, status: int, data: Any) -> None:
    from worker.providers._outcomes import Answer
    from worker.providers.incident_io import provider as module

    it = action(kind)
    ((name, _),) = GOOD_ANSWERS[kind].items()
    for told in (data, {name: data}):
        answer = Answer(status=status, body=json.dumps(told).encode())
        echo, detail = module._heard(it, request_of(it, DIRECTORY), answer)
        assert (echo is None) is bool(detail)


def test_a_refusal_tells_the_field_and_the_reason(page: Page) -> None:
    error = {
        "type": "validation_error",
        "status": 422,
        "request_id": "2T1p0e3j",
        "errors": [
            {
                "code": "invalid_value",
                "message": "too many\nsubscribers \x1b[31m",
                "source": {"field": "notify_subscribers", "pointer": "/notify_subscribers"},
            },
            {"code": "is_required", "source": None},
            "noise",
        ],
    }
    done = outcome(page, action(ActionKind.OPEN_INCIDENT), response(422, json.dumps(error).encode()))
    assert done.result is Result.REFUSED
    assert done.detail == (
        "422 validation_error: notify_subscribers: too many subscribers  [31m; is_required (request 2T1p0e3j)"
    )


@pytest.mark.parametrize(
    ("entries", "result"),
    [
        ([{"code": "too_many", "source": {"field": "notify_subscribers"}}], Result.UNMAILED),
        ([{"code": "invalid_value", "source": {"pointer": "/notify_subscribers"}}], Result.UNMAILED),
        ([{"code": "too_many_subscribers"}], Result.UNMAILED),
        ([{"code": "invalid", "message": "Pages with more than 1000 subscribers …"}], Result.UNMAILED),
        ([{"code": "invalid", "message": "No “Subscriber portal”", "source": {"field": "message"}}], Result.REFUSED),
        ([{"code": "x", "source": {"field": "notify_subscribers"}}, {"code": "is_required"}], Result.REFUSED),
        ([], Result.REFUSED),
    ],
)
def test_a_post_is_silent_only_where_nothing_else_is_wrong(page: Page, entries: object, result: Result) -> None:
    error = response(422, json.dumps({"type": "validation_error", "errors": entries}).encode())
    mailing, silent = action(ActionKind.OPEN_INCIDENT), action(ActionKind.UPDATE_INCIDENT)
    assert (mailing.content.notify, silent.content.notify) == (True, False)
    assert outcome(page, mailing, error).result is result
    assert outcome(page, silent, error).result is Result.REFUSED


def test_a_429_says_when_in_the_header_or_in_the_body(page: Page) -> None:
    body = json.dumps({"type": "x", "errors": [], "rate_limit": {"retry_after": "2026-11-23T10:00:50Z"}}).encode()
    done = outcome(page, action(ActionKind.UPDATE_INCIDENT), response(429, body))
    assert (done.result, done.retry_at) == (Result.NOT_SENT, NOW + timedelta(seconds=50))
    done = outcome(page, action(ActionKind.UPDATE_INCIDENT), response(429, b"", "retry-after: 7"))
    assert done.retry_at == NOW + timedelta(seconds=7)
    assert outcome(page, action(ActionKind.UPDATE_INCIDENT), response(429, b"")).retry_at is None


# -- reading a page

STRUCTURE = {
    "current_structure": {
        "items": [
            {"component": {"component_id": "01C", "name": "Checkout API", "hidden": False, "display_uptime": True}},
            {"component": {"component_id": "01P", "name": "Public API", "hidden": False, "display_uptime": True}},
            {"component": {"component_id": "01H", "name": "Internal API", "hidden": True, "display_uptime": True}},
            {
                "group": {
                    "id": "01GE",
                    "name": "Europe",
                    "hidden": False,
                    "components": [
                        {"component_id": "01EA", "name": "API", "hidden": False},
                        {"component_id": "01ES", "name": "Storage", "hidden": False},
                    ],
                }
            },
            {
                "group": {
                    "id": "01GU",
                    "name": "US",
                    "hidden": True,
                    "components": [{"component_id": "01UA", "name": "API", "hidden": False}],
                }
            },
            {
                "sub_page": {
                    "id": "01S",
                    "name": "Partners",
                    "items": [
                        {"component": {"component_id": "01C", "name": "Checkout API", "hidden": False}},
                        {
                            "group": {
                                "id": "01GP",
                                "name": "Europe",
                                "components": [{"component_id": "01PF", "name": "Feed"}],
                            }
                        },
                    ],
                }
            },
            {"hologram": {"id": "01X"}},
        ]
    },
    "display_uptime_mode": "a_new_mode",
}
PAGES = {"status_pages": [{"id": PAGE, "name": "Acme Status", "public_url": "https://status.example"}]}


@pytest.fixture
def acme(page: Page) -> Page:
    page.answers["status_pages"] = PAGES
    page.answers[f"status_page_structures/{PAGE}"] = STRUCTURE
    return page


def ref(name: str = "", group: str = "", line: int = 7) -> ComponentRef:
    return ComponentRef(name=name, group=group, place=f"rules/pages.yaml:{line}:7")


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (ref("Checkout API"), ("01C",)),
        (ref("01C"), ("01C",)),
        (ref("Partners / Checkout API"), ("01C",)),
        (ref("Europe / API"), ("01EA",)),
        (ref("Storage"), ("01ES",)),
        (ref("Partners / Europe / Feed"), ("01PF",)),
        (ref("Europe / Feed"), ("01PF",)),
        (ref("Internal API"), ("01H",)),
        (ref(group="01GE"), ("01EA", "01ES")),
        (ref(group="Partners / Europe"), ("01PF",)),
        (ref(group="US"), ("01UA",)),
    ],
)
def test_names_are_found(acme: Page, wanted: ComponentRef, ids: tuple[str, ...]) -> None:
    found = provider(acme, config(ours=wanted)).directory()
    assert found == Directory(
        page_id=PAGE, name="Acme Status", public_url="https://status.example", components={"ours": ids}
    )


def test_a_page_is_found_by_its_id_too(acme: Page) -> None:
    assert provider(acme, replace(config(), page=PAGE)).directory().name == "Acme Status"


def test_every_name_that_is_unknown_or_ambiguous_is_told_at_once(acme: Page) -> None:
    wrong = config(
        fine=ref("Checkout API"),
        a=ref("Chekout API", line=9),
        b=ref("API", line=8),
        c=ref(group="Erope", line=11),
        d=ref(group="Europe", line=10),
        e=ref("Zebra", line=12),
        f=ref("checkout api", line=13),
    )
    directory = provider(acme, wrong).directory()
    assert list(directory.components) == ["fine"]
    lines = {8: ambiguous("components `API`", "`Europe / API` (01EA), `US / API` (01UA)")}
    lines[9] = "has no component `Chekout API`; did you mean `Checkout API`?"
    lines[10] = ambiguous("groups `Europe`", "`Europe` (01GE), `Partners / Europe` (01GP)")
    lines[11] = "has no group `Erope` with a component in it; did you mean `Europe`?"
    there = (
        "`API`, `Checkout API`, `Europe / API`, `Europe / Storage`, `Feed`, `Internal API`, `Partners / Checkout API`"
    )
    lines[12] = f"has no component `Zebra`; there are {there}, `Partners / Europe / Feed` and 3 more"
    lines[13] = "has no component `checkout api`; did you mean `Checkout API`?"
    expected = [f"rules/pages.yaml:{line}:7: page `Acme Status` {text}" for line, text in lines.items()]
    assert sorted(map(str, sorted(directory.missing.values()))) == sorted(expected)


def test_a_component_that_cannot_be_found_is_named_with_all_that_helps() -> None:
    lost = Problem("rules/pages.yaml", 5, 7, "page `Acme Status` has no component `Old name`")
    partly = replace(DIRECTORY, missing={"web": lost})
    it = saying(ActionKind.OPEN_INCIDENT, components=_statuses(web="full_outage", chekout="full_outage"))
    with pytest.raises(EvaluationFailed) as caught:
        request_of(it, partly)
    assert str(caught.value) == (
        "it names what cannot be found: `chekout` (page `main` has no such name in the rules; did you mean `checkout`?"
        "; it was computed by `components.from`, or was removed after the episode began), "
        "`web` (rules/pages.yaml:5:7: page `Acme Status` has no component `Old name`)"
    )


def ambiguous(what: str, which: str) -> str:
    return f"has 2 {what}; name one in full or by id: {which}"


def test_components_that_customers_do_not_see_are_noted(acme: Page) -> None:
    ours = provider(acme, config(internal=ref("Internal API"), us=ref(group="US"), fine=ref("Checkout API")))
    ours.directory()
    assert ours.notes == (
        "component `internal`: `Internal API` is hidden on page `Acme Status`",
        "component `us`: `US / API` is hidden on page `Acme Status`",
    )


def test_an_unknown_page_is_told_with_near_misses(acme: Page) -> None:
    with pytest.raises(ConfigError, match=r"rules/pages.yaml:2:3: .*`Acme Statu`; did you mean `Acme Status`\?"):
        provider(acme, replace(config(), page="Acme Statu")).directory()
    acme.answers["status_pages"] = {"status_pages": [*PAGES["status_pages"], {"id": "01Q", "name": "Acme Status"}]}
    with pytest.raises(ConfigError, match="2 pages are called `Acme Status`; name one by its id: `01PAGE`, `01Q`"):
        provider(acme).directory()


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_is_a_fault_of_the_configuration(acme: Page, status: int) -> None:
    body = json.dumps({"type": "authentication_error", "errors": [{"code": "x", "message": f"not {KEY}"}]}).encode()
    acme.answers["status_pages"] = response(status, body)
    acme.answers["status_page_incidents"] = response(status, body)
    ours = provider(acme)
    for read in (ours.directory, ours.pages, lambda: ours.availability("01C", NOW, NOW + timedelta(days=1))):
        with pytest.raises(ConfigError, match="writing needs “Create status page incidents") as caught:
            read()
        assert str(caught.value).startswith("rules/pages.yaml:2:3: page `main`: ")
        assert KEY not in str(caught.value)
    with pytest.raises(ProviderUnavailable, match="does not take the key"):
        ours.ongoing(DIRECTORY)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"status_pages": null}', b'{"status_pages": [1]}'])
def test_what_is_not_incident_io_is_not_believed(acme: Page, answer: bytes) -> None:
    acme.answers["status_pages"] = response(200, answer, "content-type: text/html")
    with pytest.raises(ProviderUnavailable, match=r"this is not incident\.io's API"):
        provider(acme).directory()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("status_page_incidents", {"status_page_incidents": [{"name": "no id"}]}),
        ("status_page_incidents", {"status_page_incidents": [shown_incident(updates=None)]}),
        ("status_page_incidents", {"status_page_incidents": ["x"]}),
        ("status_page_incidents", {}),
        ("status_page_incidents", response(404, b"<html>nginx")),
        ("status_page_incidents", response(500, NOT_FOUND)),
        ("status_page_incidents", response(204)),
        ("status_page_incidents", response(302, b"", "location: /elsewhere")),
        ("status_page_incidents", response(429, b"")),
    ],
)
def test_a_list_that_is_not_whole_is_no_list(page: Page, path: str, answer: Any) -> None:
    page.answers[path] = answer
    with pytest.raises(ProviderUnavailable):
        provider(page).ongoing(DIRECTORY)


def test_all_answers_of_a_list_are_read_and_the_ended_left_out(page: Page) -> None:
    first = [shown_incident(id="01A"), shown_incident(id="01B", incident_status="resolved")]
    second = [shown_incident(id="01C", incident_status="a_new_status")]
    page.answers["status_page_incidents?status_page_id=01PAGE&page_size=100"] = {
        "status_page_incidents": first,
        "pagination_meta": {"after": "01B", "page_size": 100},
    }
    page.answers["status_page_incidents?status_page_id=01PAGE&page_size=100&after=01B"] = {
        "status_page_incidents": second,
        "pagination_meta": {"page_size": 100},
    }
    assert [incident.id for incident in provider(page).ongoing(DIRECTORY)] == ["01A", "01C"]


def test_where_large_answers_are_refused_smaller_ones_are_asked_for(page: Page) -> None:
    page.answers["status_page_incidents?status_page_id=01PAGE&page_size=100"] = response(422, NOT_FOUND)
    page.answers["status_page_incidents?status_page_id=01PAGE&page_size=25"] = {
        "status_page_incidents": [shown_incident()]
    }
    ours = provider(page)
    for _ in range(2):
        assert len(ours.ongoing(DIRECTORY)) == 1
    assert len(page.requests) == 3, "what was refused once is not asked again"
    page.answers.clear()
    page.answers["status_page_incidents"] = response(422, NOT_FOUND)
    with pytest.raises(ProviderUnavailable, match="422 not_found: No such"):
        ours.ongoing(DIRECTORY)


def test_a_list_without_end_is_given_up(page: Page) -> None:
    page.answers["status_page_incidents"] = {"status_page_incidents": [], "pagination_meta": {"after": "01A"}}
    ticks = iter([NOW + timedelta(seconds=10 * index) for index in range(100)])
    ours = IncidentIo(replace(config(), base_url=page.url), KEY, lambda: next(ticks), http=partial(Http, pace=Pace()))
    with pytest.raises(ProviderUnavailable, match="not read to its end"):
        ours.ongoing(DIRECTORY)
    assert len(page.requests) < 10


def test_an_incident_is_read_with_updates_oldest_first_and_all_it_touched(page: Page) -> None:
    page.answers[f"status_page_incidents/{INCIDENT}"] = {
        "status_page_incident": shown_incident(
            id=INCIDENT,
            incident_status="a_new_status",
            published_at="rubbish",
            component_impacts=[{"component_id": "01A", "component_status": "x"}, {"component_id": 7}, None],
            updates=[
                shown_update(id="01B", published_at="2026-11-23T10:00:02Z", something="new"),
                shown_update(
                    id="01A",
                    published_at="2026-11-23T11:00:01+01:00",
                    component_statuses=[{"component_id": "01C", "component_status": "operational"}],
                ),
            ],
        )
    }
    shown = provider(page).show(INCIDENT, ActionKind.UPDATE_INCIDENT)
    assert shown is not None
    assert [update.id for update in shown.updates] == ["01A", "01B"]
    assert shown.updates[0].published_at == datetime(2026, 11, 23, 10, 0, 1, tzinfo=UTC)
    assert (shown.status, shown.published_at) == ("a_new_status", None)
    assert shown.component_ids == {"01A", "01C"}


def test_only_the_api_itself_can_say_that_an_object_is_gone(page: Page) -> None:
    ours = provider(page)
    assert ours.show("01GONE", ActionKind.RESOLVE_INCIDENT) is None
    assert ours.show("01GONE", ActionKind.CANCEL_MAINTENANCE) is None
    assert [request.split(b" ")[1] for request in page.requests] == [
        b"/v2/status_page_incidents/01GONE",
        b"/v2/status_page_maintenances/01GONE",
    ]
    assert ours.show("../status_pages", ActionKind.RESOLVE_INCIDENT) is None
    page.answers["status_page_incidents/01X"] = response(404, b"<html>not found", "content-type: text/html")
    with pytest.raises(ProviderUnavailable, match="404"):
        ours.show("01X", ActionKind.RESOLVE_INCIDENT)


def test_availability_is_read(acme: Page) -> None:
    acme.answers[f"status_pages/{PAGE}/components/01C/availability"] = {
        "availability": {
            "component_id": "01C",
            "availability_percent": "99.94",
            "data_available_since": "2026-11-01T00:00:00Z",
        }
    }
    ours, start = provider(acme), NOW - timedelta(days=30)
    shown = ours.availability("01C", start, NOW)
    assert (shown.percent, shown.since) == ("99.94", datetime(2026, 11, 1, tzinfo=UTC))
    assert b"start_at=2026-10-24T10%3A00%3A00%2B00%3A00" in acme.requests[-1]
    with pytest.raises(ConfigError, match="no component with the id `01NO`"):
        ours.availability("01NO", start, NOW)
    for bad in (("01C", NOW, NOW), ("01C", NOW - timedelta(days=367), NOW), ("a/b", start, NOW)):
        with pytest.raises(ConfigError, match="at most 366 days"):
            ours.availability(*bad)


@pytest.mark.parametrize(("key", "url"), [("", ""), ("a b", ""), ("key", "nonsense"), ("key", "https://user:pw@x")])
def test_a_wrong_key_or_address_is_told_at_its_place(key: str, url: str) -> None:
    with pytest.raises(ConfigError, match=r"rules/pages\.yaml:2:3: page `main`: the "):
        IncidentIo(replace(config(), base_url=url), key, lambda: NOW)


def test_the_address_defaults_to_the_vendors() -> None:
    ours = IncidentIo(config(), KEY, lambda: NOW)
    assert repr(ours) == "IncidentIo(main at api.incident.io)"
    assert ours.supports == frozenset(ActionKind) == frozenset(FORMS)


def test_a_request_of_a_former_version_is_sent_verbatim(page: Page) -> None:
    """The ledger may hold bytes that were built before an upgrade: they are sent as they are."""
    it = action(ActionKind.OPEN_INCIDENT)
    body = request_of(it, DIRECTORY).body.replace(b'"name"', b'"old_field":1,"name"')
    page.script = answering(response(201, json.dumps({"status_page_incident": shown_incident()}).encode()))
    done = provider(page).send(it, Request(method="POST", target="/v2/status_page_incidents", body=body))
    assert done.result is Result.DONE
    assert page.requests[0].endswith(body)
