"""Page against ledger: every difference is found in one sweep, and where there is none, none is told."""

from __future__ import annotations

import random  # noqa: TID251  (seeded)
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes.provider import Answer, FakePage
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import Rig, alert, rule
from worker.core.drift import Drift, DriftKind
from worker.core.model import Episode, RemoteIncident, RemoteUpdate
from worker.steps.observe import WHOLE, compare

REGIONS = rule(title='"{{ region }} has trouble"', more="group_by: [region]")
"""One incident for each region; their names tell them apart."""


def compared(rig: Rig, since: timedelta = WHOLE) -> list[Drift]:
    return compare("main", rig.channels["main"], rig.ledger, rig.rules, rig.now - since, rig.clock)


def told(drifts: list[Drift]) -> list[tuple[str, str, str, str]]:
    return sorted((drift.kind, drift.subject, drift.remote_id, drift.what) for drift in drifts)


def regions(rig: Rig, names: list[str], status: str = "firing", severity: str = "critical") -> Rig:
    """One alert for each region."""
    return rig.alerts(
        *(alert(name, severity, status, region=name, ended=rig.now if status == "resolved" else None) for name in names)
    ).settles()


def calm(rig: Rig, length: str = "10m") -> Rig:
    return rig.passes(length)


# -- what may be wrong with one incident, and what is to be found

Wrong = Callable[[FakePage, Episode], tuple[DriftKind, str]]


def _change(page: FakePage, episode: Episode, **fields: object) -> None:
    page.incidents[episode.remote_id] = replace(page.incidents[episode.remote_id], **fields)  # type: ignore[arg-type]


def _posts(page: FakePage, episode: Episode) -> tuple[RemoteUpdate, ...]:
    return page.incidents[episode.remote_id].updates


def object_lost(page: FakePage, episode: Episode) -> tuple[DriftKind, str]:
    page.person_deletes(episode.remote_id)
    return DriftKind.LOST, "object"


def post_lost(page: FakePage, episode: Episode) -> tuple[DriftKind, str]:
    first, *others = _posts(page, episode)
    _change(page, episode, updates=tuple(others))
    return DriftKind.LOST, first.id


def text_changed(page: FakePage, episode: Episode) -> tuple[DriftKind, str]:
    first, *others = _posts(page, episode)
    _change(page, episode, updates=(replace(first, message="All is well."), *others))
    return DriftKind.CHANGED, first.id


def name_changed(page: FakePage, episode: Episode) -> tuple[DriftKind, str]:
    page.person_renames(episode.remote_id, "Nothing to see")
    return DriftKind.CHANGED, "name"


def status_changed(page: FakePage, episode: Episode) -> tuple[DriftKind, str]:
    _change(page, episode, status="monitoring")
    return DriftKind.CHANGED, "status"


def post_doubled(page: FakePage, episode: Episode) -> tuple[DriftKind, str]:
    last = _posts(page, episode)[-1]
    again = replace(last, id=f"again-{last.id}")
    _change(page, episode, updates=(*_posts(page, episode), again))
    return DriftKind.DUPLICATE, again.id


WRONG: list[Wrong] = [object_lost, post_lost, text_changed, name_changed, status_changed, post_doubled]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("over", [False, True], ids=["open", "over"])
def test_what_is_wrong_with_an_incident_is_found(make: Make, wrong: Wrong, over: bool) -> None:
    rig = make(REGIONS)
    regions(rig, ["eu"])
    if over:
        calm(rig)
        regions(rig, ["eu"], "resolved")
    calm(rig)
    assert compared(rig) == []
    kind, what = wrong(rig.page, rig.episode(region="eu"))
    assert told(compared(rig)) == [(kind, rig.episode(region="eu").id, "inc-1", what)]


def _copy(page: FakePage, of: RemoteIncident, name: str) -> str:
    page.incidents[name] = replace(of, id=name, updates=tuple(replace(u, id=f"{name}-{u.id}") for u in of.updates))
    return name


