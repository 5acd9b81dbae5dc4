"""Each row of the episode table, told as a transcript."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.core.transcript import INCIDENT, Transcript, alert, rule_of
from worker.core.episodes import decide
from worker.core.footprints import Observed
from worker.core.model import ComponentStatus, Phase, PublishMode, RemoteIncident, RemoteUpdate, Result


def test_a_blip_shorter_than_hold_never_reaches_the_page() -> None:
    t = Transcript(rule_of(hold="3m")).fires().passes("2m").clears().passes("1d")
    assert t.said == []
    assert t.phase == "dismissed"


def test_a_signal_that_lasts_opens_at_the_end_of_hold() -> None:
    t = Transcript(rule_of(hold="3m")).fires().passes("1h")
    assert t.said == ["3m open open mails"]
    assert t.shown == {"checkout": "full_outage"}


def test_hold_zero_opens_at_once() -> None:
    assert Transcript(rule_of(hold="0s")).fires().said == ["0m open open mails"]


def test_repeats_say_nothing() -> None:
    t = Transcript(rule_of(hold="0s")).fires()
    for _ in range(5):
        t.passes("6m").fires()
    assert t.said == ["0m open open mails"]


def test_the_worst_status_wins_and_a_change_is_said_once_after_min_gap() -> None:
    t = Transcript(rule_of(hold="0s", min_gap="5m", notify="[open, worsen, resolve]"))
    t.fires("a", "warning").passes("1m").fires("b", "critical").passes("1m").fires("c", "critical").passes("10m")
    assert t.said == ["0m open open mails", "5m update worsen mails"]
    assert t.shown == {"checkout": "full_outage"}


def test_what_changes_and_changes_back_within_min_gap_is_not_said() -> None:
    t = Transcript(rule_of(hold="0s", min_gap="5m")).fires("a", "warning").passes("1m").fires("b", "critical")
    assert t.passes("1m").clears("b").passes("1h").said == ["0m open open mails"]


def test_a_component_that_clears_is_sent_as_operational() -> None:
    text = """
  - id: two
    match: {}
    group_by: []
    incident:
      page: main
      components: {from: "event.labels.part", status: {critical: partial_outage}}
      title: T
      hold: 0s
      min_gap: 1m
      say: {open: o, worsen: w, improve: i, resolve: r}
