"""What came is held against what was expected: exactly, in order, and only what is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.bootstrap import load_rules
from worker.bootstrap.rehearsal import play_case
from worker.core.ruleset import RuleSet
from worker.rehearse.reading import read_cases
from worker.rehearse.verdict import Verdict, judge
from worker.sources import SENDERS

ROOT = Path(__file__).parents[3]
CRITICAL = "{labels: {service: checkout, severity: critical}}"
STEPS = f"""
      - {{at: 0m, send: {{source: alertmanager, alerts: [{CRITICAL}]}}}}
      - {{at: 10m, send: {{source: alertmanager, alerts: [{CRITICAL[:-1]}, status: resolved}}]}}}}
      - {{at: 1h}}
"""
ALL = """
      - {at: 3m, do: open_incident}
      - {at: 10m, do: update_incident}
      - {at: 20m, do: resolve_incident}
"""


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rules(ROOT / "rules")


def verdict(rules: RuleSet, expect: str, steps: str = STEPS, more: str = "") -> Verdict:
    text = f"tests:\n  - name: x\n    steps:{steps}    expect:{expect}\n{more}"
    (case,) = read_cases({"x.yaml": text}, rules, SENDERS, lambda file, name: b"")
    return judge(play_case(case, rules))


def rows(found: Verdict) -> list[str]:
    """Each row as the sign that people see, and what it is about."""
    shown = []
    for row in found.rows:
        wanted = str(row.wanted.spec.do) if row.wanted else ""
        got = str(row.saying.action.kind) if row.saying else ""
        sign = "=" if row.right else "~" if wanted and got else "-" if wanted else "+"
        shown.append(f"{sign} {wanted or got}" + "".join(f" {each.name}" for each in row.deviations))
    return shown


def test_exactly_what_was_expected_holds(rules: RuleSet) -> None:
    assert verdict(rules, ALL).holds


def test_one_too_many_and_one_too_few_are_told_as_such(rules: RuleSet) -> None:
    less = verdict(rules, "\n      - {at: 3m, do: open_incident}\n      - {at: 20m, do: resolve_incident}\n")
    assert rows(less) == ["= open_incident", "+ update_incident", "= resolve_incident"]
    more = verdict(rules, ALL + "      - {at: 40m, do: open_incident}\n")
    assert rows(more) == ["= open_incident", "= update_incident", "= resolve_incident", "- open_incident"]
    assert not less.holds
    assert not more.holds


def test_nothing_expected_means_nothing(rules: RuleSet) -> None:
    assert rows(verdict(rules, " []")) == ["+ open_incident", "+ update_incident", "+ resolve_incident"]


def test_what_differs_is_named_field_by_field(rules: RuleSet) -> None:
    wrong = verdict(rules, ALL.replace("at: 3m,", "at: 4m, mails: false, components: {api: full_outage},"))
    assert rows(wrong) == ["~ open_incident at components mails", "= update_incident", "= resolve_incident"]
    told = {each.name: (each.wanted, each.got) for each in wrong.rows[0].deviations}
    assert told["at"] == ("4m", "3m")
    assert told["components"] == ("{api: full_outage}", "{checkout: full_outage}")
    assert told["mails"] == ("false", "true")


@pytest.mark.parametrize(
    ("field", "holds"),
    [
        ("rule: checkout-outage", True),
        ("rule: database-outage", False),
        ("post: open", True),
        ("post: reopen", False),
        ("status: investigating", True),
        ("status: monitoring", False),
        ("page: main", True),
        ("group: {}", True),
        ("group: {region: eu}", False),
        ("components: {checkout: full_outage}", True),
        ("components: {}", False),
        ("mails: true", True),
        ("mails: false", False),
        ("title: Checkout problems in all regions", True),
        ("title: Checkout problems", False),
        ("title: {contains: Checkout problems}", True),
        ("text: {contains: cannot complete checkout}", True),
        ("text: {contains: node0}", False),
        ("state: done", True),
        ("state: held", False),
        ("starts: 2026-01-05T10:00:00Z", False),
    ],
)
def test_every_field_that_is_named_is_compared(rules: RuleSet, field: str, holds: bool) -> None:
    found = verdict(rules, ALL.replace("at: 3m,", f"{field},"))
    assert found.holds is holds
    assert rows(found)[0] == ("= open_incident" if holds else f"~ open_incident {field.partition(':')[0]}")


def test_what_the_page_does_not_have_is_not_said_unless_the_test_says_so(rules: RuleSet) -> None:
    steps = f"""
      - {{at: 0m, page: {{unreachable: 1h}}}}
      - {{at: 0m, send: {{source: alertmanager, alerts: [{CRITICAL}]}}}}
      - {{at: 10m}}
