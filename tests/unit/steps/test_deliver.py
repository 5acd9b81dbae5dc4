"""Every write is written down first, sent as it stands there, and never guessed about: effectively once."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.fakes.provider import Answer, FakePage, dies
from tests.unit.steps.rig import SETTLE, START, Rig, alert, rule
from worker.bootstrap.evenness import Evenness
from worker.core.model import Action, ActionKind, Outcome, Request, Result
from worker.errors import Conflict, LedgerUnavailable, ProviderUnavailable
from worker.ports import DEADLINE, Channel, Commit
from worker.steps._look import BETWEEN_READS
from worker.steps.deliver import LEASE

Make = Callable[..., Rig]

UNKNOWN = (Answer.LOST, Answer.TAKEN)
LATE_ENOUGH = DEADLINE + SETTLE


def opened(make: Make, **incident: str) -> Rig:
    """A pipeline whose incident is open on the page since a while."""
    return make(rule(**incident)).fires("a", severity="warning").passes("5m")


def worsens(rig: Rig, *script: Answer) -> Rig:
    """The incident gets worse; its update meets the next answers of the page."""
    rig.page.script.extend(script)
    died = dies(lambda: rig.fires("b", severity="critical"))
    assert died == any(answer in (Answer.CRASH, Answer.CRASH_LOST) for answer in script[:1])
    return rig


def updates(rig: Rig) -> list[tuple[float, str]]:
    """Every update that left: seconds since the start, and its message."""
    return [
        ((sent.at - START).total_seconds(), sent.action.content.message)
        for sent in rig.page.sent
        if sent.action.kind is ActionKind.UPDATE_INCIDENT
    ]


# -- write ahead


def test_the_exact_bytes_are_on_disk_before_the_first_one_leaves(make: Make) -> None:
    rig = make()
    seen: list[str] = []

    def look(action: Action, request: Request) -> None:
        attempt = rig.ledger.attempts(action.id)[-1]
        assert attempt.body == request.body
        assert attempt.sha256 == hashlib.sha256(request.body).hexdigest()
        assert (attempt.method, attempt.target) == (request.method, request.target)
        assert attempt.result is None
        assert attempt.started_at == rig.now
        assert (rig.head().id, rig.head().state, rig.head().sends) == (action.id, "sending", 1)
        seen.append(action.post)

    rig.page.watch = look
    rig.fires("a", severity="warning").passes("5m").fires("b").passes("5m").clears("a", "b").passes("5m")
    assert seen == ["open", "worsen", "resolve"]


def test_nothing_is_sent_where_the_intention_cannot_be_written_down(make: Make) -> None:
    rig = make()

    def gone(commit: Commit) -> None:
        if commit.attempts:
            raise LedgerUnavailable("disk is full")

    rig.committer.before = gone
    rig.alerts(alert()).reacts()
    with pytest.raises(LedgerUnavailable):
        rig.deliver_step.run_once()
    assert rig.page.sent == []


def test_an_update_keeps_which_posts_were_there_before_it(make: Make) -> None:
    rig = opened(make).fires("b").passes("5m").clears("b").passes("5m")
    posts = [update.id for update in rig.page.incidents["inc-1"].updates]
    ids = [sent.action.id for sent in rig.page.sent]
    assert [rig.ledger.attempts(each)[0].baseline for each in ids] == [(), tuple(posts[:1]), tuple(posts[:2])]


def test_the_outcome_stands_beside_the_attempt(make: Make) -> None:
    rig = opened(make)
    (attempt,) = rig.ledger.attempts("checkout@main#1/1")
    assert (attempt.result, attempt.finished_at) == (Result.DONE, START)
    assert rig.ledger.own_updates("inc-1") == {"up-2"}


# -- creates of which nothing is known


@pytest.mark.parametrize("lost", [Answer.LOST, Answer.CRASH_LOST])
def test_a_create_of_which_nothing_is_known_is_sent_again_with_the_same_key_and_bytes(make: Make, lost: Answer) -> None:
    rig = make()
    rig.page.script.append(lost)
    assert dies(rig.alerts(alert()).settles) == (lost is Answer.CRASH_LOST)

    def never(action: Action, directory: object) -> Request:
        raise AssertionError("the bytes are those that were written down, not built anew")

    rig.page.request = never  # type: ignore[method-assign]
    rig.fires("b", severity="warning").passes("5m")
    first, second = rig.page.sent[:2]
    assert first.request == second.request
    assert json.loads(first.request.body)["key"] == json.loads(second.request.body)["key"] != ""
    assert rig.page.names == ["Checkout problems"]
    assert rig.phase() == "open"
    assert rig.episode().remote_id == "inc-1"


@pytest.mark.parametrize("taken", [Answer.TAKEN, Answer.CRASH])
def test_a_create_that_arrived_is_found_and_not_sent_again(make: Make, taken: Answer) -> None:
    rig = make()
    rig.page.script.append(taken)
    assert dies(rig.alerts(alert()).settles) == (taken is Answer.CRASH)
    rig.passes("10m")
    assert rig.said == ["0m open open"]
    assert rig.episode().remote_id == "inc-1"
    attempts = rig.ledger.attempts("checkout@main#1/1")
    assert [attempt.result for attempt in attempts] == [Result.DONE]


def test_a_create_whose_words_bear_other_line_ends_and_blanks_is_still_found(make: Make) -> None:
    rig = make(rule(title='"Cafe\\u0301 is down"', say='{open: "One.\\r\\nTwo. ", resolve: x}'))
    rig.page.script.append(Answer.TAKEN)
    rig.fires()
    shown = rig.page.incidents["inc-1"]
    tidy = {"message": "One.\nTwo.", "id": shown.updates[0].id, "status": "investigating"}
    rig.page.incidents["inc-1"] = type(shown)(
        id="inc-1", name="Caf\u00e9 is down", status="investigating", updates=(type(shown.updates[0])(**tidy),)
    )
    rig.passes("1m")
    assert len(rig.page.sent) == 1


def test_a_create_is_tried_ever_more_rarely_and_for_ever(make: Make) -> None:
    rig = make()
    rig.page.always = Answer.LOST
    rig.fires().passes("2h")
    times = [sent.at for sent in rig.page.sent]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[0] >= timedelta(seconds=2)
    assert all(timedelta(minutes=1) <= gap <= timedelta(minutes=2) for gap in gaps[-5:])
    assert len({sent.request.body for sent in rig.page.sent}) == 1
    rig.page.always = Answer.DONE
    assert rig.passes("10m").phase() == "open"


def test_a_backfill_of_which_nothing_is_known_is_sent_again_with_the_same_key_and_bytes(make: Make) -> None:
    rig = make(rule(hold="5m", too_short="backfill")).fires().passes("1m")
    rig.page.script.append(Answer.LOST)
    rig.clears().passes("5m")
    assert [sent.action.post for sent in rig.page.sent] == ["backfill"] * 2
    assert rig.page.sent[0].request == rig.page.sent[1].request
    assert len(rig.page.incidents) == 1


# -- updates of which nothing is known


@pytest.mark.parametrize("taken", [Answer.TAKEN, Answer.CRASH])
def test_an_update_that_arrived_is_found_and_not_sent_again(make: Make, taken: Answer) -> None:
    rig = worsens(opened(make), taken).passes("30m")
    assert [message for _, message in updates(rig)] == ["It got worse."]
    assert rig.actions() == []
    assert rig.page.incidents["inc-1"].updates[-1].id in rig.ledger.own_updates("inc-1")
    assert rig.ledger.attempts("checkout@main#1/2")[0].result is Result.DONE


@pytest.mark.parametrize("lost", [Answer.LOST, Answer.CRASH_LOST])
def test_an_update_is_sent_once_more_only_after_its_absence_is_proven(make: Make, lost: Answer) -> None:
    rig = worsens(opened(make), lost)
    reads: list[float] = []
    show = rig.page.show

    def watched(remote_id: str, kind: ActionKind) -> object:
        reads.append((rig.now - START).total_seconds())
        return show(remote_id, kind)

    rig.page.show = watched  # type: ignore[method-assign, assignment]
    rig.passes("30m")
    (first, _), (second, _) = updates(rig)
    believable = first + LATE_ENOUGH.total_seconds()
    late = [at for at in reads if believable <= at < second] or [at for at in reads if believable <= at <= second]
    assert second - late[0] >= BETWEEN_READS.total_seconds()
    assert len([at for at in reads if believable <= at <= second]) >= 2
    assert second - first <= LATE_ENOUGH.total_seconds() + 60, "and without needless delay"
    assert rig.page.said("inc-1") == ["It began.", "It got worse."]
    assert rig.ledger.attempts("checkout@main#1/2")[0].result is Result.ABSENT
    assert rig.codes == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_proves_no_absence(make: Make, hours: int) -> None:
    rig = worsens(opened(make), Answer.LATE).passes("1m")
    rig.now = since = rig.now + timedelta(hours=hours)
    rig.even_since = lambda: since
    for _ in range(20):
        rig.now += timedelta(seconds=5)
        rig.settles()
    rig.page.arrive()
    rig.passes("2h")
    assert rig.page.said("inc-1") == ["It began.", "It got worse."]


def test_a_clock_that_was_set_and_is_set_back_during_a_write_proves_no_absence(make: Make) -> None:
    rig, wrong = opened(make).passes("2h"), timedelta()
    rig.even_since = Evenness(rig.clock, lambda: (rig.now - wrong).timestamp())
    rig.now, wrong = rig.now - timedelta(hours=1), timedelta(hours=-1)

    def mended(point: str) -> None:
        nonlocal wrong
        if point == "before_intent" and wrong:
            rig.now, wrong = rig.now + timedelta(hours=1), timedelta()

    rig.checkpoint = mended
    worsens(rig, Answer.LATE)
    for _ in range(20):
        rig.now += timedelta(seconds=5)
        rig.settles()
    rig.page.arrive()
    rig.passes("2h")
    assert rig.page.said("inc-1") == ["It began.", "It got worse."]


def test_an_update_that_arrives_just_before_it_would_be_given_up_is_not_sent_again(make: Make) -> None:
    rig = worsens(opened(make), Answer.LATE).passes(LATE_ENOUGH - timedelta(seconds=1))
    rig.page.arrive()
    rig.passes("30m")
    assert len(updates(rig)) == 1
    assert rig.page.said("inc-1") == ["It began.", "It got worse."]


def test_a_read_that_fails_proves_nothing(make: Make) -> None:
    rig = worsens(opened(make), Answer.LOST)
    rig.page.down = True
    rig.passes("20m")
    rig.page.down = False
    (sent, _), *_ = updates(rig)
    assert len(updates(rig)) == 1
    back = (rig.now - START).total_seconds()
    rig.passes("10m")
    (_, _), (again, _) = updates(rig)
    assert again >= back + BETWEEN_READS.total_seconds()
    assert sent < back


def test_an_update_is_sent_twice_at_most_and_then_held_with_a_notice(make: Make) -> None:
    rig = opened(make)
    rig.page.always = Answer.LOST
    rig.fires("b", severity="critical").passes("5h")
    assert len(updates(rig)) == 2
    assert rig.actions() == ["worsen held"]
    assert rig.codes == ["held"]


def test_a_resolve_of_which_nothing_is_known_goes_the_same_way(make: Make) -> None:
    rig = opened(make)
    rig.page.script.append(Answer.LOST)
    rig.clears("a", severity="warning").passes("30m")
    assert rig.page.said("inc-1") == ["It began.", "It is over."]
    assert [sent.action.post for sent in rig.page.sent] == ["open", "resolve", "resolve"]
    assert rig.actions() == []


def test_an_earlier_post_with_the_same_words_is_not_taken_for_the_lost_one(make: Make) -> None:
    rig = opened(make, say="{open: Same., worsen: Same., improve: Same., resolve: Over.}")
    worsens(rig, Answer.LOST).passes("30m")
    assert len(updates(rig)) == 2
    assert rig.page.said("inc-1") == ["Same.", "Same."]


def test_nothing_newer_passes_an_update_of_which_nothing_is_known(make: Make) -> None:
    rig = worsens(opened(make), Answer.LOST)
    rig.passes("1m").clears("a", "b").passes("1m")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "worsen"]
    rig.passes("30m")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "worsen", "resolve"], "proven absent, then replaced"
    assert rig.page.sent[2].at - rig.page.sent[1].at >= LATE_ENOUGH
    assert rig.phase() == "resolved"


# -- people


def test_a_post_of_a_person_in_the_place_of_ours_is_hands_off(make: Make) -> None:
    rig = worsens(opened(make), Answer.LOST)
    rig.page.person_posts("inc-1")
    assert rig.passes("1m").episode().hands_off, "and not only once ours is proven absent"
    rig.passes("1h").fires("c").passes("1h")
    assert len(updates(rig)) == 1
    assert rig.actions() == ["worsen held"]
    assert rig.episode().hands_off
    assert rig.codes == ["held"]
    rig.clears("a", "b", "c").passes("1h")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "worsen"]
    assert rig.codes == ["held", "resolve_by_hand"]


def test_a_post_of_a_person_beside_ours_that_arrived_is_no_doubt_about_ours(make: Make) -> None:
    rig = worsens(opened(make), Answer.TAKEN)
    rig.page.person_posts("inc-1")
    rig.passes("1m")
    assert rig.actions() == []
    assert rig.ledger.attempts("checkout@main#1/2")[0].result is Result.DONE


def test_no_verdict_about_people_while_an_attempt_of_ours_may_still_arrive(make: Make) -> None:
    rig = worsens(opened(make), Answer.LATE)
    rig.page.arrive()
    rig.page.person_posts("inc-1")
    rig.passes("30m")
    assert not [code for code in rig.codes if code == "held"]


@pytest.mark.parametrize("status", ["identified", "resolved"])
def test_a_post_of_a_person_between_two_of_ours_is_hands_off(make: Make, status: str) -> None:
    rig = opened(make)
    rig.page.person_posts("inc-1", status=status)
    rig.fires("b").passes("1h")
    assert updates(rig) == []
    assert rig.actions() == ["worsen held"]
    assert rig.episode().hands_off
    assert rig.codes == ["held"]


def test_an_incident_that_a_person_resolved_is_not_resolved_again(make: Make) -> None:
    rig = opened(make)
    rig.page.person_resolves("inc-1")
    rig.clears("a", severity="warning").passes("1h")
    assert [sent.action.post for sent in rig.page.sent] == ["open"]
    assert "held" in rig.codes


# -- incidents of our own


def test_incidents_of_our_own_stand_in_nobodys_way(make: Make) -> None:
    rig = make(rule("checkout") + rule("second", match="{labels.service: second}"))
    rig.fires("a").passes("5m").fires("s", service="second")
    assert rig.page.names == ["Checkout problems", "Second problems"]


def test_an_incident_of_our_own_of_which_nothing_is_known_yet_stands_in_nobodys_way(make: Make) -> None:
    rig = make(rule("checkout") + rule("second", match="{labels.service: second}"))
    rig.page.script.append(Answer.TAKEN)
    rig.fires("a").fires("s", service="second")
    assert rig.page.names == ["Checkout problems", "Second problems"]
    assert rig.codes == []


@pytest.mark.parametrize("answer", [Answer.DONE, *UNKNOWN])
def test_two_groups_with_the_same_words_are_two_incidents(make: Make, answer: Answer) -> None:
    rig = make(rule(more="group_by: [region]\n"))
    rig.page.script.append(answer)
    rig.fires("e", region="eu").fires("u", region="us").passes("10m")
    assert len(rig.page.incidents) == 2
    assert rig.episode(region="eu").remote_id != rig.episode(region="us").remote_id
    rig.clears("e", region="eu").passes("5m")
    assert sorted(incident.status for incident in rig.page.incidents.values()) == ["investigating", "resolved"]
    assert rig.page.incidents[rig.episode(region="us").remote_id].status == "investigating"


# -- the ledger is lost


def test_after_the_loss_of_the_ledger_an_open_incident_is_bound_and_not_doubled(make: Make) -> None:
    before = opened(make)
    after = make(page=before.page)
    after.now = before.now
    after.fires("a", severity="warning", started_at="").passes("1m")
    assert len(before.page.incidents) == 1
    assert after.episode().remote_id == "inc-1"
    after.passes("5m").clears("a", severity="warning").passes("5m")
    assert before.page.incidents["inc-1"].status == "resolved"


def test_after_the_loss_of_the_ledger_an_incident_with_many_posts_is_bound_and_followed(make: Make) -> None:
    before = opened(make).fires("b").passes("5m")
    after = make(page=before.page)
    after.now = before.now
    after.fires("a", severity="warning").passes("5m").fires("c", severity="critical").passes("5m")
    assert len(before.page.incidents) == 1
    assert before.page.said("inc-1")[-1] == "It got worse."
    assert not after.episode().hands_off


def test_after_the_loss_of_the_ledger_a_used_key_brings_no_resolved_incident_back_silently(make: Make) -> None:
    before = opened(make)
    before.page.person_resolves("inc-1")
    after = make(page=before.page)
    after.now = before.now
    after.alerts(alert("a", "warning", started=START)).settles().passes("5m")
    assert after.actions() == ["open held"]
    assert after.codes == ["held"]


def test_a_create_that_is_sent_again_and_brings_a_resolved_incident_back_is_held(make: Make) -> None:
    rig = make()
    rig.page.script.append(Answer.TAKEN)
    rig.alerts(alert()).settles()
    rig.page.person_resolves("inc-1")
    rig.passes("10m")
    assert rig.actions() == ["open held"]
    assert rig.codes == ["held"]


# -- not sent, refused, denied


def test_what_was_not_sent_is_sent_when_the_page_asks_for_it_and_not_before(make: Make) -> None:
    rig = make()
    rig.page.script.append(Answer.NOT_SENT)
    rig.page.retry_at = timedelta(minutes=4)
    rig.fires().passes("30m")
    first, second = (sent.at for sent in rig.page.sent)
    assert timedelta(minutes=4) <= second - first <= timedelta(minutes=4, seconds=30)


def test_a_newer_decision_does_not_undercut_the_wait_that_the_page_asked_for(make: Make) -> None:
    rig = opened(make)
    rig.page.retry_at = timedelta(minutes=4)
    worsens(rig, Answer.NOT_SENT)
    asked = rig.now + timedelta(minutes=4)
    rig.passes("10s").clears("a", "b").passes("1h")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "worsen", "resolve"]
    assert asked <= rig.page.sent[-1].at <= asked + timedelta(minutes=1)


def test_a_worse_open_does_not_undercut_the_wait_that_the_page_asked_for(make: Make) -> None:
    rig = make()
    rig.page.retry_at = timedelta(minutes=4)
    rig.page.script.append(Answer.NOT_SENT)
    rig.fires("a", severity="warning").passes("10s").fires("b", severity="critical").passes("1h")
    assert [sent.action.post for sent in rig.page.sent] == ["open", "open"]
    assert rig.page.sent[-1].at >= START + timedelta(minutes=4)


def test_an_attempt_that_was_not_sent_does_not_count_as_sent(make: Make) -> None:
    rig = worsens(opened(make), *[Answer.NOT_SENT] * 4, Answer.LOST).passes("30m")
    assert [a.result for a in rig.ledger.attempts("checkout@main#1/2")] == [
        *[Result.NOT_SENT] * 4,
        Result.ABSENT,
        Result.DONE,
    ]


def test_what_the_page_refuses_is_parked_told_and_never_repeated(make: Make) -> None:
    rig = worsens(opened(make), Answer.REFUSED).passes("5h")
    assert len(updates(rig)) == 1
    assert rig.actions() == ["worsen parked"]
    assert rig.codes == ["parked"]


def test_an_object_that_the_page_has_no_more_is_parked_without_a_write(make: Make) -> None:
    rig = opened(make)
    del rig.page.incidents["inc-1"]
    rig.fires("b").passes("1h")
    assert updates(rig) == []
    assert rig.actions() == ["worsen parked"]


def test_an_object_that_vanishes_while_nothing_is_known_is_parked(make: Make) -> None:
    rig = worsens(opened(make), Answer.LOST)
    del rig.page.incidents["inc-1"]
    assert rig.passes("1h").actions() == ["worsen parked"]


def test_a_component_that_the_page_has_no_more_parks_the_write(make: Make) -> None:
    rig = make(rule(components='{from: "event.labels.part", status: {critical: full_outage}}'))
    rig.fires("a", part="nowhere").passes("1h")
    assert rig.page.sent == []
    assert rig.actions() == ["open parked"]
    assert rig.codes == ["parked"]


@pytest.mark.parametrize("first", [[], [Answer.NOT_SENT]], ids=["at once", "after it could not be reached"])
def test_a_key_that_is_denied_keeps_the_action_and_tells_once(make: Make, first: list[Answer]) -> None:
    rig = make()
    rig.page.script.extend([*first, *[Answer.DENIED] * 5])
    rig.fires().passes("30m")
    assert rig.codes == ["page_denies", "page_answers"]
    assert rig.phase() == "open"
    assert rig.page.names == ["Checkout problems"]
    denied = [sent.at for sent in rig.page.sent[len(first) :]]
    assert all(after - before >= timedelta(minutes=1) for before, after in pairwise(denied))


def test_a_page_that_was_unreachable_for_an_hour_gets_one_truthful_update(make: Make) -> None:
    rig = opened(make, min_gap="0s")
    rig.page.down = True
    for n in range(6):
        rig.fires(f"x{n}").passes("3m").clears(f"x{n}").passes("3m").fires(f"y{n}").passes("4m")
    rig.page.down = False
    rig.passes("5m")
    assert [message for _, message in updates(rig)] == ["It got worse."]
    assert rig.episode().known is not None
    assert dict(rig.episode().known.components) == {"checkout": "full_outage"}  # type: ignore[union-attr]
    assert rig.meter.counted["page_reads_failed:main"] > 10


def test_a_page_that_cannot_be_read_is_asked_ever_more_rarely_but_every_minute(make: Make) -> None:
    rig = make()
    rig.page.down = True
    rig.fires().passes("1m")
    assert 6 <= rig.page.reads <= 15
    rig.passes("1h")
    before = rig.page.reads
    rig.passes("10m")
    assert 8 <= rig.page.reads - before <= 11
    rig.page.down = False
    assert rig.passes("75s").page.names == ["Checkout problems"]


def test_an_outage_that_the_page_never_heard_of_is_not_told_when_it_is_over(make: Make) -> None:
    rig = make()
    rig.page.down = True
    rig.fires().passes("10m").clears().passes("10m")
    rig.page.down = False
    assert rig.passes("1h").page.sent == []
    assert rig.phase() == "dismissed"


# -- order


def test_a_page_without_a_channel_is_left_alone(make: Make) -> None:
    rig = make(rule(page="other")).fires().passes("1h")
    assert rig.page.sent == []
    assert rig.actions(page="other") == ["open queued"]


def test_shadow_and_approval_never_reach_the_page(make: Make) -> None:
    rig = make(rule(publish="shadow") + rule("asked", match="{labels.service: checkout}", publish="approve"))
    rig.fires().passes("1h").clears().passes("1h")
    assert rig.page.sent == []
    assert rig.page.reads == 0


@pytest.mark.timeout(60)
def test_four_threads_keep_one_write_an_episode_and_four_in_all(make: Make) -> None:
    rig = make(rule(more="group_by: [region]\n", min_gap="0s", quiet="0s"))
    together = threading.Barrier(2, timeout=0.02)

    def meet(action: Action, request: Request) -> None:
        try:
            together.wait()
        except threading.BrokenBarrierError:
            together.reset()

    rig.page.watch = meet
    regions = [f"r{n}" for n in range(8)]
    names = {region: (f"{region}-a", f"{region}-b") for region in regions}
    rig.alerts(*(alert(names[r][0], "warning", region=r) for r in regions)).reacts()
    in_threads(rig)
    rig.alerts(*(alert(names[r][1], "critical", region=r) for r in regions)).reacts()
    in_threads(rig)
    rig.alerts(*(alert(name, status="resolved", region=r, ended=rig.now) for r in regions for name in names[r]))
    rig.reacts()
    in_threads(rig)
    assert set(rig.page.most_in_flight.values()) == {1}
    assert 1 < rig.page.most_at_once <= 4
    assert len(rig.page.incidents) == len(regions)
    said = ["It began.", "It got worse.", "It is over."]
    assert all(rig.page.said(incident) == said for incident in rig.page.incidents)


def in_threads(rig: Rig, count: int = 4) -> None:
    """Deliver in threads until there is nothing to do."""
    faults: list[BaseException] = []

    def work() -> None:
        try:
            while rig.deliver_step.run_once():
                pass
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    rig.delivers()


# -- somebody else is faster


def test_words_that_a_newer_decision_replaced_at_the_last_moment_never_leave(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a", "warning")).reacts()
    worse: list[int] = []

    def newer(point: str) -> None:
        if point == "before_intent" and not worse:
            worse.append(1)
            rig.alerts(alert("b", "critical")).reacts()

    rig.checkpoint = newer
    rig.settles()
    assert len(rig.page.sent) == 1
    assert dict(rig.page.sent[0].action.content.components) == {"checkout": "full_outage"}


def test_a_worker_that_stood_still_before_it_began_is_not_disturbed_while_it_sends(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a")).reacts()
    others: list[bool] = []

    def stall(point: str) -> None:
        if point == "claimed":
            rig.now += LEASE
        if point == "after_intent" and not others:
            others.append(True)
            others.append(rig.deliver_step.run_once())

    rig.checkpoint = stall
    rig.deliver_step.run_once()
    assert others == [True, False]
    assert len(rig.page.sent) == 1


@pytest.mark.parametrize("where", ["claimed", "before_intent"])
def test_a_write_that_another_worker_began_meanwhile_is_neither_begun_again_nor_taken_from_it(
    make: Make, where: str
) -> None:
    rig = make()
    rig.alerts(alert("a")).reacts()
    stalled: list[int] = []

    def stall(point: str) -> None:
        if point == where and not stalled:
            stalled.append(1)
            rig.now += LEASE
            rig.page.script.append(Answer.CRASH_LOST)
            assert dies(rig.deliver_step.run_once)

    rig.checkpoint = stall
    rig.deliver_step.run_once()
    assert len(rig.page.sent) == 1
    assert rig.deliver_step.run_once() is False, "the other one still holds it"
    rig.passes(LEASE)
    assert rig.page.names == ["Checkout problems"]


def test_a_write_that_met_a_conflict_is_tried_again_at_once(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a")).reacts()
    changed: list[int] = []

    def change(point: str) -> None:
        if point == "before_intent" and not changed:
            changed.append(1)
            rig.ledger.commit(Commit(now=rig.now, episodes=[replace(rig.episode(), told_max_open=True)]))

    rig.checkpoint = change
    rig.settles()
    assert rig.said == ["0m open open"]
    assert rig.actions() == []


def test_an_episode_that_is_dismissed_at_the_last_moment_is_not_opened(make: Make) -> None:
    rig = make(rule(quiet="0s"))
    rig.alerts(alert("a")).reacts()
    over: list[int] = []

    def clears(point: str) -> None:
        if point == "claimed" and not over:
            over.append(1)
            rig.alerts(alert("a", status="resolved", ended=rig.now)).reacts()

    rig.checkpoint = clears
    rig.settles()
    assert rig.page.sent == []
    assert rig.phase() == "dismissed"


def test_an_outcome_is_never_lost_to_what_changed_meanwhile(make: Make) -> None:
    rig = make()

    def meanwhile(action: Action, request: Request) -> None:
        rig.alerts(alert("b", "warning")).reacts()

    rig.page.watch = meanwhile
    rig.alerts(alert("a")).reacts().delivers()
    assert rig.episode().remote_id == "inc-1"
    assert len(rig.episode().members) == 2
    assert len(rig.page.sent) == 1


def test_an_outcome_that_meets_conflicts_is_decided_again_until_it_is_stored(make: Make) -> None:
    rig = make()
    left = [5]

    def conflicts(commit: Commit) -> None:
        if commit.attempts and commit.attempts[0].result is Result.DONE and left[0]:
            left[0] -= 1
            raise Conflict

    rig.committer.before = conflicts
    rig.fires()
    assert rig.actions() == []
    assert rig.meter.counted["conflicts:deliver"] == 5


def test_a_ledger_that_fails_after_the_send_is_settled_by_looking_and_not_by_sending(make: Make) -> None:
    rig = opened(make)

    def gone(commit: Commit) -> None:
        if commit.attempts and commit.attempts[0].result is not None:
            raise LedgerUnavailable("disk is full")

    rig.committer.before = gone
    rig.alerts(alert("b", started=rig.now)).reacts()
    with pytest.raises(LedgerUnavailable):
        rig.deliver_step.run_once()
    rig.committer.before = lambda commit: None
    rig.passes(LEASE + timedelta(minutes=1))
    assert len(updates(rig)) == 1
    assert rig.actions() == []


def test_a_write_that_another_worker_has_on_its_way_is_left_alone_until_its_lease_lapses(make: Make) -> None:
    rig = make()
    rig.page.script.append(Answer.CRASH_LOST)
    assert dies(rig.alerts(alert()).settles)
    assert rig.delivers().head().state == "sending"
    rig.passes(LEASE - timedelta(seconds=1))
    assert len(rig.page.sent) == 1
    rig.passes("1s")
    assert len(rig.page.sent) == 2


def test_a_bug_in_one_write_does_not_keep_the_others_from_the_page(make: Make) -> None:
    rig = make(rule("checkout") + rule("web", match="{labels.service: web}"))
    build = rig.page.request

    def buggy(action: Action, directory: object) -> Request:
        if action.aggregate.startswith("checkout"):
            raise KeyError("a bug")
        return build(action, directory)  # type: ignore[arg-type]

    rig.page.request = buggy  # type: ignore[method-assign]
    rig.alerts(alert("a"), alert("w", service="web")).reacts()
    for _ in range(2):
        try:
            rig.delivers()
        except KeyError:
            continue
    assert rig.page.names == ["Web problems"]


def test_a_page_that_could_not_be_resolved_yet_costs_no_write(make: Make) -> None:
    rig = make()

    def unresolved() -> object:
        raise ProviderUnavailable("not resolved yet")

    rig.channels = {"main": Channel(rig.page, unresolved, SETTLE)}  # type: ignore[arg-type]
    rig.fires().passes("1m")
    assert rig.page.sent == []
    rig.channels = {"main": Channel(rig.page, rig.page.directory, SETTLE)}
    assert rig.passes("1m").page.names == ["Checkout problems"]


def test_how_the_pages_echo_differs_is_kept_for_people(make: Make) -> None:
    rig = make()
    send = rig.page.send

    def curly(action: Action, request: Request) -> Outcome:
        return replace(send(action, request), differences=("message: sent `a`, page shows `b`",))

    rig.page.send = curly  # type: ignore[method-assign]
    rig.fires()
    assert "page shows" in rig.ledger.attempts("checkout@main#1/1")[0].detail
    assert "page shows" in rig.ledger.history()[0].action.reason


def test_there_is_nothing_to_do_where_nothing_is_decided(make: Make) -> None:
    rig = make()
    assert rig.deliver_step.run_once() is False
    assert isinstance(rig.page, FakePage)
    assert rig.page.reads == 0
