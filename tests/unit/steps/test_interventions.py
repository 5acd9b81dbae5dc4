"""What people do with what is held, parked, awaiting approval, or was taken over: through the whole pipeline."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, START, Rig, rule
from worker.core.approval import approval_hash
from worker.core.model import Action, WindowPhase
from worker.errors import CommandRefused, NotFound, ProviderUnavailable

APPROVE = {"publish": "approve"}
SLOW = "{posts: [open, worsen], deadline: 10m, on_expiry: %s}"
TWO = "{checkout: {critical: full_outage, warning: degraded_performance}, api: {critical: degraded_performance}}"


def approve(rig: Rig, action: Action | None = None, **fields: str) -> None:
    action = action or rig.head()
    rig.asks("approve", **{"action": action.id, "hash": approval_hash(action), **fields})


def told(rig: Rig, episode: str = "checkout#1") -> list[str]:
    """What was decided, and by whom."""
    story = rig.ledger.story(episode)
    assert story is not None
    return [f"{line.text} ← {line.cause}" for line in story.decisions]


class TestApprove:
    def test_what_is_approved_goes_out_once_and_bears_the_name_of_who_did(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        assert rig.actions() == ["open awaiting_approval"]
        seen = approval_hash(rig.head())
        approve(rig)
        assert rig.settles().said == ["0m open open"]
        assert f"open_incident (open) approved: sha256 {seen} ← ann (approve)" in told(rig)
        (line,) = rig.ledger.history()
        assert line.action.approved_by == "ann"

    def test_it_may_go_out_in_other_words(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        seen = approval_hash(rig.head())
        approve(rig, text="Payments fail. *We are on it.*", title="Payments")
        new = approval_hash(rig.head())
        rig.settles()
        assert (rig.page.names, rig.page.said("inc-1")) == (["Payments"], ["Payments fail. *We are on it.*"])
        assert f"open_incident (open) approved in other words than sha256 {seen}: sha256 {new} ← ann (approve)" in told(
            rig
        )
        assert rig.clears().passes("10m").said[-1].endswith("resolve resolve")

    def test_words_for_what_has_none_are_refused(self, make: Make) -> None:
        rig = make(rule(**APPROVE, components=TWO)).fires("a", severity="warning")
        approve(rig)
        rig.passes("10m").fires("b")
        with pytest.raises(CommandRefused, match="has no title to change"):
            approve(rig, title="Payments")

    def test_it_is_good_for_once(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        action = rig.head()
        approve(rig, action)
        with pytest.raises(CommandRefused, match=r"does not wait for approval: it is queued: approved by ann"):
            approve(rig, action, by="bob")
        rig.settles()
        with pytest.raises(CommandRefused, match=r"is done already"):
            approve(rig, action, by="bob")

    def test_of_64_who_approve_at_once_one_does(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        action, start = rig.head(), threading.Barrier(64)
        refused: list[CommandRefused] = []

        def approves(number: int) -> None:
            start.wait(20)
            try:
                approve(rig, action, by=f"person {number}")
            except CommandRefused as no:
                refused.append(no)

        threads = [threading.Thread(target=approves, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(refused) == 63
        assert all("approved by person" in str(no) for no in refused)
        rig.settles()
        assert len(rig.page.sent) == 1

    def test_what_was_seen_is_what_is_approved(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        with pytest.raises(CommandRefused, match="says something else than what was approved"):
            approve(rig, hash="0" * 64)
        assert rig.settles().said == []

    def test_a_replacement_voids_it_and_keeps_the_first_deadline(self, make: Make) -> None:
        rig = make(rule(**APPROVE, approve=SLOW % "hold", components=TWO)).fires("a", severity="warning")
        first = rig.head()
        assert first.deadline == START + timedelta(minutes=10)
        rig.passes("4m").fires("b")
        second = rig.head()
        assert (second.seq, second.deadline) == (2, first.deadline)
        assert approval_hash(second) != approval_hash(first)
        with pytest.raises(CommandRefused, match="is replaced already: a newer decision took its place"):
            approve(rig, first)

    def test_an_approval_does_not_outlive_what_was_approved(self, make: Make) -> None:
        rig = make(rule(**APPROVE, components=TWO)).fires("a", severity="warning")
        approve(rig)
        rig.page.down = True
        rig.settles().fires("b")
        assert rig.actions() == ["open awaiting_approval"]
        assert rig.head().approved_by == ""

    def test_everything_that_is_published_is_bound(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        action = rig.head()
        content = action.content
        others = [
            replace(action, page="other"),
            replace(action, content=replace(content, title="x")),
            replace(action, content=replace(content, message="x")),
            replace(action, content=replace(content, incident_status=None)),
            replace(action, content=replace(content, components={})),
            replace(action, content=replace(content, notify=not content.notify)),
        ]
        assert len({approval_hash(each) for each in [action, *others]}) == 7
        assert approval_hash(replace(action, reason="x", tries=3)) == approval_hash(action)

    def test_after_the_page_went_to_shadow_nobody_can_approve(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        rig.use(rule(**APPROVE), HEAD.replace("publish: auto", "publish: shadow"))
        with pytest.raises(CommandRefused, match="`publish` is `shadow` by now"):
            approve(rig)

    @pytest.mark.parametrize(
        ("on_expiry", "state", "said"),
        [("hold", "open held", []), ("publish", None, ["10m open open"]), ("drop", None, [])],
    )
    def test_nobody_approves_in_time(self, make: Make, on_expiry: str, state: str | None, said: list[str]) -> None:
        rig = make(rule(**APPROVE, approve=SLOW % on_expiry)).fires().passes("599s")
        assert rig.actions() == ["open awaiting_approval"]
        rig.passes("1h")
        assert (rig.actions(), rig.said) == ([state] if state else [], said)
        assert rig.phase() == ("dismissed" if on_expiry == "drop" else "open")
        assert any("nobody approved it until 2026-11-23 10:10 UTC" in line for line in told(rig))

    def test_what_nobody_approved_in_time_can_still_be_approved_and_not_retried(self, make: Make) -> None:
        rig = make(rule(**APPROVE, approve=SLOW % "hold")).fires().passes("1h")
        assert "held" in rig.codes
        with pytest.raises(CommandRefused, match="waits for approval: approve or dismiss it"):
            rig.asks("retry", action=rig.head().id)
        approve(rig)
        assert rig.settles().said == ["60m open open"]

    def test_a_resolve_of_what_was_published_never_waits(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        approve(rig)
        rig.settles().clears().passes("10m")
        assert rig.said[-1].endswith("resolve resolve")

    def test_a_window_is_announced_once_that_is_approved(self, make: Make) -> None:
        rig = make(ENTRY, head=HEAD.replace("publish: auto", "publish: approve")).passes("100m")
        assert rig.said == []
        (window,) = rig.ledger.windows(START)
        approve(rig, window.actions[0])
        rig.passes("4h")
        assert [line.split()[-1] for line in rig.said] == ["announce", "start", "complete"]

    @pytest.mark.parametrize("name", ["approve", "retry", "dismiss", "adopt"])
    def test_what_is_not_there_is_told(self, make: Make, name: str) -> None:
        rig = make(rule(**APPROVE)).fires()
        for what in ("checkout@main#1/9", "checkout@main#9/1", "nonsense", "/", "checkout@main#1/9/9"):
            fields = {"subject": what} if name in ("dismiss", "adopt") else {"action": what}
            more = {"hash": "0" * 64} if name == "approve" else {}
            with pytest.raises((NotFound, CommandRefused), match=r"nothing called|no action|not on the page"):
                rig.asks(name, **fields, **more)


ENTRY = """  []
maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: 2026-11-23T14:00
    timezone: Europe/Berlin
    duration: 1h
    announce: {before: 2h, text: Coming.}
    start: {text: It began.}
    complete: {text: It is over.}
