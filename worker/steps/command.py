"""
People → a command → flags, episodes, windows and their actions.

What a person asks is decided as everything else is: on what was read, in one commit, again where somebody was faster.
What makes no sense is refused with a sentence, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from worker.core.breaker import BOTH
from worker.core.by_hand import scheduled
from worker.core.commands import (
    Adopt,
    Command,
    Dismiss,
    Done,
    Pause,
    Resume,
    ScheduleWindow,
    StartWindow,
    WindowOrder,
    verb,
)
from worker.core.interventions import Asked, Order
from worker.core.model import PAUSE, UNMAILED, ActionKind, Episode, Flag, Notice, RemoteIncident, Window
from worker.core.rulebook import RuleBook
from worker.core.spelling import suggest
from worker.errors import CommandRefused, Conflict, NotFound
from worker.ports import (
    Clock,
    Commit,
    Committer,
    Decision,
    Episodes,
    Footprints,
    Handled,
    Meter,
    Provider,
    Queries,
    Switches,
    Windows,
    inbound_named,
)
from worker.steps._deciding import about_either

EVERY_PAGE = "all pages"
MOST_CONFLICTS = 20
MOST_ALIKE = 100


class Commands:
    """
    Args:
        book: Gives the rules in force.
        provider: Gives the client of a page of the rules.
    """

    def __init__(
        self,
        *,
        episodes: Episodes,
        windows: Windows,
        footprints: Footprints,
        switches: Switches,
        queries: Queries,
        committer: Committer,
        book: Callable[[], RuleBook],
        provider: Callable[[str], Provider],
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._episodes = episodes
        self._windows = windows
        self._footprints = footprints
        self._switches = switches
        self._queries = queries
        self._committer = committer
        self._book = book
        self._provider = provider
        self._clock = clock
        self._meter = meter

    def run(self, command: Command) -> Done:
        """
        Do what a person asks.

        Raises:
            CommandRefused: It makes no sense now.
            NotFound: It is about nothing that there is.
            ProviderUnavailable: The page would have to be read first, and cannot be.
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        if isinstance(command, Pause):
            return self._pause(command)
        if isinstance(command, Resume):
            return self._resume(command)
        if isinstance(command, ScheduleWindow):
            return self._schedule(command)
        if isinstance(command, Dismiss) and (number := inbound_named(command.subject)) is not None:
            return self._set_aside(command, number)
        return self._order(command)

    # -- whole pages

    def _pause(self, command: Pause) -> Done:
        flags = {flag.page: flag for flag in self._switches.flags(PAUSE)}
        already = flags.get(command.page) or flags.get("")
        if already is None:
            self._check_page(command.page)
            value = ": ".join(filter(None, (command.by, command.reason)))
            flag = Flag(page=command.page, name=PAUSE, at=self._clock(), value=value)
            self._switch([flag], "paused", f"paused by {value}")
        # Only now: what is not there by now finds the switch when it looks, before its first byte.
        sending = tuple(self._switches.sending(command.page))
        return Done(said=(_paused(command.page, already),), sending=sending)

    def _resume(self, command: Resume) -> Done:
        flags = [flag for flag in self._switches.flags(*_RESUMED) if command.page in ("", flag.page)]
        if command.page and any(not flag.page for flag in self._switches.flags(PAUSE)):
            raise CommandRefused("all pages are paused: resume without a page")
        if not flags:
            self._check_page(command.page)
            return Done(said=(f"{_called(command.page)} not paused",))
        gone = [replace(flag, value=None) for flag in flags]
        self._switch(gone, "resumed", f"resumed by {command.by}")
        return Done(said=tuple(dict.fromkeys(f"{_called(flag.page)} {_RESUMED[flag.name]}" for flag in flags)))

    def _switch(self, flags: list[Flag], code: str, text: str) -> None:
        notices = [Notice(code=code, subject=flag.page or EVERY_PAGE, text=text) for flag in flags]
        self._committer.commit(Commit(now=self._clock(), flags=flags, notices=notices))

    def _check_page(self, page: str) -> None:
        if page and page not in (pages := self._book().rules.pages):
            raise NotFound(f"there is no page `{page[:60]}`{suggest(page, pages, 'pages')}")

    # -- one inbound

    def _set_aside(self, command: Dismiss, number: int) -> Done:
        for _ in range(MOST_CONFLICTS):
            story, now = self._queries.inbound(number), self._clock()
            if story is None:
                raise NotFound(f"there is no inbound {number}; `statusbridge inbox --parked` names those that wait")
            parked = story.received
            if parked.state != "parked":
                why = f": {parked.detail}" if parked.detail else ", and not parked"
                raise CommandRefused(f"inbound/{number} is {parked.state}{why}")
            said = f"dismissed by {': '.join(filter(None, (command.by, command.reason)))}"
            detail = f"{said}, {now:%Y-%m-%d %H:%M:%S} UTC; {parked.detail}"
            handled = Handled(seq=number, state="dismissed", detail=detail, was=parked.state)
            with suppress(Conflict):
                self._committer.commit(Commit(now=now, handled=[handled]))
                return Done(said=(f"inbound/{number} {said}",))
        raise Conflict(f"inbound/{number} was changed by somebody else {MOST_CONFLICTS} times; try again")

    # -- one episode or window

    def _schedule(self, command: ScheduleWindow) -> Done:
        self._check_page(command.page)
        known = self._book().rules.pages[command.page].components
        for name in command.components:
            if name not in known:
                raise NotFound(f"page `{command.page}` has no component `{name[:60]}`{suggest(name, known, 'known')}")
        for number in range(1, MOST_ALIKE):
            now = self._clock()
            window, revision = scheduled(command, number, now)
            there = self._windows.window(window.id)
            if there is not None and there.phase.live:
                raise CommandRefused(f"{window.id} is {there.phase.value.replace('_', ' ')} already")
            if there is None:
                return self._plan(window, revision, f"{command.by} ({verb(command)})", now)
        raise CommandRefused("the same window was called off again and again; change its title")

    def _plan(self, window: Window, revision: Mapping[str, Mapping[str, Any]], cause: str, now: datetime) -> Done:
        """Put it into the ledger, due: what the page is told of it follows at once, where a worker runs."""
        text = f"planned for {window.starts_at.isoformat()} – {window.ends_at.isoformat()}"
        planned = Decision(aggregate=window.id, at=now, cause=cause, text=text)
        due = replace(window, wake_at=now)
        self._committer.commit(Commit(now=now, windows=[due], decisions=[planned], revisions=revision))
        return Done(said=(f"{window.id} {text}",))

    def _order(self, order: Order | WindowOrder) -> Done:
        for _ in range(MOST_CONFLICTS):
            subject = self._subject(order)
            shown = self._shown(subject) if isinstance(order, Adopt) else None
            asked = Asked(order=order, shown=shown)
            commit = about_either(
                self._book(), self._episodes, self._windows, subject, asked, asked.cause, self._clock()
            )
            try:
                self._committer.commit(commit)
            except Conflict:
                self._meter.count("conflicts", step="command")
                continue
            return Done(said=tuple(decision.text for decision in commit.decisions))
        raise Conflict(f"{order} met somebody who was faster {MOST_CONFLICTS} times; try again")

    def _subject(self, order: Order | WindowOrder) -> Episode | Window:
        """Give what an order is about; an action that is settled already is told with what became of it."""
        if isinstance(order, StartWindow):
            window = self._windows.window(order.window)
            if window is None:
                raise NotFound(f"there is no window {order.window}; `statusbridge maintenance list` names them")
            return window
        whole = order.subject if isinstance(order, Dismiss | Adopt) else ""
        subject = self._aggregate(whole) if whole else None
        if subject is not None:
            return subject
        action_id = order.subject if isinstance(order, Dismiss | Adopt) else order.action
        subject = self._aggregate(action_id.rpartition("/")[0])
        if subject is None:
            raise NotFound(f"there is nothing called {action_id}; `statusbridge history` names what there is")
        if not any(action.id == action_id for action in subject.actions):
            footprint = self._footprints.footprint(subject.id)
            settled = next((a for a in footprint.actions if a.id == action_id), None) if footprint else None
            if settled is not None:
                why = f": {settled.reason}" if settled.reason else ""
                raise CommandRefused(f"{action_id} is {settled.state} already{why}")
        return subject

    def _aggregate(self, aggregate: str) -> Episode | Window | None:
        return self._episodes.get(aggregate) or self._windows.window(aggregate)

    def _shown(self, subject: Episode | Window) -> RemoteIncident | None:
        if not subject.remote_id:
            raise CommandRefused(f"{subject.id} is not on the page")
        kind = ActionKind.UPDATE_MAINTENANCE if isinstance(subject, Window) else ActionKind.UPDATE_INCIDENT
        return self._provider(subject.page).show(subject.remote_id, kind)


_RESUMED = {
    PAUSE: "written to again",
    UNMAILED: "asked to mail its subscribers again",
    **dict.fromkeys(BOTH, "asked again at once"),
}
"""What a person may end, and what is said of it."""


def _called(page: str) -> str:
    return f"page `{page}` is" if page else f"{EVERY_PAGE} are"


def _paused(page: str, already: Flag | None) -> str:
    if already is None:
        way_back = f"statusbridge resume{' --page ' + page if page else ''}"
        return f"{_called(page)} paused: nothing is written until `{way_back}`"
    return f"{_called(already.page)} paused already, since {already.at:%Y-%m-%d %H:%M:%S} UTC, by {already.value}"