"""
    t = Transcript(rule_of(text))
    t.fires("a", labels={"part": "checkout"}).passes("2m").fires("b", labels={"part": "api"}).passes("2m").clears(
        "a"
    ).passes("2m")
    assert t.said == ["0m open open mails", "2m update worsen", "4m update improve"]
    assert t.shown == {"checkout": "operational", "api": "partial_outage"}


def test_all_clear_resolves_after_quiet() -> None:
    t = Transcript(rule_of(hold="0s", quiet="10m")).fires().passes("1h").clears().passes("1h")
    assert t.said == ["0m open open mails", "70m resolve resolve mails"]
    assert t.phase == "resolved"


def test_the_duration_that_is_told_is_that_of_the_trouble_without_the_quiet_after_it() -> None:
    text = INCIDENT.replace("resolve: All is well.", 'resolve: "It took {{ episode.duration | duration }}."')
    t = Transcript(rule_of(text, hold="0s", quiet="10m")).fires().passes("5m").clears().passes("1h")
    assert t.posts[-1][1].content.message == "It took 5 minutes."


def test_resolve_mails_only_if_the_open_did() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m", notify="[resolve]")).fires().passes("1h").clears().passes("1h")
    assert t.said == ["0m open open", "61m resolve resolve"]


def test_a_flap_within_quiet_says_nothing() -> None:
    t = Transcript(rule_of(hold="0s", quiet="10m")).fires()
    for _ in range(10):
        t.passes("3m").clears().passes("3m").fires()
    assert t.said == ["0m open open mails"]
    assert t.phase == "open"


MONITORED = INCIDENT.replace("resolve: All", "monitoring: We watch it., resolve: All")


def test_monitoring_is_said_while_quiet_runs_and_taken_back_when_it_fires_again() -> None:
    t = Transcript(rule_of(MONITORED, hold="0s", quiet="10m", min_gap="1m")).fires().passes("20m").clears()
    assert t.said[-1] == "20m update monitoring"
    assert t.shown == {"checkout": "operational"}
    t.passes("5m").fires()
    assert t.said[-1] == "25m update relapse"
    assert t.shown == {"checkout": "full_outage"}
    t.passes("5m").clears().passes("1h")
    assert t.said[-1] == "40m resolve resolve mails"


def test_what_is_back_as_bad_as_it_was_is_not_said_to_have_grown() -> None:
    t = Transcript(rule_of(MONITORED, hold="0s", quiet="30m", min_gap="1m")).fires().passes("20m").clears()
    t.passes("5m").fires(severity="warning").passes("5m")
    content = t.posts[-1][1].content
    assert (content.message, content.incident_status) == ("We are investigating.", "investigating")
    assert t.shown == {"checkout": "degraded_performance"}


def test_what_is_back_worse_than_it_was_told_is_said_to_have_grown() -> None:
    t = Transcript(rule_of(MONITORED, hold="0s", quiet="30m", min_gap="1m"))
    t.fires(severity="warning").passes("20m").clears().passes("5m").fires(severity="critical").passes("5m")
    assert t.said[-1] == "25m update worsen"
    assert t.posts[-1][1].content.message == "It got worse."


def test_what_touches_no_component_comes_back_with_the_words_it_began_with() -> None:
    text = MONITORED.replace("{checkout: {critical: full_outage, warning: degraded_performance}}", "{}")
    t = Transcript(rule_of(text, hold="0s", quiet="30m", min_gap="1m")).fires().passes("20m").clears()
    t.passes("5m").fires().passes("5m")
    assert t.said == ["0m open open mails", "20m update monitoring", "25m update relapse"]
    assert t.posts[-1][1].content.message == "We are investigating."


@pytest.mark.parametrize("back", ["critical", "warning"])
def test_who_was_mailed_that_we_only_watch_is_mailed_that_it_is_back(back: str) -> None:
    t = Transcript(rule_of(MONITORED, hold="0s", quiet="30m", min_gap="1m", notify="[open, monitoring, resolve]"))
    t.fires(severity="warning").passes("20m").clears().passes("5m").fires(severity=back).passes("5m")
    post = "worsen" if back == "critical" else "relapse"
    assert t.said[1:] == ["20m update monitoring mails", f"25m update {post} mails"]


def test_what_is_back_waits_for_the_same_approval_as_what_got_worse() -> None:
    t = Transcript(rule_of(MONITORED, hold="0s", quiet="30m", min_gap="1m", approve="{posts: [worsen]}"))
    t.context = replace(t.context, publish=PublishMode.APPROVE)
    t.fires().passes("20m").clears().passes("5m").fires().passes("5m")
    assert t.states == ["relapse awaiting_approval"]
    assert t.said == ["0m open open mails", "20m update monitoring"]


@pytest.mark.parametrize("text", [INCIDENT, MONITORED])
def test_what_waited_to_be_told_is_not_told_once_all_is_clear(text: str) -> None:
    t = Transcript(rule_of(text, hold="0s", quiet="10m", min_gap="0s")).fires(severity="warning")
    t.answer = lambda action: Result.NOT_SENT
    t.passes("5m").fires("b", severity="critical").passes("1m").clears("a").clears("b")
    t.answer = lambda action: Result.DONE
    t.passes("1h")
    assert [line.split(" ", 1)[1] for line in t.said if "worsen" in line] == []


def test_an_opening_that_waited_for_the_page_does_not_go_out_while_all_is_clear() -> None:
    t = Transcript(rule_of(hold="0s", quiet="10m"), lambda action: Result.NOT_SENT).fires().passes("5m").clears()
    assert t.states == []
    t.answer = lambda action: Result.DONE
    assert t.passes("5m").said == []
    assert t.fires().passes("0s").said == ["10m open open mails"]


def test_an_end_that_waited_for_the_page_does_not_go_out_once_it_fires_again_behind_another_rule() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m")
    t.answer = lambda action: Result.NOT_SENT
    t.clears().passes("5m")
    assert t.states == ["resolve queued"]
    t.context = replace(t.context, yielding="database")
    t.fires()
    t.answer = lambda action: Result.DONE
    assert t.passes("1h").said == ["0m open open mails"]
    assert t.shown == {"checkout": "full_outage"}


def test_what_is_back_and_gone_again_before_it_could_be_told_is_not_told() -> None:
    t = Transcript(rule_of(MONITORED, hold="0s", quiet="10m", min_gap="0s")).fires().passes("5m").clears()
    t.answer = lambda action: Result.NOT_SENT
    t.passes("1m").fires().passes("1m").clears()
    t.answer = lambda action: Result.DONE
    assert t.passes("1h").said == ["0m open open mails", "5m update monitoring", "17m resolve resolve mails"]


def test_a_new_outage_after_the_end_is_a_new_incident() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m").clears().passes("1h").fires()
    assert t.said == ["0m open open mails", "6m resolve resolve mails", "65m open open mails"]
    assert t.episode is not None
    assert t.episode.number == 2
    keys = {action.key for _, action in t.posts if action.key}
    assert len(keys) == 2


def test_firing_again_soon_reopens_the_same_incident() -> None:
    t = (
        Transcript(rule_of(hold="0s", quiet="1m", reopen_within="30m"))
        .fires()
        .passes("5m")
        .clears()
        .passes("10m")
        .fires()
    )
    assert t.said == ["0m open open mails", "6m resolve resolve mails", "15m update reopen mails"]
    assert t.posts[-1][1].remote_id == "inc-1"
    assert t.posts[-1][1].content.incident_status == "investigating"
    t.passes("5m").clears().passes("10m")
    assert t.said[-1] == "21m resolve resolve mails"


def ended(**incident: str) -> Transcript:
    """An incident of which the page was told at minute 6 that it is over."""
    options = {"hold": "3m", "quiet": "1m", "reopen_within": "10m", **incident}
    t = Transcript(rule_of(MONITORED, **options)).fires().passes("5m").clears().passes("1m")
    assert t.said[-1] == "6m resolve resolve mails"
    return t


@pytest.mark.parametrize("too_short", ["skip", "backfill"])
def test_a_blip_soon_after_the_end_is_not_told(too_short: str) -> None:
    t = ended(too_short=too_short)
    before = len(t.said)
    t.passes("4m").fires().passes("2m")
    assert t.phase == "held"
    assert t.clears().passes("1h").said[before:] == []
    assert t.phase == "resolved"


def test_what_lasts_for_hold_soon_after_the_end_reopens_the_same_incident() -> None:
    t = ended().passes("4m").fires().passes("20m")
    assert t.said[-1] == "13m update reopen mails"
    assert t.posts[-1][1].remote_id == "inc-1"
    t.clears().passes("1h")
    assert t.said[-1] == "31m resolve resolve mails"


def test_what_fires_soon_enough_counts_though_hold_ends_too_late() -> None:
    t = ended().passes("9m").fires().passes("1h")
    assert t.said[-1] == "18m update reopen mails"
    assert t.opened == 1


def test_a_blip_does_not_put_off_the_time_from_which_on_it_is_a_new_incident() -> None:
    t = ended().passes("9m").fires().passes("1m").clears().passes("1m").fires().passes("1h")
    assert t.said[-1] == "20m open open mails"
    assert t.episode is not None
    assert t.episode.number == 2


def test_an_end_that_is_on_its_way_when_it_fires_again_is_told_and_then_taken_back() -> None:
    t = Transcript(rule_of(hold="3m", quiet="1m", reopen_within="10m")).fires().passes("5m").clears()
    t.passes("1m", page=False)
    action = t.sends()
    t.fires(page=False).passes("1m", page=False).outcome(action, Result.DONE).passes("1h")
    assert [line.split(" ", 1)[1] for line in t.said] == [
        "open open mails",
        "resolve resolve mails",
        "update reopen mails",
    ]
    assert t.said[-1] == "9m update reopen mails"


def test_an_end_that_turns_out_not_to_be_on_the_page_is_not_told_while_it_fires_again() -> None:
    t = Transcript(rule_of(hold="3m", quiet="1m", reopen_within="10m")).fires().passes("5m").clears()
    t.passes("1m", page=False)
    action = t.sends()
    t.fires(page=False).outcome(action, Result.UNKNOWN).passes("1m", page=False).outcome(action, Result.ABSENT)
    assert t.passes("1h").said == ["3m open open mails"]
    assert t.phase == "open"


def test_what_cannot_be_reopened_and_clears_is_over_without_another_word() -> None:
    t = ended(hold="0s", min_gap="0s")
    before = list(t.said)
    t.answer = lambda action: Result.NOT_SENT
    t.passes("4m").fires().passes("5m").clears().passes("30s")
    t.answer = lambda action: Result.DONE
    assert t.passes("1h").said == before
    assert (t.phase, t.states) == ("resolved", [])


def test_a_rule_that_is_taken_out_while_it_fires_again_leaves_the_incident_resolved() -> None:
    t = ended().passes("4m").fires()
    t.context = replace(t.context, rule=None)
    assert t.passes("1h").phase == "resolved"


def test_what_fires_again_yields_as_what_fires_first() -> None:
    t = ended().passes("4m").fires()
    t.context = replace(t.context, yielding="database")
    before = len(t.said)
    assert t.passes("10m").said[before:] == []
    t.context = replace(t.context, yielding="")
    assert t.passes("2m").said[-1] == "21m update reopen mails"


def test_a_page_that_does_not_reopen_gets_a_new_incident() -> None:
    def answer(action):  # type: ignore[no-untyped-def]
        return Result.REFUSED if action.post == "reopen" else Result.DONE

    t = Transcript(rule_of(hold="0s", quiet="1m", reopen_within="30m"), answer)
    t.fires().passes("5m").clears().passes("10m").fires()
    assert t.said[-1] == "15m open open mails"
    assert len({action.key for _, action in t.posts if action.key}) == 2
    assert [n for n in t.notices if n.code == "parked"] == []


def test_an_alert_that_comes_back_with_its_old_start_is_a_new_incident() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m").clears().passes("1h")
    t.hears(alert()).passes("1h")
    assert [line.split(" ", 1)[1] for line in t.said] == ["open open mails", "resolve resolve mails", "open open mails"]
    assert len({action.key for _, action in t.posts if action.key}) == 2


def test_an_alert_that_comes_back_with_its_old_start_during_quiet_keeps_the_incident_open() -> None:
    t = Transcript(rule_of(hold="0s", quiet="10m")).fires().passes("5m").clears().passes("3m").hears(alert())
    assert t.passes("1h").said == ["0m open open mails"]
    assert t.phase == "open"


def test_a_page_that_was_unreachable_gets_one_truthful_open() -> None:
    down = True

    def answer(action):  # type: ignore[no-untyped-def]
        return Result.NOT_SENT if down else Result.DONE

    t = Transcript(rule_of(hold="0s", min_gap="1m"), answer).fires("a", "warning")
    for n in range(30):
        t.passes("2m").fires(f"x{n}", "critical" if n % 2 else "warning")
    down = False
    t.passes("10m")
    assert [line.split(" ", 1)[1] for line in t.said] == ["open open mails"]
    assert t.shown == {"checkout": "full_outage"}


def test_what_ends_before_the_page_could_be_told_is_never_told() -> None:
    t = (
        Transcript(rule_of(hold="0s", quiet="10m"), lambda action: Result.NOT_SENT)
        .fires()
        .passes("5m")
        .clears()
        .passes("1h")
    )
    t.answer = lambda action: Result.DONE
    assert t.passes("1d").said == []
    assert t.phase == "dismissed"
    assert t.states == []


def test_too_short_backfill_tells_afterwards_and_mails_nobody() -> None:
    t = Transcript(rule_of(hold="3m", too_short="backfill")).fires().passes("2m").clears().passes("1h")
    assert t.said == ["2m backfill backfill"]
    steps = t.posts[0][1].content.steps
    assert [step.incident_status for step in steps] == ["investigating", "resolved"]
    assert steps[0].components == {"checkout": ComponentStatus.FULL_OUTAGE}
    assert steps[0].at < steps[1].at <= t.posts[0][1].created_at


def test_keepalive_speaks_when_nothing_was_said_and_stops() -> None:
    speaking = INCIDENT.replace("resolve: All", "keepalive: {every: 30m, times: 2, text: still on it}, resolve: All")
    rule = rule_of(speaking, hold="0s")
    t = Transcript(rule).fires().passes("5h")
    assert t.said == ["0m open open mails", "30m update keepalive", "60m update keepalive"]
    assert t.posts[-1][1].content.message == "still on it"


def test_max_open_tells_the_team_once() -> None:
    t = Transcript(rule_of(hold="0s", max_open="24h")).fires().passes("3d")
    assert [n.code for n in t.notices] == ["max_open"]
    assert t.phase == "open"


def test_an_episode_that_yields_waits_and_then_opens_if_still_true() -> None:
    t = Transcript(rule_of(hold="3m"))
    t.context = replace(t.context, yielding="database")
    t.fires().passes("1h")
    assert t.said == []
    t.context = replace(t.context, yielding="")
    assert t.passes("2m").said == ["61m open open mails"]


def test_a_muted_component_keeps_its_episode_back_until_the_window_is_over() -> None:
    t = Transcript(rule_of(hold="3m")).fires()
    t.context = replace(t.context, muted={"checkout": t.now.replace(hour=11, minute=10)})
    t.passes("2h")
    assert t.said == ["70m open open mails"]


def test_a_member_that_no_longer_matches_is_cleared() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m")
    t.fires(severity="info", matches=False).passes("10m")
    assert t.phase == "resolved"


def test_an_unclear_match_leaves_membership_as_it_is() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m")
    t.hears(alert(severity="warning"), matches=None).passes("1h")
    assert t.phase == "open"


def test_a_severity_without_a_status_opens_nothing() -> None:
    assert Transcript(rule_of(hold="0s")).fires(severity="info").passes("1d").said == []


def test_shadow_decides_everything_and_sends_nothing() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m"))
    t.context = replace(t.context, publish=PublishMode.SHADOW)
    t.fires().passes("5m").clears().passes("1h")
    assert t.said == []
    assert t.phase == "resolved"
    assert t.states == []


def test_what_awaits_approval_is_not_sent() -> None:
    t = Transcript(rule_of(hold="0s"))
    t.context = replace(t.context, publish=PublishMode.APPROVE)
    t.fires().passes("1h")
    assert t.said == []
    assert t.states == ["open awaiting_approval"]


def test_a_refused_open_is_parked_once_with_a_notice() -> None:
    t = Transcript(rule_of(hold="0s"), lambda action: Result.REFUSED).fires().passes("1h").fires().passes("1h")
    assert t.states == ["open parked"]
    assert [n.code for n in t.notices] == ["parked"]


def test_a_resolve_in_flight_and_a_new_outage_without_reopen_is_a_new_episode() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m").clears().passes("1m", page=False)
    assert t.states == ["resolve queued"]
    t.sends()
    t.passes("1m", page=False).fires(page=False)
    assert t.episode is not None
    assert t.episode.number == 2


def test_firing_again_before_the_resolve_was_sent_keeps_the_incident_open() -> None:
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m").clears().passes("1m", page=False)
    assert t.states == ["resolve queued"]
    t.fires(page=False)
    assert t.phase == "open"
    assert t.states == []


def test_nothing_new_is_decided_while_an_outcome_is_not_known() -> None:
    t = Transcript(rule_of(hold="0s", min_gap="0s")).fires("a", "warning", page=False)
    action = t.sends()
    t.outcome(action, Result.UNKNOWN)
    t.fires("b", "critical", page=False).passes("1m", page=False)
    assert t.states == ["open unknown"]
    t.outcome(action, Result.DONE).passes("1m")
    assert t.said[-1].endswith("update worsen")


def test_a_create_that_is_unknown_keeps_its_key_and_its_words() -> None:
    t = Transcript(rule_of(hold="0s")).fires("a", "warning", page=False)
    action = t.sends()
    t.outcome(action, Result.UNKNOWN).fires("b", "critical", page=False)
    assert t.episode is not None
    assert t.episode.actions[0].key == action.key
    assert t.episode.actions[0].content == action.content


def test_an_update_is_sent_at_most_twice() -> None:
    t = Transcript(rule_of(hold="0s", min_gap="0s")).fires("a", "warning").fires("b", "critical", page=False)
    for _ in range(2):
        action = t.sends()
        t.outcome(action, Result.UNKNOWN).outcome(action, Result.ABSENT)
    assert t.states == ["worsen held"]
    assert t.notices[-1].code == "held"


def test_a_foreign_incident_holds_the_open() -> None:
    t = Transcript(rule_of(hold="0s")).fires(page=False)
    assert t.episode is not None
    t.outcome(t.episode.actions[0], Result.FOREIGN, foreign="theirs")
    assert t.states == ["open held"]
    assert t.notices[-1].code == "held"


def test_existing_attach_posts_on_the_foreign_incident() -> None:
    t = Transcript(rule_of(hold="0s", existing="attach")).fires(page=False)
    assert t.episode is not None
    t.outcome(t.episode.actions[0], Result.FOREIGN, foreign="theirs")
    (action,) = t.episode.actions
    assert (action.kind, action.remote_id, action.guest) == ("update_incident", "theirs", True)
    assert (action.incident_status, t.states) == (None, ["open queued"])


def test_a_held_episode_whose_rule_is_gone_is_dismissed_and_an_open_one_lives_on() -> None:
    t = Transcript(rule_of(hold="3m")).fires()
    t.context = replace(t.context, rule=None)
    assert t.passes("5m").phase == Phase.DISMISSED
    t = Transcript(rule_of(hold="0s", quiet="1m")).fires().passes("5m").clears().passes("5m")
    assert t.phase == Phase.RESOLVED


def test_a_rule_that_fails_is_told_once_and_tried_again() -> None:
    text = """
  - id: broken
    match: {}
    group_by: []
    vars: {n: "10 / int(label('n'))"}
    incident:
      page: main
      components: {checkout: full_outage}
      title: "T {{ n }}"
      hold: 0s
      say: {open: o, worsen: w, improve: i, resolve: r}
