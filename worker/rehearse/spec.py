"""
The file format of rule tests, as types. What belongs here: form only; the descriptions are the help that editors show.

What names refer to, and which inline form fits which source, is checked by ``rehearse.reading``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictInt,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from worker.core.model import ActionKind, ActionState, ComponentStatus, IncidentStatus, Post, WindowStatus
from worker.core.spec.scalars import (
    ONE_OR_MANY,
    ComponentName,
    Flag,
    Header,
    Id,
    Line,
    Span,
    Strict,
    Word,
    must,
    not_empty,
    parse_duration,
    shown,
    whole,
)

DEFAULT_START = datetime(2026, 1, 5, 10, tzinfo=UTC)
"""A Monday without anything special."""

MOST_REPEATS = 100_000

INLINE = ("alerts", "incidents")
"""Short forms of a body, each for the kinds of source whose sender has it."""

# --- times


def _instant(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise must(f"must be a time with a zone like 2026-11-23T10:00:00Z, not {shown(value)}")
    return found.astimezone(UTC)


def _moment(value: object) -> timedelta | datetime:
    try:
        return parse_duration(value)
    except PydanticCustomError:
        pass
    try:
        return _instant(value)
    except PydanticCustomError:
        raise must(
            f"must be so long after the start, like 10m, or a time like 2026-11-23T10:00:00Z, not {shown(value)}"
        ) from None


Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    PlainSerializer(datetime.isoformat),
    WithJsonSchema({"type": "string", "examples": ["2026-11-23T10:00:00Z"]}),
]
Moment = Annotated[
    timedelta | datetime,
    PlainValidator(_moment),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["0m", "3m", "1h30m", "2026-11-23T10:00:00Z"]}),
]
"""So long after the start of the test, or a time."""


_STATUSES: tuple[IncidentStatus | WindowStatus, ...] = (*IncidentStatus, *WindowStatus)


def _status(value: object) -> IncidentStatus | WindowStatus:
    found = next((known for known in _STATUSES if value == known), None)
    if found is None:
        raise PydanticKnownError("enum", {"expected": ", ".join(f"'{known}'" for known in _STATUSES)})
    return found


AnyStatus = Annotated[
    IncidentStatus | WindowStatus,
    PlainValidator(_status),
    PlainSerializer(str),
    WithJsonSchema({"enum": [*map(str, _STATUSES)]}),
]
"""Of an incident, or of a window."""

# --- what happens

Items = Annotated[tuple[Any, ...], AfterValidator(not_empty)]
"""What a source's sender makes bodies of."""

_BODIES = ("file", "body", *INLINE)


class SendSpec(Strict):
    """A webhook arrives."""

    source: Id = Field(description="The source, as the rules call it. Required.")
    file: Line | None = Field(
        default=None,
        description="A captured body: a file, by its path from this test file. Exactly one of "
        "`file`, `body`, `alerts`, `incidents` is required.",
    )
    body: Any = Field(default=None, description="The body in full; sent as JSON.")
    alerts: Items | None = Field(
        default=None, description="The alerts of one notification; for sources of kind alertmanager."
    )
    incidents: Items | None = Field(
        default=None, description="Changes of incidents, each in a body of its own; for sources of kind incident_io."
    )
    times: Literal["as_is", "rebase"] = Field(
        default="as_is",
        description="`rebase` moves every time in the body: the newest becomes the time of the step, the others keep "
        "their distance to it. Default: as_is.",
    )
    headers: dict[Header, Line] = Field(default_factory=dict, description="Further headers. Default: {}.")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if len(self.model_fields_set.intersection(_BODIES)) != 1:
            raise must("must have exactly one of `file`, `body`, `alerts`, `incidents`")
        if self.times == "rebase" and self.file is None and "body" not in self.model_fields_set:
            raise must("has `times`, which is for a `file` or a `body`: the inline forms are told at the step's time")
        return self


_DEEDS: Mapping[str, frozenset[str]] = {
    "person_posts": frozenset({"text", "status", "group", "on"}),
    "opens": frozenset({"title", "text", "on"}),
    "schedules": frozenset({"title", "text", "starts", "ends", "automate", "on"}),
    "moves": frozenset({"starts", "ends", "group", "on"}),
    "resolves": frozenset({"text", "group", "on"}),
    "renames": frozenset({"title", "group", "on"}),
    "deletes": frozenset({"group", "on"}),
    "approves": frozenset({"title", "text", "group", "on"}),
    "dismisses": frozenset({"group", "on"}),
    "unreachable": frozenset({"on"}),
}
"""What can be done to a page, and what may be said of it."""


