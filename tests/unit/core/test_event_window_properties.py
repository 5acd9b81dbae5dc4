"""Random histories of what signals ask for, a page that fails at random, and a worker that is away at random."""

from __future__ import annotations

import random  # noqa: TID251  (seeded)
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.core.actions import begin
from worker.core.event_windows import begun
from worker.core.membership import Heard, Item
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Event,
    Outcome,
    Result,
    Signal,
    Status,
    Window,
    WindowPhase,
    WindowStatus,
    episode_key,
)
from worker.core.rules import load
from worker.core.signals import settle
from worker.core.window_drafts import Stimulus, Tick, WindowContext
from worker.core.windows import decide

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEYS = ("a", "b")

RULES = """
pages:
  main: {provider: incident_io, page: Acme, api_key: "${KEY}", publish: auto, components: {api: Public API}}
rules:
  - id: work
    match: {kind: change}
    maintenance:
      page: main
      components: [api]
      title: Work
      starts: {cel: label("starts")}
      ends: {cel: label("ends")}
      announce: {before: 30m, text: Coming.}
      remind: [{before: 10m, text: Soon.}]
      reschedule: {text: Moved.}
"""
RULE = load({"r.yaml": RULES}, {}, source_kinds={}, provider_names=["incident_io"]).rules[0]
LINE = episode_key("work", "main", {})


class History:
    """
    One line of windows from beginning to end.

    Args:
        chance: Decides everything.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = START
        self.seq = 0
        self.fails = 0.0
        self.signals: dict[str, Signal] = {}
        self.windows: list[Window] = []
        self.page: dict[str, list[WindowStatus]] = {}

    @property
    def window(self) -> Window | None:
        return self.windows[-1] if self.windows else None

    # -- what happens

    def says(self, key: str, status: Status, starts: float = 0, ends: float = 0) -> None:
        self.seq += 1
        self.now += timedelta(microseconds=self.chance.choice([1, 10**6]))
        labels = {"starts": self._at(starts), "ends": self._at(ends)} if status is Status.FIRING else {}
        event = Event(source="s", kind="change", key=key, status=status, labels=labels)
        signal, change = settle(self.signals.get(key), event, self.now, self.seq)
        assert signal is not None
        self.signals[key] = signal
        # The ledger joins a member's signal as it is now.
        self.windows = [self._joined(window) for window in self.windows]
        item = Item(event=event, signal=signal, change=change, matches=signal.firing)
        if self.window is None or not self.window.phase.live:
            fresh = begun(LINE, self.window, RULE, "main", {}, [item], self.now)
            if fresh is None:
                return
            self.windows.append(fresh)
        self.takes(Heard(items=[item], cause="test"))

    def _joined(self, window: Window) -> Window:
        return replace(
            window, members={key: replace(each, signal=self.signals[key[1]]) for key, each in window.members.items()}
        )

    def _at(self, minutes: float) -> str:
        return (self.now + timedelta(minutes=minutes)).isoformat()

    def takes(self, stimulus: Stimulus, place: int = -1) -> None:
        context = WindowContext(plan=RULE.plan, rule=RULE)  # type: ignore[arg-type]
        self.windows[place] = decide(self.windows[place], stimulus, context, self.now).window

    def works(self) -> None:
        """Everything that is due is done."""
        for place in range(len(self.windows)):
            while (at := self.windows[place].wake_at) is not None and at <= self.now:
                self.takes(Tick(), place)
            while (head := next(iter(self.windows[place].actions), None)) is not None:
                if head.state is not ActionState.QUEUED or head.not_before > self.now:
                    break
                self._sends(begin(head, self.now), place)

    def _sends(self, action: Action, place: int) -> None:
        others = self.windows[place].actions
        actions = tuple(action if each.id == action.id else each for each in others)
        self.windows[place] = replace(self.windows[place], actions=actions)
        fails = self.chance.random() < self.fails
        remote_id = "" if fails else self._applied(action)
        result = Result.NOT_SENT if fails else Result.DONE
        self.takes(Outcome(action_id=action.id, result=result, at=self.now, remote_id=remote_id), place)

    def _applied(self, action: Action) -> str:
        remote_id = action.remote_id or action.key
        if action.content.window_status is not None:
            self.page.setdefault(remote_id, []).append(action.content.window_status)
        assert action.kind is not ActionKind.SCHEDULE_MAINTENANCE or len(self.page[remote_id]) == 1, "a key twice"
        return remote_id

    def passes(self, minutes: float) -> None:
        """Time passes, every alarm rings."""
        end = self.now + timedelta(minutes=minutes)
        self.works()
        while (at := min(self._ahead(), default=end)) < end:
            self.now = at
            self.works()
        self.now = end
        self.works()

    def _ahead(self) -> Iterator[datetime]:
        for window in self.windows:
            times = [window.wake_at, *(each.not_before for each in window.actions)]
            yield from (at for at in times if at is not None and at > self.now)

    def away(self, minutes: float) -> None:
        """Time passes, and nobody is there."""
        self.now += timedelta(minutes=minutes)

    # -- what must hold

    def check(self) -> None:
        wanted = [signal for signal in self.signals.values() if signal.firing]
        under_way = [status[-1] for status in self.page.values() if status[-1] is not WindowStatus.COMPLETE]
        assert len(under_way) <= 1
        if not wanted:
            assert under_way == []
        spans = [tuple(map(datetime.fromisoformat, each.event.labels.values())) for each in wanted]
        if any(starts <= self.now < ends for starts, ends in spans):
            assert under_way == [WindowStatus.IN_PROGRESS]
        if all(ends <= self.now for _, ends in spans):
            assert under_way == []
        for statuses in self.page.values():
            assert len(statuses) == len(set(statuses)), "each state once"
            assert statuses == [status for status in WindowStatus if status in statuses], "forward only"
        if self.window is not None and self.window.phase is WindowPhase.IN_PROGRESS:
            assert under_way == [WindowStatus.IN_PROGRESS]


def lived(seed: int) -> History:
    chance = random.Random(seed)
    history = History(chance)
    for _ in range(chance.randrange(3, 14)):
        match chance.randrange(6):
            case 0 | 1:
                starts = chance.choice([-20, -5, 0, 5, 40, 90])
                history.says(chance.choice(KEYS), Status.FIRING, starts, starts + chance.choice([3, 15, 60]))
            case 2:
                history.says(chance.choice(KEYS), Status.RESOLVED)
            case 3:
                history.fails = chance.choice([0.0, 0.0, 0.5, 1.0])
            case 4:
                history.away(chance.uniform(0, 90))
            case _:
                history.passes(chance.uniform(0, 90))
    history.fails = 0.0
    history.passes(10)  # longer than any retry waits
    return history


@pytest.mark.parametrize("block", range(4))
def test_once_the_page_answers_it_shows_what_the_signals_ask_for(block: int) -> None:
    for seed in range(block * 1000, (block + 1) * 1000):
        try:
            history = lived(seed)
            history.check()
            history.passes(300)
            history.check()
            for key in KEYS:
                history.says(key, Status.RESOLVED)
            history.passes(10)
            history.check()
        except AssertionError as fault:
            raise AssertionError(f"seed {seed}: {fault}") from fault