"""
    t = Transcript(rule_of(text)).fires(labels={"n": "0"}).passes("10m")
    assert t.said == []
    assert [n.code for n in t.notices] == ["evaluation_failed"]
    t.fires(labels={"n": "5"}).passes("2m")
    assert [a.content.title for _, a in t.posts] == ["T 2"]


@pytest.mark.parametrize("result", [Result.NOT_SENT, Result.DENIED])
def test_what_was_not_sent_is_tried_again(result: Result) -> None:
    answers = iter([result, result, Result.DONE])
    t = Transcript(rule_of(hold="0s"), lambda action: next(answers)).fires().passes("10m")
    assert len(t.said) == 1


def test_what_the_page_shows_is_no_verdict_about_people_while_something_of_ours_may_be_on_its_way() -> None:
    stranger = RemoteUpdate(id="p", message="We look.", status="investigating")
    shown = RemoteIncident(id="inc-1", name="Checkout problems", status="investigating", updates=(stranger,))
    seen = Observed(shown=shown, strangers=(stranger,))
    t = Transcript(rule_of(hold="0s", min_gap="0s")).fires("a", "warning")
    settled = decide(t.episode, seen, t.context, t.now)
    assert settled.episode is not None
    assert settled.episode.hands_off
    t.answer = lambda action: Result.UNKNOWN
    t.fires("b")
    in_flight = decide(t.episode, seen, t.context, t.now)
    assert in_flight.episode is not None
    assert not in_flight.episode.hands_off
    again = decide(settled.episode, seen, t.context, t.now)
    assert (again.changed, again.notices) == (False, ())
