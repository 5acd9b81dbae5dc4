"""Whatever happens, in whatever order: the page ends up telling the truth, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise, repeat

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.transcript import START, Answer, Transcript, alert, rule_of
from worker.core.drafts import Heard, Item
from worker.core.episodes import decide
from worker.core.model import Action, ActionKind, Event, PublishMode, Result, Status
from worker.core.ruleset import Rule
from worker.core.signals import settle


@cache
def compiled(**incident: str) -> Rule:
    """Compile once per set of options."""
    return rule_of(**incident)


options = st.fixed_dictionaries(
    {
        "hold": st.sampled_from(["0s", "2m"]),
        "quiet": st.sampled_from(["0s", "3m"]),
        "min_gap": st.sampled_from(["0s", "5m"]),
        "reopen_within": st.sampled_from(["0s", "10m"]),
    }
)
fires = st.tuples(st.just("fires"), st.sampled_from("abc"), st.sampled_from(["critical", "warning", "info"]))
clears = st.tuples(st.just("clears"), st.sampled_from("abc"), st.just(""))
passes = st.tuples(st.just("passes"), st.sampled_from(["10s", "1m", "4m", "20m"]), st.just(""))
answers = st.tuples(
    st.just("answers"), st.sampled_from([Result.DONE, Result.NOT_SENT, Result.UNKNOWN, Result.DENIED]), st.just("")
)
steps = st.lists(st.one_of(fires, clears, passes, answers), max_size=25)


theirs = st.tuples(st.just("theirs"), st.sampled_from(["", "theirs-1", "theirs-2"]), st.just(""))
publish = st.tuples(st.just("publish"), st.sampled_from(["auto", "shadow"]), st.just(""))


def mixed(*more: st.SearchStrategy[tuple[str, str, str]]) -> st.SearchStrategy[list[tuple[str, str, str]]]:
    """Stories in which other things happen as well."""
    return st.lists(st.one_of(*more, *more, fires, clears, passes), max_size=25)


def play(
    rule: Rule, story: list[tuple[str, str, str]], told: Transcript | None = None, answer: Answer | None = None
) -> Transcript:
    """Tell a story to a line of episodes; a write whose outcome is unknown is settled as done when time passes."""
    t = told or Transcript(rule)
    t.answer = answer or t.answer
    for what, who, how in story:
        if what == "fires":
            t.fires(who, how)
        elif what == "clears" and ("alerts", who) in t.signals:
            t.clears(who)
        elif what == "passes":
            settle_unknown(t).passes(who)
        elif what == "theirs":
            t.theirs = who
            t.delivers()
        elif what == "publish":
            t.context = replace(t.context, publish=PublishMode(who))
        elif what == "answers":
            answers = repeat(Result(who))
            t.answer = lambda action, answers=answers: next(answers)  # type: ignore[misc]
    return t


def settle_unknown(t: Transcript) -> Transcript:
    """What was not known turns out to be on the page."""
    for episode in [*t.ended, *([t.episode] if t.episode else [])]:
        for action in episode.actions:
            if action.state == "unknown":
                t.outcome(action, Result.DONE)
    return t


@settings(deadline=None, max_examples=300)
@given(options, steps)
def test_once_all_is_clear_and_the_page_answers_nothing_stays_open(
    option: dict[str, str], story: list[tuple[str, str, str]]
) -> None:
    t = all_clear(play(compiled(**option), story))
    opened = [a for _, a in t.posts if a.kind is ActionKind.OPEN_INCIDENT]
    resolved = [a for _, a in t.posts if a.kind is ActionKind.RESOLVE_INCIDENT]
    reopened = [a for _, a in t.posts if a.post == "reopen"]
    assert len(resolved) == len(opened) + len(reopened)
    assert len({a.key for a in opened}) == len(opened)
    assert t.states == []
    assert t.phase in {"none", "resolved", "dismissed"}


@settings(deadline=None, max_examples=300)
@given(options, steps)
def test_once_the_page_answers_it_shows_what_is_true(option: dict[str, str], story: list[tuple[str, str, str]]) -> None:
    t = play(compiled(**option), story)
    t.answer = lambda action: Result.DONE
    settle_unknown(t).passes("1h")
    ranks = {"critical": "full_outage", "warning": "degraded_performance"}
    firing = [s.event.severity for s in t.signals.values() if s.firing]
    true = next((ranks[severity] for severity in ranks if severity in firing), "operational")
    shown = t.shown.get("checkout", "operational") if t.phase in {"open", "clearing"} else "operational"
    assert shown == true


@settings(deadline=None, max_examples=200)
@given(options, steps)
def test_no_two_updates_come_closer_than_min_gap(option: dict[str, str], story: list[tuple[str, str, str]]) -> None:
    rule = compiled(**option)
    t = play(rule, [step for step in story if step[0] != "answers"])
    gap = rule.plan.min_gap  # type: ignore[union-attr]
    times = [(float(at[:-1]), action) for at, action in t.posts]
    for (before, _), (after, action) in pairwise(times):
        if action.post in {"worsen", "improve", "monitoring", "relapse"}:
            assert timedelta(minutes=after - before) >= gap - timedelta(seconds=1)


def all_clear(t: Transcript) -> Transcript:
    """Everything that fires is over, the page answers, and time passes."""
    t.answer = lambda action: Result.DONE
    settle_unknown(t).passes("30m")
    for key in [key for _, key in t.signals]:
        t.clears(key)
    return settle_unknown(t).passes("2d")


@settings(deadline=None, max_examples=200)
@given(options, mixed(theirs))
def test_an_opening_waits_for_theirs_is_told_once_and_goes_out_in_the_end_if_it_still_fires(
    option: dict[str, str], story: list[tuple[str, str, str]]
) -> None:
    t = Transcript(compiled(**option))
    open_then: list[str] = []

    def answer(action: Action) -> Result:
        if action.kind is ActionKind.OPEN_INCIDENT:
            open_then.append(t.theirs)
        return Result.DONE

    play(t.rule, story, t, answer)
    held = [notice.subject for notice in t.notices if notice.code == "held"]
    assert len(set(held)) == len(held), "told once"
    t.theirs = ""
    t.passes("1h")
    firing = any(s.firing and s.event.severity != "info" for s in t.signals.values())
    assert (t.phase == "open" and bool(t.shown)) == firing
    assert set(open_then) <= {""}


@settings(deadline=None, max_examples=300)
@given(options, mixed(theirs, answers))
def test_a_guest_sets_no_status_ends_nothing_and_our_own_incidents_all_end(
    option: dict[str, str], story: list[tuple[str, str, str]]
) -> None:
    t = play(compiled(existing="attach", **option), story)
    t.theirs = ""
    all_clear(t)
    posted = [action for _, action in t.posts]
    ours = {f"inc-{number + 1}" for number in range(t.opened)}
    for action in posted:
        assert action.guest == action.remote_id.startswith("theirs")
        if action.guest:
            assert action.incident_status is None
            assert action.kind is ActionKind.UPDATE_INCIDENT
        elif not action.kind.creates:
            assert action.remote_id in ours
    ends = [action.remote_id for action in posted if action.kind is ActionKind.RESOLVE_INCIDENT]
    reopened = [action.remote_id for action in posted if action.post == "reopen"]
    assert sorted(ends) == sorted([*ours, *reopened])
    assert t.phase in {"none", "resolved", "dismissed"}


@settings(deadline=None, max_examples=300)
@given(options, mixed(publish, answers))
def test_what_began_in_shadow_never_reaches_the_page_and_what_is_left_there_is_told(
    option: dict[str, str], story: list[tuple[str, str, str]]
) -> None:
    t = play(compiled(**option), story)
    t.context = replace(t.context, publish=PublishMode.AUTO)
    all_clear(t)
    posted = [action for _, action in t.posts]
    begun = [action.aggregate for action in posted if action.kind.creates]
    assert {action.aggregate for action in posted} == set(begun)
    assert all(action.remote_id for action in posted if not action.kind.creates)
    told = {notice.subject for notice in t.notices if notice.code in {"stays_open", "held"}}
    ended = {action.aggregate for action in posted if action.kind is ActionKind.RESOLVE_INCIDENT}
    assert set(begun) <= ended | told, "nothing public is left open silently"
    assert not [notice for notice in t.notices if notice.code == "parked"]


@settings(deadline=None, max_examples=200)
@given(options, mixed())
def test_nothing_is_reopened_by_what_does_not_last_for_hold(
    option: dict[str, str], story: list[tuple[str, str, str]]
) -> None:
    rule = compiled(**{**option, "reopen_within": "10m"})
    t = Transcript(rule)
    clear_at: list[datetime] = []

    def reopened(action: Action) -> Result:
        if action.post == "reopen":
            assert t.now - max(clear_at) >= rule.plan.hold  # type: ignore[union-attr]
        return Result.DONE

    for step in story:
        play(rule, [step], t, reopened)
        if not any(s.firing and s.event.severity != "info" for s in t.signals.values()):
            clear_at.append(t.now)


stamped = st.lists(
    st.builds(
        lambda key, status, stamp, severity: alert(
            key, severity, status, started=START, occurred_at=START + timedelta(seconds=stamp)
        ),
        st.sampled_from("ab"),
        st.sampled_from(["firing", "resolved"]),
        st.integers(0, 5),
        st.sampled_from(["critical", "warning"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=200)
@given(stamped.flatmap(lambda events: st.tuples(st.just(events), st.permutations(events + events[:3]))))
def test_stamped_statements_in_any_order_and_number_leave_the_page_the_same(
    orders: tuple[list[Event], list[Event]],
) -> None:
    ends = []
    for order in orders:
        t = Transcript(compiled(hold="2m", quiet="1m"))
        t.now = START + timedelta(seconds=30)
        for event in order:
            t.hears(event)
        t.passes("1h")
        ends.append((t.phase in {"open", "clearing"}, t.shown if t.phase == "open" else {}))
    assert ends[0] == ends[1]


@settings(deadline=None, max_examples=200)
@given(options, steps)
def test_a_repeat_changes_nothing(option: dict[str, str], story: list[tuple[str, str, str]]) -> None:
    t = play(compiled(**option), story)
    if t.episode is None:
        return
    items = []
    for signal in t.signals.values():
        same, change = settle(signal, signal.event, t.now, t.seq + 1)
        assert same is not None
        items.append(Item(event=signal.event, signal=same, change=change, matches=signal.event.status is Status.FIRING))
    verdict = decide(t.episode, Heard(items=items, cause="again"), t.context, t.now, key="k", group={})
    again = replace(verdict.episode, wake_at=t.episode.wake_at) if verdict.episode else t.episode
    assert again == t.episode
    assert verdict.actions == ()
