"""
Receivers of notices, from the rules; and the heart that beats for others while all is well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

import structlog

from worker import rules_dir
from worker.bootstrap import all_at_once
from worker.core.concerns import Concern
from worker.core.model import Notice, Severity
from worker.core.ruleset import HEARTBEAT, NoticeTarget, RuleSet
from worker.errors import ConfigError, LedgerUnavailable, Problem
from worker.ports import Clock
from worker.receivers import Heartbeat, Webhook, checked
from worker.steps.notify import Target

LOG = structlog.get_logger("worker")

UNHEARD = timedelta(minutes=10)
"""A receiver that takes nothing for so long stops the heart: else nobody would know."""

DIGEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """
    Args:
        targets: By the digests of their addresses.
        hearts: What is called, and how often.
    """

    targets: Mapping[str, Target] = field(default_factory=dict)
    hearts: tuple[tuple[Heartbeat, timedelta], ...] = ()


def receivers(rules: RuleSet, environ: Mapping[str, str], clock: Clock) -> Receivers:
    """
    Make the receivers of a set.

    Raises:
        ConfigError: Addresses are missing, or are none; all of them at once.
    """
    targets: dict[str, Target] = {}
    hearts: list[tuple[Heartbeat, timedelta]] = []
    with all_at_once() as problems:
        for each in rules.notices:
            with problems:
                address = _address(each, environ)
                if each.format == HEARTBEAT:
                    hearts.append((Heartbeat(address, clock), each.every))
                else:
                    name = hashlib.sha256(address.encode()).hexdigest()[:DIGEST]
                    targets[name] = Target(Webhook(address, each.format, clock), Severity[each.least.upper()])
    return Receivers(targets=targets, hearts=tuple(hearts))


def _address(target: NoticeTarget, environ: Mapping[str, str]) -> str:
    address = rules_dir.resolve_secret(target.address, environ)
    try:
        checked(address)
    except ValueError as wrong:
        file, _, place = target.address.place.rpartition(":")
        file, _, line = file.rpartition(":")
        told = f"the address in `{target.address}` cannot be used: {wrong}"
        raise ConfigError([Problem(file, int(line or 0), int(place or 0), told)]) from None
    return address


def link_to(external_url: str, notice: Notice) -> str:
    """Give where a person looks at what a notice is about; "" where nobody has said where this worker is reached."""
    if not external_url:
        return ""
    base = external_url.rstrip("/")
    of_one = "@" in notice.subject or "/" in notice.subject
    if of_one and notice.code not in _OF_ALL:
        return f"{base}/story?of={quote(notice.subject, safe='')}"
    return f"{base}/notices"


_OF_ALL = frozenset({"rules_refused", "rules_changed"})
"""Notices whose subject is a directory."""


class Mended:
    """
    Says whether something that a process before this one told was mended in between: that one could not say so.

    Args:
        began: When this process began, with rules that can be used.
        right: Whether each page of the rules is as they say.
    """

    def __init__(self, began: datetime, right: Callable[[], Mapping[str, bool]]) -> None:
        self._began = began
        self._right = right

    def __call__(self, concern: Concern) -> bool:
        """Judge one."""
        if concern.since >= self._began:
            return False
        of_page = concern.code == "page_wrong" and self._right().get(concern.subject, True)
        return of_page or concern.code == "rules_refused"


class Heart:
    """
    Calls whoever wants to hear that all is well, while it is.

    Args:
        wrong: Names what is not, each with why.
        unheard: Says whether a receiver of notices has taken nothing since a time.
    """

    def __init__(
        self,
        hearts: Callable[[], tuple[tuple[Heartbeat, timedelta], ...]],
        wrong: Callable[[], Mapping[str, str]],
        unheard: Callable[[datetime], bool],
        clock: Clock,
    ) -> None:
        self._hearts = hearts
        self._wrong = wrong
        self._unheard = unheard
        self._clock = clock
        self._beaten: dict[int, datetime] = {}
        self._said = ""

    def __call__(self) -> bool:
        """Look once; never asks for another round at once."""
        now = self._clock()
        due = [(heart, every) for heart, every in self._hearts() if self._due(id(heart), every, now)]
        if due and not self._ill(now):
            for heart, _ in due:
                self._beaten[id(heart)] = now
                receipt = heart.beat()
                if not receipt.taken and receipt.detail != self._said:
                    LOG.warning("heartbeat was not heard", error=receipt.detail)
                self._said = receipt.detail
        return False

    def _due(self, heart: int, every: timedelta, now: datetime) -> bool:
        last = self._beaten.get(heart)
        return last is None or not last <= now < last + every

    def _ill(self, now: datetime) -> bool:
        try:
            return bool(self._wrong()) or self._unheard(now - UNHEARD)
        except LedgerUnavailable:
            return True
