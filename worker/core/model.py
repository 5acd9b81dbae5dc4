"""
The values that all parts speak of, and their closed vocabularies.

Here lives data only: frozen, complete, without behaviour beyond what follows from their own fields.
This file may not know how anything is stored, sent, matched or rendered. All times are aware and UTC.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from worker.errors import Problem

NO_TEXTS: Mapping[str, str] = {}


class Status(StrEnum):
    """What an event says of its signal. ``INFO`` neither fires nor resolves."""

    FIRING = "firing"
    RESOLVED = "resolved"
    INFO = "info"


class ComponentStatus(StrEnum):
    """What a page says of a component."""

    OPERATIONAL = "operational"
    UNDER_MAINTENANCE = "under_maintenance"
    DEGRADED_PERFORMANCE = "degraded_performance"
    PARTIAL_OUTAGE = "partial_outage"
    FULL_OUTAGE = "full_outage"

    @property
    def rank(self) -> int:
        """The larger, the worse."""
        return _RANKS[self]


_RANKS = {status: rank for rank, status in enumerate(ComponentStatus)}


class IncidentStatus(StrEnum):
    """What a page says of an incident."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class WindowStatus(StrEnum):
    """What a page says of a maintenance window."""

    SCHEDULED = "maintenance_scheduled"
    IN_PROGRESS = "maintenance_in_progress"
    COMPLETE = "maintenance_complete"


class PublishMode(StrEnum):
    """How far an action may go by itself."""

    AUTO = "auto"
    APPROVE = "approve"
    SHADOW = "shadow"


class WidgetMode(StrEnum):
    """What a page's widget shows."""

    PAGE = "page"  # what the page itself lets anybody show, where its service has a word for that; else as LEDGER
    LEDGER = "ledger"  # what we have published there
    OFF = "off"


class Phase(StrEnum):
    """Where an episode stands."""

    HELD = "held"
    OPEN = "open"
    CLEARING = "clearing"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"

    @property
    def live(self) -> bool:
        """Whether the episode can still change without a new signal."""
        return self in (Phase.HELD, Phase.OPEN, Phase.CLEARING)


class WindowPhase(StrEnum):
    """Where a maintenance window stands; it moves on in this order, back only as long as the page was not told."""

    PLANNED = "planned"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def live(self) -> bool:
        """Whether time can still move it."""
        return self in (WindowPhase.PLANNED, WindowPhase.SCHEDULED, WindowPhase.IN_PROGRESS)


class Origin(StrEnum):
    """What a maintenance window comes from, and what therefore says when it is to be."""

    ENTRY = "entry"  # of ``maintenance:``
    RULE = "rule"  # and the signals that it matches
    COMMAND = "command"  # a person has scheduled it
    PAGE = "page"  # where people made it


class Post(StrEnum):
    """Why a post is made; of an episode, the keys of ``say`` and ``notify`` in a rule."""

    OPEN = "open"
    WORSEN = "worsen"
    IMPROVE = "improve"
    MONITORING = "monitoring"
    KEEPALIVE = "keepalive"
    RELAY = "relay"
    RELAPSE = "relapse"
    REOPEN = "reopen"
    RESOLVE = "resolve"
    BACKFILL = "backfill"
    ANNOUNCE = "announce"
    REMIND = "remind"
    START = "start"
    RESCHEDULE = "reschedule"
    EXTEND = "extend"
    REVISE = "revise"
    COMPLETE = "complete"
    CANCEL = "cancel"


class ActionKind(StrEnum):
    """Every write that we may ask of a page."""

    OPEN_INCIDENT = "open_incident"
    UPDATE_INCIDENT = "update_incident"
    RESOLVE_INCIDENT = "resolve_incident"
    RENAME_INCIDENT = "rename_incident"
    BACKFILL_INCIDENT = "backfill_incident"
    SCHEDULE_MAINTENANCE = "schedule_maintenance"
    UPDATE_MAINTENANCE = "update_maintenance"
    START_MAINTENANCE = "start_maintenance"
    COMPLETE_MAINTENANCE = "complete_maintenance"
    RESCHEDULE_MAINTENANCE = "reschedule_maintenance"
    CANCEL_MAINTENANCE = "cancel_maintenance"

    @property
    def creates(self) -> bool:
        """Whether the write makes a new object on the page, and so bears an idempotency key."""
        return self in (ActionKind.OPEN_INCIDENT, ActionKind.BACKFILL_INCIDENT, ActionKind.SCHEDULE_MAINTENANCE)

    @property
    def of_window(self) -> bool:
        """Whether it is about a maintenance window, and not about an incident."""
        return self.value.endswith("_maintenance")


