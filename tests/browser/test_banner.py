"""The banner in Chromium, on a page of another origin that allows it its address and nothing more."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.unit.web.site import ADMIN, SUMMARY, Site, served
from worker.errors import ProviderUnavailable

pytestmark = pytest.mark.slow
HOSTILE = '"><img src=x onerror="document.title=1"><script>document.title=1</script>'


def incident(name: str, component: str, **more: Any) -> dict[str, Any]:
    affected = [{"id": f"id of {component}", "name": component, "current_status": "full_outage"}]
    return {
        "id": name,
        "name": name,
        "url": "https://status.example.com/incidents/1",
        "status": "investigating",
        "last_update_message": "We are looking into it.",
        "current_worst_impact": "full_outage",
        "affected_components": affected,
        **more,
    }


def saying(*incidents: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**SUMMARY, "ongoing_incidents": [*incidents]}


@pytest.fixture
def site() -> Iterator[tuple[Site, str]]:
    """A worker's server whose page says what a test lets it say."""
    made = Site(
        admin=ADMIN, summary=lambda page: saying(incident("Nobody can log in", "Login"), incident("Slow", "API"))
    )
    with served(made) as (host, port):
        yield made, f"http://{host}:{port}"
    made.widget._snapshots._threads.shutdown()


@contextmanager
def shop(worker: str, attributes: str = "", more: str = "") -> Iterator[str]:
    """A web page of somebody else; gives its address."""
    policy = f"default-src 'none'; script-src {worker}; connect-src {worker}; require-trusted-types-for 'script'"
    text = f"""<!doctype html><html lang="en"><title>Shop</title><body><h1>Shop</h1>{more}
        <script src="{worker}/widget/main/banner.js" {attributes} defer></script></body></html>"""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode() if self.path == "/" else b""
            self.send_response(200 if self.path == "/" else 204)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-security-policy", policy)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def shown(page: Any) -> list[str]:
    """The lines of the banner, once it has been filled."""
    return [text.strip() for text in page.locator("section[role=status] li").all_inner_texts()]


def filled(page: Any, address: str) -> None:
    """Open a page, and wait until its banner has asked."""
    with page.expect_response(lambda answer: "/widget/main" in answer.url and "banner" not in answer.url):
        page.goto(address)
    page.wait_for_function("document.querySelector('[data-position]') !== null")
    page.wait_for_timeout(50)


def test_it_shows_on_a_page_of_another_origin_what_hurts_its_component_only(
    stranger: Any, site: tuple[Site, str]
) -> None:
    with shop(site[1], 'data-component="Login"') as address:
        filled(stranger, address)
        stranger.get_by_text("Nobody can log in").wait_for()
        (line,) = shown(stranger)
    assert "Outage · Login: Nobody can log in" in line
    assert "We are looking into it." in line
    link = stranger.get_by_role("link", name="Nobody can log in")
    assert link.get_attribute("href") == "https://status.example.com/incidents/1"
    assert "noopener" in link.get_attribute("rel")
    assert stranger.context.cookies() == []


def test_it_shows_nothing_where_nothing_hurts_its_component(stranger: Any, site: tuple[Site, str]) -> None:
    with shop(site[1], 'data-component="Search"') as address:
        filled(stranger, address)
        assert shown(stranger) == []
        assert stranger.locator("[data-position]").bounding_box()["height"] == 0


def test_what_is_dismissed_stays_so_until_the_page_says_something_else(stranger: Any, site: tuple[Site, str]) -> None:
    made, worker = site
    stranger.route("**/nothing", lambda route: route.continue_())  # with a route, Chromium asks its own cache no more
    with shop(worker) as address:
        filled(stranger, address)
        close = stranger.get_by_role("button", name="Dismiss: Nobody can log in")
        close.press("Enter")
        stranger.get_by_text("Nobody can log in").wait_for(state="detached")
        assert stranger.evaluate("document.querySelector('[data-position]').shadowRoot.activeElement.ariaLabel") == (
            "Dismiss: Slow"
        )
        filled(stranger, address)
        assert [line.partition("\n")[0] for line in shown(stranger)] == ["Outage · API: Slow"]
        made.summary = lambda page: saying(incident("Nobody can log in", "Login", status="identified"))
        made.elapsed += 100
        filled(stranger, address)
        stranger.get_by_text("Nobody can log in").wait_for()


@pytest.mark.parametrize("field", ["name", "id", "url", "status", "last_update_message", "current_worst_impact"])
def test_hostile_words_are_words(stranger: Any, site: tuple[Site, str], field: str) -> None:
    made, worker = site
    word = "javascript:document.title=1" if field == "url" else HOSTILE
    hostile = incident("Trouble", HOSTILE) | {field: word}
    made.summary = lambda page: {**saying(hostile, {"id": 7, "affected_components": "none"}), "page_title": HOSTILE}
    with shop(worker, more=f"<p>{'x' * 10}</p>") as address:
        filled(stranger, address)
        stranger.locator("section[role=status] li").first.wait_for()
        assert HOSTILE in shown(stranger)[0]
        assert stranger.locator("section img, section script, section a[href^=javascript]").count() == 0
        assert stranger.title() == "Shop"


def test_what_is_old_says_so(stranger: Any, site: tuple[Site, str]) -> None:
    made, worker = site
    assert httpx.get(f"{worker}/widget/main", trust_env=False).status_code == 200

    def gone(page: str) -> Mapping[str, Any]:
        raise ProviderUnavailable

    made.summary, made.elapsed = gone, 590
    with shop(worker) as address:
        filled(stranger, address)
        stranger.get_by_text("(last heard 10 min ago)").first.wait_for()


def test_a_page_whose_worker_knows_nothing_is_left_alone(stranger: Any, site: tuple[Site, str]) -> None:
    def gone(page: str) -> Mapping[str, Any]:
        raise ProviderUnavailable

    site[0].summary = gone
    with shop(site[1]) as address:
        filled(stranger, address)
        assert shown(stranger) == []
        assert stranger.get_by_role("heading", name="Shop").is_visible()


def test_it_takes_the_place_the_words_and_the_theme_that_it_is_given(stranger: Any, site: tuple[Site, str]) -> None:
    given = """data-target="#here" data-position="inline" data-theme="dark" data-words='{"full_outage": "Ausfall"}'"""
    with shop(site[1], given, '<div id="here"></div>') as address:
        filled(stranger, address)
        stranger.locator("#here").get_by_text("Ausfall · Login").wait_for()
        ground = stranger.locator("#here li").first.evaluate("each => getComputedStyle(each).backgroundColor")
    assert ground == "rgb(38, 34, 26)"


def test_the_demo_page_shows_it_under_its_own_policy(stranger: Any, site: tuple[Site, str]) -> None:
    filled(stranger, f"{site[1]}/widget/main/demo")
    stranger.get_by_text("Nobody can log in").wait_for()
    assert len(shown(stranger)) == 2
