"""
Bodies made to break whoever reads them: each is answered and reacted to in bounded time, without a fault of ours, and
says nothing to the public but what a rule lets through, and that escaped.
"""

from __future__ import annotations

import copy
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.steps.rig import START, Rig, alert, notification, rule
from worker.rehearse.memory import MemoryLedger

CANARY = "[canary](http://evil.example)<b>`x`_y_"
SAY = '{open: "It is about {{ shown }}.", worsen: Worse., improve: Better., resolve: Over.}'
SHOWN = rule(more='vars: {shown: "event.title"}\n', title='"About {{ shown }}"', say=SAY)
SECONDS = 2.0
"""Far more than any of these takes, and far less than what one that is not bounded would."""


class Raw(str):
    """Stands in the JSON as it is."""


def dumped(value: Any) -> bytes:
    """Write JSON in which each Raw stands as it is."""
    raws: list[str] = []

    def marked(it: Any) -> Any:
        if isinstance(it, Raw):
            raws.append(str(it))
            return f"\x00raw{len(raws) - 1}\x00"
        if isinstance(it, dict):
            return {key: marked(each) for key, each in it.items()}
        return [marked(each) for each in it] if isinstance(it, list) else it

    text = json.dumps(marked(value))
    for number, raw in enumerate(raws):
        text = text.replace(json.dumps(f"\x00raw{number}\x00"), raw)
    return text.encode()


_LITERAL = ("null", "true", "-0", "NaN", "Infinity", "1e999", "9" * 5000, "1" * 400 + ".5", "{}", "[]", "[{}]")
_NESTED = ("[" * 5000 + "]" * 5000, '{"a":' * 40 + "1" + "}" * 40, '{"a": 1, "a": 2}')
_ESCAPED = ('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\u202e\\u0007\\u001b[2J"')
_TEXTS = ("", " ", "x" * 200_000, "{{ 7 * 7 }}", "{% for x in y %}", "${KEY}", "../../etc/passwd", "\u2028\u2029\ufeff")
_TIMES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-02-30T25:61:61Z", "-1")
VALUES = (*map(Raw, (*_LITERAL, *_NESTED, *_ESCAPED)), *_TEXTS, *_TIMES)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to each value, and to each list and object."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from leaves(each, (*path, key))


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Give a copy of a body with another value in one place."""
    changed = copy.deepcopy(body)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


BODIES = {
    "alerts": notification(alert("a", "critical"), version="4", commonLabels={"a": "b"}, externalURL="http://x"),
    "words": {"words": [{"key": "a", "status": "firing", "title": "t", "message": "m", "service": "checkout"}]},
}


def whole(good: bytes) -> Iterator[bytes]:
    """Bodies that are wrong as a whole."""
    yield from (b"", b"\x00", b"\xff\xfe", b"{", b"[]", b"null", b"1", b'"x"', b"<xml/>", b"a=b&c=d")
    yield from (good + b"x", good[:-1], good + good)
    yield from (good.decode().encode(code) for code in ("utf-16", "utf-32", "utf-16-le", "utf-8-sig", "utf-7"))
    yield from (gzip.compress(good), gzip.compress(b"0" * 3_000_000))
    yield from (b"[" * 500_000, b'{"a":' * 200_000, b" " * 900_000)
    yield b'{"a": ' + b"9" * 500_000 + b"}"
    yield json.dumps({f"k{number}": number for number in range(100_000)}).encode()
    yield b"{" + b",".join([b'"a": 1'] * 100_000) + b"}"
    yield json.dumps({"alerts": [[]] * 10_000, "words": [{}] * 10_000}).encode()
    yield json.dumps({"alerts": None, "words": {"a": 1}}).encode()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, SHOWN, ledger=MemoryLedger())


def takes(rig: Rig, source: str, body: bytes) -> None:
    """A body arrives, and all that follows from it follows, in time and without a fault of ours."""
    began = time.process_time()
    rig.receives(source, body)
    rig.settles()
    took = time.process_time() - began
    assert took < SECONDS, f"{took:.1f} s for {body[:200]!r}"
    assert not [name for name in rig.meter.counted if name.startswith("faults")], body[:400]


@pytest.mark.parametrize("source", BODIES)
def test_no_value_in_any_place_is_a_fault_of_ours(rig: Rig, source: str) -> None:
    body = BODIES[source]
    bodies = [dumped(put(body, path, value)) for path in leaves(body) for value in VALUES]
    assert len(bodies) > 150
    for each in bodies:
        takes(rig, source, each)
    rig.fires("well", service="checkout")
    assert rig.page.names, "what is right is still heard"


@pytest.mark.parametrize("source", BODIES)
def test_no_body_as_a_whole_is_a_fault_of_ours(rig: Rig, source: str) -> None:
    for each in whole(json.dumps(BODIES[source]).encode()):
        takes(rig, source, each)


@pytest.mark.parametrize("source", BODIES)
def test_a_canary_in_any_field_is_public_only_where_a_rule_names_it_and_escaped(tmp_path: Path, source: str) -> None:
    """
    The rule shows the title, which Alertmanager's alerts take from `alertname`, and nothing else. Names of incidents
    are plain text; messages are Markdown.
    """
    body, said = BODIES[source], {}
    for number, path in enumerate(leaves(body)):
        rig = Rig(tmp_path, SHOWN, ledger=MemoryLedger())
        takes(rig, source, dumped(put(body, path, CANARY)))
        messages = [text for key in rig.page.incidents for text in rig.page.said(key)]
        assert not any(CANARY in text for text in messages), f"not escaped: {path} ({number})"
        if any("canary" in text for text in (*rig.page.names, *messages)):
            said[path] = messages
    assert {path[-1] for path in said} == {"alertname" if source == "alerts" else "title"}
    assert rig.now == START
