"""Times, hostile text and long names survive their columns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.ledger.columns import LONGEST_NAME, handle, micros, moment, restored, storable

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ZONED = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones())  # noqa: DTZ001


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_keeps_its_microseconds(at: datetime) -> None:
    assert moment(micros(at)) == at


@given(ZONED, ZONED)
def test_numbers_compare_as_moments_do(one: datetime, other: datetime) -> None:
    one, other = one.astimezone(UTC), other.astimezone(UTC)
    assert (micros(one) < micros(other)) == (one < other)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        micros(datetime(2026, 1, 1))  # noqa: DTZ001


@given(ANY_TEXT)
@example("\x00\ud800\ufffe0000\ufffe")
def test_any_text_comes_back_and_can_be_stored(text: str) -> None:
    stored = storable(text)
    assert restored(stored) == text
    assert "\x00" not in stored
    stored.encode()


@given(ANY_TEXT, ANY_TEXT)
@example("\x00", "\ufffe0000")
def test_different_texts_are_stored_differently(one: str, other: str) -> None:
    assert (storable(one) == storable(other)) == (one == other)


@pytest.mark.parametrize("name", ["x" * 10_000, "\U0001f600" * 400, "\x00" * 400, "x" * LONGEST_NAME])
def test_a_long_name_is_short_enough_for_an_index_and_no_other_name_is_stored_alike(name: str) -> None:
    short = handle(name)
    assert len(short.encode()) <= LONGEST_NAME
    assert len({short, handle(name + "y"), handle(name[:-1]), handle(short)}) == 4


def test_an_ordinary_name_is_stored_as_it_is() -> None:
    assert handle('{}:{alertname="Ü"}') == '{}:{alertname="Ü"}'
