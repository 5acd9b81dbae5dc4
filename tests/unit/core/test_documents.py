"""YAML is read strictly, every value knows its place, and hostile files cost little."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.documents import MAX_BYTES, parse
from worker.errors import ConfigError, Problem


def fault(text: str) -> str:
    try:
        problems = parse("f.yaml", text).problems
    except ConfigError as wrong:
        problems = wrong.problems
    assert problems
    return str(ConfigError(problems))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("012", "012"),
        ("12:30:45", "12:30:45"),
        ("2026-12-06", "2026-12-06"),
        ("2026-12-06T02:00", "2026-12-06T02:00"),
        ("0x1F", 31),
        ("0o17", 15),
        ("-12", -12),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ("${TOKEN}", "${TOKEN}"),
        ("3 per 10m", "3 per 10m"),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(written: str, value: object) -> None:
    assert parse("f", f"a: {written}").data == {"a": value}


def test_keys_are_text() -> None:
    assert parse("f", "on: 1\n012: 2\ntrue: 3\n~: 4").data == {"on": 1, "012": 2, "true": 3, "~": 4}


def test_a_file_of_comments_has_no_content() -> None:
    assert parse("f", "# later\n").data is None
    assert parse("f", "").data is None


def test_a_byte_order_mark_and_foreign_line_ends_are_taken() -> None:
    assert parse("f", "\ufeffa: 1\r\nb: 2\r\n").data == {"a": 1, "b": 2}


def test_values_and_keys_know_their_places() -> None:
    document = parse("f", "rules:\n  - id: a\n    hold: 3m\n  - {id: b}\n")
    assert document.value_at(("rules", 0, "hold")) == (3, 11)
    assert document.key_at(("rules", 0, "hold")) == (3, 5)
    assert document.value_at(("rules", 1)) == (4, 5)
    assert document.key_at(("rules", 1)) == (4, 5)
    assert document.value_at(("rules", 1, "nothing", 7)) == (4, 5)


def test_columns_count_characters_not_bytes() -> None:
    assert parse("f", 'é: "ü", x: 1'.join(["{", "}"])).key_at(("x",)) == (1, 10)


@pytest.mark.parametrize(
    ("text", "line", "column", "place"),
    [
        ("if: a == b", 1, 6, (1, 10)),
        ('if: "a == b"', 1, 6, (1, 11)),
        ("if: |\n  a == b &&\n  c", 2, 1, (3, 3)),
        ("if: |2\n    a\n  b", 1, 3, (2, 7)),
        ("if: >-\n  a == b\n  c", 1, 6, (2, 8)),
        ('if: "a\n  b"', 2, 3, (2, 3)),
    ],
)
def test_a_place_inside_a_text_is_a_place_in_the_file(
    text: str, line: int, column: int, place: tuple[int, int]
) -> None:
    assert parse("f", text).inside(("if",), line, column) == place


def test_what_is_no_text_remembers_how_it_was_written() -> None:
    assert parse("f", "a: 1.10\nb: True\nc: x").written == {("a",): "1.10", ("b",): "True"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key `a` stands here twice, first in line 1; keep one of them"),
        ("a: {x: 1, x: 2}", "f.yaml:1:11: the key `x` stands here twice, first in line 1; keep one of them"),
        ("a: !!python/object:os.system x", "f.yaml:1:4: a value that starts with `!` is a YAML tag"),
        ("a: &x 1\nb: *x", "f.yaml:1:4: a value that starts with `&`"),
        ("a: &x 1\nb: *x", "f.yaml:2:4: a value that starts with `*`"),
        ("<<: {a: 1}", "f.yaml:1:1: the merge key `<<`"),
        ("a: {{ x }}", "f.yaml:1:4: a text that starts with `{{` must be in quotes"),
        ("a: {{ 'x }}", "f.yaml:1:4: a text that starts with `{{` must be in quotes"),
        ("? [a]\n: b", "f.yaml:1:3: a key must be text"),
        ("%YAML 1.1\n---\na: 1", "`%` directives are not allowed"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document"),
        ("a: x\x00y", "f.yaml:1:5: an invisible character (U+0000)"),
        ("a:\n  - x\u202ey", "f.yaml:2:6: an invisible character (U+202E)"),
        ('a: "\\u202e"', "f.yaml:1:4: an invisible character (U+202E)"),
        ('"\\u202e": a', "f.yaml:1:1: an invisible character (U+202E)"),
        ("a: \ud800", "an invisible character (U+D800)"),
    ],
)
def test_what_is_not_allowed_is_told_with_its_place(text: str, message: str) -> None:
    assert message in fault(text)


def test_all_faults_of_a_file_are_told_up_to_the_one_that_does_not_parse() -> None:
    assert fault("a: &x 1\nb: !t 2\nc: 1\nc: 2\nd: [").count("f.yaml:") == 4


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: !!str x\nb: 2", {"a": "x", "b": 2}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": None}),
        ("a:\n  b:secret\nc: 1", {"a": "b:secret", "c": 1}),
        ("a: {b:secret, c: 1}", {"a": {"b": None, "c": 1}}),
        ("%YAML 1.1\n---\na: 1", {"a": 1}),
    ],
)
def test_what_is_wrong_in_one_place_hides_nothing_of_the_rest(text: str, data: object) -> None:
    assert parse("f", text).data == data


@pytest.mark.parametrize("text", ["a: {b: 1}\na: {c: 2}", "a: 1\n<<: {b: 2}", "a: [1", "a: \u202e1"])
def test_a_file_that_may_mean_several_things_means_nothing(text: str) -> None:
    with pytest.raises(ConfigError):
        parse("f", text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "a: &a [x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n",
        "? " * 100_000,
        "[a, " * 60_000,
        "x: [" + "a, " * 80_000 + "]",
        "\u202e" * 80_000,
        "[" * 20 + "{" * 200_000,
        " " * 200_000 + "\t:",
    ],
)
def test_a_hostile_file_is_refused_quickly(text: str) -> None:
    started = time.process_time()
    fault(text)
    assert time.process_time() - started < 0.5


def test_a_file_beyond_the_budget_is_refused() -> None:
    assert "larger than 256 KiB" in fault("a: " + "x" * MAX_BYTES)


@given(st.text(alphabet="ab:-{}[]#&*!|>'\"%@`,? \n\t0\\<~$.é", max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        problems = parse("f.yaml", text).problems
    except ConfigError as error:
        problems = error.problems
    assert all(problem.line >= 1 and problem.message for problem in problems)
