"""A body is read as every other strict parser would read it, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import PayloadNotUnderstood
from worker.sources import _json

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


@given(values, st.sampled_from([None, 0, 1, "\t"]), st.booleans())
def test_whatever_is_strict_is_read(value: Any, indent: int | str | None, ascii_only: bool) -> None:
    for separators in ((",", ":"), (" , ", " : "), None):
        body = json.dumps(value, indent=indent, ensure_ascii=ascii_only, separators=separators).encode()
        assert _json.read(b" \r\n" + body + b"\n") == value


@given(st.binary(max_size=200) | texts.map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_reason(body: bytes) -> None:
    try:
        _json.read(body)
    except PayloadNotUnderstood as error:
        reason = str(error)
        assert reason.startswith(("the body is not JSON: ", "the body is not usable JSON: "))


def test_the_reason_names_the_place() -> None:
    with pytest.raises(PayloadNotUnderstood, match="line 2 column 8"):
        _json.read(b'{"a":\n [1, 2,, 3]}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NaN",
        b'{"a":NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b'{"a":{"b":[[-1e999]]}}',
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        rb'["\ud800"]',
        rb'["\udc00\ud800"]',
        rb'["\u0000"]',
        rb'["\\\u0000"]',
        rb'{"a\u0000":1}',
        b'["\0"]',
        b'["a\nb"]',
        b"\xef\xbb\xbf[]",
        "[1]".encode("utf-16"),
        b"[1,]",
        b"[1] 2",
        b"{'a':1}",
        b"[01]",
        b"[" + b"9" * 5000 + b"]",
        b"// comment\n[]",
    ],
)
def test_what_is_not_strict_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadNotUnderstood):
        _json.read(body)


def test_text_about_nul_is_not_nul() -> None:
    assert _json.read(rb'["\\u0000", "\\\\u0000"]') == ["\\u0000", "\\\\u0000"]


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_32_levels_are_read_and_33_refused(pair: tuple[bytes, bytes]) -> None:
    opening, closing = pair
    for levels, good in ((32, True), (33, False), (150, False), (100_000, False)):
        body = opening * levels + b"1" + closing * levels
        if good:
            _json.read(body)
        else:
            with pytest.raises(PayloadNotUnderstood):
                _json.read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a" :1,"a":2}',
        b'{"a":1,"a"\n\t\r :2}',
        b'{"":1,"":2}',
        rb'{"a":1,"\u0061":2}',
        b'[{"x":{"a":1,"b":[],"a":2}}]',
        rb'{"a":"\":","a":2}',
        rb'{"a" :"\":","b":1,"b":2}',
        b'{"status":"firing","alerts":[],"status":"resolved"}',
    ],
)
def test_a_key_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadNotUnderstood, match="is given twice"):
        _json.read(body)


@pytest.mark.parametrize("body", [rb'{"a":"\":\":","b":[{"a":1},{"a":2}]}', b'{"a":":","b" : " :"}', rb'{"\":":1}'])
def test_text_that_looks_like_keys_is_no_key(body: bytes) -> None:
    assert _json.read(body) == json.loads(body)


keys = st.sampled_from(["a", "b", '":', " :", "", "\\"])
blanks = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


@given(st.lists(st.tuples(keys, blanks, st.sampled_from(["1", '":"', '"\\":"', '"a\\" : \\":"', "{}"])), max_size=6))
def test_repeated_keys_are_found_however_they_are_written(members: list[tuple[str, str, str]]) -> None:
    body = "{" + ",".join(f"{json.dumps(key)}{blank}:{value}" for key, blank, value in members) + "}"
    repeated = len({key for key, _, _ in members}) < len(members)
    try:
        _json.read(body.encode())
        assert not repeated
    except PayloadNotUnderstood:
        assert repeated