def test_an_incident_that_is_there_twice_is_found(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"]))
    _copy(rig.page, rig.page.incidents["inc-1"], "second")
    assert told(compared(rig)) == [("duplicate", rig.episode(region="eu").id, "second", "object")]


@pytest.mark.parametrize("title", ["EU has trouble", "South and East has trouble"])
def test_an_open_incident_that_says_what_we_would_say_is_told_where_the_ledger_does_not_know_it(
    make: Make, title: str
) -> None:
    rig = make(REGIONS)
    found = rig.page.person_opens(title, message="It began.")
    assert told(compared(rig)) == [("unexpected", "", found, "object")]
    rig.page.person_resolves(found)
    assert compared(rig) == []


@pytest.mark.parametrize(
    ("title", "message"), [("EU has problems", "It began."), ("EU has trouble", "We look."), ("Payments", "It began.")]
)
def test_what_others_say_in_their_own_words_is_theirs(make: Make, title: str, message: str) -> None:
    rig = make(REGIONS)
    rig.page.person_opens(title, message=message)
    assert compared(rig) == []


def test_words_that_could_be_anybodys_prove_nothing(make: Make) -> None:
    rig = make(rule(title='"{{ region }}"', more="group_by: [region]"))
    rig.page.person_opens("EU", message="It began.")
    assert compared(rig) == []


def test_a_create_that_still_settles_is_nothing_unexpected(make: Make) -> None:
    rig = make(REGIONS)
    rig.page.script.append(Answer.TAKEN)
    rig.alerts(alert("eu", region="eu")).reacts()
    rig.deliver_step.run_once()
    assert [action.state for action in rig.episode(region="eu").actions] == ["unknown"]
    assert compared(rig) == []


def test_a_create_that_was_given_up_and_is_there_after_all_is_told(make: Make) -> None:
    rig = make(REGIONS)
    rig.page.script.append(Answer.REFUSED)
    regions(rig, ["eu"])
    assert rig.actions(region="eu") == ["open parked"]
    found = rig.page.person_opens("eu has trouble", message="It began.")
    assert told(compared(rig)) == [("unexpected", rig.episode(region="eu").id, found, "object")]


def test_what_moves_on_between_the_readings_is_not_judged(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"], severity="warning"))
    shown, ongoing = rig.page.show, rig.page.ongoing

    def busy(directory: object) -> object:
        before = ongoing(directory)  # type: ignore[arg-type]
        rig.page.ongoing = ongoing  # type: ignore[method-assign]
        rig.page.show = shown  # type: ignore[method-assign]
        calm(regions(rig, ["eu"]))  # a page that answers so slowly that even this is long ago by then
        return before

    rig.page.ongoing = busy  # type: ignore[method-assign,assignment]
    assert compared(rig) == []
    assert len(rig.page.incidents["inc-1"].updates) == 2


def test_what_a_person_holds_is_theirs(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"]))
    rig.page.person_posts("inc-1", status="monitoring")
    rig.page.person_renames("inc-1", "Ours now")
    rig.looks()
    assert rig.episode(region="eu").hands_off
    assert compared(rig) == []


def test_a_postscript_of_a_person_to_what_is_over_is_none_of_our_business(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"]))
    regions(rig, ["eu"], "resolved")
    calm(rig)
    rig.page.person_posts("inc-1", "What went wrong.", "resolved")
    assert compared(rig) == []


def test_what_a_person_opens_again_is_theirs(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"]))
    calm(regions(rig, ["eu"], "resolved"))
    rig.page.person_posts("inc-1", "Not over yet.", "identified")
    assert compared(rig) == []


def test_a_list_that_lags_behind_is_not_believed(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"], severity="warning"))
    stale = list(rig.page.incidents.values())
    calm(regions(rig, ["eu"]))
    rig.page.ongoing = lambda directory: stale  # type: ignore[method-assign]
    assert compared(rig) == []


def test_what_the_page_altered_when_it_took_it_is_no_later_change(make: Make) -> None:
    rig = make(REGIONS)
    rig.page.alters = lambda text: f"“{text}”"
    regions(rig, ["eu"])
    calm(rig)
    assert rig.page.said("inc-1") == ["“It began.”"]
    assert compared(rig) == []


def test_two_hundred_differences_are_found_in_one_sweep(make: Make) -> None:
    rig = make(REGIONS)
    names = [f"r{number}" for number in range(60)]
    calm(regions(rig, names, severity="warning"))
    calm(regions(rig, names[:30]))  # one half gets worse, the other ends: each has two posts
    calm(regions(rig, names[30:], "resolved"))
    assert compared(rig) == []
    episodes = [rig.episode(region=name) for name in names]
    expected: list[tuple[str, str, str, str]] = []
    several = [text_changed, name_changed, status_changed, post_doubled]
    chosen: list[list[Wrong]] = [[object_lost], [post_lost, *several[1:]], [], several, several, several]
    for number, episode in enumerate(episodes):
        for wrong in chosen[number % 6]:
            kind, what = wrong(rig.page, episode)
            expected.append((kind, episode.id, episode.remote_id, what))
    for episode in [each for number, each in enumerate(episodes[:30]) if number % 6 == 2]:
        name = _copy(rig.page, rig.page.incidents[episode.remote_id], f"copy-of-{episode.remote_id}")
        expected.append(("duplicate", episode.id, name, "object"))
    for number in range(30):
        found = rig.page.person_opens(f"x{number} has trouble", message="It began.")
        expected.append(("unexpected", "", found, "object"))
    assert len(expected) >= 200
    assert {kind for kind, *_ in expected} == set(DriftKind)
    assert told(compared(rig)) == sorted(expected)


def test_clean_sweeps_find_nothing(make: Make) -> None:
    """A random life on a page that fails, answers late and shows what was a while ago; swept all the time."""
    chance = random.Random(1000)
    names = [f"r{number}" for number in range(8)]
    rig = make(rule(title='"{{ region }} has trouble"', more="group_by: [region]", quiet="1m", min_gap="30s"))
    rig.page.lag = timedelta(seconds=20)
    swept = 0
    for _ in range(40):
        rig.page.always = chance.choice([Answer.DONE, Answer.DONE, Answer.DONE, Answer.NOT_SENT, Answer.TAKEN])
        rig.page.script.append(chance.choice([Answer.LOST, Answer.DONE, Answer.LATE]))
        name = chance.choice(names)
        regions(rig, [name], chance.choice(["firing", "firing", "resolved"]), chance.choice(["critical", "warning"]))
        for _ in range(chance.randrange(2, 10)):
            rig.passes(f"{chance.randrange(1, 60)}s")
            rig.page.arrive()
            found = compared(rig, chance.choice([WHOLE, timedelta(minutes=10)]))
            assert found == [], (rig.now, found)
            swept += 1
    assert swept > 180
    assert len(rig.page.sent) > 40


# -- the sweeps of the worker


def test_what_is_found_is_told_once_and_again_when_it_recurs(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"])).looks()
    kept = rig.page.incidents["inc-1"]
    for _ in range(2):
        text_changed(rig.page, rig.episode(region="eu"))
        for _ in range(3):
            rig.passes("5m").looks()
        assert rig.ledger.totals()["drift_changed"] == 1
        rig.page.incidents["inc-1"] = kept
        rig.passes("5m").looks()
        assert rig.ledger.totals()["drift_changed"] == 0
    assert rig.codes == ["drift", "drift"]
    (notice, _) = rig.notices
    assert notice.subject == rig.episode(region="eu").id
    assert "changed on page `main`" in notice.text


def test_what_is_over_is_swept_each_day_and_stays_told(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"])).looks()
    calm(regions(rig, ["eu"], "resolved")).looks()
    rig.passes("2d").looks()
    object_lost(rig.page, rig.episode(region="eu"))
    rig.passes("6m").looks()
    assert rig.codes == [], "not before the next day"
    rig.passes("1d").looks()
    assert rig.codes == ["drift"]
    for _ in range(3):
        rig.passes("6m").looks()
    rig.passes("1d").looks()
    assert rig.codes == ["drift"]
    assert rig.ledger.totals()["drift_lost"] == 1
    rig.passes("40d").looks()
    assert rig.ledger.totals()["drift_lost"] == 0, "too long ago to matter"


def test_a_restart_tells_nothing_again(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"])).looks()
    text_changed(rig.page, rig.episode(region="eu"))
    rig.passes("5m").looks()
    rig.close()
    again = make(REGIONS, page=rig.page, path=rig.path)
    again.now = rig.now
    again.passes("5m").looks()
    assert again.codes == ["drift"]


def test_an_incident_that_is_lost_while_it_fires_is_told_and_never_opened_a_second_time(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"])).looks()
    object_lost(rig.page, rig.episode(region="eu"))
    rig.passes("1m").looks()
    for _ in range(5):
        rig.passes("5m").looks()
    regions(rig, ["eu"])
    calm(rig)
    assert rig.page.incidents == {}
    assert rig.codes == ["taken_over"]


def test_a_page_that_fails_in_a_sweep_is_swept_later(make: Make) -> None:
    rig = calm(regions(make(REGIONS), ["eu"])).looks()
    text_changed(rig.page, rig.episode(region="eu"))
    rig.page.down = True
    rig.passes("5m").looks()
    assert rig.codes == []
    rig.page.down = False
    rig.passes("1m").looks()
    assert rig.codes == ["drift"]