class DeedSpec(Strict):
    """Somebody does something about a page, or the page cannot be reached. Exactly one of the first ten."""

    person_posts: Line | None = Field(
        default=None, description="Somebody posts on the incident or window of this rule, or of this title."
    )
    opens: Annotated[tuple[ComponentName, ...], AfterValidator(not_empty), ONE_OR_MANY] | None = Field(
        default=None, description="Somebody opens an incident on these components, our names."
    )
    schedules: Annotated[tuple[ComponentName, ...], AfterValidator(not_empty), ONE_OR_MANY] | None = Field(
        default=None,
        description="Somebody makes a maintenance window about these components, our names, from `starts` to `ends`.",
    )
    moves: Line | None = Field(
        default=None, description="Somebody edits `starts` or `ends` of the window of this rule, entry or title."
    )
    resolves: Line | None = Field(default=None, description="Somebody resolves the incident of this rule or title.")
    renames: Line | None = Field(default=None, description="Somebody renames the incident of this rule or title.")
    deletes: Line | None = Field(default=None, description="Somebody deletes the incident of this rule or title.")
    approves: Line | None = Field(
        default=None, description="Somebody approves what this rule or maintenance window waits to say."
    )
    dismisses: Line | None = Field(
        default=None, description="Somebody decides that what this rule or window waits to say is not said."
    )
    unreachable: Span | None = Field(default=None, description="The page cannot be reached for so long.")
    title: Line = Field(
        default="Somebody else's incident", description="What it is called. Default: Somebody else's incident."
    )
    text: Line = Field(
        default="We are looking into it.", description="What is posted. Default: We are looking into it."
    )
    status: AnyStatus | None = Field(default=None, description="The status that is posted. Default: as it was.")
    starts: Moment | None = Field(default=None, description="Of a window: its start.")
    ends: Moment | None = Field(default=None, description="Of a window: its end.")
    automate: Flag = Field(default=False, description="Whether the page moves the window by itself. Default: false.")
    group: dict[Word, str] = Field(
        default_factory=dict, description="Which group's incident, where the rule has several. Default: the only one."
    )
    on: Id | None = Field(default=None, description="The page. Default: the only one, or that of the rule.")

    @model_validator(mode="after")
    def _one_deed(self) -> Self:
        deeds = self.model_fields_set.intersection(_DEEDS)
        if len(deeds) != 1:
            raise must(f"must have exactly one of {', '.join(f'`{deed}`' for deed in _DEEDS)}")
        (deed,) = deeds
        for option in sorted(self.model_fields_set - deeds - _DEEDS[deed]):
            raise must(f"has `{option}`, which says nothing about `{deed}`")
        if deed == "schedules" and not {"title", "starts", "ends"} <= self.model_fields_set:
            raise must("needs `title`, `starts` and `ends` of what somebody schedules")
        if deed == "moves" and self.starts is None and self.ends is None:
            raise must("needs `starts` or `ends`: when it is to be")
        return self

    @property
    def deed(self) -> str:
        """What is done."""
        return next(iter(self.model_fields_set.intersection(_DEEDS)))


class RepeatSpec(Strict):
    """The same again and again."""

    every: Span = Field(description="How long after one the next comes. Required.")
    times: Annotated[StrictInt, *whole(2, MOST_REPEATS)] = Field(
        description="How often in all, the first included. Required."
    )


