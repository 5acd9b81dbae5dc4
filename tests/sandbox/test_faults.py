"""Faults do to a real client, over TCP, what they say; and the log tells what happened."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from worker.errors import ConfigError
from worker.sandbox import DEFAULT_KEY, Fault, Faults, Request, SandboxServer, faults

from .desk import START, Clock, Desk

PATH = "/v2/status_page_incidents"


class Client:
    """A plain HTTP client with the right key that creates one incident per call."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.sent = 0

    def create(self, timeout: float = 5) -> httpx.Response:
        self.sent += 1
        body = {
            "status_page_id": self.server.state.page.id,
            "idempotency_key": f"key-{self.sent}",
            "name": "Trouble",
            "message": "We look into it.",
            "incident_status": "investigating",
            "notify_subscribers": False,
        }
        headers = {"Authorization": f"Bearer {DEFAULT_KEY}", "Connection": "close"}
        return httpx.post(self.server.url + PATH, json=body, headers=headers, timeout=timeout)

    @property
    def incidents(self) -> int:
        return len(self.server.state.incidents.shelf.all())


@pytest.fixture
def client(server: SandboxServer) -> Client:
    return Client(server)


def test_what_a_client_sees_and_what_the_page_did(server: SandboxServer, client: Client) -> None:
    """One row per fault: the exception or status that the client sees, and the number of new incidents."""
    lost: Any = (httpx.RemoteProtocolError, httpx.ReadError)
    rows: list[tuple[Fault, Any, int]] = [
        (faults.error(applied=False), 503, 0),
        (faults.error(500, applied=True), 500, 1),
        (faults.drop(applied=False), lost, 0),
        (faults.drop(applied=True), lost, 1),
        (faults.hang(applied=True), httpx.ReadTimeout, 1),
        (faults.truncated(), lost, 1),
        (faults.rate_limited(), 429, 0),
        (faults.redirect(), 307, 0),
        (faults.html(), 200, 1),
        (faults.html(502, applied=False), 502, 0),
        (faults.canned(201, b"[]", applied=False), 201, 0),
    ]
    for fault, sees, makes in rows:
        before = client.incidents
        server.faults.next("POST", PATH, fault)
        if isinstance(sees, int):
            assert client.create().status_code == sees, fault
        else:
            with pytest.raises(sees):
                client.create(timeout=0.3)
        assert client.incidents - before == makes, fault
    assert client.create().status_code == 201
    log = server.state.requests
    assert [record.fault for record in log] == [fault.name for fault, _, _ in rows] + [""]
    assert [bool(record.applied_at) for record in log] == [bool(makes) for _, _, makes in rows] + [True]
    assert [record.connection for record in log] == list(range(1, len(rows) + 2))


def test_a_late_request_takes_effect_by_the_clock(server: SandboxServer, client: Client, clock: Clock) -> None:
    server.faults.next("POST", PATH, faults.late(30))
    with pytest.raises(httpx.TransportError):
        client.create()
    clock.pass_(29)
    httpx.get(server.url)
    assert client.incidents == 0
    clock.pass_(1)
    httpx.get(server.url)
    assert client.incidents == 1
    assert server.state.requests[0].applied_at == START + timedelta(seconds=30)


def test_late_requests_and_automation_happen_in_order(desk: Desk, clock: Clock) -> None:
    made = desk.new_window(automate_maintenance_status=True)["status_page_maintenance"]["id"]
    desk.faults.next("POST", "maintenance_updates", faults.late(3610), faults.late(3590))
    for message in ("after the start", "before the start"):
        body = {"status_page_maintenance_id": made, "message": message, "notify_subscribers": False}
        assert desk.ask("POST", "/v2/status_page_maintenance_updates", body) is None
    clock.pass_(7000)
    shown = desk.get(f"/v2/status_page_maintenances/{made}")["status_page_maintenance"]
    assert [(update["message"], update["maintenance_status"]) for update in shown["updates"]] == [
        ("We will be back soon.", "maintenance_scheduled"),
        ("before the start", "maintenance_scheduled"),
        ("Scheduled maintenance is now in progress.", "maintenance_in_progress"),
        ("after the start", "maintenance_in_progress"),
    ]


