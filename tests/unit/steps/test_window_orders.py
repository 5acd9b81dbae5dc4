"""Maintenance windows that people schedule, start, complete, extend and cancel: through the whole pipeline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import HEAD, START, Rig, rule
from worker.core.model import Post, Window, WindowPhase
from worker.errors import CommandRefused, ConfigError, NotFound

ENTRY = """maintenance:
  - id: db
    page: main
    components: [checkout]
    title: Database maintenance
    starts: 2026-11-23T14:00
    timezone: Europe/Berlin
    duration: 1h
    announce: {before: 2h, text: Coming., notify: true}
    remind: [{before: 1h, text: Soon.}]
    start: {text: It began.}
    complete: {text: It is over.}
    grace: 10m
"""
DB = "main/db@2026-11-23T14:00"
HOUR = timedelta(hours=1)


def only(rig: Rig) -> Window:
    (window,) = rig.ledger.windows(START - timedelta(days=1))
    return window


def said(rig: Rig) -> list[str]:
    """What the page shows of its first object."""
    return rig.page.said("inc-1")


def schedule(rig: Rig, **fields: Any) -> str:
    """Ask for a window two hours ahead; give its id."""
    asked = {
        "page": "main",
        "components": ["checkout"],
        "title": "Switch replaced",
        "starts_at": START + 2 * HOUR,
        "ends_at": START + 3 * HOUR,
        "text": "We replace a switch.",
        **fields,
    }
    return rig.asks("maintenance/schedule", **asked).said[0].split()[0]


class TestSchedule:
    def test_it_is_announced_at_once_and_goes_its_way_without_an_entry(self, make: Make) -> None:
        rig = make()
        schedule(rig, start_text="We have begun.", complete_text="The switch works.", notify=True)
        rig.passes("5h")
        assert rig.said == ["0m schedule announce", "120m start start", "180m complete complete"]
        assert said(rig) == ["We replace a switch.", "We have begun.", "The switch works."]
        assert [sent.action.content.notify for sent in rig.page.sent] == [True, False, False]
        assert rig.page.names == ["Switch replaced"]
        assert only(rig).phase is WindowPhase.COMPLETE

    def test_without_words_of_its_own_it_appears_when_it_starts(self, make: Make) -> None:
        rig = make()
        schedule(rig, text="")
        rig.passes("5h")
        assert rig.said == ["120m schedule start", "180m complete complete"]
        assert said(rig) == ["The maintenance has started.", "The maintenance is complete."]

    @pytest.mark.parametrize("ahead", [1, 6, 20, 59])
    def test_one_that_starts_in_seconds_is_announced_at_once_and_starts_in_its_own_words(
        self, make: Make, ahead: int
    ) -> None:
        rig = make()
        rig.now += timedelta(milliseconds=600)
        starts_at = START + timedelta(seconds=ahead)
        schedule(rig, starts_at=starts_at, ends_at=starts_at + HOUR, start_text="We have begun.")
        assert said(rig.settles()) == ["We replace a switch."]
        assert said(rig.passes("2m")) == ["We replace a switch.", "We have begun."]

    def test_one_that_starts_now_says_its_text_then(self, make: Make) -> None:
        rig = make()
        schedule(rig, starts_at=START, ends_at=START + HOUR, notify=True)
        rig.passes("2h")
        assert rig.said == ["0m schedule start", "60m complete complete"]
        assert said(rig)[0] == "We replace a switch."
        assert rig.page.sent[0].action.content.notify

    def test_it_mutes_what_it_is_about(self, make: Make) -> None:
        rig = make()
        schedule(rig)
        rig.passes("2h").fires().passes("30m")
        assert rig.phase() == "held"
        assert rig.passes("2h").phase() == "open"

    def test_it_survives_restarts_and_changed_rules(self, make: Make) -> None:
        rig = make()
        schedule(rig)
        rig.settles().close()
        again = make(path=rig.path, page=rig.page, rules=rule("other"))
        again.passes("5h")
        assert said(again) == ["We replace a switch.", "The maintenance has started.", "The maintenance is complete."]

    def test_words_are_posted_as_they_are(self, make: Make) -> None:
        rig = make()
        schedule(rig, text="50 % {{ of }} *all* {% requests %}")
        assert rig.settles().page.said("inc-1") == ["50 % {{ of }} *all* {% requests %}"]

    def test_the_same_one_is_scheduled_once_and_again_once_it_is_off(self, make: Make) -> None:
        rig = make()
        window = schedule(rig)
        with pytest.raises(CommandRefused, match=f"{window} is planned already"):
            schedule(rig)
        rig.settles()
        rig.asks("maintenance/cancel", window=window)
        again = schedule(rig)
        assert again != window
        rig.passes("5h")
        assert len(rig.page.incidents) == 2

    def test_where_approval_is_asked_for_it_waits(self, make: Make) -> None:
        rig = make(rule(), head=HEAD.replace("publish: auto", "publish: approve"))
        schedule(rig)
        assert rig.settles().said == []
        assert only(rig).actions[0].post is Post.ANNOUNCE

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"page": "mian"}, "there is no page `mian`; did you mean `main`"),
            ({"components": ["chekout"]}, "page `main` has no component `chekout`; did you mean `checkout`"),
            ({"starts_at": START - HOUR}, "would have started at 2026-11-23 09:00 UTC already"),
            ({"ends_at": START + 2 * HOUR}, "the end must come after the start"),
            ({"ends_at": START + HOUR}, "the end must come after the start"),
            ({"ends_at": START + timedelta(days=400)}, "more than 366 days ahead"),
            ({"title": "{{ x }}"}, "its title is posted as it is"),
        ],
    )
    def test_nonsense_is_refused_with_a_sentence(self, make: Make, fields: dict[str, Any], words: str) -> None:
        rig = make()
        with pytest.raises((CommandRefused, NotFound), match=words):
            schedule(rig, **fields)
        assert rig.ledger.windows(START) == []

    @pytest.mark.parametrize(
        "fields",
        [{"starts_at": "2026-12-06T02:00"}, {"components": []}, {"title": " "}, {"text": "x" * 4097}, {"x": 1}],
    )
    def test_what_has_not_the_form_of_a_window_is_told(self, make: Make, fields: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            schedule(make(), **fields)


class TestStart:
    def test_an_announced_window_starts_early_and_ends_as_announced(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("90m")
        assert rig.asks("maintenance/start", window=DB).said[0] == "in progress, before its time"
        rig.settles().passes("5h")
        assert rig.said == ["60m schedule announce", "90m start start", "240m complete complete"]

    def test_one_that_nobody_has_heard_of_begins_when_it_is_started(self, make: Make) -> None:
        rig = make(rule() + ENTRY).settles()
        rig.asks("maintenance/start", window=DB, text="We begin early.", notify=True)
        rig.settles().passes("5h")
        assert rig.said == ["0m schedule start", "240m complete complete"]
        assert said(rig) == ["We begin early.", "It is over."]
        assert rig.page.sent[0].action.content.notify
        assert rig.page.sent[0].action.content.starts_at == START

    def test_what_is_said_of_it_from_then_on_is_its_true_start_and_length(self, make: Make) -> None:
        words = '    reschedule: {text: "{{ window.starts_at }}, for {{ window.duration }}."}\n'
        rig = make(rule() + ENTRY + words).passes("175m")
        rig.asks("maintenance/start", window=DB)
        rig.settles().use(rule() + ENTRY.replace("duration: 1h", "duration: 30m") + words)
        rig.passes("1m")
        assert said(rig)[-1] == "23 November 2026, 12:55 UTC, for 35 minutes."

    def test_it_mutes_from_then_on(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("90m")
        rig.asks("maintenance/start", window=DB)
        rig.fires().passes("30m")
        assert rig.phase() == "held"

    def test_what_has_begun_or_is_over_is_not_started(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("181m")
        with pytest.raises(CommandRefused, match=f"{DB} is in progress already"):
            rig.asks("maintenance/start", window=DB)
        rig.passes("2h")
        with pytest.raises(CommandRefused, match=f"{DB} is complete already since 2026-11-23 14:00 UTC"):
            rig.asks("maintenance/start", window=DB)


class TestComplete:
    def test_it_ends_early_in_the_words_of_whoever_ends_it_and_wakes_what_is_muted(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("185m").fires()
        assert rig.phase() == "held"
        rig.asks("maintenance/complete", window=DB, text="Done early.", notify=True)
        rig.settles()
        assert said(rig)[-1] == "Done early."
        assert rig.page.sent[-1].action.content.notify
        rig.passes("9m")
        assert rig.phase() == "held"
        assert rig.passes("1m").phase() == "open"

    def test_its_words_are_said_also_where_the_start_is_still_on_its_way(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("179m")
        rig.page.script.append(Answer.LATE)
        rig.passes("1m")
        rig.asks("maintenance/complete", window=DB, text="Done early.")
        rig.page.arrive()
        rig.passes("10m")
        assert said(rig) == ["Coming.", "Soon.", "It began.", "Done early."]

    def test_what_is_complete_or_has_not_begun_is_told(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("90m")
        with pytest.raises(CommandRefused, match="has not begun: `maintenance cancel` calls it off"):
            rig.asks("maintenance/complete", window=DB)
        rig.passes("100m")
        rig.asks("maintenance/complete", window=DB)
        with pytest.raises(CommandRefused, match=f"{DB} is complete already since 2026-11-23 13:10 UTC"):
            rig.asks("maintenance/complete", window=DB)
        rig.passes("5h")
        assert [line.split()[-1] for line in rig.said].count("complete") == 1

    def test_the_next_occurrence_comes_all_the_same(self, make: Make) -> None:
        rig = make(rule() + ENTRY + "    repeat: FREQ=WEEKLY\n").passes("190m")
        rig.asks("maintenance/complete", window=DB)
        rig.passes("7d")
        assert [line.split()[-1] for line in rig.said].count("start") == 2


class TestExtend:
    def test_the_page_gets_the_new_end_and_the_words(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("190m")
        rig.asks("maintenance/extend", window=DB, ends_at=START + 5 * HOUR, text="One more hour.", notify=True)
        rig.settles()
        assert rig.page.incidents["inc-1"].ends_at == START + 5 * HOUR
        assert said(rig)[-1] == "One more hour."
        assert rig.page.sent[-1].action.content.notify
        rig.passes("109m")
        assert only(rig).phase is WindowPhase.IN_PROGRESS
        assert rig.passes("2m").said[-1] == "300m complete complete"

    def test_without_words_only_the_end_moves(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("190m")
        rig.asks("maintenance/extend", window=DB, ends_at=START + 5 * HOUR)
        rig.settles()
        assert rig.page.incidents["inc-1"].ends_at == START + 5 * HOUR
        assert len(said(rig)) == 3

    def test_muting_goes_on_as_long(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("190m").fires()
        rig.asks("maintenance/extend", window=DB, ends_at=START + 5 * HOUR)
        rig.passes("119m")
        assert rig.phase() == "held"
        assert rig.passes("2m").phase() == "open"

    def test_one_that_waits_may_be_extended_too(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("90m")
        rig.asks("maintenance/extend", window=DB, ends_at=START + 5 * HOUR)
        assert rig.passes("6h").said[-1] == "300m complete complete"

    def test_asked_twice_it_is_extended_once(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("190m")
        rig.asks("maintenance/extend", window=DB, ends_at=START + 5 * HOUR)
        with pytest.raises(CommandRefused, match=f"{DB} ends at 2026-11-23 15:00 UTC already"):
            rig.asks("maintenance/extend", window=DB, ends_at=START + 5 * HOUR)

    def test_what_is_over_is_not_extended(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("5h")
        with pytest.raises(CommandRefused, match="is complete already"):
            rig.asks("maintenance/extend", window=DB, ends_at=START + 9 * HOUR)


class TestCancel:
    def test_what_was_announced_gets_a_last_word_and_is_not_planned_again(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("90m")
        rig.asks("maintenance/cancel", window=DB, text="Not today.", notify=True)
        rig.passes("10h")
        assert rig.said == ["60m schedule announce", "90m complete cancel"]
        assert said(rig) == ["Coming.", "Not today."]
        assert rig.page.sent[-1].action.content.notify

    def test_what_nobody_has_heard_of_is_called_off_in_silence(self, make: Make) -> None:
        rig = make(rule() + ENTRY).settles()
        rig.asks("maintenance/cancel", window=DB)
        assert rig.passes("10h").said == []
        assert only(rig).phase is WindowPhase.CANCELLED

    def test_what_has_begun_is_completed_instead(self, make: Make) -> None:
        rig = make(rule() + ENTRY).passes("190m")
        with pytest.raises(CommandRefused, match="has begun: `maintenance complete` ends it"):
            rig.asks("maintenance/cancel", window=DB)

    def test_what_is_off_is_told(self, make: Make) -> None:
        rig = make(rule() + ENTRY).settles()
        rig.asks("maintenance/cancel", window=DB)
        with pytest.raises(CommandRefused, match=f"{DB} is cancelled already since 2026-11-23 10:00 UTC"):
            rig.asks("maintenance/cancel", window=DB)


class TestAdopted:
    """Windows that people made on the page, and that the worker moves."""

    HEAD = HEAD.replace(
        "publish: auto\n",
        "publish: auto\n"
        '    adopt_maintenance: {title: {regex: "Planned.*"}, start: It began., complete: It is over.}\n',
        1,
    )

    def adopted(self, make: Make) -> tuple[Rig, str]:
        rig = make(rule(), head=self.HEAD)
        rig.page.person_schedules("Planned work", START + HOUR, START + 2 * HOUR)
        rig.looks()
        return rig, only(rig).id

    def test_they_are_started_extended_and_completed_too(self, make: Make) -> None:
        rig, window = self.adopted(make)
        rig.asks("maintenance/start", window=window, text="We begin early.")
        rig.passes("10m").looks()
        rig.asks("maintenance/extend", window=window, ends_at=START + 3 * HOUR)
        rig.passes("1m").looks()
        (shown,) = rig.page.incidents.values()
        assert (shown.name, shown.ends_at) == ("Planned work", START + 3 * HOUR)
        rig.asks("maintenance/complete", window=window)
        rig.passes("1m").looks()
        assert said(rig)[1:] == ["We begin early.", "It is over."]
        rig.passes("5h").looks()
        assert only(rig).phase is WindowPhase.COMPLETE

    def test_they_are_called_off_with_a_word(self, make: Make) -> None:
        rig, window = self.adopted(make)
        rig.asks("maintenance/cancel", window=window, text="Not today.")
        rig.passes("5h").looks()
        assert said(rig)[1:] == ["Not today."]
        assert only(rig).phase is WindowPhase.CANCELLED


@pytest.mark.parametrize("name", ["start", "complete", "extend", "cancel"])
class TestAll:
    def asked(self, rig: Rig, name: str, window: str = DB) -> None:
        more = {"ends_at": START + 9 * HOUR} if name == "extend" else {}
        rig.asks(f"maintenance/{name}", window=window, **more)

    def test_a_window_that_is_not_there_is_told(self, make: Make, name: str) -> None:
        with pytest.raises(NotFound, match="there is no window main/x; `statusbridge maintenance list` names them"):
            self.asked(make(), name, "main/x")

    def test_what_a_person_moves_on_the_page_is_given_back_first(self, make: Make, name: str) -> None:
        rig = make(rule() + ENTRY).passes("100m")
        rig.page.person_posts("inc-1", "We are people.", "maintenance_scheduled")
        rig.passes("90m")
        assert only(rig).hands_off
        with pytest.raises(CommandRefused, match="`adopt` gives it back"):
            self.asked(rig, name)

    def test_what_the_page_moves_by_itself_is_moved_there(self, make: Make, name: str) -> None:
        rig = make(rule() + ENTRY + "    driver: provider\n").passes("100m")
        with pytest.raises(CommandRefused, match=r"the page moves .* by itself"):
            self.asked(rig, name)

    def test_who_asked_is_on_record(self, make: Make, name: str) -> None:
        rig = make(rule() + ENTRY).passes("190m" if name in ("complete", "extend") else "100m")
        self.asked(rig, name)
        (commit,) = [each for each in rig.committer.commits if any("ann" in line.cause for line in each.decisions)]
        assert {line.cause for line in commit.decisions} == {f"ann (maintenance {name})"}
        assert {line.aggregate for line in commit.decisions} == {DB}
