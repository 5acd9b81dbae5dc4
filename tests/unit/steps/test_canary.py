"""A monitoring that has died says that all is well: while the canary does not sing, nobody believes it."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.steps.rig import HEAD, Rig, alert, rule

Make = Callable[..., Rig]

SINGS = "alerts: {kind: alertmanager, auth: none, canary: {match: {labels.service: watchdog}, within: 10m}}"
WATCHED = HEAD.replace("alerts: {kind: alertmanager, auth: none}", SINGS)
RULE = rule(quiet="3m", say="{open: It began., improve: It got better., monitoring: We watch., resolve: It is over.}")


def watched(make: Make, rules: str = RULE) -> Rig:
    rig = make()
    rig.use(rules, WATCHED)
    return sings(rig)


def sings(rig: Rig, status: str = "firing") -> Rig:
    return rig.alerts(alert("watchdog", status=status, service="watchdog")).settles()


def passes_singing(rig: Rig, minutes: int) -> Rig:
    for _ in range(minutes):
        sings(rig.passes("1m"))
    return rig


def test_a_monitoring_that_dies_resolves_nothing(make: Make) -> None:
    rig = watched(make).fires()
    rig.clears()
    sings(rig, "resolved").passes("3h")
    assert rig.said == ["0m open open"]
    assert rig.codes == ["canary_gone"]
    assert rig.phase() == "clearing"


def test_silence_counts_as_death_after_within(make: Make) -> None:
    rig = watched(make, rule(quiet="15m")).fires().clears()
    rig.passes("3h")
    assert rig.said == ["0m open open"]
    assert rig.codes == ["canary_gone"]


def test_what_fires_on_after_the_monitoring_is_back_was_never_away(make: Make) -> None:
    rig = watched(make).fires().clears()
    sings(rig, "resolved").passes("1h")
    sings(rig).passes("1m").fires()
    passes_singing(rig, 60)
    assert rig.said == ["0m open open"]
    assert rig.phase() == "open"


def test_what_is_over_is_resolved_once_the_monitoring_is_back_for_as_long_as_quiet(make: Make) -> None:
    rig = watched(make, rule(quiet="3m")).fires().clears()
    sings(rig, "resolved").passes("1h")
    passes_singing(sings(rig), 5)
    assert rig.said == ["0m open open", "63m resolve resolve"]
    assert rig.codes == ["canary_gone", "canary_back"]


def test_while_the_canary_sings_nothing_is_different(make: Make) -> None:
    rig = passes_singing(watched(make).fires(), 30)
    passes_singing(rig.clears(), 10)
    assert rig.said == ["0m open open", "30m update monitoring", "33m resolve resolve"]
    assert rig.codes == []


def test_that_things_got_better_is_not_believed_either(make: Make) -> None:
    rules = rule(components="{checkout: {critical: full_outage, warning: degraded_performance}}", min_gap="0s")
    rig = watched(make, rules).fires("a").fires("b", severity="warning")
    sings(rig, "resolved")
    rig.clears("a").passes("1h")
    assert rig.said == ["0m open open"]
    passes_singing(sings(rig), 2)
    assert [said.split(" ", 1)[1] for said in rig.said] == ["open open", "update improve"]


def test_a_canary_that_was_never_heard_is_told_after_within_and_believed_never(make: Make) -> None:
    rig = make()
    rig.use(rule(quiet="1m"), WATCHED)
    rig.fires().clears().passes("9m")
    assert rig.codes == []
    for _ in range(60):
        rig.passes("1m")
    assert rig.said == ["0m open open"]
    assert rig.codes == ["canary_gone"]


def test_other_sources_have_nothing_to_do_with_it(make: Make) -> None:
    rig = watched(make, rule())
    sings(rig, "resolved")
    rig.words({"key": "w", "status": "firing"}).settles()
    rig.words({"key": "w", "status": "resolved"}).passes("5m")
    assert rig.said == ["0m open open", "1m resolve resolve"]
