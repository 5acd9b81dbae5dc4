"""The Widget API of a public page: read without the key, believed only where it is one."""

from __future__ import annotations

from typing import Any

import pytest

from worker.core.model import Directory, PublishMode
from worker.core.ruleset import PageConfig
from worker.errors import ProviderUnavailable
from worker.providers.incident_io import IncidentIo
from worker.providers.incident_io.summary import MOST_BYTES, WidgetApi
from worker.sandbox import SandboxServer

from .raw import KEY, NOW, RawPage, answering, response


def asked(url: str) -> Any:
    config = PageConfig(
        name="main",
        provider="incident_io",
        page="Acme",
        api_key=None,
        base_url="http://127.0.0.1:1",
        publish=PublishMode.AUTO,
        components={},
    )
    return IncidentIo(config, KEY, lambda: NOW).summary(
        Directory(page_id="p", name="Acme", public_url=url, components={})
    )


def test_it_is_what_the_public_page_says() -> None:
    with SandboxServer() as server:
        server.state.person_opens("Slow", "We look.", {"Checkout API": "full_outage"}, now=server.now())
        told = asked(server.url)
    assert [each["name"] for each in told["ongoing_incidents"]] == ["Slow"]
    assert told["page_title"] == "Acme Status"


def test_a_page_whose_owner_does_not_want_it_has_none() -> None:
    with SandboxServer() as server:
        server.state.page.widget = False
        with pytest.raises(ProviderUnavailable, match="not enabled"):
            asked(server.url)


def test_an_address_of_the_api_that_is_not_safe_is_not_asked() -> None:
    api = WidgetApi(lambda: NOW, rehearsal=False)
    for url in ("", "http://169.254.169.254", "file:///etc/passwd", "https://user:pass@host.test", "https://"):
        with pytest.raises(ProviderUnavailable, match="public address"):
            api.summary(url)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"<html>hello</html>", "not JSON"),
        (200, b'{"ongoing_incidents": []}', "no list `in_progress_maintenances`"),
        (200, b'{"ongoing_incidents": [1], "in_progress_maintenances": [], "scheduled_maintenances": []}', "no list"),
        (302, b"", "302"),
        (500, b"oops", "500"),
        (200, b"x" * (MOST_BYTES + 1), "200"),
    ],
)
def test_what_is_no_summary_is_not_shown_and_never_gets_the_key(status: int, body: bytes, why: str) -> None:
    with RawPage(answering(response(status, body))) as page:
        with pytest.raises(ProviderUnavailable, match=why):
            asked(page.url)
        (request,) = page.requests
    assert request.startswith(b"GET /api/v1/summary ")
    assert KEY.encode() not in request
    assert b"authorization" not in request.lower()
