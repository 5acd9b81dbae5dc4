"""
The seams between the pipeline and the world: small protocols, and the values that cross them.

Steps know these and nothing behind them. Every ledger method is one transaction, so that no caller can hold
one open across the network, a template or an expression.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from worker.core.brakes import Posted
from worker.core.concerns import Mailbox, Standing
from worker.core.drift import Sweep
from worker.core.footprints import Footprint
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Attempt,
    Beat,
    Directory,
    Episode,
    Event,
    Flag,
    Inbound,
    Notice,
    Outcome,
    Phase,
    RemoteIncident,
    Request,
    Severity,
    SharedPost,
    Signal,
    SignalId,
    Unreadable,
    Window,
)
from worker.core.ruleset import AuthConfig, SourceConfig

Clock = Callable[[], datetime]
"""Gives the aware UTC time now; owned by bootstrap."""

Statement = Event | SharedPost | Unreadable

DEADLINE = timedelta(seconds=30)
"""The longest that one write to a page may take, from its first byte to the last of its answer."""


class Source(Protocol):
    """
    One kind of sender. Pure: no I/O, no clock.

    Attributes:
        kind: The word used in ``sources: {x: {kind: …}}``.
        schemes: Authentication schemes that it can be configured with, and what it knows of their options itself.
        event_kinds: Every ``Event.kind`` that it may make; empty: any, by a mapping in the rules directory.
    """

    @property
    def kind(self) -> str: ...
    @property
    def schemes(self) -> Mapping[str, Mapping[str, str]]: ...
    @property
    def event_kinds(self) -> frozenset[str]: ...

    def verify(self, inbound: Inbound, auth: AuthConfig, secrets: Sequence[str], now: datetime) -> None:
        """
        Prove the inbound authentic; *secrets* are the resolved values of ``auth.secrets``.

        Raises:
            SignatureInvalid: It is not; whatever a hostile header or body makes a library raise ends here too.
        """
        ...

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """
        Read the statements out of an authentic inbound, in their order; () where it states nothing (a ping).

        Where several stand in one body, one that cannot be read gives an ``Unreadable`` and costs no other.

        Raises:
            PayloadNotUnderstood: The body as a whole is not of a form that this source reads.
        """
        ...

    def delivery_id(self, inbound: Inbound) -> str:
        """Name the delivery, the same over all its retries; "" where the sender gives no such id."""
        ...


@runtime_checkable
class Host(Protocol):
    """A source whose senders ask first whether they may send (``OPTIONS``)."""

    def welcome(self, inbound: Inbound) -> Mapping[str, str]:
        """Give the headers of a yes; none where nobody asked."""
        ...


@runtime_checkable
class Correspondent(Protocol):
    """A source that needs something fetched, now and then: it says what, and somebody else fetches."""

    def learn(self, url: str, content: bytes) -> None:
        """
        Take what ``verify`` has asked for by KeyNeeded.

        Raises:
            ConfigError, ValueError: It cannot be used.
        """
        ...

    def errand(self, inbound: Inbound, config: SourceConfig) -> str:
        """Name the address that an authentic inbound asks to be called; "": none."""
        ...


class Sender(Protocol):
    """
    What makes the bodies of one kind of source, to play rules with: it sends as the real one would, and remembers what
    it has sent.

    Attributes:
        inline: What its items are called in rule tests.
        item: The form of one item, as a type of the file format.
    """

    @property
    def inline(self) -> str: ...
    @property
    def item(self) -> type[Any]: ...

    def bodies(self, items: Sequence[Any], now: datetime) -> Sequence[bytes]:
        """Give the bodies of the requests in which *items* are told at a time, in order."""
        ...


class Provider(Protocol):
    """
    One status page at one hosting service.

    Attributes:
        supports: Every action that the service has a word for.
        most_updates: How many updates one incident may have, its first included.
    """

    @property
    def supports(self) -> frozenset[ActionKind]: ...
    @property
    def most_updates(self) -> int: ...

    def directory(self) -> Directory:
        """
        Resolve the page and our component names against the service; what it does not have is ``missing``.

        Raises:
            ConfigError: The page itself is unknown or ambiguous, or the key is not taken.
            ProviderUnavailable: The service could not be read.
        """
        ...

    def ongoing(self, directory: Directory) -> Sequence[RemoteIncident]:
        """
        List the page's incidents that are not resolved.

        Raises:
            ProviderUnavailable: The service could not be read.
        """
        ...

    def windows(self, directory: Directory) -> Sequence[RemoteIncident]:
        """
        List the page's maintenance windows that are not complete.

        Raises:
            ProviderUnavailable: The service could not be read.
        """
        ...

    def show(self, remote_id: str, kind: ActionKind) -> RemoteIncident | None:
        """
        Show the object that actions of *kind* write to; None where the page has none of this id.

        Raises:
            ProviderUnavailable: The service could not be read; KeyDenied where it does not take our key, as any read.
        """
        ...

    def summary(self, directory: Directory) -> Mapping[str, Any] | None:
        """
        Give what the page's owner lets anybody show elsewhere, in the form of ``core.summary``; None where the service
        has no word for that.

        Raises:
            ProviderUnavailable: It could not be read, or the owner does not want it.
        """
        ...

    def request(self, action: Action, directory: Directory) -> Request:
        """
        Build the exact bytes of a write. Pure.

        Raises:
            EvaluationFailed: The action names a component that the page no longer has.
        """
        ...

    def send(self, action: Action, request: Request) -> Outcome:
        """Send once, on a fresh connection, within the deadline; every failure is an outcome, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class Channel:
    """
    A page that can be written to.

    Args:
        directory: Gives the page as resolved; raises ProviderUnavailable while it could not be.
        settle: How long a request that timed out may still be applied.
    """

    provider: Provider
    directory: Callable[[], Directory]
    settle: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    An inbound ready to be recorded.

    Args:
        delivery: Unique among deliveries of its source; None where repeats cannot be told from news.
        statements: How many it makes that can be read.
        unparsed: How many of its parts cannot; 1 where it cannot be read as a whole. With none of either it states
            nothing, and is not handed to react.
    """

    inbound: Inbound
    delivery: str | None
    statements: int
    unparsed: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an entry: its place in the inbox, or of the one that it repeats."""

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """
    An inbound after react, or after a person has dismissed it.

    Args:
        state: "done", "parked" or "dismissed".
        detail: Why it is parked, or "".
        was: The state that it was in: "pending" or "parked".
    """

    seq: int
    state: str = "done"
    detail: str = ""
    was: str = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One statement for the history: what was said in which inbound and what it changed, for people."""

    inbound_seq: int
    position: int
    event: Event
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of history: what was decided about an aggregate, why, for people."""

    aggregate: str
    at: datetime
    cause: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """
    What a step submits: rows, and the versions that they were read at.

    Every episode, window, signal, sweep and memo carries the version it was read at (0: new); the ledger refuses the
    whole commit with Conflict when one of them has another by now, and stores version + 1. Changes of actions and
    attempts always travel with their episode or window.

    Args:
        actions: Every action that is new or changed; those of an episode's ``actions`` that did not change need not.
        lease: From *now* on, how long others leave alone what is being sent; None: as long as it was claimed for.
        wakes: (rule id, page): live episodes of these are looked at again now, and their versions move on; a rule id
            of "" is any.
        flags: Set, or taken away.
        memos: What is remembered of notices.
        taken: The numbers of notices that are on their way to their receivers from now on.
        beats: Of the canaries that were heard or looked at; the newest word wins.
        now: The time of the commit.
    """

    now: datetime
    handled: Sequence[Handled] = ()
    heard: Sequence[Heard] = ()
    signals: Sequence[Signal] = ()
    episodes: Sequence[Episode] = ()
    windows: Sequence[Window] = ()
    actions: Sequence[Action] = ()
    lease: timedelta | None = None
    attempts: Sequence[Attempt] = ()
    decisions: Sequence[Decision] = ()
    notices: Sequence[Notice] = ()
    wakes: Sequence[tuple[str, str]] = ()
    flags: Sequence[Flag] = ()
    beats: Sequence[Beat] = ()
    sweeps: Sequence[Sweep] = ()
    memos: Sequence[Standing | Mailbox] = ()
    taken: Sequence[int] = ()
    revisions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def caused_by(inbound: Inbound) -> str:
    """Name an inbound as the cause of what is decided because of it."""
    return f"inbound {inbound.seq} from {inbound.source}"


