"""People and brakes in a rule test: what waits, waits; what is approved goes out; what is dismissed is never said."""

from __future__ import annotations

import pytest

from tests.unit.steps.rig import HEAD, rule
from worker.bootstrap import source_facts
from worker.bootstrap.rehearsal import play_case
from worker.core.rules import load
from worker.providers import PROVIDERS
from worker.rehearse.reading import read_cases
from worker.rehearse.verdict import Verdict, judge
from worker.sources import SENDERS

FIRES = "{at: 0m, send: {source: alerts, alerts: [{labels: {service: checkout, severity: critical}}]}}"


def verdict(expect: str, *steps: str, publish: str = "approve", **incident: str) -> Verdict:
    text = HEAD + rule(publish=publish, **incident)
    rules = load({"rules.yaml": text}, {}, source_kinds=source_facts(), provider_names=PROVIDERS)
    body = "".join(f"      - {step}\n" for step in steps)
    test = f"tests:\n  - name: x\n    steps:\n{body}    expect: {expect}\n"
    (case,) = read_cases({"x.yaml": test}, rules, SENDERS, lambda file, name: b"")
    return judge(play_case(case, rules))


def test_what_awaits_approval_is_not_said_and_goes_out_once_a_person_says_so() -> None:
    assert not verdict("[{do: open_incident}]", FIRES, "{at: 1h}").holds
    assert verdict("[{at: 0m, do: open_incident, state: awaiting_approval}]", FIRES, "{at: 1h}").holds
    approved = "{at: 5m, page: {approves: checkout}}"
    assert verdict("[{at: 5m, do: open_incident}]", FIRES, approved, "{at: 1h}").holds


def test_what_is_approved_in_other_words_is_said_in_them() -> None:
    approved = "{at: 5m, page: {approves: checkout, text: It is slow for some.}}"
    assert verdict("[{do: open_incident, text: It is slow for some.}]", FIRES, approved, "{at: 1h}").holds


def test_what_a_person_dismisses_is_never_said() -> None:
    assert verdict("[]", FIRES, "{at: 5m, page: {dismisses: checkout}}", "{at: 1h}").holds


def test_an_approval_of_nothing_fails_at_its_step() -> None:
    found = verdict("[]", "{at: 5m, page: {approves: checkout}}")
    assert found.problems == (("x.yaml:4:9", "nothing of `checkout` waits for a person by now"),)


def test_the_shadow_says_what_would_be_said() -> None:
    assert verdict("[{at: 0m, do: open_incident}]", FIRES, "{at: 1h}", publish="shadow").holds
    assert verdict("[{do: open_incident, state: shadowed}]", FIRES, "{at: 1h}", publish="shadow").holds


@pytest.mark.parametrize("deed", ["renames", "deletes", "resolves"])
def test_a_person_who_takes_an_incident_over_silences_us(deed: str) -> None:
    over = FIRES.replace("0m", "20m").replace("critical}}", "critical}, status: resolved}")
    acted = f"{{at: 5m, page: {{{deed}: checkout}}}}"
    assert verdict("[{at: 0m, do: open_incident}]", FIRES, acted, over, "{at: 1d}", publish="auto").holds