class ActionState(StrEnum):
    """Where an action stands. The last four are final."""

    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    HELD = "held"
    PARKED = "parked"
    AWAITING_APPROVAL = "awaiting_approval"
    DONE = "done"
    REPLACED = "replaced"
    DISMISSED = "dismissed"
    SHADOWED = "shadowed"

    @property
    def settled(self) -> bool:
        """Whether nothing will ever happen to the action again."""
        return self in (ActionState.DONE, ActionState.REPLACED, ActionState.DISMISSED, ActionState.SHADOWED)


class Result(StrEnum):
    """The outcome of an attempt, and of the look that precedes or follows it."""

    DONE = "done"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    DENIED = "denied"  # 401, 403: the key is not good enough; the page's breaker opens
    UNKNOWN = "unknown"
    ABSENT = "absent"  # an unknown attempt was proven not to have been applied
    FOREIGN = "foreign"  # somebody else's incident is open on our components; nothing was sent
    GONE = "gone"  # somebody else's incident, that an open was to be posted on, is over; nothing was sent
    UNMAILED = "unmailed"  # the page does not mail so many subscribers; nothing was applied
    FULL = "full"  # the page's incident has nearly all updates that it may have; nothing was sent
    SHADOWED = "shadowed"  # `publish` is `shadow` by now; nothing was sent
    PERSON = "person"  # a person posted meanwhile; nothing more was sent
    BRAKED = "braked"  # too much has reached the page already; nothing was sent
    REPLAYED = "replayed"  # the page answered a create with an old object that is over


class Severity(IntEnum):
    """How loud a notice is."""

    INFO = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """
    One HTTP request as it came, before it is understood.

    Args:
        source: Name of the configured source.
        body: The raw bytes, as signed.
        headers: Lower-case names; for names sent more than once, the values joined by ", ".
        query: The raw query string, without "?".
        method: Upper case.
        received_at: When the last byte was read.
        seq: Place in the inbox, in order of receipt; 0 before it is recorded.
    """

    source: str
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    query: str = ""
    method: str = "POST"
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One normalised statement about a signal.

    Args:
        source: Name of the configured source.
        kind: What it is about, in the source's documented words: "alert", "incident", "check" …
        key: What the signal is known by within its source.
        status: Whether it fires.
        severity: The sender's word, or "".
        severity_rank: The sender's number, larger is worse; 0 when it has none.
        status_name: The sender's word for the state, or "".
        category: The sender's class of state, or "".
        title: One line, or "".
        message: What people wrote in this statement, or "".
        labels: Names to values, all text.
        annotations: Names to values, all text.
        url: Where a person looks it up, or "".
        started_at: When this occurrence began; never used for order.
        occurred_at: The sender's stamp of this statement; None for a source that stamps none.
        private: Whether the sender marks it as private.
        test: Whether the sender marks it as a rehearsal.
        scope: The sender's group that the signal belongs to, or "".
        whole_scope: Whether the statement is about every signal of the scope, listed or not.
    """

    source: str
    kind: str
    key: str
    status: Status
    severity: str = ""
    severity_rank: int = 0
    status_name: str = ""
    category: str = ""
    title: str = ""
    message: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    started_at: datetime | None = None
    occurred_at: datetime | None = None
    private: bool = False
    test: bool = False
    scope: str = ""
    whole_scope: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPost:
    """A source's word that a post was made on a page: confirms a write of ours, never triggers a rule."""

    remote_id: str
    update_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """
    A part of an inbound that its source cannot read; the parts beside it count.

    Args:
        why: Which part, and what is wrong with it, for people.
    """

    why: str


