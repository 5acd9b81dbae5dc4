"""What a maintenance window does next, row by row, and over ten thousand random downtimes."""

from __future__ import annotations

import random  # noqa: TID251  (seeded)
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.transcript import minutes
from tests.unit.core.windows_clock import END, START, Clock, plan_of
from worker.core.model import ActionKind, ActionState, Post, PublishMode, Result, WindowPhase, WindowStatus
from worker.core.ruleset import WindowEntry

ALL = ["-4320m announce mails", "-1440m remind", "-60m remind", "+0m start mails", "+60m complete mails"]


def test_a_window_is_announced_reminded_of_started_and_completed_at_its_times() -> None:
    clock = Clock().until(END)
    assert clock.said == ALL
    assert clock.phases == [
        WindowPhase.PLANNED,
        WindowPhase.SCHEDULED,
        WindowPhase.IN_PROGRESS,
        WindowPhase.COMPLETE,
    ]
    assert clock.window.wake_at is None


def test_a_window_without_an_announcement_appears_when_it_starts() -> None:
    clock = Clock(plan_of(announce="", remind="")).until(END)
    assert clock.said == ["+0m start mails", "+60m complete mails"]
    (_, first), _ = clock.posts
    assert first.kind is ActionKind.SCHEDULE_MAINTENANCE
    assert first.content.window_status is WindowStatus.IN_PROGRESS


def test_the_page_that_drives_itself_is_left_alone() -> None:
    clock = Clock(plan_of(driver="provider")).until(END)
    assert clock.said == ALL[:3]
    assert clock.posts[0][1].content.automate
    assert clock.window.phase is WindowPhase.COMPLETE


@pytest.mark.parametrize("back", [timedelta(minutes=5), timedelta(minutes=65)])
def test_a_reminder_that_waited_for_the_page_is_not_said_once_the_page_has_begun(back: timedelta) -> None:
    clock = Clock(plan_of(driver="provider")).until(START - timedelta(minutes=61))
    clock.answer = lambda action: Result.NOT_SENT
    clock.until(START + back)
    clock.answer = lambda action: Result.DONE
    clock.until(END + timedelta(hours=2))
    assert clock.said == ALL[:2]


def test_the_key_of_a_window_is_the_same_after_the_loss_of_the_ledger() -> None:
    first, second = (Clock(now=at).until(END).posts[0][1].key for at in (START - timedelta(days=8), START))
    assert first == second != ""


LATE = [
    ("-1h", "+10m", "late", ["-4320m announce mails", "-1440m remind", "+10m start mails", "+60m complete mails"]),
    ("-30m", "+20m", "late", [*ALL[:3], "+20m start", "+60m complete mails"]),
    ("-30m", "+20m", "skip", [*ALL[:3], "+60m complete"]),
    ("-30m", "+30s", "skip", [*ALL[:3], "+0.5m start mails", "+60m complete mails"]),
    ("-30m", "+70m", "late", [*ALL[:3], "+70m complete"]),
    ("-30m", "+70m", "skip", [*ALL[:3], "+70m complete"]),
    ("+10m", "+90m", "late", [*ALL[:4], "+90m complete"]),
    ("+10m", "+65m", "late", [*ALL[:4], "+65m complete mails"]),
    ("-100h", "+90m", "late", []),
    ("-100h", "+10m", "late", ["+10m start mails", "+60m complete mails"]),
    ("-100h", "+10m", "skip", []),
    ("-100h", "-30m", "late", ["-30m announce", *ALL[3:]]),
    ("-100h", "-71h", "late", ["-4260m announce", *ALL[1:]]),
]


@pytest.mark.parametrize(("down", "up", "missed", "said"), LATE)
def test_what_is_said_after_a_downtime(down: str, up: str, missed: str, said: list[str]) -> None:
    clock = Clock(plan_of(missed=missed)).until(_at(down))
    if down == "-1h":
        clock.posts.pop()  # the reminder that is due at the same instant
        said = [line for line in said if line != "-60m remind"]
    clock.down_until(_at(up)).until(END + timedelta(days=1))
    assert clock.said == said


def _at(text: str) -> object:
    return START + minutes(text[1:]) * (-1 if text[0] == "-" else 1)