"""
    silent = verdict(rules, "\n      - {do: open_incident}\n", steps)
    assert rows(silent) == ["~ open_incident state"]
    assert (silent.rows[0].deviations[0].wanted, silent.rows[0].deviations[0].got) == ("on the page", "queued")
    assert verdict(rules, "\n      - {at: 3m, do: open_incident, state: queued}\n", steps).holds


def test_what_happens_at_one_time_may_be_expected_in_any_order(rules: RuleSet) -> None:
    steps = f"""
      - {{at: 0m, send: {{source: alertmanager, alerts: [{CRITICAL}]}}}}
      - at: 3m
        send: {{source: incident-io, incidents: [{{name: Login, message: Login fails.}}]}}
"""
    one = "      - {at: 3m, do: open_incident, title: Login}\n"
    other = "      - {at: 3m, do: open_incident, rule: checkout-outage}\n"
    assert verdict(rules, "\n" + one + other, steps).holds
    assert verdict(rules, "\n" + other + one, steps).holds


def test_totals_count_what_the_public_gets(rules: RuleSet) -> None:
    text = f"tests:\n  - name: x\n    steps:{STEPS}    totals: {{incidents: 1, updates: 2, mails: 3}}\n"
    (case,) = read_cases({"x.yaml": text}, rules, SENDERS, lambda file, name: b"")
    found = judge(play_case(case, rules))
    assert [(each.name, each.wanted, each.got) for each in found.totals] == [("mails", "3", "2")]
    assert not found.holds


def test_notices_are_compared_where_they_are_named(rules: RuleSet) -> None:
    assert verdict(rules, ALL, more="    notices: []\n").holds
    missing = verdict(rules, ALL, more="    notices: [max_open]\n")
    assert missing.notices == (("max_open",), [])
    assert not missing.holds


def test_a_body_that_is_not_understood_fails_what_expects_nothing(rules: RuleSet) -> None:
    steps = "\n      - {at: 0m, send: {source: alertmanager, body: {alert: 1}}}\n"
    found = verdict(rules, " []", steps)
    assert not found.holds
    assert "not Alertmanager's webhook" in found.problems[0][1]
    assert verdict(rules, " []", steps, more="    notices: [inbound_parked]\n").holds


def test_a_person_who_acts_on_what_is_not_there_fails_the_test_at_its_step(rules: RuleSet) -> None:
    found = verdict(rules, " []", "\n      - {at: 0m, page: {resolves: checkout-outage}}\n")
    assert found.problems == (("x.yaml:4:9", "`checkout-outage` has nothing on the page by now"),)


def test_of_several_incidents_one_must_be_meant(rules: RuleSet) -> None:
    both = "[{id: a, message: A.}, {id: b, message: B.}]"
    steps = f"\n      - {{at: 0m, send: {{source: incident-io, incidents: {both}}}}}\n"
    steps += "      - {at: 1m, page: {resolves: major-incidents}}\n"
    opened = "\n      - {do: open_incident}\n      - {do: open_incident}\n"
    assert "several incidents by now: say which with `group`" in verdict(rules, opened, steps).problems[0][1]
    assert verdict(rules, opened, steps.replace("major-incidents}", "major-incidents, group: {incident: b}}")).holds
