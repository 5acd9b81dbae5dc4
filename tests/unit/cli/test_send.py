"""``send``: what is wrong before anything is sent."""

from __future__ import annotations

from pathlib import Path

from .desk import SECRETS, Desk


def test_a_source_that_the_rules_do_not_have_is_a_wrong_call(desk: Desk, rules: Path) -> None:
    said = desk("send", "alert", "-", stdin="{}", **SECRETS)
    assert said.code == 2
    assert "did you mean `alerts`?" in said.err


def test_only_the_secret_of_the_source_is_needed(desk: Desk, rules: Path) -> None:
    said = desk("send", "alerts", "-", stdin="{}")
    assert said.code == 2
    assert "ALERTS_TOKEN" in said.err
    assert "CI_SECRET" not in said.err


def test_a_file_that_is_not_there_is_a_wrong_call(desk: Desk, rules: Path) -> None:
    said = desk("send", "alerts", "missing.json", **SECRETS)
    assert (said.code, said.err) == (2, "missing.json: No such file or directory\n")


def test_a_header_without_a_name_is_a_wrong_call(desk: Desk, rules: Path) -> None:
    said = desk("send", "alerts", "-", "--header", "nonsense", stdin="{}", **SECRETS)
    assert said.code == 2
    assert "--header: `nonsense`" in said.err


def test_nobody_there_is_a_no_with_the_way_on(desk: Desk, rules: Path) -> None:
    said = desk("send", "alerts", "-", stdin="{}", STATUSBRIDGE_PORT="9", **SECRETS)
    assert said.code == 1
    assert "no worker answers at http://127.0.0.1:9" in said.err
    assert "statusbridge run" in said.err