"""


class TestDismiss:
    def test_an_opening_that_is_dismissed_ends_its_episode(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires()
        rig.asks("dismiss", subject=rig.head().id, reason="a false alarm")
        assert (rig.phase(), rig.actions()) == ("dismissed", [])
        rig.alerts().fires().passes("1h").clears().passes("1h")
        assert rig.said == []
        assert "open_incident (open) dismissed by ann: a false alarm ← ann (dismiss)" in told(rig)

    def test_what_fires_later_is_another_episode(self, make: Make) -> None:
        rig = make(rule(**APPROVE)).fires("a")
        rig.asks("dismiss", subject=rig.head().id)
        rig.fires("b")
        assert (rig.episode().number, rig.actions()) == (2, ["open awaiting_approval"])

    def test_an_update_that_is_dismissed_is_not_said_and_the_next_change_is(self, make: Make) -> None:
        rig = make(rule(components=TWO)).fires("a", severity="warning").passes("10m")
        rig.page.always = Answer.REFUSED
        rig.fires("b")
        assert rig.actions() == ["worsen parked"]
        rig.asks("dismiss", subject=rig.head().id)
        rig.page.always = Answer.DONE
        assert rig.passes("1h").actions() == []
        rig.clears("b").passes("1m")
        assert [line.split(maxsplit=1)[1] for line in rig.said] == ["open open", "update worsen", "update improve"]

    def test_what_waits_for_its_turn_can_be_dismissed_while_it_is_paused(self, make: Make) -> None:
        rig = make()
        rig.asks("pause")
        rig.fires()
        rig.asks("dismiss", subject=rig.head().id)
        rig.asks("resume")
        assert rig.passes("1h").said == []

    def test_a_whole_episode_that_nobody_has_seen_is_dismissed(self, make: Make) -> None:
        rig = make(rule(hold="10m")).fires()
        rig.asks("dismiss", subject="checkout@main#1", reason="we know")
        assert rig.phase() == "dismissed"
        assert rig.passes("1h").said == []
        with pytest.raises(CommandRefused, match="checkout@main#1 is dismissed already"):
            rig.asks("dismiss", subject="checkout@main#1")

    def test_what_is_public_is_not_dismissed(self, make: Make) -> None:
        rig = make().fires()
        with pytest.raises(CommandRefused, match="is on the page already: end it there"):
            rig.asks("dismiss", subject="checkout@main#1")

    def test_what_may_be_on_the_page_is_not_dismissed_until_that_is_known(self, make: Make) -> None:
        rig = make()
        rig.page.always = Answer.LOST
        rig.fires()
        assert rig.actions() == ["open unknown"]
        for subject in ("checkout@main#1/1", "checkout@main#1"):
            with pytest.raises(CommandRefused, match="once that is known"):
                rig.asks("dismiss", subject=subject)

    def test_a_relayed_text_that_is_dismissed_lets_the_next_one_pass(self, make: Make) -> None:
        rig = make(RELAY).words({"w": 1, "key": "1", "status": "firing", "message": "One."}).settles()
        rig.page.script.append(Answer.REFUSED)
        rig.words({"w": 2, "key": "1", "status": "firing", "message": "Two."}).settles()
        rig.asks("dismiss", subject=rig.head("inc").id)
        assert rig.actions("inc") == []
        rig.words({"w": 3, "key": "1", "status": "firing", "message": "Three."}).settles()
        assert rig.page.said("inc-1") == ["One.", "Three."]

    def test_a_window_whose_announcement_is_dismissed_is_off(self, make: Make) -> None:
        rig = make(ENTRY, head=HEAD.replace("publish: auto", "publish: approve")).passes("100m")
        (window,) = rig.ledger.windows(START)
        rig.asks("dismiss", subject=window.actions[0].id)
        (window,) = rig.ledger.windows(START)
        assert window.phase is WindowPhase.CANCELLED
        assert rig.passes("6h").said == []


RELAY = """  - id: inc
    source: words
    group_by: []
    vars: {message: event.message}
    relay:
      page: main
      title: Trouble
      components: {checkout: partial_outage}
      status: {Investigating: investigating}
      resolve_on: [closed]
      text: "{{ message }}"
      resolve: Over.
