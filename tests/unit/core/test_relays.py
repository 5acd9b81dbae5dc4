"""What a relayed incident does, told as a transcript."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.unit.core.transcript import RULES, START, Transcript
from worker.core.model import Event, IncidentStatus, PublishMode, Result, Status
from worker.core.ruleset import Rule

RELAY = """
  - id: majors
    source: upstream
    match: {kind: incident}
    if: event.severity_rank >= 2
    group_by: {incident: event.key}
    vars: {text: event.message, name: event.title}
    relay:
      page: main
      title: "{{ name }}"
      components: {checkout: partial_outage}
      status: {Investigating: investigating, Fixing: identified, Watching: monitoring}
      resolve_on: [closed, merged]
      text: "{{ text }}"
      resolve: {closed: "It is over: {{ text }}", merged: "Followed up elsewhere."}
      notify: [open, resolve]
"""
SOURCE = '  upstream: {kind: incident_io, auth: {standard_webhooks: ["${S}"]}}\nrules:\n'


def majors(relay: str = RELAY) -> Rule:
    """Compile the rule of these tests."""
    from worker.bootstrap import source_facts
    from worker.core.rules import load
    from worker.providers import PROVIDERS

    text = RULES.replace("rules:\n", SOURCE) + relay
    return load({"rules.yaml": text}, {}, source_kinds=source_facts(), provider_names=PROVIDERS).rules[0]


def word(at: int, text: str, name: str = "Investigating", category: str = "live", status: str = "firing") -> Event:
    """What upstream says at a minute."""
    return Event(
        source="upstream",
        kind="incident",
        key="I1",
        status=Status(status),
        severity_rank=3,
        status_name=name,
        category=category,
        title="Database is slow",
        message=text,
        started_at=START,
        occurred_at=START + timedelta(minutes=at),
    )


def end(at: int, text: str = "", category: str = "closed") -> Event:
    """Upstream ends it."""
    return word(at, text, "Closed", category, "resolved")


def test_words_reach_the_page_in_order_with_their_status() -> None:
    t = Transcript(majors())
    t.hears(word(0, "We look."))
    t.passes("1m").hears(word(1, "Found it.", "Fixing"))
    t.passes("1m").hears(word(2, "Watching it.", "Watching"))
    t.passes("1m").hears(end(3, "Done."))
    assert t.said == ["0m open open mails", "1m update relay", "2m update relay", "3m resolve resolve mails"]
    contents = [action.content for _, action in t.posts]
    assert [c.message for c in contents] == ["We look.", "Found it.", "Watching it.", "It is over: Done\\."] or [
        c.message for c in contents
    ] == ["We look.", "Found it.", "Watching it.", "It is over: Done."]
    assert [c.incident_status for c in contents] == [
        IncidentStatus.INVESTIGATING,
        IncidentStatus.IDENTIFIED,
        IncidentStatus.MONITORING,
        IncidentStatus.RESOLVED,
    ]
    assert contents[0].title == "Database is slow"


def test_paragraphs_and_lists_arrive_as_they_were_written() -> None:
    t = Transcript(majors())
    t.hears(word(0, "We found the cause.\n\nNext steps:\n- restart the *cache*\n- watch it\n"))
    t.passes("1m").hears(end(1, "Done.\n\nAll is well."))
    assert [action.content.message for _, action in t.posts] == [
        "We found the cause.\n\nNext steps:\\\n\\- restart the \\*cache\\*\\\n\\- watch it",
        "It is over: Done. All is well.",
    ]


def test_an_empty_text_posts_nothing_and_opens_nothing() -> None:
    t = Transcript(majors()).hears(word(0, "")).passes("1h")
    assert t.said == []
    t.hears(word(1, "Now we know."))
    assert t.said == ["60m open open mails"]


def test_the_same_text_is_not_said_twice() -> None:
    t = Transcript(majors()).hears(word(0, "We look.")).passes("1m").hears(word(1, "We look.")).passes("1m")
    assert t.hears(word(2, "We look.")).said == ["0m open open mails"]


def test_an_older_statement_that_comes_late_says_nothing() -> None:
    t = Transcript(majors()).hears(word(5, "Newest.")).passes("1m").hears(word(2, "Older."))
    assert t.said == ["0m open open mails"]


def test_no_text_is_merged_away_while_the_page_is_unreachable() -> None:
    t = Transcript(majors()).hears(word(0, "One."))
    t.answer = lambda action: Result.NOT_SENT
    for at, text in ((1, "Two."), (2, "Three."), (3, "Four.")):
        t.passes("1m").hears(word(at, text))
    t.answer = lambda action: Result.DONE
    t.passes("1h")
    assert [action.content.message for _, action in t.posts] == ["One.", "Two.", "Three.", "Four."]


def test_an_incident_that_ends_unpublished_is_never_published() -> None:
    t = Transcript(majors(), lambda action: Result.NOT_SENT).hears(word(0, "One.")).hears(end(1))
    t.answer = lambda action: Result.DONE
    assert t.passes("1d").said == []
    assert t.phase == "dismissed"


def test_an_ending_without_a_text_is_told_to_the_team() -> None:
    t = Transcript(majors())
    rule = t.rule
    object.__setattr__(rule.plan, "resolve_on", frozenset({"closed", "canceled"}))
    t.hears(word(0, "One.")).hears(end(1, category="canceled"))
    assert [n.code for n in t.notices] == ["resolve_by_hand"]
    assert t.phase == "open"


def test_an_incident_that_goes_live_again_is_a_new_one() -> None:
    t = Transcript(majors()).hears(word(0, "One.")).hears(end(1)).passes("1m").hears(word(2, "Again."))
    assert [line.split(" ", 1)[1] for line in t.said] == ["open open mails", "resolve resolve mails", "open open mails"]
    assert len({action.key for _, action in t.posts if action.key}) == 2


def test_a_refused_text_does_not_keep_the_end_from_the_page() -> None:
    t = Transcript(majors()).hears(word(0, "One."))
    t.answer = lambda action: Result.REFUSED
    t.hears(word(1, "Two."))
    t.answer = lambda action: Result.DONE
    t.hears(end(2))
    assert t.said[-1].endswith("resolve resolve mails")


def attached() -> Transcript:
    """A relayed incident whose opening waits to be posted on somebody else's."""
    t = Transcript(majors(RELAY + "      existing: attach\n")).hears(word(0, "We look."), page=False)
    t.hears(word(1, "Found it.", "Fixing"), page=False)
    t.theirs = "theirs"
    return t.outcome(t.episode.actions[0], Result.FOREIGN, foreign="theirs")  # type: ignore[union-attr]


