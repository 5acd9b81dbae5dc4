"""One JSON value out of JSON, forms and query strings, whatever the content type claims; nothing out of the rest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.core.model import Inbound
from worker.errors import PayloadNotUnderstood
from worker.sources import _request

FORM = "application/x-www-form-urlencoded"
BOUNDARY = "----b"
MULTIPART = f'multipart/form-data; boundary="{BOUNDARY}"'


def read(body: bytes = b"", content_type: str = "", query: str = "") -> Any:
    headers = {"content-type": content_type} if content_type else {}
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return _request.read(Inbound(source="s", body=body, headers=headers, received_at=now, query=query))


def refused(*args: Any, **more: Any) -> str:
    with pytest.raises(PayloadNotUnderstood) as caught:
        read(*args, **more)
    return str(caught.value)


def parts(**fields: str) -> bytes:
    text = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"{text}--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=UTF-8", FORM, MULTIPART])
def test_what_begins_like_json_is_json(content_type: str) -> None:
    assert read(b' \r\n{"a": 1}', content_type) == {"a": 1}
    assert read(b"[1]", content_type) == [1]
    assert "JSON" in refused(b'{"a": "quote " inside"}', content_type)


def test_fields_of_forms_and_of_an_address_are_texts_and_objects() -> None:
    fields = {"msg": '[Checkout "API" é] +', "n": "7", "empty": "", "object": '{"id": 1}', "list": "[1]", "odd": "{x}"}
    expected = {**fields, "object": {"id": 1}}
    assert read(urlencode(fields).encode(), FORM) == expected
    assert read(urlencode(fields).encode(), f"{FORM.upper()}; charset=utf-8") == expected
    assert read(query=urlencode(fields)) == expected
    assert read(parts(**fields), MULTIPART) == expected


@pytest.mark.parametrize("name", ["payload", "data"])
def test_a_form_with_one_field_for_the_whole_body_is_what_stands_in_it(name: str) -> None:
    assert read(urlencode({name: "[1]"}).encode(), FORM) == [1]
    assert read(parts(**{name: '{"a": 1}'}), MULTIPART) == {"a": 1}
    assert read(urlencode({name: "[1]", "other": "x"}).encode(), FORM) == {name: "[1]", "other": "x"}
    assert "JSON" in refused(urlencode({name: "hello"}).encode(), FORM)


def test_a_body_counts_before_the_address() -> None:
    assert read(b'{"a": 1}', query="a=2") == {"a": 1}
    assert "JSON" in refused(b"hello", query="a=2")


@pytest.mark.parametrize(
    "wrong",
    [
        (b"a=1&a=2", FORM),
        (b"a=%00", FORM),
        (b"a%00=1", FORM),
        (b"a=%ff", FORM),
        (b"a=\xff", FORM),
        (b"&".join([b"a=1"] * 300), FORM),
        (b"&".join(b"a%d=1" % n for n in range(300)), FORM),
        (parts(a="1")[:-8], MULTIPART),
        (parts(a="1")[:20], MULTIPART),
        (parts(a="1"), "multipart/form-data"),
        (parts(a="1"), "multipart/form-data; boundary=other"),
        (parts(a="1\0"), MULTIPART),
        (parts(a="1") .replace(b"1", b"\xff"), MULTIPART),
        (parts(**{f"a{n}": "1" for n in range(300)}), MULTIPART),
        (b"hello", ""),
        (b"", ""),
        (b"   ", FORM),
        (b"a=1", "text/plain"),
        (b"<xml/>", "application/xml"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_cut_off_ambiguous_or_no_text_is_refused_shortly(wrong: tuple[bytes, str]) -> None:
    assert 0 < len(refused(*wrong)) < 300


@given(st.binary(max_size=300), st.sampled_from(["", FORM, MULTIPART, "multipart/form-data", "multipart/mixed; x"]))
def test_no_bytes_do_more_than_be_refused(body: bytes, content_type: str) -> None:
    try:
        read(body, content_type, query=body.decode("latin-1"))
    except PayloadNotUnderstood:
        return


@given(st.text(max_size=100))
@example("x*0*")  # what the parser of the standard library stumbles over
def test_no_content_type_does_more_than_be_refused(content_type: str) -> None:
    try:
        read(parts(a="1"), "multipart/form-data;" + content_type)
    except PayloadNotUnderstood:
        return