def test_a_page_that_is_down_over_the_start_gets_one_post_and_not_a_burst() -> None:
    clock = Clock().until(START - timedelta(hours=2))
    clock.answer = lambda action: Result.NOT_SENT
    clock.until(END + timedelta(minutes=5))
    clock.answer = lambda action: Result.DONE
    clock.until(END + timedelta(hours=1))
    assert [action.post for _, action in clock.posts] == [Post.ANNOUNCE, Post.REMIND, Post.COMPLETE]
    assert not clock.posts[-1][1].content.notify


def test_a_page_that_is_down_over_the_announcement_shows_the_window_when_it_starts() -> None:
    clock = Clock(answer=lambda action: Result.NOT_SENT).until(START + timedelta(minutes=5))
    clock.answer = lambda action: Result.DONE
    clock.until(END)
    assert [action.post for _, action in clock.posts] == [Post.START, Post.COMPLETE]


def test_a_create_that_may_be_on_the_page_settles_before_anything_follows() -> None:
    late = START - timedelta(minutes=2)
    clock = Clock(now=late, answer=lambda action: Result.UNKNOWN).until(START + timedelta(minutes=1))
    assert len(clock.window.actions) == 1
    clock.answer = lambda action: Result.DONE
    clock.until(END)
    assert [action.post for _, action in clock.posts] == [Post.ANNOUNCE, Post.START, Post.COMPLETE]


def test_once_a_person_moves_the_window_nothing_is_posted_and_the_end_is_told_to_the_team() -> None:
    clock = Clock().until(START - timedelta(minutes=1))
    clock.answer = lambda action: Result.PERSON
    clock.until(END)
    assert clock.said == ALL[:3]
    assert clock.window.phase is WindowPhase.COMPLETE
    assert [notice.code for notice in clock.notices] == ["held", "complete_by_hand"]


def test_a_moved_entry_moves_the_window_and_its_reminders() -> None:
    clock = Clock().until(START - timedelta(minutes=30))
    later = timedelta(days=2)
    clock.planned(START + later, END + later).until(END + later)
    assert clock.said == [
        *ALL[:3],
        "-30m reschedule",
        "+1440m remind",
        "+2820m remind",
        "+2880m start mails",
        "+2940m complete mails",
    ]


def test_an_entry_that_was_edited_twice_before_the_page_answered_is_told_once() -> None:
    clock = Clock().until(START - timedelta(minutes=30))
    clock.answer = lambda action: Result.NOT_SENT
    for hours in (1, 2):
        clock.planned(START + timedelta(hours=hours), END + timedelta(hours=hours))
    clock.answer = lambda action: Result.DONE
    clock.until(START)
    (_, moved) = clock.posts[-1]
    assert moved.content.starts_at == START + timedelta(hours=2)
    assert [action.post for _, action in clock.posts].count(Post.RESCHEDULE) == 1


def test_a_window_whose_entry_is_gone_is_cancelled_with_a_last_word() -> None:
    clock = Clock().until(START - timedelta(hours=3)).gone().until(END)
    assert clock.said == [*ALL[:2], "-180m cancel"]
    assert clock.window.phase is WindowPhase.CANCELLED
    assert clock.posts[-1][1].content.window_status is WindowStatus.COMPLETE


def test_a_window_whose_entry_is_gone_before_anything_was_said_goes_quietly() -> None:
    clock = Clock().until(START - timedelta(days=4)).gone().until(END)
    assert (clock.said, clock.window.phase) == ([], WindowPhase.CANCELLED)


def test_a_window_in_progress_whose_entry_is_gone_is_completed() -> None:
    clock = Clock().until(START + timedelta(minutes=5)).gone().until(END)
    assert clock.said == ALL


def test_an_entry_that_comes_back_is_planned_again_under_another_key() -> None:
    clock = Clock().until(START - timedelta(hours=3))
    first = clock.posts[0][1].key
    clock.gone()
    clock.context = replace(clock.context, gone=False)
    clock.planned(START, END).until(END)
    posts = [action.post for _, action in clock.posts]
    assert posts == [Post.ANNOUNCE, Post.REMIND, Post.CANCEL, Post.ANNOUNCE, Post.REMIND, Post.START, Post.COMPLETE]
    assert clock.posts[3][1].key != first


