"""A canary that stops singing is noticed, whether it says so or falls silent, and told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.core.canary import heard, watched, well_since
from worker.core.model import Beat

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
WITHIN = timedelta(minutes=10)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def sings(beat: Beat | None, minutes: float, *, firing: bool = True) -> Beat:
    return heard(beat, "alerts", firing=firing, at=at(minutes), within=WITHIN)


def test_it_is_well_while_it_is_heard_often_enough_and_since_it_began() -> None:
    beat = sings(sings(sings(None, 0), 9), 18)
    assert well_since(beat, WITHIN, at(27)) == START
    assert well_since(beat, WITHIN, at(29)) is None


def test_after_silence_it_is_well_only_since_it_is_back() -> None:
    assert well_since(sings(sings(None, 0), 11), WITHIN, at(12)) == at(11)


def test_after_it_said_that_it_stopped_it_is_well_only_since_it_is_back() -> None:
    stopped = sings(sings(None, 0), 1, firing=False)
    assert well_since(stopped, WITHIN, at(1)) is None
    assert well_since(sings(stopped, 2), WITHIN, at(3)) == at(2)


def test_one_that_was_never_heard_is_not_well() -> None:
    assert well_since(None, WITHIN, START) is None
    assert well_since(Beat(source="alerts", heard_at=START), WITHIN, START) is None


def test_what_is_gone_and_what_is_back_is_told_once() -> None:
    beat, told = watched(None, "alerts", WITHIN, START)
    codes = []
    story = {5: None, 11: None, 12: None, 13: True, 14: None, 15: False, 16: None, 17: True, 18: None}
    for minute, sang in story.items():
        if sang is not None:
            beat = sings(beat, minute, firing=sang)
        beat, told = watched(beat, "alerts", WITHIN, at(minute))
        codes += [(minute, told.code)] if told else []
    assert codes == [(11, "canary_gone"), (13, "canary_back"), (15, "canary_gone"), (17, "canary_back")]
