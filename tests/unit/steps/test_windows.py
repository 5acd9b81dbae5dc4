"""Maintenance windows through the whole pipeline: planned, posted, muting, moved with their entry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import START, Rig, rule
from worker.core.model import Post, Window, WindowPhase

WINDOW = """maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: {starts}
    timezone: Europe/Berlin
    duration: 1h
    announce: {{before: 2h, text: Coming., notify: true}}
    remind: [{{before: 1h, text: Soon.}}]
    start: {{text: It began.}}
    complete: {{text: It is over.}}
    grace: 10m
"""
ENTRY = WINDOW.format(starts="2026-11-23T14:00")  # three hours after the rig's clock begins
WEEKLY = ENTRY + "    repeat: FREQ=WEEKLY\n"
ALL = ["60m schedule announce", "120m update remind", "180m start start", "240m complete complete"]


def windows(rig: Rig) -> list[Window]:
    return list(rig.ledger.windows(START - timedelta(days=1)))


def test_a_window_is_said_at_its_times_and_on_one_object(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("5h")
    assert rig.said == ALL
    assert rig.page.names == ["Database maintenance"]
    (window,) = windows(rig)
    assert (window.phase, window.actions, window.wake_at) == (WindowPhase.COMPLETE, (), None)


def test_planning_again_plans_nothing_new(make: Make) -> None:
    rig = make(rule() + WEEKLY).settles()
    before = windows(rig)
    commits = len(rig.committer.commits)
    rig.passes("30m")
    assert windows(rig) == before
    assert len(rig.committer.commits) == commits
    assert [(each.starts_at - START).days for each in before] == [0, 7]


def test_the_next_occurrence_is_planned_as_time_goes_on(make: Make) -> None:
    rig = make(rule() + WEEKLY).settles()
    for _ in range(15):
        rig.passes("1d")
    assert [line.split()[1] for line in rig.said].count("complete") == 3
    assert len(rig.page.incidents) == 3


def test_a_storm_is_muted_and_what_still_fires_after_the_grace_opens(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("3h")
    rig.fires("a", "b").passes("65m").clears("a").passes("1m")
    assert rig.phase() == "held"
    assert rig.passes("10m").said == [*ALL, "250m open open"]


def test_what_clears_while_it_is_muted_is_never_said(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("3h")
    rig.fires().passes("5m").clears().passes("3h")
    assert rig.said == ALL
    assert rig.phase() == "dismissed"


def test_an_incident_that_was_open_before_the_window_stays_open(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("170m").fires().passes("30m")
    assert rig.phase() == "open"


def test_what_touches_a_component_beside_the_window_opens(make: Make) -> None:
    rules = rule(components="{checkout: full_outage, api: full_outage}")
    rig = make(rules + ENTRY).passes("3h").fires().passes("1m")
    assert rig.phase() == "open"


def test_an_entry_that_moves_moves_its_window(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("90m")
    rig.use(rule() + WINDOW.format(starts="2026-11-23T16:00"))
    rig.passes("10h")
    assert rig.said == [
        ALL[0],
        "90m reschedule reschedule",
        "240m update remind",
        "300m start start",
        "360m complete complete",
    ]
    assert len(rig.page.incidents) == 1


def test_an_entry_that_is_taken_out_cancels_its_window(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("90m")
    rig.use(rule())
    rig.passes("10h")
    assert rig.said == [ALL[0], "90m complete cancel"]


@pytest.mark.parametrize("answer", [Answer.LOST, Answer.TAKEN, Answer.LATE])
def test_a_transition_whose_answer_is_lost_is_on_the_page_once(make: Make, answer: Answer) -> None:
    rig = make(rule() + ENTRY).passes("179m")
    rig.page.script.append(answer)
    rig.passes("1m").page.arrive()
    rig.passes("3h")
    (remote,) = rig.page.incidents
    assert rig.page.said(remote) == ["Coming.", "Soon.", "It began.", "It is over."]


@pytest.mark.parametrize("answer", [Answer.LOST, Answer.TAKEN])
def test_a_change_of_times_whose_answer_is_lost_is_found_or_made_again(make: Make, answer: Answer) -> None:
    rig = make(rule() + ENTRY).passes("90m")
    rig.page.script.append(answer)
    rig.use(rule() + WINDOW.format(starts="2026-11-23T16:00"))
    rig.passes("10h")
    (shown,) = rig.page.incidents.values()
    assert shown.starts_at == START + timedelta(hours=5)
    assert shown.status == "maintenance_complete"


def test_after_the_loss_of_the_ledger_the_window_on_the_page_is_taken_up(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("100m")
    later = make(rule() + ENTRY, page=rig.page)
    later.now = rig.now
    later.passes("4h")
    assert len(later.page.incidents) == 1
    assert [post.action.post for post in later.page.sent] == [Post.ANNOUNCE, Post.REMIND, Post.START, Post.COMPLETE]


def test_a_window_that_the_page_moves_by_itself_is_left_to_it(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("170m")
    (remote,) = rig.page.incidents
    rig.page.person_automates(remote)
    rig.passes("3h").looks()
    assert rig.said == ALL[:2]
    assert rig.page.statuses(remote) == ["scheduled", "scheduled", "in_progress", "complete"]
    assert windows(rig)[0].actions == ()
    assert rig.codes == ["taken_over"]


def test_a_window_that_a_person_has_put_off_in_words_mutes_nothing_at_its_old_time(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("170m")
    rig.page.person_posts("inc-1", "Not tonight.", "maintenance_scheduled")
    rig.looks().passes("15m").looks().fires()
    assert rig.phase() == "open"
    assert rig.passes("3h").codes == ["taken_over", "complete_by_hand"]


def test_a_window_that_a_person_moved_is_moved_there_and_told_once(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("150m")
    (before,) = windows(rig)
    later = timedelta(hours=1)
    rig.page.person_moves("inc-1", before.starts_at + later, before.ends_at + later)
    for _ in range(20):
        rig.looks().passes("10m")
    assert rig.said == [*ALL[:2], "180m update remind", "240m start start", "300m complete complete"]
    assert rig.codes == ["moved_on_page"]


def test_an_entry_that_is_edited_after_a_person_has_moved_its_window_is_followed_again(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("150m")
    (before,) = windows(rig)
    later = timedelta(hours=1)
    rig.page.person_moves("inc-1", before.starts_at + later, before.ends_at + later)
    rig.looks().passes("1m")
    rig.use(rule() + WINDOW.format(starts="2026-11-23T14:20"))
    rig.passes("5h")
    assert rig.said[2:] == ["151m reschedule reschedule", "200m start start", "260m complete complete"]


def test_a_page_that_still_shows_the_old_times_is_no_person_who_has_put_them_back(make: Make) -> None:
    rig = make(rule() + ENTRY)
    rig.page.lag = timedelta(seconds=30)
    rig.passes("150m")
    rig.use(rule() + WINDOW.format(starts="2026-11-23T15:00"))
    rig.passes("10s").looks().passes("10s").looks()
    assert rig.passes("5h").looks().codes == []
    assert rig.said[2:] == [
        "150m reschedule reschedule",
        "180m update remind",
        "240m start start",
        "300m complete complete",
    ]


def test_the_ledger_follows_a_window_that_the_page_moves_by_itself(make: Make) -> None:
    rig = make(rule() + ENTRY + "    driver: provider\n").passes("150m").looks()
    (before,) = windows(rig)
    assert before.automated
    rig.page.person_moves("inc-1", before.starts_at - timedelta(minutes=20), before.ends_at - timedelta(minutes=40))
    rig.passes("5m").looks().passes("6m").looks()
    assert windows(rig)[0].phase is WindowPhase.IN_PROGRESS
    assert rig.fires().phase() == "held"
    rig.passes("40m").looks()
    assert windows(rig)[0].phase is WindowPhase.COMPLETE
    assert rig.passes("11m").phase() == "open"
    assert rig.said[:2] == ALL[:2]
    assert rig.page.statuses("inc-1")[-2:] == ["in_progress", "complete"]


def test_a_page_that_does_not_move_a_window_by_itself_any_more_is_told(make: Make) -> None:
    rig = make(rule() + ENTRY + "    driver: provider\n").passes("150m").looks()
    rig.page.person_automates("inc-1", automate=False)
    rig.passes("5m").looks()
    assert rig.codes == ["taken_over"]
    rig.passes("26m").fires().looks()
    assert rig.phase() == "open", "nobody has begun"
