"""
What the public may ask of the sandbox, without a key: the page, one incident or window, the widget, style and script.

Source: incident.io help pages on the Widget API, read 2026-11-23.
"""

from __future__ import annotations

import re

from worker.sandbox import page as html
from worker.sandbox import widget
from worker.sandbox.model import Incident, Maintenance, Page
from worker.sandbox.state import State
from worker.sandbox.wire import Refused, Reply, Request, json_reply

OPEN_TO_ALL = (("access-control-allow-origin", "*"), ("access-control-allow-methods", "GET, OPTIONS"))
WIDGET_CACHE = ("cache-control", "public, max-age=5")
_PLAIN = "text/plain; charset=utf-8"
_ASSETS = {"/status.css": "text/css; charset=utf-8", "/status.js": "text/javascript; charset=utf-8"}
_POSTING = re.compile(r"/(?:incidents|maintenances)/([0-9A-Z]{1,40})")


def handle(state: State, request: Request) -> Reply:
    """The answer to any request that is not for the API."""
    with state.lock:
        if request.path in _ASSETS:
            return _text(200, html.asset(request.path.strip("/")), _ASSETS[request.path])
        page, rest = _page_of(state, request.path)
        if page is not None and rest == "/api/v1/summary":
            return _widget(state, page, request.method)
        if request.method not in ("GET", "HEAD"):
            return _text(405, "This page can only be read.\n", _PLAIN)
        text = _html(state, page, rest) if page is not None else None
        if text is None:
            return _text(404, "There is no such page here.\n", _PLAIN)
        return _text(200, text, "text/html; charset=utf-8", *html.HEADERS)


def _page_of(state: State, path: str) -> tuple[Page | None, str]:
    """The page that ``path`` lies on, and what is left of the path."""
    slug, _, rest = path.lstrip("/").partition("/")
    by_slug = {page.slug: page for page in state.pages.values()}
    if slug and slug in by_slug:
        return by_slug[slug], f"/{rest}"
    return by_slug.get(""), path


def _html(state: State, page: Page, path: str) -> str | None:
    if path == "/":
        return html.render_page(state, page)
    match = _POSTING.fullmatch(path)
    posting = _posting(state, match[1]) if match else None
    if posting is None or posting.page_id != page.id:
        return None
    return html.render_posting(page, posting)


def _posting(state: State, sought: str) -> Incident | Maintenance | None:
    try:
        if sought in state.maintenances.shelf:
            return state.maintenances.shelf.show(sought)
        return state.incidents.shelf.show(sought)
    except Refused:
        return None


def _widget(state: State, page: Page, method: str) -> Reply:
    if method == "OPTIONS":
        return Reply(status=204, headers=OPEN_TO_ALL)
    if not page.widget:
        return json_reply(404, {"error": "The Widget API is not enabled for this page"}, *OPEN_TO_ALL)
    return json_reply(200, widget.summary(state, page), *OPEN_TO_ALL, WIDGET_CACHE)


def _text(status: int, text: str, kind: str, *headers: tuple[str, str]) -> Reply:
    return Reply(status=status, body=text.encode(), headers=(("content-type", kind), *headers))
