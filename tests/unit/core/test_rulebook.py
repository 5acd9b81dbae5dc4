"""Rules in force, the revisions that live episodes still follow, and what they may know of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.transcript import START, alert
from worker.bootstrap import source_facts
from worker.core.model import Episode, Phase, PublishMode, episode_key
from worker.core.rulebook import RuleBook
from worker.core.rules import compile_entry, compile_spec, load
from worker.errors import ConfigError
from worker.providers import PROVIDERS

HEAD = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${{KEY}}
    publish: {publish}
    components: {{checkout: Checkout API, eu: {{group: Europe}}}}
sources:
  alerts: {{kind: alertmanager, auth: none}}
rules:
"""


def rule(name: str, *, match: str = "{labels.service: checkout}", more: str = "", **incident: str) -> str:
    """Write a rule."""
    plan = {
        "page": "main",
        "components": "{checkout: full_outage}",
        "title": name,
        "say": "{open: o, worsen: w, improve: i, resolve: r}",
        **incident,
    }
    lines = "".join(f"      {key}: {value}\n" for key, value in plan.items())
    group = "" if "group_by" in more else "    group_by: []\n"
    return f"  - id: {name}\n    match: {match}\n{group}{more}    incident:\n{lines}"


def book(*rules: str, publish: str = "auto") -> RuleBook:
    """Load rules and put them in use."""
    text = HEAD.format(publish=publish) + "".join(rules)
    return RuleBook(
        load({"rules.yaml": text}, {}, source_kinds=source_facts(), provider_names=PROVIDERS),
        compile_spec,
        compile_entry,
    )


def episode(of: RuleBook, identity: str = "a", phase: Phase = Phase.OPEN, **group: str) -> Episode:
    """An episode that was opened under the rules of a book."""
    current = of.current(identity)
    assert current is not None
    return Episode(
        id=f"{episode_key(identity, 'main', group)}#1",
        rule_id=identity,
        page="main",
        group=group,
        number=1,
        phase=phase,
        rule_hash=current.hash,
        created_at=START,
        held_since=START,
    )


class Stored:
    """Revisions as the ledger keeps them."""

    def __init__(self, *books: RuleBook) -> None:
        self.specs: dict[str, Mapping[str, Any]] = {}
        for each in books:
            for rule in each.rules.rules:
                self.specs |= each.revision(rule.hash)
        self.asked: list[str] = []

    def __call__(self, rule_hash: str) -> Mapping[str, Any] | None:
        self.asked.append(rule_hash)
        return self.specs.get(rule_hash)


# -- revisions


def test_an_open_episode_follows_the_revision_that_opened_it_and_a_held_one_the_current() -> None:
    before, after = book(rule("a", quiet="1m")), book(rule("a", quiet="9m"))
    stored = Stored(before)
    opened = after.followed_by(episode(before), stored)
    assert opened is not None
    assert opened.hash == before.rules.rules[0].hash
    assert opened.spec == before.rules.rules[0].spec
    assert after.followed_by(episode(before, phase=Phase.HELD), stored) is after.current("a")
    for phase in (Phase.CLEARING, Phase.RESOLVED):
        assert after.followed_by(episode(before, phase=phase), stored) is opened, "and is compiled once"
    assert len(stored.asked) == 1


def test_a_revision_in_force_is_not_looked_up() -> None:
    now = book(rule("a"))
    stored = Stored()
    assert now.followed_by(episode(now), stored) is now.current("a")
    assert stored.asked == []


def test_a_revision_that_nobody_kept_is_followed_by_the_current_rule() -> None:
    before, after = book(rule("a", quiet="1m")), book(rule("a", quiet="9m"))
    assert after.followed_by(episode(before), Stored()) is after.current("a")
    assert book(rule("b")).followed_by(episode(before), Stored()) is None


def test_a_rule_that_is_gone_leaves_held_episodes_and_keeps_open_ones() -> None:
    before, after = book(rule("a")), book(rule("b"))
    stored = Stored(before)
    assert after.followed_by(episode(before, phase=Phase.HELD), stored) is None
    assert after.followed_by(episode(before), stored) is not None


def test_only_revisions_that_are_known_are_handed_to_the_ledger() -> None:
    now = book(rule("a"))
    assert now.revision("unknown") == {}
    kept = now.revision(now.rules.rules[0].hash)
    assert compile_spec(next(iter(kept.values()))).hash == now.rules.rules[0].hash


def test_a_renamed_rule_is_known_by_its_first_name() -> None:
    now = book(rule("new", more="    was: a\n"))
    assert now.current("a") is not None
    assert now.current("new") is None


def test_two_rules_of_one_identity_are_refused() -> None:
    with pytest.raises(ConfigError, match="`a`"):
        book(rule("a"), rule("b", more="    was: a\n"))


# -- whether a member still matches


