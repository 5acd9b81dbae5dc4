"""``inbox``, ``notices``, ``status`` and ``show inbound/N`` on a real ledger: what needs a person, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes.ledger_rows import action, entry, episode, event, record_all
from worker.cli.reading import now
from worker.core.model import PAUSE, ActionState, Flag, Inbound, Notice, Severity
from worker.ledger import open_ledger
from worker.ports import Commit, Handled, Heard, Recorded

from .desk import Desk

NOW = now().replace(microsecond=0)
URL = "sqlite:///inbox.db"
WHY = "not understood: item 1: status: must be one of firing, resolved, info"
HEADERS = {"x-event": "done", "content-type": "text/json", "x-signature": "sha256=canary"}
BODY = '{"jobs": ["\x1b[31mred", "ä"]}'.encode() + b"\xff" + b"x" * 3000


@pytest.fixture
def book(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A ledger with an inbound that was followed, one in part, and one not at all; and two notices."""
    monkeypatch.setenv("STATUSBRIDGE_LEDGER", URL)
    ledger = open_ledger(URL, clock=lambda: NOW)
    request = Inbound(source="ci", body=BODY, headers=HEADERS, received_at=NOW, query="a=1")
    late = replace(entry().inbound, received_at=NOW)
    entries = [entry(inbound=late), entry(inbound=request, statements=2, unparsed=1), entry(inbound=late, unparsed=1)]
    seqs = [answer.seq for answer in record_all(ledger, entries) if isinstance(answer, Recorded)]
    ledger.commit(
        Commit(
            now=NOW,
            handled=[
                Handled(seq=seqs[0]),
                Handled(seq=seqs[1], state="parked", detail=WHY),
                Handled(seq=seqs[2], state="parked", detail="rule `x`: broken"),
            ],
            heard=[Heard(inbound_seq=seqs[1], position=0, event=event("job-7"), effect="news")],
            notices=[
                Notice(code="inbound_parked", subject="inbound 2", text=WHY, severity=Severity.ERROR),
                Notice(code="held", subject="rule@page#1", text="look", severity=Severity.WARNING),
            ],
        )
    )
    ledger.close()
    return desk


def commit(**rows: object) -> None:
    ledger = open_ledger(URL, clock=lambda: NOW)
    ledger.commit(Commit(**{"now": NOW, **rows}))  # type: ignore[arg-type]
    ledger.close()


def test_the_inbox_says_what_became_of_each_webhook_the_newest_first(book: Desk) -> None:
    said = book("inbox")
    assert said.code == 0, said.err
    assert said.out.index("inbound/3") < said.out.index("inbound/2") < said.out.index("inbound/1")
    for text in ("ci", "parked", "2 events, 1 not understood", "item 1: status:", "rule `x`: broken"):
        assert text in said.out
    assert said.err == "3 in all\n"


def test_the_inbox_is_narrowed(book: Desk) -> None:
    def found(*args: str) -> list[int]:
        return [each["inbound"] for each in book("inbox", "--json", *args).data["inbounds"]]

    assert found() == [3, 2, 1]
    assert found("--parked") == [3, 2]
    assert found("--unparsed") == [3, 2]
    assert found("--source", "ci") == [2]
    assert found("--since", "1d") == [3, 2, 1]
    assert found("--since", "2999-01-01") == []
    assert found("--limit", "1") == [3]


@pytest.mark.parametrize("reference", [["inbound/2"], ["inbound", "2"], ["inbound 2"]])
def test_show_tells_what_was_received_and_why_it_is_parked(book: Desk, reference: list[str]) -> None:
    said = book("show", *reference)
    assert said.code == 0, said.err
    for text in (
        f"POST /hooks/ci?a=1, {len(BODY)} bytes",
        "2 events, 1 not understood",
        f"why      {WHY}",
        "am alert job-7: firing",
        "content-type: text/json\nx-event: done\nx-signature: (hidden)",
        '{"jobs": ["�[31mred", "ä"]}�xxx',
        "more characters: --json shows all",
    ):
        assert text in said.out
    assert "\x1b" not in said.out


def test_show_of_an_inbound_for_programs_has_all_of_it(book: Desk) -> None:
    told = book("show", "inbound/2", "--json").data
    assert told["body"] == BODY.decode("utf-8", "replace")
    assert told["headers"] == {**HEADERS, "x-signature": "(hidden)"}
    assert (told["state"], told["why"], told["unparsed"]) == ("parked", WHY, 1)
    assert [heard["key"] for heard in told["heard"]] == ["job-7"]


