"""The API for programs: what commands are asked through, who may, and how it says no."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.unit.web.site import ADMIN, RUN, Site
from worker.core.commands import COMMANDS, Command, Done, Pause
from worker.errors import CommandRefused, ConfigError, Conflict, LedgerUnavailable, NotFound, ProviderUnavailable

ALLOWED = {"authorization": f"Bearer {RUN}"}
ASKED = {"by": "ann"}


def refusing(wrong: Exception) -> Callable[[Command], Done]:
    def run(command: Command) -> Done:
        raise wrong

    return run


def asked(site: Site, body: object = ASKED, *, name: str = "pause", **headers: str) -> httpx.Response:
    return site.ask("POST", f"/api/v1/{name}", json=body, headers=ALLOWED | headers)


def told(reply: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem."""
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert (body["type"], body["status"]) == ("about:blank", reply.status_code)
    assert body["title"]
    return reply.status_code, body["code"]


def test_a_command_is_done_and_its_answer_told() -> None:
    taken: list[Command] = []
    site = Site(run=lambda command: taken.append(command) or Done(said=("well",), sending=("a/1",)))
    reply = asked(site, {"by": " ann ", "page": "main", "reason": "why"})
    assert (reply.status_code, reply.json()) == (200, {"said": ["well"], "sending": ["a/1"]})
    assert taken == [Pause(by="ann", page="main", reason="why")]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["#/by"]),
        ({"by": " "}, ["#/by"]),
        ({"by": "x" * 101, "page": 7}, ["#/by", "#/page"]),
        ({"by": "ann", "pages": "main"}, ["#/pages"]),
        (["by"], ["#"]),
        (None, ["#"]),
    ],
)
def test_a_command_that_is_wrong_is_told_field_by_field(body: object, pointers: list[str]) -> None:
    reply = asked(Site(run=refusing(AssertionError())), body)
    assert told(reply) == (422, "invalid")
    assert [each["pointer"] for each in reply.json()["errors"]] == pointers


def test_what_is_no_json_is_told() -> None:
    site = Site()
    for content, kind in ((b"{", "application/json"), (b'{"by": "ann"}', "text/plain"), (b"", "application/json")):
        reply = site.ask("POST", "/api/v1/pause", content=content, headers=ALLOWED | {"content-type": kind})
        assert told(reply) == (422, "invalid")


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        (NotFound("there is no page `x`"), 404, "not_found"),
        (CommandRefused("it is done already"), 409, "refused"),
        (ConfigError("the rules are wrong"), 422, "invalid"),
        (LedgerUnavailable("disk full"), 503, "ledger_unavailable"),
        (ProviderUnavailable("page gone"), 503, "page_unavailable"),
        (Conflict("others were faster"), 503, "busy"),
    ],
)
def test_each_way_to_say_no_has_its_status_and_a_reason(wrong: Exception, status: int, code: str) -> None:
    reply = asked(Site(run=refusing(wrong)))
    assert told(reply) == (status, code)
    assert reply.json()["detail"] == str(wrong)
    assert ("retry-after" in reply.headers) == (status == 503)


def test_a_route_or_method_that_is_not_there_is_a_problem_too() -> None:
    site = Site()
    assert told(asked(site, name="nonsense")) == (404, "not_found")
    assert told(site.ask("GET", "/api/v1/pause")) == (405, "method_not_allowed")
    assert told(site.ask("GET", "/nowhere")) == (404, "not_found")


def test_the_description_knows_every_command_and_how_it_says_no() -> None:
    description = Site().ask("GET", "/api/v1/openapi.json").json()
    commands = {path: about for path, about in description["paths"].items() if "post" in about}
    assert commands.keys() == {f"/api/v1/{name}" for name in COMMANDS}
    for path in commands.values():
        assert path["post"]["summary"]
        assert path["post"]["responses"].keys() == {"200", "401", "403", "404", "409", "421", "422", "503"}


# -- who may ask


@pytest.mark.parametrize("admin", ["", ADMIN])
@pytest.mark.parametrize("path", ["/api/v1/pause", "/api/v1/nonsense", "/", "/metrics", "/nowhere"])
def test_nothing_is_changed_without_a_token_not_even_on_this_machine(admin: str, path: str) -> None:
    site = Site(admin=admin, run=refusing(AssertionError()))
    for header in (
        "",
        f"Basic {RUN}",
        RUN,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {RUN}x",
        f"Bearer {RUN[:-1]}",
    ):
        reply = site.ask("POST", path, json=ASKED, headers={"authorization": header} if header else {})
        assert told(reply) == (401, "token_needed")
        assert reply.headers["www-authenticate"] == "Bearer"


def test_the_token_of_the_run_file_and_that_of_the_admin_both_do() -> None:
    site = Site(admin=ADMIN)
    for token in (RUN, ADMIN):
        reply = site.ask("POST", "/api/v1/pause", json=ASKED, headers={"authorization": f"bearer {token}"})
        assert reply.status_code == 200
    assert Site().ask("POST", "/api/v1/pause", json=ASKED, headers={"authorization": f"Bearer {ADMIN}"}).is_error


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing_even_with_a_token(headers: dict[str, str]) -> None:
    assert told(asked(Site(run=refusing(AssertionError())), **headers)) == (403, "foreign_origin")


@pytest.mark.parametrize(
    "headers", [{"origin": "http://127.0.0.1:8080"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_a_page_of_its_own_does(headers: dict[str, str]) -> None:
    assert asked(Site(), **headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "10.0.0.1", "[::1"]
)
def test_a_name_that_was_pointed_here_is_answered_nothing(host: str) -> None:
    site = Site()
    assert told(asked(site, host=host)) == (421, "misdirected")
    assert told(site.ask("GET", "/metrics", headers={"host": host})) == (421, "misdirected")
    assert site.ask("GET", "/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3:1", "[::1]:8080", "[::1]"])
def test_this_machine_may_be_called_what_it_is_called(host: str) -> None:
    assert asked(Site(), host=host).status_code == 200


def test_with_an_admin_token_it_may_be_called_anything() -> None:
    assert asked(Site(admin=ADMIN), host="status.acme.example").status_code == 200


def test_no_token_is_in_any_answer() -> None:
    site = Site(admin=ADMIN)
    replies = [asked(site), asked(site, {}), site.ask("POST", "/", headers={"authorization": f"Basic {ADMIN}"})]
    replies.append(site.ask("GET", "/api/v1/openapi.json", headers=ALLOWED))
    for reply in replies:
        assert not any(token in reply.text + str(reply.headers) for token in (ADMIN, RUN))
    assert RUN not in repr(site.app.rest.user_middleware)
