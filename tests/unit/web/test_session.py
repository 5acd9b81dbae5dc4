"""Sessions of browsers: how one begins, what it opens, what it does not, and how it ends."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.unit.web.site import ADMIN, NOW, RUN, Site
from worker.core.commands import Command, Done, Pause
from worker.web.session import COOKIE, LASTS, MOST_TRIES, Sessions, Tries, cookie, hashed

ORIGIN = {"origin": "http://127.0.0.1:8080"}
HTML = {"accept": "text/html"}


def signed_in(site: Site, token: str = ADMIN, name: str = "ann", **headers: str) -> httpx.Response:
    form = {"token": token, "name": name, "to": "/history"}
    return site.ask("POST", "/sign-in", data=form, headers=ORIGIN | headers)


def session(site: Site, **more: Any) -> dict[str, str]:
    """Headers of a browser that is signed in."""
    reply = signed_in(site, **more)
    assert (reply.status_code, reply.headers["location"]) == (303, "/history")
    return {"cookie": f"{COOKIE}={reply.cookies[COOKIE]}", **ORIGIN}


def word(site: Site, browser: dict[str, str]) -> str:
    """What its forms bear."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', site.ask("GET", "/", headers=browser).text)
    assert found
    return found[1]


def taking() -> tuple[Site, list[Command]]:
    taken: list[Command] = []
    return Site(admin=ADMIN, run=lambda command: taken.append(command) or Done(said=("well",))), taken


# -- in


def test_a_browser_without_a_session_is_led_to_the_form_and_back() -> None:
    site = Site(admin=ADMIN)
    reply = site.ask("GET", "/history?state=held&text=a%26b", headers=HTML)
    assert (reply.status_code, reply.headers["location"]) == (
        303,
        "/sign-in?to=/history%3Fstate%3Dheld%26text%3Da%2526b",
    )
    form = site.ask("GET", reply.headers["location"], headers=HTML)
    assert form.status_code == 200
    assert 'name="to" value="/history?state=held&amp;text=a%26b"' in form.text
    assert "History</a>" not in form.text  # nothing is shown to strangers, not even what there is


@pytest.mark.parametrize("token", [ADMIN, RUN, f"  {ADMIN} "])
def test_a_token_begins_a_session_that_reads(token: str) -> None:
    site = Site(admin=ADMIN)
    browser = session(site, token=token)
    assert site.ask("GET", "/", headers=browser).status_code == 200
    assert site.ask("GET", "/api/v1/status", headers=browser).status_code == 200


def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    site = Site(admin=ADMIN)
    told = signed_in(site).headers["set-cookie"].lower()
    assert "httponly" in told
    assert "samesite=lax" in told
    assert "secure" not in told
    reply = signed_in(site, origin="https://status.acme.example", host="status.acme.example")
    assert "secure" in reply.headers["set-cookie"].lower()


@pytest.mark.parametrize("token", ["", "wrong", ADMIN[:-1], hashed(ADMIN), "\u00ff"])
def test_a_wrong_token_begins_none(token: str) -> None:
    reply = signed_in(Site(admin=ADMIN), token=token)
    assert reply.status_code == 401
    assert "set-cookie" not in reply.headers
    assert ADMIN not in reply.text


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a\r\nb: c"])
def test_nobody_is_led_to_another_site(to: str) -> None:
    site = Site(admin=ADMIN)
    reply = site.ask("POST", "/sign-in", data={"token": ADMIN, "to": to}, headers=ORIGIN)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")


def test_too_many_wrong_tokens_shut_the_door_for_a_while_even_for_the_right_one() -> None:
    now = NOW
    site = Site(admin=ADMIN, clock=lambda: now)
    for _ in range(MOST_TRIES):
        assert signed_in(site, token="wrong").status_code == 401
    reply = signed_in(site)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "300")
    now += timedelta(seconds=301)
    assert signed_in(site).status_code == 303


def test_wrong_tokens_are_counted_by_address_and_in_all() -> None:
    tries = Tries(lambda: NOW)
    for n in range(MOST_TRIES * 10):
        assert not tries.wait("192.0.2.1")
        tries.count(f"198.51.100.{n}")
    assert tries.wait("192.0.2.1") == 300


# -- who


def test_the_history_names_the_owner_of_the_token_or_who_they_say_they_are() -> None:
    site, taken = taking()
    site.admins = {}
    for token, says, name in ((ADMIN, "ann", "ann"), (ADMIN, "", "admin"), (RUN, "bob", "bob")):
        browser = session(site, token=token, name=says)
        site.ask("POST", "/act/pause", data={"form_token": word(site, browser), "by": "eve"}, headers=browser)
        assert taken.pop() == Pause(by=name)


def test_each_of_several_admins_signs_in_and_asks_with_a_token_of_their_own() -> None:
    taken: list[Command] = []
    admins = {"ann": hashed("token of ann"), "bob": hashed("token of bob")}
    site = Site(admins=admins, run=lambda command: taken.append(command) or Done(said=("well",)))
    assert site.ask("GET", "/metrics").status_code == 401
    for name in admins:
        assert site.ask("GET", "/metrics", headers={"authorization": f"Bearer token of {name}"}).status_code == 200
        browser = session(site, token=f"token of {name}", name="somebody else")
        site.ask("POST", "/act/pause", data={"form_token": word(site, browser)}, headers=browser)
        assert taken.pop() == Pause(by=name)
    assert site.ask("GET", "/metrics", headers={"authorization": f"Bearer {admins['ann']}"}).status_code == 401


