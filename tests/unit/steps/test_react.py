"""What is said reaches every episode that it concerns, once, in one commit; what cannot be followed is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.rig import Rig, alert, rule
from worker.core.drafts import Tick
from worker.core.model import Inbound, SharedPost
from worker.errors import ConfigError, Conflict, LedgerUnavailable
from worker.ports import Commit, Handled
from worker.steps.advance import tick

Make = Callable[..., Rig]

BY_REGION = "group_by: [region]\n"
GUARDED = 'if: int(label("n")) > 0\n'


def word(key: str = "k", status: str = "firing", **more: object) -> dict[str, object]:
    """Make one statement of the JSON source."""
    return {"key": key, "status": status, **more}


def parked(rig: Rig) -> int:
    """How many inbounds are parked."""
    return rig.ledger.totals()["inbounds_parked"]


# -- commits


def test_one_inbound_of_fifty_alerts_is_one_commit_and_one_episode(make: Make) -> None:
    rig = make()
    rig.alerts(*(alert(f"a{n}") for n in range(50)))
    rig.reacts()
    assert len(rig.committer.commits) == 1
    assert len(rig.committer.commits[0].heard) == 50
    assert rig.ledger.totals()["episodes_open"] == 1
    assert len(rig.episode().members) == 50


def test_inbounds_that_wait_together_are_one_commit_in_order_of_receipt(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a", "warning"))
    rig.alerts(alert("a", "critical"))
    rig.alerts(alert("b", "warning"))
    assert rig.react_step.run_once() == 3
    assert len(rig.committer.commits) == 1
    assert rig.episode().members["alerts", "a"].signal.event.severity == "critical"
    assert rig.react_step.run_once() == 0


def test_a_repeat_changes_no_signal_and_no_episode(make: Make) -> None:
    rig = make().fires()
    version = rig.episode().version
    rig.now += timedelta(minutes=11)
    rig.alerts(alert("a")).reacts()
    last = rig.committer.commits[-1]
    assert (list(last.signals), list(last.episodes), list(last.actions)) == ([], [], [])
    assert [heard.effect for heard in last.heard] == ["repeat"]
    assert rig.episode().version == version


def test_the_commit_keeps_the_revision_that_decided(make: Make) -> None:
    rig = make().alerts(alert()).reacts()
    assert rig.phase() == "open"
    assert rig.ledger.revision(rig.episode().rule_hash) is not None


def test_a_post_of_ours_that_is_told_back_triggers_no_rule(make: Make) -> None:
    rig = make(rule(match="{}"))
    rig.normalise = lambda inbound: [SharedPost(remote_id="inc-1", update_id="up-1")]
    rig.alerts(alert()).reacts()
    assert rig.phase() == "none"
    assert rig.ledger.totals()["inbounds_pending"] == 0


# -- membership


def test_every_matching_rule_acts(make: Make) -> None:
    rig = make(rule("checkout") + rule("other", match="{labels.severity: critical}")).fires()
    assert (rig.phase("checkout"), rig.phase("other")) == ("open", "open")


def test_a_rule_with_two_pages_has_an_episode_on_each(make: Make) -> None:
    rig = make(rule(page="[main, other]")).fires()
    assert (rig.phase(page="main"), rig.phase(page="other")) == ("open", "open")
    assert rig.said == ["0m open open"], "the other page has no channel here, so only its action waits"
    assert rig.actions(page="other") == ["open queued"]
    rig.passes("2m").clears().passes("2m")
    assert (rig.phase(page="main"), rig.phase(page="other")) == ("resolved", "dismissed")


def test_a_member_that_falls_into_another_group_is_cleared_there_and_joins_here(make: Make) -> None:
    rig = make(rule(more=BY_REGION)).fires("a", region="eu")
    assert rig.phase(region="eu") == "open"
    rig.passes("5m").fires("a", region="us")
    assert (rig.phase(region="eu"), rig.phase(region="us")) == ("clearing", "open")
    assert rig.passes("2m").phase(region="eu") == "resolved"
    assert rig.phase(region="us") == "open"


def test_membership_sticks_a_resolve_that_no_longer_matches_reaches_its_episode(make: Make) -> None:
    rig = make().fires("a")
    rig.passes("5m").clears("a", service="renamed").passes("2m")
    assert rig.phase() == "resolved"


def test_a_firing_statement_that_no_longer_matches_clears(make: Make) -> None:
    rig = make().fires("a")
    rig.passes("5m").fires("a", service="elsewhere")
    assert rig.phase() == "clearing"


def test_a_signal_that_never_matched_is_remembered_and_changes_nothing(make: Make) -> None:
    rig = make().fires("a", service="elsewhere")
    assert rig.phase() == "none"
    assert ("alerts", "a") in rig.ledger.signals([("alerts", "a")])


def test_a_signal_that_comes_to_match_joins(make: Make) -> None:
    rig = make().fires("a", service="elsewhere").fires("a")
    assert rig.phase() == "open"


def test_private_and_test_statements_reach_no_rule_that_does_not_ask_for_them(make: Make) -> None:
    rules = rule() + rule("private", match='{private: "true"}') + rule("rehearsal", match='{test: "true"}')
    rig = make(rules).words(word("p", private=True), word("t", test=True)).settles()
    assert rig.phase("checkout") == "none"
    assert list(rig.episode("private").members) == [("words", "p")]
    assert list(rig.episode("rehearsal").members) == [("words", "t")]


def test_a_group_that_is_over_clears_its_signals_that_were_not_listed(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a"), alert("b"), alert("c"), groupKey="g1").settles()
    rig.alerts(alert("z"), groupKey="g2").settles()
    rig.passes("5m")
    rig.alerts(alert("a", status="resolved", ended=rig.now), groupKey="g1", truncatedAlerts=2).settles()
    firing = {member.signal.event.key for member in rig.episode().members.values() if member.firing}
    assert firing == {"z"}


def test_a_group_that_is_over_clears_also_what_was_said_in_the_same_batch(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a"), alert("b"), groupKey="g1")
    rig.alerts(alert("a", status="resolved", ended=rig.now), groupKey="g1", truncatedAlerts=1)
    rig.reacts()
    assert not any(member.firing for member in rig.episode().members.values())


def test_a_storm_and_its_end_within_one_batch_open_nothing(make: Make) -> None:
    rig = make(rule(quiet="0s"))
    rig.alerts(alert("a"), alert("b"))
    rig.alerts(*(alert(n, status="resolved", ended=rig.now) for n in "ab"))
    assert rig.settles().phase() == "dismissed"
    assert rig.page.sent == []


# -- what cannot be told


def test_an_if_that_fails_leaves_membership_and_parks_the_inbound_with_a_notice(make: Make) -> None:
    rig = make(rule(more=GUARDED, match="{}")).words(word(n="1")).settles()
    assert rig.phase() == "open"
    rig.passes("5m").words(word(n="many", severity="warning")).settles()
    assert rig.episode().members["words", "k"].firing
    assert rig.phase() == "open"
    assert parked(rig) == 1
    assert rig.codes == ["inbound_parked"]
    assert "checkout" in rig.notices[0].text
    assert "if" in rig.notices[0].text


def test_an_if_that_fails_never_counts_as_no_and_never_as_yes(make: Make) -> None:
    rig = make(rule(more=GUARDED, match="{}")).words(word(n="many")).settles()
    assert rig.phase() == "none"
    assert parked(rig) == 1
    rig.words(word(n="0", title="now it can be told")).settles()
    assert rig.phase() == "none"
    assert parked(rig) == 1


def test_a_repeat_of_what_could_not_be_told_is_not_parked_again(make: Make) -> None:
    rig = make(rule(more=GUARDED, match="{}")).words(word(n="many")).words(word(n="many")).settles()
    assert parked(rig) == 1
    assert rig.codes == ["inbound_parked"]


def test_a_group_by_that_fails_parks_the_inbound_and_joins_nowhere(make: Make) -> None:
    rig = make(rule(match="{}", more="group_by: {part: \"string(int(label('n')) + 1)\"}\n"))
    rig.words(word(n="x")).settles()
    assert rig.ledger.totals()["episodes_open"] == 0
    assert parked(rig) == 1
    assert "group_by" in rig.notices[0].text


def test_a_rule_that_fails_does_not_keep_the_same_event_from_other_rules(make: Make) -> None:
    rig = make(rule("broken", match="{}", more=GUARDED) + rule("good", match="{}")).words(word(n="x")).settles()
    assert rig.phase("good") == "open"
    assert parked(rig) == 1


def test_an_inbound_whose_rule_fails_does_not_park_those_beside_it(make: Make) -> None:
    rig = make(rule(more=GUARDED, match="{}"))
    rig.words(word("bad", n="x")).words(word("good", n="1")).settles()
    assert list(rig.episode().members) == [("words", "good")]
    assert parked(rig) == 1


def test_a_var_that_fails_parks_the_inbound_and_the_episode_goes_on_when_it_can(make: Make) -> None:
    broken = rule(match="{}", title='"Part {{ part }}"', more="vars: {part: \"string(10 / int(label('n')))\"}\n")
    rig = make(broken).words(word(n="0")).settles()
    assert parked(rig) == 1
    assert sorted(rig.codes) == ["evaluation_failed", "inbound_parked"]
    assert rig.page.sent == []
    rig.passes("10m")
    assert rig.codes.count("evaluation_failed") == 1
    rig.words(word(n="5")).settles()
    assert rig.page.names == ["Part 2"]


def test_a_source_that_is_not_configured_any_more_parks_what_it_sent_with_a_notice(make: Make) -> None:
    rig = make()
    rig.alerts(alert())
    del rig.endpoints["alerts"]
    rig.reacts()
    assert parked(rig) == 1
    assert [(n.code, n.subject) for n in rig.notices] == [("inbound_parked", "inbound 1")]


def test_an_alert_that_cannot_be_read_takes_none_of_its_notification_along_and_is_told(make: Make) -> None:
    rig = make().alerts(alert("a"), {"status": "odd"}, alert("b")).settles()
    assert list(rig.episode().members) == [("alerts", "a"), ("alerts", "b")]
    assert rig.phase() == "open"
    assert parked(rig) == 1
    assert [(n.code, n.subject) for n in rig.notices] == [("inbound_parked", "inbound 1")]
    assert rig.notices[0].text.startswith("not understood: alerts[1].fingerprint: missing")


def test_an_item_that_cannot_be_read_takes_none_of_its_body_along_and_is_told(make: Make) -> None:
    rig = make(rule(match="{}")).words(word("a"), {"key": "b"}, word("c"), {}).settles()
    assert list(rig.episode().members) == [("words", "a"), ("words", "c")]
    assert parked(rig) == 1
    assert "item 1: status: " in rig.notices[0].text
    assert "item 3: key: " in rig.notices[0].text


# -- faults of ours, and of the ledger

BUGS = (KeyError("k"), IndexError("i"), RecursionError("r"), OSError("o"), LookupError("l"), ConfigError("c"))


@pytest.mark.parametrize("bug", BUGS, ids=[type(bug).__name__ for bug in BUGS])
def test_a_bug_in_one_inbound_parks_it_and_stops_none_behind_it(make: Make, bug: Exception) -> None:
    rig = make()
    rig.alerts(alert("a")).alerts(alert("poison")).alerts(alert("b"))
    read = rig.normalise

    def buggy(inbound: Inbound) -> object:
        if b"poison" in inbound.body:
            raise bug
        return read(inbound)

    rig.normalise = buggy
    rig.settles()
    assert list(rig.episode().members) == [("alerts", "a"), ("alerts", "b")]
    assert parked(rig) == 1
    assert rig.codes == ["inbound_parked"]
    assert rig.ledger.totals()["inbounds_pending"] == 0
    assert rig.meter.counted["faults:react"] == 1


def test_a_revision_that_cannot_be_compiled_any_more_stops_nobody_else(make: Make) -> None:
    rig = make(rule("checkout") + rule("web", match="{labels.service: web}")).fires("a").fires("w", service="web")
    rig.use(rule("checkout", quiet="2m") + rule("web", match="{labels.service: web}"))

    def cannot(spec: object) -> object:
        raise ConfigError("a revision of an older program")

    rig.book._compile = cannot  # type: ignore[assignment]
    rig.passes("2m").clears("a").clears("w", service="web").passes("2m")
    assert rig.phase("web") == "resolved"
    assert rig.phase("checkout") == "open"
    assert "inbound_parked" in rig.codes


def test_a_conflict_is_read_again_and_decided_again(make: Make) -> None:
    rig = make().fires("a", severity="warning").passes("5m")
    rig.alerts(alert("b", started=rig.now))
    interrupted = []

    def somebody_is_first(commit: Commit) -> None:
        if commit.handled and not interrupted:
            episode = rig.episode()
            interrupted.append(episode.version)
            told = replace(episode, told_max_open=True)
            rig.ledger.commit(Commit(now=rig.now, episodes=[told]))

    rig.committer.before = somebody_is_first
    rig.reacts()
    assert interrupted == [rig.episode().version - 2]
    assert rig.episode().told_max_open, "what the other one wrote is kept"
    assert ("alerts", "b") in rig.episode().members
    assert rig.meter.counted["conflicts:react"] == 1
    assert rig.actions() == ["worsen queued"]


def test_an_inbound_that_another_worker_handled_meanwhile_is_left_to_it(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a")).alerts(alert("b"))
    first = rig.ledger.pending(1)[0].seq

    def other_worker(commit: Commit) -> None:
        if len(commit.handled) == 2:
            rig.ledger.commit(Commit(now=rig.now, handled=[Handled(seq=first)]))

    rig.committer.before = other_worker
    rig.reacts()
    assert list(rig.episode().members) == [("alerts", "b")]
    assert rig.meter.counted["conflicts:react"] == 1


def test_a_batch_that_another_worker_handled_whole_is_left_to_it(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a"))

    def other_worker(commit: Commit) -> None:
        if commit.handled:
            rig.ledger.commit(Commit(now=rig.now, handled=commit.handled))

    rig.committer.before = other_worker
    rig.reacts()
    assert rig.phase() == "none"
    assert parked(rig) == 0


def test_conflicts_without_end_are_given_up_and_nothing_is_parked_or_lost(make: Make) -> None:
    rig = make()
    rig.alerts(alert())

    def always(commit: Commit) -> None:
        raise Conflict

    rig.committer.before = always
    with pytest.raises(Conflict):
        rig.react_step.run_once()
    assert rig.ledger.totals()["inbounds_pending"] == 1
    rig.committer.before = lambda commit: None
    assert rig.settles().phase() == "open"


def test_a_ledger_that_is_unavailable_parks_nothing(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a")).alerts(alert("b"))

    def gone(commit: Commit) -> None:
        raise LedgerUnavailable("disk is full")

    rig.committer.before = gone
    with pytest.raises(LedgerUnavailable):
        rig.react_step.run_once()
    assert rig.ledger.totals()["inbounds_pending"] == 2


def test_a_ledger_that_fails_once_parks_nothing(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a"))
    left = [1]

    def once(commit: Commit) -> None:
        if left and left.pop():
            raise LedgerUnavailable("busy")

    rig.committer.before = once
    with pytest.raises(LedgerUnavailable):
        rig.react_step.run_once()
    assert parked(rig) == 0
    assert rig.settles().phase() == "open"


# -- yielding

YIELDING = rule("database", match="{labels.service: db}") + rule("checkout", yield_to="[database]")


def test_a_rule_that_yields_keeps_still_while_the_other_is_live_and_remembers(make: Make) -> None:
    rig = make(YIELDING).fires("db", service="db").fires("a").passes("30m")
    assert (rig.phase("database"), rig.phase("checkout")) == ("open", "held")
    assert rig.page.names == ["Database problems"]


def test_a_rule_that_yields_is_woken_at_once_by_the_end_of_the_other(make: Make) -> None:
    rig = make(YIELDING).fires("db", service="db").passes("10s").fires("a")
    rig.passes(timedelta(minutes=29, seconds=50)).clears("db", service="db")
    ends = rig.now + timedelta(minutes=1)
    rig.passes("1m")
    assert rig.now == ends
    assert rig.phase("database") == "resolved"
    assert rig.phase("checkout") == "open", "not a minute later"


def test_a_rule_that_yields_is_woken_also_where_the_other_never_opened(make: Make) -> None:
    held = rule("database", match="{labels.service: db}", hold="10m") + rule("checkout", yield_to="[database]")
    rig = make(held).fires("db", service="db").passes("10s").fires("a").passes("10s")
    assert rig.phase("checkout") == "held"
    rig.clears("db", service="db")
    assert (rig.phase("database"), rig.phase("checkout")) == ("dismissed", "open"), "at the same moment"


def test_a_rule_that_yields_is_woken_also_where_an_outcome_ends_the_other(make: Make) -> None:
    rig = make(YIELDING)
    rig.page.script.append(Answer.TAKEN)
    rig.alerts(alert("db", service="db")).reacts().deliver_step.run_once()
    rig.page.down = True
    rig.passes("15s").fires("a").clears("db", service="db").passes("2m")
    assert (rig.phase("database"), rig.phase("checkout")) == ("clearing", "held")
    rig.page.down = False
    while rig.phase("database") == "clearing":
        rig.passes("1s")
    assert rig.phase("checkout") == "open", "at the same moment, not up to a minute later"


@pytest.mark.parametrize("order", [("db", "a"), ("a", "db")], ids=["the other first", "the other last"])
def test_a_rule_yields_also_to_what_comes_in_the_same_inbound(make: Make, order: tuple[str, str]) -> None:
    rig = make(YIELDING)
    services = {"db": "db", "a": "checkout"}
    rig.alerts(*(alert(name, service=services[name]) for name in order)).settles()
    assert (rig.phase("database"), rig.phase("checkout")) == ("open", "held")
    assert rig.page.names == ["Database problems"]


def test_yielding_goes_along_a_chain_in_the_same_inbound(make: Make) -> None:
    chain = (
        rule("a", match="{labels.service: a}", yield_to="[b]")
        + rule("b", match="{labels.service: b}", yield_to="[c]")
        + rule("c", match="{labels.service: c}")
    )
    rig = make(chain)
    rig.alerts(*(alert(name, service=name) for name in "abc")).settles()
    assert [rig.phase(name) for name in "abc"] == ["held", "held", "open"]


def test_yielding_is_for_one_page(make: Make) -> None:
    rules = rule("database", match="{labels.service: db}", page="other") + rule("checkout", yield_to="[database]")
    rig = make(rules).fires("db", service="db").fires("a")
    assert rig.phase("checkout") == "open"


# -- reloads


def test_a_held_episode_follows_the_rule_in_force(make: Make) -> None:
    rig = make(rule(hold="3m", title="Old words")).fires()
    rig.use(rule(hold="10m", title="New words"))
    assert rig.passes("5m").phase() == "held"
    assert rig.passes("5m").phase() == "open"
    assert rig.page.names == ["New words"]


def test_an_open_episode_keeps_the_revision_that_opened_it(make: Make) -> None:
    rig = make(rule(quiet="1m")).fires().passes("2m")
    rig.use(rule(quiet="1h", say="{open: x, worsen: x, improve: x, resolve: New words.}"))
    rig.clears().passes("2m")
    assert rig.phase() == "resolved"
    assert rig.page.said("inc-1")[-1] == "It is over."


def test_an_open_episode_keeps_its_revision_also_after_a_restart(make: Make) -> None:
    rig = make(rule(quiet="1m")).fires().passes("2m")
    rig.close()
    again = make(rule(quiet="1h"), page=rig.page, path=rig.path)
    again.now = rig.now
    again.clears().passes("2m")
    assert again.phase() == "resolved"


def test_a_held_episode_whose_rule_is_gone_is_dismissed(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    rig.use(rule("unrelated", match="{labels.service: web}"))
    rig.passes("5m")
    assert rig.phase() == "dismissed"
    assert rig.page.sent == []


def test_an_open_episode_whose_rule_is_gone_lives_on_until_it_is_resolved_upstream(make: Make) -> None:
    rig = make().fires("a", severity="warning").passes("5m")
    rig.use(rule("unrelated", match="{labels.service: web}"))
    rig.fires("a", severity="critical").passes("30m")
    assert rig.phase() == "open", "it still fires: a statement of its member must not clear it"
    rig.clears("a").passes("2m")
    assert rig.phase() == "resolved"


def test_an_open_episode_asks_the_revision_that_opened_it_whether_its_members_match(make: Make) -> None:
    rig = make().fires("a", severity="warning").passes("5m")
    rig.use(rule(match="{labels.service: checkout, labels.team: new}"))
    rig.fires("a", severity="critical").passes("30m")
    assert rig.phase() == "open"
    rig.fires("a", service="elsewhere").passes("2m")
    assert rig.phase() == "resolved"


def test_a_rule_that_is_gone_takes_no_new_signal(make: Make) -> None:
    rig = make().fires("a").passes("5m")
    rig.use(rule("unrelated", match="{labels.service: web}"))
    rig.fires("b")
    assert list(rig.episode().members) == [("alerts", "a")]


def test_a_rule_that_is_gone_opens_nothing_again_for_its_old_members(make: Make) -> None:
    rig = make(rule(quiet="0s")).fires("a").passes("5m")
    rig.use(rule("unrelated", match="{labels.service: web}"))
    rig.alerts(alert("a", status="resolved", ended=rig.now))
    rig.alerts(alert("a", started=rig.now))
    rig.settles()
    assert (rig.phase(), rig.episode().number) == ("resolved", 1)


def test_a_renamed_rule_goes_on_with_its_episodes(make: Make) -> None:
    rig = make(rule(reopen_within="0s")).fires("a").passes("5m")
    rig.use(rule("shop", more="was: checkout\n"))
    rig.fires("b")
    assert rig.ledger.totals()["episodes_open"] == 1
    assert set(rig.episode("checkout").members) == {("alerts", "a"), ("alerts", "b")}
    rig.clears("a", "b").passes("2m").fires("a")
    assert rig.episode("checkout").number == 2
    assert len(rig.page.incidents) == 2


def test_a_rule_yields_to_a_renamed_rule(make: Make) -> None:
    rig = make(YIELDING).fires("db", service="db")
    rig.use(
        rule("storage", match="{labels.service: db}", more="was: database\n") + rule("checkout", yield_to="[storage]")
    )
    rig.fires("a").passes("10m")
    assert rig.phase("checkout") == "held"
    rig.clears("db", service="db").passes("1m")
    assert rig.phase("checkout") == "open"


# -- reading twice is harmless


def test_deciding_what_is_decided_already_changes_nothing(make: Make) -> None:
    rig = make(rule(hold="3m")).fires()
    commit = tick(rig.book, rig.ledger, rig.ledger, rig.episode(), rig.now)
    assert (commit.actions, commit.decisions, commit.notices) == ((), [], ())
    assert commit.episodes == [rig.episode()]
    assert Tick().cause == "the clock"


def test_a_statement_of_a_member_of_two_episodes_reaches_both(make: Make) -> None:
    rig = make(rule("one") + rule("two", more=BY_REGION)).fires("a", region="eu")
    rig.passes("5m").clears("a", region="eu").passes("2m")
    assert (rig.phase("one"), rig.phase("two", region="eu")) == ("resolved", "resolved")


def test_the_history_tells_what_each_statement_changed(make: Make) -> None:
    rig = make()
    rig.alerts(alert("a"), alert("a")).reacts()
    assert [(line.position, line.effect) for line in rig.committer.commits[-1].heard] == [(0, "news"), (1, "repeat")]
