"""``demo`` with rules of one's own: it takes what there is, and says at the start what is missing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from worker.bootstrap import load_rules
from worker.cli import staging
from worker.cli.rehearsal import Problem, stage
from worker.core.model import PublishMode
from worker.core.phrases import duration

from .desk import Desk

RULES = """\
pages:
  main:
    provider: incident_io
    page: Contoso
    api_key: ${file:/nowhere/key}
    publish: shadow
    components: {shop: Shop, eu: Europe / Shop, asia: {group: Asia}, lab: Partners / Lab / Feed}
sources:
  ci: {kind: json, auth: {header: {name: X-Token, value: "${CI}"}}, event: {key: body.k, status: "'firing'"}}
  monitoring: {kind: alertmanager, auth: {basic: {username: am, password: "${file:/nowhere/password}"}}}
rules:
  - id: shop
    source: monitoring
    match: {labels.service: checkout}
    incident:
      page: main
      components: {shop: degraded_performance, eu: degraded_performance, asia: partial_outage, lab: partial_outage}
      hold: 0s
      quiet: 1m
      publish: approve
      approve: {posts: [open], deadline: 1h, on_expiry: hold}
      title: Shop
      say: {open: It is slow., resolve: It is well.}
"""


@pytest.fixture
def own(desk: Desk) -> Path:
    folder = Path("own")
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES)
    return folder


def changed(own: Path, old: str, new: str) -> None:
    text = (own / "rules.yaml").read_text()
    assert old in text
    (own / "rules.yaml").write_text(text.replace(old, new))


def test_rules_of_ones_own_are_played_with_their_source_their_page_and_without_waiting(own: Path) -> None:
    told: list[str] = []
    with stage(own, keep=False, tell=lambda when, who, what: told.append(what)) as on:
        on.send("it fires", Problem("checkout", "warning", "node0:9100", on.clock()))
        on.watcher.until(lambda: bool(on.watcher.incidents()), "an incident")
    assert any("whatever `publish` says" in line for line in told)
    assert told[-1] == "Shop · investigating · It is slow."
    page = next(iter(on.watcher.page.state.pages.values()))
    assert page.name == "Contoso"
    labels = {place.label for place in page.places().values()}
    assert labels == {"Europe / Shop", "Asia / Everything", "Lab / Feed"}


def test_what_the_page_says_of_a_time_is_what_the_timeline_shows(own: Path) -> None:
    changed(own, "It is well.", '"It lasted {{ episode.duration }}."')
    told: list[tuple[str, str]] = []
    with stage(own, keep=False, tell=lambda when, who, what: told.append((what, when))) as on:
        alerts = [Problem("checkout", "warning", f"node{n}:9100", on.clock()) for n in range(60)]
        on.send("they fire", *alerts)
        on.clock.until(on.clock() + timedelta(minutes=2))
        on.send("they are over", *alerts, ended=True)
        on.watcher.until(lambda: any("It lasted" in what for what, _ in told), "resolved")
    at = {what: int(when.split(":")[0]) * 60 + int(when.split(":")[1]) for what, when in told if when}
    lasted = timedelta(seconds=at["they are over"] - at["they fire"])
    assert f"Shop · resolved · It lasted {duration(lasted)}." in at


def test_nothing_of_the_set_waits_and_no_secret_of_it_is_looked_up(own: Path) -> None:
    rules = load_rules(own)
    assert staging.holds_back(rules)
    ready, environ = staging.staged(rules, "http://127.0.0.1:1", "key", {"": "worthless"})
    assert not staging.holds_back(ready)
    assert ready.pages["main"].publish is PublishMode.AUTO
    assert ready.notices == ()
    refs = [ready.pages["main"].api_key, *(ref for source in ready.sources.values() for ref in source.auth.secrets)]
    assert [ref.kind for ref in refs if ref] == ["env"] * 3
    assert sorted(environ.values()) == ["key", "worthless", "worthless"]


def test_without_a_source_of_its_kind_it_says_so_at_once_with_the_way_out(desk: Desk, own: Path) -> None:
    changed(own, "kind: alertmanager, auth: {basic: {username: am, password: \"${file:/nowhere/password}\"}}",
            "kind: incident_io, auth: {standard_webhooks: [\"${W}\"]}")  # fmt: skip
    changed(own, "match: {labels.service: checkout}", "match: {kind: incident}")
    said = desk("demo", "--rules", own)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        "own: the demo posts what Alertmanager sends, and no source here is of `kind: alertmanager`"
    )
    assert "(`ci`, `monitoring`)" in said.err
    assert "`statusbridge test`" in said.err


def test_without_a_rule_for_what_it_sends_it_says_so_at_once_with_what_that_is(desk: Desk, own: Path) -> None:
    changed(own, "labels.service: checkout", "labels.service: billing")
    said = desk("demo", "--rules", own)
    assert (said.code, said.out) == (2, "")
    assert "own: no rule with `incident:` here is for what the demo sends: alerts of source `monitoring`" in said.err
    assert "service: checkout, severity: warning; or with severity critical" in said.err


def test_the_rules_that_come_along_are_ready_as_they_are() -> None:
    rules = load_rules(Path(__file__).parents[3] / "rules")
    assert staging.sender(rules, Path("rules")) == "alertmanager"
    assert not staging.holds_back(rules)
