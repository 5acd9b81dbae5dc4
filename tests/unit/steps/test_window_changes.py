"""Windows that take longer, end early, are moved or called off, through the whole pipeline."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import START, Rig, rule
from tests.unit.steps.test_event_windows import DEPLOY, says
from tests.unit.steps.test_windows import ALL, ENTRY, WINDOW, windows
from worker.core.model import ActionKind, Post, WindowPhase

OVERRUN = """    overrun:
      while: {source: words, match: {labels.service: migrate}}
      extend: 15m
      times: 2
      text: "It takes until {{ window.ends_at }}."
"""
LONG = ENTRY + OVERRUN
OVERRUN_OF_RULE = OVERRUN.replace("    ", "      ", 1).replace("\n      ", "\n        ")
STARTED = ALL[:3]


def works(rig: Rig, status: str = "firing", **word: object) -> Rig:
    return rig.words({"key": "m1", "status": status, "service": "migrate", **word}).settles()


def running(make: Make, rules: str = LONG) -> Rig:
    return make(rule(hold="0s") + rules).passes("3h")


# -- overrun


def test_while_the_work_goes_on_the_end_is_put_off_and_said(make: Make) -> None:
    rig = works(running(make)).passes("61m")
    assert rig.said == [*STARTED, "240m reschedule reschedule", "240m update extend"]
    (window,) = windows(rig)
    (shown,) = rig.page.incidents.values()
    assert shown.ends_at == window.ends_at == START + timedelta(hours=4, minutes=15)
    assert rig.page.said(shown.id)[-1] == "It takes until 23 November 2026, 14:15 UTC."
    works(rig, "resolved").passes("2h")
    assert rig.said[5:] == ["255m complete complete"]
    assert "overrun" not in rig.codes


def test_work_that_is_done_in_time_is_not_put_off(make: Make) -> None:
    rig = works(works(running(make)).passes("30m"), "resolved").passes("2h")
    assert rig.said == ALL


def test_beyond_the_last_extension_the_page_is_not_told_that_the_work_is_done(make: Make) -> None:
    rig = works(running(make)).passes("5h")
    assert [line.split()[0] for line in rig.said if line.endswith("extend")] == ["240m", "255m"]
    assert windows(rig)[0].phase is WindowPhase.IN_PROGRESS
    assert rig.codes == ["overrun"]  # once
    assert rig.notices[0].text.startswith(
        "`m1` of `words` still fires, and the end was put off 2 times by 15 minutes: "
    )
    works(rig, "resolved").passes("2m")
    assert rig.said[-1] == "481m complete complete"
    assert windows(rig)[0].phase is WindowPhase.COMPLETE


def test_what_people_read_of_an_overrun_names_the_signal_and_hours(make: Make) -> None:
    rig = running(make, ENTRY + OVERRUN.replace("15m", "150m").replace("times: 2", "times: 1"))
    works(rig, title="Migration of the orders").passes("4h")
    (told,) = (notice.text for notice in rig.notices)
    assert "put off once by 2 hours 30 minutes: " in told
    assert told.startswith("“Migration of the orders” (`m1` of `words`) still fires, ")


def test_an_extension_keeps_what_is_muted_and_an_exhausted_one_does_not(make: Make) -> None:
    rig = works(running(make)).fires()
    rig.passes("84m")  # 14:24, past the first planned end and its grace
    assert rig.phase() == "held"
    rig.passes("17m")  # 14:41, past the last end and its grace
    assert rig.phase() == "open"


def test_what_is_muted_opens_after_the_grace_of_an_early_end(make: Make) -> None:
    rig = running(make, ENTRY).fires()
    rig.use(rule(hold="0s") + ENTRY.replace("duration: 1h", "duration: 30m"))
    rig.passes("39m")
    assert rig.phase() == "held"
    assert rig.said[3:] == ["180m reschedule reschedule", "210m complete complete"]
    assert rig.passes("2m").phase() == "open"


@pytest.mark.parametrize("word", [{"private": True}, {"test": True}, {"service": "other"}])
def test_only_what_the_match_asks_for_puts_the_end_off(make: Make, word: dict[str, object]) -> None:
    rig = works(running(make), **word).passes("2h")
    assert rig.said == ALL


def test_a_worker_that_was_down_over_the_end_extends_from_then_on(make: Make) -> None:
    rig = works(running(make))
    rig.now = START + timedelta(hours=5)
    rig.settles()
    (window,) = windows(rig)
    assert window.ends_at == START + timedelta(hours=5, minutes=15)
    assert [line for line in rig.said if "extend" in line] == ["300m update extend"]


def test_a_worker_that_was_down_over_the_whole_window_says_that_the_work_goes_on(make: Make) -> None:
    rig = works(make(rule() + LONG).passes("170m"))
    rig.now = START + timedelta(hours=5)
    rig.settles()
    assert rig.said[2:] == ["300m start start", "300m reschedule reschedule"]
    assert windows(rig)[0].phase is WindowPhase.IN_PROGRESS


def test_a_page_that_cannot_be_reached_is_told_the_last_end_only(make: Make) -> None:
    rig = works(running(make))
    rig.page.down = True
    rig.passes("76m")  # past both extensions
    rig.page.down = False
    rig.passes("5m")
    assert [line.split()[1:] for line in rig.said[3:]] == [["reschedule", "reschedule"], ["update", "extend"]]
    (shown,) = rig.page.incidents.values()
    assert shown.ends_at == START + timedelta(hours=4, minutes=30)


def test_the_grace_of_what_took_too_long_runs_from_its_real_end(make: Make) -> None:
    rig = works(works(running(make)).passes("3h"), "resolved").passes("2m")
    assert rig.said[-1] == "361m complete complete"
    assert rig.fires().passes("5m").phase() == "held"
    assert rig.passes("6m").phase() == "open"


def test_the_grace_of_what_is_completed_late_runs_from_the_end_that_was_planned(make: Make) -> None:
    rig = running(make, ENTRY).fires()
    rig.now = START + timedelta(hours=4, minutes=8)  # it was to end at 14:00, and nobody was there
    rig.settles()
    assert rig.said[-1] == "248m complete complete"
    assert rig.phase() == "held"
    assert rig.passes("3m").phase() == "open"


def test_the_grace_of_a_deployment_runs_from_when_it_was_over(make: Make) -> None:
    rig = says(make(rule(hold="0s") + DEPLOY.replace("    maintenance:", "    maintenance:\n      grace: 10m")))
    says(rig.passes("5m").fires(), status="resolved")
    assert rig.passes("9m").phase() == "held"
    assert rig.passes("2m").phase() == "open"


def test_a_deployment_that_is_over_while_other_work_goes_on_is_extended_and_not_completed(make: Make) -> None:
    rig = says(make(DEPLOY + OVERRUN_OF_RULE))
    works(rig.passes("5m"))
    says(rig.passes("5m"), status="resolved")
    assert rig.said == ["0m schedule start", "10m reschedule reschedule", "10m update extend"]
    works(rig.passes("5m"), "resolved").passes("1h")
    assert rig.said[3:] == ["25m complete complete"]


def test_what_a_person_has_taken_over_is_not_put_off(make: Make) -> None:
    rig = works(make(rule() + LONG).passes("90m"))
    (remote,) = rig.page.incidents
    rig.page.person_posts(remote, status="maintenance_scheduled")
    rig.passes("5h")
    assert rig.said == ALL[:1]
    assert rig.codes == ["taken_over", "complete_by_hand"]
    (window,) = windows(rig)
    assert (window.phase, window.extended) == (WindowPhase.COMPLETE, 0)


def test_what_was_missed_and_is_to_be_skipped_is_not_put_off(make: Make) -> None:
    rig = works(make(rule() + LONG + "    missed: skip\n").passes("170m"))
    rig.now = START + timedelta(hours=5)
    rig.settles().passes("1h")
    assert rig.said[2:] == ["300m complete complete"]


# -- early, moved, called off


def test_a_removed_entry_lets_the_window_that_runs_end_in_its_own_words(make: Make) -> None:
    rig = running(make, ENTRY).passes("10m")
    rig.use(rule())
    rig.passes("5h")
    assert rig.said == ALL
    assert rig.page.said(next(iter(rig.page.incidents)))[-1] == "It is over."


CANCEL = '    cancel: {text: "Not tonight.", notify: true%s}\n'


def test_a_removed_entry_has_a_last_word_of_its_own(make: Make) -> None:
    rig = make(rule() + ENTRY + CANCEL % "").passes("90m")
    rig.use(rule())
    rig.passes("10h")
    assert rig.said == [ALL[0], "90m complete cancel"]
    (remote,) = rig.page.incidents
    assert rig.page.said(remote) == ["Coming.", "Not tonight."]
    assert rig.page.sent[-1].action.content.notify


@pytest.mark.parametrize("answer", [Answer.DONE, Answer.LOST, Answer.TAKEN])
def test_what_is_called_off_is_deleted_after_that_where_its_entry_says_so(make: Make, answer: Answer) -> None:
    rig = make(rule() + ENTRY + CANCEL % ", delete: true").passes("90m")
    rig.page.script.extend([Answer.DONE, answer])
    rig.use(rule())
    rig.passes("10h")
    assert rig.said[1] == "90m complete cancel"
    kinds = {sent.action.kind for sent in rig.page.sent[2:]}
    assert kinds == {ActionKind.CANCEL_MAINTENANCE}
    assert rig.page.incidents == {}
    (window,) = rig.ledger.windows(START - timedelta(days=1)) or [None]
    assert window is not None
    assert (window.phase, window.known, window.actions) == (WindowPhase.CANCELLED, None, ())


def test_what_was_never_published_is_neither_called_off_nor_deleted(make: Make) -> None:
    rig = make(rule() + ENTRY + CANCEL % ", delete: true").passes("30m")
    rig.use(rule())
    assert rig.passes("10h").said == []


def test_an_entry_that_comes_back_after_its_window_was_deleted_is_announced_anew(make: Make) -> None:
    entry = ENTRY + CANCEL % ", delete: true"
    rig = make(rule() + entry).passes("90m")
    rig.use(rule())
    rig.passes("10m")
    rig.use(rule() + entry)
    rig.passes("10h")
    assert [line.split()[2] for line in rig.said] == [
        "announce",
        "cancel",
        "cancel",
        "announce",
        "remind",
        "start",
        "complete",
    ]
    assert len(rig.page.incidents) == 1


def test_a_window_that_the_page_would_start_by_itself_is_called_off_all_the_same(make: Make) -> None:
    rig = make(rule() + ENTRY + "    driver: provider\n").passes("90m")
    rig.use(rule())
    rig.passes("10h")
    assert rig.said == [ALL[0], "90m complete cancel"]
    assert rig.codes == []


def moved(starts: str, more: str = "") -> str:
    return rule() + WINDOW.format(starts=starts) + more


SAY = '    reschedule: {text: "Moved to {{ window.starts_at }}.", notify: true}\n'


def test_an_edited_entry_says_so_where_it_is_to(make: Make) -> None:
    rig = make(rule() + ENTRY + SAY).passes("90m")
    rig.use(moved("2026-11-23T16:00", SAY))
    rig.passes("10h")
    assert rig.said == [
        ALL[0],
        "90m reschedule reschedule",
        "90m update reschedule",
        "240m update remind",
        "300m start start",
        "360m complete complete",
    ]
    assert rig.page.sent[2].action.content.message == "Moved to 23 November 2026, 15:00 UTC."
    assert rig.page.sent[2].action.content.notify


def test_an_entry_that_is_moved_nearer_makes_no_burst_of_reminders(make: Make) -> None:
    rig = make(rule() + ENTRY).passes("90m")
    rig.use(moved("2026-11-23T12:50"))  # in twenty minutes
    rig.passes("10h")
    assert rig.said == [ALL[0], "90m reschedule reschedule", "110m start start", "170m complete complete"]


def test_what_is_moved_twice_before_the_page_answers_is_told_once(make: Make) -> None:
    rig = make(rule() + ENTRY + SAY).passes("90m")
    rig.page.down = True
    for hour in (16, 17):
        rig.use(moved(f"2026-11-23T{hour}:00", SAY))
        rig.passes("1m")
    rig.page.down = False
    rig.passes("5m")
    assert [line.split()[1:] for line in rig.said[1:]] == [["reschedule", "reschedule"], ["update", "reschedule"]]
    assert "16:00 UTC" in rig.page.sent[-1].action.content.message


def test_what_is_moved_between_its_new_time_and_the_words_for_it_says_the_newest(make: Make) -> None:
    rig = make(rule() + ENTRY + SAY).passes("90m")
    rig.page.script.extend([Answer.DONE, Answer.NOT_SENT])
    rig.use(moved("2026-11-23T16:00", SAY))
    rig.settles()
    rig.use(moved("2026-11-23T17:00", SAY))
    rig.passes("1m")
    (remote,) = rig.page.incidents
    assert rig.page.said(remote) == ["Coming.", "Moved to 23 November 2026, 16:00 UTC."]


def test_a_window_that_runs_keeps_its_start_and_takes_the_new_end(make: Make) -> None:
    rig = running(make, ENTRY).passes("10m")
    rig.use(rule() + ENTRY.replace("duration: 1h", "duration: 90m"))
    rig.passes("5h")
    assert rig.said == [*STARTED, "190m reschedule reschedule", "270m complete complete"]


def test_a_window_that_runs_is_not_doubled_by_another_start(make: Make) -> None:
    rig = running(make, ENTRY).passes("10m")
    rig.use(moved("2026-11-23T14:30"))
    rig.passes("5h")
    assert rig.said == [*STARTED, "190m reschedule reschedule", "270m complete complete"]
    assert len(windows(rig)) == 1


def test_an_entry_that_is_moved_to_another_day_while_it_runs_ends_now_and_comes_again(make: Make) -> None:
    rig = running(make, ENTRY).passes("10m")
    rig.use(moved("2026-11-24T14:00"))
    rig.passes("2d")
    assert [sent.action.post for sent in rig.page.sent].count(Post.COMPLETE) == 2
    assert len(rig.page.incidents) == 2


def test_planning_again_does_not_take_an_extension_back(make: Make) -> None:
    rig = works(running(make)).passes("65m")
    rig.use(rule(hold="0s") + LONG + "    missed: late\n")
    works(rig.passes("5m"), "resolved").passes("1h")
    assert rig.said[-1] == "255m complete complete"
