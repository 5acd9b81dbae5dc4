"""
The step that tells the team: takes notices from the ledger, judges what is over and what is late, tells receivers.

A receiver that does not answer keeps nobody else waiting, and nothing is lost by it: what it has to be told waits in
the ledger. Nothing here is on the way of a post to its page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.core.concerns import Concern, Mailbox, Standing, heard, judged
from worker.core.drift import Sweep
from worker.core.footprints import Footprint
from worker.core.model import PAUSE, Notice, Severity
from worker.core.retry import again
from worker.errors import Conflict
from worker.ports import Clock, Commit, Committer, Footprints, Meter, Notices, Receipt, Receiver, Switches, Told

JUDGE_EVERY = timedelta(seconds=15)
"""How often it is looked what is over by now, and what is late."""

MEMORY = timedelta(hours=1)
"""A notice that nobody has taken for so long was made while there was no such step, and is told to nobody."""

MOST_TAKEN = 200
MOST_TOLD = 20
"""Notices that are told at once: receivers limit how often they may be called."""

LEASE = timedelta(seconds=60)
"""How long nobody else tells a receiver what it is just told."""

RARELY = timedelta(minutes=5)
"""So long, and a little, a receiver is left alone at most that takes nothing."""

LONGEST = timedelta(minutes=15)
"""A next try that lies farther ahead was reckoned by a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver, and how loud a notice must be to be told there."""

    receiver: Receiver
    least: Severity


class Notify:
    """
    Args:
        targets: Gives the receivers by the digests of their addresses.
        pages: Gives the pages that the rules have.
        link: Gives where a person looks at what a notice is about, or "".
        mended: Says whether something that a process before this one told is over, although that could not say so.
    """

    def __init__(
        self,
        *,
        notices: Notices,
        footprints: Footprints,
        switches: Switches,
        committer: Committer,
        targets: Callable[[], Mapping[str, Target]],
        pages: Callable[[], Collection[str]],
        link: Callable[[Notice], str],
        mended: Callable[[Concern], bool] = lambda concern: False,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._notices = notices
        self._footprints = footprints
        self._switches = switches
        self._committer = committer
        self._targets = targets
        self._pages = pages
        self._link = link
        self._mended = mended
        self._clock = clock
        self._meter = meter
        self._judged: datetime | None = None

    def run_once(self) -> bool:
        """
        Take what is new, judge, and tell every receiver that has something waiting.

        Returns:
            Whether there may be more to do at once.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        try:
            moved = self._take()
        except Conflict:
            self._meter.count("conflicts", step="notify")
            return False
        told = [self._tell(name, target) for name, target in self._targets().items()]
        return moved or any(told)

    # -- from what was made to what waits

    def _take(self) -> bool:
        now = self._clock()
        new = self._notices.untaken(now - MEMORY, MOST_TAKEN)
        due = self._judged is None or not self._judged <= now < self._judged + JUDGE_EVERY
        if not new and not due:
            return False
        before = standing = self._notices.standing()
        told: list[tuple[int, Notice]] = []
        for number, at, notice in new:
            standing, as_told = heard(standing, notice, at)
            told.append((number, as_told))
        begun: Sequence[Notice] = ()
        if due:
            mended = frozenset(name for name, each in standing.open.items() if self._mended(each))
            standing, begun = judged(standing, *self._seen(standing, now), now, self._paused(), mended)
        memos: list[Standing | Mailbox] = [*([standing] if standing != before else []), *self._mailed(told)]
        if new or begun or memos:
            taken = [number for number, _ in told]
            self._committer.commit(Commit(now=now, memos=memos, taken=taken, notices=begun))
        self._judged = now if due else self._judged
        return bool(new or begun)

    def _seen(self, standing: Standing, now: datetime) -> tuple[list[Footprint], list[Sweep]]:
        """Give all that is live, and all that something stands of, also on a page that the rules have no more."""
        pages = self._pages()
        footprints = [each for page in pages for each in self._footprints.footprints(page, now)]
        elsewhere = {each.subject for each in standing.open.values()} - {each.subject.id for each in footprints}
        found = (self._footprints.footprint(subject) for subject in sorted(elsewhere))
        footprints += [each for each in found if each is not None]
        return footprints, [self._footprints.sweep(page) for page in pages]

    def _paused(self) -> frozenset[str]:
        flags = self._switches.flags(PAUSE)
        everywhere = any(not flag.page for flag in flags)
        return frozenset(self._pages()) if everywhere else frozenset(flag.page for flag in flags)

    def _mailed(self, told: Sequence[tuple[int, Notice]]) -> list[Mailbox]:
        changed: list[Mailbox] = []
        for name, target in self._targets().items():
            loud = [number for number, notice in told if notice.severity >= target.least]
            if loud:
                changed.append(self._notices.mailbox(name).with_more(loud))
        return changed

    # -- from what waits to who is to know it

    def _tell(self, name: str, target: Target) -> bool:
        box, now = self._notices.mailbox(name), self._clock()
        if not box.waiting or (box.not_before is not None and now < box.not_before <= now + LONGEST):
            return False
        try:
            box = self._committed(replace(box, not_before=now + LEASE))
            some = box.waiting[:MOST_TOLD]
            told = [Told(at=at, notice=n, link=self._link(n)) for _, at, n in self._notices.numbered(some)]
            receipt = target.receiver.tell(told, box.dropped) if told or box.dropped else Receipt(taken=True)
            self._meter.count("notices_told", outcome="taken" if receipt.taken else "failed", by=max(1, len(told)))
            if receipt.taken:
                self._committed(
                    replace(
                        box, waiting=box.waiting[len(some) :], dropped=0, tries=0, not_before=None, failing_since=None
                    )
                )
            else:
                tries, now = box.tries + 1, self._clock()
                at = again(name, tries, receipt.retry_at, now, RARELY)
                failing = box.failing_since or now
                self._committed(replace(box, tries=tries, not_before=at, failing_since=failing))
        except Conflict:  # somebody else tells it, or has put more into it: later
            self._meter.count("conflicts", step="notify")
            return False
        return receipt.taken

    def _committed(self, box: Mailbox) -> Mailbox:
        self._committer.commit(Commit(now=self._clock(), memos=[box]))
        return replace(box, version=box.version + 1)

    def failing(self, since: datetime) -> bool:
        """Say whether a receiver has taken nothing since *since* or longer."""
        boxes = (self._notices.mailbox(name) for name in self._targets())
        return any(box.failing_since is not None and box.failing_since <= since for box in boxes)
