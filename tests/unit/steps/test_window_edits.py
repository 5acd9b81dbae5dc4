"""An entry whose title, components or length is edited, before its window has begun and while that is in progress."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, Rig, rule
from tests.unit.steps.test_windows import ALL, ENTRY, windows
from worker.core.approval import approval_hash
from worker.core.model import WindowPhase

SAY = '    reschedule: {text: "Moved to {{ window.starts_at }}.", notify: true}\n'
API = rule() + rule("api", match="{labels.service: api}", components="{api: full_outage}", hold="0s")


def edited(*pairs: tuple[str, str], more: str = "") -> str:
    text = ENTRY
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return API + text + more


def announced(make: Make, more: str = "") -> Rig:
    return make(API + ENTRY + more).passes("90m")


def running(make: Make, more: str = "") -> Rig:
    return make(API + ENTRY + more).passes("185m")


TITLE = ("title: Database maintenance", "title: Index maintenance")
OTHERS = ("components: [checkout]", "components: [api, web]")
REVISED = "This maintenance affects Public API and Dashboard."


# -- before the start


@pytest.mark.parametrize("answer", [Answer.DONE, Answer.LOST, Answer.TAKEN])
def test_an_edited_title_reaches_the_page_once_and_without_a_word(make: Make, answer: Answer) -> None:
    rig = announced(make)
    rig.page.script.append(answer)
    rig.use(edited(TITLE))
    rig.passes("10m").looks().passes("5h").looks()
    assert rig.page.names == ["Index maintenance"]
    again = ["90m reschedule reschedule"] if answer is not Answer.LOST else rig.said[1:-3]
    assert rig.said == [ALL[0], *again, *ALL[1:]]
    assert {line.split()[1] for line in again} == {"reschedule"}
    assert rig.codes == []
    assert rig.page.said("inc-1") == ["Coming.", "Soon.", "It began.", "It is over."]


def test_edited_components_are_told_once_in_a_silent_post_and_start_alone(make: Make) -> None:
    rig = announced(make)
    rig.use(edited(OTHERS))
    rig.passes("85m").looks()
    assert rig.said == [ALL[0], "90m update revise", ALL[1]]
    (_, post, _) = rig.page.sent
    assert (post.action.content.message, post.action.content.notify) == (REVISED, False)
    rig.passes("10m")
    assert rig.page.shown("inc-1") == {
        "c-checkout": "operational",
        "c-api": "under_maintenance",
        "c-web": "under_maintenance",
    }
    assert rig.passes("5h").looks().said[3:] == ALL[2:]
    assert rig.codes == []


def test_title_and_components_that_are_edited_back_before_the_page_answers_change_nothing(make: Make) -> None:
    rig = announced(make)
    rig.page.down = True
    rig.use(edited(TITLE, OTHERS))
    rig.passes("1m")
    rig.use(API + ENTRY)
    rig.passes("1m")
    rig.page.down = False
    rig.passes("5m")
    assert rig.said == ALL[:1]


def test_a_moved_window_with_other_components_says_both_in_one_post(make: Make) -> None:
    rig = announced(make, SAY)
    rig.use(edited(OTHERS, ("T14:00", "T16:00"), more=SAY))
    rig.passes("1m")
    assert rig.said[1:] == ["90m reschedule reschedule", "90m update reschedule"]
    assert rig.page.sent[2].action.content.components.keys() == {"checkout", "api", "web"}


def test_what_waits_to_be_announced_is_announced_as_it_is_by_then(make: Make) -> None:
    rig = make(API + ENTRY).passes("59m")
    rig.page.down = True
    rig.passes("2m")
    rig.use(edited(TITLE, OTHERS, ("text: Coming.", "text: Soon there.")))
    rig.passes("1m")
    rig.page.down = False
    rig.passes("5m")
    (shown,) = rig.page.incidents.values()
    assert (shown.name, shown.component_ids) == ("Index maintenance", {"c-api", "c-web"})
    assert rig.page.said(shown.id) == ["Soon there."]


def test_what_the_page_moves_by_itself_keeps_its_components_and_the_team_is_told_once(make: Make) -> None:
    by_itself = "    driver: provider\n"
    rig = announced(make, by_itself).looks()
    rig.use(edited(TITLE, OTHERS, more=by_itself))
    rig.passes("30m").looks().passes("30m")
    assert rig.page.names == ["Index maintenance"]
    assert windows(rig)[0].components == ("checkout",)
    (told,) = rig.notices
    assert told.code == "components_kept"
    assert told.text == (
        "the page moves it by itself, and no page takes other components for it any more: it stays about checkout, "
        "though its entry names api and web now"
    )


# -- while it is in progress


def test_a_component_that_joins_a_window_in_progress_is_told_and_muted(make: Make) -> None:
    rig = running(make)
    rig.use(edited(("components: [checkout]", "components: [checkout, api]")))
    rig.passes("1m")
    assert rig.said[3:] == ["185m update revise"]
    assert rig.page.shown("inc-1") == {"c-checkout": "under_maintenance", "c-api": "under_maintenance"}
    assert rig.fires("b", service="api").phase("api") == "held"
    assert rig.passes("5h").said[4] == ALL[3]


def test_what_a_component_that_leaves_a_window_in_progress_kept_back_opens_at_once(make: Make) -> None:
    rig = make(API + edited(("components: [checkout]", "components: [checkout, api]"))[len(API) :]).passes("185m")
    assert rig.fires("b", service="api").phase("api") == "held"
    rig.use(API + ENTRY)
    rig.passes("1m")
    assert rig.page.shown("inc-1") == {"c-checkout": "under_maintenance", "c-api": "operational"}
    assert rig.phase("api") == "open"


def test_a_window_in_progress_whose_new_end_is_past_is_complete_now_and_mutes_no_longer(make: Make) -> None:
    rig = running(make).fires()
    rig.use(edited(("duration: 1h", "duration: 2m")))
    rig.passes("2m")
    assert rig.said[3:] == ["185m complete complete"]
    assert windows(rig)[0].phase is WindowPhase.COMPLETE
    assert windows(rig)[0].muted_until - rig.now < timedelta(minutes=10)
    assert rig.passes("9m").phase() == "open"


# -- what the page does not have


def test_a_window_that_nobody_has_approved_mutes_nothing_and_the_approver_is_told_so(make: Make) -> None:
    rig = make(rule() + ENTRY, head=HEAD.replace("publish: auto", "publish: approve")).passes("185m").fires()
    assert rig.passes("3m").actions() == ["open awaiting_approval"]
    told = [notice.text for notice in rig.notices if notice.subject.startswith("main/db")]
    assert "; until then the window is not on the page and mutes nothing. To approve it: " in told[0]


def test_a_window_that_is_approved_after_its_start_mutes_from_then_on(make: Make) -> None:
    rig = make(rule(hold="0s") + ENTRY, head=HEAD.replace("publish: auto", "publish: approve")).passes("185m")
    (waits,) = windows(rig)[0].actions
    rig.asks("approve", action=waits.id, hash=approval_hash(waits))
    rig.settles().fires()
    assert (rig.phase(), rig.said) == ("held", ["185m schedule start"])


def test_a_window_whose_page_cannot_be_reached_mutes_all_the_same(make: Make) -> None:
    rig = make(rule(hold="0s") + ENTRY).passes("30m")
    rig.page.down = True
    assert rig.passes("155m").fires().phase() == "held"


def test_what_a_window_kept_back_opens_once_the_page_has_refused_the_window(make: Make) -> None:
    rig = make(rule(hold="0s") + ENTRY).passes("30m")
    rig.page.down = True
    rig.passes("155m").fires()
    rig.page.down = False
    rig.page.script.append(Answer.REFUSED)
    assert rig.passes("6m").phase() == "open"
    assert rig.codes[-1] == "parked"


# -- nobody was there


def test_a_start_that_nobody_was_there_for_is_told_to_the_team(make: Make) -> None:
    rig = announced(make)
    rig.now += timedelta(minutes=98)
    rig.settles()
    (told,) = rig.notices
    assert told.code == "window_late"
    assert (
        told.text == "it was to begin at 2026-11-23 13:00:00 UTC, and begins 8 minutes late: until now nobody was there"
    )


def test_a_start_that_is_not_said_any_more_is_told_to_the_team(make: Make) -> None:
    rig = announced(make, "    missed: skip\n")
    rig.now += timedelta(minutes=98)
    assert rig.settles().codes == ["window_missed"]


@pytest.mark.parametrize(
    ("length", "end"), [("90m", "told that it is over, and no more"), ("30m", "nothing is said of it")]
)
def test_a_window_that_nobody_was_there_for_is_told_to_the_team(make: Make, length: str, end: str) -> None:
    rig = make(rule() + ENTRY).passes(length)
    rig.now += timedelta(hours=5)
    (told,) = rig.settles().notices
    assert told.code == "window_missed"
    assert told.text.endswith(end)
