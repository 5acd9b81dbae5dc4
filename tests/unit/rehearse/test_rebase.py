"""Captured times are moved so that the newest is now, and what belongs together stays together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.rehearse.rebase import Rebase

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIRED, ENDED = "2026-11-23T14:42:03.602Z", "2026-11-23T14:52:03.602Z"


def moved(rebase: Rebase, at: datetime, **body: Any) -> Any:
    return json.loads(rebase(json.dumps(body).encode(), at))


def test_the_newest_time_becomes_now_and_the_others_keep_their_distance() -> None:
    body = moved(Rebase(), NOW, starts=FIRED, ends=ENDED, deep=[{"at": "2026-11-23T15:51:03.602+01:00"}])
    assert body == {
        "starts": "2027-03-01T11:50:00Z",
        "ends": "2027-03-01T12:00:00Z",
        "deep": [{"at": "2027-03-01T11:59:00Z"}],
    }


def test_what_is_resolved_keeps_the_start_that_it_fired_with() -> None:
    rebase = Rebase()
    assert moved(rebase, NOW, starts=FIRED)["starts"] == "2027-03-01T12:00:00Z"
    assert moved(rebase, NOW + 2 * MINUTE, starts=FIRED, ends=ENDED) == {
        "starts": "2027-03-01T12:00:00Z",
        "ends": "2027-03-01T12:02:00Z",
    }


def test_the_same_body_again_is_a_new_occurrence() -> None:
    rebase = Rebase()
    moved(rebase, NOW, starts=FIRED)
    assert moved(rebase, NOW + 30 * MINUTE, starts=FIRED)["starts"] == "2027-03-01T12:30:00Z"


@pytest.mark.parametrize(
    "value", ["0001-01-01T00:00:00Z", "2026-11-23", "at 2026-11-23T14:42:03Z", "2026-11-23T14:42:03", 1763908923, None]
)
def test_nothing_else_is_touched(value: object) -> None:
    assert moved(Rebase(), NOW, value=value) == {"value": value}


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        Rebase()(b"<html>", NOW)