# -- what a session does not open


def test_a_form_without_its_word_changes_nothing() -> None:
    site, taken = taking()
    browser = session(site)
    other = session(site, name="bob")
    good = word(site, browser)
    for wrong in ("", "x", good[:-1], good.upper(), word(site, other)):
        reply = site.ask("POST", "/act/pause", data={"form_token": wrong}, headers=browser)
        assert reply.status_code == 403
    assert site.ask("POST", "/act/pause", data={"form_token": good}, headers=ORIGIN).status_code == 401
    assert not taken
    assert site.ask("POST", "/act/pause", data={"form_token": good}, headers=browser).status_code == 303
    assert taken == [Pause(by="ann")]


def test_the_api_takes_a_session_only_with_the_word_in_a_header() -> None:
    site, taken = taking()
    browser = session(site)
    asked = {"by": "ann"}
    reply = site.ask("POST", "/api/v1/pause", json=asked, headers=browser)
    assert (reply.status_code, reply.json()["code"]) == (403, "form_token_needed")
    assert site.ask("POST", "/-/reload", headers=browser).status_code == 403
    assert not taken
    bearing = browser | {"x-form-token": word(site, browser)}
    assert site.ask("POST", "/api/v1/pause", json=asked, headers=bearing).status_code == 200


def test_what_was_written_when_a_session_was_over_is_there_after_the_next_sign_in() -> None:
    site, taken = taking()
    form = {"form_token": "x", "on": "/post?of=a%2F1", "action": "a/1", "text": "my own words", "hash": "h"}
    reply = site.ask("POST", "/act/approve", data=form, headers=ORIGIN | HTML)
    assert reply.status_code == 403
    assert not taken
    on = "/post%3Fof%3Da%252F1%26action%3Da%252F1%26text%3Dmy%2520own%2520words"
    assert f'href="/sign-in?to={on}"'.replace("?to=/", "?to=%2F") in reply.text.replace("?to=/", "?to=%2F")


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
@pytest.mark.parametrize("path", ["/act/pause", "/sign-in", "/api/v1/pause"])
def test_a_form_of_another_site_changes_nothing_even_with_everything_right(headers: dict[str, str], path: str) -> None:
    site, taken = taking()
    browser = session(site)
    form = {"form_token": word(site, browser), "token": ADMIN}
    reply = site.ask("POST", path, data=form, headers=browser | headers)
    assert (reply.status_code, reply.json()["code"]) == (403, "foreign_origin")
    assert not taken


def test_a_cookie_that_we_did_not_sign_opens_nothing() -> None:
    site = Site(admin=ADMIN)
    value = session(site)["cookie"].partition("=")[2]
    body, _, signature = value.partition(".")
    for wrong in (
        "",
        ".",
        "x.y",
        body,
        f"{body}.",
        f"{body}x.{signature}",
        f"{body}.{signature[:-1]}0",
        "\u00e9.\u00e9",
    ):
        headers = {"cookie": f"{COOKIE}={wrong}".encode()}
        assert site.ask("GET", "/metrics", headers=headers).status_code == 401  # type: ignore[arg-type]


# -- out


def test_a_session_ends_at_its_time_when_signed_out_and_with_its_token() -> None:
    now, known = NOW, {"admin"}
    sessions = Sessions(b"key", known=known.__contains__, clock=lambda: now, nonce=lambda: "n")
    jar = f"other=1; {COOKIE}={sessions.begin('ann', 'admin')}"
    assert sessions.visitor(jar)
    now = NOW + LASTS + timedelta(seconds=2)
    assert sessions.visitor(jar) is None
    now = NOW
    known.clear()
    assert sessions.visitor(jar) is None
    known.add("admin")
    sessions.end(jar)
    assert sessions.visitor(jar) is None
    assert sessions.visitor(f"{COOKIE}={sessions.begin('bob', 'admin')}")


def test_sessions_outlive_a_restart_only_with_the_same_key() -> None:
    def made(key: bytes) -> Sessions:
        return Sessions(key, known=lambda name: True, clock=lambda: NOW, nonce=lambda: "n")

    jar = f"{COOKIE}={made(b'one').begin('ann', 'admin')}"
    assert made(b"one").visitor(jar)
    assert made(b"two").visitor(jar) is None


def test_signing_out_is_a_form_too() -> None:
    site = Site(admin=ADMIN)
    browser = session(site)
    assert site.ask("POST", "/act/sign-out", data={"form_token": ""}, headers=browser).status_code == 403
    assert site.ask("GET", "/metrics", headers=browser).status_code == 200
    site.ask("POST", "/act/sign-out", data={"form_token": word(site, browser)}, headers=browser)
    assert site.ask("GET", "/metrics", headers=browser).status_code == 401


def test_one_odd_cookie_hides_no_other() -> None:
    assert cookie(f"bad[name]=1; {COOKIE}=v; =; x", COOKIE) == "v"
    assert cookie("", COOKIE) == ""


# -- what browsers are told


@pytest.mark.parametrize("path", ["/", "/history", "/sign-in", "/story?of=nothing"])
def test_a_page_runs_nothing_but_our_script_and_stands_in_no_frame(path: str) -> None:
    headers = Site().ask("GET", path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
