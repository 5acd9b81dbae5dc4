"""Maintenance windows that people make on the page, in rule tests: adopted, moved, muting, or left to the page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.steps.rig import HEAD, rule
from worker.bootstrap import source_facts
from worker.bootstrap.rehearsal import play_case
from worker.core.model import ActionKind
from worker.core.rules import load
from worker.core.ruleset import RuleSet
from worker.providers import PROVIDERS
from worker.rehearse.coverage import Coverage
from worker.rehearse.places import Places
from worker.rehearse.play import Played
from worker.rehearse.reading import read_cases
from worker.rehearse.verdict import Verdict, judge
from worker.rehearse.why import came
from worker.sources import SENDERS

ADOPTS = "adopt_maintenance: {title: {regex: Planned.*}, start: It began., complete: It is over., notify: true}"
RULES = HEAD.replace("publish: auto\n", f"publish: auto\n    {ADOPTS}\n", 1) + rule(hold="3m")
PLANNED = "{at: 0m, page: {schedules: checkout, title: Planned work, starts: 1h, ends: 2h, on: main}}"
FIRES = "{at: 90m, send: {source: alerts, alerts: [{labels: {service: checkout, severity: critical}}]}}"


def rules() -> RuleSet:
    return load({"rules.yaml": RULES}, {}, source_kinds=source_facts(), provider_names=PROVIDERS)


def played(expect: str, *steps: str, coverage: Coverage | None = None) -> Played:
    body = "".join(f"      - {step}\n" for step in steps)
    test = f"tests:\n  - name: x\n    steps:\n{body}    expect: {expect}\n"
    (case,) = read_cases({"x.yaml": test}, rules(), SENDERS, lambda file, name: b"")
    return play_case(case, rules(), coverage)


def verdict(expect: str, *steps: str) -> Verdict:
    return judge(played(expect, *steps))


def test_an_adopted_window_is_moved_at_its_times_and_known_by_its_name() -> None:
    begun = "{at: 1h, do: start_maintenance, title: Planned work, text: It began., mails: true}"
    over = "{at: 2h, do: complete_maintenance, title: Planned work, text: It is over.}"
    found = verdict(f"[{begun}, {over}]", PLANNED, "{at: 1d}")
    assert found.holds, found.rows
    assert not verdict(f"[{begun.replace('Planned', 'Other')}, {over}]", PLANNED, "{at: 1d}").holds


def test_what_they_call_otherwise_is_left_to_them() -> None:
    assert verdict("[]", PLANNED.replace("Planned", "Urgent"), "{at: 1d}").holds


def test_what_they_move_is_obeyed() -> None:
    moved = "{at: 30m, page: {moves: Planned work, starts: 3h, ends: 2026-01-05T14:00:00Z}}"
    expect = "[{at: 3h, do: start_maintenance}, {at: 4h, do: complete_maintenance}]"
    assert verdict(expect, PLANNED, moved, "{at: 1d}").holds


def test_what_they_complete_is_theirs_from_then_on() -> None:
    over = "{at: 80m, page: {person_posts: Planned work, status: maintenance_complete}}"
    assert verdict("[{at: 1h, do: start_maintenance}]", PLANNED, over, "{at: 1d}").holds


def test_a_window_that_the_page_moves_by_itself_only_mutes() -> None:
    automated = PLANNED.replace("ends: 2h", "ends: 2h, automate: true")
    assert verdict("[{at: 130m, do: open_incident}]", automated, FIRES, "{at: 1d}").holds


def test_an_automated_window_is_moved_by_the_page_at_its_times() -> None:
    done = played("[]", PLANNED.replace("ends: 2h", "ends: 2h, automate: true"), "{at: 1d}")
    page = done.stage.pages["main"]
    shown = page.show(page.called("Planned work"), ActionKind.UPDATE_MAINTENANCE)
    assert shown is not None
    start = done.case.spec.start
    assert [(post.status, post.published_at) for post in shown.updates] == [
        ("maintenance_scheduled", start),
        ("maintenance_in_progress", start + timedelta(hours=1)),
        ("maintenance_complete", start + timedelta(hours=2)),
    ]


def test_why_an_incident_came_late_names_their_window_and_the_line_of_the_page() -> None:
    done = played("[]", PLANNED, FIRES, "{at: 1d}")
    (opened,) = (each for each in done.sayings if each.action.kind == "open_incident")
    last = came(done.stage, done.sent, opened, Places({"rules.yaml": RULES}, "templates"))[-1]
    assert last.text == "maintenance `Planned work`, and its `grace`, kept it back until now"
    assert last.place == "rules.yaml:8:5"


@pytest.mark.parametrize("fires", ["65m", "90m"])
def test_why_an_incident_came_late_names_a_window_whose_end_a_person_has_moved(fires: str) -> None:
    planned = PLANNED.replace("ends: 2h", "ends: 7h")
    moved = "{at: 70m, page: {moves: Planned work, starts: 1h, ends: 89m}}"
    alert = FIRES.replace("90m", fires)
    steps = (alert, moved) if fires < "70m" else (moved, alert)
    done = played("[]", planned, *steps, "{at: 1d}")
    (opened,) = (each for each in done.sayings if each.action.kind == "open_incident")
    last = came(done.stage, done.sent, opened, Places({"rules.yaml": RULES}, "templates"))[-1]
    assert last.text == "maintenance `Planned work`, and its `grace`, kept it back until now"


def test_the_texts_of_an_adoption_have_their_place() -> None:
    done = played("[]", PLANNED, "{at: 1d}")
    places = Places({"rules.yaml": RULES}, "templates")
    began, over = done.sayings
    assert str(places.governing(began, "text", None)) == "`adopt_maintenance.start: It began.`, rules.yaml:8:52"
    assert str(places.governing(over, "mails", None)) == "`adopt_maintenance.notify: True`, rules.yaml:8:93"
    assert places.governing(began, "at", None) is None


def test_coverage_knows_adoption() -> None:
    coverage = Coverage(rules())
    points = {point.what for point in coverage.points if point.kind == "page"}
    assert points == {"an adopted window starts", "an adopted window is complete"}
    played("[]", PLANNED, "{at: 90m}", coverage=coverage)
    assert {point.what for point in coverage.missed if point.kind == "page"} == {"an adopted window is complete"}


@pytest.mark.parametrize(
    ("deed", "problem"),
    [
        (
            "{resolves: Planned work}",
            "`Planned work` is a maintenance window on the page, which has no status `resolved`",
        ),
        ("{moves: Theirs, ends: 3h}", "`Theirs` is an incident on the page, which has no times to move"),
        (
            "{person_posts: Theirs, status: maintenance_complete}",
            "`Theirs` is an incident on the page, which has no status `maintenance_complete`",
        ),
    ],
)
def test_what_makes_no_sense_on_the_page_fails_at_its_step(deed: str, problem: str) -> None:
    theirs = "{at: 1m, page: {opens: checkout, title: Theirs, on: main}}"
    found = verdict("[]", PLANNED, theirs, f"{{at: 5m, page: {deed}}}")
    assert found.problems == (("x.yaml:6:9", problem),)
