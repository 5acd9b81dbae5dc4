"""People at the dashboard, in a real browser: what they do arrives on the page, and what happens they see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import DESK, PHONE, sign_in
from tests.browser.stage import ADMIN, Stage, regional
from tests.processes import alert, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def waits(fresh: Stage, stranger: Any, region: str = "eu-west-1") -> None:
    """Let a post wait for approval, and go to where it is reviewed."""
    sign_in(stranger, fresh)
    fresh.alerts(regional("Errors", region))
    stranger.get_by_role("link", name="Review").click()


# -- what people do


def test_an_edited_incident_is_approved_and_read_on_the_public_page(fresh: Stage, stranger: Any) -> None:
    waits(fresh, stranger)
    expect(stranger.locator(".preview")).to_contain_text("Requests in eu-west-1 may fail.")
    expect(stranger.get_by_text("are mailed")).to_be_visible()
    stranger.get_by_text("Say it in other words").click()
    stranger.get_by_label("Title").fill("Payments in Europe")
    stranger.get_by_label("Text").fill("Payments fail for **some** customers.\n\nWe are on it.")
    stranger.get_by_role("button", name="Preview").click()
    expect(stranger.locator(".preview strong")).to_have_text("some")
    assert not fresh.incidents()
    stranger.get_by_role("button", name="Approve these words").click()
    expect(stranger.get_by_role("status").filter(has_text="approved")).to_be_visible()
    until(fresh.incidents, "the incident is on the page")
    public = stranger.context.new_page()
    public.goto(f"{fresh.page.url}/")
    expect(public.get_by_role("heading", name="Payments in Europe")).to_be_visible()
    expect(public.locator("strong", has_text="some")).to_be_visible()
    expect(public.get_by_text("We are on it.")).to_be_visible()
    assert "Requests in eu-west-1" not in public.content()
    expect(stranger.locator(".page .what")).to_contain_text("Payments in Europe")
    assert fresh.ask("history")["items"][0]["approved_by"] == "ann"


def test_what_is_dismissed_is_never_public(fresh: Stage, stranger: Any) -> None:
    waits(fresh, stranger)
    stranger.get_by_label("Reason").fill("a false alarm")
    stranger.get_by_role("button", name="Dismiss").click()
    expect(stranger.get_by_role("status").filter(has_text="dismissed")).to_be_visible()
    assert not fresh.waiting()
    assert not fresh.incidents()


def test_a_newer_decision_voids_what_was_looked_at_and_nothing_is_lost(fresh: Stage, stranger: Any) -> None:
    waits(fresh, stranger)
    stranger.get_by_text("Say it in other words").click()
    stranger.get_by_label("Text").fill("My own words.")
    stranger.get_by_role("button", name="Preview").click()
    fresh.do("dismiss", subject=fresh.waiting()[0]["id"])
    stranger.get_by_role("button", name="Approve these words").click()
    expect(stranger.get_by_role("alert")).to_contain_text("dismissed already")
    expect(stranger.locator(".preview")).to_contain_text("My own words.")
    assert not fresh.incidents()


def test_pause_stops_all_writes_until_somebody_resumes(fresh: Stage, stranger: Any) -> None:
    sign_in(stranger, fresh)
    stranger.get_by_label("Reason").fill("the new rule is wrong")
    stranger.get_by_role("button", name="Pause").click()
    expect(stranger.locator("#pause-banner")).to_contain_text("all pages")
    fresh.alerts(alert("Down", "checkout", "critical", "firing"))
    until(lambda: fresh.ask("history", state="queued")["items"], "a post waits for the pause to end")
    expect(stranger.locator("#flow-part")).to_contain_text("open incident")
    assert not fresh.incidents()
    stranger.get_by_role("button", name="Resume").click()
    expect(stranger.locator("#pause-banner")).to_have_count(0)
    until(fresh.incidents, "the incident is on the page")


def test_what_a_person_took_over_on_the_page_is_given_back(fresh: Stage, stranger: Any) -> None:
    fresh.alerts(alert("Down", "checkout", "critical", "firing"))
    until(fresh.incidents, "the incident is on the page")
    until(lambda: fresh.ask("status")["episodes"][0]["says"], "we know")
    fresh.page.state.person_posts(fresh.incidents()[0].id, "We know what it is.", now=datetime.now(UTC))  # noqa: TID251
    fresh.alerts(alert("Worse", "checkout", "critical", "firing"), alert("Down", "checkout", "critical", "resolved"))
    sign_in(stranger, fresh, "/story?of=checkout-outage%231")
    expect(stranger.get_by_text("a person has taken over")).to_be_visible()
    stranger.get_by_role("button", name="Give it back to the worker").click()
    expect(stranger.locator("#facts-part")).not_to_contain_text("a person has taken over")


def test_a_window_is_scheduled_and_completed(fresh: Stage, stranger: Any) -> None:
    sign_in(stranger, fresh, "/maintenance")
    form = stranger.locator("form[action='/act/maintenance/schedule']")
    form.get_by_label("Title").fill("Restart")
    form.get_by_label("Starts, UTC").fill("2020-01-01T00:00")
    form.get_by_label("Ends, UTC").fill("2020-01-01T01:00")
    form.get_by_label("api").check()
    form.get_by_role("button").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    expect(form.get_by_label("Title")).to_have_value("Restart")
    expect(form.get_by_label("api")).to_be_checked()
    day = datetime.now(UTC) + timedelta(days=30)  # noqa: TID251
    form.get_by_label("Starts, UTC").fill(f"{day:%Y-%m-%d}T00:00")
    form.get_by_label("Ends, UTC").fill(f"{day:%Y-%m-%d}T01:00")
    form.get_by_role("button").click()
    stranger.get_by_role("link", name="Restart").click()
    stranger.get_by_role("button", name="Start now").click()
    expect(stranger.locator("#facts-part")).to_contain_text("in progress")
    stranger.get_by_role("button", name="Complete now").click()
    expect(stranger.locator("#facts-part")).to_contain_text("complete")


# -- what people see


def test_what_happens_arrives_without_a_reload(fresh: Stage, stranger: Any) -> None:
    sign_in(stranger, fresh)
    stranger.evaluate("window.before = true")
    expect(stranger.get_by_text("Nothing is open.")).to_be_visible()
    expect(stranger.locator("#pulse")).to_have_text("live")
    fresh.alerts(alert("Down", "checkout", "critical", "firing"), regional("Errors", "eu-west-1"))
    expect(stranger.locator("#open-part")).to_contain_text("Checkout problems")
    expect(stranger.locator("#pages-part")).to_contain_text("full outage")
    expect(stranger.locator("#waiting-count")).to_contain_text("1")
    expect(stranger.locator("#announce")).to_contain_text("1 post waits for a person")
    assert stranger.evaluate("window.before") is True


def test_what_somebody_writes_is_left_alone_by_what_arrives(fresh: Stage, stranger: Any) -> None:
    waits(fresh, stranger)
    stranger.get_by_text("Say it in other words").click()
    stranger.get_by_label("Text").fill("Half a sent")
    fresh.alerts(regional("More", "us-east-1"))
    expect(stranger.locator("#waiting-count")).to_contain_text("2")
    expect(stranger.get_by_label("Text")).to_have_value("Half a sent")
    expect(stranger.get_by_label("Text")).to_be_focused()


def test_a_worker_that_ends_is_shown_as_not_live_and_does_not_wait_for_its_readers(fresh: Stage, stranger: Any) -> None:
    sign_in(stranger, fresh)
    expect(stranger.locator("#pulse")).to_have_text("live")
    assert fresh.run.terminate() == 0
    expect(stranger.locator("#pulse")).to_have_text("not live")


def test_what_is_filtered_stays_in_the_address(on: Stage, page: Any) -> None:
    page.goto(f"{on.url}/history")
    page.get_by_label("State").select_option("awaiting approval")
    expect(page).to_have_url(f"{on.url}/history?text=&page=&rule=&state=awaiting_approval&since=")
    expect(page.locator(".row")).to_have_count(1)
    page.get_by_label("Words").fill("nothing like this")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing yet that fits.")).to_be_visible()
    page.go_back()
    expect(page.locator(".row")).to_have_count(1)


# -- who


def test_a_stranger_is_asked_for_a_token_and_led_back(on: Stage, stranger: Any) -> None:
    stranger.goto(f"{on.url}/history?text=x")
    stranger.get_by_label("Token").fill("wrong")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_have_text("That is not a token of this worker.")
    stranger.get_by_label("Token").fill(ADMIN)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger).to_have_url(f"{on.url}/history?text=x")
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.get_by_label("Token")).to_be_visible()
    stranger.go_back()
    stranger.reload()
    expect(stranger.get_by_label("Token")).to_be_visible()


FORGED = """
<form id="f" method="post" action="{url}/act/pause"><input name="by" value="eve"><input name="page" value=""></form>
<script>f.submit()</script>
"""


def test_a_form_of_another_site_changes_nothing(on: Stage, page: Any) -> None:
    page.context.route(
        "http://evil.example/", lambda route: route.fulfill(body=FORGED.format(url=on.url), content_type="text/html")
    )
    with page.expect_response("**/act/pause") as answer:
        page.goto("http://evil.example/", wait_until="commit")
    assert answer.value.status == 403
    assert not on.ask("status")["pages"][0]["paused_since"]


def test_a_form_without_the_word_of_its_session_changes_nothing(on: Stage, page: Any) -> None:
    page.locator("form[action='/act/pause'] input[name=form_token]").evaluate("field => field.value = 'x'")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Not done")).to_be_visible()
    assert not on.ask("status")["pages"][0]["paused_since"]


def test_it_stands_in_no_frame(on: Stage, page: Any) -> None:
    html = f"<iframe src='{on.url}/' width=600 height=400></iframe>"
    page.context.route("http://framing.example/", lambda route: route.fulfill(body=html, content_type="text/html"))
    other = page.context.new_page()
    other.goto("http://framing.example/")
    assert "Needs a person" not in "".join(frame.content() for frame in other.frames[1:])


# -- on what, and with what


def test_everything_can_be_reached_with_the_keyboard_alone(on: Stage, page: Any) -> None:
    page.goto(on.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    assert {"Pause", "Resume", "reason"} <= reached
    assert any(text.startswith("Review") for text in reached)


@pytest.mark.parametrize("size", [DESK, PHONE, {"width": 320, "height": 600}], ids=["desk", "phone", "small"])
def test_no_view_is_wider_than_the_screen(on: Stage, page: Any, size: dict[str, int]) -> None:
    from tests.browser.screenshots import views

    page.set_viewport_size(size)
    for path in views(on).values():
        page.goto(f"{on.url}{path}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
