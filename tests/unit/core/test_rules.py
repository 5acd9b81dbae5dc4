"""A set is loaded whole or refused with every problem at its place."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import NamedTuple

import pytest

from worker.core.advice import unguarded_labels
from worker.core.documents import parse
from worker.core.model import ComponentStatus, Event, Post, PublishMode, Status
from worker.core.rules import compile_spec, load
from worker.core.ruleset import (
    Driver,
    EventWindowPlan,
    Existing,
    IncidentPlan,
    MatchOp,
    Missed,
    RelayPlan,
    RuleSet,
    SecretRef,
    TooShort,
)
from worker.errors import ConfigError

CORPUS = Path(__file__).parents[2] / "corpus"
BASE = (CORPUS / "base.yaml").read_text()


class Facts(NamedTuple):
    """What a kind of source says of itself."""

    schemes: Mapping[str, Mapping[str, str]]
    event_kinds: frozenset[str]


KINDS = {
    "alarms": Facts({"bearer": {}, "basic": {}, "none": {}}, frozenset({"alert"})),
    "desk": Facts(
        {"standard_webhooks": {}, "hmac": {"header": "X-Desk", "prefix": "v1="}}, frozenset({"incident", "alert"})
    ),
    "json": Facts({"bearer": {}, "hmac": {}, "none": {}}, frozenset()),
}
TEMPLATES = {"resolved.md.j2": "All good in {{ region }}."}
RULE = """
rules:
  - id: {id}
    source: alarms
    match: {{labels.service: {id}}}
    incident:
      page: main
      components: {{{component}: full_outage}}
      title: Problems
      say: {{open: We look., resolve: Over.}}
