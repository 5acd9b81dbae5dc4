"""
The breaker of a page: what is told and kept when a page does not answer, or does not take our key. Pure.

Once it is open, what waits for the page takes turns: one look or one write gets through, and the rest waits for what
becomes of it. That is kept as a flag, so neither a restart nor another worker asks sooner.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from worker.core.model import UNREADABLE, UNWRITABLE, Flag, Notice, Severity
from worker.core.phrases import duration
from worker.core.retry import BREAKER, pause

FAILURES = 5
"""So many tries in a row must fail. A key that is denied once is denied."""

BOTH = UNREADABLE, UNWRITABLE
"""A page that can be read again may still not be written to."""

_ASKED = "it is asked once a minute at most; what waits for it is published once it answers, as it is true by then"
_WHAT = {UNREADABLE: "cannot be read", UNWRITABLE: "cannot be written to"}
_DENIED, _FAILS = "denied", "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """
    That the breaker of a page is open.

    Args:
        name: UNREADABLE or UNWRITABLE.
        since: The first of the tries that failed.
        denied: The page does not take our key.
        why: What the page said last, for people, free of secrets.
    """

    page: str
    name: str
    since: datetime
    denied: bool
    why: str

    def flag(self, now: datetime) -> Flag:
        """Keep it; the flag's time is that of the next turn."""
        wait = BREAKER if self.denied else pause(now - self.since)
        value = f"{_DENIED if self.denied else _FAILS} {self.since.isoformat()} {self.why}"
        return Flag(page=self.page, name=self.name, at=now + wait, value=value)

    @property
    def told(self) -> str:
        """Say what is the matter, for people."""
        if self.denied:
            return f"denies our key: {self.why}"
        return f"{_WHAT[self.name]} since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.why}"


def shut(flag: Flag) -> Shut:
    """Read what was kept."""
    code, since, why = f"{flag.value}".split(" ", 2)
    known = datetime.fromisoformat(since)
    return Shut(page=flag.page, name=flag.name, since=known, denied=code == _DENIED, why=why)


def opened(now: Shut, before: Collection[Shut]) -> list[Notice]:
    """Tell that it opened; once, and once more where it turns out to be the key."""
    if any(each.denied or not now.denied for each in before):
        return []
    code = "page_denies" if now.denied else "page_fails"
    text = f"page `{now.page}` {now.told}; {_ASKED}"
    return [Notice(code=code, subject=now.page, text=text, severity=Severity.ERROR)]


def closed(page: str, before: Collection[Shut], at: datetime) -> Notice:
    """Tell that everything flows again."""
    text = f"page `{page}` is written to again, after {duration(at - min(each.since for each in before))}"
    return Notice(code="page_answers", subject=page, text=text, severity=Severity.INFO)
