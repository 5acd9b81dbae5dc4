"""A page that denies our key or does not answer is asked once a minute, by whatever waits; then everything flows."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import SETTLE, Rig, rule
from worker.core.breaker import BOTH
from worker.core.model import UNREADABLE, UNWRITABLE, ActionState, Severity
from worker.errors import ProviderUnavailable
from worker.ports import Channel

GROUPED = rule(more="group_by: [region]\n", min_gap="0s", quiet="1m")
REGIONS = [f"r{number}" for number in range(6)]


def denied(make: Make, how: str) -> Rig:
    """Six outages on a page whose key is not good enough, to write or for anything."""
    rig = make(GROUPED)
    if how == "writes":
        rig.page.always = Answer.DENIED
    else:
        rig.page.denies_reads = True
    for region in REGIONS:
        rig.fires(f"{region}-a", region=region)
    return rig


def mend(rig: Rig) -> None:
    rig.page.always = Answer.DONE
    rig.page.denies_reads = False


asked = pytest.mark.parametrize("how", ["writes", "reads"])


@asked
def test_one_probe_a_minute_in_all_and_one_notice(make: Make, how: str) -> None:
    rig = denied(make, how)
    reads, writes = rig.page.denied, len(rig.page.sent)
    rig.passes("30m")
    probes = len(rig.page.sent) - writes if how == "writes" else rig.page.denied - reads
    assert 29 <= probes <= 31
    assert (rig.codes, rig.notices[0].severity) == (["page_denies"], Severity.ERROR)
    assert all(rig.actions(region=region) == ["open queued"] for region in REGIONS)
    at = [sent.at for sent in rig.page.sent]
    assert all((after - before).total_seconds() >= 60 for before, after in pairwise(at))


@asked
def test_everything_flows_once_the_key_is_good_again(make: Make, how: str) -> None:
    rig = denied(make, how).passes("10m")
    mend(rig)
    rig.passes("76s")
    assert len(rig.page.incidents) == len(REGIONS)
    assert rig.ledger.flags(*BOTH) == []
    before = len(rig.page.sent)
    for region in REGIONS:
        rig.clears(f"{region}-a", region=region)
    rig.passes("2m")
    assert len(rig.page.sent) - before == len(REGIONS), "nothing is throttled any more"
    assert rig.codes == ["page_denies", "page_answers"]


@asked
def test_a_restart_neither_forgets_nor_asks_sooner(make: Make, how: str) -> None:
    before = denied(make, how).passes("90s")
    before.close()
    after = make(GROUPED, page=before.page, path=before.path)
    after.now = before.now
    reads, writes = after.page.denied, len(after.page.sent)
    after.passes("10m")
    probes = len(after.page.sent) - writes if how == "writes" else after.page.denied - reads
    assert 9 <= probes <= 11
    assert after.codes == ["page_denies"]
    mend(after)
    assert len(after.passes("76s").page.incidents) == len(REGIONS)


@asked
def test_a_key_that_fails_again_is_told_again(make: Make, how: str) -> None:
    rig = denied(make, how).passes("5m")
    mend(rig)
    rig.passes("2m")
    if how == "writes":
        rig.page.always = Answer.DENIED
    else:
        rig.page.denies_reads = True
    rig.fires("r0-b", severity="critical", region="r9").passes("5m")
    assert rig.codes == ["page_denies", "page_answers", "page_denies"]


def test_another_page_is_not_touched(make: Make) -> None:
    rig = make(rule() + rule("other", match="{labels.service: other}", page="other"))
    other = type(rig.page)(rig.clock)
    rig.channels = {**rig.channels, "other": Channel(other, other.directory, SETTLE)}
    rig.page.always = Answer.DENIED
    rig.fires("a").fires("o", service="other").passes("5m")
    assert other.names == ["Other problems"]
    assert rig.page.names == []


def test_what_only_looks_keeps_nothing_from_finding_out(make: Make) -> None:
    """An opening that waits for somebody else's incident proves nothing about writing, and comes last."""
    rig = make(rule() + rule("web", match="{labels.service: web}", components="{web: full_outage}"))
    theirs = rig.page.person_opens("Ours to handle")
    rig.fires("a").passes("2m")
    rig.page.always = Answer.DENIED
    rig.fires("w", service="web").passes("10m")
    mend(rig)
    rig.passes("76s")
    assert rig.page.names == ["Ours to handle", "Web problems"]
    rig.page.person_resolves(theirs)
    assert rig.passes("2m").page.names[-1] == "Checkout problems"


