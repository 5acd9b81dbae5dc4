"""The public page shows what customers would see, and never runs what they would see."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from worker.sandbox import Reply, Request, State, build_pages

from .desk import Clock, Desk


def fetch(desk: Desk, path: str = "/") -> Reply:
    reply = desk.service.exchange(Request(method="GET", path=path))
    assert reply is not None
    return reply


def html(desk: Desk, path: str = "/") -> str:
    reply = fetch(desk, path)
    assert reply.status == 200
    return re.sub(r"\s+", " ", reply.body.decode())


def banner(desk: Desk) -> str:
    found = re.search(r'id="banner"[^>]*>([^<]*)<', html(desk))
    assert found
    return found[1]


def test_a_quiet_page_lists_all_components_by_group(desk: Desk) -> None:
    text = html(desk)
    assert banner(desk) == "All systems operational"
    assert text.count("Operational</span>") == 3 + 2 * 3
    assert text.index("Europe") < text.index("Storage") < text.index("US")
    assert "Ongoing incidents" not in text


def test_an_incident_stands_with_its_updates_newest_first_then_in_the_past(desk: Desk, clock: Clock) -> None:
    made = desk.new_incident(message="First words.\n\nSecond paragraph.")["status_page_incident"]["id"]
    clock.pass_(60)
    desk.post(made, message="Later words.", incident_status="identified")
    text = html(desk)
    assert banner(desk) == "Some systems are down"
    assert text.index("Ongoing incidents") < text.index("Later words.") < text.index("First words.")
    assert "<p>Second paragraph.</p>" in text
    assert "10:01 UTC" in text
    desk.post(made, message="Over.", incident_status="resolved")
    text = html(desk)
    assert banner(desk) == "All systems operational"
    assert text.index("Past incidents") < text.index("Over.")


def test_maintenance_stands_as_planned_then_as_running(desk: Desk, clock: Clock) -> None:
    desk.new_window(automate_maintenance_status=True)
    assert "Scheduled maintenance" in html(desk)
    assert "23 Nov 2026, 11:00 UTC" in html(desk)
    clock.pass_(3600)
    assert banner(desk) == "Maintenance in progress"
    assert html(desk).count("Under maintenance</span>") == 2


def test_an_incident_without_components_is_no_good_news(desk: Desk) -> None:
    desk.new_incident(component_statuses=None)
    assert banner(desk) == "We are looking into a problem"


def test_words_from_outside_are_shown_not_run(desk: Desk, clock: Clock) -> None:
    evil = "<script>alert(1)</script>"
    made = desk.new_incident(name=evil, message=f"{evil} [x](javascript:alert(1)) {{{{ 7*7 }}}}")
    path = f"/incidents/{made['status_page_incident']['id']}"
    for text in (html(desk), html(desk, path)):
        assert evil not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert 'href="javascript' not in text
        assert "{{ 7*7 }}" in text
    headers = dict(fetch(desk).headers)
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; script-src 'self'")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (r"Load \*high\* on checkout\_api \[eu\]", "<p>Load *high* on checkout_api [eu]</p>"),
        ("R&amp;D at &lt;5 %", "<p>R&amp;D at &lt;5 %</p>"),
        ("First.\r\n\r\nSecond.", "<p>First.</p> <p>Second.</p>"),
        ("One\\\nTwo", "<p>One<br /> Two</p>"),
        ("**Now:** _still_ `503`", "<p><strong>Now:</strong> <em>still</em> <code>503</code></p>"),
        ("[More](https://wiki.example/a?b=1&c=2)", '<p><a href="https://wiki.example/a?b=1&amp;c=2">More</a></p>'),
        ("- one\n- two", "<ul> <li>one</li> <li>two</li> </ul>"),
        ("1. one\n2. two", "<ol> <li>one</li> <li>two</li> </ol>"),
        ("> said", "<blockquote> <p>said</p> </blockquote>"),
        ("# No heading", "<p># No heading</p>"),
        ("![No picture](https://evil.example/x.png)", '<p>!<a href="https://evil.example/x.png">No picture</a></p>'),
    ],
)
def test_a_message_reads_as_customers_would_read_it(desk: Desk, message: str, shown: str) -> None:
    made = desk.new_incident(message=message)["status_page_incident"]["id"]
    for path in ("/", f"/incidents/{made}"):
        assert f'<div class="text">{shown} </div>' in html(desk, path)


class Elements(HTMLParser):
    """Collects the elements of a message, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: dict[str, str] = {}
        self.feed(page.partition('<div class="text">')[2].partition("</div> </li> </ol>")[0])
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name: value or "" for name, value in attrs}


@pytest.mark.parametrize(
    "message",
    [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "<!-- </div>",
        "</div></li>",
        "<div>\n<script>alert(1)</script>\n</div>", "<style>*{}</style>", "<iframe src=//evil.example>", "<a href=x>",
        "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](&#106;avascript:alert(1))",
        "[x](java\tscript:alert)",
        "[x](<javascript:alert(1)>)", "[x][1]\n\n[1]: javascript:alert(1)", "<javascript:alert(1)>", "[x](vbscript:x)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)", "[x](file:///etc/passwd)", "![x](data:image/svg+xml;base64,AA)",
        '[x](http://a.example/"onmouseover="alert(1))', '[x](http://a.example "\" onclick=alert(1) \"")',
        "``` \" onload=\"x\n<script>\n```", "`<script>`", "**<b onclick=x>**", "- <script>\n- > <script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;script&#62;", "{{ 7*7 }}", "{% raw %}", "\0<script>",
        "[" * 4000, "> " * 2000, "*a " * 1300, "<" * 4000, "- " * 2000,
    ],
)  # fmt: skip
def test_no_message_brings_elements_or_addresses_of_its_own(desk: Desk, message: str) -> None:
    desk.new_incident(message=message)
    read = Elements(html(desk))
    assert read.found <= {"p", "br", "em", "strong", "a", "ul", "ol", "li", "blockquote", "pre", "code"}
    assert read.attributes.keys() <= {"href", "title", "class", "start"}
    assert re.fullmatch(r"(https?://.*)?", read.attributes.get("href", ""))


def test_links_of_the_widget_lead_somewhere(desk: Desk, clock: Clock) -> None:
    incident = desk.new_incident()["status_page_incident"]["id"]
    window = desk.new_window()["status_page_maintenance"]["id"]
    assert "Checkout problems" in html(desk, f"/incidents/{incident}")
    assert "Database maintenance" in html(desk, f"/maintenances/{window}")
    desk.state.person_deletes(incident, now=clock())
    assert fetch(desk, f"/incidents/{incident}").status == 404


def test_hidden_components_and_sub_pages_and_other_pages(clock: Clock) -> None:
    items = [{"component": "Secret", "hidden": True}, {"sub_page": "Partners", "items": ["Feed"]}]
    pages = [{"name": "One", "items": items}, {"name": "Two Labs", "items": ["Rocket"]}]
    desk = Desk.__new__(Desk)
    desk.clock = clock
    desk.state = State(build_pages({"pages": pages}, clock()))
    from worker.sandbox import Faults, Service

    desk.service = Service(desk.state, Faults(), clock)
    text = html(desk)
    assert "Secret" not in text
    assert text.index("Partners") < text.index("Feed")
    assert "Rocket" in html(desk, "/two-labs")
    assert fetch(desk, "/two-labs/api/v1/summary").status == 200
    assert fetch(desk, "/three").status == 404


def test_style_and_script_are_served(desk: Desk) -> None:
    assert b"prefers-color-scheme: dark" in fetch(desk, "/status.css").body
    assert b"setInterval" in fetch(desk, "/status.js").body
