"""
Page → what it shows of what we wrote → episodes, windows and their actions.

The page is not believed to be as we left it: people post on it, rename, resolve and delete. What is looked at is read
between two readings of the ledger, so that nothing of ours can have happened meanwhile; whoever was faster wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from worker.core.drift import Drift, DriftKind, differences, known_ids, likeness, strange
from worker.core.footprints import Footprint, Matched, Observed, matched, observed
from worker.core.model import (
    UNMATCHED,
    ActionKind,
    Directory,
    Episode,
    Flag,
    Notice,
    Origin,
    RemoteIncident,
    Severity,
    Window,
)
from worker.core.rulebook import RuleBook
from worker.core.ruleset import RuleSet
from worker.errors import Conflict, ProviderUnavailable
from worker.ports import DEADLINE, Channel, Clock, Commit, Committer, Episodes, Footprints, Meter, Switches, Windows
from worker.steps._adopting import Adopting
from worker.steps._deciding import about_either

CAUSE = "the page"
SWEEP = 5
"""At every how manieth look page and ledger are compared as a whole."""

WHOLE_EVERY = timedelta(days=1)
WHOLE = timedelta(days=30)
"""How often, and how far back, they are compared also in what is over."""

MOST_SHOWN = 500
"""So many objects that are over are asked for at most, the newest first: a page gives only so many answers a minute."""

HEARD_OF = timedelta(seconds=5)
"""How soon a page is looked at again because somebody said that there is a new post on it."""


BEFORE_DUE = timedelta(seconds=10)
AFTER_DUE = timedelta(seconds=5)


class Observe:
    """
    Args:
        channels: Our page names to their channels.
        every: How often a page is looked at.
    """

    def __init__(
        self,
        *,
        footprints: Footprints,
        switches: Switches,
        episodes: Episodes,
        windows: Windows,
        committer: Committer,
        channels: Callable[[], Mapping[str, Channel]],
        book: Callable[[], RuleBook],
        clock: Clock,
        meter: Meter,
        every: timedelta,
    ) -> None:
        self._footprints = footprints
        self._switches = switches
        self._episodes = episodes
        self._windows = windows
        self._committer = committer
        self._channels = channels
        self._book = book
        self._clock = clock
        self._meter = meter
        self._every = every
        self._adopting = Adopting(episodes, windows, self._committed, book, clock)
        self._looked: dict[str, datetime] = {}
        self._unmatched: set[str] = set()
        self._moments: dict[str, Sequence[datetime]] = {}
        self._told = 0
        self._heeded: dict[str, int] = {}

    def hint(self) -> None:
        """Somebody says that there is a new post; it may be ours. Thread-safe, and harmless when it is lost."""
        self._told += 1

    def run_once(self, page: str) -> int:
        """
        Look at a page, where that is due.

        Returns:
            How many episodes and windows are not what they were before; 0 too where it was not due.

        Raises:
            LedgerUnavailable: The ledger cannot be read or written now.
        """
        now, channel, told = self._clock(), self._channels().get(page), self._told
        if channel is None or not self._due(page, now, told):
            return 0
        self._looked[page], self._heeded[page] = now, told
        try:
            if any(flag.page == page for flag in self._switches.flags(UNMATCHED)):
                return self._match(page, channel)
            return self._watch(page, channel) + self._adopting.run(page, channel) + self._sweep(page, channel)
        except ProviderUnavailable:
            self._meter.count("page_reads_failed", page=page)
            return 0

    def _due(self, page: str, now: datetime, told: int) -> bool:
        looked = self._looked.get(page)
        if looked is None or now < looked:
            return True
        if any(looked < moment <= now for moment in self._moments.get(page, ())):
            return True
        soon = told != self._heeded[page] or page in self._unmatched
        return now >= looked + (min(HEARD_OF, self._every) if soon else self._every)

    # -- a ledger that may be older than the page

    def _match(self, page: str, channel: Channel) -> int:
        """
        Take over what the page shows of everything that is live; then, and only then, it may be written to again.

        Raises:
            ProviderUnavailable: Something could not be read.
        """
        self._unmatched.add(page)
        directory = channel.directory()
        found = [each for each in self._footprints.footprints(page, self._clock()) if each.subject.remote_id]
        if not all(self._matched(footprint, channel, directory) for footprint in found):
            return 0
        now = self._clock()
        flag = Flag(page=page, name=UNMATCHED, at=now, value=None)
        text = f"matched with the page, of which it knows {len(found)} incidents and windows: it is written to again"
        notice = Notice(code="matched", subject=page, text=text, severity=Severity.INFO)
        self._committer.commit(Commit(now=now, flags=[flag], notices=[notice]))
        self._unmatched.discard(page)
        return 1

    def _matched(self, footprint: Footprint, channel: Channel, directory: Directory) -> bool:
        shown = channel.provider.show(footprint.subject.remote_id, _kind(footprint.subject))
        return self._committed(self._about(footprint.subject, matched(footprint, shown, directory)))

    # -- what we wrote, and people

    def _watch(self, page: str, channel: Channel) -> int:
        found = self._footprints.footprints(page, self._clock())
        moved = sum(self._look(footprint, channel) for footprint in found if _watched(footprint))
        self._moments[page] = _moments(footprint.subject for footprint in found)
        return moved

    def _look(self, footprint: Footprint, channel: Channel) -> bool:
        before = footprint.subject
        shown = channel.provider.show(before.remote_id, _kind(before))
        commit = self._decided(before, observed(footprint, shown, DEADLINE + channel.settle, self._clock()))
        if commit is None or not self._committed(commit):
            return False
        after = _subject(commit)
        if after.hands_off and not before.hands_off and not _made_by_people(after):
            self._meter.count("takeovers", page=after.page)
        return True

    def _about(self, subject: Episode | Window, seen: Observed | Matched) -> Commit:
        return about_either(self._book(), self._episodes, self._windows, subject, seen, CAUSE, self._clock())

    def _decided(self, before: Episode | Window, seen: Observed) -> Commit | None:
        commit = self._about(before, seen)
        return commit if _subject(commit) != before or commit.actions else None

    def _committed(self, commit: Commit) -> bool:
        try:
            self._committer.commit(commit)
        except Conflict:
            self._meter.count("conflicts", step="observe")
            return False
        return True

    # -- page against ledger

    def _sweep(self, page: str, channel: Channel) -> int:
        sweep, now = self._footprints.sweep(page), self._clock()
        if sweep.at is not None and sweep.at <= now < sweep.at + SWEEP * self._every:
            return 0
        whole = sweep.whole_at is None or not sweep.whole_at <= now < sweep.whole_at + WHOLE_EVERY
        since = now - WHOLE if whole or sweep.whole_at is None else sweep.whole_at
        found = compare(page, channel, self._footprints, self._book().rules, since, self._clock)
        later, new = sweep.after(found, self._clock(), whole=whole)
        try:
            self._committer.commit(
                Commit(now=self._clock(), sweeps=[later], notices=[_told(page, each) for each in new])
            )
        except Conflict:
            self._meter.count("conflicts", step="observe")
            return 0
        self._meter.count("sweeps", page=page)
        return 1


def _watched(footprint: Footprint) -> bool:
    """Whether it matters what the page shows: of a window that others move, because it mutes as long as they say."""
    subject = footprint.subject
    if not subject.remote_id or footprint.in_flight:
        return False
    if isinstance(subject, Window):
        return subject.phase.live or bool(subject.actions)
    return subject.phase.live and not subject.hands_off


def _subject(commit: Commit) -> Episode | Window:
    """Give the one that a commit is about."""
    return commit.windows[0] if commit.windows else commit.episodes[0]


def _moments(subjects: Iterable[Episode | Window]) -> Sequence[datetime]:
    """Give when to look besides: before a window is due, because its times may be edited, and after."""
    times = {at for each in subjects if isinstance(each, Window) for at in (each.starts_at, each.ends_at)}
    return [at + offset for at in times for offset in (-BEFORE_DUE, AFTER_DUE)]


def _made_by_people(subject: Episode | Window) -> bool:
    return isinstance(subject, Window) and subject.origin is Origin.PAGE


def compare(
    page: str, channel: Channel, ledger: Footprints, rules: RuleSet, since: datetime, clock: Clock
) -> list[Drift]:
    """
    Compare a page with the ledger, in all that is open or was written to after *since*.

    The ledger is read before and after the page; what moved on meanwhile is not judged. Reads only.

    Raises:
        ProviderUnavailable: The page could not be read.
        LedgerUnavailable: The ledger could not be read.
    """
    settle = DEADLINE + channel.settle
    before = ledger.footprints(page, since)
    shown = _shown(before, channel, clock, settle)
    after = ledger.footprints(page, since)
    read_at = {footprint.subject.id: footprint.subject.version for footprint in before}
    found: list[Drift] = []
    for footprint in after:
        subject = footprint.subject
        if subject.remote_id in shown and read_at.get(subject.id) == subject.version:
            found += differences(footprint, shown[subject.remote_id], clock(), settle)
    known, looks_like_ours = known_ids([*before, *after]), likeness(rules, page)
    strangers = [each for key, each in shown.items() if each is not None and key not in known]
    return [*found, *filter(None, (strange(each, after, looks_like_ours) for each in strangers))]


def _shown(
    footprints: Sequence[Footprint], channel: Channel, clock: Clock, settle: timedelta
) -> Mapping[str, RemoteIncident | None]:
    """
    Read all that is open, and what belongs to the *footprints*.

    Lists may lag behind: where they differ from what we wrote, the object itself is asked for.
    """
    provider, directory = channel.provider, channel.directory()
    listed = (*provider.ongoing(directory), *provider.windows(directory))
    shown: dict[str, RemoteIncident | None] = {each.id: each for each in listed}
    wanted = [f for f in footprints if f.subject.remote_id and not f.subject.hands_off]
    doubtful = [
        f
        for f in wanted
        if f.subject.remote_id in shown and differences(f, shown[f.subject.remote_id], clock(), settle)
    ]
    others = sorted((f for f in wanted if f.subject.remote_id not in shown), key=_recency, reverse=True)
    for footprint in (*doubtful, *others[:MOST_SHOWN]):
        remote_id = footprint.subject.remote_id
        shown[remote_id] = provider.show(remote_id, _kind(footprint.subject))
    return shown


def _kind(subject: Episode | Window) -> ActionKind:
    return ActionKind.UPDATE_MAINTENANCE if isinstance(subject, Window) else ActionKind.UPDATE_INCIDENT


def _recency(footprint: Footprint) -> tuple[bool, datetime]:
    """What is live comes before what is over."""
    written_at = max((action.created_at for action in footprint.actions), default=footprint.subject.created_at)
    return footprint.subject.phase.live, written_at


def _told(page: str, drift: Drift) -> Notice:
    severity = Severity.WARNING if drift.kind is DriftKind.CHANGED else Severity.ERROR
    text = f"{drift.kind} on page `{page}`: {drift.text}"
    return Notice(code="drift", subject=drift.subject or drift.remote_id, text=text, severity=severity)
