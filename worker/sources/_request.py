"""
One JSON value out of a request, however its sender writes it: JSON, a form, or nothing but an address.

The content type cannot be trusted: JSON comes as text, as a form, and without any. So what begins like JSON is JSON;
only the rest goes by its content type. The fields of a form or a query string become texts of an object; a text that
is a JSON object becomes that, as senders write their structures there. The one field ``payload`` or ``data`` is the
body itself. This file may not know any vendor.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from worker.core.model import Inbound
from worker.errors import PayloadNotUnderstood
from worker.sources import _auth, _json

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_WRAPPERS = frozenset({"payload", "data"})
_NO_FORM = "the form is not multipart/form-data, or is cut off"
_START = 64  # bytes in which the first one that is no blank stands


def read(inbound: Inbound) -> Any:
    """
    Read what a request says.

    Raises:
        PayloadNotUnderstood: It is none of what is known here.
    """
    start = inbound.body[:_START].lstrip()
    if not start and inbound.query and not inbound.body.strip():
        return _fields(_pairs(inbound.query))
    if start and not start.startswith((b"{", b"[")):
        content_type = inbound.headers.get("content-type", "")
        kind = content_type.partition(";")[0].strip().lower()
        if kind == _FORM:
            return _fields(_pairs(_decoded(inbound.body, "form")))
        if kind == _MULTIPART:
            return _fields(_parts(inbound.body, content_type))
    return _json.read(inbound.body)


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_auth.MAX_FIELDS)
    except ValueError:
        raise PayloadNotUnderstood(f"the form is not UTF-8, or has more than {_auth.MAX_FIELDS} fields") from None


def _decoded(body: bytes, what: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise PayloadNotUnderstood(f"the {what} is not UTF-8") from None


def _parts(body: bytes, content_type: str) -> Iterable[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    try:
        whole = BytesParser(_class=EmailMessage, policy=HTTP).parsebytes(head + body)
        parts = whole.get_payload()
        found = [(_name(part), _content(part)) for part in parts if isinstance(part, Message)]
    except Exception:  # the parser of the standard library trips over some headers that are none
        raise PayloadNotUnderstood(_NO_FORM) from None
    if whole.defects or not isinstance(parts, list) or len(parts) > _auth.MAX_FIELDS:
        raise PayloadNotUnderstood(_NO_FORM)
    return [(name, _decoded(content, "form")) for name, content in found]


def _name(part: Message) -> str:
    return str(part.get_param("name", "", "content-disposition"))


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _fields(pairs: Iterable[tuple[str, str]]) -> Any:
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name in found:
            raise PayloadNotUnderstood(f"the field {name[:60]!r} is given twice")
        if "\0" in name or "\0" in text:
            raise PayloadNotUnderstood("the form is not usable: a text holds the character NUL")
        found[name] = text
    if len(found) == 1 and found.keys() <= _WRAPPERS:
        return _json.read(next(iter(found.values())).encode())
    return {name: _value(text) for name, text in found.items()}


def _value(text: str) -> Any:
    """Read a text that is a JSON object; one that only looks like it is a text, as people may write what they like."""
    if not (text.startswith("{") and text.endswith("}")):
        return text
    try:
        return _json.read(text.encode())
    except PayloadNotUnderstood:
        return text
