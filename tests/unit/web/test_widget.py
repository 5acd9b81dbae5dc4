"""The widget: asked once whatever the load, open to all, honest about what is old; and the banner that shows it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import httpx
import pytest

from tests.unit.web.site import ADMIN, SUMMARY, Site
from worker.errors import ProviderUnavailable
from worker.web.widget import snapshots

pytestmark = pytest.mark.timeout(60)


def incident(name: str, *components: Mapping[str, str]) -> dict[str, Any]:
    return {"id": name, "name": name, "url": "https://x/i", "affected_components": list(components)}


LOGIN = {"id": "01LOGIN", "name": "Login", "current_status": "full_outage"}
API_EU = {"id": "01API", "name": "API", "group_name": "Europe", "current_status": "partial_outage"}
WELL = {"id": "01SEARCH", "name": "Search", "current_status": "operational"}
TROUBLED = {
    **SUMMARY,
    "ongoing_incidents": [incident("one", LOGIN), incident("two", API_EU, WELL)],
    "scheduled_maintenances": [incident("three", WELL)],
}


class Page:
    """Answers when it is told to, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False
        self.summary: Mapping[str, Any] = SUMMARY

    def __call__(self, name: str) -> Mapping[str, Any]:
        self.asked += 1
        if self.down:
            raise ProviderUnavailable("host.internal: could not be reached")
        return self.summary


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def site(page: Page) -> Iterator[Site]:
    site = Site(admin=ADMIN, summary=page)
    yield site
    site.widget._snapshots._threads.shutdown()


def names(told: httpx.Response, kind: str = "ongoing_incidents") -> list[str]:
    return [each["name"] for each in told.json()[kind]]


async def settled(site: Site) -> None:
    """Wait until nobody asks the page any more."""
    while any(page.flight for page in site.widget._snapshots._pages.values()):
        await asyncio.sleep(0.001)


# -- what is shown


def test_anybody_may_read_it_from_any_site_and_gets_no_cookie(site: Site, page: Page) -> None:
    page.summary = TROUBLED
    told = site.ask("GET", "/widget/main", headers={"origin": "https://shop.example.com", "host": "bridge.example.com"})
    assert (told.status_code, told.json()) == (200, TROUBLED)
    assert told.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in told.headers
    assert "set-cookie" not in told.headers
    assert told.headers["content-type"] == "application/json"
    assert told.headers["x-content-type-options"] == "nosniff"
    asked = site.ask("OPTIONS", "/widget/main", headers={"origin": "https://shop.example.com"})
    assert asked.status_code == 204
    assert "GET" in asked.headers["access-control-allow-methods"]


def test_nobody_can_write_to_it_and_nothing_else_is_there(site: Site) -> None:
    assert site.ask("POST", "/widget/main").status_code == 405
    for path in ("/widget/other", "/widget/", "/widget/main/else", "/widget/main/../../metrics"):
        told = site.ask("GET", path)
        assert told.status_code in (401, 404)
        assert "no-store" in told.headers.get("cache-control", "no-store")


def test_a_page_that_is_not_there_is_not_remembered(site: Site) -> None:
    for number in range(50):
        assert site.ask("GET", f"/widget/none-{number}").status_code == 404
    assert site.widget._snapshots._pages == {}


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("component=Login", ["one"]),
        ("component=login", ["one"]),
        ("component=01LOGIN", ["one"]),
        ("component=Europe%20/%20API", ["two"]),
        ("component=API", ["two"]),
        ("component=Login&component=API", ["one", "two"]),
        ("component=Search", []),
        ("component=", ["one", "two"]),
        ("other=1", ["one", "two"]),
    ],
)
def test_only_what_hurts_a_component_now_is_left(site: Site, page: Page, query: str, left: list[str]) -> None:
    page.summary = TROUBLED
    assert names(site.ask("GET", f"/widget/main?{query}")) == left
    assert page.asked == 1


