"""What customers see of maintenance windows: the whole pipeline, the provider's client, and the rehearsal page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, SETTLE, Rig, rule
from tests.unit.steps.test_event_windows import DEPLOY, says
from tests.unit.steps.test_window_changes import CANCEL, OVERRUN, works
from tests.unit.steps.test_windows import ENTRY
from worker.ports import Channel
from worker.providers.incident_io import IncidentIo
from worker.sandbox import DEFAULT_KEY, SandboxServer

Shown = Callable[[], dict[str, str]]
UNDER, GOOD, DOWN = "under_maintenance", "operational", "full_outage"


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


class Seen:
    """A rig whose page is the rehearsal page, and what that shows."""

    def __init__(self, rig: Rig, page: SandboxServer, rules: str, head: str) -> None:
        self.rig, self.page = rig, page
        page.clock = rig.clock
        config = replace(rig.use(rules, head).pages["main"], base_url=page.url)
        provider = IncidentIo(config, DEFAULT_KEY, rig.clock)
        rig.channels = {"main": Channel(provider, provider.directory, SETTLE)}

    def __getitem__(self, component: str) -> str:
        """Give what customers see of a component, the worst over all that goes on."""
        found = self.page.state.page
        places = found.places()
        named = {
            f"{place.group.name} / {place.component.name}" if place.group else place.component.name: key
            for key, place in places.items()
        }
        return self.page.state.component_statuses(found.id)[named[component]]

    @property
    def windows(self) -> list[list[str]]:
        """Give the statuses that each window went through."""
        return [[update.status.removeprefix("maintenance_") for update in window.updates] for window in self._all()]

    @property
    def last_words(self) -> list[str]:
        return [window.updates[-1].message for window in self._all()]

    @property
    def ends(self) -> list[str]:
        return [f"{window.end_at:%H:%M}" for window in self._all()]

    def _all(self) -> list:  # type: ignore[type-arg]
        return sorted(self.page.state.maintenances.shelf.all(), key=lambda window: window.published_at)


@pytest.fixture
def see(make: Make, page: SandboxServer) -> Callable[..., Seen]:
    return lambda rules, head=HEAD: Seen(make(), page, rules, head)


SECOND = ENTRY.replace("maintenance:\n", "").replace("id: db", "id: net").replace("T14:00", "T14:30")


def test_a_component_is_under_maintenance_until_the_last_of_its_windows_is_over(see: Callable[..., Seen]) -> None:
    seen = see(rule(hold="0s") + ENTRY + SECOND)
    rig = seen.rig.passes("185m")
    assert seen["Checkout API"] == UNDER
    rig.fires().passes("60m")  # 14:05: the first is over, the second runs
    assert seen.windows == [["scheduled", "scheduled", "in_progress", "complete"], ["scheduled"] * 2 + ["in_progress"]]
    assert (seen["Checkout API"], rig.phase()) == (UNDER, "held")
    rig.passes("32m")  # 14:37
    assert (seen["Checkout API"], rig.phase()) == (GOOD, "held")
    rig.passes("4m")  # 14:41: the grace of the second
    assert (seen["Checkout API"], rig.phase()) == (DOWN, "open")


def test_an_incident_that_was_open_before_goes_on_speaking_and_is_not_hidden(see: Callable[..., Seen]) -> None:
    seen = see(rule() + ENTRY)
    rig = seen.rig.passes("170m").fires("a", severity="warning")
    assert seen["Checkout API"] == "degraded_performance"
    rig.passes("15m")  # 13:05
    assert (rig.phase(), seen["Checkout API"]) == ("open", "degraded_performance")  # worse than the maintenance
    rig.fires("b").passes("2m")
    assert seen["Checkout API"] == DOWN
    rig.clears("a", severity="warning").clears("b").passes("5m")
    assert (rig.phase(), seen["Checkout API"]) == ("resolved", UNDER)
    rig.passes("1h")
    assert seen["Checkout API"] == GOOD


GROUP = HEAD.replace(
    "components: {checkout: Checkout API, api: Public API, web: Dashboard}",
    "components: {checkout: {group: Europe}, api: Public API, web: Dashboard}",
    1,
)


def test_a_window_on_a_group_is_on_all_of_its_components(see: Callable[..., Seen]) -> None:
    seen = see(rule(hold="0s") + ENTRY, GROUP)
    seen.rig.passes("181m")
    europe = ("Europe / API", "Europe / Storage")
    assert [seen[name] for name in europe] == [UNDER, UNDER]
    assert seen["US / API"] == GOOD
    assert seen.rig.fires().phase() == "held"
    seen.rig.clears().passes("1h")
    assert [seen[name] for name in europe] == [GOOD, GOOD]


def test_an_extension_is_seen_and_so_is_that_the_work_goes_on(see: Callable[..., Seen]) -> None:
    seen = see(rule() + ENTRY + OVERRUN)
    rig = works(seen.rig.passes("3h")).passes("2h")
    assert (seen.ends, seen["Checkout API"]) == (["14:30"], UNDER)
    assert seen.windows[0][-1] == "in_progress"
    works(rig, "resolved").passes("2m")
    assert (seen.windows[0][-1], seen["Checkout API"]) == ("complete", GOOD)


def test_a_deployment_is_seen_while_it_runs_and_not_after(see: Callable[..., Seen]) -> None:
    seen = see(DEPLOY)
    says(seen.rig)
    assert seen["Checkout API"] == UNDER
    says(seen.rig.passes("5m"), status="resolved")
    assert (seen.windows, seen["Checkout API"]) == ([["in_progress", "complete"]], GOOD)
    assert seen.last_words == ["Release 7 is over."]


@pytest.mark.parametrize(("delete", "left"), [("", [["scheduled", "complete"]]), (", delete: true", [])])
def test_what_is_called_off_is_said_and_then_gone_where_that_is_wanted(
    see: Callable[..., Seen], delete: str, left: list[list[str]]
) -> None:
    seen = see(rule() + ENTRY + CANCEL % delete)
    rig = seen.rig.passes("90m")
    rig.use(rule())
    rig.passes("3h")
    assert (seen.windows, seen["Checkout API"]) == (left, GOOD)
    assert rig.codes == []


def test_what_the_page_would_start_by_itself_is_called_off_for_good(see: Callable[..., Seen]) -> None:
    seen = see(rule() + ENTRY + "    driver: provider\n")
    rig = seen.rig.passes("90m")
    rig.use(rule())
    rig.passes("5h")
    seen.page.state.maintenances.settle(rig.now)
    assert seen.windows == [["scheduled", "complete"]]


def test_a_window_that_the_page_drives_is_moved_by_it_at_the_new_time(see: Callable[..., Seen]) -> None:
    seen = see(rule() + ENTRY + "    driver: provider\n")
    rig = seen.rig.passes("90m")
    rig.use(rule() + ENTRY.replace("T14:00", "T15:00") + "    driver: provider\n")
    rig.passes("90m")
    seen.page.state.maintenances.settle(rig.now)
    assert seen["Checkout API"] == GOOD
    rig.passes("65m")
    seen.page.state.maintenances.settle(rig.now)
    assert seen["Checkout API"] == UNDER
    assert [update.status for update in seen._all()[0].updates].count("maintenance_in_progress") == 1