class StepSpec(Strict):
    """The clock moves on, and something happens."""

    at: Moment = Field(
        description="When: so long after the start, or a time; never earlier than the step before. Required."
    )
    send: SendSpec | None = Field(default=None, description="A webhook arrives.")
    page: DeedSpec | None = Field(default=None, description="Something happens on the status page.")
    repeat: RepeatSpec | None = Field(
        default=None, description="The step happens again and again, between those after it. Default: once."
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.send is not None and self.page is not None:
            raise must("has both `send` and `page`; make it two steps")
        return self


# --- what is expected


class ContainsSpec(Strict):
    """Part of a text."""

    contains: Line = Field(description="A text that must be in it. Required.")


def _text_form(value: object) -> object:
    if not isinstance(value, (str, Mapping)):
        raise must("must be text, or {contains: part of it}")
    return value


Said = Annotated[str | ContainsSpec, BeforeValidator(_text_form)]


class ExpectSpec(Strict):
    """One action, in order of time. What is left out is not compared, but for `state`."""

    at: Moment | None = Field(
        default=None, description="When the page had it; of what it did not get, when it was decided."
    )
    do: ActionKind = Field(description="What is done to the page. Required.")
    rule: Id | None = Field(default=None, description="Which rule did it.")
    maintenance: Id | None = Field(default=None, description="Which maintenance window did it.")
    page: Id | None = Field(default=None, description="On which page.")
    group: dict[Word, str] | None = Field(default=None, description="For which group.")
    post: Post | None = Field(default=None, description="Why it is said: open, worsen, improve, …")
    status: AnyStatus | None = Field(default=None, description="The status that is posted.")
    components: dict[ComponentName, ComponentStatus] | None = Field(
        default=None, description="Every component that is set, and to what."
    )
    mails: Flag | None = Field(default=None, description="Whether it mails the subscribers.")
    title: Said | None = Field(default=None, description="The title, or {contains: …}.")
    text: Said | None = Field(default=None, description="The text, or {contains: …}.")
    starts: Moment | None = Field(default=None, description="Of a window: its start.")
    ends: Moment | None = Field(default=None, description="Of a window: its end.")
    state: ActionState | None = Field(
        default=None, description="What became of it. Default: the page has it, or with `publish: shadow` would have."
    )


_Total = Annotated[StrictInt, *whole(0, 1_000_000)]


class TotalsSpec(Strict):
    """How much was said in all."""

    incidents: _Total | None = Field(default=None, description="Incidents that were opened or backfilled.")
    updates: _Total | None = Field(default=None, description="Further posts on them, the last included.")
    mails: _Total | None = Field(default=None, description="Posts that mailed the subscribers.")

    @model_validator(mode="after")
    def _claims(self) -> Self:
        if not self.model_fields_set:
            raise must("must claim something: `incidents`, `updates` or `mails`")
        return self


class CaseSpec(Strict):
    """One rule test."""

    name: Line = Field(description="What it claims. Required.")
    start: Instant = Field(
        default=DEFAULT_START, description="When it begins. Default: 2026-01-05T10:00:00Z, a Monday."
    )
    steps: Annotated[tuple[StepSpec, ...], AfterValidator(not_empty)] = Field(
        description="What happens, in order of time; with the last step the test ends. Required."
    )
    expect: tuple[ExpectSpec, ...] | None = Field(
        default=None,
        description="Every action on any page, in order of time, and no other; [] is nothing at all. This or `totals` "
        "is required.",
    )
    totals: TotalsSpec | None = Field(default=None, description="For long tests: how much is said in all.")
    notices: tuple[Line, ...] | None = Field(
        default=None,
        description="The codes of all notices to the team, in order. Default: not compared, but a body "
        "that is not understood and a rule that cannot be followed fail the test.",
    )

    @model_validator(mode="after")
    def _expects(self) -> Self:
        if self.expect is None and self.totals is None:
            raise must("needs `expect`: the list of all actions, or [] where nothing is to be said")
        return self


class CasesFile(Strict):
    """A file of rule tests."""

    tests: Annotated[tuple[CaseSpec, ...], AfterValidator(not_empty)] = Field(description="The tests. Required.")


class Shell(Strict):
    """A file of rule tests whose tests are not looked at yet."""

    tests: Annotated[tuple[Any, ...], AfterValidator(not_empty)] = Field(description="The tests. Required.")


def json_schema(items: Mapping[str, type[Strict]]) -> dict[str, Any]:
    """
    Give the JSON Schema of a file of rule tests, for editors.

    Args:
        items: Inline form to the form of its items.
    """
    schema = CasesFile.model_json_schema(by_alias=True)
    for name, form in items.items():
        item = form.model_json_schema(by_alias=True)
        schema["$defs"].update(item.pop("$defs", {}))
        schema["$defs"]["SendSpec"]["properties"][name] = {
            "type": "array",
            "items": item,
            "description": SendSpec.model_fields[name].description,
        }
    for model in (schema, *schema["$defs"].values()):
        for key in model.get("properties", {}).values():
            key.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "statusbridge rule tests"}