def test_a_shadow_window_reaches_no_page() -> None:
    clock = Clock()
    clock.context = replace(clock.context, publish=PublishMode.SHADOW)
    clock.until(END)
    assert clock.said == []
    assert clock.window.phase is WindowPhase.COMPLETE


def test_what_is_new_to_the_page_waits_for_approval_and_is_dropped_at_the_end() -> None:
    clock = Clock()
    clock.context = replace(clock.context, publish=PublishMode.APPROVE)
    clock.until(START + timedelta(minutes=1))
    assert [action.state for action in clock.window.actions] == [ActionState.AWAITING_APPROVAL]
    clock.until(END)
    assert (clock.said, clock.window.phase, clock.window.actions) == ([], WindowPhase.SKIPPED, ())


def test_a_text_that_fails_is_told_once_and_tried_again() -> None:
    clock = Clock(plan_of(start='{text: "{{ now - 1 }}"}')).until(START + timedelta(minutes=5))
    assert [notice.code for notice in clock.notices] == ["evaluation_failed"]
    assert clock.window.wake_at is not None


def test_ten_thousand_random_downtimes() -> None:
    """Forward only, at most one post per state, no start after the end, and what was started is completed."""
    chance = random.Random(20261206)
    plans = [plan_of(), plan_of(missed="skip"), plan_of(announce=""), plan_of(announce="", missed="skip")]
    order = list(WindowPhase)
    for _ in range(10_000):
        clock = _lived_through(chance.choice(plans), chance)
        ranks = [order.index(phase) for phase in clock.phases]
        assert ranks == sorted(ranks), clock.phases
        posts = [action.post for _, action in clock.posts]
        assert all(count == 1 for post, count in Counter(posts).items() if post is not Post.REMIND), posts
        assert posts.count(Post.REMIND) <= 2
        assert all(at < END for at, action in clock.posts if action.post in (Post.ANNOUNCE, Post.REMIND, Post.START))
        assert all(at >= END for at, action in clock.posts if action.post is Post.COMPLETE)
        assert Post.COMPLETE in posts or not posts
        assert [action.kind.creates for _, action in clock.posts] == [at == 0 for at in range(len(posts))]
        assert clock.window.phase is (WindowPhase.COMPLETE if posts else WindowPhase.SKIPPED)
        assert not clock.window.actions


def test_four_hundred_clocks_that_are_set_forward_and_back() -> None:
    """Each transition is said once, by the clock as it is then, and never before its time."""
    chance = random.Random(20261025)
    for _ in range(400):
        clock = Clock(now=START - timedelta(hours=80))
        for _ in range(chance.randrange(1, 6)):
            clock.until(clock.now + timedelta(minutes=chance.uniform(0, 2000)))
            clock.down_until(clock.now + timedelta(minutes=60) * chance.choice([1, -1]))
        clock.until(max(clock.now, END) + timedelta(hours=3))
        posts = Counter(action.post for _, action in clock.posts)
        assert max(posts[Post.ANNOUNCE], posts[Post.START], posts[Post.COMPLETE]) == 1, posts
        assert posts[Post.REMIND] <= 2
        assert all(at >= {Post.START: START, Post.COMPLETE: END}.get(a.post, at) for at, a in clock.posts)
        assert clock.window.phase is (WindowPhase.COMPLETE if posts else WindowPhase.SKIPPED)


def _lived_through(plan: WindowEntry, chance: random.Random) -> Clock:
    """Up and down at random from before the announcement until well after the end; the page may fail to answer."""
    clock = Clock(plan, now=START - timedelta(hours=chance.choice([2, 80])))
    clock.answer = lambda action: Result.NOT_SENT if clock.now < END and chance.random() < 0.3 else Result.DONE
    for _ in range(chance.randrange(1, 4)):
        left = (END - clock.now).total_seconds() / 60
        near = chance.choice([left, 120 if left > 180 else left])
        clock.until(clock.now + timedelta(minutes=chance.uniform(0, max(near, 1))))
        clock.down_until(clock.now + timedelta(minutes=chance.uniform(0, max(left, 1) * 1.2)))
    clock.answer = lambda action: Result.DONE
    return clock.until(max(clock.now, END) + timedelta(hours=1))
