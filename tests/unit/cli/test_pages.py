"""``pages``: what the key sees and which of our names point there."""

from __future__ import annotations

from pathlib import Path

from worker.sandbox import SandboxServer

from .desk import SECRETS, Desk, write_rules


def test_the_tree_shows_ids_and_our_names(desk: Desk, rules: Path, page: SandboxServer) -> None:
    said = desk("pages", "--rules", rules, **SECRETS)
    assert said.code == 0, said.err
    acme = page.state.page
    assert f"Acme Status  {acme.id}" in said.out
    assert "← main\n" in said.out
    assert f"  Checkout API  {acme.component_id('Checkout API')}   ← main.checkout\n" in said.out
    assert said.out.count("← main.europe") == 2
    assert "  Europe" in said.out


def test_the_tree_is_shown_even_when_our_names_point_nowhere(desk: Desk, page: SandboxServer) -> None:
    write_rules(Path("rules"), page.url, ("checkout: Checkout API", "checkout: Chekout API"))
    said = desk("pages", **SECRETS)
    assert said.code == 2
    assert "Checkout API" in said.out
    assert "rules/rules.yaml:9:" in said.err


def test_the_tree_for_programs_has_every_component(desk: Desk, rules: Path) -> None:
    (key,) = desk("pages", "--json", **SECRETS).data["keys"]
    assert key["used_by"] == ["main"]
    (page,) = key["pages"]
    named = {component["name"]: component["names"] for component in page["components"]}
    assert named["Checkout API"] == ["main.checkout"]
    assert named["Dashboard"] == []


def test_a_page_that_the_rules_do_not_have_is_a_wrong_call(desk: Desk, rules: Path) -> None:
    said = desk("pages", "--page", "mian", **SECRETS)
    assert said.code == 2
    assert "did you mean `main`?" in said.err


def test_a_key_that_is_missing_or_wrong_is_told_by_name_only(desk: Desk, rules: Path) -> None:
    missing = desk("pages")
    assert missing.code == 2
    assert "PAGE_KEY" in missing.err
    wrong = desk("pages", PAGE_KEY="not-the-key")
    assert wrong.code == 2
    assert "not-the-key" not in wrong.err + wrong.out
