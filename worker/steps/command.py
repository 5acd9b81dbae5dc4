"""
People → a command → flags, episodes, windows and their actions.

What a person asks is decided as everything else is: on what was read, in one commit, again where somebody was faster.
What makes no sense is refused with a sentence, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.core.commands import Command, Done, Pause, Resume
from worker.core.model import PAUSE, Flag, Notice
from worker.core.rulebook import RuleBook
from worker.core.spelling import suggest
from worker.errors import CommandRefused, NotFound
from worker.ports import Clock, Commit, Committer, Switches

EVERY_PAGE = "all pages"


class Commands:
    """
    Args:
        book: Gives the rules in force.
    """

    def __init__(self, *, switches: Switches, committer: Committer, book: Callable[[], RuleBook], clock: Clock) -> None:
        self._switches = switches
        self._committer = committer
        self._book = book
        self._clock = clock

    def run(self, command: Command) -> Done:
        """
        Do what a person asks.

        Raises:
            CommandRefused: It makes no sense now.
            NotFound: It is about nothing that there is.
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        return self._pause(command) if isinstance(command, Pause) else self._resume(command)

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
        flags = [flag for flag in self._switches.flags(PAUSE) if command.page in ("", flag.page)]
        if not flags:
            if command.page and any(not flag.page for flag in self._switches.flags(PAUSE)):
                raise CommandRefused("all pages are paused: resume without a page")
            self._check_page(command.page)
            return Done(said=(f"{_called(command.page)} not paused",))
        now = self._clock()
        gone = [Flag(page=flag.page, name=PAUSE, at=now, value=None) for flag in flags]
        self._switch(gone, "resumed", f"resumed by {command.by}")
        return Done(said=tuple(f"{_called(flag.page)} written to again" for flag in flags))

    def _switch(self, flags: list[Flag], code: str, text: str) -> None:
        notices = [Notice(code=code, subject=flag.page or EVERY_PAGE, text=text) for flag in flags]
        self._committer.commit(Commit(now=self._clock(), flags=flags, notices=notices))

    def _check_page(self, page: str) -> None:
        if page and page not in (pages := self._book().rules.pages):
            raise NotFound(f"there is no page `{page[:60]}`{suggest(page, pages, 'pages')}")


def _called(page: str) -> str:
    return f"page `{page}` is" if page else f"{EVERY_PAGE} are"


def _paused(page: str, already: Flag | None) -> str:
    if already is None:
        return (
            f"{_called(page)} paused: nothing is written until `statusbridge resume{' --page ' + page if page else ''}`"
        )
    return f"{_called(already.page)} paused already, since {already.at:%Y-%m-%d %H:%M:%S} UTC, by {already.value}"
