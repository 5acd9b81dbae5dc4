"""``send``: what is wrong before anything is sent; and the examples, to a running worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.web.site import Site, served
from worker.bootstrap import endpoints, load_rules, utc_now
from worker.sources import SOURCES

from .desk import SECRETS, Desk

DOCS = Path(__file__).parents[3] / "docs/reference/sources"


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


def test_it_takes_a_file_or_the_example_and_not_both(desk: Desk, rules: Path) -> None:
    for call in (["alerts"], ["alerts", "firing.json", "--example"]):
        said = desk("send", *call, **SECRETS)
        assert said.code == 2
        assert "name a file, or say --example" in said.err


@pytest.mark.parametrize("kind", SOURCES)
def test_a_running_worker_with_the_sources_of_the_docs_page_takes_the_example(desk: Desk, kind: str) -> None:
    section = (DOCS / f"{kind}.md").read_text().partition("\n## In the rules directory\n")[2]
    blocks = re.findall(r"^```yaml\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    written = next(block for block in blocks if "{sns:" not in block)  # what only the real sender can sign
    Path("rules").mkdir()
    Path("rules/sources.yaml").write_text(written)
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+)\}", written), "whsec_" + "A" * 32)
    (name,) = (name for name, config in load_rules(Path("rules")).sources.items() if config.kind == kind)
    site = Site(limit=50_000, clock=utc_now)
    site.endpoints = endpoints(load_rules(Path("rules")), secrets)
    with served(site) as (host, port):
        said = desk("send", "--example", name, "--url", f"http://{host}:{port}", **secrets)
    assert said.code == 0, said.err
    assert re.match(r"accepted [1-9]\d*, duplicates 0\n", said.out)
    assert f"{name}: " in said.out
    assert "no rule matches it" in said.out
