"""How far posts may go is changed while an incident is open: shadow stays shadow, what is public is not forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, Rig, rule
from worker.core.model import Severity
from worker.ports import Commit

Change = Callable[[Rig, str], Rig]
SAY = "{open: It began., worsen: It got worse., improve: It got better., monitoring: Watching., resolve: It is over.}"


def by_rule(rig: Rig, publish: str) -> Rig:
    """The rule says otherwise."""
    rig.use(rule(publish=publish, say=SAY))
    return noticed(rig)


def by_page(rig: Rig, publish: str) -> Rig:
    """The page's ceiling does."""
    rig.use(rule(say=SAY), HEAD.replace("publish: auto", f"publish: {publish}"))
    return noticed(rig)


def noticed(rig: Rig) -> Rig:
    """A change is looked at when it is made."""
    rig.ledger.commit(Commit(now=rig.now, wakes=[("", "main")]))
    return rig.settles()


change = pytest.mark.parametrize("change", [by_rule, by_page])


def begun(make: Make, change: Change, publish: str) -> Rig:
    return change(make(), publish).fires("a", severity="warning").passes("5m")


@change
def test_what_was_opened_in_shadow_stays_in_shadow_to_its_end(make: Make, change: Change) -> None:
    rig = change(begun(make, change, "shadow"), "auto")
    rig.fires("b").passes("5m").clears("b").passes("5m").clears("a").passes("5m")
    assert (rig.phase(), rig.actions(), rig.page.sent, rig.codes) == ("resolved", [], [], [])
    rig.passes("1h").fires("a").passes("5m")
    assert rig.said == ["80m open open"]


def test_what_fires_again_soon_after_a_shadow_ended_is_public(make: Make) -> None:
    rig = make(rule(publish="shadow", reopen_within="1h")).fires().passes("5m").clears().passes("5m")
    rig.use(rule(reopen_within="1h"))
    assert rig.fires().passes("5m").said == ["10m open open"]


@change
def test_a_public_incident_in_shadow_is_left_alone_and_told_once(make: Make, change: Change) -> None:
    rig = begun(make, change, "auto")
    change(rig, "shadow")
    (notice,) = rig.notices
    assert (notice.code, notice.severity) == ("stays_open", Severity.ERROR)
    assert "inc-1" in notice.text
    rig.fires("b").passes("10m").clears("b").passes("10m").clears("a").passes("1h")
    assert (rig.phase(), rig.actions(), rig.said, rig.codes) == ("resolved", [], ["0m open open"], ["stays_open"])


@change
def test_a_change_that_nobody_noticed_is_told_at_the_latest_at_the_end(make: Make, change: Change) -> None:
    rig = begun(make, change, "auto")
    rig.use(rule(publish="shadow"))
    rig.clears("a", severity="warning").passes("1h")
    assert (rig.said, rig.codes) == (["0m open open"], ["stays_open"])


@change
def test_what_waits_to_be_sent_is_not_sent_in_shadow(make: Make, change: Change) -> None:
    rig = begun(make, change, "auto")
    rig.page.down = True
    rig.fires("b").passes("5m")
    assert rig.actions() == ["worsen queued"]
    rig.page.down = False
    rig.use(rule(publish="shadow"))
    rig.passes("10m")
    assert (rig.said, rig.actions(), rig.codes) == (["0m open open"], [], ["page_fails", "page_answers", "stays_open"])


@change
def test_an_end_that_waits_to_be_told_is_not_told_in_shadow(make: Make, change: Change) -> None:
    rig = begun(make, change, "auto")
    rig.page.down = True
    rig.clears("a", severity="warning").passes("5m")
    assert (rig.phase(), rig.actions()) == ("resolved", ["resolve queued"])
    rig.page.down = False
    rig.use(rule(publish="shadow"))
    rig.passes("10m")
    assert (rig.said, rig.actions(), rig.codes) == (["0m open open"], [], ["page_fails", "page_answers", "stays_open"])


@pytest.mark.parametrize("held", ["unreachable", "awaits approval", "theirs"])
def test_an_opening_that_was_never_sent_goes_on_in_shadow(make: Make, held: str) -> None:
    rig = make(rule(publish="approve" if held == "awaits approval" else "auto"))
    if held == "theirs":
        rig.page.person_opens("Ours to handle")
    rig.page.down = held == "unreachable"
    rig.fires().passes("5m")
    told = rig.codes
    by_rule(rig, "shadow")
    rig.page.down = False
    rig.passes("10m").fires("b").passes("10m")
    assert (rig.phase(), rig.actions()) == ("open", [])
    by_rule(rig, "auto")
    rig.passes("10m").clears("a", "b").passes("1h")
    assert (rig.phase(), rig.page.sent, rig.codes) == ("resolved", [], told)


def test_an_opening_that_may_be_on_the_page_is_looked_for_and_not_sent_again(make: Make) -> None:
    rig = make()
    rig.page.script.append(Answer.TAKEN)
    rig.fires()
    by_rule(rig, "shadow")
    rig.passes("10m")
    assert (rig.said, rig.episode().remote_id) == (["0m open open"], "inc-1")
    assert rig.codes == ["stays_open"]


def test_an_opening_that_is_not_found_is_held_and_told_and_never_sent_again(make: Make) -> None:
    rig = make()
    rig.page.script.append(Answer.LOST)
    rig.fires()
    by_rule(rig, "shadow")
    rig.passes("1h").clears().passes("1h")
    assert rig.said == ["0m open open"]
    assert "held" in rig.codes
    assert rig.actions() == ["open held"]


def test_what_is_public_again_is_brought_up_to_what_is_true(make: Make) -> None:
    rig = begun(make, by_rule, "auto")
    by_rule(rig, "shadow").fires("b").passes("10m")
    by_rule(rig, "auto").passes("10m")
    assert rig.said == ["0m open open", "15m update worsen"]
    by_rule(rig, "shadow")
    assert rig.codes == ["stays_open", "stays_open"], "a second change is told again"


@change
def test_new_posts_follow_the_mode_in_force_and_an_end_never_waits(make: Make, change: Change) -> None:
    rig = begun(make, change, "auto")
    change(rig, "approve").fires("b").passes("5m")
    assert rig.actions() == ["worsen awaiting_approval"]
    change(rig, "auto").clears("b").passes("5m").fires("c").passes("5m")
    assert rig.said == ["0m open open", "15m update worsen"]
    change(rig, "approve").clears("a", "c").passes("15m")
    assert rig.said[-1].endswith("resolve resolve")
    assert rig.phase() == "resolved"


def test_what_waits_for_approval_follows_the_rule_in_force(make: Make) -> None:
    rig = make().fires("a", severity="critical").fires("b", severity="warning").passes("5m")
    rig.use(rule(publish="approve", approve="{posts: [improve]}"))
    rig.clears("a").passes("5m")
    assert rig.actions() == ["improve awaiting_approval"]