SignalId = tuple[str, str]  # (source, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """
    The upstream thing that events speak about.

    Args:
        event: The newest statement heard.
        stamp: Orders statements: the sender's stamp, clamped to the receipt; or the receipt.
        since: When we heard that the status is what it is.
        over: Start of the newest occurrence that was known to be over.
        last_resolve: The newest resolve's stamp, where the start does not set this occurrence apart from others.
        seq: Place in the inbox of the newest statement heard; orders statements that bear no stamp.
        version: How often it was committed; 0: never.
    """

    event: Event
    stamp: datetime
    since: datetime
    over: datetime | None = None
    last_resolve: datetime | None = None
    seq: int = 0
    version: int = 0

    @property
    def id(self) -> SignalId:
        """What it is known by."""
        return (self.event.source, self.event.key)

    @property
    def firing(self) -> bool:
        """Whether it fires now."""
        return self.event.status is Status.FIRING


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """
    What is known of the canary of a source.

    Args:
        heard_at: When it was last heard, or when it was first waited for.
        firing: What it said then; None: it was never heard.
        since: Since when it fires without having been silent for too long.
        told: The team knows that it is gone.
    """

    source: str
    heard_at: datetime
    firing: bool | None = None
    since: datetime | None = None
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """
    A signal's part in an episode.

    Args:
        joined_at: When it first counted here.
        cleared: It still fires, but no longer matches here or fell into another group.
    """

    signal: Signal
    joined_at: datetime
    cleared: bool = False

    @property
    def firing(self) -> bool:
        """Whether it counts as firing here."""
        return self.signal.firing and not self.cleared


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillStep:
    """One update of a retrospective incident; *at* lies in the past."""

    at: datetime
    incident_status: IncidentStatus
    message: str
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """
    What an action says; bound by approval, frozen when it is decided.

    Args:
        title: The incident's or window's name; "" where the action does not set it.
        message: The post's text, Markdown.
        incident_status: None where the action does not set it.
        components: Our component names to their statuses; {} leaves them as they are.
        notify: Whether subscribers are mailed.
        steps: Only for a backfill, oldest first.
        starts_at: Only for windows.
        ends_at: Only for windows.
        window_status: Only for windows; None where the action does not set it.
        automate: Only for windows: the page itself drives the transitions, and we know.
    """

    title: str = ""
    message: str = ""
    incident_status: IncidentStatus | None = None
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)
    notify: bool = False
    steps: tuple[BackfillStep, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    window_status: WindowStatus | None = None
    automate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    One intended write to a page.

    Args:
        id: ``<aggregate>/<seq>``.
        aggregate: The episode or window that it belongs to.
        seq: Place among the actions of its aggregate, from 1.
        post: Why it is said.
        key: Idempotency key of a create, else "". Frozen once an attempt was made, until a person wants another.
        remote_id: The page's object to write to; "" for creates, and while the create is unsettled.
        update_id: The page's id of the post, once it is known.
        rule_hash: The rule revision that decided it.
        cause: What made us decide it, for people: an event, a time, a command.
        reason: Why it is in its state, for people.
        not_before: Earliest time of the next attempt.
        deadline: Until when a person may approve it; None where nobody need, or nothing follows.
        approved_by: Who has approved it, or "".
        braked: A brake keeps it waiting, until ``not_before``.
        sends: Attempts whose first byte may have left.
        clean_reads: How often the page was read after an unknown outcome, late enough, without finding it.
        tries: All attempts, also those that were not sent.
        bypass_existing: Somebody else's open incident no longer stops it.
        blocked_by: The page's incident of somebody else that a create is held behind, and nothing else; else "".
        rests: Besides, all is clear just now.
        guest: It is posted on somebody else's incident.
    """

    id: str
    aggregate: str
    seq: int
    kind: ActionKind
    page: str
    post: Post
    content: Content
    state: ActionState
    created_at: datetime
    not_before: datetime
    rule_hash: str
    cause: str
    key: str = ""
    remote_id: str = ""
    update_id: str = ""
    reason: str = ""
    deadline: datetime | None = None
    approved_by: str = ""
    braked: bool = False
    sends: int = 0
    clean_reads: int = 0
    tries: int = 0
    bypass_existing: bool = False
    blocked_by: str = ""
    rests: bool = False
    guest: bool = False

    @property
    def incident_status(self) -> IncidentStatus | None:
        """The status that it gives the incident; None where it sets none, as on somebody else's."""
        return None if self.guest else self.content.incident_status

    @property
    def looks_again(self) -> bool:
        """Whether it is held only for as long as the page has somebody else's incident."""
        return self.state is ActionState.HELD and bool(self.blocked_by) and not self.rests

    @property
    def workable(self) -> bool:
        """Whether something is to be sent, or to be looked for on the page; else it waits for a person, or is over."""
        sent = (ActionState.QUEUED, ActionState.SENDING, ActionState.UNKNOWN)
        return self.state in sent or self.looks_again

    @property
    def reads_back(self) -> bool:
        """Whether the next thing is only to look at the page: for what became of it, or of what it waits for."""
        return self.looks_again or (self.state in (ActionState.SENDING, ActionState.UNKNOWN) and not self.kind.creates)

    @property
    def replaceable(self) -> bool:
        """Whether a newer decision may take its place: it cannot be on the page, and it relays nobody's words."""
        waits = self.state in (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL)
        return self.post is not Post.RELAY and (self.state is ActionState.QUEUED or (waits and self.sends == 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    One try at an action, written down before its first byte leaves.

    Args:
        number: From 1, within its action.
        method: HTTP method or the provider's word for it.
        target: Path without host and secrets.
        body: The exact bytes.
        baseline: Ids of the updates that the page's object had just before.
        result: None while it is in flight.
        detail: What happened, for people, free of secrets.
    """

    action_id: str
    number: int
    started_at: datetime
    method: str
    target: str
    body: bytes
    baseline: tuple[str, ...] = ()
    result: Result | None = None
    finished_at: datetime | None = None
    detail: str = ""

    @property
    def sha256(self) -> str:
        """Of the exact bytes, hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageState:
    """
    What an episode's incident says on the page, as far as we know.

    Args:
        before: While it says "monitoring": what it said of the components before that.
    """

    incident_status: IncidentStatus
    components: Mapping[str, ComponentStatus]
    before: Mapping[str, ComponentStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """
    One public incident from opening to resolution, for one (rule, page, group).

    Args:
        id: ``<key>#<number>``.
        group: What the group is known by, names to values.
        rule_hash: The rule revision that it follows.
        held_since: When the first of the signals that fire now began to.
        again_since: While it is held once more, after its end was told: when the first of them began to.
        opened_at: When it was decided to open it.
        clearing_since: When nothing fired any more.
        ended_at: When it was resolved or dismissed.
        members: Every signal that ever counted here.
        known: What the page is known to say; None before the open is done.
        touched: Every component that was ever said in it.
        remote_id: The page's incident, "" before the open is done.
        known_name: What the page called it when we last wrote to it or looked; "" where that is not known.
        accepted: The page's ids of posts that nobody is asked about: they were there when we came to it.
        unheard: The page said more than the ledger knew when they were matched, and nothing was heard of it since.
        guest: What is said of it is posted on somebody else's incident.
        shadow: It began in shadow, and stays there to its end.
        told_blocked: The team was told that its opening is held behind somebody else's incident.
        told_open: The team was told that it stays open on the page, because `publish` has become `shadow`.
        posted_at: When the last post was made, as far as we know.
        rests_until: No write is tried sooner; None: at any time.
        room: How many more updates the page's incident takes, as the page showed it; None: not known.
        mailed: Whether the open mailed the subscribers.
        keepalives: How many keepalive texts were posted since anything else was.
        told_max_open: Whether the notice about its age was given.
        relayed: The text that was last relayed.
        relayed_stamp: The stamp of the newest statement that was relayed.
        hands_off: A person has taken over on the page.
        fault: Why its rule could not be followed the last time, or "".
        previous_end: When the page incident before this one ended, in the last episode or in this.
        next_seq: The next action's seq.
        wake_at: When to look at it again without a stimulus; None: never.
        actions: Its unsettled actions in order of seq.
        version: How often it was committed; 0: never.
    """

    id: str
    rule_id: str
    page: str
    group: Mapping[str, str]
    number: int
    phase: Phase
    rule_hash: str
    created_at: datetime
    held_since: datetime
    again_since: datetime | None = None
    opened_at: datetime | None = None
    clearing_since: datetime | None = None
    ended_at: datetime | None = None
    members: Mapping[SignalId, Member] = field(default_factory=dict)
    known: PageState | None = None
    touched: frozenset[str] = frozenset()
    remote_id: str = ""
    known_name: str = ""
    accepted: frozenset[str] = frozenset()
    unheard: bool = False
    guest: bool = False
    shadow: bool = False
    told_blocked: bool = False
    told_open: bool = False
    posted_at: datetime | None = None
    rests_until: datetime | None = None
    room: int | None = None
    mailed: bool = False
    keepalives: int = 0
    told_max_open: bool = False
    relayed: str = ""
    relayed_stamp: datetime | None = None
    hands_off: bool = False
    fault: str = ""
    previous_end: datetime | None = None
    next_seq: int = 1
    wake_at: datetime | None = None
    actions: tuple[Action, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """
    What a person wants said.

    Args:
        text: As it is to be posted; "": as planned.
        notify: Whether it mails the subscribers; None: as planned.
    """

    text: str = ""
    notify: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """
    One occurrence of a maintenance window on one page.

    Args:
        id: ``window_id`` of what it was first planned as.
        occurrence: What the plan calls this occurrence now.
        components: Our names.
        plan_hash: The revision of the entry or rule that it follows.
        origin: What it comes from.
        line: Of a rule: the line of windows that it is one of, as ``episode_key`` names it; else "".
        number: Its place in that line, from 1; else 0.
        group: What its group is known by, names to values.
        key: What the key of its create is made of; "": its id.
        members: Every signal that ever counted here.
        asked: Start and end as the entry or the signals asked for them the last time; () once no signal asks any more.
        grace: How long after its end its components stay muted.
        known: What the page is known to say of it; None while the page does not have it.
        known_times: Start and end as the page has them; () while the page does not have it.
        known_components: Every component that was ever said in it, and what of; those that have left are operational.
        named_by: The revision whose title the page has; "" where that is not known.
        unpublished: It is in progress, and the page does not have it, because a person has not let it go there.
        owed: Which text about new times is still to be said; None: all is said.
        given: What people want said, by post, in place of what the plan says.
        withdrawn: It was cancelled because its entry was gone; should that come back, so does the window.
        missed_start: Nobody was there at the start, and it is not to be said any more.
        reminded: How many of its reminders are said or past, the earliest first.
        extended: How often its end was put off because the work was not done.
        overran: The team was told that it takes longer than it may be extended.
        begun_at: When a person let it begin before its time.
        ended_at: When it was decided that it is over.
        posted_at: When the last post was made, as far as we know.
        remote_id: The page's object; "" while there is none.
        known_name: What the page called it when we last wrote to it or looked; "" where that is not known.
        accepted: The page's ids of posts that nobody is asked about: they were there when we came to it.
        automated: The page itself moves it at its times, as it was last read.
        hands_off: A person moves it, or the page itself where that was not asked for.
        fault: Why its entry could not be followed the last time, or "".
        next_seq: The next action's seq.
        wake_at: When to look at it again without a stimulus; None: never.
        actions: Its unsettled actions in order of seq.
        version: How often it was committed; 0: never.
    """

    id: str
    plan_id: str
    page: str
    occurrence: str
    phase: WindowPhase
    starts_at: datetime
    ends_at: datetime
    components: tuple[str, ...]
    plan_hash: str
    created_at: datetime
    origin: Origin = Origin.ENTRY
    line: str = ""
    number: int = 0
    group: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    members: Mapping[SignalId, Member] = field(default_factory=dict)
    asked: tuple[datetime, ...] = ()
    grace: timedelta = timedelta()
    known: WindowStatus | None = None
    known_times: tuple[datetime, ...] = ()
    known_components: Mapping[str, ComponentStatus] = field(default_factory=dict)
    named_by: str = ""
    unpublished: bool = False
    owed: Post | None = None
    given: Mapping[str, Word] = field(default_factory=dict)
    withdrawn: bool = False
    missed_start: bool = False
    reminded: int = 0
    extended: int = 0
    overran: bool = False
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    posted_at: datetime | None = None
    remote_id: str = ""
    known_name: str = ""
    accepted: frozenset[str] = frozenset()
    automated: bool = False
    hands_off: bool = False
    fault: str = ""
    next_seq: int = 1
    wake_at: datetime | None = None
    actions: tuple[Action, ...] = ()
    version: int = 0

    @property
    def muted_until(self) -> datetime:
        """When signals on its components count again."""
        return (self.ended_at or self.ends_at) + self.grace


PAUSE = "pause"
"""The name of the flag that keeps everything from being written to a page, until a person takes it away."""

UNMATCHED = "unmatched"
"""The name of the flag that does so until the ledger, which may be older than the page, was matched with it."""

UNREADABLE = "unreadable"
"""The name of the flag of a page whose breaker is open because it cannot be read."""

UNWRITABLE = "unwritable"
"""The name of the flag of a page whose breaker is open because it cannot be written to."""

UNMAILED = "unmailed"
"""The name of the flag of a page that refused to mail its subscribers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """
    Something about a page that must survive a restart: a switch that a person set, what the page was found to refuse.

    Args:
        page: Our name of it; "" is all pages.
        name: Closed set: ``PAUSE``, ``UNMATCHED``, ``UNREADABLE``, ``UNWRITABLE``, ``UNMAILED``.
        at: Since when; of a breaker, when the page is asked again.
        value: What is to be known of it; None takes the flag away.
    """

    page: str
    name: str
    at: datetime
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """
    A message to the team that runs this, never to the public.

    Args:
        code: Closed set, for machines: "held", "parked", "max_open", "evaluation_failed" …
        subject: What it is about: an action, episode, source or page id.
        text: One sentence or two.
        over: It tells that what was told under the same code and subject is over.
    """

    code: str
    subject: str
    text: str
    severity: Severity = Severity.WARNING
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What became of an attempt, or of a look at the page in its place.

    Args:
        retry_at: Earliest next try, where the page, the network or a brake told one.
        silent: A brake: it may go out, and mail nobody.
        remote_id: The page's object.
        update_id: The page's id of our post.
        detail: For people, free of secrets.
        at: When it was known.
        published_at: The page's own time of the post, where it tells one.
        foreign: For FOREIGN: the page's object that stands in the way.
        clean_read: For UNKNOWN: the page was read late enough and does not have it.
        window: What the page says of the window, where that was read.
        name: What the page calls the object, where that was read.
        room: How many more updates the page's incident takes; None: that was not read.
        seen: The page's ids of the posts that the object had when we came to it.
        differences: Where the page's echo differs from what we said, for people.
    """

    action_id: str
    result: Result
    at: datetime
    detail: str = ""
    retry_at: datetime | None = None
    silent: bool = False
    remote_id: str = ""
    update_id: str = ""
    published_at: datetime | None = None
    foreign: str = ""
    clean_read: bool = False
    window: WindowStatus | None = None
    name: str = ""
    room: int | None = None
    seen: frozenset[str] = frozenset()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteUpdate:
    """
    One post of an incident or window as the page shows it.

    Args:
        components: The provider's ids of components to the statuses that it gave them, in the provider's words.
    """

    id: str
    message: str
    status: str
    published_at: datetime | None = None
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteIncident:
    """
    An incident (or window) as the page shows it; updates oldest first.

    Args:
        starts_at: Only for windows.
        ends_at: Only for windows.
        automate: Only for windows: the page itself moves it at its times.
    """

    id: str
    name: str
    status: str
    updates: tuple[RemoteUpdate, ...] = ()
    component_ids: frozenset[str] = frozenset()
    published_at: datetime | None = None
    url: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    automate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """
    A page as resolved against its provider.

    Args:
        page_id: The provider's id.
        name: The page's public name.
        public_url: Where customers read it, or "".
        components: Our component names to the provider's ids; more than one where a whole group is meant.
        missing: Our component names that the page does not have, or not without ambiguity, to what is wrong.
    """

    page_id: str
    name: str
    public_url: str
    components: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, Problem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The exact bytes of a write, before any credential is added."""

    method: str
    target: str
    body: bytes


def digest(*parts: object) -> str:
    """Name *parts* by content: the SHA-256 of their canonical JSON, hexadecimal."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def window_id(page: str, occurrence: str) -> str:
    """Name one occurrence of a maintenance window on one page; *occurrence* names its plan, too."""
    return f"{page}/{occurrence}"


def episode_key(rule_id: str, page: str, group: Mapping[str, str]) -> str:
    """Name the line of episodes of one (rule, page, group); readable, and unique by content."""
    return f"{rule_id}@{page}" + (f".{digest(dict(group))[:10]}" if group else "")
