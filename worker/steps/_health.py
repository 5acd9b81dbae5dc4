"""
How a page was found to be, whatever is written to it: whether it answers, takes our key and mails its subscribers.

Kept in the ledger, so that neither a restart nor another worker finds it out anew; only a row of failures that is not
long enough yet is forgotten by a restart. This file may not know why anything is written.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from worker.core.breaker import BOTH, FAILURES, Shut, closed, opened, shut
from worker.core.model import UNMAILED, UNREADABLE, UNWRITABLE, Flag, Notice, Outcome, Result
from worker.errors import KeyDenied, ProviderUnavailable
from worker.ports import Clock, Commit, Switches

REMEMBERED = timedelta(days=1)
"""So long it is not tried to mail the subscribers of a page that refused it."""

_TAKEN = (Result.DONE, Result.REFUSED, Result.UNMAILED)
"""Outcomes of a write that prove that the page answers, and takes our key."""


class Health:
    """What the ledger remembers of it. Thread-safe: of two that fail at once, one may not be counted."""

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._clock = clock
        self._failed: dict[tuple[str, str], tuple[int, datetime]] = {}

    def mails(self, page: str) -> bool:
        """Say whether it may be tried to mail the subscribers of a page."""
        now = self._clock()
        return not any(flag.at <= now < flag.at + REMEMBERED for flag in self._flags(page, UNMAILED))

    def readable(self, page: str) -> Commit | None:
        """A read was answered: give what is to be kept of that."""
        return self._good(page, UNREADABLE)

    def unreadable(self, page: str, fault: ProviderUnavailable) -> Commit | None:
        """A read was not: give what is to be kept of that."""
        return self._bad(page, UNREADABLE, str(fault), denied=isinstance(fault, KeyDenied))

    def wrote(self, page: str, outcome: Outcome) -> Commit | None:
        """Give what is to be kept of the outcome of a write."""
        if outcome.result is Result.NOT_SENT and outcome.retry_at is not None:
            return None  # it was asked to wait: by the page, which so answers, or by our own pace
        if outcome.result not in _TAKEN:
            return self._bad(page, UNWRITABLE, outcome.detail, denied=outcome.result is Result.DENIED)
        good = self._good(page, *BOTH)
        if outcome.result is not Result.UNMAILED:
            return good
        now, known = self._clock(), not self.mails(page)
        commit = good or Commit(now=now)
        flag = Flag(page=page, name=UNMAILED, at=now, value=outcome.detail)
        told = f"page `{page}` refuses to mail its subscribers: {outcome.detail}; for a day, or until "
        told += f"`statusbridge resume --page {page}`, its posts are published without that"
        notices = [] if known else [Notice(code="mail_refused", subject=page, text=told)]
        return replace(commit, flags=[*commit.flags, flag], notices=[*commit.notices, *notices])

    def _good(self, page: str, *names: str) -> Commit | None:
        for name in names:
            self._failed.pop((page, name), None)
        flags = self._flags(page, *BOTH)
        gone = [flag for flag in flags if flag.name in names]
        if not gone:
            return None
        now = self._clock()
        told = [closed(page, [shut(flag) for flag in flags], now)] if len(gone) == len(flags) else []
        return Commit(now=now, flags=[replace(flag, value=None) for flag in gone], notices=told)

    def _bad(self, page: str, name: str, why: str, *, denied: bool) -> Commit | None:
        now = self._clock()
        times, since = self._failed.get((page, name), (0, now))
        self._failed[page, name] = times + 1, since
        before = [shut(flag) for flag in self._flags(page, *BOTH)]
        same = next((each for each in before if each.name == name), None)
        if same is None and not denied and times + 1 < FAILURES:
            return None
        found = Shut(page=page, name=name, since=same.since if same else since, denied=denied, why=why)
        return Commit(now=now, flags=[found.flag(now)], notices=opened(found, before))

    def _flags(self, page: str, *names: str) -> list[Flag]:
        return [flag for flag in self._switches.flags(*names) if flag.page == page]
