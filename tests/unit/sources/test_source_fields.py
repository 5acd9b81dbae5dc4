"""Fields are read as what they are, or refused by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import PayloadNotUnderstood
from worker.sources import _fields

AT = datetime(2026, 11, 23, 9, 12, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "labels"),
    [
        (
            {"a": "1", "n": 2, "yes": True, "nested": {"x": 1}, "none": None, "empty": ""},
            {"a": "1", "n": "2", "yes": "true"},
        ),
        (
            [{"name": "a", "value": "1"}, {"key": "b", "value": 2}, {"tag": "c", "value": "3"}],
            {"a": "1", "b": "2", "c": "3"},
        ),
        (["a:1", "b: x:y", "alone", ":odd", 7, None, {}, {"name": "n"}], {"a": "1", "b": "x:y", "alone": "true"}),
        ("env:prod, team:shop alone", {"env": "prod", "team": "shop", "alone": "true"}),
        (["a:1", {"name": "a", "value": "2"}, "a:1"], {"a": "1, 2"}),
        (None, {}),
        ("", {}),
    ],
    ids=str,
)
def test_whatever_senders_call_tags_becomes_labels(told: Any, labels: dict[str, str]) -> None:
    assert _fields.tags(told, "labels.*") == labels


@pytest.mark.parametrize("told", [7, True, 1.5])
def test_what_is_no_list_of_tags_is_refused_by_name(told: Any) -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"labels\.\*"):
        _fields.tags(told, "labels.*")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-23T09:12:04Z", AT),
        ("2026-11-23T09:12:04.5Z", AT + timedelta(microseconds=500_000)),
        ("2026-11-23T09:12:04.118Z", AT + timedelta(milliseconds=118)),
        ("2026-11-23T09:12:04.1234567Z", AT + timedelta(microseconds=123_456)),
        ("2026-11-23T09:12:04.123456999Z", AT + timedelta(microseconds=123_456)),
        ("2026-11-23T10:12:04+01:00", AT),
        ("2026-11-22T23:42:04-09:30", AT),
        ("2026-11-23T09:12:04+0000", AT),
        (1795425124, AT),
        (1795425124.0, AT),
        (1795425124000, AT),
        (1795425124000000, AT),
        (1795425124000000000, AT),
        ("1795425124", AT),
        ("1795425124118", AT + timedelta(milliseconds=118)),
        (datetime(2026, 11, 23, 10, 12, 4, tzinfo=timezone(timedelta(hours=1))), AT),
        *((nothing, None) for nothing in (None, "", 0, 0.0, "0", -62135596800, "0001-01-01T00:00:00Z")),
    ],
)
def test_times_in_every_form_that_senders_use(written: object, meant: datetime | None) -> None:
    read = _fields.time({"at": written}, "at")
    assert read == meant
    assert read is None or read.utcoffset() == timedelta(0)


NO_TIMES: list[object] = [
    "soon",
    "2026-11-23",
    "2026-11-23T09:12:04",
    "2026-13-01T00:00:00Z",
    "20261123",
    "{{ .StartsAt }}",
]
NO_TIMES += ["9999-12-31T23:59:59-01:00", True, "9" * 30, [], {}, float("inf"), float("nan"), 1e308, 10**40]
NO_TIMES += [datetime(2026, 1, 1)]  # noqa: DTZ001


@pytest.mark.parametrize("written", NO_TIMES)
def test_what_is_no_time_is_refused_by_name(written: object) -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"^at: not a time"):
        _fields.time({"at": written}, "at")


@given(st.text(max_size=30) | st.floats() | st.integers())
def test_any_value_is_a_time_or_refused(written: object) -> None:
    try:
        read = _fields.time({"at": written}, "at")
    except PayloadNotUnderstood:
        return
    assert read is None or read.tzinfo is UTC


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_times_survive_writing_and_reading(moment: datetime) -> None:
    assert _fields.moment(moment.isoformat()) == moment


@pytest.mark.parametrize("value", [7, 1.5, True, [], {}])
def test_what_is_no_text_is_refused_by_name(value: Any) -> None:
    for read in (_fields.text, _fields.identity, _fields.required):
        with pytest.raises(PayloadNotUnderstood, match=r"^title: not a text$"):
            read({"title": value}, "title")
    with pytest.raises(PayloadNotUnderstood, match=r"^labels\.b: not a text$"):
        _fields.texts({"labels": {"a": "x", "b": value}}, "labels")


def test_absent_null_and_empty_are_one() -> None:
    for fields in ({}, {"x": None}):
        assert _fields.text(fields, "x") == ""
        assert _fields.texts(fields, "x") == _fields.child(fields, "x") == {}
        assert _fields.children(fields, "x") == []
    for missing in ({}, {"id": None}, {"id": ""}):
        with pytest.raises(PayloadNotUnderstood, match=r"^id: missing$"):
            _fields.required(missing, "id")


def test_a_list_of_objects_has_nothing_else() -> None:
    for wrong, place in (({}, "x: not a list"), ("text", "x: not a list"), ([{}, 7], r"x\[1\]: not an object")):
        with pytest.raises(PayloadNotUnderstood, match=place):
            _fields.children({"x": wrong}, "x")
    with pytest.raises(PayloadNotUnderstood, match="x: not an object"):
        _fields.child({"x": []}, "x")


def test_a_name_too_long_for_an_index_gives_way_to_its_hash() -> None:
    long, other = "k" * 501, "k" * 500 + "j"
    assert _fields.bounded("k" * 500) == "k" * 500
    assert _fields.bounded(long).startswith("sha256:")
    assert _fields.bounded(long) != _fields.bounded(other)
    assert _fields.bounded(long) == _fields.identity({"id": long}, "id")


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("as it is", "as it is"),
        (" two\r\n lines\t", "two lines"),
        ("x" * 501, "x" * 499 + "…"),
        ("", ""),
        ("ü — ✓", "ü — ✓"),
    ],
)
def test_a_title_is_one_line(written: str, title: str) -> None:
    assert _fields.one_line(written) == title
