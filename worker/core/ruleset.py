"""
What a loaded rules directory means: compiled, checked values that decide reads.

Here live the types only; ``core.rules`` makes them from text. This file may not know YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Protocol

from worker.core.model import ComponentStatus, Event, IncidentStatus, Post, PublishMode, WidgetMode


class Program(Protocol):
    """A compiled CEL expression."""

    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> Any:
        """
        Evaluate to plain Python data.

        Args:
            bindings: Values of the declared variables; dotted names for event fields.
            event: What ``label(name)`` looks in.

        Raises:
            EvaluationFailed: The expression gave an error; never a wrong "false".
        """
        ...


class Template(Protocol):
    """A compiled text template."""

    def render(self, words: Mapping[str, Any]) -> str:
        """
        Render; interpolated values are escaped for Markdown.

        Raises:
            EvaluationFailed: A word is missing, or the text is too long.
        """
        ...

    def likeness(self, text: str) -> int | None:
        """Count the characters of its own that *text* bears; None where *text* cannot have come of it."""
        ...


@dataclass(frozen=True, slots=True)
class SecretRef:
    """
    Where a secret is: ``${ENV_NAME}`` or ``${file:/path}``. Never its value.

    Args:
        kind: "env" or "file".
        name: The variable or the path.
        place: ``file:line:col`` of its use, for error texts.
    """

    kind: str
    name: str
    place: str = ""

    def __str__(self) -> str:
        return f"${{{'file:' if self.kind == 'file' else ''}{self.name}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRef:
    """
    How a page's component is found: by name, "Group / Name" or id; or all of a group.

    Exactly one of the two is not "".
    """

    name: str = ""
    group: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Brakes: (count, window) each."""

    incidents: tuple[int, timedelta] = (3, timedelta(minutes=10))
    updates: tuple[int, timedelta] = (6, timedelta(hours=1))
    mails: tuple[int, timedelta] = (4, timedelta(hours=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageConfig:
    """
    A configured page.

    Args:
        page: Its name or id at the provider.
        settle: How long a request that timed out may still be applied.
        adoption: Which windows that people made on the page are moved along; None: none.
        widget: What anybody may read of it from the worker.
    """

    name: str
    provider: str
    page: str
    api_key: SecretRef | None
    base_url: str
    publish: PublishMode
    components: Mapping[str, ComponentRef]
    settle: timedelta = timedelta(minutes=2)
    limits: Limits = field(default_factory=Limits)
    place: str = ""
    adoption: Adoption | None = None
    widget: WidgetMode = WidgetMode.PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """
    How a source's requests are proven authentic.

    Args:
        scheme: "bearer", "basic", "hmac", "standard_webhooks", "header", "path_token", "sns" or "none".
        secrets: One or more; any may match, so that they can be rotated.
        options: The scheme's other options: ``header``, ``prefix``, ``username``, ``encoding``, ``timestamp``,
            ``parameter`` …
    """

    scheme: str
    secrets: tuple[SecretRef, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonMapping:
    """
    How events are read out of any JSON.

    Args:
        each: (name, list expression) from outer to inner; () maps the body once.
        when: Whether to make an event at all; None: always.
        fields: Event field to expression; ``labels.<name>`` and ``annotations.<name>`` for the maps, and with the name
            ``*`` for a whole map.
    """

    each: tuple[tuple[str, Program], ...]
    when: Program | None
    fields: Mapping[str, Program]


class MatchOp(StrEnum):
    """How a matcher compares; every operand is text."""

    IN = "in"
    NOT_IN = "not_in"
    REGEX = "regex"
    NOT_REGEX = "not_regex"
    EXISTS = "exists"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """
    One line of ``match``.

    Args:
        field: "labels.<name>", "annotations.<name>" or an event field.
        values: For IN and NOT_IN, one or more; for the regexes, the source text alone.
        program: For the regexes: CEL over the variable ``value``; RE2, anchored.
    """

    field: str
    op: MatchOp
    values: tuple[str, ...] = ()
    program: Program | None = None


class Existing(StrEnum):
    """What to do when somebody else's incident is open on our components."""

    HOLD = "hold"
    ATTACH = "attach"
    OPEN = "open"


class TooShort(StrEnum):
    """What to do with an episode that cleared while it was held."""

    SKIP = "skip"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """
    What signals do to components.

    Args:
        by_name: Our component name to {severity: status}; the severity "*" is any.
        chosen: CEL to a component name (text) per signal, or None.
        chosen_status: {severity: status} for the chosen one.
    """

    by_name: Mapping[str, Mapping[str, ComponentStatus]] = field(default_factory=dict)
    chosen: Program | None = None
    chosen_status: Mapping[str, ComponentStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """A text to post when nothing was said for ``every``, at most ``times`` in a row."""

    every: timedelta
    times: int
    text: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveConfig:
    """Which posts wait for a person, how long, and what then: "hold", "drop" or "publish"."""

    posts: frozenset[Post] = frozenset({Post.OPEN, Post.WORSEN})
    deadline: timedelta | None = None
    on_expiry: str = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPlan:
    """``incident:`` of a rule, with all defaults filled in."""

    pages: tuple[str, ...]
    impact: Impact
    title: Template
    say: Mapping[Post, Template]
    hold: timedelta
    quiet: timedelta
    reopen_within: timedelta
    min_gap: timedelta
    max_open: timedelta | None
    yield_to: tuple[str, ...]
    existing: Existing
    publish: PublishMode
    approve: ApproveConfig
    notify: frozenset[Post]
    too_short: TooShort
    keepalive: Keepalive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPlan:
    """
    ``relay:`` of a rule, with all defaults filled in.

    Args:
        status: Upstream status name to page status; others change nothing.
        resolve_on: Upstream categories that end the incident.
        resolve: Upstream category to text; "*" is any.
    """

    pages: tuple[str, ...]
    impact: Impact
    title: Template
    text: Template
    status: Mapping[str, IncidentStatus]
    resolve_on: frozenset[str]
    resolve: Mapping[str, Template]
    existing: Existing
    publish: PublishMode
    approve: ApproveConfig
    notify: frozenset[Post]


class Driver(StrEnum):
    """Who moves a window at its times."""

    WORKER = "worker"
    PROVIDER = "provider"


class Missed(StrEnum):
    """What to do about a start that nobody was there for."""

    LATE = "late"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One text about a window; ``before`` is how long before the start, 0 where a transition says it."""

    text: Template
    notify: bool
    before: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrun:
    """While such a signal fires at the end of a window: extend it, ``times`` at most. ``sources``: () for any."""

    sources: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    extend: timedelta
    times: int
    said: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """
    What is done and said about maintenance windows, wherever they come from, with all defaults filled in.

    Args:
        id: What its windows are known by.
        announce: The first word; None: the window appears when it starts.
        reminders: Further words before the start, as written.
        failed: Said instead of ``complete`` when what ended the window says that it failed.
        reschedule: Said when an announced window is moved; None: the page shows the new time, and nothing is said.
        cancel: The last word about an announced window that does not take place.
        cancel_deletes: Whether the page loses it after that word.
        grace: So long after the end, signals that still fire open their incident.
        spec: Where it comes from, as self-contained JSON data, templates inlined: enough to compile it again.
        hash: Of ``spec``.
        place: ``file:line:col`` of where it comes from.
    """

    id: str
    pages: tuple[str, ...]
    components: tuple[str, ...]
    title: Template
    announce: Said | None
    reminders: tuple[Said, ...]
    start: Said
    complete: Said
    failed: Template
    reschedule: Said | None
    cancel: Said
    cancel_deletes: bool
    driver: Driver
    missed: Missed
    overrun: Overrun | None
    grace: timedelta
    spec: Mapping[str, Any]
    hash: str
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """
    ``adopt_maintenance`` of a page.

    Args:
        title: What the name of a window must meet, as the field ``title`` of an event.
        plan: What is said when it starts and is complete, and nothing else.
    """

    title: tuple[Matcher, ...]
    plan: WindowPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowEntry(WindowPlan):
    """
    An entry of ``maintenance:``: windows by the calendar.

    Args:
        starts: Wall time in ``timezone``, naive: the first start.
        timezone: IANA name.
        duration: How long it takes, on a stopwatch. This or ``until``.
        until: Wall time of the end, naive; not after the start: on the next day.
        repeat: RFC 5545 recurrence rule; "" is once.
        except_days: Local days of starts that do not happen.
    """

    starts: datetime
    timezone: str
    duration: timedelta | None
    until: time | None
    repeat: str
    except_days: frozenset[date]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWindowPlan(WindowPlan):
    """
    ``maintenance:`` of a rule: windows that signals schedule or start, and end.

    Args:
        starts: To a time, of one event; None: when it was heard.
        ends: To a time, of one event. This or ``duration``.
        duration: How long it takes, or to that, of one event.
    """

    starts: Program | None
    ends: Program | None
    duration: timedelta | Program | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A signal that always fires; its source is not well while it does not, or is silent for longer than ``within``."""

    matchers: tuple[Matcher, ...]
    within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """A configured source."""

    name: str
    kind: str
    auth: AuthConfig
    mapping: JsonMapping | None = None
    canary: Canary | None = None
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    A compiled rule.

    Args:
        was: Its id before it was renamed, or "".
        sources: Names; () for any.
        matchers: All must hold.
        condition: ``if``; None: always.
        group_by: Name to expression; a plain label name is compiled to its lookup.
        vars: Name to expression.
        plan: What to do.
        spec: The rule as self-contained JSON data, defaults merged and templates inlined: enough to compile it again.
        hash: Of ``spec``.
        place: ``file:line:col`` of the rule.
    """

    id: str
    sources: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    condition: Program | None
    group_by: Mapping[str, Program]
    vars: Mapping[str, Program]
    plan: IncidentPlan | RelayPlan | EventWindowPlan
    spec: Mapping[str, Any]
    hash: str
    was: str = ""
    place: str = ""

    @property
    def identity(self) -> str:
        """What episodes and idempotency keys know it by; survives a renaming."""
        return self.was or self.id


HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeTarget:
    """
    Where notices go, or who wants to hear that all is well.

    Args:
        address: Of the webhook, or of what is called.
        format: "slack", "json", or HEARTBEAT.
        least: How loud a notice must be: "info", "warning" or "error".
        every: How often a heartbeat is called.
    """

    address: SecretRef
    format: str = "slack"
    least: str = "info"
    every: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """
    A rules directory, whole.

    Args:
        hash: Of the content of every file, independent of file order.
        warnings: ``file:line:col: text``, in order.
    """

    pages: Mapping[str, PageConfig]
    sources: Mapping[str, SourceConfig]
    rules: tuple[Rule, ...]
    notices: tuple[NoticeTarget, ...]
    hash: str
    warnings: Sequence[str] = ()
    maintenance: tuple[WindowEntry, ...] = ()
