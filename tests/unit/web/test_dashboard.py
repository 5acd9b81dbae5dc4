"""The dashboard: each view shows what there is, whatever that is; each form does what it says, and loses nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.web.shelf import OPEN, WAITS, WINDOW, filled
from tests.unit.web.site import ADMIN, NOW, Site
from tests.unit.web.test_session import session, word
from worker.core.approval import approval_hash
from worker.core.commands import Approve, Command, Dismiss, Done, Pause, ScheduleWindow
from worker.core.ruleset import ComponentRef, PageConfig, PublishMode, RuleSet
from worker.errors import CommandRefused, LedgerUnavailable
from worker.web.render import link

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>{{ 7*7 }}"
PAGE = PageConfig(
    name="main",
    provider="p",
    page="Acme",
    api_key=None,
    base_url="",
    publish=PublishMode.AUTO,
    components={"api": ComponentRef(name="API"), "web": ComponentRef(name="Web")},
)
RULES = RuleSet(pages={"main": PAGE}, sources={}, rules=(), notices=(), hash="f" * 64, warnings=[HOSTILE])
VIEWS = (
    "/",
    link("/post", of=WAITS),
    link("/story", of=OPEN),
    link("/story", of=WINDOW),
    "/history",
    "/events",
    "/events/1",
    "/events/2",
    "/rules",
    "/maintenance",
    "/charts",
    "/charts?days=30",
    "/notices",
)


def site(text: str = "text", **more: Any) -> Site:
    return Site(inbox=filled(text), rules=RULES, clock=lambda: NOW + timedelta(minutes=1), admin=ADMIN, **more)


class Tags(HTMLParser):
    """What a browser would make of a page: its elements, and that each is closed."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "line", "rect", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert not tags.open
    return tags


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_hostile_text_as_text(view: str) -> None:
    hostile = site(HOSTILE)
    page = hostile.ask("GET", view, headers=session(hostile))
    assert page.status_code == 200
    tags = read(page.text)
    assert {name for name, _ in tags.found}.isdisjoint({"img", "iframe", "object", "base", "style"})
    assert [about for name, about in tags.found if name == "script"] == [{"src": "/static/app.js", "defer": None}]
    assert not [name for _, about in tags.found for name in about if name.startswith("on") or name == "style"]
    assert "49" not in re.sub(r"\d{2,}[-:.]\d+", "", page.text) or "{{ 7*7 }}" in unescape(page.text)
    assert HOSTILE in unescape(page.text) or view.startswith(("/charts", "/events/2"))


@pytest.mark.parametrize("view", VIEWS)
def test_each_control_has_a_name_and_each_id_is_there_once(view: str) -> None:
    plain = site()
    text = plain.ask("GET", view, headers=session(plain)).text
    tags = read(text)
    ids = [about["id"] for _, about in tags.found if "id" in about]
    assert len(ids) == len(set(ids))
    assert text.count("<h1") == 1
    for name, about in tags.found:
        if name == "svg":
            assert about.get("aria-label") or about.get("aria-hidden")
        if "aria-labelledby" in about:
            assert about["aria-labelledby"] in ids


def test_what_is_filtered_stays_in_the_address_and_in_the_form() -> None:
    shown = site()
    browser = session(shown)
    page = shown.ask("GET", "/history?text=message&state=awaiting_approval&page=main", headers=browser).text
    assert link("/post", of=WAITS) in page
    assert link("/post", of=f"{OPEN}/2") not in page
    assert 'name="text" value="message"' in page
    assert '<option value="awaiting_approval" selected>' in page


# -- to approve


def approval(shown: Site, browser: dict[str, str], query: str = "") -> dict[str, str]:
    """The fields of the form that approves."""
    page = shown.ask("GET", link("/post", of=WAITS) + query, headers=browser).text
    form = re.search(r'<form method="post" action="/act/approve".*?</form>', page, re.DOTALL)
    assert form
    return {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form[0])}


def test_a_post_is_shown_with_its_words_its_effect_and_what_approving_binds() -> None:
    shown = site()
    browser = session(shown)
    page = shown.ask("GET", link("/post", of=WAITS), headers=browser).text
    for part in ("title text", "message text", "operational", "full outage", "are mailed"):
        assert part in page
    (line,) = [line for line in shown.inbox.history() if line.action.id == WAITS]  # type: ignore[attr-defined]
    fields = approval(shown, browser)
    assert (fields["action"], fields["hash"]) == (WAITS, approval_hash(line.action))
    assert "text" not in fields


def test_other_words_are_previewed_and_then_approved() -> None:
    taken: list[Command] = []
    shown = site(run=lambda command: taken.append(command) or Done(said=("it goes out",)))
    browser = session(shown)
    query = "&title=title+text&text=Payments+fail.%0D%0A%0D%0A**Sorry.**"
    page = shown.ask("GET", link("/post", of=WAITS) + query, headers=browser).text
    assert "edited by you" in page
    assert "<strong>Sorry.</strong>" in page
    reply = shown.ask("POST", "/act/approve", data=approval(shown, browser, query), headers=browser)
    assert reply.status_code == 303
    (command,) = taken
    assert isinstance(command, Approve)
    assert (command.by, command.action, command.title) == ("ann", WAITS, "")
    assert command.text == "Payments fail.\n\n**Sorry.**"


