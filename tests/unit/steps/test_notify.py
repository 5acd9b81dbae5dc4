"""What the team is told, through the whole pipeline: each thing once, its end once, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.provider import Answer
from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import Rig, rule
from worker.bootstrap.notifying import Mended
from worker.core.approval import approval_hash
from worker.core.concerns import MOST_WAITING, Concern, Mailbox
from worker.core.drift import Drift, DriftKind, Sweep
from worker.core.model import Notice, Severity
from worker.ports import Commit, Receipt, Told
from worker.steps.notify import MOST_TOLD, Notify, Target

MINUTE = timedelta(minutes=1)


@dataclass
class Chat:
    """A receiver that takes what it is told, or does not."""

    down: bool = False
    told: list[Told] = field(default_factory=list)
    calls: int = 0
    dropped: int = 0
    retry_at: Any = None

    def tell(self, told: Sequence[Told], dropped: int) -> Receipt:
        self.calls += 1
        if self.down:
            return Receipt(taken=False, detail="chat.test: 500", retry_at=self.retry_at)
        self.told += told
        self.dropped += dropped
        return Receipt(taken=True)

    @property
    def lines(self) -> list[str]:
        return [f"{each.notice.code}{' over' if each.notice.over else ''}" for each in self.told]


def notify(
    rig: Rig,
    *chats: Chat,
    least: Severity = Severity.INFO,
    pages: Sequence[str] = ("main",),
    mended: Callable[[Concern], bool] = lambda concern: False,
) -> Notify:
    targets = {f"chat-{number}": Target(chat, least) for number, chat in enumerate(chats)}
    return Notify(
        notices=rig.ledger,
        footprints=rig.ledger,
        switches=rig.ledger,
        committer=rig.ledger,
        targets=lambda: targets,
        pages=lambda: pages,
        link=lambda notice: f"https://b/{notice.subject}",
        mended=mended,
        clock=rig.clock,
        meter=rig.meter,
    )


def runs(step: Notify) -> None:
    for _ in range(100):
        if not step.run_once():
            return
    raise AssertionError("notify never ends")


def passes(rig: Rig, step: Notify, length: timedelta = MINUTE) -> None:
    rig.now += length
    runs(step)


def test_what_is_parked_is_told_once_with_a_link_and_once_when_it_is_over(make: Make) -> None:
    rig, chat = make(), Chat()
    step = notify(rig, chat)
    rig.page.script.append(Answer.REFUSED)
    rig.fires()
    for _ in range(5):
        passes(rig, step)
    assert chat.lines == ["parked"]
    assert chat.told[0].link == "https://b/checkout@main#1"
    rig.asks("retry", action=rig.head().id)
    rig.settles()
    for _ in range(5):
        passes(rig, step)
    assert chat.lines == ["parked", "parked over"]
    assert chat.told[1].notice.text.startswith("over after 6 minutes: open_incident (")


def test_an_approval_is_told_when_it_waits_when_its_time_runs_out_and_when_it_is_over(make: Make) -> None:
    slow = "{posts: [open], deadline: 10m, on_expiry: hold}"
    rig, chat = make(rule(publish="approve", approve=slow)), Chat()
    step = notify(rig, chat)
    rig.fires()
    passes(rig, step)
    assert chat.lines == ["approval_waits"]
    waits = rig.head()
    text = chat.told[0].notice.text
    assert text.startswith(f"{waits.id} awaits approval until ")
    assert f"“{waits.content.message}”" in text
    assert text.endswith(f"To approve it: statusbridge approve {waits.id} --hash {approval_hash(waits)[:12]}")
    for _ in range(8):
        passes(rig, step)
    assert chat.lines == ["approval_waits", "approval_expires"]
    rig.asks("approve", action=rig.head().id, hash=approval_hash(rig.head()))
    rig.settles()
    passes(rig, step)
    assert sorted(chat.lines[2:]) == ["approval_expires over", "approval_waits over"]


def test_a_post_that_does_not_reach_its_page_is_told_after_a_while_but_not_while_the_page_is_paused(make: Make) -> None:
    rig, chat = make(), Chat()
    step = notify(rig, chat)
    rig.page.always = Answer.NOT_SENT
    rig.fires()
    passes(rig, step, 4 * MINUTE)
    assert chat.lines == []
    rig.asks("pause", reason="we look")
    passes(rig, step, 2 * MINUTE)
    assert chat.lines == ["paused"]
    rig.asks("resume")
    passes(rig, step, MINUTE)
    assert chat.lines == ["paused", "resumed", "page_behind"]
    rig.page.always = Answer.DONE
    rig.passes("10m")
    passes(rig, step)
    assert chat.lines[3:] == ["page_behind over"]


def test_a_denied_key_is_told_once_and_its_end(make: Make) -> None:
    rig, chat = make(), Chat()
    step = notify(rig, chat)
    rig.page.always = Answer.DENIED
    rig.fires().passes("3m")
    passes(rig, step)
    assert chat.lines == ["page_denies"]
    rig.page.always = Answer.DONE
    rig.passes("3m")
    passes(rig, step)
    assert chat.lines == ["page_denies", "page_answers"]


def test_drift_is_over_when_a_sweep_does_not_find_it_any_more(make: Make) -> None:
    rig, chat = make(), Chat()
    step = notify(rig, chat)
    found = Drift(kind=DriftKind.LOST, subject="", remote_id="inc", what="object", text="gone")
    notice = Notice(code="drift", subject="inc", text="lost", severity=Severity.ERROR)
    rig.ledger.commit(Commit(now=rig.now, sweeps=[Sweep(page="main", recent=(found,))], notices=[notice]))
    runs(step)
    passes(rig, step)
    assert chat.lines == ["drift"]
    rig.ledger.commit(Commit(now=rig.now, sweeps=[Sweep(page="main", version=1)]))
    passes(rig, step)
    assert chat.lines == ["drift", "drift over"]


def test_what_ends_something_is_as_loud_as_that_was(make: Make) -> None:
    rig, loud, louder = make(), Chat(), Chat()
    step = notify(rig, loud, louder, least=Severity.ERROR)
    for code, severity in (("page_right", "INFO"), ("page_wrong", "ERROR"), ("page_right", "INFO")):
        told = Notice(code=code, subject="main", text=code, severity=Severity[severity])
        rig.ledger.commit(Commit(now=rig.now, notices=[told]))
        runs(step)
    assert loud.lines == louder.lines == ["page_wrong", "page_right"]


def test_nothing_is_lost_while_a_receiver_is_down_and_nobody_else_waits_for_it(make: Make) -> None:
    rig, down, well = make(), Chat(down=True), Chat()
    step = notify(rig, down, well)
    for number in range(3):
        rig.ledger.commit(Commit(now=rig.now, notices=[Notice(code="taken_over", subject=str(number), text="x")]))
        passes(rig, step)
    assert len(well.told) == 3
    assert down.told == []
    assert step.failing(rig.now)
    assert not step.failing(rig.now - 10 * MINUTE)
    # A new process, as after a restart.
    again, down.down = notify(rig, down, well), False
    rig.now += 10 * MINUTE
    runs(again)
    assert [each.notice.subject for each in down.told] == ["0", "1", "2"]
    assert len(well.told) == 3
    assert not again.failing(rig.now)


def test_a_receiver_that_fails_is_called_less_and_less_often_and_not_before_it_asks(make: Make) -> None:
    rig, chat = make(), Chat(down=True)
    step = notify(rig, chat)
    rig.ledger.commit(Commit(now=rig.now, notices=[Notice(code="taken_over", subject="x", text="x")]))
    calls = []
    for _ in range(60):
        before = chat.calls
        passes(rig, step, timedelta(seconds=10))
        calls.append(chat.calls - before)
    assert sum(calls[:6]) >= 3
    assert sum(calls[30:]) <= 2
    chat.retry_at = rig.now + 8 * MINUTE
    passes(rig, step, 6 * MINUTE)
    asked = chat.calls
    passes(rig, step, MINUTE)
    assert chat.calls == asked


def test_many_are_told_at_once_in_parts_and_the_oldest_beyond_a_limit_are_dropped_and_counted(make: Make) -> None:
    rig, chat = make(), Chat(down=True)
    step = notify(rig, chat)
    for _ in range(3):
        many = [Notice(code="taken_over", subject=str(number), text="x") for number in range(100)]
        rig.ledger.commit(Commit(now=rig.now, notices=many))
        passes(rig, step)
    chat.down, chat.calls = False, 0
    passes(rig, step, 10 * MINUTE)
    assert (len(chat.told), chat.dropped) == (MOST_WAITING, 300 - MOST_WAITING)
    assert chat.calls == MOST_WAITING // MOST_TOLD


def test_of_two_workers_one_tells(make: Make) -> None:
    rig, chat = make(), Chat()
    one = notify(rig, chat)

    class Meddling(Chat):
        def tell(self, told: Sequence[Told], dropped: int) -> Receipt:
            notify(rig, chat).run_once()
            return super().tell(told, dropped)

    rig.ledger.commit(Commit(now=rig.now, notices=[Notice(code="taken_over", subject="x", text="x")]))
    meddling = Meddling()
    runs(notify(rig, meddling))
    runs(one)
    assert (len(meddling.told), len(chat.told)) == (1, 0)


def test_what_was_made_long_before_there_was_a_receiver_is_told_to_nobody(make: Make) -> None:
    rig, chat = make(), Chat()
    rig.ledger.commit(Commit(now=rig.now, notices=[Notice(code="taken_over", subject="x", text="x")]))
    step = notify(rig, chat)
    passes(rig, step, 61 * MINUTE)
    assert chat.told == []


def test_without_receivers_the_ledger_knows_all_the_same_what_is_over(make: Make) -> None:
    rig = make()
    step = notify(rig)
    rig.page.script.append(Answer.REFUSED)
    rig.fires()
    passes(rig, step)
    rig.asks("dismiss", subject=rig.head().id)
    rig.settles()
    passes(rig, step)
    assert [(n.code, n.over) for _, n in rig.ledger.notices()] == [("parked", True), ("parked", False)]
    assert rig.ledger.standing().open == {}


def test_a_mailbox_keeps_order() -> None:
    box = Mailbox(receiver="x").with_more([1, 2]).with_more([3])
    assert box.waiting == (1, 2, 3)


@pytest.mark.parametrize("moved", [True, False])
def test_a_window_that_does_not_move_at_its_time_is_told(make: Make, moved: bool) -> None:
    rig, chat = make(), Chat()
    step = notify(rig, chat)
    starts = rig.now + 5 * MINUTE
    rig.asks(
        "maintenance/schedule",
        page="main",
        components=["checkout"],
        title="Work",
        starts_at=starts.isoformat(),
        ends_at=(starts + 30 * MINUTE).isoformat(),
        text="We work on it.",
    )
    rig.settles()
    if not moved:
        rig.page.always = Answer.NOT_SENT
    rig.passes("8m")
    passes(rig, step, timedelta())
    assert ("window_late" in chat.lines) is not moved
    rig.page.always = Answer.DONE
    rig.passes("10m")
    passes(rig, step)
    assert chat.lines.count("window_late over") == (not moved)


def test_what_waits_on_a_page_that_the_rules_have_no_more_is_not_over(make: Make) -> None:
    rig, chat = make(), Chat()
    rig.page.script.append(Answer.REFUSED)
    rig.fires()
    passes(rig, notify(rig, chat))
    without = notify(rig, chat, pages=())
    passes(rig, without)
    assert chat.lines == ["parked"]
    rig.asks("dismiss", subject=rig.head().id)
    passes(rig, without)
    assert chat.lines == ["parked", "parked over"]


def test_what_is_too_old_to_be_there_any_more_is_told_to_nobody(make: Make) -> None:
    rig, chat = make(), Chat()
    rig.ledger.commit(Commit(now=rig.now, memos=[Mailbox(receiver="chat-0", waiting=(901, 902))]))
    runs(notify(rig, chat))
    assert (chat.calls, rig.ledger.mailbox("chat-0").waiting) == (0, ())


def test_what_was_mended_while_no_worker_ran_is_told_to_be_over_by_the_next(make: Make) -> None:
    rig, chat = make(), Chat()
    wrong = [Notice(code="page_wrong", subject=page, text="wrong") for page in ("main", "other")]
    rig.ledger.commit(Commit(now=rig.now, notices=[*wrong, Notice(code="rules_refused", subject="x", text="bad")]))
    before = Mended(rig.now - MINUTE, lambda: {"main": True, "other": True})
    passes(rig, notify(rig, chat, mended=before))
    assert chat.lines == ["page_wrong", "page_wrong", "rules_refused"]
    after = Mended(rig.now, lambda: {"main": True, "other": False})
    passes(rig, notify(rig, chat, mended=after))
    assert chat.lines[3:] == ["page_wrong over", "rules_refused over"]
    assert chat.told[3].notice.subject == "main"