def test_what_only_looks_finds_out_that_reading_is_allowed_again(make: Make) -> None:
    rig = make()
    rig.page.person_opens("Ours to handle")
    rig.fires("a").passes("2m")
    rig.page.denies_reads = True
    rig.passes("10m")
    assert [flag.page for flag in rig.ledger.flags(*BOTH)] == ["main"]
    mend(rig)
    rig.passes("2m")
    assert rig.ledger.flags(*BOTH) == []


def test_an_update_of_which_nothing_is_known_is_not_sent_because_reading_is_denied(make: Make) -> None:
    rig = make().fires("a", severity="warning").passes("5m")
    rig.page.script.append(Answer.TAKEN)
    rig.fires("b")
    rig.page.denies_reads = True
    rig.passes("30m")
    mend(rig)
    rig.passes("10m")
    assert rig.page.said("inc-1") == ["It began.", "It got worse."]
    assert rig.actions() == []


# -- a page that does not answer

BROKEN = {"it cannot be read": UNREADABLE, "writes are lost": UNWRITABLE, "it cannot be reached": UNWRITABLE}
broken = pytest.mark.parametrize("how", BROKEN)


def breaks(rig: Rig, how: str) -> None:
    rig.page.down = how == "it cannot be read"
    rig.page.always = {"writes are lost": Answer.LOST, "it cannot be reached": Answer.NOT_SENT}.get(how, Answer.DONE)


def recovers(rig: Rig) -> None:
    rig.page.down, rig.page.always = False, Answer.DONE


def asked_of(rig: Rig, how: str) -> int:
    return rig.meter.counted.get("page_reads_failed:main", 0) if how == "it cannot be read" else len(rig.page.sent)


def broken_page(make: Make, how: str, *, incidents: int = 12) -> Rig:
    rig = make(GROUPED)
    breaks(rig, how)
    for number in range(incidents):
        rig.fires(f"a{number}", region=f"r{number}")
    return rig


@broken
def test_a_storm_on_a_page_that_is_gone_is_one_request_a_minute_and_one_notice(make: Make, how: str) -> None:
    rig = broken_page(make, how).passes("10m")
    before = asked_of(rig, how)
    rig.passes("10m")
    assert 6 <= asked_of(rig, how) - before <= 11
    assert (rig.codes, rig.notices[0].severity) == (["page_fails"], Severity.ERROR)
    assert [flag.name for flag in rig.ledger.flags(*BOTH)] == [BROKEN[how]]


@broken
def test_all_of_it_is_on_the_page_soon_after_it_answers(make: Make, how: str) -> None:
    rig = broken_page(make, how).passes("12m")
    recovers(rig)
    rig.passes("3m")
    assert len(rig.page.incidents) == 12
    assert rig.ledger.flags(*BOTH) == []
    assert rig.codes == ["page_fails", "page_answers"]
    assert "is written to again, after 12 minutes" in rig.notices[-1].text


@broken
def test_a_restart_and_another_worker_ask_no_sooner(make: Make, how: str) -> None:
    before = broken_page(make, how).passes("12m")
    before.close()
    after = make(GROUPED, page=before.page, path=before.path)
    after.now = before.now
    asked = asked_of(after, how)
    after.passes("5m")
    assert asked_of(after, how) - asked <= 6
    assert after.codes == ["page_fails"]


