"""What every provider keeps, driven against a page of its vendor that runs on the loopback."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

import pytest

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
    Result,
    WindowStatus,
)
from worker.core.ruleset import ComponentRef, PageConfig
from worker.errors import ConfigError, EvaluationFailed, ProviderUnavailable
from worker.ports import Provider
from worker.providers import PROVIDERS
from worker.providers._http import Http
from worker.providers._pace import Pace
from worker.sandbox import DEFAULT, Fault, Faults, SandboxServer, State, build_pages, faults

CANARY = "canary-Key-4b1d90fe77"
START = datetime(2026, 11, 23, 10, tzinfo=UTC)
DOWN = {"checkout": ComponentStatus.FULL_OUTAGE, "europe": ComponentStatus.PARTIAL_OUTAGE}
COMPONENTS = {
    "checkout": ComponentRef(name="Checkout API", place="rules/pages.yaml:5:7"),
    "eu-storage": ComponentRef(name="Europe / Storage", place="rules/pages.yaml:6:7"),
    "europe": ComponentRef(group="Europe", place="rules/pages.yaml:7:7"),
}


class Rig(Protocol):
    """A vendor's page on the loopback, and a provider that writes to it; the part that a new vendor brings along."""

    def provider(self, deadline: float = 5.0, components: Mapping[str, ComponentRef] = COMPONENTS) -> Provider: ...
    def next_write(self, *planned: Fault) -> None: ...
    def next_read(self, *planned: Fault) -> None: ...
    def revoke(self, *, reads: bool) -> None: ...
    def crowd(self) -> None: ...
    def writes(self) -> list[Any]: ...
    def reads(self) -> list[Any]: ...
    def person_opens(self) -> str: ...
    def close(self) -> None: ...


class IncidentIoRig:
    def __init__(self) -> None:
        self.server = SandboxServer(State(build_pages(DEFAULT, START), api_key=CANARY), Faults(), lambda: START)

    def provider(self, deadline: float = 5.0, components: Mapping[str, ComponentRef] = COMPONENTS) -> Provider:
        config = PageConfig(
            name="main",
            provider="incident_io",
            page="Acme Status",
            api_key=None,
            base_url=self.server.url,
            publish=PublishMode.AUTO,
            components=components,
            place="rules/pages.yaml:2:3",
        )
        http = partial(Http, pace=Pace(), write_deadline=deadline, read_deadline=deadline)
        return PROVIDERS["incident_io"](config, CANARY, lambda: START, http=http)

    def next_write(self, *planned: Fault) -> None:
        for method in ("POST", "PUT", "DELETE"):
            self.server.faults.next(method, "", *planned)

    def next_read(self, *planned: Fault) -> None:
        self.server.faults.next("GET", "", *planned)

    def revoke(self, *, reads: bool) -> None:
        self.server.state.api_key = "another"
        self.server.state.read_only_key = None if reads else CANARY

    def crowd(self) -> None:
        self.server.state.page.subscribers = 1001

    def writes(self) -> list[Any]:
        return [record for record in self.server.state.requests if record.method != "GET"]

    def reads(self) -> list[Any]:
        return [record for record in self.server.state.requests if record.method == "GET"]

    def person_opens(self) -> str:
        return self.server.state.person_opens("Somebody else's", "We know.", now=START).id

    def close(self) -> None:
        self.server.stop()


RIGS: Mapping[str, Callable[[], Rig]] = {"incident_io": IncidentIoRig}


def test_every_provider_has_a_page_to_be_tested_against() -> None:
    assert RIGS.keys() == PROVIDERS.keys()