"""


def loaded(*texts: str, **files: str) -> RuleSet:
    named = {f"{index}.yaml": text for index, text in enumerate(texts)} | {
        f"{key}.yaml": text for key, text in files.items()
    }
    return load(named, TEMPLATES, source_kinds=KINDS, provider_names=["pagehost"])


def refused(*texts: str, **files: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(*texts, **files)
    return [str(problem) for problem in caught.value.problems]


def good() -> RuleSet:
    files = {path.name: path.read_text() for path in sorted((CORPUS / "good").glob("*.yaml"))}
    templates = {path.name: path.read_text() for path in (CORPUS / "good/templates").iterdir()}
    return load(files, templates, source_kinds=KINDS, provider_names=["pagehost"])


# --- wrong files


def _cases() -> list[Path]:
    return sorted((CORPUS / "rules").glob("*.yaml"))


@pytest.mark.parametrize("path", _cases(), ids=lambda path: path.stem)
def test_a_wrong_file_is_told_exactly(path: Path) -> None:
    """Each file says in its first lines what must be told; ``@`` is a problem in another file."""
    text = path.read_text()
    expected = re.findall(r"^# (expect|warns): (.*)$", text, re.MULTILINE)
    files = {"base.yaml": BASE, path.name: text}
    try:
        told = [
            ("warns", warning)
            for warning in load(files, TEMPLATES, source_kinds=KINDS, provider_names=["pagehost"]).warnings
        ]
    except ConfigError as error:
        told = [("expect", str(problem)) for problem in error.problems]
    own = f"{path.name}:"
    assert [(kind, line.removeprefix(own) if line.startswith(own) else f"@{line}") for kind, line in told] == expected
    assert expected


VALUE = re.compile(r"(?<=:) (\[[^\]]*\]|\{[^}]*\}|[^,{}\[\]\n]+)")


def test_a_value_left_out_anywhere_breaks_nothing() -> None:
    files = {path.name: path.read_text() for path in (CORPUS / "good").glob("*.yaml")}
    for name, text in files.items():
        for value in VALUE.finditer(text):
            changed = text[: value.start()] + text[value.end() :]
            with contextlib.suppress(ConfigError):
                load(files | {name: changed}, TEMPLATES, source_kinds=KINDS, provider_names=["pagehost"])


@pytest.mark.parametrize("key", ["in", "not", "regex", "not_regex", "exists"])
def test_a_match_without_a_value_is_told_once(key: str) -> None:
    rule = RULE.format(id="a", component="checkout").replace("labels.service: a", f"labels.service: {{{key}: }}")
    assert refused(BASE, rule) == [f"1.yaml:5:{32 + len(key)}: `{key}` has no value; give it one, or remove it"]


def test_there_are_enough_wrong_files() -> None:
    assert len(_cases()) >= 40


def test_a_secret_in_the_wrong_place_is_never_repeated() -> None:
    for auth in (
        "hunter2",
        "{bearer: hunter2}",
        "{bearer:hunter2}",
        "[hunter2]",
        "{hmac: {header: X, secrets: hunter2}}",
    ):
        text = f"sources:\n  x: {{kind: alarms, auth: {auth}}}\n"
        assert "hunter2" not in "".join(refused(text))
    assert "hunter2" not in "".join(refused("pages:\n  x:\n    api_key: hunter2\n    provider:hunter2\n"))
    assert "hunter2" not in "".join(refused("notices:\n  - webhook: 'hunter2\n"))


def test_problems_come_in_order_of_file_and_line() -> None:
    told = refused(b="rulez: 1\n", a="x: 1\nrules: 1\n")
    assert [line.split(": ")[0] for line in told] == ["a.yaml:1:1", "a.yaml:2:8", "b.yaml:1:1"]


def test_a_wrong_default_is_told_once_and_where_it_stands() -> None:
    rules = "rules:" + "".join(
        RULE.format(id=name, component="checkout").replace("\nrules:\n", "\n") for name in ("a", "b", "c")
    )
    assert refused(BASE, "defaults: {incident: {hold: soon}}\n", rules) == [
        "1.yaml:1:29: `hold` must be a duration like 90s, 3m, 2h, 1d or 1h30m, not `soon`"
    ]


def test_nothing_is_a_set() -> None:
    assert loaded("# later\n").rules == ()


def test_the_examples_of_the_reference_are_yaml() -> None:
    reference = (CORPUS.parents[1] / "docs/reference/rules.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", reference, re.DOTALL)
    assert len(blocks) > 10
    for block in blocks:
        parse("rules.md", block)


# --- what a good set becomes


def test_the_whole_format_loads_without_a_problem() -> None:
    rules = good()
    assert [rule.id for rule in rules.rules] == ["database-down", "shop-down", "region-down", "major", "deployment"]
    assert not rules.warnings
    assert [window.id for window in rules.maintenance] == ["weekly", "once"]
    deployment = rules.rules[4].plan
    assert isinstance(deployment, EventWindowPlan)
    assert str(deployment.duration) == "duration('15m')"


def test_windows_become_plans() -> None:
    weekly, once = good().maintenance
    assert (weekly.pages, weekly.components) == (("main",), ("api", "shop"))
    assert (weekly.starts, weekly.timezone) == (datetime.fromisoformat("2026-12-06T02:00"), "Europe/Berlin")
    assert (weekly.duration, weekly.until, weekly.repeat) == (timedelta(hours=1), None, "FREQ=WEEKLY;BYDAY=SU")
    assert weekly.except_days == {date(2026, 12, 27)}
    assert weekly.announce is not None
    assert (weekly.announce.before, weekly.announce.notify) == (timedelta(hours=72), True)
    assert [said.before for said in weekly.reminders] == [timedelta(hours=1)]
    assert [said.text.render({}) for said in (weekly.start, weekly.complete)] == ["We begin.", "We are done."]
    assert weekly.failed.render({}) == "It went wrong; we are looking into it."
    assert weekly.overrun is not None
    assert (weekly.overrun.sources, weekly.overrun.extend, weekly.overrun.times) == (
        ("builds",),
        timedelta(minutes=15),
        2,
    )
    assert [(line.field, line.values) for line in weekly.overrun.matchers] == [("labels.job", ("migrate",))]
    assert weekly.place == "maintenance.yaml:2:5"
    assert (once.duration, once.until, once.repeat, once.announce) == (None, time_of_day(3), "", None)
    assert once.failed.render({}) == once.complete.text.render({}) == "The maintenance is complete."
    assert (once.driver, once.missed, once.grace) == (Driver.WORKER, Missed.LATE, timedelta(minutes=10))
    assert weekly.hash != once.hash


def test_pages_and_sources_become_configurations() -> None:
    rules = good()
    page, builds, people = rules.pages["main"], rules.sources["builds"], rules.sources["people"]
    assert page.api_key == SecretRef("env", "PAGE_KEY", "pages.yaml:5:14")
    assert page.components["europe"].group == "Europe"
    assert page.components["api-eu"].place == "pages.yaml:11:15"
    assert page.limits.incidents == (3, timedelta(minutes=10))
    assert page.publish is PublishMode.AUTO
    assert page.adoption is not None
    assert [(line.field, line.values) for line in page.adoption.title] == [("title", ("^Planned.*",))]
    assert [(each.address.kind, each.format, each.least) for each in rules.notices] == [
        ("file", "slack", "info"),
        ("env", "json", "warning"),
        ("env", "heartbeat", "info"),
    ]
    assert rules.notices[2].every == timedelta(minutes=5)
    assert (builds.auth.scheme, builds.auth.options["prefix"], builds.auth.options["algorithm"]) == (
        "hmac",
        "sha256=",
        "sha256",
    )
    assert [secret.name for secret in people.auth.secrets] == ["DESK_SECRET", "DESK_SECRET_BEFORE"]
    canary = rules.sources["alerts"].canary
    assert canary is not None
    assert canary.within == timedelta(minutes=10)
    assert [matcher.field for matcher in canary.matchers] == ["labels.alertname"]
    assert builds.mapping is not None
    assert [name for name, _ in builds.mapping.each] == ["pipeline", "job"]
    assert {"labels.env", "annotations.log", "key", "severity_rank"} <= set(builds.mapping.fields)
    row = {"body": {}, "headers": {}, "pipeline": {"name": "p"}, "job": {"id": 7, "ok": False, "env": "prod"}}
    assert builds.mapping.fields["status"].evaluate(row) == "firing"
    assert builds.mapping.fields["key"].evaluate(row) == "7"
    assert builds.mapping.fields["private"].evaluate(row) is False


def test_an_incident_becomes_a_plan_with_every_default() -> None:
    rules = {rule.id: rule for rule in good().rules}
    plan, first = rules["shop-down"].plan, rules["database-down"].plan
    assert isinstance(plan, IncidentPlan)
    assert isinstance(first, IncidentPlan)
    assert (first.hold, plan.hold) == (timedelta(minutes=4), timedelta(minutes=3))
    assert first.max_open == timedelta(hours=24)
    assert plan.max_open is None
    assert first.say[Post.IMPROVE].render({}) == "It gets better."
    assert first.say[Post.RESOLVE].render({}) == "All is well."
    assert Post.MONITORING not in first.say
    assert plan.impact.by_name["shop"]["critical"] is ComponentStatus.FULL_OUTAGE
    assert plan.impact.by_name["api"] == {"*": ComponentStatus.DEGRADED_PERFORMANCE}
    assert plan.too_short is TooShort.BACKFILL
    assert plan.publish is PublishMode.APPROVE
    assert {Post.OPEN, Post.REOPEN, Post.BACKFILL, Post.WORSEN, Post.RELAPSE} == plan.approve.posts
    assert plan.keepalive is not None
    assert plan.keepalive.times == 4
    assert rules["shop-down"].identity == "shop-broken"


def test_a_relay_becomes_a_plan() -> None:
    plan = next(rule.plan for rule in good().rules if rule.id == "major")
    assert isinstance(plan, RelayPlan)
    assert plan.existing is Existing.ATTACH
    assert plan.approve.posts == {Post.OPEN, Post.REOPEN, Post.BACKFILL, Post.RELAY}
    assert set(plan.resolve) == {"closed", "canceled"}
    assert plan.title.render({"name": "A *b*"}) == "A *b*", "a title is plain text"


def test_match_lines_are_text_as_it_is_written() -> None:
    matchers = {matcher.field: matcher for matcher in next(r for r in good().rules if r.id == "shop-down").matchers}
    assert matchers["labels.port"].values == ("8080",)
    assert (matchers["labels.canary"].op, matchers["labels.canary"].values) == (MatchOp.NOT_IN, ("true",))
    assert matchers["labels.silenced"].op is MatchOp.ABSENT
    regex = matchers["labels.region"].program
    assert regex is not None
    assert regex.evaluate({"value": "eu-west"}) is True
    assert regex.evaluate({"value": "x-eu-west"}) is False


def test_group_names_are_short_for_labels() -> None:
    rule = next(rule for rule in good().rules if rule.id == "shop-down")
    event = Event(source="alerts", kind="alert", key="k", status=Status.FIRING, labels={"region": "eu"})
    assert rule.group_by["region"].evaluate({}, event) == "eu"


def test_a_component_may_be_chosen_by_the_signal() -> None:
    plan = next(rule.plan for rule in good().rules if rule.id == "region-down")
    assert isinstance(plan, IncidentPlan)
    assert plan.impact.chosen is not None
    event = Event(source="alerts", kind="alert", key="k", status=Status.FIRING, labels={"region": "eu"})
    assert plan.impact.chosen.evaluate({}, event) == "api-eu"


# --- revisions and hashes


@pytest.mark.parametrize("rule_id", ["database-down", "shop-down", "region-down", "major", "deployment"])
def test_a_stored_revision_is_the_same_rule_again(rule_id: str) -> None:
    rule = next(rule for rule in good().rules if rule.id == rule_id)
    stored = json.loads(json.dumps(rule.spec))
    again = compile_spec(stored)
    assert (again.hash, again.spec, again.sources, again.was) == (rule.hash, rule.spec, rule.sources, rule.was)
    if isinstance(rule.plan, IncidentPlan) and isinstance(again.plan, IncidentPlan):
        assert (again.plan.hold, again.plan.notify, again.plan.yield_to) == (
            rule.plan.hold,
            rule.plan.notify,
            rule.plan.yield_to,
        )


def test_a_stored_revision_of_an_unknown_form_says_so() -> None:
    with pytest.raises(ConfigError, match="the stored revision of rule `x` cannot be used: incident"):
        compile_spec({"id": "x", "incident": {"colour": "red"}})


def test_the_hash_is_of_the_meaning_not_of_the_layout() -> None:
    a, b = RULE.format(id="a", component="checkout"), RULE.format(id="b", component="api")
    one = loaded(BASE, a, b)
    swapped = loaded(b, "# a comment\n" + a, z=BASE)
    assert one.hash == swapped.hash
    assert one.hash != loaded(BASE, a, b.replace("Problems", "Trouble")).hash
    assert one.hash != loaded(BASE, a, b, "defaults: {incident: {hold: 1m}}").hash
    assert one.hash != loaded(BASE.replace("publish: auto", "publish: shadow", 1), a, b).hash
    assert one.hash == loaded(BASE, a, b, "defaults: {incident: {hold: 180s}}").hash


def test_a_rule_s_hash_holds_its_templates_and_defaults() -> None:
    rule = next(rule for rule in good().rules if rule.id == "shop-down")
    assert rule.spec["incident"]["say"]["resolve"].startswith("All customers in")
    assert rule.spec["incident"]["say"]["improve"] == "It gets better."
    assert rule.spec["incident"]["quiet"] == "10m"


# --- warnings


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("event.labels.env == 'x'", {"env"}),
        ('event.labels["env"] == "x"', {"env"}),
        ("signals.map(s, s.labels.region)", {"region"}),
        ("has(event.labels.env) && event.labels.env == 'x'", set()),
        ("event.labels[?'env'].orValue('') == 'x'", set()),
        ("event.labels.?env.orValue('') == 'x'", set()),
        ("label('env') == 'x'", set()),
        ("'labels.env' in event.labels", set()),
        ("event.labels.size() > 0", set()),
        ("event.labels.all(k, k != 'x')", set()),
        ("event.title == 'labels.env'", set()),
        ("event.labels['app.kubernetes.io/name'] == 'x'", {"app.kubernetes.io/name"}),
    ],
)
def test_unguarded_reads_of_labels_are_found(text: str, labels: set[str]) -> None:
    assert unguarded_labels(text) == labels


def test_a_label_that_match_demands_need_not_be_guarded() -> None:
    rule = RULE.format(id="a", component="checkout").replace(
        "    incident:", "    if: event.labels.service == 'a'\n    incident:"
    )
    assert loaded(BASE, rule).warnings == ()
    other = rule.replace("labels.service == 'a'", "labels.env == 'a'")
    assert "without the label `env`" in loaded(BASE, other).warnings[0]


def test_rivals_are_told_once_however_many_they_are() -> None:
    rules = "rules:" + "".join(
        RULE.format(id=f"r{n}", component="checkout").replace("\nrules:\n", "\n") for n in range(200)
    )
    warnings = loaded(BASE, rules).warnings
    assert len(warnings) == 1
    assert "and 188 more" in warnings[0]


def test_rules_that_yield_to_each_other_s_chain_are_rivals_only_where_no_order_is_given() -> None:
    a, b = RULE.format(id="a", component="checkout"), RULE.format(id="b", component="checkout")
    assert loaded(BASE, a, b.replace("page: main", "page: main\n      yield_to: [a]")).warnings == ()
    assert "`a`, `b`" in loaded(BASE, a, b).warnings[0]


# --- cost


def test_a_thousand_rules_load_within_their_budget() -> None:
    rule = """
  - id: rule-{n}
    source: alarms
    match: {{labels.service: service-{n}, labels.severity: [critical, warning]}}
    if: label("env") == "prod-{n}"
    group_by: [region]
    incident:
      page: main
      components: {{c{n}: {{critical: full_outage, warning: degraded_performance}}}}
      title: "Problems {n} in {{{{ region }}}}"
      say: {{open: "We look at {n} in {{{{ region }}}}.", resolve: "{n} is well."}}
"""
    page = "pages:\n  main: {provider: pagehost, page: X, publish: auto, components: {%s}}\n"
    components = ", ".join(f"c{n}: C {n}" for n in range(1000))
    source = 'sources:\n  alarms: {kind: alarms, auth: {bearer: "${T}"}}\n'
    parts = ["rules:" + "".join(rule.format(n=n) for n in range(k, k + 250)) for k in range(0, 1000, 250)]
    started = time.process_time()
    rules = loaded(page % components, source, *parts)
    assert time.process_time() - started < 3, "1.5 s on an idle machine"
    assert len(rules.rules) == 1000
