"""``check``: silence for what is right, places for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.cli.check import placed
from worker.errors import Problem
from worker.sandbox import SandboxServer, State, build_pages

from .desk import SECRETS, START, Desk, write_rules

TYPO = ("hold: 0s", "hodl: 0s")


def test_what_is_right_is_passed_in_silence_without_secrets_or_network(desk: Desk) -> None:
    write_rules(Path("rules"), "http://127.0.0.1:9")
    said = desk("check", "rules")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_verbose_counts_what_was_checked(desk: Desk, rules: Path) -> None:
    assert desk("check", rules, "-v").out == "ok: 1 rule, 2 sources, 1 page\n"


def test_the_directory_may_come_from_the_environment(desk: Desk, rules: Path) -> None:
    rules.rename("elsewhere")
    assert desk("check", "-v", STATUSBRIDGE_RULES="elsewhere").out.startswith("ok: ")


def test_what_is_wrong_is_named_at_its_place(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("rules"), page.url, TYPO, ("kind: json", "kind: jason"))
    said = desk("check", "rules")
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 2
    assert "rules.yaml:26:7: " in said.err
    assert "hodl" in said.err
    assert "jason" in said.err


def test_a_directory_that_is_not_there_is_a_wrong_call(desk: Desk) -> None:
    said = desk("check", "nowhere")
    assert said.code == 2
    assert "nowhere" in said.err


def test_problems_become_annotations_of_a_pull_request(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("rules"), page.url, TYPO)
    said = desk("check", "rules", "--format", "github")
    assert said.code == 2
    assert said.out.startswith("::error file=rules/rules.yaml,line=26,col=7::")
    assert "hodl" in said.out


def test_annotations_escape_what_would_end_them(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("a,b"), page.url, TYPO)
    assert "::error file=a%2Cb/rules.yaml,line=26" in desk("check", "a,b", "--format", "github").out


def test_problems_for_programs_have_their_parts(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("rules"), page.url, TYPO)
    found = desk("check", "rules", "--json").data
    assert found["ok"] is False
    assert [(p["line"], p["column"]) for p in found["problems"]] == [(26, 7)]


def test_warnings_pass_unless_they_are_asked_not_to(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("rules"), page.url, ("    source: alerts\n", "    source: alerts\n    if: body_is_ok == 1\n"))
    assert desk("check", "rules").code == 2  # an unknown name is no warning
    write_rules(
        Path("rules"), page.url, ("    source: alerts\n", "    source: alerts\n    if: event.labels.env == 'a'\n")
    )
    passed, failed = desk("check", "rules"), desk("check", "rules", "--strict")
    assert (passed.code, failed.code) == (0, 2)
    assert ": warning: " in passed.err
    assert desk("check", "rules", "--format", "github").out.startswith("::warning file=")


def test_online_says_what_the_names_are_on_the_page(desk: Desk, rules: Path, page: SandboxServer) -> None:
    said = desk("check", rules, "--online", **SECRETS)
    assert (said.code, said.err) == (0, "")
    assert f"page `main` is `Acme Status` ({page.state.page.id})" in said.out
    assert f"checkout → {page.state.page.component_id('Checkout API')}" in said.out


def test_online_finds_what_the_page_does_not_have(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("rules"), page.url, ("checkout: Checkout API", "checkout: Chekout API"))
    assert desk("check", "rules").code == 0
    said = desk("check", "rules", "--online", **SECRETS)
    assert said.code == 2
    assert "rules/rules.yaml:9:" in said.err
    assert "`Checkout API`" in said.err


def test_online_warns_of_components_that_customers_do_not_see(desk: Desk) -> None:
    items = [{"component": "Checkout API", "hidden": True}, {"group": "Europe", "components": ["API"]}]
    content = {"pages": [{"name": "Acme Status", "items": items}]}
    with SandboxServer(State(build_pages(content, START))) as page:
        write_rules(Path("rules"), page.url)
        said = desk("check", "rules", "--online", **SECRETS)
    assert said.code == 0
    assert "warning: component `checkout`: `Checkout API` is hidden" in said.err


def test_online_names_every_secret_that_is_missing(desk: Desk, rules: Path) -> None:
    said = desk("check", rules, "--online")
    assert said.code == 2
    assert all(name in said.err for name in SECRETS)
    assert len(said.err.splitlines()) == len(SECRETS)


def test_a_page_that_does_not_answer_is_a_no(desk: Desk) -> None:
    write_rules(Path("rules"), "http://127.0.0.1:9")
    said = desk("check", "rules", "--online", **SECRETS)
    assert said.code == 1
    assert "page `main`" in said.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a/b.yaml:3:7: x: y", Problem("a/b.yaml", 3, 7, "x: y")),
        ("C:/b.yaml:3:7: x", Problem("C:/b.yaml", 3, 7, "x")),
        ("no place", Problem("", 0, 0, "no place")),
    ],
)
def test_warnings_keep_their_places(text: str, problem: Problem) -> None:
    assert placed(text) == problem