def test_what_was_refused_is_told_once_and_what_was_written_is_there_again() -> None:
    def refusing(command: Command) -> Done:
        raise CommandRefused("it is <b>replaced</b> already")

    shown = site(run=refusing)
    browser = session(shown)
    query = "&text=my+own+words"
    reply = shown.ask("POST", "/act/approve", data=approval(shown, browser, query), headers=browser)
    assert reply.status_code == 303
    assert parse_qs(urlsplit(reply.headers["location"]).query)["text"] == ["my own words"]
    jar = browser | {"cookie": f"{browser['cookie']}; statusbridge_said={reply.cookies['statusbridge_said']}"}
    page = shown.ask("GET", reply.headers["location"], headers=jar)
    assert "it is &lt;b&gt;replaced&lt;/b&gt; already" in page.text
    assert page.status_code == 200
    assert 'statusbridge_said=""' in page.headers["set-cookie"]


# -- other forms


def test_a_form_is_read_as_its_command() -> None:
    taken: list[Command] = []
    shown = site(run=lambda command: taken.append(command) or Done(said=("well",)))
    browser = session(shown)
    token = {"form_token": word(shown, browser)}
    forms: list[tuple[str, dict[str, Any]]] = [
        ("dismiss", {"subject": WAITS, "reason": "a false alarm"}),
        ("pause", {"page": "main", "reason": "", "back": "/"}),
        (
            "maintenance/schedule",
            {
                "page": "main",
                "title": "T",
                "starts_at": "2026-12-06T02:00",
                "ends_at": "2026-12-06T03:00",
                "components": ["api", "web"],
                "text": "a\r\nb",
                "notify": "yes",
            },
        ),
    ]
    for name, fields in forms:
        assert shown.ask("POST", f"/act/{name}", data=token | fields, headers=browser).status_code == 303
    dismiss, pause, schedule = taken
    assert dismiss == Dismiss(by="ann", subject=WAITS, reason="a false alarm")
    assert pause == Pause(by="ann", page="main")
    assert isinstance(schedule, ScheduleWindow)
    assert (schedule.components, schedule.text, schedule.notify) == (("api", "web"), "a\nb", True)
    assert schedule.starts_at.isoformat() == "2026-12-06T02:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("nonsense", {}),
        ("pause", {"unknown": "x"}),
        ("maintenance/schedule", {"title": "mine", "starts_at": "soon", "on": "/maintenance"}),
        ("dismiss", {"subject": "x" * 5000}),
    ],
)
def test_a_form_that_cannot_be_read_does_nothing_and_says_why(name: str, fields: dict[str, str]) -> None:
    def never(command: Command) -> Done:
        raise AssertionError

    shown = site(run=never)
    browser = session(shown)
    form = {"form_token": word(shown, browser), **fields}
    reply = shown.ask("POST", f"/act/{name}", data=form, headers=browser)
    assert reply.status_code == 303
    assert reply.cookies["statusbridge_said"]
    if name == "maintenance/schedule":
        page = shown.ask("GET", reply.headers["location"], headers=browser).text
        assert 'name="title" required maxlength="200" value="mine"' in page


def test_a_form_that_is_too_large_is_not_read() -> None:
    shown = site()
    browser = session(shown)
    reply = shown.ask("POST", "/act/pause", data={"form_token": "x" * 300_000}, headers=browser)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid")


def test_without_a_session_nothing_offers_to_change_anything() -> None:
    shown = Site(inbox=filled(), rules=RULES, clock=lambda: NOW)
    for view in VIEWS:
        page = shown.ask("GET", view).text
        assert 'method="post"' not in page
        assert "/sign-in" in page


def test_what_is_not_there_and_a_ledger_that_is_gone_are_told_as_pages() -> None:
    shown = site()
    browser = session(shown)
    for path in ("/story?of=x", "/post?of=x", "/events/77", "/events/x", "/events/" + "9" * 40, "/post", "/story"):
        page = shown.ask("GET", path, headers=browser)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert shown.ask("GET", "/history?since=soon", headers=browser).status_code == 422

    def gone(*args: object, **more: object) -> Any:
        raise LedgerUnavailable("disk full")

    shown.inbox.history = gone  # type: ignore[attr-defined]
    page = shown.ask("GET", "/history", headers=browser)
    assert page.status_code == 503
    assert "disk full" in page.text


def test_what_is_asked_for_as_a_story_and_is_one_post_is_shown_as_that() -> None:
    shown = site()
    reply = shown.ask("GET", link("/story", of=WAITS), headers=session(shown))
    assert (reply.status_code, reply.headers["location"]) == (307, link("/post", of=WAITS))


def test_static_files_need_no_token_and_there_is_nothing_else() -> None:
    shown = site()
    for name in ("style.css", "app.js", "icon.svg"):
        assert shown.ask("GET", f"/static/{name}").status_code == 200
    for name in ("x", "..%2fapp.py", "%2e%2e/guard.py", "style.css%00"):
        assert shown.ask("GET", f"/static/{name}").status_code in (401, 404)
