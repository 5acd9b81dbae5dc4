"""Whose post is it? What was written, held against what the page shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.ledger_rows import MINUTE, NOW, action, episode
from worker.core.footprints import Footprint, Observed, named, observed
from worker.core.model import (
    ActionKind,
    ActionState,
    Attempt,
    Content,
    Directory,
    IncidentStatus,
    RemoteIncident,
    RemoteUpdate,
)

SETTLE = 2 * MINUTE


def post(name: str, message: str = "Words.", status: str = "investigating") -> RemoteUpdate:
    return RemoteUpdate(id=name, message=message, status=status)


def shown(*posts: RemoteUpdate, name: str = "Trouble") -> RemoteIncident:
    return RemoteIncident(id="inc", name=name, status="investigating", updates=posts)


def written(*messages: str, ago: timedelta = timedelta(hours=1), **more: Any) -> Footprint:
    """One done action for each message, with one attempt and the page's id ``own-<number>``."""
    actions = [
        action(
            seq=number,
            kind=ActionKind.UPDATE_INCIDENT,
            state=ActionState.DONE,
            update_id=f"own-{number}",
            content=Content(message=message, incident_status=IncidentStatus.INVESTIGATING),
        )
        for number, message in enumerate(messages, 1)
    ]
    attempts = [
        Attempt(action_id=each.id, number=1, started_at=NOW - ago, method="POST", target="/", body=b"{}")
        for each in actions
    ]
    given = {
        "subject": episode(remote_id="inc"),
        "actions": tuple(actions),
        "attempts": tuple(attempts),
        "own": frozenset(each.update_id for each in actions),
        **more,
    }
    return Footprint(**given)


def strangers(footprint: Footprint, *posts: RemoteUpdate) -> list[str]:
    return [each.id for each in footprint.strangers(shown(*posts))]


def test_what_is_known_to_be_ours_is_nobody_elses() -> None:
    assert strangers(written("One."), post("own-1", "One.")) == []


def test_another_post_is_a_persons() -> None:
    assert strangers(written("One."), post("own-1", "One."), post("p", "We look.")) == ["p"]


def test_what_was_there_before_we_wrote_is_nobodys_business() -> None:
    footprint = written("One.")
    (attempt,) = footprint.attempts
    before = replace(footprint, attempts=(replace(attempt, baseline=("p",)),))
    assert strangers(before, post("p"), post("own-1")) == []
    assert strangers(written("One.", subject=episode(remote_id="inc", accepted=frozenset({"p"}))), post("p")) == []


def test_a_copy_of_ours_that_came_late_is_no_person() -> None:
    footprint = written("One.")
    late = post("late", "One.\r\n")
    assert strangers(footprint, post("own-1", "One."), late) == []
    assert footprint.copied(late) == footprint.actions[0]
    assert strangers(footprint, post("own-1", "One."), post("p", "One.", "resolved")) == ["p"]


def test_an_older_post_with_the_words_of_ours_is_no_copy() -> None:
    footprint = written("One.")
    (attempt,) = footprint.attempts
    before = replace(footprint, attempts=(replace(attempt, baseline=("old",)),))
    assert before.copied(post("old", "One.")) is None
    assert replace(footprint, subject=episode(accepted=frozenset({"old"}))).copied(post("old", "One.")) is None


def test_what_we_never_tried_to_say_is_no_copy_of_ours() -> None:
    assert strangers(written("One.", attempts=(), own=frozenset()), post("p", "One.")) == ["p"]


@pytest.mark.parametrize(("ago", "current"), [(MINUTE, False), (2 * MINUTE, True), (timedelta(hours=1), True)])
def test_absence_proves_nothing_while_the_page_may_not_show_our_last_write(ago: timedelta, current: bool) -> None:
    seen = observed(written("One.", ago=ago), None, SETTLE, NOW)
    assert seen.current is current
    assert bool(seen.takeover("Trouble")) is current


def test_what_a_person_did_is_told_in_words() -> None:
    assert Observed(shown=None).takeover("Trouble") == "it was deleted"
    assert Observed(shown=shown(), strangers=(post("p"),)).takeover("Trouble") == "update p is not ours"
    assert Observed(shown=shown(name="Other")).takeover("Trouble") == "it was renamed"
    assert Observed(shown=shown(name="Other"), current=False).takeover("Trouble") == ""
    assert Observed(shown=shown(name="Cafe\u0301 ")).takeover("Caf\u00e9") == ""
    assert Observed(shown=shown()).takeover("") == ""


def test_a_name_of_ours_is_meant_only_where_all_of_it_is() -> None:
    components = {"one": ("c1",), "group": ("c1", "c2"), "none": ()}
    directory = Directory(page_id="p", name="Acme", public_url="", components=components)
    assert list(named({"c1"}, directory)) == ["one"]
    assert list(named({"c1", "c2", "c3"}, directory)) == ["one", "group"]
