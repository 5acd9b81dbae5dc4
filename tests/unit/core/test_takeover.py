"""When people take over on the page, or an incident becomes private upstream, nothing more is said by itself."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.core.test_relays import end, majors, word
from tests.unit.core.transcript import Transcript
from worker.core.model import Result


def taken_over() -> Transcript:
    """A relayed incident in which a person posted while nothing was known of our update."""
    t = Transcript(majors()).hears(word(0, "We look."))
    t.passes("1m").hears(word(1, "Found it.", "Fixing"), page=False)
    return t.outcome(t.sends(), Result.PERSON)


def test_no_word_is_relayed_once_a_person_has_taken_over() -> None:
    t = taken_over().passes("1m").hears(word(2, "Watching it.", "Watching")).passes("1h")
    assert [action.content.message for _, action in t.posts] == ["We look."]
    assert t.states == ["relay held"]


def test_the_end_of_an_incident_that_a_person_has_taken_over_is_told_to_the_team() -> None:
    t = taken_over().passes("1m").hears(end(2, "Done."))
    assert [action.content.message for _, action in t.posts] == ["We look."]
    assert [n.code for n in t.notices] == ["held", "resolve_by_hand"]


def test_nothing_that_is_said_of_an_incident_after_it_became_private_is_relayed() -> None:
    t = Transcript(majors()).hears(word(0, "We look."))
    t.passes("1m").hears(replace(word(1, "SECRET", "Fixing"), private=True), matches=False)
    t.passes("1m").hears(replace(end(2, "SECRET"), private=True))
    assert [action.content.message for _, action in t.posts] == ["We look."]
    assert {n.code for n in t.notices} == {"resolve_by_hand", "evaluation_failed"}
    assert t.phase == "open", "and stays for a person to end"
