"""The public page shows what customers would see, and never runs what they would see."""

from __future__ import annotations

import re

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
