"""Windows that people made on the page: found, moved at their times, and left alone once people move them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.fakes.provider import Answer, FakePage
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, START, Rig, rule
from worker.core.model import Origin, Window, WindowPhase, WindowStatus

ADOPTS = (
    'adopt_maintenance: {title: {regex: "Planned.*"}, start: "It began until {{ window.ends_at | time }}.",'
    " complete: It is over., notify: true}"
)
ADOPTING = HEAD.replace("publish: auto\n", f"publish: auto\n    {ADOPTS}\n", 1)
ENTRY = """maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Planned database work
    starts: 2026-11-23T12:00
    timezone: Europe/Berlin
    duration: 30m
    announce: {before: 4h, text: Coming.}
    start: {text: The database stops.}
    complete: {text: The database is back.}
"""
AT = START + timedelta(hours=1)
END = AT + timedelta(minutes=30)
MOVED = ["scheduled", "in_progress", "complete"]


def adopting(make: Make, rules: str = "", *, head: str = ADOPTING, page: FakePage | None = None) -> Rig:
    rig = make(page=page)
    rig.use(rules or rule(), head)
    return rig


def lives(rig: Rig, until: datetime) -> Rig:
    """Time passes, and the page is looked at whenever that is due."""
    while rig.now < until:
        rig.passes(min(timedelta(seconds=30), until - rig.now)).looks()
    return rig


def windows(rig: Rig) -> list[Window]:
    return list(rig.ledger.windows(START - timedelta(days=1)))


def the(rig: Rig) -> Window:
    (window,) = windows(rig)
    return window


def sent(rig: Rig) -> list[tuple[str, datetime, bool]]:
    return [(str(each.action.post), each.at, each.action.content.notify) for each in rig.page.sent]


def test_a_window_that_people_made_is_moved_at_its_times_and_nothing_else_is_said(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, END + timedelta(minutes=5))
    assert rig.page.statuses(window) == MOVED
    assert rig.page.said(window) == ["We work on it.", "It began until 11:30 UTC.", "It is over."]
    assert sent(rig) == [("start", AT, True), ("complete", END, True)]
    assert (the(rig).phase, the(rig).origin, the(rig).actions) == (WindowPhase.COMPLETE, Origin.PAGE, ())
    assert rig.codes == ["window_adopted"]


def test_what_they_call_otherwise_is_theirs(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Urgent work", AT, END)
    lives(rig, END)
    assert windows(rig) == []
    assert rig.page.statuses(window) == ["scheduled"]


def test_a_page_that_adopts_nothing_is_not_asked_for_windows(make: Make) -> None:
    rig = adopting(make, head=HEAD)
    rig.page.person_schedules("Planned work", AT, END)
    lives(rig, END)
    assert windows(rig) == []


def test_an_adopted_window_mutes_what_it_is_about(make: Make) -> None:
    rig = adopting(make)
    rig.page.person_schedules("Planned work", AT, END, "checkout")
    lives(rig, AT + timedelta(minutes=1))
    assert the(rig).components == ("checkout",)
    rig.fires()
    lives(rig, END + timedelta(minutes=9))
    assert rig.phase() == "held"
    lives(rig, END + timedelta(minutes=11))
    assert rig.phase() == "open", "after its grace"


def test_a_component_that_only_the_page_knows_is_no_obstacle(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END, "api", "c-of-theirs")
    lives(rig, END + timedelta(minutes=1))
    assert the(rig).components == ("api",)
    assert rig.page.statuses(window) == MOVED


# -- edited times


def test_an_edited_time_is_obeyed(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=30))
    later = AT + timedelta(minutes=50)
    rig.page.person_moves(window, later, later + timedelta(minutes=20))
    lives(rig, later + timedelta(minutes=25))
    assert sent(rig) == [("start", later, True), ("complete", later + timedelta(minutes=20), True)]
    assert rig.codes == ["window_adopted"]


@pytest.mark.parametrize("before", [timedelta(seconds=9), timedelta(seconds=1)])
def test_a_time_that_is_edited_in_the_last_seconds_is_obeyed(make: Make, before: timedelta) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - before)
    later = AT + timedelta(minutes=20)
    rig.page.person_moves(window, later, later + timedelta(minutes=10))
    rig.passes("1m")
    assert sent(rig) == []
    assert the(rig).phase is WindowPhase.SCHEDULED
    lives(rig, later + timedelta(minutes=11))
    assert sent(rig) == [("start", later, True), ("complete", later + timedelta(minutes=10), True)]


def test_an_end_that_is_put_off_in_the_last_second_is_obeyed(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, END - timedelta(seconds=1))
    later = END + timedelta(minutes=30)
    rig.page.person_moves(window, AT, later)
    rig.fires().passes("5m")
    assert rig.phase() == "held", "and mutes as long"
    lives(rig, later + timedelta(minutes=1))
    assert sent(rig)[1:] == [("complete", later, True)]


def test_a_start_that_is_put_forward_is_obeyed_as_soon_as_it_is_seen(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=40))
    rig.page.person_moves(window, AT - timedelta(minutes=30), END)
    lives(rig, END + timedelta(minutes=1))
    assert sent(rig) == [("start", AT - timedelta(minutes=30), True), ("complete", END, True)]


# -- people who move it themselves

BY_HAND: dict[str, Callable[[FakePage, str], object]] = {
    "starts": lambda page, window: page.person_posts(window, "Go.", WindowStatus.IN_PROGRESS),
    "completes": lambda page, window: page.person_posts(window, "Done.", WindowStatus.COMPLETE),
    "deletes": lambda page, window: page.person_deletes(window),
    "automates": lambda page, window: page.person_automates(window),
}


@pytest.mark.parametrize("does", BY_HAND)
def test_what_a_person_moves_is_left_alone_from_then_on(make: Make, does: str) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=20))
    BY_HAND[does](rig.page, window)
    lives(rig, END + timedelta(minutes=20))
    assert sent(rig) == []
    assert the(rig).actions == ()
    assert not the(rig).phase.live
    assert rig.codes == ["window_adopted"]


@pytest.mark.parametrize("does", BY_HAND)
def test_what_a_person_moves_in_the_last_second_is_left_alone_too(make: Make, does: str) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(seconds=1))
    BY_HAND[does](rig.page, window)
    rig.passes("40m")
    assert sent(rig) == []
    assert the(rig).hands_off


def test_a_window_that_a_person_completes_while_it_runs_is_left_alone(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT + timedelta(minutes=10))
    rig.fires()
    BY_HAND["completes"](rig.page, window)
    lives(rig, AT + timedelta(minutes=12))
    assert the(rig).phase is WindowPhase.COMPLETE
    lives(rig, AT + timedelta(minutes=21))
    assert rig.phase() == "open", "its grace runs from when it was completed"
    lives(rig, END + timedelta(minutes=21))
    assert [post for post, *_ in sent(rig)] == ["start", "open"]


def test_a_window_that_a_person_starts_mutes_from_then_on_and_ends_where_they_end_it(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=50))
    BY_HAND["starts"](rig.page, window)
    lives(rig, AT - timedelta(minutes=48))
    rig.fires()
    lives(rig, AT - timedelta(minutes=30))
    assert rig.phase() == "held"
    BY_HAND["completes"](rig.page, window)
    lives(rig, AT - timedelta(minutes=15))
    assert rig.phase() == "open"


def test_a_deleted_window_mutes_nothing(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT + timedelta(minutes=10))
    rig.fires()
    rig.page.person_deletes(window)
    lives(rig, AT + timedelta(minutes=13))
    assert the(rig).phase is WindowPhase.CANCELLED
    assert rig.phase() == "open"


def test_words_of_people_on_their_window_are_theirs_and_it_is_moved_all_the_same(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=5))
    rig.page.person_posts(window, "Soon.", WindowStatus.SCHEDULED)
    lives(rig, AT + timedelta(minutes=5))
    rig.page.person_posts(window, "Half way.", WindowStatus.IN_PROGRESS)
    lives(rig, END + timedelta(minutes=5))
    assert rig.page.said(window)[1:] == ["Soon.", "It began until 11:30 UTC.", "Half way.", "It is over."]


def test_a_window_that_the_page_moves_by_itself_only_mutes(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END, automate=True)
    lives(rig, AT + timedelta(seconds=1))
    rig.fires()
    lives(rig, END)
    assert rig.phase() == "held"
    lives(rig, END + timedelta(minutes=15))
    assert rig.page.statuses(window) == MOVED
    assert [post for post, *_ in sent(rig)] == ["open"]
    assert rig.codes == []


def test_a_window_that_people_have_begun_already_only_mutes(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", START - timedelta(minutes=5), END)
    rig.page.person_posts(window, "We have begun.", WindowStatus.IN_PROGRESS)
    rig.passes("1m").looks().fires()
    assert rig.phase() == "held"
    lives(rig, END + timedelta(minutes=21))
    assert [post for post, *_ in sent(rig)] == ["open"]
    assert rig.codes == []


def test_what_should_have_ended_long_ago_is_forgotten_as_its_people_did(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", START - timedelta(days=3), START - timedelta(days=2))
    lives(rig, START + timedelta(minutes=10))
    assert rig.page.statuses(window) == ["scheduled"]
    assert rig.codes == []


# -- downtimes


@pytest.mark.parametrize(
    ("missed", "up", "posts"),
    [
        ("late", AT + timedelta(minutes=10), ["start", "complete"]),
        ("skip", AT + timedelta(minutes=10), ["complete"]),
        ("late", END + timedelta(minutes=20), ["complete"]),
    ],
)
def test_what_is_caught_up_after_a_downtime(make: Make, missed: str, up: datetime, posts: list[str]) -> None:
    rig = adopting(make, head=ADOPTING.replace("notify: true}", f"notify: true, missed: {missed}}}"))
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=50))
    rig.now = up
    lives(rig, END + timedelta(minutes=21))
    assert [post for post, *_ in sent(rig)] == posts
    assert rig.page.statuses(window)[-1] == "complete"
    assert sent(rig)[-1][2] is (posts[0] == "start"), "what is told long after it was due mails nobody"


def test_a_page_that_fails_at_the_start_is_told_late_and_once(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=1))
    rig.page.script.append(Answer.LOST)
    lives(rig, END + timedelta(minutes=5))
    assert rig.page.statuses(window) == MOVED


def test_a_post_of_people_beside_a_start_of_which_nothing_is_known_is_no_verdict(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=1))
    rig.page.script.append(Answer.LOST)
    lives(rig, AT + timedelta(seconds=30))
    rig.page.person_posts(window, "Bear with us.", WindowStatus.SCHEDULED)
    lives(rig, END + timedelta(minutes=5))
    assert rig.page.statuses(window) == ["scheduled", "scheduled", "in_progress", "complete"]
    assert rig.codes == ["window_adopted"]


def test_a_page_that_shows_what_was_a_while_ago_is_no_person_who_has_moved_it_back(make: Make) -> None:
    rig = adopting(make)
    rig.page.lag = timedelta(seconds=20)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, END + timedelta(minutes=5))
    assert rig.page.statuses(window) == MOVED


# -- restarts, and the loss of the ledger


@pytest.mark.parametrize(
    "at", [AT - timedelta(minutes=50), AT + timedelta(minutes=10)], ids=["before", "while it runs"]
)
def test_the_loss_of_the_ledger_is_harmless(make: Make, at: datetime) -> None:
    before = adopting(make)
    window = before.page.person_schedules("Planned work", AT, END)
    lives(before, at)
    after = adopting(make, page=before.page)
    after.now = before.now
    lives(after, END + timedelta(minutes=10))
    assert after.page.statuses(window) == MOVED
    assert [post for post, *_ in sent(after)] == ["start", "complete"]


def test_a_restart_adopts_nothing_twice(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT + timedelta(minutes=10))
    rig.close()
    again = make(page=rig.page, path=rig.path)
    again.use(rule(), ADOPTING)
    again.now = rig.now
    lives(again, END + timedelta(minutes=10))
    assert again.page.statuses(window) == MOVED
    assert len(windows(again)) == 1


# -- what we made ourselves


def test_a_window_of_ours_is_never_adopted(make: Make) -> None:
    rig = adopting(make, rule() + ENTRY)
    lives(rig, END + timedelta(minutes=10))
    assert [post for post, *_ in sent(rig)] == ["announce", "start", "complete"]
    assert the(rig).origin is Origin.ENTRY


def test_a_window_of_ours_is_not_adopted_after_the_loss_of_the_ledger_before_it_is_planned(make: Make) -> None:
    before = adopting(make, rule() + ENTRY)
    lives(before, AT - timedelta(minutes=50))
    after = adopting(make, rule() + ENTRY, page=before.page)
    after.now = before.now
    after.observe_step.run_once("main")
    assert windows(after) == []
    lives(after, END + timedelta(minutes=10))
    assert [post for post, *_ in sent(after)] == ["announce", "start", "complete"]
    assert the(after).origin is Origin.ENTRY


def test_an_adopted_window_yields_to_one_of_ours_that_turns_out_to_be_the_same(make: Make) -> None:
    """After a loss of the ledger a window that an event made is on the page before its event is heard again."""
    deploys = """  - id: deploy
    match: {source: words}
    group_by: []
    vars: {ends: label("region")}
    maintenance:
      page: main
      components: [checkout]
      title: Planned deployment
      duration: 30m
      starts: {cel: 'label("region")'}
      announce: {before: 4h, text: Coming.}
      start: {text: It deploys.}
      complete: {text: It is deployed.}