@pytest.fixture(scope="module")
def closing() -> Iterator[ThreadPoolExecutor]:
    """Ends servers while the next test runs: each takes a while."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(params=sorted(PROVIDERS))
def rig(request: pytest.FixtureRequest, closing: ThreadPoolExecutor) -> Iterator[Rig]:
    rig = RIGS[request.param]()
    yield rig
    closing.submit(rig.close)


@dataclass
class Desk:
    """Makes actions, and sends them."""

    provider: Provider
    directory: Directory
    made: int = 0

    def action(self, kind: ActionKind, remote_id: str = "", guest: bool = False, key: str = "", **said: Any) -> Action:
        self.made += 1
        return Action(
            id=f"e#1/{self.made}",
            aggregate="e#1",
            seq=self.made,
            kind=kind,
            page="main",
            post=Post.OPEN,
            content=Content(**said),
            state=ActionState.SENDING,
            created_at=START,
            not_before=START,
            rule_hash="",
            cause="",
            key=(key or f"key-{self.made}") if kind.creates else "",
            remote_id=remote_id,
            guest=guest,
        )

    def send(self, action: Action) -> Outcome:
        return self.provider.send(action, self.provider.request(action, self.directory))

    def do(self, kind: ActionKind, remote_id: str = "", **said: Any) -> Outcome:
        outcome = self.send(self.action(kind, remote_id, **said))
        assert (outcome.result, outcome.detail, outcome.differences) == (Result.DONE, "", ())
        assert outcome.at == START
        return outcome

    def open(self, **said: Any) -> Outcome:
        return self.do(ActionKind.OPEN_INCIDENT, **{**OPENING, **said})


OPENING: Mapping[str, Any] = {
    "title": "Checkout is down",
    "message": "We **look**: “ça” 🔥\n\n* one\n* two",
    "incident_status": IncidentStatus.INVESTIGATING,
    "components": DOWN,
}


@pytest.fixture
def desk(rig: Rig) -> Desk:
    provider = rig.provider()
    return Desk(provider, provider.directory())


def test_our_names_are_found_on_the_page(desk: Desk) -> None:
    assert desk.directory.name == "Acme Status"
    assert {name: len(ids) for name, ids in desk.directory.components.items()} == {
        "checkout": 1,
        "eu-storage": 1,
        "europe": 2,
    }
    assert set(desk.directory.components["eu-storage"]) < set(desk.directory.components["europe"])


def test_an_incident_lives_from_open_to_resolved(rig: Rig, desk: Desk) -> None:
    opened = desk.open()
    shown = desk.provider.show(opened.remote_id, ActionKind.OPEN_INCIDENT)
    assert shown is not None
    assert (shown.name, shown.status) == (OPENING["title"], "investigating")
    assert [(update.id, update.message) for update in shown.updates] == [(opened.update_id, OPENING["message"])]
    assert shown.component_ids == {each for name in DOWN for each in desk.directory.components[name]}
    assert opened.published_at == shown.published_at == START
    assert [each.id for each in desk.provider.ongoing(desk.directory)] == [opened.remote_id]

    better = {"checkout": ComponentStatus.OPERATIONAL, "europe": ComponentStatus.DEGRADED_PERFORMANCE}
    update = desk.do(
        ActionKind.UPDATE_INCIDENT,
        opened.remote_id,
        message="Better.",
        incident_status=IncidentStatus.MONITORING,
        components=better,
    )
    assert (update.remote_id, update.published_at) == (opened.remote_id, START)
    silent = desk.do(ActionKind.UPDATE_INCIDENT, opened.remote_id, message="Still at it.")
    renamed = desk.do(ActionKind.RENAME_INCIDENT, opened.remote_id, title="Checkout was down")
    assert (renamed.remote_id, renamed.update_id) == (opened.remote_id, "")
    resolved = desk.do(ActionKind.RESOLVE_INCIDENT, opened.remote_id, message="Over.", components=better)

    shown = desk.provider.show(opened.remote_id, ActionKind.RESOLVE_INCIDENT)
    assert shown is not None
    assert (shown.name, shown.status) == ("Checkout was down", "resolved")
    assert [each.id for each in shown.updates] == [
        opened.update_id,
        update.update_id,
        silent.update_id,
        resolved.update_id,
    ]
    assert [each.status for each in shown.updates] == ["investigating", "monitoring", "monitoring", "resolved"]
    assert desk.provider.ongoing(desk.directory) == []
    assert len(rig.writes()) == 5


def test_a_post_on_somebody_elses_incident_leaves_its_name_and_status_alone(rig: Rig, desk: Desk) -> None:
    theirs = rig.person_opens()
    said = {**OPENING, "incident_status": IncidentStatus.RESOLVED}
    attached = desk.send(desk.action(ActionKind.UPDATE_INCIDENT, theirs, guest=True, **said))
    assert (attached.result, attached.remote_id) == (Result.DONE, theirs)
    (shown,) = desk.provider.ongoing(desk.directory)
    assert (shown.name, shown.status) == ("Somebody else's", "investigating")
    assert shown.updates[-1].id == attached.update_id
    told = {each: str(status) for name, status in DOWN.items() for each in desk.directory.components[name]}
    assert [dict(update.components) for update in shown.updates] == [{}, told]


def test_an_incident_takes_as_many_updates_as_the_provider_says_and_no_more(desk: Desk) -> None:
    incident = desk.open().remote_id
    for number in range(desk.provider.most_updates - 1):
        desk.do(ActionKind.UPDATE_INCIDENT, incident, message=f"Update {number}.")
    shown = desk.provider.show(incident, ActionKind.UPDATE_INCIDENT)
    assert shown is not None
    assert len(shown.updates) == desk.provider.most_updates
    beyond = desk.send(desk.action(ActionKind.RESOLVE_INCIDENT, incident, message="One too many."))
    assert beyond.result is Result.REFUSED


def test_a_blip_is_told_in_retrospect(desk: Desk) -> None:
    steps = (
        BackfillStep(
            at=START - timedelta(minutes=9),
            incident_status=IncidentStatus.INVESTIGATING,
            message="It began.",
            components=DOWN,
        ),
        BackfillStep(at=START - timedelta(minutes=5), incident_status=IncidentStatus.RESOLVED, message="It ended."),
    )
    done = desk.do(ActionKind.BACKFILL_INCIDENT, title="A blip", steps=steps)
    shown = desk.provider.show(done.remote_id, ActionKind.BACKFILL_INCIDENT)
    assert shown is not None
    assert [(each.message, each.published_at) for each in shown.updates] == [(step.message, step.at) for step in steps]
    assert done.update_id == shown.updates[-1].id
    assert desk.provider.ongoing(desk.directory) == []


def schedule(desk: Desk) -> Outcome:
    return desk.do(
        ActionKind.SCHEDULE_MAINTENANCE,
        title="Upgrade",
        message="On Tuesday.",
        components={"europe": ComponentStatus.UNDER_MAINTENANCE},
        starts_at=START + timedelta(days=1),
        ends_at=START + timedelta(days=1, hours=1),
    )


def test_a_window_lives_from_scheduled_to_complete(desk: Desk) -> None:
    window = schedule(desk).remote_id
    desk.do(ActionKind.UPDATE_MAINTENANCE, window, message="Tomorrow.")
    desk.do(
        ActionKind.RESCHEDULE_MAINTENANCE,
        window,
        title="Upgrade, later",
        starts_at=START + timedelta(days=2),
        ends_at=START + timedelta(days=2, hours=1),
    )
    components = {"europe": ComponentStatus.UNDER_MAINTENANCE}
    desk.do(ActionKind.START_MAINTENANCE, window, message="Begun.", components=components)
    desk.do(ActionKind.COMPLETE_MAINTENANCE, window, message="Done.", components=components)
    shown = desk.provider.show(window, ActionKind.COMPLETE_MAINTENANCE)
    assert shown is not None
    assert shown.name == "Upgrade, later"
    assert [each.message for each in shown.updates] == ["On Tuesday.", "Tomorrow.", "Begun.", "Done."]
    assert shown.component_ids == set(desk.directory.components["europe"])
    assert desk.provider.ongoing(desk.directory) == [], "a window is no incident"


def test_a_window_may_be_created_in_progress_and_is_read_with_its_times(desk: Desk) -> None:
    starts_at, ends_at = START - timedelta(minutes=5), START + timedelta(hours=1)
    done = desk.do(
        ActionKind.SCHEDULE_MAINTENANCE,
        title="Upgrade",
        message="Begun.",
        components={"europe": ComponentStatus.UNDER_MAINTENANCE},
        starts_at=starts_at,
        ends_at=ends_at,
        window_status=WindowStatus.IN_PROGRESS,
    )
    assert done.window is WindowStatus.IN_PROGRESS
    shown = next(each for each in desk.provider.windows(desk.directory) if each.id == done.remote_id)
    assert (shown.status, shown.automate) == (WindowStatus.IN_PROGRESS, False)
    assert (shown.starts_at, shown.ends_at) == (starts_at, ends_at)


def test_a_cancelled_window_is_gone(desk: Desk) -> None:
    window = schedule(desk).remote_id
    assert desk.do(ActionKind.CANCEL_MAINTENANCE, window).remote_id == window
    assert desk.provider.show(window, ActionKind.CANCEL_MAINTENANCE) is None
    again = desk.send(desk.action(ActionKind.CANCEL_MAINTENANCE, window))
    assert again.result is Result.REFUSED


def test_what_the_page_does_not_have_is_none(desk: Desk) -> None:
    for kind in ActionKind:
        assert desk.provider.show("01GONE", kind) is None


def test_the_same_key_makes_the_same_object(desk: Desk) -> None:
    first, second = (desk.send(desk.action(ActionKind.OPEN_INCIDENT, key="one", **OPENING)) for _ in range(2))
    assert first.result is second.result is Result.DONE
    assert (first.remote_id, first.update_id) == (second.remote_id, second.update_id)
    other = desk.send(desk.action(ActionKind.OPEN_INCIDENT, key="one", **{**OPENING, "title": "Another"}))
    assert (other.result, other.remote_id) == (Result.DONE, first.remote_id)
    assert other.differences, "that it is not what we said is told"


def test_the_longest_texts_are_taken(desk: Desk) -> None:
    said = {"title": "A very long name " * 100, "message": "Very long words 🔥 " * 1000}
    opened = desk.send(desk.action(ActionKind.OPEN_INCIDENT, **{**OPENING, **said}))
    assert (opened.result, opened.differences) == (Result.DONE, ())


def test_requests_are_pure_and_repeatable(rig: Rig, desk: Desk) -> None:
    before = len(rig.reads()) + len(rig.writes())
    action = desk.action(ActionKind.OPEN_INCIDENT, **OPENING)
    shuffled = replace(action, content=replace(action.content, components=dict(reversed(DOWN.items()))))
    requests = {desk.provider.request(each, desk.directory).body for each in (action, action, shuffled)}
    assert len(requests) == 1
    assert len(rig.reads()) + len(rig.writes()) == before


def test_what_cannot_be_said_raises_before_any_io(rig: Rig, desk: Desk) -> None:
    unknown = desk.action(ActionKind.OPEN_INCIDENT, **{**OPENING, "components": {"gone": ComponentStatus.FULL_OUTAGE}})
    homeless = desk.action(ActionKind.UPDATE_INCIDENT, message="To whom?")
    unsupported = [desk.action(kind, "01X", **OPENING) for kind in set(ActionKind) - desk.provider.supports]
    before = len(rig.reads()) + len(rig.writes())
    for action in (unknown, homeless, *unsupported):
        with pytest.raises(EvaluationFailed):
            desk.provider.request(action, desk.directory)
    assert len(rig.reads()) + len(rig.writes()) == before


def test_each_write_has_a_connection_of_its_own_and_is_sent_once_whatever_happens(rig: Rig, desk: Desk) -> None:
    desk.open()
    for fault, _ in FAULTS.values():
        rig.next_write(fault)
        one = Desk(rig.provider(deadline=0.3), desk.directory, desk.made)
        one.send(one.action(ActionKind.OPEN_INCIDENT, **OPENING))
        desk.made = one.made
    writes = rig.writes()
    assert len(writes) == 1 + len(FAULTS)
    connections = [record.connection for record in rig.reads() + writes]
    assert len(set(connections)) == len(connections)


FAULTS: Mapping[str, tuple[Fault, Result]] = {
    "slow": (faults.slow(0.05), Result.DONE),
    "error-unapplied": (faults.error(applied=False), Result.UNKNOWN),
    "error-applied": (faults.error(500, applied=True), Result.UNKNOWN),
    "bad-gateway": (faults.error(502, applied=True), Result.UNKNOWN),
    "drop-unapplied": (faults.drop(applied=False), Result.UNKNOWN),
    "drop-applied": (faults.drop(applied=True), Result.UNKNOWN),
    "hang": (faults.hang(applied=True), Result.UNKNOWN),
    "truncated": (faults.truncated(), Result.UNKNOWN),
    "html": (faults.html(), Result.UNKNOWN),
    "html-refusal": (faults.html(404, applied=False), Result.REFUSED),
    "redirect": (faults.redirect("http://127.0.0.1:9/elsewhere"), Result.UNKNOWN),
    "conflict": (faults.canned(409, b"{}", applied=False), Result.UNKNOWN),
    "timeout": (faults.canned(408, b"{}", applied=False), Result.UNKNOWN),
    "empty": (faults.canned(201, b"", applied=True), Result.UNKNOWN),
    "echo-of-key": (faults.canned(422, CANARY.encode(), ("content-type", CANARY), applied=False), Result.REFUSED),
    "rate-limited": (faults.rate_limited(), Result.NOT_SENT),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_result_and_no_text_shows_the_key(
    rig: Rig, desk: Desk, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fault, result = FAULTS[name]
    rig.next_write(fault)
    one = Desk(rig.provider(deadline=0.3), desk.directory)
    outcome = one.send(one.action(ActionKind.OPEN_INCIDENT, **OPENING))
    assert outcome.result is result
    assert bool(outcome.detail) is (result is not Result.DONE)
    assert (outcome.remote_id != "") is (result is Result.DONE)
    ours = [record for record in caplog.records if record.name != "asyncio"]
    assert CANARY not in repr(outcome) + repr(one) + repr(vars(one.provider)) + "".join(map(str, ours))


@pytest.mark.parametrize(
    ("told", "seconds"), [("seconds", 30), ("date", 30), ("body", 30), ("absurd", 900), ("missing", None)]
)
def test_a_rate_limit_says_when_and_holds_the_key(
    rig: Rig, desk: Desk, told: faults.RetryAfter, seconds: float | None
) -> None:
    rig.next_write(faults.rate_limited(told))
    action = desk.action(ActionKind.OPEN_INCIDENT, **OPENING)
    outcome = desk.send(action)
    assert outcome.result is Result.NOT_SENT
    assert outcome.retry_at == (None if seconds is None else START + timedelta(seconds=seconds))
    again = desk.send(action)
    assert again.result is Result.NOT_SENT
    assert again.retry_at is not None
    assert len(rig.writes()) == 1, "what would be refused is not sent"
    with pytest.raises(ProviderUnavailable):
        desk.provider.ongoing(desk.directory)


def test_a_page_that_is_not_there_was_not_sent_to(rig: Rig, desk: Desk) -> None:
    rig.close()
    outcome = desk.send(desk.action(ActionKind.OPEN_INCIDENT, **OPENING))
    assert outcome.result is Result.NOT_SENT
    for read in (desk.provider.directory, lambda: desk.provider.ongoing(desk.directory)):
        with pytest.raises(ProviderUnavailable):
            read()


def test_a_key_without_the_scope_is_denied(rig: Rig, desk: Desk) -> None:
    rig.revoke(reads=False)
    outcome = desk.send(desk.action(ActionKind.OPEN_INCIDENT, **OPENING))
    assert (outcome.result, CANARY in outcome.detail) == (Result.DENIED, False)
    assert desk.provider.directory() == desk.directory, "reading goes on"


def test_a_revoked_key_is_denied_and_told_as_a_fault_of_the_configuration(rig: Rig, desk: Desk) -> None:
    rig.revoke(reads=True)
    assert desk.send(desk.action(ActionKind.OPEN_INCIDENT, **OPENING)).result is Result.DENIED
    with pytest.raises(ConfigError, match="key") as caught:
        desk.provider.directory()
    assert CANARY not in str(caught.value)
    with pytest.raises(ProviderUnavailable):
        desk.provider.show("01X", ActionKind.OPEN_INCIDENT)


def test_a_page_with_too_many_subscribers_refuses_for_the_mails_alone(rig: Rig, desk: Desk) -> None:
    rig.crowd()
    mailing = desk.action(ActionKind.OPEN_INCIDENT, **OPENING, notify=True)
    assert desk.send(mailing).result is Result.UNMAILED
    assert desk.provider.ongoing(desk.directory) == []
    made = desk.open()
    update = {"message": "Found.", "incident_status": IncidentStatus.IDENTIFIED}
    assert desk.send(desk.action(ActionKind.UPDATE_INCIDENT, made.remote_id, **update, notify=True)).result is (
        Result.UNMAILED
    )
    desk.do(ActionKind.UPDATE_INCIDENT, made.remote_id, **update)


def test_wrong_names_are_all_told_at_their_places(rig: Rig) -> None:
    wrong = {
        "good": ComponentRef(name="Checkout API", place="rules/pages.yaml:5:7"),
        "typo": ComponentRef(name="Chekout API", place="rules/pages.yaml:6:7"),
        "vague": ComponentRef(name="Storage", place="rules/pages.yaml:7:7"),
        "group": ComponentRef(group="Europa", place="rules/pages.yaml:8:7"),
    }
    directory = rig.provider(components=wrong).directory()
    assert list(directory.components) == ["good"]
    places = {name: (problem.line, problem.column) for name, problem in directory.missing.items()}
    assert places == {"typo": (6, 7), "vague": (7, 7), "group": (8, 7)}
    assert "did you mean `Checkout API`?" in str(directory.missing["typo"])


@pytest.mark.parametrize(
    "fault",
    [
        faults.error(applied=False),
        faults.drop(applied=False),
        faults.hang(applied=False),
        faults.truncated(),
        faults.html(),
        faults.html(404),
        faults.redirect(),
        faults.rate_limited(),
        faults.canned(200, b"{}", applied=False),
        faults.canned(200, CANARY.encode(), applied=False),
    ],
    ids=lambda fault: fault.name,
)
def test_a_read_that_fails_says_so_and_never_that_there_is_nothing(rig: Rig, desk: Desk, fault: Fault) -> None:
    opened = desk.open()
    reads: tuple[Callable[[Provider], Any], ...] = (
        lambda provider: provider.directory(),
        lambda provider: provider.ongoing(desk.directory),
        lambda provider: provider.show(opened.remote_id, ActionKind.UPDATE_INCIDENT),
    )
    for read in reads:
        rig.next_read(fault)
        with pytest.raises(ProviderUnavailable) as caught:
            read(rig.provider(deadline=0.3))
        assert CANARY not in str(caught.value)


def test_threads_may_share_a_provider(rig: Rig, desk: Desk) -> None:
    actions = [desk.action(ActionKind.OPEN_INCIDENT, **{**OPENING, "title": f"No. {n}"}) for n in range(24)]
    outcomes: list[Outcome] = []

    def work(part: list[Action]) -> None:
        outcomes.extend(desk.send(action) for action in part)

    threads = [threading.Thread(target=work, args=(actions[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [outcome.result for outcome in outcomes] == [Result.DONE] * 24
    assert len({outcome.remote_id for outcome in outcomes}) == 24
    ongoing = desk.provider.ongoing(desk.directory)
    assert {incident.name for incident in ongoing} == {action.content.title for action in actions}


def test_somebody_elses_incident_is_listed(rig: Rig, desk: Desk) -> None:
    theirs = rig.person_opens()
    assert [(each.id, each.name) for each in desk.provider.ongoing(desk.directory)] == [(theirs, "Somebody else's")]
