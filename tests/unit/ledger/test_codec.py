"""Domain values survive the way to JSON text and back, whatever they say."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.ledger_rows import NOW, action, signal
from worker.core.model import Action, Attempt, Content, Episode, Event, Notice, Signal
from worker.ledger.codec import Form
from worker.ledger.rows import ACTIONS, ATTEMPTS, EPISODES, EVENTS, SIGNALS

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # half surrogate pairs and NULs among it
TIMES = st.datetimes(timezones=st.just(UTC))

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: ANY_TEXT,
    int: st.integers(-(2**63), 2**63),
    bool: st.booleans(),
    datetime: TIMES,
    types.NoneType: st.none(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Draw any value of a type that the domain uses."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is Mapping:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=3)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    assert isinstance(hint, type)
    assert is_dataclass(hint)
    return st.builds(hint, **drawn(hint))


def drawn(kind: Any, *, without: frozenset[str] = frozenset()) -> dict[str, st.SearchStrategy[Any]]:
    hints = get_type_hints(kind)
    return {field.name: values_of(hints[field.name]) for field in fields(kind) if field.name not in without}


GIVEN_APART: list[tuple[Form[Any], Any, dict[str, Any]]] = [
    (EVENTS, Event, {}),
    (SIGNALS, Signal, {"version": 7}),
    (ACTIONS, Action, {"not_before": NOW}),
    (Form(Content), Content, {}),
    (Form(Notice), Notice, {}),
    (EPISODES, Episode, {"members": {signal().id: signal()}, "actions": (action(),), "wake_at": NOW, "version": 7}),
    (ATTEMPTS, Attempt, {"action_id": "a/1", "number": 1, "body": b"\x00\xff"}),
]


@pytest.mark.parametrize(("form", "kind", "apart"), GIVEN_APART, ids=lambda value: getattr(value, "__name__", ""))
def test_every_value_comes_back_as_it_was(form: Form[Any], kind: Any, apart: dict[str, Any]) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.builds(kind, **drawn(kind, without=frozenset(apart)), **{k: st.just(v) for k, v in apart.items()}))
    def there_and_back(value: Any) -> None:
        text = form.write(value)
        assert text.isascii()
        assert form.read(text, **apart) == value

    there_and_back()


def test_a_time_in_another_zone_comes_back_as_the_same_moment() -> None:
    told = replace(signal(), stamp=NOW.astimezone(timezone(timedelta(hours=-9, minutes=-30))))
    again = SIGNALS.read(SIGNALS.write(told), version=0)
    assert again.stamp == told.stamp
    assert again.stamp.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        SIGNALS.write(replace(signal(), stamp=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_fields_at_their_default_take_no_room() -> None:
    assert EVENTS.plain(signal().event) == {"source": "am", "kind": "alert", "key": "k", "status": "firing"}


@dataclass(frozen=True, kw_only=True)
class Older:
    name: str
    dropped: str = ""


@dataclass(frozen=True, kw_only=True)
class Newer:
    name: str
    added: int = 5


def test_a_field_that_came_later_has_its_default_and_one_that_went_is_passed_over() -> None:
    assert Form(Newer).read(Form(Older).write(Older(name="x", dropped="y"))) == Newer(name="x")


@dataclass(frozen=True)
class Lossy:
    ratio: float


@dataclass(frozen=True)
class Keyed:
    members: Mapping[int, str]


@pytest.mark.parametrize("kind", [Lossy, Keyed])
def test_a_type_that_json_would_change_is_refused_when_the_form_is_made(kind: type) -> None:
    with pytest.raises(TypeError, match="no lossless JSON form"):
        Form(kind)