def test_what_is_relayed_to_somebody_elses_incident_leaves_its_status_and_its_end_to_them() -> None:
    t = attached().delivers().passes("1m").hears(end(3, "Done."))
    assert [(a.remote_id, a.incident_status, a.guest) for _, a in t.posts] == [("theirs", None, True)] * 3
    assert [line.split(" ", 1)[1] for line in t.said] == ["update open mails", "update relay", "update resolve mails"]
    assert t.posts[-1][1].content.components == {"checkout": "operational"}
    assert [n.code for n in t.notices] == ["left_open"]


def test_an_end_that_comes_while_the_opening_is_on_its_way_to_theirs_closes_nothing() -> None:
    t = attached()
    opening = t.sends()
    t.hears(end(3, "Done."), page=False)
    t.outcome(opening, Result.DONE).passes("1m")
    assert all(action.guest and action.incident_status is None for _, action in t.posts)
    assert len(t.posts) == 3


def test_an_end_that_waited_for_an_opening_that_had_to_be_ours_after_all_ends_it() -> None:
    t = attached()
    opening = t.sends()
    t.outcome(opening, Result.UNKNOWN).hears(end(3, "Done."), page=False)
    t.outcome(opening, Result.ABSENT)
    t.theirs = ""
    t.passes("1m")
    assert [line.split(" ", 1)[1] for line in t.said] == ["open open mails", "update relay", "resolve resolve mails"]
    assert [(a.remote_id, a.guest) for _, a in t.posts[1:]] == [("inc-1", False)] * 2


def test_an_end_does_not_wait_behind_a_text_that_nobody_has_approved() -> None:
    t = Transcript(majors()).hears(word(0, "One."))
    t.context = replace(t.context, publish=PublishMode.APPROVE)
    t.hears(word(1, "Two."))
    assert t.states == ["relay awaiting_approval"]
    assert t.hears(end(2)).said[-1].endswith("resolve resolve mails")


def test_a_relay_in_shadow_stays_there_and_a_public_one_is_left_alone() -> None:
    t = Transcript(majors())
    t.context = replace(t.context, publish=PublishMode.SHADOW)
    t.hears(word(0, "One."))
    t.context = replace(t.context, publish=PublishMode.AUTO)
    t.hears(word(1, "Two.")).hears(end(2))
    assert (t.said, t.phase, t.notices) == ([], "resolved", [])
    t.hears(word(3, "Again."))
    assert t.said == ["0m open open mails"]
    t.context = replace(t.context, publish=PublishMode.SHADOW)
    t.hears(word(4, "And again.")).hears(end(5))
    assert t.said == ["0m open open mails"]
    assert [n.code for n in t.notices] == ["stays_open"]


def test_a_downgrade_below_the_rule_ends_it_only_where_there_is_a_text() -> None:
    t = Transcript(majors()).hears(word(0, "One.")).hears(word(1, "Minor after all."), matches=False)
    assert t.phase == "open"
    assert [n.code for n in t.notices] == ["resolve_by_hand"]