def test_an_older_revision_is_asked_whether_a_member_still_matches() -> None:
    before, after = book(rule("a")), book(rule("a", match="{labels.service: other}"))
    stored = Stored(before)
    assert after.keeps(episode(before), alert(), stored) is True
    assert after.keeps(episode(before), alert(labels={"service": "nowhere"}), stored) is False


def test_the_rule_in_force_was_asked_already() -> None:
    now = book(rule("a"))
    assert now.keeps(episode(now), alert(), Stored()) is False


def test_a_member_that_falls_into_another_group_is_not_kept() -> None:
    before, after = book(rule("a", more="    group_by: [region]\n")), book(rule("b"))
    stored = Stored(before)
    in_eu = episode(before, region="eu")
    assert after.keeps(in_eu, alert(labels={"region": "eu"}), stored) is True
    assert after.keeps(in_eu, alert(labels={"region": "us"}), stored) is False


def test_an_older_revision_that_fails_tells_nothing() -> None:
    before, after = book(rule("a", more="    if: int(label('n')) > 0\n")), book(rule("b"))
    assert after.keeps(episode(before), alert(labels={"n": "x"}), Stored(before)) is None
    assert after.keeps(episode(before), alert(labels={"n": "1"}), Stored(before)) is True


def test_a_revision_that_nobody_kept_keeps_no_member() -> None:
    assert book(rule("b")).keeps(episode(book(rule("a"))), alert(), Stored()) is False


# -- yielding

CHAIN = (rule("a", yield_to="[b, c]"), rule("b", yield_to="[c]"), rule("c"), rule("d"))


def test_a_rule_is_ranked_behind_all_that_it_yields_to() -> None:
    ranks = {name: book(*CHAIN).rank(name) for name in "abcd"}
    assert ranks["a"] > ranks["b"] > ranks["c"] == ranks["d"]
    assert book(*CHAIN).rank("unknown") < ranks["c"]


def test_who_yields_is_woken_when_an_episode_begins_or_ends_and_only_then() -> None:
    now = book(*CHAIN)
    live, over = episode(now, "c"), episode(now, "c", Phase.RESOLVED)
    both = [("a", "main"), ("b", "main")]
    assert now.woken(None, live) == both
    assert now.woken(live, over) == both
    assert now.woken(over, live) == both
    assert now.woken(live, replace(live, phase=Phase.CLEARING)) == []
    assert now.woken(over, replace(over, phase=Phase.DISMISSED)) == []
    assert now.woken(None, over) == []
    assert now.woken(None, episode(now, "d")) == []


def test_yielding_knows_rules_by_identity() -> None:
    now = book(rule("new", more="    was: old\n"), rule("b", yield_to="[new]"))
    b = now.current("b")
    assert b is not None
    assert now.yields_to(b) == ("old",)
    assert now.dependents == {"old": {"b"}}


def test_the_context_names_whom_a_rule_yields_to_only_while_they_are_live() -> None:
    now = book(*CHAIN)
    asked: list[tuple[tuple[str, ...], str]] = []

    def live(identities: tuple[str, ...], page: str) -> bool:
        asked.append((identities, page))
        return True

    assert now.context(now.current("a"), "main", live, (), dict, START).yielding == "b, c"
    assert now.context(now.current("a"), "main", lambda *_: False, (), dict, START).yielding == ""
    assert now.context(now.current("d"), "main", live, (), dict, START).yielding == ""
    assert asked == [(("b", "c"), "main")], "who yields to nobody asks nobody"


# -- what decide may know

MODES = (PublishMode.AUTO, PublishMode.APPROVE, PublishMode.SHADOW)


@pytest.mark.parametrize("page", MODES)
@pytest.mark.parametrize("own", MODES)
def test_a_page_is_a_ceiling_over_all_its_rules(page: PublishMode, own: PublishMode) -> None:
    now = book(rule("a", publish=own.value), publish=page.value)
    context = now.context(now.current("a"), "main", lambda *_: False, (), dict, START)
    assert context.publish is max(page, own, key=MODES.index)


def test_the_context_holds_the_page_and_its_public_names() -> None:
    now = book(rule("a"))
    context = now.context(now.current("a"), "main", lambda *_: False, (), dict, START)
    assert (context.page, context.page_name) == ("main", "Acme Status")
    assert dict(context.names) == {"checkout": "Checkout API", "eu": "Europe"}
    assert context.rule is now.current("a")


def test_without_a_rule_there_is_nothing_to_know() -> None:
    context = book(rule("a")).context(None, "main", lambda *_: True, (), dict, START)
    assert (context.rule, context.yielding) == (None, "")


def test_a_page_that_is_not_configured_any_more_leaves_its_name() -> None:
    now = book(rule("a"))
    context = now.context(now.current("a"), "gone", lambda *_: False, (), dict, START)
    assert (context.page, context.page_name, dict(context.names)) == ("gone", "gone", {})
