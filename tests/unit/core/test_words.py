"""Which components signals touch, which of them leads, and what a template may say about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.transcript import START, Transcript, alert, rule_of
from worker.core.conditions import Want, compile_event, compile_signals
from worker.core.drafts import Context
from worker.core.model import ComponentStatus, Episode, Event, Member, Phase, Signal
from worker.core.ruleset import Impact, Program, Rule
from worker.core.words import Standing, counts, impact_of, words_for
from worker.errors import EvaluationFailed

FULL, PARTIAL = ComponentStatus.FULL_OUTAGE, ComponentStatus.PARTIAL_OUTAGE
DEGRADED, GOOD = ComponentStatus.DEGRADED_PERFORMANCE, ComponentStatus.OPERATIONAL
MINUTE = timedelta(minutes=1)

BY_NAME = Impact(by_name={"checkout": {"critical": FULL, "warning": DEGRADED}, "api": {"critical": PARTIAL}})
FROM_LABEL = """
  - id: chosen
    match: {}
    group_by: []
    incident:
      page: main
      components: {from: "event.labels.part", status: {critical: partial_outage}}
      title: T
      hold: 0s
      quiet: 1m
      min_gap: 1m
      say: {open: o, worsen: w, improve: i, resolve: r}
"""


def chosen(text: str = "event.labels.part", **status: ComponentStatus) -> Impact:
    """An impact that an expression chooses per signal."""
    return Impact(chosen=compile_event(text, Want.TEXT), chosen_status=status or {"critical": PARTIAL})


def member(
    key: str, severity: str = "critical", status: str = "firing", *, cleared: bool = False, **more: object
) -> Member:
    """A member of an episode."""
    event = alert(key, severity, status, **more)
    return Member(signal=Signal(event=event, stamp=START, since=START), joined_at=START, cleared=cleared)


# -- impact


def test_a_severity_has_the_status_that_the_rule_gives_it() -> None:
    assert impact_of(BY_NAME, alert(severity="critical")) == {"checkout": FULL, "api": PARTIAL}
    assert impact_of(BY_NAME, alert(severity="warning")) == {"checkout": DEGRADED}
    assert impact_of(BY_NAME, alert(severity="info")) == {}
    assert impact_of(BY_NAME, alert(severity="")) == {}


def test_a_status_for_any_severity_is_taken_where_there_is_none_for_this_one() -> None:
    impact = Impact(by_name={"checkout": {"*": DEGRADED, "critical": FULL}})
    assert impact_of(impact, alert(severity="critical")) == {"checkout": FULL}
    assert impact_of(impact, alert(severity="anything")) == {"checkout": DEGRADED}


def test_an_expression_chooses_the_component_per_signal() -> None:
    assert impact_of(chosen(), alert(labels={"part": "api"})) == {"api": PARTIAL}
    assert impact_of(chosen(), alert(severity="info")) == {}, "and is not even asked where the severity has no status"


def test_an_expression_that_fails_is_told() -> None:
    with pytest.raises(EvaluationFailed, match="part"):
        impact_of(chosen(), alert())


def test_a_good_status_is_no_impact() -> None:
    impact = Impact(by_name={"checkout": {"critical": FULL, "info": GOOD}})
    assert impact_of(impact, alert(severity="info")) == {}
    assert not counts(impact, alert(severity="info"))
    assert impact_of(chosen(info=GOOD), alert(severity="info")) == {}


def test_every_signal_counts_where_the_rule_names_no_component() -> None:
    assert counts(Impact(), alert(severity="whatever"))
    assert not counts(BY_NAME, alert(severity="whatever"))
    assert counts(BY_NAME, alert(severity="warning"))


def test_a_signal_counts_where_its_component_cannot_be_told() -> None:
    assert counts(chosen(), alert())


# -- standing


def test_the_worst_status_of_each_component_wins() -> None:
    standing = Standing(BY_NAME, [member("a", "warning"), member("b"), member("c", "warning")])
    assert standing.components() == {"checkout": FULL, "api": PARTIAL}


def test_what_was_touched_and_is_not_any_more_is_operational() -> None:
    standing = Standing(BY_NAME, [member("a", "warning")])
    assert standing.components({"api", "web"}) == {"api": GOOD, "web": GOOD, "checkout": DEGRADED}


def test_only_what_fires_and_is_not_cleared_and_has_an_impact_counts() -> None:
    members = [member("a", cleared=True), member("b", status="resolved"), member("c", "info")]
    standing = Standing(BY_NAME, members)
    assert standing.firing == ()
    assert standing.components() == {}


def test_the_worst_leads_then_the_oldest_then_the_first_by_key() -> None:
    old, young = START - MINUTE, START
    worse = member("z", "critical", started=young)
    oldest = member("y", "warning", started=old)
    first = member("b", "warning", started=young)
    last = member("c", "warning", started=young)
    for members, leads in (
        ([last, first, oldest, worse], worse),
        ([last, first, oldest], oldest),
        ([last, first], first),
    ):
        leading = Standing(BY_NAME, members).leading()
        assert leading is leads


def test_a_signal_that_fires_leads_before_a_worse_one_that_does_not() -> None:
    firing, over = member("z", "warning"), member("a", "critical", "resolved")
    assert Standing(BY_NAME, [over, firing]).leading() is firing
    assert Standing(BY_NAME, [over]).leading() is over
    assert Standing(BY_NAME, []).leading() is None


def test_a_signal_without_a_start_is_as_old_as_its_membership() -> None:
    early = replace(member("z", started=None), joined_at=START - MINUTE)
    assert Standing(BY_NAME, [member("a"), early]).leading() is early


def test_a_firing_member_whose_component_cannot_be_told_is_told() -> None:
    with pytest.raises(EvaluationFailed):
        Standing(chosen(), [member("a", labels={"part": "api"}), member("b")])


def test_a_member_that_is_over_keeps_nobody_up_whose_component_cannot_be_told() -> None:
    good, broken = member("a", labels={"part": "api"}), member("b", status="resolved")
    standing = Standing(chosen(), [good, broken, member("c", cleared=True)])
    assert standing.components() == {"api": PARTIAL}
    assert standing.leading() is good


def test_an_incident_is_resolved_also_where_one_of_its_members_could_not_be_placed() -> None:
    t = Transcript(rule_of(FROM_LABEL)).fires("a", labels={"part": "api"}).passes("2m").fires("b").passes("2m")
    t.clears("b").passes("5m").clears("a").passes("1h")
    assert t.phase == "resolved"
    assert [line.split(" ", 1)[1] for line in t.said] == ["open open mails", "resolve resolve mails"]
    assert [n.code for n in t.notices] == ["evaluation_failed"]


# -- words


def told(
    rule: Rule, *, group: dict[str, str] | None = None, members: tuple[Member, ...] = (), event: Event | None = None
) -> dict[str, object]:
    """Collect the words of an episode that began ten minutes ago."""
    episode = Episode(
        id="r@main#3",
        rule_id="r",
        page="main",
        group=group or {},
        number=3,
        phase=Phase.OPEN,
        rule_hash="h",
        created_at=START,
        held_since=START,
    )
    context = Context(rule=rule, page="main", page_name="Acme Status", names={"checkout": "Checkout API"})
    later = START + 10 * MINUTE
    return dict(words_for(rule, episode, event or alert(), members, ["checkout", "other"], context, later))


def with_vars(**programs: Program) -> Rule:
    """A rule with variables."""
    return replace(rule_of(), vars=programs)


def test_words_are_the_allow_list_and_nothing_of_the_event_beside_its_severity() -> None:
    words = told(rule_of(), members=(member("a"), member("b")))
    assert words == {
        "components": ["Checkout API", "other"],
        "severity": "critical",
        "episode": {"number": 3, "started_at": START, "duration": 10 * MINUTE, "signals": 2},
        "window": None,
        "page": "Acme Status",
        "now": START + 10 * MINUTE,
    }


def test_group_and_variables_are_words() -> None:
    rule = with_vars(part=compile_event("event.labels.service", Want.TEXT))
    words = told(rule, group={"region": "eu"})
    assert (words["region"], words["part"]) == ("eu", "checkout")


def test_a_variable_sees_every_firing_signal_and_the_event_of_the_leading_one() -> None:
    rule = with_vars(all=compile_signals("signals.map(s, s.key)", Want.ANY), lead=compile_event("event.key", Want.TEXT))
    words = told(rule, members=(member("a"), member("b")), event=alert("lead"))
    assert (words["all"], words["lead"]) == (["a", "b"], "lead")


def test_a_variable_that_fails_is_told() -> None:
    rule = with_vars(part=compile_event("event.labels.nowhere", Want.TEXT))
    with pytest.raises(EvaluationFailed, match="nowhere"):
        told(rule)


def test_no_variable_and_no_group_takes_the_place_of_what_the_worker_says() -> None:
    rule = with_vars(severity=compile_event("'ours'", Want.TEXT), episode=compile_event("'ours'", Want.TEXT))
    words = told(rule, group={"now": "ours", "page": "ours"})
    assert words["severity"] == "critical"
    assert words["page"] == "Acme Status"
    assert "ours" not in words.values()


# -- what has become private

PRIVATE = replace(alert("a", "critical", "resolved", labels={"part": "api"}), message="SECRET", private=True)


def test_nothing_of_a_signal_that_has_become_private_is_a_word() -> None:
    rule = with_vars(said=compile_event("event.message", Want.TEXT))
    with pytest.raises(EvaluationFailed, match="private"):
        told(rule, event=PRIVATE)
    with pytest.raises(EvaluationFailed):
        told(rule, event=replace(PRIVATE, private=False, test=True))
    assert told(rule_of(), event=PRIVATE)["page"] == "Acme Status", "a rule without variables says nothing of it anyway"


def test_a_variable_over_all_signals_sees_none_that_has_become_private() -> None:
    rule = with_vars(said=compile_signals("signals.map(s, s.message)", Want.ANY))
    hidden = Member(signal=Signal(event=PRIVATE, stamp=START, since=START), joined_at=START)
    assert told(rule, members=(hidden, member("b", message="open")))["said"] == ["open"]


def test_a_rule_that_asks_for_private_signals_may_use_their_words() -> None:
    private = rule_of(FROM_LABEL.replace("match: {}", 'match: {private: "true"}'))
    rule = replace(private, vars={"said": compile_event("event.message", Want.TEXT)})
    assert told(rule, event=PRIVATE)["said"] == "SECRET"


def test_of_those_that_are_over_a_public_one_leads() -> None:
    hidden = Member(signal=Signal(event=PRIVATE, stamp=START, since=START), joined_at=START)
    public = member("z", "warning", "resolved")
    assert Standing(BY_NAME, [hidden, public]).leading() is public
    assert Standing(BY_NAME, [hidden]).leading() is hidden
