"""Expressions are checked when loaded, say what is wrong in plain words, and never take an error for an answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import thread_time
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.bindings import readable
from worker.core.conditions import (
    MAX_SOURCE,
    CompileFailed,
    Want,
    as_text,
    compile_event,
    compile_json,
    compile_regex,
    compile_signals,
    event_bindings,
    signal_bindings,
)
from worker.core.model import Event, Signal, Status
from worker.errors import EvaluationFailed

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ISO_NOON = "2026-11-23T12:00:00Z"


def make_event(**fields: Any) -> Event:
    return Event(**{"source": "am", "kind": "alert", "key": "k", "status": Status.FIRING, **fields})


def ask(text: str, want: Want = Want.ANY, **fields: Any) -> Any:
    event = make_event(**fields)
    return compile_event(text, want).evaluate(event_bindings(event), event)


def ask_json(text: str, want: Want, body: Any, **names: Any) -> Any:
    return compile_json(text, want, names=names).evaluate({"body": body, "headers": {"x-a": "1"}, **names})


def faults_of(text: str, want: Want = Want.BOOL) -> tuple[tuple[int, int, str], ...]:
    with pytest.raises(CompileFailed) as caught:
        compile_event(text, want)
    return caught.value.faults


# --- what an expression reads


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ('label("env") == "prod"', True),
        ('label("nothing")', ""),
        ('label("a.b/c-d")', "odd"),
        ("event.labels.env", "prod"),
        ('event.labels.?nothing.orValue("none")', "none"),
        ("has(event.labels.env)", True),
        ("has(event.labels.nothing)", False),
        ("event.severity_rank >= 2", True),
        ("event.private || event.test", False),
        ("event.status", "firing"),
        ("event.title.lowerAscii()", "it is down"),
        ("event.started_at", "2026-11-23T12:00:00Z"),
        ("event.occurred_at", ""),
        ('timestamp(event.started_at).getHours("Europe/Berlin")', 13),
        ('timestamp("2026-07-01T12:00:00Z").getHours("Europe/Berlin")', 14),
        ('event.source + "/" + event.key', "am/k"),
        ("event .\n title", "It is down"),
        ("cel.bind(x, event.severity_rank, x + x)", 4),
        ("math.greatest(1, event.severity_rank)", 2),
        ('["a", "b"].join(", ")', "a, b"),
        ('duration("90s")', timedelta(seconds=90)),
        ("{'a': [1, 2.5, null]}", {"a": [1, 2.5, None]}),
        ("null", None),
    ],
)
def test_an_expression_reads_the_event(text: str, gives: object) -> None:
    labels = {"env": "prod", "a.b/c-d": "odd"}
    assert ask(text, labels=labels, severity_rank=2, title="It is down", started_at=NOON) == gives


def test_every_field_of_the_design_can_be_read() -> None:
    for name in event_bindings(make_event()):
        assert ask(name) is not None
    assert len(event_bindings(make_event())) == 18


def test_further_names_hold_anything() -> None:
    program = compile_event("region == 'eu' && n > 1", Want.BOOL, names=["region", "n"])
    assert program.evaluate({"region": "eu", "n": 2}) is True


def test_signals_are_maps_of_the_newest_statements() -> None:
    signals = [
        Signal(event=make_event(labels={"region": name}, severity="critical", started_at=NOON), stamp=NOON, since=NOON)
        for name in ("a", "b")
    ]
    bindings = {**event_bindings(make_event()), "signals": signal_bindings(signals)}
    assert compile_signals("signals.map(s, s.labels.region)", Want.LIST).evaluate(bindings) == ["a", "b"]
    assert compile_signals("signals[0].started_at", Want.TEXT).evaluate(bindings) == "2026-11-23T12:00:00Z"
    assert compile_signals("signals.exists(s, s.severity == 'critical')", Want.BOOL).evaluate(bindings) is True


@pytest.mark.parametrize(
    ("text", "want", "gives"),
    [
        ("body.id", Want.TEXT, "12"),
        ("body.ratio", Want.TEXT, "3"),
        ("body.ok", Want.TEXT, "true"),
        ("body.none", Want.TEXT, ""),
        ("body.jobs", Want.LIST, [{"name": "a"}]),
        ("body.?missing.hasValue()", Want.BOOL, False),
        ('body.?missing.?deeper.orValue("x")', Want.TEXT, "x"),
        ('headers["x-a"]', Want.TEXT, "1"),
        ("body.id", Want.INT, 12),
        ("job.name", Want.TEXT, "a"),
        ("body.at", Want.TEXT, "2026-11-23T12:00:00Z"),
        ("body.big > 1e18", Want.BOOL, True),
    ],
)
def test_json_is_read_as_it_is(text: str, want: Want, gives: object) -> None:
    body = {"id": 12, "ratio": 3.0, "ok": True, "none": None, "jobs": [{"name": "a"}], "at": NOON, "big": 2**70}
    assert ask_json(text, want, body, job={"name": "a"}) == gives


def test_any_mapping_and_sequence_can_be_bound() -> None:
    assert ask("event.labels.a", labels=MappingProxyType({"a": "b"})) == "b"
    assert ask_json("body.a[1]", Want.ANY, MappingProxyType({"a": (1, 2)})) == 2


def test_a_program_knows_what_it_may_read() -> None:
    assert compile_json("body.id", Want.ANY, names=["job"]).names == {"body"}
    assert compile_event('event.title == "event.message"', Want.BOOL).names >= {"event.title"}
    assert "event.labels" not in compile_event("event.title", Want.TEXT).names


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_passes_through_whole(text: str) -> None:
    """Also with NUL, which the library would take for the end, and lone surrogates, which it refuses."""
    assert ask("event.title", title=text) == readable(text)
    assert ask('label("x") == event.title', title=text, labels={"x": text}) is True
    assert len(readable(text)) == len(text) or any("\ud800" <= c <= "\udfff" for c in text)


def test_what_follows_nul_counts() -> None:
    assert ask('event.title == "a"', title="a\0b") is False
    assert ask('event.labels["a"] == "x"', labels={"a": "x\0y"}) is False
    assert ask('label("a") == "x"', labels={"a": "x\0y"}) is False
    assert ask_json('body.a[0] == "x"', Want.BOOL, {"a": ["x\0y"]}) is False


# --- label()


def test_label_looks_in_the_event_of_the_evaluation() -> None:
    program = compile_event('label("env")', Want.TEXT)
    assert program.evaluate({}, make_event(labels={"env": "prod"})) == "prod"
    assert program.evaluate(event_bindings(make_event(labels={"env": "test"}))) == "test"


def test_label_without_any_event_is_an_error() -> None:
    with pytest.raises(EvaluationFailed, match="no event to look in"):
        compile_event('label("env")', Want.TEXT).evaluate({})


def test_threads_do_not_see_the_labels_of_each_other() -> None:
    program = compile_event('label("n") + "/" + event.labels.n', Want.TEXT)

    def evaluate(number: int) -> bool:
        event = make_event(labels={"n": str(number)})
        return bool(program.evaluate(event_bindings(event), event) == f"{number}/{number}")

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(evaluate, range(2000)))


# --- wrong when loaded


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("event.titel == 'x'", [(1, 1, "unknown name `event.titel`; did you mean `event.title`?")]),
        ("event.test\n  && event.titel != ''", [(2, 6, "unknown name `event.titel`; did you mean `event.title`?")]),
        ('"😀" == event.titel', [(1, 8, "unknown name `event.titel`; did you mean `event.title`?")]),
        ("labels.env == 'x'", [(1, 1, "unknown name `labels.env`; did you mean `event.labels.env`?")]),
        ("event == 'x'", [(1, 1, "unknown name `event`; name one of its fields, as in `event.annotations`")]),
        ("size(signals) > 1", [(1, 6, "unknown name `signals`")]),
        ("event.title.startsWth('a')", [(1, 13, "unknown function `startsWth`; did you mean `startsWith`?")]),
        ("lable('a') == 'b'", [(1, 1, "unknown function `lable`; did you mean `label`?")]),
        ("label == 'b'", [(1, 1, "`label` is a function: write `label(…)`")]),
        ("label() == 'b'", [(1, 1, "`label` is not called so: something before or after it is missing, or too much")]),
        ("event.title == 3", [(1, 13, "cannot compare text with a number (string == int)")]),
        ("event.severity_rank >= '2'", [(1, 21, "cannot compare a number with text (int >= string)")]),
        ("event.title == null", [(1, 13, "cannot compare text with null (string == null_type)")]),
        (
            "event.started_at > timestamp(0)",
            [(1, 18, "cannot compare text with a time (string > Timestamp); `timestamp(…)` makes a time of text")],
        ),
        (
            "event.started_at.getHours('UTC') > 1",
            [(1, 26, "`getHours` cannot be applied to text and text; `timestamp(…)` makes a time of text")],
        ),
        (
            "event.private && event.severity_rank",
            [(1, 15, "`&&` needs true or false on both sides, not true or false and a number (bool && int)")],
        ),
        ("event.severity_rank in ['a']", [(1, 21, "cannot look for a number in a list (int in list(string))")]),
        ("!event.title", [(1, 1, "`!` cannot be applied to text")]),
        ("true ? 1 : 'a'", [(1, 6, "both answers of `? :` must be of one kind, not a number and text")]),
        (
            "event.labels.a-b == 'x'",
            [(1, 16, 'unknown name `b`; a label with `-`, `.` or `/` in its name is read as `label("…")`')],
        ),
        (
            "event.labels.app.name == 'x'",
            [(1, 17, 'text has no fields; a label with `-`, `.` or `/` in its name is read as `label("…")`')],
        ),
        ("event.title = 'x'", [(1, 13, "to compare, write `==`")]),
        ("event.title == 'x' and event.test", [(1, 20, "for both of two, write `&&`")]),
        ("event.test & event.private", [(1, 12, "for both of two, write `&&`")]),
        ("event.test or event.private", [(1, 12, "for one of two, write `||`")]),
        ("event.title =~ 'x'", [(1, 13, 'for a regular expression, write `.matches("…")`')]),
        ("event.title == 'x", [(1, 16, "this text has no closing quote, or an unknown `\\` in it")]),
        ("event.title == “x”", [(1, 16, "`“` means nothing here")]),
        ("(event.title == 'x'", [(1, 20, "the expression ends where `)` is needed")]),
        ("event.title == ", [(1, 16, "the expression ends too early")]),
        ("", [(1, 1, "the expression ends too early")]),
        ("event.title == 'x')", [(1, 19, "`)` cannot stand here")]),
        ("for", [(1, 1, "`for` is a reserved word")]),
        (
            "event.title == 1 || event.kid == 'a'",
            [
                (1, 13, "cannot compare text with a number (string == int)"),
                (1, 21, "unknown name `event.kid`; did you mean `event.kind`?"),
            ],
        ),
        ("event.title", [(1, 1, "it gives text, not true or false")]),
        ("event.labels", [(1, 1, "it gives a map, not true or false")]),
        (
            "event.labels.?a",
            [(1, 1, "it gives an optional value, not true or false; end it with `.orValue(…)` or `.hasValue()`")],
        ),
        (
            "dyn(event.title)",
            [(1, 1, "it may give anything, and must give true or false; compare it with something, as in `… == true`")],
        ),
        ("event.test &&\n has(event.title)", [(2, 2, '`event.title` is always there: compare it with "" instead')]),
        ("event.title.matches('[a')", [(1, 1, "invalid regular expression: missing ]: [a")]),
        ("timestamp(event.started_at).getHours('Europe/Brelin') > 8", [(1, 1, "there is no time zone of this name")]),
        ("(" * 100, [(1, 1, "the expression is nested or chained more than 32 deep")]),
        ("true" + " && true" * 1000, [(1, 1, f"longer than {MAX_SOURCE:,} characters")]),
        ("event.title == 'a\0'", [(1, 1, "it has characters that are no text: NUL, or half of one")]),
    ],
)
def test_a_fault_is_told_in_plain_words_at_its_place(text: str, faults: list[tuple[int, int, str]]) -> None:
    assert list(faults_of(text)) == faults


def test_no_message_shows_the_drawing_of_the_library() -> None:
    for text in ("a.b == c.d", "event.x(1)", "[1].map(1, 2)", "1 + + 2", "9" * 20, "'\\q'", "event.?title"):
        for line, column, message in faults_of(text):
            assert line == 1
            assert 1 <= column <= len(text) + 1
            assert not re.search(r"\n|\^|<input>|INVALID_ARGUMENT|ERROR|\*error\*", message)


@pytest.mark.parametrize("text", ["has(event.title)", "has( event.started_at )", "[has(event.labels)]"])
def test_has_of_a_field_that_is_always_there_is_refused_whatever_is_wanted(text: str) -> None:
    """The library gives the field itself."""
    assert "is always there" in faults_of(text, Want.ANY)[0][2]


def test_has_within_a_text_is_text() -> None:
    assert ask('event.title == "has(event.title)" // has(event.title)', title="has(event.title)") is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("true", {Want.BOOL, Want.TEXT, Want.ANY}),
        ("'a'", {Want.TEXT, Want.TIME, Want.DURATION, Want.ANY}),
        ("1", {Want.INT, Want.TEXT, Want.ANY}),
        ("1.5", {Want.TEXT, Want.ANY}),
        ("[1]", {Want.LIST, Want.ANY}),
        ("{'a': 1}", {Want.MAP, Want.ANY}),
        ("timestamp(0)", {Want.TIME, Want.TEXT, Want.ANY}),
        ("duration('1s')", {Want.DURATION, Want.ANY}),
        ("null", {Want.TIME, Want.ANY}),
        ("b'a'", set()),
        ("type(1)", set()),
        ("optional.of(1)", set()),
        ("dyn('a')", set(Want) - {Want.BOOL}),
    ],
)
def test_only_what_is_wanted_is_taken(text: str, wanted: set[Want]) -> None:
    taken = set()
    for want in Want:
        try:
            compile_event(text, want)
            taken.add(want)
        except CompileFailed:
            pass
    assert taken == wanted


# --- wrong when evaluated


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("event.labels.nope == 'x'", 'there is no key "nope"; guard it with'),
        ("event.severity_rank / 0 == 1", "divide by zero"),
        ("timestamp(event.occurred_at) > timestamp(0)", 'this text is not a time; guard it with `!= ""`'),
        ("timestamp(event.started_at).getHours(event.title) > 1", "there is no time zone of this name"),
        ("event.title.matches(event.message)", "invalid regular expression"),
        ("[1, 2][5] == 1", "the list has no element 5, it has 2"),
        ("dyn(event.title) > 1", "cannot compare text with a number"),
        ("dyn(event.title).a == 1", "a field is read of something that is not a map"),
        ("dyn(event.title) ? true : false", "neither true nor false"),
        ("dyn(1).contains('a')", "`contains` cannot be applied to a number and text"),
        ("!dyn(event.title)", "`!` cannot be applied"),
        ("[1,2,3,4,5,6,7,8,9,10].all(a, " * 6 + "true" + ")" * 6, "it goes through too many elements"),
    ],
)
def test_an_error_is_never_false(text: str, why: str) -> None:
    with pytest.raises((EvaluationFailed, CompileFailed)) as caught:
        ask(text, Want.BOOL, title="x", message="[", started_at=NOON)
    assert why in str(caught.value)


def test_the_error_names_the_expression() -> None:
    with pytest.raises(EvaluationFailed, match=re.escape("`event.labels.nope == 'x'`: ")):
        ask("event.labels.nope == 'x'")


def test_a_value_that_was_not_bound_is_an_error() -> None:
    with pytest.raises(EvaluationFailed, match=r"`event\.title` has no value here"):
        compile_event("event.title == 'x'", Want.BOOL).evaluate({})


@pytest.mark.parametrize(
    ("want", "body", "why"),
    [
        (Want.TEXT, [1], "it gives a list, not text"),
        (Want.TEXT, {"a": 1}, "it gives a map, not text"),
        (Want.LIST, "a", "it gives text, not a list"),
        (Want.LIST, None, "it gives null, not a list"),
        (Want.INT, True, "it gives true or false, not a whole number"),
        (Want.MAP, 1.5, "it gives a number, not a map"),
        (Want.ANY, object(), "`body` is not a value that expressions can read"),
    ],
)
def test_what_could_not_be_told_when_loaded_is_told_when_evaluated(want: Want, body: object, why: str) -> None:
    with pytest.raises(EvaluationFailed) as caught:
        ask_json("body", want, body)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "size([1,2,3,4,5,6,7,8,9,10].map(a, " + "[1,2,3,4,5,6,7,8,9,10].map(a, " * 5 + "1" + ")" * 5 + ")) > 1",
        "[1,2,3,4,5,6,7,8,9,10].all(a, " * 6 + "true" + ")" * 6,
        "event.title.matches('(a+)+$')",
        "event.title.matches('(a|aa)*b')",
        "!" * 4000 + "true",
    ],
)
def test_a_costly_expression_costs_a_bounded_amount(text: str) -> None:

    def call() -> None:
        with suppress(EvaluationFailed, CompileFailed):
            ask(text, Want.BOOL, title="a" * 5000)

    assert _best_time(call, times=1) < 0.1


def test_a_simple_condition_is_cheap() -> None:
    """The aim is 15 µs; the bound leaves room for a busy machine."""
    program = compile_event('label("env") == "prod"', Want.BOOL)
    event = make_event(labels={"env": "prod"})
    bindings = event_bindings(event)
    assert _best_time(lambda: program.evaluate(bindings, event), times=500) < 60e-6


def _best_time(call: Callable[[], object], times: int) -> float:
    """Give the seconds of one call, in the best of three rounds."""
    rounds = []
    for _ in range(3):
        started = thread_time()
        for _ in range(times):
            call()
        rounds.append((thread_time() - started) / times)
    return min(rounds)


# --- patterns


@pytest.mark.parametrize(
    ("pattern", "value", "holds"),
    [
        ("prod-.*", "prod-eu", True),
        ("prod", "prod-eu", False),
        ("eu|us", "us", True),
        ("eu|us", "eu-west", False),
        ("(?i)PROD", "prod", True),
        ("", "", True),
        ("", "x", False),
        (".*", "a\nb", False),
        ("(?s).*", "a\nb", True),
        ("a$", "a\n", False),
        ('"\\\\', '"\\', True),
        ("é+", "éé", True),
        ("a", "a\0b", False),
        ("(?m)^b$", "a\nb", False),
    ],
)
def test_a_pattern_matches_the_whole_text(pattern: str, value: str, holds: bool) -> None:
    assert compile_regex(pattern).evaluate({"value": value}) is holds


@pytest.mark.parametrize(
    "pattern", ["[a", "(", "a)", "a)|(b", "*", "(?=a)", r"(a)\1", "a{1001}", r"\Qa", "a" * 5000, "\ud800"]
)
def test_a_wrong_pattern_is_told_when_loaded(pattern: str) -> None:
    with pytest.raises(CompileFailed) as caught:
        compile_regex(pattern)
    assert caught.value.faults[0][:2] == (1, 1)


def test_no_pattern_takes_more_than_linear_time() -> None:
    program = compile_regex("(a+)+b")
    assert program.evaluate({"value": "a" * 50_000}) is False
    assert _best_time(lambda: program.evaluate({"value": "a" * 50_000}), times=1) < 0.2


def test_programs_show_their_source() -> None:
    assert str(compile_regex("a.*")) == "a.*"
    assert str(compile_event("event.test", Want.BOOL)) == "event.test"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (3, "3"), (3.0, "3"), (2.5, "2.5"), (1e300, "1e+300"), (NOON, ISO_NOON), ("a", "a")],
)
def test_plain_values_have_one_text(value: object, text: str) -> None:
    assert as_text(value) == text