def test_a_window_counts_although_its_component_is_well_so_far(site: Site, page: Page) -> None:
    page.summary = TROUBLED
    assert names(site.ask("GET", "/widget/main?component=Search"), "scheduled_maintenances") == ["three"]


def test_choices_of_components_cost_a_bounded_amount(site: Site, page: Page) -> None:
    page.summary = TROUBLED

    async def many(client: httpx.AsyncClient) -> None:
        for number in range(snapshots.MOST_PARTS + 10):
            assert (await client.get(f"/widget/main?component=c{number}")).status_code == 200

    site.asks(many)
    known = site.widget._snapshots._pages["main"].known
    assert known is not None
    assert len(known._parts) <= snapshots.MOST_PARTS
    large = snapshots.Snapshot({**TROUBLED, "page_title": "x" * 1024 * 1024}, 0)
    assert len({large.part((f"c{number}",)) for number in range(20)}) == 1
    assert sum(len(body) for body, _ in large._parts.values()) < snapshots.MOST_BYTES + 2 * 1024 * 1024
    assert site.ask("GET", "/widget/main?" + "&".join(f"component=c{n}" for n in range(30))).status_code == 400
    assert site.ask("GET", "/widget/main?component=" + "x" * 3000).status_code == 400


def test_what_has_not_changed_is_not_sent_again(site: Site, page: Page) -> None:
    page.summary = TROUBLED
    first = site.ask("GET", "/widget/main")
    again = site.ask("GET", "/widget/main", headers={"if-none-match": f'W/"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = site.ask("GET", "/widget/main?component=Login", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200
    assert other.headers["etag"] != first.headers["etag"]
    assert site.ask("HEAD", "/widget/main").content == b""


# -- how often the page is asked


def test_the_page_is_asked_once_in_a_while_whatever_the_load(site: Site, page: Page) -> None:
    gate = threading.Event()

    def slow(name: str) -> Mapping[str, Any]:
        page(name)
        assert gate.wait(20)
        return SUMMARY

    site.summary = slow

    async def crowd(client: httpx.AsyncClient) -> list[httpx.Response]:
        asking = [asyncio.create_task(client.get("/widget/main")) for _ in range(50)]
        while not page.asked:
            await asyncio.sleep(0.001)
        gate.set()
        return await asyncio.gather(*asking)

    assert {told.status_code for told in site.asks(crowd)} == {200}
    assert page.asked == 1
    site.elapsed += 29
    assert site.ask("GET", "/widget/main").headers["age"] == "29"
    assert page.asked == 1


def test_what_is_due_is_shown_while_the_next_is_asked_for(site: Site, page: Page) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        fresh = await client.get("/widget/main")
        assert fresh.headers["cache-status"] == "statusbridge; hit; ttl=30"
        assert fresh.headers["cache-control"] == "public, max-age=30, stale-while-revalidate=30, stale-if-error=600"
        page.summary = TROUBLED
        site.elapsed += 31
        due = await client.get("/widget/main")
        assert names(due) == []
        assert (due.headers["age"], due.headers["cache-status"]) == ("31", "statusbridge; hit; ttl=-1")
        await settled(site)
        renewed = await client.get("/widget/main")
        assert names(renewed) == ["one", "two"]
        assert renewed.headers["age"] == "0"

    site.asks(story)
    assert page.asked == 2


def test_who_comes_long_after_anybody_else_gets_what_is_true_now(site: Site, page: Page) -> None:
    site.ask("GET", "/widget/main")
    site.elapsed += 300
    page.summary = TROUBLED
    assert names(site.ask("GET", "/widget/main")) == ["one", "two"]


def test_while_the_page_is_down_what_is_old_is_shown_and_said_to_be_old_up_to_a_limit(site: Site, page: Page) -> None:
    page.summary = TROUBLED
    site.ask("GET", "/widget/main")
    page.down = True
    asked = page.asked
    for _ in range(5):
        site.elapsed += 100
        told = site.ask("GET", "/widget/main")
        assert names(told) == ["one", "two"]
        assert told.headers["age"] == str(int(site.elapsed))
        assert told.headers["cache-status"].endswith("; detail=page-does-not-answer")
        site.ask("GET", "/widget/main")
    assert page.asked == asked + 5
    site.elapsed += 100
    gone = site.ask("GET", "/widget/main")
    assert gone.status_code == 503
    assert gone.headers["retry-after"] == "30"
    assert b"host.internal" not in gone.content
    page.down = False
    site.elapsed += 30
    assert site.ask("GET", "/widget/main").headers["age"] == "0"


def test_a_page_that_never_answered_is_not_asked_more_often_than_one_that_does(site: Site, page: Page) -> None:
    page.down = True
    for _ in range(20):
        told = site.ask("GET", "/widget/main", headers={"origin": "https://x.example.com"})
        assert (told.status_code, told.json()) == (503, {"error": "not known now"})
        assert told.headers["access-control-allow-origin"] == "*"
    assert page.asked == 1


def test_a_fault_of_ours_ends_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Mapping[str, Any]:
        raise ZeroDivisionError

    site.summary = broken
    assert site.ask("GET", "/widget/main").status_code == 503
    site.summary, site.elapsed = (lambda name: SUMMARY), 31
    assert site.ask("GET", "/widget/main").status_code == 200


def test_nobody_waits_longer_for_a_slow_page_than_a_little(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.ask("GET", "/widget/main")
    monkeypatch.setattr(snapshots, "PATIENCE_S", 0.01)
    gate = threading.Event()

    def stuck(name: str) -> Mapping[str, Any]:
        gate.wait(20)
        return TROUBLED

    site.summary, site.elapsed = stuck, 100

    async def story(client: httpx.AsyncClient) -> httpx.Response:
        told = await client.get("/widget/main")
        gate.set()
        await settled(site)
        return told

    assert site.asks(story).headers["age"] == "100"


def test_what_is_shown_and_asked_is_counted(site: Site, page: Page) -> None:
    site.ask("GET", "/widget/main")
    site.ask("GET", "/widget/main")
    page.down, site.elapsed = True, 100
    site.ask("GET", "/widget/main")
    site.elapsed = 1000
    site.ask("GET", "/widget/main")
    assert site.counted("widget_requests", page="main", outcome="hit") == 2
    assert site.counted("widget_requests", page="main", outcome="stale") == 1
    assert site.counted("widget_requests", page="main", outcome="unavailable") == 1
    assert site.counted("widget_fetches", page="main", outcome="done") == 1
    assert site.counted("widget_fetches", page="main", outcome="failed") == 2


# -- the banner


def test_the_banner_is_small_needs_nothing_and_makes_no_markup(site: Site) -> None:
    told = site.ask("GET", "/widget/main/banner.js")
    assert told.status_code == 200
    assert told.headers["content-type"] == "text/javascript; charset=utf-8"
    assert told.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "max-age" in told.headers["cache-control"]
    assert len(told.content) < 12_000
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|import\(", told.text
    )
    again = site.ask("GET", "/widget/main/banner.js", headers={"if-none-match": told.headers["etag"]})
    assert again.status_code == 304


def test_the_demo_page_runs_under_a_strict_policy(site: Site) -> None:
    told = site.ask("GET", "/widget/main/demo")
    assert told.headers["content-type"] == "text/html; charset=utf-8"
    policy = told.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style| style=| on\w+=|<script(?! src)", told.text)


def test_the_banner_and_the_demo_are_part_of_the_package() -> None:
    for name in ("banner.js", "demo.html"):
        assert (files("worker.web.widget") / name).is_file()


def test_summaries_are_plain_json(site: Site, page: Page) -> None:
    page.summary = {**SUMMARY, "page_title": '</script><img src=x onerror="alert(1)">'}
    told = site.ask("GET", "/widget/main")
    assert json.loads(told.content)["page_title"] == page.summary["page_title"]
    assert told.headers["content-type"] == "application/json"
