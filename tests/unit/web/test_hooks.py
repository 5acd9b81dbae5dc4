"""A hook answers 2xx once what it got is on disk, and says no in bounded time and memory to everything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import httpx
import pytest

from tests.processes import until
from tests.unit.web.site import (
    ADMIN,
    AUTHENTIC,
    LIMIT,
    NOW,
    TOKEN,
    HeldInbox,
    Site,
    Unavailable,
    alerts,
    answer,
    connected,
    head,
    served,
)
from worker.errors import LedgerUnavailable
from worker.ledger import open_ledger
from worker.rehearse.memory import MemoryLedger
from worker.web import server

pytestmark = pytest.mark.timeout(60)


def held(site: Site) -> HeldInbox:
    """The inbox of a site that answers when it is told to."""
    assert isinstance(site.inbox, HeldInbox)
    return site.inbox


# -- what is accepted


def test_what_was_accepted_is_counted_in_the_answer() -> None:
    site = Site()
    told = site.post(alerts("a", "b"))
    assert (told.status_code, told.json()) == (202, {"accepted": 2, "duplicates": 0})
    assert told.headers["content-type"] == "application/json"
    assert site.rings == 1


def test_a_repeat_without_stamps_is_accepted_again() -> None:
    site = Site()
    site.post(alerts("a", "b"))
    assert site.post(alerts("a", "b")).json() == {"accepted": 2, "duplicates": 0}


@pytest.mark.parametrize("body", [b"", b"not json", b"{}", b"[]", b"\xff\xfe", b"[" * 900], ids=str)
def test_a_body_that_is_not_understood_is_kept_and_answered_202(body: bytes) -> None:
    site = Site()
    told = site.post(body)
    assert (told.status_code, told.json()) == (202, {"accepted": 0, "duplicates": 0, "unparsed": 1})
    assert isinstance(site.inbox, MemoryLedger)
    assert [inbound.body for inbound in site.inbox.pending(10)] == [body]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "garbage", ""]
)
def test_the_content_type_is_not_asked_for(kind: str) -> None:
    site = Site()
    body = json.dumps(alerts("a")).encode()
    told = site.ask("POST", "/hooks/alerts", content=body, headers={**AUTHENTIC, "content-type": kind})
    assert told.json() == {"accepted": 1, "duplicates": 0}


def test_put_is_taken_and_get_is_not() -> None:
    site = Site()
    assert site.ask("PUT", "/hooks/open", json=alerts("a")).status_code == 202
    assert site.ask("GET", "/hooks/open").status_code == 405
    assert site.rings == 1


def test_an_inbound_is_kept_as_it_came() -> None:
    site = Site(inbox=HeldInbox())

    async def work(client: httpx.AsyncClient) -> None:
        headers = [("X-One", "a"), ("x-one", "b"), ("X-Two", "caf\u00e9".encode("latin-1"))]
        task = asyncio.create_task(client.put("/hooks/open?a=1&b=%20", content=b"{ }", headers=headers))
        while not held(site).waiting:
            await asyncio.sleep(0)
        inbound = held(site).waiting[0][0].inbound
        assert inbound.body == b"{ }"
        assert (inbound.method, inbound.query, inbound.source) == ("PUT", "a=1&b=%20", "open")
        assert (inbound.headers["x-one"], inbound.headers["x-two"]) == ("a, b", "caf\u00e9")
        assert (inbound.received_at, inbound.seq) == (NOW, 0)
        held(site).settle()
        await task

    site.asks(work)


# -- never before it is on disk


def test_nobody_is_answered_before_the_commit() -> None:
    site = Site(inbox=HeldInbox())

    async def work(client: httpx.AsyncClient) -> None:
        tasks = [asyncio.create_task(client.post("/hooks/open", json=alerts(str(n)))) for n in range(3)]
        while len(held(site).waiting) < 3:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        assert site.rings == 0
        held(site).settle()
        assert [task.status_code for task in await asyncio.gather(*tasks)] == [202, 202, 202]

    site.asks(work)
    assert site.rings >= 1


def test_a_real_ledger_has_the_inbound_when_the_sender_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}", clock=lambda: NOW)
    try:
        site = Site(inbox=ledger)
        gate, inside = threading.Event(), threading.Event()
        blocked = threading.Thread(target=lambda: ledger._database.write(lambda _: (inside.set(), gate.wait(20))))
        blocked.start()
        assert inside.wait(10)

        async def work(client: httpx.AsyncClient) -> httpx.Response:
            task = asyncio.create_task(client.post("/hooks/open", json=alerts("a")))
            done, _ = await asyncio.wait([task], timeout=0.2)
            assert not done, "answered while the disk was busy with something else"
            gate.set()
            return await task

        assert site.asks(work).status_code == 202
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as reader:
            assert reader.execute("SELECT count(*) FROM inbound").fetchone() == (1,)
        reader.close()
        blocked.join()
    finally:
        ledger.close()


def test_a_commit_that_fails_is_503_and_never_2xx() -> None:
    for failure in (LedgerUnavailable("disk full"), ValueError("cannot be stored"), OSError("gone")):
        site = Site(inbox=HeldInbox())

        async def work(client: httpx.AsyncClient, site: Site = site, failure: Exception = failure) -> httpx.Response:
            task = asyncio.create_task(client.post("/hooks/open", json=alerts("a")))
            while not held(site).waiting:
                await asyncio.sleep(0)
            held(site).settle(failure)
            return await task

        told = site.asks(work)
        assert (told.status_code, told.headers["retry-after"]) == (503, "5")
        assert site.counted("inbounds_refused", reason="LedgerUnavailable") == 1


def test_many_are_answered_by_one_commit() -> None:
    site = Site(inbox=HeldInbox())

    async def work(client: httpx.AsyncClient) -> list[int]:
        tasks = [asyncio.create_task(client.post("/hooks/open", json=alerts(str(n)))) for n in range(200)]
        while len(held(site).waiting) < 200:
            await asyncio.sleep(0)
        held(site).settle()
        return [told.status_code for told in await asyncio.gather(*tasks)]

    assert site.asks(work) == [202] * 200


def test_a_sender_that_gave_up_does_not_keep_the_answer_from_the_others() -> None:
    site = Site(inbox=HeldInbox())

    async def work(client: httpx.AsyncClient) -> list[int]:
        tasks = [asyncio.create_task(client.post("/hooks/open", json=alerts(str(n)))) for n in range(3)]
        while len(held(site).waiting) < 3:
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        held(site).settle()
        return [told.status_code for told in await asyncio.wait_for(asyncio.gather(*tasks[1:]), 5)]

    assert site.asks(work) == [202, 202]


# -- what is refused


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
    ],
)
def test_what_is_not_authentic_is_401_counted_and_not_kept(headers: dict[str, str]) -> None:
    site = Site()
    told = site.ask("POST", "/hooks/alerts", json=alerts("a"), headers=headers)
    assert (told.status_code, told.json()) == (401, {"error": "not authentic"})
    assert site.counted("inbounds_refused", reason="SignatureInvalid") == 1
    assert isinstance(site.inbox, MemoryLedger)
    assert site.inbox.totals()["inbounds"] == 0
    assert site.rings == 0


@pytest.mark.parametrize("path", ["/hooks/nobody", "/hooks/%00", "/hooks/%ff%fe", "/hooks/" + "x" * 3000])
def test_an_unknown_source_is_404(path: str) -> None:
    site = Site()
    assert site.ask("POST", path, json=alerts("a"), headers=AUTHENTIC).status_code == 404


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks/alerts/more", "/hooks/a%2Fb"])
def test_what_is_no_hook_is_404(path: str) -> None:
    assert Site().ask("POST", path, json={}, headers=AUTHENTIC).status_code == 404


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_413() -> None:
    site = Site()
    assert site.post(b" " * LIMIT).status_code == 202
    told = site.post(b" " * (LIMIT + 1))
    assert (told.status_code, told.json()) == (413, {"error": "body too large"})
    assert site.counted("inbounds_refused", reason="InboundTooLarge") == 1


def test_too_large_is_said_before_anything_is_verified() -> None:
    told = Site().ask("POST", "/hooks/alerts", content=b" " * (LIMIT + 1))
    assert told.status_code == 413


def test_a_full_backlog_is_503_with_a_time_to_come_back() -> None:
    site = Site(inbox=MemoryLedger(most_pending=1))
    assert site.post(alerts("a")).status_code == 202
    told = site.post(alerts("b"))
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert site.counted("inbounds_refused", reason="Overloaded") == 1


def test_a_ledger_that_is_gone_is_503_with_a_time_to_come_back() -> None:
    site = Site(inbox=Unavailable())
    told = site.post(alerts("a"))
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert "disk" not in told.text


# -- over a socket


def test_a_content_length_beyond_the_limit_is_413_before_the_body_is_sent() -> None:
    site = Site()
    with served(site) as address, connected(address) as wire:
        wire.sendall(head(content_length=str(LIMIT + 1)))
        assert answer(wire)[0] == 413
    assert site.counted("inbounds_refused", reason="InboundTooLarge") == 1


def test_a_chunked_body_beyond_the_limit_is_413_before_it_ends() -> None:
    site = Site()
    with served(site) as address, connected(address) as wire:
        wire.sendall(head(transfer_encoding="chunked"))
        for _ in range(3):
            wire.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
        assert answer(wire)[0] == 413


def test_a_chunked_body_within_the_limit_is_read_whole() -> None:
    site = Site()
    body = json.dumps(alerts("a")).encode()
    with served(site) as address, connected(address) as wire:
        wire.sendall(head(transfer_encoding="chunked"))
        for start in range(0, len(body), 7):
            part = body[start : start + 7]
            wire.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        wire.sendall(b"0\r\n\r\n")
        assert answer(wire) == (202, b'{"accepted":1,"duplicates":0}')


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000, "-1", "1e3", " 12 x"])
def test_an_absurd_content_length_is_a_4xx_and_kept_by_nobody(length: str) -> None:
    site = Site()
    with served(site) as address:
        with connected(address) as wire:
            wire.sendall(head(content_length=length))
            assert 400 <= answer(wire)[0] < 500
        with connected(address) as wire:
            wire.sendall(head(content_length="2") + b"{}")
            assert answer(wire)[0] == 202


def test_an_absurd_content_length_is_413_whatever_the_server_lets_through() -> None:
    told = Site().ask("POST", "/hooks/open", content=b"{}", headers={"content-length": "9" * 5000})
    assert told.status_code == 413


def test_a_sender_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind() -> None:
    site = Site()
    with served(site) as address:
        for framing in ({"content_length": "500"}, {"transfer_encoding": "chunked"}):
            with connected(address) as wire:
                wire.sendall(head(**framing) + b'{"alerts":')
        with connected(address) as wire:
            wire.sendall(head(content_length="2") + b"{}")
            assert answer(wire)[0] == 202
    assert isinstance(site.inbox, MemoryLedger)
    assert site.inbox.totals()["inbounds"] == 1
    assert site.rings == 1


def test_a_sender_that_leaves_before_its_answer_is_recorded_all_the_same() -> None:
    site = Site(inbox=HeldInbox())
    body = json.dumps(alerts("a")).encode()
    with served(site) as address:
        with connected(address) as wire:
            wire.sendall(head(content_length=str(len(body))) + body)
            until(lambda: held(site).waiting, "the entry")
        held(site).settle()
        until(lambda: site.rings, "the bell")
        with connected(address) as wire:
            wire.sendall(head("/healthz", "GET"))
            assert answer(wire)[0] == 200


def test_two_requests_on_one_connection_are_two_inbounds() -> None:
    site = Site()
    with served(site) as address, connected(address) as wire:
        for name in "ab":
            body = json.dumps(alerts(name)).encode()
            wire.sendall(head(content_length=str(len(body))) + body)
            assert answer(wire) == (202, b'{"accepted":1,"duplicates":0}')
    assert site.rings == 2


def test_expect_100_is_not_answered_with_go_on_where_the_body_would_be_too_large() -> None:
    site = Site()
    with served(site) as address, connected(address) as wire:
        wire.sendall(head(content_length=str(LIMIT + 1), expect="100-continue"))
        assert answer(wire)[0] == 413


# -- secrets


@pytest.mark.parametrize("admin", ["", ADMIN])
def test_no_secret_is_in_any_answer_metric_or_log(
    admin: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from worker.telemetry import set_up_logs

    set_up_logs("json", "debug")
    shown: list[str] = []
    for inbox in (MemoryLedger(), MemoryLedger(most_pending=0), Unavailable()):
        site = Site(inbox=inbox, admin=admin)
        for body in (alerts("a"), b"not json", b" " * (LIMIT + 1)):
            told = site.post(body)
            shown += [told.text, str(told.headers)]
        for path in ("/hooks/nobody", f"/hooks/{TOKEN[:5]}", "/metrics", "/readyz", "/api/v1/openapi.json"):
            told = site.ask("POST", path, headers={**AUTHENTIC, "x": ADMIN}, content=b"{}")
            shown += [told.text, str(told.headers), site.ask("GET", path, headers=AUTHENTIC).text]
        shown.append(site.meter.exposition().decode())
    captured = capfd.readouterr()
    everything = "".join([*shown, captured.out, captured.err, caplog.text])
    assert "statusbridge_inbounds_refused" in everything
    assert TOKEN not in everything
    assert ADMIN not in everything


# -- senders that are slow, and heads that do not end


@pytest.mark.parametrize("begun", [b"", b"POST /hooks/alerts HT", head(content_length="500") + b"{"])
def test_a_request_that_does_not_arrive_in_time_is_closed(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(server, "RECEIVE_S", 0.2)
    site = Site()
    with served(site) as address, connected(address) as wire:
        wire.sendall(begun)
        assert answer(wire)[0] == 408
        assert wire.recv(1) == b""
    assert site.inbox.totals()["inbounds"] == 0


def test_a_drip_does_not_buy_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RECEIVE_S", 0.3)
    with served(Site()) as address, connected(address) as wire:
        wire.sendall(head()[:-2])
        with pytest.raises(OSError):  # noqa: PT012 - which of the bytes finds it closed is chance
            for _ in range(1000):
                wire.sendall(b"x-drip: 1\r\n")
                threading.Event().wait(0.01)


def test_who_waits_for_an_answer_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RECEIVE_S", 0.1)
    inbox = HeldInbox()
    with served(Site(inbox)) as address, connected(address) as wire:
        body = json.dumps(alerts("a")).encode()
        wire.sendall(head(content_length=str(len(body))) + body)
        until(lambda: inbox.waiting, "the inbox")
        threading.Event().wait(0.4)
        inbox.settle()
        assert answer(wire)[0] == 202


@pytest.mark.parametrize("line", [b"x-long: " + b"y" * 5000 + b"\r\n", b"a: b\r\n" * 700])
def test_a_head_without_end_is_431(line: bytes) -> None:
    with served(Site()) as address, connected(address) as wire:
        wire.sendall(head()[:-2])
        with contextlib.suppress(OSError):
            for _ in range(200):
                wire.sendall(line)
        with contextlib.suppress(ConnectionResetError):
            assert answer(wire)[0] in (400, 431)


def test_a_body_is_not_taken_for_a_long_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_HEAD", 400)
    with served(Site()) as address, connected(address) as wire:
        for _ in range(3):
            top = head(content_length="1900")
            wire.sendall(top + b" " * 300)
            wire.sendall(b" " * 1600)
            assert answer(wire)[0] == 202
