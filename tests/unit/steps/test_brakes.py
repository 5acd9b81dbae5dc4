"""Too much at once is held back, merged or made silent; what ends something passes; a restart refills nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, Rig, alert, rule
from tests.unit.steps.test_deliver import in_threads
from worker.core.model import ActionState, Severity

LIMITS = "limits: {incidents: 10000 per 10m, updates: 10000 per 1h, mails: 10000 per 1h}"
EACH = rule(more="group_by: [region]\n", min_gap="0s", quiet="0s", notify="[open, worsen, resolve]")


RELAY = """  - id: people
    source: words
    vars: {message: event.message}
    relay:
      page: main
      title: Trouble
      components: {checkout: partial_outage}
      resolve_on: [closed]
      status: {Investigating: investigating}
      text: "{{ message }}"
      resolve: It is over.
      notify: [open, relay, resolve]
"""


def braked(rig: Rig, rules: str = EACH, limits: str = "limits: {}") -> Rig:
    rig.use(rules, HEAD.replace(LIMITS, limits))
    return rig


def regions(count: int) -> list[str]:
    return [f"r{n}" for n in range(count)]


def storm(rig: Rig, count: int, status: str = "firing") -> Rig:
    ended = rig.now if status == "resolved" else None
    alerts = (alert(f"{r}-a", "warning", status, region=r, ended=ended, started=rig.now) for r in regions(count))
    return rig.alerts(*alerts).reacts()


def waiting(rig: Rig, count: int) -> int:
    actions = [action for r in regions(count) for action in rig.episode(region=r).actions]
    return sum(action.state is ActionState.AWAITING_APPROVAL for action in actions)


def test_a_storm_over_many_groups_opens_three_and_the_others_wait_for_a_person(make: Make) -> None:
    rig = storm(braked(make()), 50).settles()
    assert len(rig.page.incidents) == 3
    assert waiting(rig, 50) == 47
    assert rig.codes.count("braked") == 47
    assert rig.notices[0].severity is Severity.ERROR
    assert "more than 3 per 10m new incidents" in rig.notices[0].text
    rig.passes("1h")
    assert len(rig.page.incidents) == 3


def test_several_threads_open_no_more(make: Make) -> None:
    rig = storm(braked(make()), 20)
    in_threads(rig)
    assert len(rig.page.incidents) == 3


def test_a_restart_refills_nothing(make: Make, tmp_path: Path) -> None:
    rig = storm(braked(make()), 5).settles()
    path = rig.path
    rig.close()
    again = braked(Rig(path, page=rig.page))
    again.now = rig.now + timedelta(minutes=5)
    try:
        again.alerts(alert("later", region="elsewhere", started=again.now)).settles()
        assert len(again.page.incidents) == 3
        again.now += timedelta(minutes=5, seconds=1)
        again.alerts(alert("later still", region="far", started=again.now)).settles()
        assert len(again.page.incidents) == 4
    finally:
        again.close()


def test_what_waits_and_clears_is_never_said(make: Make) -> None:
    rig = storm(storm(braked(make()), 5).settles(), 5, "resolved").passes("1h")
    assert len(rig.page.incidents) == 3
    assert [said.split(" ", 1)[1] for said in rig.said] == ["open open"] * 3 + ["resolve resolve"] * 3


def test_updates_beyond_the_limit_are_merged_into_one_and_a_resolve_does_not_wait(make: Make) -> None:
    rig = braked(make(), rule(min_gap="0s", quiet="1m"), "limits: {updates: 2 per 1h}")
    rig.fires("a", severity="warning")
    for _ in range(5):
        rig.passes("1m").fires("b").passes("1m").clears("b")
    assert rig.said == ["0m open open", "1m update worsen", "2m update improve"]
    rig.passes("1m").fires("b").passes("2h")
    assert rig.said[3:] == ["61m update worsen"]
    rig.clears("b")
    rig.passes("1s").clears("a").passes("5m")
    assert rig.said[-1].endswith("resolve resolve")
    assert float(rig.said[-1].split("m")[0]) < 135


def test_a_resolve_is_not_kept_by_the_update_that_it_replaces(make: Make) -> None:
    rig = braked(make(), rule(min_gap="0s", quiet="1m"), "limits: {updates: 1 per 10h}")
    rig.fires("a", severity="warning").passes("1m").fires("b").passes("1m").clears("b").settles()
    assert rig.actions() == ["improve queued"]
    rig.clears("a").passes("2m")
    assert rig.said == ["0m open open", "1m update worsen", "3m resolve resolve"]


def test_posts_beyond_the_limit_of_mails_are_silent_and_the_end_is_not(make: Make) -> None:
    rig = braked(make(), limits="limits: {incidents: 99 per 10m, mails: 4 per 1h}")
    storm(rig, 6).settles()
    assert [sent.action.content.notify for sent in rig.page.sent] == [True] * 4 + [False] * 2
    assert rig.codes == ["mail_braked"] * 2
    storm(rig.passes("1m"), 6, "resolved").passes("1m")
    ends = [sent.action.content.notify for sent in rig.page.sent[6:]]
    assert sorted(ends) == [False] * 2 + [True] * 4  # where the beginning was mailed


def test_relayed_texts_keep_their_order_behind_a_brake(make: Make) -> None:
    rig = braked(make(), RELAY, "limits: {updates: 2 per 1h}")
    for n in range(5):
        rig.words({"key": "k", "status": "firing", "message": f"word {n}"}).settles().passes("1m")
    assert len(rig.page.sent) == 3
    rig.passes("3h")
    texts = [sent.action.content.message for sent in rig.page.sent]
    assert texts == [f"word {n}" for n in range(5)]


def test_words_that_an_end_must_not_wait_for_still_mail_nobody_beyond_the_limit(make: Make) -> None:
    rig = braked(make(), RELAY, "limits: {mails: 2 per 1h}").words(
        {"key": "k", "status": "firing", "message": "word 0"}
    )
    rig.settles()
    rig.page.down = True
    for n in range(1, 4):
        rig.words({"key": "k", "status": "firing", "message": f"word {n}"}).settles()
    rig.words({"key": "k", "status": "resolved", "category": "closed"}).settles()
    rig.page.down = False
    rig.passes("5m")
    texts = [(sent.action.content.message, sent.action.content.notify) for sent in rig.page.sent]
    assert texts == [
        ("word 0", True),
        ("word 1", True),
        ("word 2", False),
        ("word 3", False),
        ("It is over.", True),
    ]
