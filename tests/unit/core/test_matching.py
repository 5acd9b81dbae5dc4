"""An event finds its rules: by every line, in order, without asking all, and with no error taken for "no"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import thread_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.conditions import Want, compile_event, compile_regex
from worker.core.matching import Line, Match, Part, RuleIndex, Verdict, explain, field_text
from worker.core.model import Event, PublishMode, Status
from worker.core.ruleset import (
    ApproveConfig,
    Existing,
    Impact,
    IncidentPlan,
    Matcher,
    MatchOp,
    RelayPlan,
    Rule,
    TooShort,
)
from worker.core.templates import compile_template
from worker.errors import EvaluationFailed

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SAID = compile_template("It is down.", (), 100)
INCIDENT = IncidentPlan(
    pages=("main",),
    impact=Impact(),
    title=SAID,
    say={},
    hold=timedelta(0),
    quiet=timedelta(0),
    reopen_within=timedelta(0),
    min_gap=timedelta(0),
    max_open=None,
    yield_to=(),
    existing=Existing.HOLD,
    publish=PublishMode.AUTO,
    approve=ApproveConfig(),
    notify=frozenset(),
    too_short=TooShort.SKIP,
)
RELAY = RelayPlan(
    pages=("main",),
    impact=Impact(),
    title=SAID,
    text=SAID,
    status={},
    resolve_on=frozenset(),
    resolve={},
    existing=Existing.HOLD,
    publish=PublishMode.AUTO,
    approve=ApproveConfig(),
    notify=frozenset(),
)


def make_event(**fields: Any) -> Event:
    return Event(**{"source": "am", "kind": "alert", "key": "k", "status": Status.FIRING, **fields})


def line(field: str, op: MatchOp, *values: str) -> Matcher:
    program = compile_regex(values[0]) if op in (MatchOp.REGEX, MatchOp.NOT_REGEX) else None
    return Matcher(field=field, op=op, values=values, program=program)


def make_rule(
    *matchers: Matcher,
    name: str = "r",
    sources: tuple[str, ...] = (),
    condition: str = "",
    group_by: Mapping[str, str] | None = None,
    plan: Any = None,
) -> Rule:
    return Rule(
        id=name,
        sources=sources,
        matchers=matchers,
        condition=compile_event(condition, Want.BOOL) if condition else None,
        group_by={key: compile_event(text, Want.ANY) for key, text in (group_by or {}).items()},
        vars={},
        plan=plan,
        spec={},
        hash="",
    )


def matches(rule: Rule, **fields: Any) -> list[Match]:
    return RuleIndex([rule]).matches(make_event(**fields))


# --- the lines of `match`


@pytest.mark.parametrize(
    ("matcher", "value", "holds"),
    [
        (line("labels.x", MatchOp.IN, "a"), "a", True),
        (line("labels.x", MatchOp.IN, "a", "b"), "b", True),
        (line("labels.x", MatchOp.IN, "a"), "A", False),
        (line("labels.x", MatchOp.IN, "a"), None, False),
        (line("labels.x", MatchOp.IN, "a", ""), None, True),
        (line("labels.x", MatchOp.IN, ""), "", True),
        (line("labels.x", MatchOp.NOT_IN, "a", "b"), "b", False),
        (line("labels.x", MatchOp.NOT_IN, "a"), "c", True),
        (line("labels.x", MatchOp.NOT_IN, "a"), None, True),
        (line("labels.x", MatchOp.REGEX, "a.*"), "abc", True),
        (line("labels.x", MatchOp.REGEX, "a"), "abc", False),
        (line("labels.x", MatchOp.REGEX, ".*"), None, True),
        (line("labels.x", MatchOp.NOT_REGEX, "a.*"), "abc", False),
        (line("labels.x", MatchOp.NOT_REGEX, "a.*"), None, True),
        (line("labels.x", MatchOp.EXISTS), "a", True),
        (line("labels.x", MatchOp.EXISTS), "", False),
        (line("labels.x", MatchOp.EXISTS), None, False),
        (line("labels.x", MatchOp.ABSENT), None, True),
        (line("labels.x", MatchOp.ABSENT), "a", False),
    ],
)
def test_a_line_holds_or_not(matcher: Matcher, value: str | None, holds: bool) -> None:
    labels = {} if value is None else {"x": value}
    assert bool(matches(make_rule(matcher), labels=labels)) is holds
    assert explain(make_rule(matcher), make_event(labels=labels))[0].held is holds


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("source", "am"),
        ("status", "firing"),
        ("title", ""),
        ("severity_rank", "3"),
        ("private", "true"),
        ("test", "false"),
        ("started_at", "2026-11-23T12:00:00Z"),
        ("occurred_at", ""),
        ("labels.a", "1"),
        ("labels.a.b", "2"),
        ("labels.nothing", ""),
        ("annotations.a", "3"),
        ("nothing", ""),
        ("labels", ""),
    ],
)
def test_every_field_has_a_text(field: str, text: str) -> None:
    event = make_event(
        severity_rank=3, private=True, started_at=NOON, labels={"a": "1", "a.b": "2"}, annotations={"a": "3"}
    )
    assert field_text(event, field) == text


def test_times_are_told_in_utc() -> None:
    elsewhere = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    assert field_text(make_event(started_at=elsewhere), "started_at") == "2026-11-23T12:00:00Z"


def test_every_line_and_the_source_must_hold() -> None:
    rule = make_rule(line("labels.a", MatchOp.IN, "1"), line("labels.b", MatchOp.IN, "2"), sources=("am", "ci"))
    assert matches(rule, labels={"a": "1", "b": "2"})
    assert not matches(rule, labels={"a": "1", "b": "3"})
    assert not matches(rule, labels={"a": "1", "b": "2"}, source="other")


@pytest.mark.parametrize("field", ["labels.x", "annotations.x", "kind", "title", "severity_rank", "started_at", "test"])
def test_a_rule_is_found_by_any_field(field: str) -> None:
    event = make_event(
        labels={"x": "1"}, annotations={"x": "2"}, title="T", severity_rank=3, started_at=NOON, test=True
    )
    rule = make_rule(line(field, MatchOp.IN, field_text(event, field)), line("test", MatchOp.EXISTS))
    assert RuleIndex([rule, make_rule(line(field, MatchOp.IN, "other"))]).matches(event)[0].rule is rule


def test_a_rule_without_lines_matches_all() -> None:
    assert matches(make_rule())[0].verdict is Verdict.MATCHED


def test_all_matching_rules_are_given_in_their_order() -> None:
    rules = [
        make_rule(name="z"),
        make_rule(line("labels.a", MatchOp.IN, "1"), name="a"),
        make_rule(line("labels.a", MatchOp.IN, "2"), name="no"),
        make_rule(line("kind", MatchOp.IN, "alert", "check"), name="m"),
        make_rule(line("labels.a", MatchOp.REGEX, "1|2"), name="b"),
    ]
    assert [match.rule.id for match in RuleIndex(rules).matches(make_event(labels={"a": "1"}))] == ["z", "a", "m", "b"]


# --- who is not asked


@pytest.mark.parametrize("field", ["private", "test"])
def test_private_and_test_events_reach_only_rules_that_match_on_it(field: str) -> None:
    open_to_all = make_rule()
    asking = make_rule(line(field, MatchOp.IN, "true", "false"))
    refusing = make_rule(line(field, MatchOp.IN, "false"))
    assert not matches(open_to_all, **{field: True})
    assert matches(asking, **{field: True})
    assert not matches(refusing, **{field: True})
    assert all(matches(rule) for rule in (open_to_all, asking, refusing))


def test_an_event_that_is_both_needs_a_rule_that_asks_for_both() -> None:
    private = line("private", MatchOp.EXISTS)
    assert not matches(make_rule(private), private=True, test=True)
    assert matches(make_rule(private, line("test", MatchOp.EXISTS)), private=True, test=True)


def test_an_expression_about_it_is_no_line_about_it() -> None:
    assert not matches(make_rule(condition="event.private"), private=True)


def test_remarks_match_no_incident_rule() -> None:
    assert not matches(make_rule(plan=INCIDENT), status=Status.INFO)
    assert matches(make_rule(plan=RELAY), status=Status.INFO)
    assert matches(make_rule(plan=INCIDENT), status=Status.RESOLVED)


# --- `if` and `group_by`


def test_if_decides_after_the_lines() -> None:
    rule = make_rule(line("labels.a", MatchOp.EXISTS), condition='event.labels.a == "1"')
    assert matches(rule, labels={"a": "1"})
    assert not matches(rule, labels={"a": "2"})
    assert not matches(rule), "a line that does not hold spares the expression, which would fail"


def test_the_group_is_text() -> None:
    rule = make_rule(
        group_by={
            "region": 'label("region")',
            "rank": "event.severity_rank",
            "private": "event.private",
            "half": "double(event.severity_rank) / 2.0",
            "nothing": "null",
        }
    )
    match = matches(rule, labels={"region": "eu"}, severity_rank=3)[0]
    assert match.verdict is Verdict.MATCHED
    assert match.group == {"region": "eu", "rank": "3", "private": "false", "half": "1.5", "nothing": ""}
    assert matches(make_rule())[0].group == {}


@pytest.mark.parametrize(
    ("rule", "part", "why"),
    [
        (make_rule(condition='event.labels.nope == "x"'), Part.IF, 'if: `event.labels.nope == "x"`: there is no key'),
        (
            make_rule(group_by={"a": "event.labels.nope"}),
            Part.GROUP_BY,
            "group_by.a: `event.labels.nope`: there is no key",
        ),
        (make_rule(group_by={"a": "[event.title]"}), Part.GROUP_BY, "group_by.a: a list is not text"),
        (make_rule(group_by={"a": "event.labels"}), Part.GROUP_BY, "group_by.a: a map is not text"),
    ],
)
def test_an_error_is_told_with_its_part_and_never_taken_for_no(rule: Rule, part: Part, why: str) -> None:
    (match,) = matches(rule)
    assert (match.verdict, match.failed, match.group) == (Verdict.FAILED, part, {})
    assert match.error.startswith(why)


class Failing:
    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> Any:
        raise EvaluationFailed("too costly")


def test_a_pattern_that_fails_is_told_too() -> None:
    costly = Matcher(field="title", op=MatchOp.REGEX, values=("x",), program=Failing())
    (match,) = matches(make_rule(costly))
    assert (match.verdict, match.failed, match.error) == (Verdict.FAILED, Part.MATCH, "match: too costly")
    assert explain(make_rule(costly), make_event())[0].actual == "too costly"
    assert not matches(make_rule(costly, line("labels.x", MatchOp.EXISTS))), "patterns are asked last"


def test_one_rule_that_fails_does_not_hide_the_others() -> None:
    rules = [make_rule(condition="1 / event.severity_rank == 1", name="a"), make_rule(name="b")]
    assert [m.verdict for m in RuleIndex(rules).matches(make_event())] == [Verdict.FAILED, Verdict.MATCHED]


# --- the index


class Counting:
    def __init__(self) -> None:
        self.asked = 0

    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> Any:
        self.asked += 1
        return True


def make_many(count: int, condition: Any = None) -> list[Rule]:
    """Rules as people write them: one source, a shared severity, a service of its own."""
    severity = line("labels.severity", MatchOp.IN, "critical", "warning")
    return [
        replace(
            make_rule(
                severity, line("labels.service", MatchOp.IN, f"svc-{number}"), name=f"r{number}", sources=("am",)
            ),
            condition=condition,
        )
        for number in range(count)
    ]


def test_only_rules_that_may_match_are_asked() -> None:
    counting = Counting()
    index = RuleIndex(make_many(1000, counting))
    found = index.matches(make_event(labels={"severity": "critical", "service": "svc-500"}))
    assert [match.rule.id for match in found] == ["r500"]
    assert counting.asked == 1
    assert index._candidates(make_event(labels={"severity": "critical", "service": "svc-500"})) == [500]


def test_the_time_does_not_grow_with_the_rules() -> None:
    """One of 5,000 is found in about the time of one of 10; the bound is far from what asking all would take."""
    few, many = (RuleIndex(make_many(count)) for count in (10, 5000))
    event = make_event(labels={"severity": "critical", "service": "svc-5", "region": "eu", "team": "payments"})
    assert _best_time(lambda: many.matches(event)) < 5 * _best_time(lambda: few.matches(event))


def _best_time(call: Any) -> float:
    times = []
    for _ in range(20):
        started = thread_time()
        for _ in range(20):
            call()
        times.append(thread_time() - started)
    return min(times)


VALUES = st.sampled_from(["", "a", "b"])
FIELDS = st.sampled_from(["labels.x", "labels.y", "annotations.x", "kind", "source", "private", "test", "title"])
LINES = st.one_of(
    st.builds(lambda f, vs: line(f, MatchOp.IN, *vs), FIELDS, st.lists(VALUES, min_size=1, max_size=2)),
    st.builds(lambda f, vs: line(f, MatchOp.NOT_IN, *vs), FIELDS, st.lists(VALUES, min_size=1, max_size=2)),
    st.builds(lambda f, op: line(f, op), FIELDS, st.sampled_from([MatchOp.EXISTS, MatchOp.ABSENT])),
    st.builds(lambda f, op: line(f, op, "a|"), FIELDS, st.sampled_from([MatchOp.REGEX, MatchOp.NOT_REGEX])),
)
RULES = st.builds(
    lambda lines, sources, condition, group, plan: make_rule(
        *lines, sources=tuple(sources), condition=condition, group_by=group, plan=plan
    ),
    st.lists(LINES, max_size=3),
    st.lists(st.sampled_from(["a", "b"]), max_size=2),
    st.sampled_from(["", 'label("x") == "a"', 'event.labels.y == "a"']),
    st.sampled_from([{}, {"g": 'label("x")'}, {"g": "event.annotations.x"}]),
    st.sampled_from([None, INCIDENT, RELAY]),
)
EVENTS = st.builds(
    Event,
    source=VALUES,
    kind=VALUES,
    key=st.just("k"),
    status=st.sampled_from(Status),
    title=VALUES,
    labels=st.dictionaries(st.sampled_from(["x", "y"]), VALUES),
    annotations=st.dictionaries(st.just("x"), VALUES),
    private=st.booleans(),
    test=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(RULES, max_size=8), EVENTS)
def test_the_index_answers_as_if_every_rule_were_asked_alone(rules: list[Rule], event: Event) -> None:
    named = [replace(rule, id=str(number)) for number, rule in enumerate(rules)]
    found = RuleIndex(named).matches(event)
    assert found == [match for rule in named for match in RuleIndex([rule]).matches(event)]
    holding = [rule.id for rule in named if all(part.held for part in explain(rule, event))]
    assert [match.rule.id for match in found if match.verdict is Verdict.MATCHED] == holding


@settings(max_examples=200, deadline=None)
@given(RULES, EVENTS)
def test_an_explanation_agrees_with_the_match(rule: Rule, event: Event) -> None:
    matched = [match.verdict for match in RuleIndex([rule]).matches(event)] == [Verdict.MATCHED]
    assert all(part.held for part in explain(rule, event)) is matched


def test_an_explanation_names_what_is_wanted_and_what_is_there() -> None:
    rule = make_rule(
        line("labels.service", MatchOp.IN, "checkout", "api"),
        line("labels.env", MatchOp.NOT_REGEX, "test.*"),
        line("title", MatchOp.EXISTS),
        sources=("am",),
        condition='label("region") == "eu"',
        group_by={"region": 'label("region")', "zone": "event.labels.zone"},
        plan=INCIDENT,
    )
    event = make_event(labels={"service": "web", "env": "prod", "region": "us"}, private=True, status=Status.INFO)
    assert explain(rule, event) == [
        Line(field="private", wanted="a rule that matches on `private`", actual="true", held=False),
        Line(field="status", wanted="firing or resolved", actual="info", held=False),
        Line(field="source", wanted="`am`", actual="am", held=True),
        Line(field="labels.service", wanted="`checkout` or `api`", actual="web", held=False),
        Line(field="labels.env", wanted="does not match `test.*`", actual="prod", held=True),
        Line(field="title", wanted="is there", actual="", held=False),
        Line(field="if", wanted='label("region") == "eu"', actual="false", held=False),
        Line(field="group_by.region", wanted='label("region")', actual="us", held=True),
        Line(
            field="group_by.zone",
            wanted="event.labels.zone",
            actual='`event.labels.zone`: there is no key "zone"; guard it with `has(…)`, or `.?name.orValue("")`',
            held=False,
        ),
    ]
