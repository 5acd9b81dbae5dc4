"""
The file format of ``maintenance``, at the top of a file and in a rule. What belongs here: form only.

Wall times and zones are read as text; what they mean across DST is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from worker.core.spec.matches import Match
from worker.core.spec.scalars import (
    CelSpec,
    ComponentName,
    Count,
    Duration,
    Flag,
    Id,
    Ids,
    Line,
    Span,
    Strict,
    Text,
    must,
    not_empty,
    parse_duration,
    shown,
)
from worker.core.spelling import did_you_mean

# --- times

_WALL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _wall(value: str) -> str:
    if re.search(r"T.*(Z|[+-][0-9][0-9]:?[0-9][0-9])$", value):
        raise must(
            "must be wall time without `Z` or an offset, such as 2026-12-06T02:00; the zone stands in `timezone`"
        )
    if not _WALL.fullmatch(value) or not _is(datetime.fromisoformat, value):
        raise must(f"must be wall time like 2026-12-06T02:00, not {shown(value)}")
    return value


def _day(value: str) -> str:
    if not _DAY.fullmatch(value) or not _is(date.fromisoformat, value):
        raise must(f"must be a day like 2026-12-27, not {shown(value)}")
    return value


def _is(parse: Any, value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise must(f'must be a time of day like "03:00", not {shown(value)}')
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise must(
            f"must be a time zone like Europe/Berlin, not {shown(value)}{did_you_mean(value, available_timezones())}"
        ) from None
    return value


Wall = Annotated[Line, AfterValidator(_wall), WithJsonSchema({"type": "string", "pattern": f"^{_WALL.pattern}$"})]
Day = Annotated[Line, AfterValidator(_day), WithJsonSchema({"type": "string", "pattern": f"^{_DAY.pattern}$"})]
Clock = Annotated[Line, AfterValidator(_clock), WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$"})]
Zone = Annotated[Line, AfterValidator(_zone)]

# --- recurrence

_NUMBERS = r"[+-]?[1-9][0-9]{0,2}(,[+-]?[1-9][0-9]{0,2})*"
_DAYS = r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)"
_RULE_PARTS: Mapping[str, re.Pattern[str]] = {
    "FREQ": re.compile("DAILY|WEEKLY|MONTHLY|YEARLY"),
    "INTERVAL": re.compile(r"[1-9][0-9]{0,2}"),
    "COUNT": re.compile(r"[1-9][0-9]{0,3}"),
    "UNTIL": re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?"),
    "WKST": re.compile("MO|TU|WE|TH|FR|SA|SU"),
    "BYDAY": re.compile(f"{_DAYS}(,{_DAYS})*"),
    "BYMONTHDAY": re.compile(_NUMBERS),
    "BYYEARDAY": re.compile(_NUMBERS),
    "BYWEEKNO": re.compile(_NUMBERS),
    "BYMONTH": re.compile(r"([1-9]|1[0-2])(,([1-9]|1[0-2]))*"),
    "BYSETPOS": re.compile(_NUMBERS),
}


_LIKE: Mapping[str, str] = {
    "UNTIL": "UNTIL=20270603 (all of that day), UNTIL=20270603T020000 (wall time) or UNTIL=20270603T001500Z (UTC)",
}


def _repeat(value: str) -> str:
    """Check the form of an RRULE (RFC 5545, section 3.3.10), daily and slower."""
    parts = [part.partition("=") for part in value.split(";")]
    names = [name for name, _, _ in parts]
    if names.count("FREQ") != 1:
        raise must("must be a recurrence rule with one FREQ, such as FREQ=WEEKLY;BYDAY=SU")
    for name, _, operand in parts:
        if name in ("BYHOUR", "BYMINUTE", "BYSECOND") or operand in ("HOURLY", "MINUTELY", "SECONDLY"):
            raise must("must not repeat more often than daily; the time of day is that of `starts`")
        if name not in _RULE_PARTS or names.count(name) > 1 or not _RULE_PARTS[name].fullmatch(operand):
            like = _LIKE.get(name, "it like FREQ=WEEKLY;BYDAY=SU")
            raise must(f"has a part that is not understood: {shown(f'{name}={operand}')}; write {like}")
    if "COUNT" in names and "UNTIL" in names:
        raise must("must have COUNT or UNTIL, not both")
    return value


Repeat = Annotated[Line, AfterValidator(_repeat)]

# --- what is said


class AnnounceSpec(Strict):
    """The first word about a window."""

    before: Span = Field(description="How long before the start. Required.")
    text: Text = Field(description="The text. Required.")
    notify: Flag = Field(default=False, description="Whether it mails the subscribers. Default: false.")


class StartSpec(Strict):
    """What is said when a window starts."""

    text: Text = Field(
        default="The maintenance has started.", description="The text. Default: The maintenance has started."
    )
    notify: Flag = Field(default=False, description="Whether it mails the subscribers. Default: false.")


class CompleteSpec(Strict):
    """What is said when a window is over."""

    text: Text = Field(
        default="The maintenance is complete.", description="The text. Default: The maintenance is complete."
    )
    failed: Text | None = Field(
        default=None,
        description="The text when what ended the window says that it failed. Default: the same as `text`.",
    )
    notify: Flag = Field(default=False, description="Whether it mails the subscribers. Default: false.")


class RescheduleSpec(Strict):
    """What is said when an announced window is moved."""

    text: Text = Field(description="The text. Required.")
    notify: Flag = Field(default=False, description="Whether it mails the subscribers. Default: false.")


class CancelSpec(Strict):
    """What is said when an announced window does not take place."""

    text: Text = Field(
        default="This maintenance will not take place.",
        description="The text. Default: This maintenance will not take place.",
    )
    notify: Flag = Field(default=False, description="Whether it mails the subscribers. Default: false.")
    delete: Flag = Field(
        default=False, description="Whether the window is removed from the page after that. Default: false."
    )


class WhileSpec(Strict):
    """Signals that say: not finished yet."""

    source: Ids | None = Field(default=None, description="A source, or a list of them. Default: any.")
    match: Match = Field(description="As in a rule. Required.")


class OverrunSpec(Strict):
    """What to do when the work takes longer."""

    while_: WhileSpec = Field(
        alias="while", description="While such a signal fires at the end, the window is extended. Required."
    )
    extend: Span = Field(description="By how much. Required.")
    times: Count = Field(description="How often at most. Required.")
    text: Text = Field(description="What is said each time. Required.")
    notify: Flag = Field(default=False, description="Whether it mails the subscribers. Default: false.")


class WindowCommon(Strict):
    """What windows have in common, wherever they come from."""

    page: Ids = Field(description="The page, or a list of pages. Required.")
    components: Annotated[tuple[ComponentName, ...], AfterValidator(not_empty)] = Field(
        description="Our names of the components under maintenance. Required."
    )
    title: Text = Field(description="The window's name, at most 200 characters. Required.")
    announce: AnnounceSpec | None = Field(
        default=None, description="Announce it beforehand. Default: it appears when it starts."
    )
    remind: tuple[AnnounceSpec, ...] = Field(default=(), description="Further words before the start. Default: [].")
    start: StartSpec = Field(
        default_factory=StartSpec, description="What is said at the start. Default: as listed there."
    )
    complete: CompleteSpec = Field(
        default_factory=CompleteSpec, description="What is said at the end. Default: as listed there."
    )
    reschedule: RescheduleSpec | None = Field(
        default=None, description="Say so when an announced window is moved. Default: the page shows the new time only."
    )
    cancel: CancelSpec = Field(
        default_factory=CancelSpec,
        description="What becomes of an announced window that does not take place. Default: as listed there.",
    )
    driver: Literal["worker", "provider"] = Field(
        default="worker",
        description="`worker` posts each transition, `provider` leaves it to the page's own automation. "
        "Default: worker.",
    )
    missed: Literal["late", "skip"] = Field(
        default="late",
        description="Nobody was there at the start: `late` says so as soon as possible, `skip` says nothing. "
        "Default: late.",
    )
    overrun: OverrunSpec | None = Field(
        default=None, description="What to do when the work takes longer. Default: it ends in time."
    )
    grace: Duration = Field(
        default=parse_duration("10m"),
        description="Signals still firing this long after the end open their incident. Default: 10m.",
    )

    @model_validator(mode="after")
    def _one_driver(self) -> Self:
        if self.overrun is not None and self.driver == "provider":
            raise must("cannot have `overrun` with `driver: provider`: the page would end it in time all the same")
        return self


class MaintenanceSpec(WindowCommon):
    """A maintenance window, once or again and again."""

    id: Id = Field(description="Stable: keys are derived from it. Required.")
    starts: Wall = Field(description="Wall time of the (first) start, such as 2026-12-06T02:00. Required.")
    timezone: Zone = Field(description="The zone of `starts`, such as Europe/Berlin. Required.")
    duration: Span | None = Field(default=None, description="How long it takes. This or `until` is required.")
    until: Clock | None = Field(
        default=None, description='Wall time of the end, such as "03:00". This or `duration` is required.'
    )
    repeat: Repeat | None = Field(
        default=None, description="A recurrence rule, daily or slower: FREQ=WEEKLY;BYDAY=SU. Default: once."
    )
    except_: tuple[Day, ...] = Field(
        default=(), alias="except", description="Days on which it does not happen. Default: []."
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.duration is None) == (self.until is None):
            raise must("has both `duration` and `until`; keep one" if self.until else "needs `duration` or `until`")
        if self.except_ and self.repeat is None:
            raise must("has `except` days but no `repeat`")
        return self


def _length_form(value: object) -> str:
    return "#cel" if isinstance(value, (Mapping, CelSpec)) else "#length"


def _expression(value: object) -> object:
    if isinstance(value, str):
        raise must('must be {cel: "…"} in a rule; a fixed time belongs in `maintenance` at the top of a file')
    return value


Moment = Annotated[CelSpec, BeforeValidator(_expression)]
Length = Annotated[Annotated[CelSpec, Tag("#cel")] | Annotated[Span, Tag("#length")], Discriminator(_length_form)]


class RuleMaintenanceSpec(WindowCommon):
    """A window that signals schedule or start, and complete when they are resolved."""

    starts: Moment | None = Field(default=None, description="{cel: …} to a time. Default: now.")
    ends: Moment | None = Field(default=None, description="{cel: …} to a time. This or `duration` is required.")
    duration: Length | None = Field(
        default=None, description="How long it takes, or {cel: …}. This or `ends` is required."
    )

    @model_validator(mode="after")
    def _own_driver(self) -> Self:
        if self.driver == "provider":
            raise must("cannot have `driver: provider` in a rule: the page would not know that the work ended early")
        return self

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.duration is None) == (self.ends is None):
            raise must("has both `duration` and `ends`; keep one" if self.ends else "needs `duration` or `ends`")
        return self
