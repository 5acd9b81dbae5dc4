"""Maintenance windows that events schedule, start, move and end, through the whole pipeline."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, START, Rig, rule
from worker.core.model import Window, WindowPhase

WINDOW = """  - id: deploy
    source: words
    match: {labels.service: deploy%s}
    group_by: [region]
    vars: {what: event.title}
    maintenance:
      page: main
      components: [checkout]
      title: "Deployment {{ what }}"
%s      start: {text: "{{ what }} began."}
      complete: {text: "{{ what }} is over.", failed: "{{ what }} went wrong."}
"""
SHORT = "      duration: 15m\n"
PLANNED = """      starts: {cel: "event.message.split('/')[0]"}
      ends: {cel: "event.message.split('/')[1]"}
      announce: {before: 2h, text: Coming.}
      remind: [{before: 1h, text: Soon.}]
      reschedule: {text: "Moved to {{ window.starts_at }}."}
      cancel: {text: Not today.}
"""
DEPLOY = WINDOW % ("", SHORT)
TICKET = WINDOW % ("", PLANNED)


def windows(rig: Rig) -> list[Window]:
    return list(rig.ledger.windows(START - timedelta(days=1)))


def says(rig: Rig, key: str = "d1", status: str = "firing", **word: object) -> Rig:
    return rig.words({"key": key, "status": status, "service": "deploy", "title": "Release 7", **word}).settles()


def at(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def span(starts: float, ends: float) -> str:
    return f"{at(starts)}/{at(ends)}"


def texts(rig: Rig) -> list[str]:
    return [message for remote in rig.page.incidents for message in rig.page.said(remote)]


def test_an_event_starts_a_window_and_its_end_completes_it_early(make: Make) -> None:
    rig = says(make(DEPLOY))
    (window,) = windows(rig)
    group = window.line.rpartition(".")[2]
    assert (window.id, window.phase) == (f"main/deploy.{group}#1", WindowPhase.IN_PROGRESS)
    says(rig.passes("5m"), status="resolved").passes("1h")
    assert rig.said == ["0m schedule start", "5m complete complete"]
    assert texts(rig) == ["Release 7 began.", "Release 7 is over."]
    assert rig.page.names == ["Deployment Release 7"]


def test_a_window_that_nobody_ends_ends_in_time(make: Make) -> None:
    rig = says(make(DEPLOY)).passes("2h")
    assert rig.said == ["0m schedule start", "15m complete complete"]
    says(rig.passes("1h"), status="resolved").passes("1h")
    assert len(rig.said) == 2


def test_a_window_that_failed_says_so(make: Make) -> None:
    rig = make(DEPLOY)
    rig.use(DEPLOY, head=_with_status_name())
    says(says(rig), status="resolved", outcome="failed")
    assert texts(rig) == ["Release 7 began.", "Release 7 went wrong."]


def _with_status_name() -> str:
    return HEAD.replace("      labels:\n", "      status_name: \"w.?outcome.orValue('')\"\n      labels:\n")


def test_repeats_and_news_that_ask_for_nothing_else_change_nothing(make: Make) -> None:
    rig = says(make(DEPLOY))
    says(says(rig.passes("3m")), severity="warning").passes("2h")
    assert rig.said == ["0m schedule start", "15m complete complete"]
    says(rig, severity="minor").passes("1h")  # it goes on firing after the end
    assert len(windows(rig)) == 1


def test_each_group_has_a_window_and_in_it_the_last_to_end_counts(make: Make) -> None:
    rig = make(DEPLOY)
    for key, region in (("d1", "eu"), ("d2", "eu"), ("d3", "us")):
        says(rig.passes("1m"), key, region=region)
    assert len(windows(rig)) == 2
    says(says(rig.passes("1m"), "d1", "resolved", region="eu"), "d3", "resolved", region="us").passes("3m")
    assert sorted(window.phase for window in windows(rig)) == [WindowPhase.COMPLETE, WindowPhase.IN_PROGRESS]
    says(rig, "d2", "resolved", region="eu")
    assert {window.phase for window in windows(rig)} == {WindowPhase.COMPLETE}


def test_the_next_deployment_is_another_window(make: Make) -> None:
    rig = says(says(make(DEPLOY)).passes("5m"), status="resolved").passes("5m")
    says(says(rig).passes("5m"), status="resolved").passes("1h")
    assert rig.said == ["0m schedule start", "5m complete complete", "10m schedule start", "15m complete complete"]
    assert [window.number for window in windows(rig)] == [1, 2]
    assert len(rig.page.incidents) == 2


def test_a_ticket_schedules_a_window_that_is_announced_reminded_started_and_completed(make: Make) -> None:
    rig = says(make(TICKET), message=span(3, 4)).passes("6h")
    assert rig.said == [
        "60m schedule announce",
        "120m update remind",
        "180m start start",
        "240m complete complete",
    ]


def test_a_ticket_that_is_changed_moves_its_window_and_says_so(make: Make) -> None:
    rig = says(make(TICKET), message=span(3, 4)).passes("90m")
    says(rig, message=span(5, 6)).passes("6h")
    assert rig.said == [
        "60m schedule announce",
        "90m reschedule reschedule",
        "90m update reschedule",
        "240m update remind",
        "300m start start",
        "360m complete complete",
    ]
    assert texts(rig)[1] == "Moved to 23 November 2026, 15:00 UTC."


def test_a_ticket_that_is_prolonged_while_its_window_runs_moves_the_end(make: Make) -> None:
    rig = says(make(TICKET), message=span(3, 4)).passes("200m")
    says(rig, message=span(1, 5)).passes("6h")
    assert rig.said[3:] == ["200m reschedule reschedule", "200m update reschedule", "300m complete complete"]
    (window,) = windows(rig)
    assert window.starts_at == START + timedelta(hours=3)


def test_a_ticket_that_is_closed_before_the_start_cancels_its_window(make: Make) -> None:
    rig = says(make(TICKET), message=span(3, 4)).passes("90m")
    says(rig, status="resolved", message=span(3, 4)).passes("6h")
    assert rig.said == ["60m schedule announce", "90m complete cancel"]
    assert texts(rig) == ["Coming.", "Not today."]
    assert windows(rig)[0].phase is WindowPhase.CANCELLED


def test_a_ticket_that_is_closed_before_anything_was_said_goes_quietly(make: Make) -> None:
    rig = says(make(TICKET), message=span(3, 4)).passes("30m")
    says(rig, status="resolved", message=span(3, 4)).passes("6h")
    assert rig.said == []


def test_a_ticket_that_comes_late_starts_at_once_and_one_that_is_over_is_not_published(make: Make) -> None:
    rig = make(TICKET).passes("3h")
    says(rig, "over", message=span(1, 2))
    (past,) = windows(rig)
    assert past.phase is WindowPhase.SKIPPED
    says(rig, "late", message=span(2, 4), region="").passes("3h")
    assert rig.said == ["180m schedule start", "240m complete complete"]
    late = next(window for window in windows(rig) if window.phase is WindowPhase.COMPLETE)
    assert late.starts_at == START + timedelta(hours=2)


def test_a_ticket_that_is_past_leaves_the_reason_once_and_may_still_be_moved_ahead(make: Make) -> None:
    rig = make(TICKET).passes("3h")
    for _ in range(3):
        says(rig, message=span(1, 2))
    (past,) = windows(rig)
    story = rig.ledger.story(past.id)
    assert story is not None
    assert [line.text for line in story.decisions] == [
        "skipped",
        "over since 2026-11-23T12:00:00+00:00, before it was heard of: nothing is said",
    ]
    assert rig.codes == ["window_past"]
    says(rig, message=span(1, 2.5))  # still past, and of the same signal
    assert [window.id for window in windows(rig)] == [past.id]
    says(rig, message=span(5, 6)).passes("4h")
    assert rig.said[-2:] == ["300m start start", "360m complete complete"]
    assert [window.phase for window in windows(rig) if window.id != past.id] == [WindowPhase.COMPLETE]


def test_a_time_that_cannot_be_read_parks_the_event_and_is_told(make: Make) -> None:
    rig = says(make(TICKET), message=f"{at(3)}/soon")
    assert windows(rig) == []
    assert rig.codes == ["inbound_parked"]
    assert "`soon` is no time like 2026-12-06T01:00:00Z" in rig.notices[0].text


def test_a_change_whose_time_cannot_be_read_leaves_the_window_as_it_is(make: Make) -> None:
    rig = says(make(TICKET), message=span(3, 4)).passes("90m")
    says(rig, message=f"{at(5)}/soon")
    assert "inbound_parked" in rig.codes
    (window,) = windows(rig)
    assert window.starts_at == START + timedelta(hours=3)
    assert window.wake_at is not None


def test_a_private_or_test_event_reaches_only_a_rule_that_asks(make: Make) -> None:
    rig = make(DEPLOY)
    says(says(rig, "p", private=True), "t", test=True)
    assert windows(rig) == []
    rig.use(WINDOW % (", private: ['true', 'false']", SHORT))
    assert len(windows(says(rig, "p2", private=True))) == 1


def test_an_alert_that_comes_with_the_deployment_is_muted(make: Make) -> None:
    rig = make(rule(hold="0s") + DEPLOY)
    word = {"key": "d1", "status": "firing", "service": "deploy", "title": "x"}
    rig.words({"key": "a1", "status": "firing", "service": "checkout"}, word).settles()
    assert rig.phase() == "held"
    says(rig.passes("5m"), status="resolved").passes("9m")
    assert rig.phase() == "held"
    assert rig.passes("2m").phase() == "open"  # ten minutes after the early end


def test_the_rule_that_is_taken_out_cancels_what_waits_and_lets_what_runs_end(make: Make) -> None:
    rig = says(says(make(TICKET), "waits", message=span(3, 4)), "runs", region="eu", message=f"/{at(2)}").passes("70m")
    rig.use(rule())
    rig.passes("5h")
    assert rig.said == [
        "0m schedule start",
        "60m schedule announce",
        "70m complete cancel",
        "120m complete complete",
    ]
    assert "Not today." in texts(rig)


def test_after_the_loss_of_the_ledger_a_deployment_that_is_told_again_has_one_window(make: Make) -> None:
    rig = says(make(DEPLOY)).passes("5m")
    later = make(DEPLOY, page=rig.page)
    later.now = rig.now
    says(says(later), status="resolved").passes("1h")
    assert len(later.page.incidents) == 1


def test_a_ticket_that_comes_late_is_announced_with_a_mail(make: Make) -> None:
    early = "announce: {before: 72h, text: Coming., notify: true}"
    mailed = TICKET.replace("announce: {before: 2h, text: Coming.}", early)
    rig = says(make(mailed), message=span(5, 6))
    assert [sent.action.content.notify for sent in rig.page.sent] == [True]
