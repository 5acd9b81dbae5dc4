"""What every sender is answered over HTTP: by the registry, as in ``test_source``."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract import test_source as contract
from worker.core.model import Inbound
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import Overloaded
from worker.ports import Entry, Host, Inbox
from worker.rehearse.memory import MemoryLedger
from worker.sources import SOURCES
from worker.steps.intake import Endpoint, Intake
from worker.web.hooks import HookEndpoint

LIMIT = 50_000
NOW = contract.NOW


class Full:
    """An inbox that can take no more."""

    def record(self, entry: Entry, done: object) -> None:
        raise Overloaded

    def pending(self, limit: int) -> list[Inbound]:
        return []


@cache
def configured(case: Path) -> tuple[SourceConfig, AuthConfig]:
    """Give a case's source, and how it proves itself: signed, where the kind can."""
    config, kind = contract.config_of(case), contract.kind_of(case)
    scheme = next((each for each in SOURCES[kind].schemes if each in ("hmac", "standard_webhooks")), "")
    auth = contract.auth(kind, scheme or min(SOURCES[kind].schemes.keys() - {"none"}))
    return replace(config, auth=auth), auth


class NoMeter:
    """Counts nothing."""

    def count(self, name: str, by: int = 1, **labels: str) -> None: ...
    def observe(self, name: str, seconds: float, **labels: str) -> None: ...


class Hooks:
    """What answers ``/hooks/…``, as the server asks it, without the rest of the server."""

    def __init__(self, config: SourceConfig, inbox: Inbox | None = None) -> None:
        endpoint = Endpoint(config, SOURCES[config.kind], (contract.SECRET,))
        self.inbox = inbox or MemoryLedger()
        intake = Intake(self.inbox, lambda: {config.name: endpoint}, NoMeter())
        self._app = HookEndpoint(intake, max_body=LIMIT, clock=lambda: NOW, meter=NoMeter(), ring=lambda: None)

    def ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        async def inside() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://worker.test") as client:
                return await client.request(method, address, **more)

        return asyncio.run(inside())


def hooks_for(case: Path, inbox: Inbox | None = None) -> Hooks:
    return Hooks(configured(case)[0], inbox)


def post(hooks: Hooks, inbound: Inbound) -> httpx.Response:
    address = f"/hooks/{inbound.source}" + (f"?{inbound.query}" if inbound.query else "")
    headers = {name: value for name, value in inbound.headers.items() if name != "content-length"}
    return hooks.ask(inbound.method, address, content=inbound.body, headers=headers)


def signed(case: Path) -> Inbound:
    return contract.signed(contract.inbound_of(case), configured(case)[1], contract.SECRET, NOW)


@pytest.mark.parametrize("case", contract.CASES, ids=contract.named)
def test_an_authentic_request_is_answered_202_and_recorded_once(case: Path) -> None:
    said = json.loads((case / "events.json").read_text())
    readable = sum("unreadable" not in event for event in said)
    hooks, inbound = hooks_for(case), signed(case)
    first, again = post(hooks, inbound), post(hooks, inbound)
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["accepted"], first.json()["duplicates"]) == (readable, 0)
    assert first.json().get("unparsed", 0) == len(said) - readable
    told_apart = SOURCES[contract.kind_of(case)].delivery_id(inbound) or all("occurred_at" in event for event in said)
    if readable == len(said) and readable and told_apart:
        assert (again.json()["accepted"], again.json()["duplicates"]) == (0, readable)


@pytest.mark.parametrize("kind", SOURCES)
def test_what_is_not_authentic_too_large_or_too_much_is_answered_so_and_leaves_nothing(kind: str) -> None:
    case = next(case for case in contract.CASES if contract.kind_of(case) == kind)
    inbound, hooks = signed(case), hooks_for(case)
    unsigned = contract.inbound_of(case)
    assert post(hooks, unsigned).status_code == 401
    assert post(hooks, replace(unsigned, headers={**unsigned.headers, "authorization": "Bearer x"})).status_code == 401
    assert post(hooks, replace(inbound, body=b" " * (LIMIT + 1))).status_code == 413
    assert post(hooks, replace(inbound, source="elsewhere")).status_code == 404
    assert hooks.ask("GET", f"/hooks/{inbound.source}").status_code == 405
    assert not hooks.inbox.pending(1)
    full = post(hooks_for(case, Full()), inbound)  # not 429: many senders give up on that
    assert full.status_code == 503
    assert full.headers["retry-after"]


@pytest.mark.parametrize("kind", SOURCES)
def test_what_is_authentic_and_makes_no_sense_is_kept_and_never_refused(kind: str) -> None:
    case = next(case for case in contract.CASES if contract.kind_of(case) == kind)
    hooks = hooks_for(case)
    for body in contract.NONSENSE:
        inbound = replace(contract.inbound_of(case, body), method="POST")
        answer = post(hooks, contract.signed(inbound, configured(case)[1], contract.SECRET, NOW))
        assert answer.status_code == 202, body
        assert answer.json()["accepted"] == 0, body


def test_secrets_in_the_address_are_not_kept_and_the_rest_is() -> None:
    """By ``GET`` the events stand beside the token."""
    kind = "uptime_kuma"
    case = next(case for case in contract.CASES if contract.kind_of(case) == kind and case.name == "down_by_get")
    config = replace(contract.config_for(kind), auth=contract.auth(kind, "path_token"))
    hooks = Hooks(config)
    inbound = contract.signed(contract.inbound_of(case), config.auth, contract.SECRET)
    assert post(hooks, inbound).json()["accepted"] == 1
    (kept,) = hooks.inbox.pending(1)
    assert not re.search(rf"{contract.SECRET}|token=", kept.query)
    assert SOURCES[kind].normalise(kept, config) == contract.said_by(case)


def test_only_a_source_whose_senders_ask_says_that_they_may_send() -> None:
    """By https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md, for any source that knows how."""
    asked = {"webhook-request-origin": "events.example.org", "webhook-request-rate": "100"}
    for kind, source in SOURCES.items():
        hooks = Hooks(replace(contract.config_for(kind), name=kind))
        answer = hooks.ask("OPTIONS", f"/hooks/{kind}", headers=asked)
        if isinstance(source, Host):
            assert answer.status_code == 200
            assert answer.headers["webhook-allowed-origin"] == "events.example.org"
            assert answer.headers["webhook-allowed-rate"] == "*"
            assert "POST" in answer.headers["allow"]
            assert hooks.ask("OPTIONS", f"/hooks/{kind}").status_code == 405, "nobody asked"
        else:
            assert answer.status_code == 405
        assert hooks.ask("OPTIONS", "/hooks/elsewhere", headers=asked).status_code == 405