def test_what_is_parked_is_set_aside_with_who_did_it_when_and_why(book: Desk) -> None:
    way = "statusbridge dismiss inbound/2"
    assert way in book("inbox", COLUMNS="400").out
    assert way in book("show", "inbound/2").out
    done = book("dismiss", "inbound/2", "--by", "ann", "--reason", "the sender is mended")
    assert (done.code, done.out) == (0, "inbound/2 dismissed by ann: the sender is mended\n"), done.err
    assert [each["inbound"] for each in book("inbox", "--parked", "--json").data["inbounds"]] == [3]
    told = book("show", "inbound/2", "--json").data
    assert told["state"] == "dismissed"
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(f"dismissed by ann: the sender is mended, {when}; {re.escape(WHY)}", told["why"])
    assert way not in book("inbox", COLUMNS="400").out


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("inbound/1", "inbound/1 is done, and not parked"),
        ("inbound/99", "there is no inbound 99; `statusbridge inbox --parked` names those that wait"),
    ],
)
def test_only_what_is_parked_is_set_aside(book: Desk, subject: str, words: str) -> None:
    said = book("dismiss", subject)
    assert (said.code, said.out) == (1, "")
    assert words in said.err


def test_what_was_set_aside_says_so_when_it_is_asked_again(book: Desk) -> None:
    assert book("dismiss", "inbound/3", "--by", "ann").code == 0
    said = book("dismiss", "inbound/3", "--by", "bob")
    assert said.code == 1
    assert "inbound/3 is dismissed: dismissed by ann, " in said.err


def test_an_inbound_that_is_not_there_is_a_no(book: Desk) -> None:
    said = book("show", "inbound/99")
    assert (said.code, said.out) == (1, "")
    assert "there is no inbound 99; `statusbridge inbox` names them" in said.err


def test_notices_are_told_the_newest_first_and_narrowed(book: Desk) -> None:
    said = book("notices")
    assert said.out.index("held") < said.out.index("inbound_parked")
    loud = book("notices", "--severity", "error", "--json").data["notices"]
    assert [(each["severity"], each["about"], each["text"]) for each in loud] == [("error", "inbound 2", WHY)]
    assert len(book("notices", "--json").data["notices"]) == 2
    assert book("notices", "--since", "2999-01-01", "--json").data == {"notices": []}


def test_history_is_narrowed_by_state(book: Desk) -> None:
    states = [ActionState.HELD, ActionState.DONE, ActionState.PARKED]
    acts = [action(seq=number, state=state) for number, state in enumerate(states, 1)]
    commit(episodes=[episode(actions=tuple(acts))], actions=acts)

    def found(*args: str) -> list[str]:
        return [each["state"] for each in book("history", "--json", *args).data["actions"]]

    assert found() == ["done", "parked", "held"]  # the page had it when it was committed
    assert found("--state", "held", "--state", "parked") == ["parked", "held"]
    assert found("--state", "unknown") == []
    assert book("history", "--state", "stuck").code == 2


def test_status_names_what_needs_a_person_and_says_no(book: Desk) -> None:
    waits = [ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL, ActionState.QUEUED, ActionState.DONE]
    acts = [action(seq=n, state=state, reason=f"because {n}") for n, state in enumerate(waits, 1)]
    commit(
        episodes=[episode(actions=tuple(acts))],
        actions=acts,
        flags=[Flag(page="main", name=PAUSE, at=NOW, value="ops: deploy")],
    )
    said = book("status")
    assert said.code == 1
    for text in (
        *("held", "parked", "awaiting_approval", "because 1", "because 2", "because 3", "rule#1 on page page"),
        *("→ statusbridge show rule@page#1", "page main", "by ops: deploy", "→ statusbridge resume --page main"),
        *("inbound 2 from ci: 2 events, 1 not understood", "→ statusbridge show inbound/2"),
    ):
        assert text in said.out
    assert "because 4" not in said.out
    told = book("status", "--json")
    assert (told.code, told.data["ok"], len(told.data["needs"])) == (1, False, 6)


def test_status_of_a_ledger_where_all_is_well_says_yes(desk: Desk) -> None:
    old = replace(entry().inbound, received_at=NOW - timedelta(days=2))
    ledger = open_ledger(URL, clock=lambda: NOW)
    (answer,) = record_all(ledger, [entry(inbound=old)])
    assert isinstance(answer, Recorded)
    ledger.commit(Commit(now=NOW, handled=[Handled(seq=answer.seq, state="parked", detail="told long ago")]))
    ledger.close()
    said = desk("status", "--ledger", URL)
    assert (said.code, said.out, said.err) == (0, "", "nothing needs a person\n")
    assert desk("status", "--ledger", URL, "--json").data == {"ok": True, "needs": []}
    assert desk("status", "--ledger", "sqlite:///missing.db").code == 2