def test_what_was_true_meanwhile_is_not_told_afterwards(make: Make) -> None:
    """Half of it is over before the page answers, and the rest has changed: the page gets what is true, once each."""
    rig = make(GROUPED)
    for region in REGIONS:
        rig.fires(f"{region}-a", severity="warning", region=region)
    breaks(rig, "it cannot be read")
    for _ in range(2):
        for region in REGIONS:
            rig.fires(f"{region}-b", region=region)
        rig.passes("2m")
        for region in REGIONS:
            rig.clears(f"{region}-b", region=region)
        rig.passes("10s")
    for region in REGIONS[:3]:
        rig.fires(f"{region}-b", region=region)
    for region in REGIONS[3:]:
        rig.clears(f"{region}-a", severity="warning", region=region)
    rig.passes("10m")
    before = len(rig.page.sent)
    recovers(rig)
    rig.passes("3m")
    assert sorted(sent.action.post for sent in rig.page.sent[before:]) == ["resolve"] * 3 + ["worsen"] * 3


def test_a_few_failures_open_nothing(make: Make) -> None:
    rig = make()
    rig.page.script.extend([Answer.NOT_SENT] * 4)
    rig.fires().passes("5m")
    assert (rig.codes, rig.ledger.flags(*BOTH)) == ([], [])


def test_failures_that_are_not_in_a_row_open_nothing(make: Make) -> None:
    rig = make(GROUPED)
    rig.page.script.extend([Answer.NOT_SENT, Answer.NOT_SENT, Answer.DONE] * 6)
    for region in REGIONS:
        rig.fires(f"{region}-a", region=region)
    rig.passes("30m")
    assert rig.codes == []


def test_one_incident_that_can_never_be_read_keeps_no_other_back_for_long(make: Make) -> None:
    rig = make(GROUPED).fires("a", severity="warning", region="cursed")
    show = rig.page.show
    cursed = rig.episode(region="cursed").remote_id

    def fails(remote_id: str, kind: object) -> object:
        if remote_id == cursed:
            raise ProviderUnavailable("500")
        return show(remote_id, kind)  # type: ignore[arg-type]

    rig.page.show = fails  # type: ignore[method-assign,assignment]
    rig.fires("b", region="cursed").passes("30m")
    assert rig.codes == ["page_fails"]
    rig.fires("c", region="r1").passes("150s")
    assert len(rig.page.incidents) == 2
    assert rig.codes == ["page_fails", "page_answers"]


def test_a_page_that_breaks_for_writes_only_is_still_searched_for_what_it_took(make: Make) -> None:
    rig = make(GROUPED)
    for region in REGIONS:
        rig.fires(f"{region}-a", severity="warning", region=region)
    rig.page.always = Answer.TAKEN
    for region in REGIONS:
        rig.fires(f"{region}-b", region=region)
    rig.passes("4m")
    assert all(rig.actions(region=region) == [] for region in REGIONS[:5]), "they were found, without a turn"


def test_a_person_who_says_resume_has_it_asked_at_once(make: Make) -> None:
    rig = broken_page(make, "it cannot be read", incidents=3).passes("1h")
    recovers(rig)
    assert rig.asks("resume", page="main").said == ("page `main` is asked again at once",)
    rig.settles().passes("75s")
    assert len(rig.page.incidents) == 3


def test_a_pause_is_no_failure_of_the_page(make: Make) -> None:
    rig = make(GROUPED)
    rig.checkpoint = lambda point: rig.asks("pause") if point == "after_intent" else None  # type: ignore[assignment,return-value]
    for number in range(10):
        rig.fires(f"a{number}", region=f"r{number}")
        rig.asks("resume")
    rig.passes("1s")
    assert rig.ledger.flags(*BOTH) == []
    assert {action.state for action in rig.episode(region="r0").actions} == {ActionState.QUEUED}