_INBOUND = re.compile(r"inbound[/ ](\d{1,18})")


def inbound_named(reference: str) -> int | None:
    """Read "inbound/42", or "inbound 42" as causes and notices write it; None for anything else."""
    found = _INBOUND.fullmatch(reference)
    return int(found[1]) if found else None


class Committer(Protocol):
    """Takes the commits of all steps."""

    def commit(self, commit: Commit) -> None:
        """
        Store all of it or nothing; return when it is on disk.

        Raises:
            Conflict: Something was changed since it was read.
            LedgerUnavailable: The ledger cannot take it now.
        """
        ...


class Inbox(Protocol):
    """Inbounds, from receipt until they were reacted to."""

    def record(self, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        """
        Queue an entry; *done* is called once it is on disk, or failed, from any thread.

        Raises:
            Overloaded: Too many inbounds wait to be recorded or to be reacted to.
        """
        ...

    def pending(self, limit: int) -> Sequence[Inbound]:
        """Give the oldest inbounds that wait for react, at most *limit*, in order of receipt."""
        ...


class Episodes(Protocol):
    """Signals and the episodes that they belong to."""

    def signals(self, ids: Collection[SignalId]) -> Mapping[SignalId, Signal]:
        """Give those of the signals that are known."""
        ...

    def scope(self, source: str, scope: str) -> Sequence[Signal]:
        """Give the firing signals of a sender's group."""
        ...

    def firing(self, sources: Collection[str]) -> Sequence[Signal]:
        """Give the signals that fire, of the sources; () for any."""
        ...

    def latest(self, keys: Collection[str]) -> Mapping[str, Episode]:
        """Give the newest episode of each key (``episode_key``) that has one, live or ended."""
        ...

    def joined(self, ids: Collection[SignalId]) -> Sequence[Episode]:
        """Give the live episodes that any of the signals is a member of."""
        ...

    def get(self, episode_id: str) -> Episode | None:
        """Give one episode."""
        ...

    def due(self, now: datetime, limit: int) -> Sequence[Episode]:
        """Give episodes whose ``wake_at`` has come, the earliest first."""
        ...

    def next_wake(self) -> datetime | None:
        """Give the earliest ``wake_at``."""
        ...

    def beats(self) -> Mapping[str, Beat]:
        """Give what is known of the canaries, by source."""
        ...

    def live(self, rule_ids: Collection[str], page: str) -> bool:
        """Say whether any of the rules has a live episode on the page."""
        ...

    def revision(self, rule_hash: str) -> Mapping[str, Any] | None:
        """Give the spec of a rule revision."""
        ...


class Windows(Protocol):
    """Maintenance windows."""

    def window(self, window_id: str) -> Window | None:
        """Give one window."""
        ...

    def windows(self, since: datetime) -> Sequence[Window]:
        """Give every window that is live or ends after *since*, the earliest first."""
        ...

    def latest_windows(self, lines: Collection[str]) -> Mapping[str, Window]:
        """Give the newest window of each line (``Window.line``) that has one, live or ended."""
        ...

    def joined_windows(self, ids: Collection[SignalId]) -> Sequence[Window]:
        """Give the live windows that any of the signals is a member of."""
        ...

    def muting(self, now: datetime) -> Sequence[Window]:
        """Give those in progress, and those complete for less than their grace; without members and actions."""
        ...

    def due_windows(self, now: datetime, limit: int) -> Sequence[Window]:
        """Give windows whose ``wake_at`` has come, the earliest first."""
        ...

    def next_window_wake(self) -> datetime | None:
        """Give the earliest ``wake_at``."""
        ...


EVERY_KIND = frozenset(ActionKind)


LONGEST_PAUSE = timedelta(minutes=30)
"""
Nothing that no brake keeps waiting is put off for longer, and no lease is given for longer: a time that lies farther
ahead was reckoned by a clock that has been set back since, and is not waited for.
"""
UNBRAKED = frozenset(kind for kind in ActionKind if kind.of_window or kind is ActionKind.RESOLVE_INCIDENT)


class Outbox(Protocol):
    """Actions, from decision until they are settled."""

    def claim(
        self, now: datetime, lease: timedelta, pages: Collection[str], kinds: Collection[ActionKind] = EVERY_KIND
    ) -> Action | None:
        """
        Lease the next action that may be worked on: queued, unknown, sending with a lapsed lease, or held only behind
        somebody else's incident; due; of one of the pages that is not paused, and of *kinds*; the first unsettled one
        of its aggregate. Resolves and transitions come first, then the oldest; what is held comes last. Of a page
        whose breaker is open, one at its turn; where it can be read, what only reads has no need of one.
        """
        ...

    def paused(self, page: str) -> bool:
        """Say whether nothing may be written to a page now."""
        ...

    def release(self, action_id: str, not_before: datetime) -> None:
        """Give a lease back without a verdict."""
        ...

    def next_due(self, now: datetime) -> datetime | None:
        """Give the earliest time at which ``claim`` may find something."""
        ...

    def attempts(self, action_id: str) -> Sequence[Attempt]:
        """Give every attempt at an action, the oldest first."""
        ...

    def own_updates(self, remote_id: str) -> frozenset[str]:
        """Give the page's ids of every post that we are known to have made on one object."""
        ...

    def posted(self, page: str, since: datetime, now: datetime) -> Sequence[Posted]:
        """
        Give the actions that a page has since *since* or later, and those that it may have, or have soon: somebody
        works on them.
        """
        ...

    def made(self, remote_id: str) -> bool:
        """Say whether a create of ours is known to have made the page's object."""
        ...

    def unsettled_creates(self, page: str) -> Sequence[Action]:
        """Give the creates on a page whose outcome is not known."""
        ...


class Footprints(Protocol):
    """What was written to pages, for comparing it with what they show, and what that has come to."""

    def footprint(self, aggregate: str) -> Footprint | None:
        """Give what one episode or window wrote; None where there is no such thing."""
        ...

    def footprints(self, page: str, since: datetime) -> Sequence[Footprint]:
        """
        Give the footprints of everything on a page that is live or has unsettled actions, or whose actions were decided
        after *since*.
        """
        ...

    def sweep(self, page: str) -> Sweep:
        """Give what the comparisons of a page have come to."""
        ...


class Switches(Protocol):
    """What holds for a whole page, and survives a restart."""

    def flags(self, *names: str) -> Sequence[Flag]:
        """Give the flags of these names, by page."""
        ...

    def sending(self, page: str = "") -> Sequence[str]:
        """Give the ids of the actions whose attempt may be on its way; "": to whatever page."""
        ...


class Notices(Protocol):
    """Notices from when they were made until every receiver has them."""

    def untaken(self, since: datetime, limit: int) -> Sequence[tuple[int, datetime, Notice]]:
        """Give notices made at *since* or later that nobody has taken on their way, the oldest first, numbered."""
        ...

    def numbered(self, numbers: Collection[int]) -> Sequence[tuple[int, datetime, Notice]]:
        """Give those of the notices that are still there, in order."""
        ...

    def standing(self) -> Standing:
        """Give what was told and is not over."""
        ...

    def mailbox(self, receiver: str) -> Mailbox:
        """Give what waits for a receiver."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """
    A notice as it is told.

    Args:
        link: Where a person looks; "" where that is not known.
    """

    at: datetime
    notice: Notice
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """
    What a receiver made of what it was told.

    Args:
        taken: It has it.
        detail: Why not, for people, free of secrets.
        retry_at: The earliest next try, where it told one.
    """

    taken: bool
    detail: str = ""
    retry_at: datetime | None = None


class Receiver(Protocol):
    """Where notices go: one webhook."""

    def tell(self, told: Sequence[Told], dropped: int) -> Receipt:
        """
        Tell some notices at once, in order; every failure is a receipt, never an exception.

        Args:
            dropped: How many more there were that are not told here.
        """
        ...


class Meter(Protocol):
    """Counts what happens; names and label values come from closed sets."""

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add *by* to the counter ``statusbridge_<name>_total``."""
        ...

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add one measurement to the histogram ``statusbridge_<name>_seconds``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """
    One action as ``history`` shows it.

    Args:
        said_at: When the page had it; None while it has not.
        attempts: How many tries were made.
    """

    action: Action
    episode: str
    rule_id: str
    number: int
    group: Mapping[str, str]
    said_at: datetime | None
    update_id: str
    attempts: int

    @property
    def shown_at(self) -> datetime:
        """When it is shown to have been: when the page had it, else when it was decided."""
        return self.said_at or self.action.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything about one episode or window, each list oldest first."""

    about: Episode | Window
    heard: Sequence[tuple[datetime, Heard]]
    decisions: Sequence[Decision]
    actions: Sequence[HistoryLine]
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """
    An inbound as the inbox lists it.

    Args:
        state: "pending", "done", "parked" or "dismissed".
        detail: Why it is parked, or "".
        statements: How many it makes that can be read.
        unparsed: How many of its parts cannot.
        size: Of its body, bytes.
    """

    seq: int
    source: str
    received_at: datetime
    state: str
    detail: str
    statements: int
    unparsed: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundStory:
    """
    Everything about one inbound: how it stands, and the request as it came.

    Args:
        heard: Its statements, in order.
        decisions: What was decided because of it, about whatever aggregate, in order.
    """

    received: Received
    inbound: Inbound
    heard: Sequence[Heard]
    decisions: Sequence[Decision]


Place = tuple[datetime, str, int]
"""Where an action stands in the history: when it is shown there, its aggregate, its number there."""


def place_of(line: HistoryLine) -> Place:
    """Say where an action stands in the history."""
    return line.shown_at, line.action.aggregate, line.action.seq


def says(action: Action, text: str) -> bool:
    """Say whether *text* stands in what an action says, in whatever case."""
    content = action.content
    said = (content.title, content.message, *(step.message for step in content.steps))
    return any(text.casefold() in each.casefold() for each in said)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """
    What came of one rule, or one entry of ``maintenance``.

    Args:
        episodes: How many there were of it, windows too.
        live: How many of them are not over.
        posts: How many of its posts reached a page.
        last_at: When the last one did.
    """

    episodes: int = 0
    live: int = 0
    posts: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    What happened within a stretch of time.

    Args:
        at: Its start.
        heard: How many statements were heard.
        published: How many posts reached a page.
        suppressed: How many did not, although somebody decided on them: replaced by a newer decision, dismissed, in
            shadow; and how many episodes were over before anything was said.
        lags: Of the published posts that waited for nobody's approval: seconds from the decision to the page.
    """

    at: datetime
    heard: int = 0
    published: int = 0
    suppressed: int = 0
    lags: tuple[float, ...] = ()


def spans(
    since: datetime,
    step: timedelta,
    until: datetime,
    heard: Mapping[int, int],
    posts: Iterable[tuple[datetime, Action]],
    kept_back: Iterable[datetime],
) -> Sequence[Span]:
    """
    Sort what happened into stretches of time.

    Args:
        heard: How many statements, by the number of the stretch.
        posts: When a page got what.
        kept_back: When something was not said.
    """

    def number(at: datetime) -> int:
        return (at - since) // step

    published: Counter[int] = Counter()
    lags: defaultdict[int, list[float]] = defaultdict(list)
    for at, action in posts:
        published[number(at)] += 1
        if not action.approved_by:
            lags[number(at)].append((at - action.created_at).total_seconds())
    suppressed = Counter(map(number, kept_back))
    return [
        Span(
            at=since + n * step,
            heard=heard.get(n, 0),
            published=published[n],
            suppressed=suppressed[n],
            lags=tuple(sorted(lags[n])),
        )
        for n in range(-((since - until) // step))
    ]


class Recordings(Protocol):
    """What came in, as it came, to be played again."""

    def recorded(self, since: datetime, after: int = 0, limit: int = 1000) -> Sequence[Inbound]:
        """Give inbounds that were received at *since* or later and stand behind *after*, in order of receipt."""
        ...


class Queries(Protocol):
    """What people and programs ask of the ledger; never needed by a step."""

    def history(
        self,
        *,
        page: str = "",
        rule_id: str = "",
        states: Collection[ActionState] = (),
        text: str = "",
        since: datetime | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> Sequence[HistoryLine]:
        """
        Give actions, the newest first: by when the page had them, else by when they were decided.

        Args:
            states: () is any.
            since: Only those that are shown to have been then or later.
            text: Stands in the title or the message, in whatever case.
            before: Only those that stand behind it in this order, for the next part of a long list.
        """
        ...

    def episodes(
        self,
        *,
        phases: Collection[Phase] = (),
        page: str = "",
        rule_id: str = "",
        before: tuple[datetime | None, str] | None = None,
        limit: int = 100,
    ) -> Sequence[Episode]:
        """
        Give episodes: those that are not over first, then by their end, the newest first.

        Args:
            phases: () is any.
            before: End and id of one; only those that stand behind it in this order.
        """
        ...

    def inbounds(
        self,
        *,
        source: str = "",
        states: Collection[str] = (),
        unparsed: bool = False,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Received]:
        """
        Give inbounds, the newest first; with *unparsed* only those not understood, whole or in part; with *before* only
        those with a smaller number.
        """
        ...

    def rule_counts(self) -> Mapping[str, RuleCount]:
        """Count what came of each rule and entry that anything came of, by its id."""
        ...

    def activity(self, since: datetime, step: timedelta, until: datetime) -> Sequence[Span]:
        """Give what happened from *since* to *until*, in stretches of *step*, the oldest first, quiet ones too."""
        ...

    def inbound(self, seq: int) -> InboundStory | None:
        """Tell one inbound."""
        ...

    def story(self, reference: str) -> Story | None:
        """Tell one episode, by its id or by ``<rule>#<number>`` where that is unambiguous; or one window, by its id."""
        ...

    def totals(self) -> Mapping[str, int]:
        """
        Count: ``inbounds``, ``inbounds_pending``, ``inbounds_parked``, ``inbounds_unparsed`` (those of the parked ones
        that could not be understood, whole or in part), ``events``, ``signals_firing``, ``pauses``, ``unmatched``,
        ``episodes_held|open|clearing|resolved|dismissed``, ``windows_<phase>``, ``actions_<state>``, and
        ``actions_done_<kind>``.
        """
        ...

    def notices(
        self, limit: int = 100, *, since: datetime | None = None, severity: Severity = Severity.INFO, skip: int = 0
    ) -> Sequence[tuple[datetime, Notice]]:
        """Give notices of at least *severity*, the newest first, without the first *skip*."""
        ...


class Retention(Protocol):
    """The end of what nobody needs any more."""

    def prune(
        self, *, inbounds_before: datetime, signals_before: datetime, ended_before: datetime, limit: int = 500
    ) -> int:
        """
        Remove at most *limit* rows, in one transaction; give how many, 0: there is nothing left to remove.

        Never removed are an inbound that waits for react, a signal that fires or is a member of a live episode, and an
        episode or window that is live or has an unsettled action.

        Args:
            inbounds_before: Inbounds that were received before go, with what was heard in them; and with them the
                memory of their delivery.
            signals_before: Signals of which nothing new was heard since go.
            ended_before: Episodes and windows that were over before go, with everything about them; and notices.
        """
        ...