def test_a_slow_answer_is_served_even_if_nobody_waits(server: SandboxServer, client: Client) -> None:
    server.faults.next("POST", PATH, faults.slow(0.3))
    with pytest.raises(httpx.ReadTimeout):
        client.create(timeout=0.1)
    server.faults.next("GET", PATH, faults.slow(0.4))
    headers = {"Authorization": f"Bearer {DEFAULT_KEY}"}
    httpx.get(server.url + PATH, params={"status_page_id": server.state.page.id}, headers=headers)
    assert client.incidents == 1


@pytest.mark.parametrize("kind", ["seconds", "date", "body", "absurd", "missing"])
def test_a_rate_limit_says_when_in_the_way_asked_for(desk: Desk, kind: Any) -> None:
    desk.faults.next("GET", "/v2/", faults.rate_limited(kind, 30))
    reply = desk.ask("GET", "/v2/status_pages")
    assert reply is not None
    assert reply.status == 429
    told = dict(reply.headers).get("retry-after")
    retry_at = START + timedelta(seconds=30)
    if kind == "seconds":
        assert told == "30"
    elif kind == "date":
        assert told is not None
        assert parsedate_to_datetime(told) == retry_at
    elif kind == "absurd":
        assert told is not None
        assert int(told) > 10**9
    else:
        assert told is None
    assert (b"retry_after" in reply.body) is (kind == "body")


def test_plans_meet_the_requests_they_fit_in_order(desk: Desk) -> None:
    desk.faults.next("POST", "incident_updates$", faults.drop(applied=False))
    desk.faults.next("*", "status_pages", faults.error(500, applied=False), faults.error(502, applied=False))
    desk.new_incident()
    asked = [desk.ask("GET", "/v2/status_pages") for _ in range(3)]
    assert [reply.status for reply in asked if reply] == [500, 502, 200]


def test_chance_is_the_same_for_the_same_seed() -> None:
    def draw(seed: int) -> list[str]:
        by_chance = Faults.parse(["drop-applied=0.2", "late:45=0.1"], seed)
        picked = [by_chance.pick(Request(method="POST", path=PATH)) for _ in range(2000)]
        return [fault.name if fault else "" for fault in picked]

    names = draw(7)
    assert names == draw(7) != draw(8)
    assert 320 < names.count("drop-applied") < 480
    assert 140 < names.count("late") < 260


def test_chance_leaves_the_public_page_alone() -> None:
    always = Faults.parse(["drop-applied=1"])
    assert always.pick(Request(method="GET", path="/")) is None
    assert always.pick(Request(method="GET", path="/v2/status_pages")) is not None


@pytest.mark.parametrize("options", [["gremlins=0.1"], ["late:x=0.1"], ["slow=2"], ["slow=0.6", "late=0.6"]])
def test_a_wrong_fault_option_is_told(options: list[str]) -> None:
    with pytest.raises(ConfigError, match="fault"):
        Faults.parse(options)


def test_the_log_knows_bytes_and_concurrency_but_no_secret(server: SandboxServer, client: Client) -> None:
    server.faults.next("POST", PATH, *[faults.slow(0.3)] * 3)
    threads = [threading.Thread(target=client.create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.state.max_live_writes == 3
    assert server.state.live_writes == 0
    records = server.state.requests
    assert sorted(record.live_writes for record in records) == [1, 2, 3]
    assert all(record.sha256 == hashlib.sha256(record.body).hexdigest() for record in records)
    assert all(record.outcome == "answered" and record.status == 201 for record in records)
    assert "sandbox-key" not in repr(records)


def test_answers_are_dated_by_the_sandboxs_clock(server: SandboxServer, clock: Clock) -> None:
    clock.pass_(90)
    told: datetime = parsedate_to_datetime(httpx.get(server.url).headers["date"])
    assert told == START + timedelta(seconds=90)


def test_a_key_can_be_revoked_while_it_runs(server: SandboxServer, client: Client) -> None:
    assert client.create().status_code == 201
    server.state.api_key = "another"
    assert client.create().status_code == 401
