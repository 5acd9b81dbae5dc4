"""``init``: what is written is right, tested and harmless; a page that can be asked gives its components."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.desk import Desk
from worker.bootstrap import load_rules
from worker.cli.init import STARTER, _named, _slug
from worker.core.model import PublishMode
from worker.providers._components import ListedComponent
from worker.sandbox import DEFAULT_KEY, SandboxServer
from worker.sources import SOURCES


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


STARTED = sorted(path.name for path in STARTER.iterdir() if path.is_dir())


def test_a_kind_without_rules_to_begin_with_is_told_so(desk: Desk, tmp_path: Path) -> None:
    assert set(STARTED) < SOURCES.keys()
    said = desk("init", tmp_path / "rules", "--source", "pagerduty", "--offline")
    assert said.code == 2
    assert "docs/reference/sources/pagerduty.md" in said.err


@pytest.mark.parametrize("kind", STARTED)
def test_what_is_written_for_each_kind_of_source_is_right_and_does_what_its_tests_claim(
    desk: Desk, tmp_path: Path, kind: str
) -> None:
    rules = tmp_path / "rules"
    said = desk("init", rules, "--source", kind, "--offline")
    assert said.code == 0, said.err
    assert f"written: {rules}/pages.yaml" in said.out
    assert "put your page and its components into" in said.out
    checked = desk("check", rules, "--strict")
    assert (checked.code, checked.err) == (0, "")
    tested = desk("test", rules, "--coverage", "--json")
    assert (tested.code, tested.data["coverage"]["missed"]) == (0, [])
    assert {each.publish for each in load_rules(rules).pages.values()} == {PublishMode.SHADOW}


def test_all_kinds_fit_into_one_directory(desk: Desk, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    assert desk("init", rules, *(each for kind in STARTED for each in ("--source", kind)), "--offline").code == 0
    assert len(load_rules(rules).sources) == len(STARTED)
    checked = desk("check", rules, "--strict")
    assert (checked.code, checked.err) == (0, "")
    assert desk("test", rules).code == 0


def test_a_page_that_can_be_asked_gives_its_components(desk: Desk, tmp_path: Path, page: SandboxServer) -> None:
    rules = tmp_path / "rules"
    said = desk(
        *("init", rules, "--source", "alertmanager", "--base-url", page.url, "--page", "Acme Status"),
        INCIDENT_IO_API_KEY=DEFAULT_KEY,
    )
    assert said.code == 0, said.err
    assert "put your page" not in said.out
    components = load_rules(rules).pages["main"].components
    assert {"checkout-api", "europe-api"} <= components.keys()
    assert components["europe-api"].name == "Europe / API"
    online = desk("check", rules, "--strict", "--online", INCIDENT_IO_API_KEY=DEFAULT_KEY, ALERTMANAGER_TOKEN="t")
    assert online.code == 0, online.err
    assert desk("test", rules).code == 0


def test_a_page_that_is_not_there_or_not_reachable_writes_nothing(
    desk: Desk, tmp_path: Path, page: SandboxServer
) -> None:
    rules = tmp_path / "rules"
    ask = ("init", rules, "--source", "alertmanager", "--base-url")
    wrong = desk(*ask, page.url, "--page", "Acme Statsu", INCIDENT_IO_API_KEY=DEFAULT_KEY)
    assert (wrong.code, "did you mean `Acme Status`?" in wrong.err) == (2, True)
    away = desk(*ask, "http://127.0.0.1:9", INCIDENT_IO_API_KEY=DEFAULT_KEY)
    assert away.code == 1
    assert "with --offline" in away.err
    assert not rules.exists()


def test_nothing_is_ever_overwritten(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("rules: []\n")
    said = desk("init", tmp_path, "--source", "alertmanager", "--offline")
    assert (said.code, said.err) == (
        2,
        f"{tmp_path}: there is something already; name a directory that is empty or not there\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_an_unknown_kind_of_source_names_those_that_there_are(desk: Desk, tmp_path: Path) -> None:
    said = desk("init", tmp_path / "rules", "--source", "alertmanger")
    assert (said.code, said.err) == (2, "--source: there is no kind `alertmanger`; did you mean `alertmanager`?\n")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Checkout API", "checkout-api"),
        ("Europe / API", "europe-api"),
        ("Zahlung & Größe", "zahlung-gr-e"),
        ("状态", "component"),
        ("1. Login", "the-1-login"),
        ("Status", "the-status"),
        ("True", "the-true"),
        ("x" * 300, "x" * 50),
    ],
)
def test_names_of_ours_are_such_as_rules_take(label: str, name: str) -> None:
    assert _slug(label) == name


def test_two_components_that_would_be_called_the_same_are_told_apart() -> None:
    listed = [ListedComponent(id=str(n), name=name) for n, name in enumerate(["A b", "A-B", "Secret"])]
    hidden = ListedComponent(id="9", name="Hidden", hidden=True)
    assert _named([*listed, hidden]) == {"a-b": "A b", "a-b-2": "A-B", "secret": "Secret"}


def test_a_page_with_an_odd_name_is_written_so_that_it_reads_back(desk: Desk, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    name = 'The "best" {{ page }}: #1'
    assert desk("init", rules, "--source", "json", "--offline", "--page", name).code == 0
    assert load_rules(rules).pages["main"].page == name
