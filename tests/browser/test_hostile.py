"""Whatever a sender or a person writes is shown as text: nothing of it runs, in any view, in a real browser."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.browser.browsing import OPEN_ALL, sign_in
from tests.browser.screenshots import views
from tests.browser.stage import Stage, regional
from tests.processes import TOKEN, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PAYLOADS = (
    "<script>window.pwned='script'</script>",
    "<img src=x onerror=\"window.pwned='img'\">",
    '"><svg onload="window.pwned=\'svg\'">',
    "'><a href=\"javascript:window.pwned='link'\" autofocus onfocus=\"window.pwned='focus'\">x</a>",
    "[x](javascript:window.pwned='markdown') ![x](https://evil.example/x.png) <https://evil.example/>",
    "</title></textarea></style><iframe srcdoc=\"<script>parent.pwned='frame'</script>\"></iframe>",
    "{{ ''.__class__ }}{% raw %}&lt;script&gt;",
    "\u202e\x1b[31m\ufeff\u2028end",
)
ALL = " ".join(PAYLOADS)

RAN = "() => window.pwned ?? ''"
FOREIGN = """() => [
  ...document.querySelectorAll("img, iframe, object, embed, base, style, meta[http-equiv], form[action^='http']"),
  ...document.querySelectorAll("script:not([src='/static/app.js'])"),
  ...[...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on"))),
  ...[...document.querySelectorAll("[href]")].filter((e) => /^\\\\s*(javascript|data):/i.test(e.getAttribute("href"))),
].map((e) => e.outerHTML.slice(0, 200))"""


def poison(fresh: Stage) -> None:
    """Let hostile text stand in every field that somebody outside can fill."""
    for number, text in enumerate(PAYLOADS):
        made = regional(text, text, text)
        made["labels"] |= {f"l{number}": text, "severity": text}
        made |= {"fingerprint": f"{number}{text}", "generatorURL": "javascript:window.pwned='url'"}
        fresh.alerts(made)
    with httpx.Client(base_url=fresh.url, trust_env=False, timeout=10) as client:
        headers = {"authorization": f"Bearer {TOKEN}", "x-odd": PAYLOADS[1], "user-agent": PAYLOADS[0]}
        client.post(f"/hooks/alertmanager?{quote(ALL)}", content=ALL.encode("utf-8", "replace"), headers=headers)
    until(lambda: len(fresh.waiting()) >= len(PAYLOADS), "posts wait")
    first, second, third = fresh.waiting()[:3]
    fresh.do("approve", action=first["id"], hash=first["approval_hash"], text=ALL[:4000], title=PAYLOADS[1])
    fresh.do("dismiss", subject=second["id"], reason=ALL[:400])
    fresh.do("pause", page="main", reason=ALL[:400])
    fresh.do("resume", page="main")
    until(lambda: fresh.incidents(), "an incident is on the page")
    until(lambda: fresh.ask("inbounds", state="parked")["items"], "a webhook is parked")
    fresh.do("pause", page="main", reason=ALL[:400])
    assert third["id"]


def test_nothing_of_it_runs_in_any_view(fresh: Stage, stranger: Any) -> None:
    poison(fresh)
    asked: list[str] = []
    stranger.on("request", lambda request: asked.append(request.url))
    sign_in(stranger, fresh, name=PAYLOADS[1])
    stories = {each["episode"] for each in fresh.ask("history")["items"]}
    posts = {each["id"] for each in fresh.ask("history")["items"]}
    paths = [
        *views(fresh).values(),
        *(f"/story?of={quote(each, safe='')}" for each in sorted(stories)),
        *(f"/post?of={quote(each, safe='')}" for each in sorted(posts)),
        *(f"/post?of={quote(sorted(posts)[-1], safe='')}&title={quote(each)}&text={quote(each)}" for each in PAYLOADS),
        *(f"/events/{number}" for number in range(1, len(PAYLOADS) + 3)),
        *(f"/history?text={quote(each)}&rule={quote(each)}&state={quote(each)}" for each in PAYLOADS),
        f"/events?source={quote(ALL)}&state={quote(ALL)}",
        f"/maintenance?title={quote(ALL)}&text={quote(ALL)}&starts_at={quote(ALL)}&components={quote(ALL)}",
        f"/story?of={quote(ALL)}",
        f"/history?since={quote(ALL)}",
        f"/history?after={quote(ALL)}",
        f"/sign-in?to={quote(ALL)}",
    ]
    texts = ""
    for path in paths:
        stranger.goto(f"{fresh.url}{path}")
        stranger.evaluate(OPEN_ALL)
        assert stranger.evaluate(RAN) == "", path
        assert stranger.evaluate(FOREIGN) == [], path
        texts += stranger.locator("body").inner_text()
    for payload in PAYLOADS[:4]:
        assert payload in texts  # it was there, as text
    stranger.wait_for_timeout(300)
    assert stranger.evaluate(RAN) == ""
    assert [url for url in asked if not url.startswith(fresh.url)] == []