"""


class TestRetry:
    def test_what_the_page_refused_goes_out_when_somebody_has_mended_it(self, make: Make) -> None:
        rig = make()
        rig.page.script.append(Answer.REFUSED)
        rig.fires().passes("1h")
        assert rig.actions() == ["open parked"]
        rig.asks("retry", action=rig.head().id)
        assert rig.settles().said[-1] == "60m open open"
        assert rig.page.names == ["Checkout problems"]

    def test_behind_somebody_elses_incident_it_opens_anyway(self, make: Make) -> None:
        rig = make()
        rig.page.person_opens("Theirs")
        rig.fires()
        assert rig.actions() == ["open held"]
        rig.asks("retry", action=rig.head().id)
        rig.settles()
        assert rig.page.names == ["Theirs", "Checkout problems"]

    def test_that_holds_for_what_takes_its_place_too(self, make: Make) -> None:
        rig = make(rule(components=TWO))
        rig.page.person_opens("Theirs")
        rig.fires("a", severity="warning")
        rig.asks("pause")
        rig.asks("retry", action=rig.head().id)
        rig.fires("b")
        assert rig.head().seq == 2
        rig.asks("resume")
        rig.settles()
        assert rig.page.names == ["Theirs", "Checkout problems"]

    def test_an_update_that_was_not_found_twice_is_looked_for_and_sent_once_more(self, make: Make) -> None:
        rig = self.held_update(make)
        rig.asks("retry", action=rig.head().id)
        rig.settles()
        assert rig.page.said("inc-1") == ["It began.", "It got worse."]
        assert len(rig.page.sent) == 4

    def test_an_update_that_came_late_is_found_and_not_sent_again(self, make: Make) -> None:
        rig = self.held_update(make, Answer.LATE)
        rig.page.arrive()
        rig.asks("retry", action=rig.head().id)
        rig.settles()
        assert len(rig.page.sent) == 3
        assert rig.actions() == []

    def held_update(self, make: Make, last: Answer = Answer.LOST) -> Rig:
        rig = make(rule(components=TWO)).fires("a", severity="warning").passes("10m")
        rig.page.script.extend([Answer.LOST, last])
        rig.fires("b").passes("10m")
        assert rig.actions() == ["worsen held"]
        assert len(rig.page.sent) == 3
        return rig

    def test_an_opening_that_brought_an_old_incident_back_gets_a_new_key(self, make: Make) -> None:
        rig = make()
        rig.page.script.append(Answer.TAKEN)
        rig.fires()
        rig.page.person_resolves("inc-1")
        rig.passes("10m")
        assert rig.actions() == ["open held"]
        rig.asks("retry", action=rig.head().id)
        rig.settles()
        assert rig.page.names == ["Checkout problems", "Checkout problems"]
        assert rig.episode().remote_id == "inc-4"

    def test_what_was_refused_after_a_send_that_nobody_knows_of_keeps_its_key(self, make: Make) -> None:
        rig = make()
        rig.page.script.extend([Answer.LATE, Answer.REFUSED])
        rig.fires().passes("1m")
        assert rig.actions() == ["open parked"]
        rig.page.arrive()
        rig.asks("retry", action=rig.head().id)
        rig.settles()
        assert rig.page.names == ["Checkout problems"]
        assert rig.actions() == []

    def test_what_needs_no_help_is_told(self, make: Make) -> None:
        rig = make()
        rig.asks("pause")
        rig.fires()
        with pytest.raises(CommandRefused, match="is queued: it needs no help"):
            rig.asks("retry", action=rig.head().id)

    def test_what_a_person_has_taken_over_is_given_back_first(self, make: Make) -> None:
        rig = taken_over(make)
        with pytest.raises(CommandRefused, match="`adopt` gives it back"):
            rig.asks("retry", action=rig.head().id)

    def test_nothing_is_opened_for_an_episode_that_is_over(self, make: Make) -> None:
        rig = make()
        rig.page.script.append(Answer.TAKEN)
        rig.fires()
        rig.page.person_resolves("inc-1")
        rig.passes("10m").clears().passes("10m")
        assert rig.actions() == ["open held"]
        with pytest.raises(CommandRefused, match="nobody would end what this begins; dismiss it"):
            rig.asks("retry", action=rig.head().id)
        rig.asks("dismiss", subject=rig.head().id)
        assert rig.actions() == []


def taken_over(make: Make) -> Rig:
    """An update is held, because a person has posted."""
    rig = make(rule(components=TWO)).fires("a", severity="warning").passes("10m")
    rig.page.person_posts("inc-1")
    rig.fires("b")
    assert rig.episode().hands_off
    assert rig.actions() == ["worsen held"]
    return rig


class TestAdopt:
    def test_what_is_given_back_goes_on_from_what_the_page_shows(self, make: Make) -> None:
        rig = taken_over(make)
        assert (
            rig.asks("adopt", subject="checkout@main#1").said[0] == "given back: the page says identified, in 2 posts"
        )
        rig.settles().clears("a", "b").passes("1h")
        assert rig.page.said("inc-1") == ["It began.", "We are people.", "It got worse.", "It is over."]
        assert not rig.episode().hands_off

    def test_whoever_posts_afterwards_takes_over_again(self, make: Make) -> None:
        rig = taken_over(make)
        rig.asks("adopt", subject="checkout@main#1")
        rig.page.person_posts("inc-1", "Once more.")
        rig.settles()
        assert rig.episode().hands_off

    def test_what_was_over_meanwhile_is_resolved(self, make: Make) -> None:
        rig = taken_over(make).clears("a", "b").passes("1h")
        assert rig.phase() == "resolved"
        assert rig.page.incidents["inc-1"].status == "identified"
        rig.asks("adopt", subject="checkout@main#1")
        rig.settles()
        assert rig.page.said("inc-1")[-1] == "It is over."
        assert rig.phase() == "resolved"
        assert rig.actions() == []

    def test_what_a_person_resolved_although_it_goes_on_is_reopened(self, make: Make) -> None:
        rig = make().fires().passes("10m")
        rig.page.person_resolves("inc-1")
        rig.passes("1m").looks()
        assert rig.episode().hands_off
        rig.asks("adopt", subject="checkout@main#1")
        rig.settles()
        assert rig.page.incidents["inc-1"].status == "investigating"

    def test_what_a_person_has_ended_is_not_ended_again(self, make: Make) -> None:
        rig = make().fires().passes("10m")
        rig.page.person_resolves("inc-1")
        rig.clears().passes("1h")
        assert rig.actions() == ["resolve held"]
        rig.asks("adopt", subject="checkout@main#1")
        rig.passes("1h")
        assert "It is over." not in rig.page.said("inc-1")
        assert rig.actions() == []

    def test_what_is_nobody_elses_is_not_given_back(self, make: Make) -> None:
        rig = make().fires()
        with pytest.raises(CommandRefused, match="is the worker's already"):
            rig.asks("adopt", subject="checkout@main#1")

    def test_what_is_not_on_the_page_is_not_given_back(self, make: Make) -> None:
        rig = make(rule(hold="10m")).fires()
        with pytest.raises(CommandRefused, match="is not on the page"):
            rig.asks("adopt", subject="checkout@main#1")

    def test_what_was_deleted_there_is_not_given_back(self, make: Make) -> None:
        rig = taken_over(make)
        del rig.page.incidents["inc-1"]
        with pytest.raises(CommandRefused, match="the page has no object of checkout@main#1 any more"):
            rig.asks("adopt", subject="checkout@main#1")

    def test_a_page_that_cannot_be_read_gives_nothing_back(self, make: Make) -> None:
        rig = taken_over(make)
        rig.page.down = True
        with pytest.raises(ProviderUnavailable):
            rig.asks("adopt", subject="checkout@main#1")
        assert rig.episode().hands_off

    def test_a_window_is_given_back(self, make: Make) -> None:
        rig = make(ENTRY).passes("100m")
        rig.page.person_posts("inc-1", "We are people.", "maintenance_scheduled")
        rig.passes("90m")
        (window,) = rig.ledger.windows(START)
        assert window.hands_off
        rig.asks("adopt", subject=window.id)
        rig.passes("4h")
        assert rig.page.said("inc-1") == ["Coming.", "We are people.", "It began.", "It is over."]

    def test_a_window_that_the_page_moves_by_itself_is_not(self, make: Make) -> None:
        rig = make(ENTRY).passes("100m")
        (window,) = rig.ledger.windows(START)
        times = [at.isoformat() for at in (window.starts_at, window.ends_at)]
        rig.page._timed("inc-1", times, automate=True)
        rig.passes("90m")
        with pytest.raises(CommandRefused, match="switch its automation off first"):
            rig.asks("adopt", subject=window.id)
        rig.page._timed("inc-1", times, automate=False)
        rig.asks("adopt", subject=window.id)
        rig.looks().passes("4h").looks()
        assert rig.page.said("inc-1")[-1] == "It is over."