"""
    deploy = {"key": "1", "status": "firing", "region": AT.isoformat()}
    before = adopting(make, deploys).words(deploy).settles()
    lives(before, AT - timedelta(minutes=50))
    after = adopting(make, deploys, page=before.page)
    after.now = before.now
    after.looks()
    assert the(after).origin is Origin.PAGE
    after.words(deploy).settles()
    lives(after, END + timedelta(minutes=10))
    assert [post for post, *_ in sent(after)] == ["announce", "start", "complete"]
    assert {window.origin: window.phase for window in windows(after)} == {
        Origin.PAGE: WindowPhase.CANCELLED,
        Origin.RULE: WindowPhase.COMPLETE,
    }


# -- the rules change


def test_new_words_are_said_and_a_page_that_adopts_no_more_gives_the_windows_back(make: Make) -> None:
    rig = adopting(make)
    window = rig.page.person_schedules("Planned work", AT, END)
    lives(rig, AT - timedelta(minutes=50))
    rig.use(rule(), ADOPTING.replace("It is over.", "All is done."))
    lives(rig, AT + timedelta(minutes=10))
    rig.use(rule(), ADOPTING.replace("It is over.", "All is really done."))
    lives(rig, END + timedelta(minutes=5))
    assert rig.page.said(window)[-1] == "All is really done."
    other = rig.page.person_schedules("Planned more", END + timedelta(minutes=20), END + timedelta(minutes=30))
    lives(rig, END + timedelta(minutes=10))
    rig.use(rule(), HEAD)
    lives(rig, END + timedelta(minutes=40))
    assert rig.page.statuses(other) == ["scheduled"]
    assert all(not each.phase.live and not each.actions for each in windows(rig))
