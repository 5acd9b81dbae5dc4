"""Health, metrics, and who may ask for them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.unit.web.site import ADMIN, LIMIT, HeldInbox, Site, alerts, answer, connected, head, served
from worker.errors import LedgerUnavailable

pytestmark = pytest.mark.timeout(60)
ALLOWED = {"authorization": f"Bearer {ADMIN}"}


def test_health_and_readiness_are_good_while_nothing_is_wrong() -> None:
    site = Site()
    for path in ("/healthz", "/readyz"):
        told = site.ask("GET", path)
        assert (told.status_code, told.json()) == (200, {"status": "ok"})


def test_what_keeps_it_from_its_work_makes_it_unready_but_not_dead() -> None:
    site = Site(missing={"page main": "cannot be reached"})
    assert site.ask("GET", "/healthz").status_code == 200
    told = site.ask("GET", "/readyz")
    assert told.status_code == 503
    assert told.json() == {"status": "failing", "wrong": {"page main": "cannot be reached"}}


def test_a_dead_part_makes_it_neither_well_nor_ready() -> None:
    site = Site(wrong={"react": "not running"})
    assert [site.ask("GET", path).status_code for path in ("/healthz", "/readyz")] == [503, 503]
    assert site.ask("GET", "/readyz").json()["wrong"] == {"react": "not running"}


def test_metrics_are_prometheus_text() -> None:
    site = Site()
    site.post(alerts("a"))
    told = site.ask("GET", "/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'statusbridge_inbounds_total{outcome="accepted",source="alerts"} 1.0' in told.text


def test_metrics_are_still_given_while_the_ledger_is_gone() -> None:
    site = Site()

    def totals() -> dict[str, int]:
        raise LedgerUnavailable("disk is gone")

    site.meter.watch(lambda: {"inbounds": 3})
    assert "statusbridge_ledger_inbounds 3.0" in site.ask("GET", "/metrics").text
    site = Site()
    site.meter.watch(totals)
    site.post(alerts("a"))
    told = site.ask("GET", "/metrics")
    assert told.status_code == 200
    assert "statusbridge_inbounds_total" in told.text


# -- the admin token


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/openapi.json", "/nowhere", "/", "/hooksx", "/metrics/"])
def test_everything_but_hooks_and_health_asks_for_the_token(path: str) -> None:
    site = Site(admin=ADMIN)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": ADMIN}, {"authorization": "Bearer "}):
        told = site.ask("GET", path, headers=headers)
        assert (told.status_code, told.headers["www-authenticate"]) == (401, "Bearer")
    assert site.ask("GET", path, headers=ALLOWED).status_code != 401


def test_hooks_and_health_ask_for_no_admin_token() -> None:
    site = Site(admin=ADMIN)
    assert site.post(alerts("a")).status_code == 202
    assert [site.ask("GET", path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_without_a_token_nothing_asks_for_it() -> None:
    assert Site().ask("GET", "/metrics").status_code == 200


@pytest.mark.parametrize("token", ["p\u00e4ssw\u00f6rd", "\u043f\u0430\u0440\u043e\u043b\u044c"])
def test_a_token_that_is_not_ascii_lets_its_holder_in(token: str) -> None:
    site = Site(admin=token)
    assert site.ask("GET", "/metrics", headers={"authorization": f"Bearer {token}".encode()}).status_code == 200
    assert site.ask("GET", "/metrics", headers={"authorization": b"Bearer \xff\xfe"}).status_code == 401


@pytest.mark.parametrize(
    "host", ["x/hooks/", "worker.test/healthz?", "x/readyz#", "[::1", "worker.test:99999", "\u00ff"]
)
def test_no_host_header_opens_what_the_token_guards(host: str) -> None:
    site = Site(admin=ADMIN)
    with served(site) as address, connected(address) as wire:
        wire.sendall(b"GET /metrics HTTP/1.1\r\nhost: " + host.encode("latin-1") + b"\r\n\r\n")
        assert answer(wire)[0] in (400, 401)


@pytest.mark.parametrize(
    "path", ["/hooks/../metrics", "//metrics", "/healthz/../metrics", "/readyz/..%2fmetrics", "/./metrics"]
)
def test_no_detour_leads_to_what_the_token_guards(path: str) -> None:
    site = Site(admin=ADMIN)
    with served(site) as address, connected(address) as wire:
        wire.sendall(head(path, "GET"))
        status, body = answer(wire)
    assert status in (400, 401, 404, 405)
    assert b"statusbridge_" not in body


def test_behind_the_token_hooks_keep_their_limits_and_wait_for_the_disk() -> None:
    site = Site(admin=ADMIN, inbox=HeldInbox())
    assert site.ask("POST", "/hooks/open", content=b" " * (LIMIT + 1)).status_code == 413

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        task = asyncio.create_task(client.post("/hooks/open", json=alerts("a")))
        while not site.inbox.waiting:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done()
        site.inbox.settle()  # type: ignore[attr-defined]
        return await task

    assert site.asks(work).status_code == 202


def test_behind_the_token_a_sender_that_leaves_in_the_middle_leaves_nothing_behind() -> None:
    site = Site(admin=ADMIN)
    with served(site) as address:
        with connected(address) as wire:
            wire.sendall(head(content_length="500") + b'{"alerts":')
        with connected(address) as wire:
            wire.sendall(head(transfer_encoding="chunked"))
            for _ in range(3):
                wire.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
            assert answer(wire)[0] == 413
    assert site.rings == 0


def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    site = Site(admin=ADMIN)
    site.wrong = None  # type: ignore[assignment]
    told = site.ask("GET", "/readyz")
    assert told.status_code == 500
    assert told.text == "Internal Server Error"
