"""The file format of ``incident`` and ``relay``, and of their defaults. What belongs here: form only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from worker.core.model import ComponentStatus, PublishMode
from worker.core.ruleset import Existing, TooShort
from worker.core.spec.scalars import (
    Age,
    Cel,
    ComponentName,
    Count,
    Duration,
    Id,
    Ids,
    Line,
    Short,
    Span,
    Strict,
    Text,
    must,
    parse_duration,
    what,
)

WORSEN = "The impact has grown. We are still investigating."
IMPROVE = "Some of the affected services have recovered. We are still working on the rest."

ImpactStatus = Literal["operational", "degraded_performance", "partial_outage", "full_outage"]
IncidentPost = Literal["open", "worsen", "improve", "monitoring", "keepalive", "resolve"]
IncidentApprovable = Literal["open", "worsen", "improve", "monitoring", "keepalive"]
RelayApprovable = Literal["open", "relay"]
RelayPost = Literal["open", "relay", "resolve"]


def _widen_statuses(value: object) -> object:
    if value == ComponentStatus.UNDER_MAINTENANCE:
        raise must("must not be `under_maintenance`: that is what `maintenance` says of components")
    return {"*": value} if isinstance(value, str) else value


Statuses = Annotated[
    dict[Line, ImpactStatus],
    Short(
        _widen_statuses,
        {"enum": [status for status in ComponentStatus if status is not ComponentStatus.UNDER_MAINTENANCE]},
    ),
]
"""One status, or {severity: status}; the severity "*" is any other."""


class ChosenComponent(Strict):
    """A component that each signal chooses."""

    from_: Cel = Field(alias="from", description="CEL to our name of a component, asked of each signal. Required.")
    status: Statuses = Field(description="Its status, or {severity: status}. Required.")


def _components_form(value: object) -> str:
    return (
        "#chosen"
        if isinstance(value, ChosenComponent) or (isinstance(value, Mapping) and "from" in value)
        else "#named"
    )


def _component_map(value: object) -> object:
    if not isinstance(value, Mapping):
        raise must(f"must be a map of components to statuses, such as {{checkout: full_outage}}, not {what(value)}")
    return value


Components = Annotated[
    Annotated[ChosenComponent, Tag("#chosen")]
    | Annotated[dict[ComponentName, Statuses], BeforeValidator(_component_map), Tag("#named")],
    Discriminator(_components_form),
]


def _may_wait(value: object) -> object:
    if value == "resolve":
        raise must("must not be `resolve`: what is over is never kept on the page")
    return value


class ApproveSpec(Strict):
    """What waits for a person while `publish` is `approve`."""

    posts: tuple[Annotated[IncidentApprovable, BeforeValidator(_may_wait)], ...] = Field(
        default=("open", "worsen"),
        description="The posts that wait; `open` includes reopening and backfilling, `worsen` being back after "
        "`monitoring`. Default: [open, worsen].",
    )
    deadline: Span | None = Field(default=None, description="How long they wait. Default: for ever.")
    on_expiry: Literal["hold", "drop", "publish"] = Field(
        default="hold",
        description="After the deadline: `hold` keeps it for a person, `drop` says nothing, `publish` says it. "
        "Default: hold.",
    )

    @model_validator(mode="after")
    def _expires(self) -> Self:
        if self.on_expiry != "hold" and self.deadline is None:
            raise must(f"needs a `deadline`, or `on_expiry: {self.on_expiry}` never comes to pass")
        return self


class RelayApproveSpec(ApproveSpec):
    """What waits for a person while `publish` is `approve`."""

    posts: tuple[Annotated[RelayApprovable, BeforeValidator(_may_wait)], ...] = Field(
        # type: ignore[assignment]  # other words, same meaning
        default=("open", "relay"),
        description="The posts that wait. Default: [open, relay].",
    )


class KeepaliveSpec(Strict):
    """A text to post while nothing else is said."""

    every: Span = Field(description="How long nothing must have been said. Required.")
    times: Count = Field(description="How often in a row at most. Required.")
    text: Text = Field(description="The text. Required.")


class SayCommon(Strict):
    """The texts of an incident that have defaults."""

    worsen: Text = Field(
        default=WORSEN, description=f"Posted when any component is worse than was last posted. Default: {WORSEN}"
    )
    improve: Text = Field(
        default=IMPROVE, description=f"Posted when none is worse and some are better. Default: {IMPROVE}"
    )
    monitoring: Text | None = Field(
        default=None, description="Posted when all is clear, while `quiet` runs. Default: nothing is posted."
    )
    keepalive: KeepaliveSpec | None = Field(
        default=None, description="A text to post while nothing else is said. Default: none."
    )


class SayDefaults(SayCommon):
    """The texts of an incident, where a rule gives none."""

    open: Text | None = Field(default=None, description="Posted when the incident opens.")
    resolve: Text | None = Field(default=None, description="Posted when it is resolved.")


class SaySpec(SayCommon):
    """The texts of an incident."""

    open: Text = Field(
        description="Posted when the incident opens, opens again, or is back after `monitoring`. Required."
    )
    resolve: Text = Field(description="Posted when it is resolved. Required.")


class PublishingSpec(Strict):
    """How far a rule's posts may go, for incidents and relays alike."""

    existing: Existing = Field(
        default=Existing.HOLD,
        description="When somebody else's incident is open on one of the components: `hold` waits until it is over, "
        "`attach` posts on it, `open` opens ours beside it. Default: hold.",
    )
    publish: PublishMode = Field(
        default=PublishMode.AUTO,
        description="`auto`, `approve` or `shadow`; the stricter of this and the page's `publish` counts. "
        "Default: auto.",
    )


class IncidentCommon(PublishingSpec):
    """What an incident has a default for."""

    hold: Duration = Field(
        default=parse_duration("3m"), description="How long something must fire before anything is public. Default: 3m."
    )
    quiet: Duration = Field(
        default=parse_duration("10m"),
        description="How long all must be clear before the incident is resolved. Default: 10m.",
    )
    reopen_within: Duration = Field(
        default=parse_duration("0s"),
        description="Fires again this soon after the end, and lasts for `hold`: the same incident is reopened on the "
        "page. Default: 0s, never.",
    )
    min_gap: Duration = Field(
        default=parse_duration("5m"),
        description="Least time between two updates; what changes in between is said once. Default: 5m.",
    )
    max_open: Age = Field(
        default=timedelta(hours=24),
        description="Open for so long: the team gets a notice, the page nothing. `never` is allowed. Default: 24h.",
    )
    yield_to: tuple[Id, ...] = Field(
        default=(),
        description="Rules: while one of them has a live incident on the same page, this one keeps still. Default: [].",
    )
    approve: ApproveSpec = Field(
        default_factory=ApproveSpec, description="What waits for a person. Default: as listed there."
    )
    notify: tuple[IncidentPost, ...] = Field(
        default=("open", "resolve"),
        description="Which posts mail the subscribers; `resolve` only if the opening did. Default: [open, resolve].",
    )
    too_short: TooShort = Field(
        default=TooShort.SKIP,
        description="Cleared during `hold`: `skip` says nothing, `backfill` makes a retrospective incident that mails "
        "nobody. Default: skip.",
    )


class IncidentDefaults(IncidentCommon):
    """`defaults.incident`: what every `incident` has where it says nothing else."""

    page: Ids | None = Field(default=None, description="The page, or a list of pages.")
    components: Components | None = Field(default=None, description="Which components, and how bad.")
    title: Text | None = Field(default=None, description="The incident's name.")
    say: SayDefaults | None = Field(default=None, description="The texts; merged with those of the rule, text by text.")


class IncidentSpec(IncidentCommon):
    """An incident that this rule opens, keeps up to date and resolves."""

    merged: ClassVar[frozenset[str]] = frozenset({"say", "approve"})

    page: Ids = Field(description="The page, or a list of pages: each gets an incident of its own. Required.")
    components: Components = Field(
        description="Component to status, or to {severity: status}; or {from: CEL, status: …}. The worst over all "
        "firing signals is shown; a signal that no status fits does not count. {} is an incident without "
        "components. Required."
    )
    title: Text = Field(description="The incident's name, at most 200 characters when rendered. Required.")
    say: SaySpec = Field(description="The texts, each at most 4,096 characters when rendered. Required.")


class RelayCommon(PublishingSpec):
    """What a relay has a default for."""

    approve: RelayApproveSpec = Field(
        default_factory=RelayApproveSpec, description="What waits for a person. Default: as listed there."
    )
    notify: tuple[RelayPost, ...] = Field(
        default=("open", "resolve"),
        description="Which posts mail the subscribers; `resolve` only if the opening did. Default: [open, resolve].",
    )


def _widen_resolve(value: object) -> object:
    return (
        {"*": value} if isinstance(value, str) or (isinstance(value, Mapping) and set(value) == {"template"}) else value
    )


_ResolveTexts = Annotated[dict[Line, Text], Short(_widen_resolve, {"type": "string"})]


class RelayDefaults(RelayCommon):
    """`defaults.relay`: what every `relay` has where it says nothing else."""

    page: Ids | None = Field(default=None, description="The page, or a list of pages.")
    components: Components | None = Field(default=None, description="Which components, and how bad.")
    title: Text | None = Field(default=None, description="The incident's name.")
    text: Text | None = Field(default=None, description="What is posted.")
    status: dict[Line, Literal["investigating", "identified", "monitoring"]] | None = Field(
        default=None, description="Upstream status name to page status."
    )
    resolve_on: tuple[Line, ...] | None = Field(default=None, description="Upstream categories that end the incident.")
    resolve: _ResolveTexts | None = Field(default=None, description="The text at the end.")


class RelaySpec(RelayCommon):
    """An incident that people run upstream, and whose words the page follows."""

    merged: ClassVar[frozenset[str]] = frozenset({"approve"})

    page: Ids = Field(description="The page, or a list of pages. Required.")
    title: Text = Field(description="The incident's name, at most 200 characters when rendered. Required.")
    text: Text = Field(description="What is posted for each statement; rendered empty: nothing is posted. Required.")
    components: Components = Field(
        default_factory=dict, description="As in `incident`. Default: {}, no component is touched."
    )
    status: dict[Line, Literal["investigating", "identified", "monitoring"]] = Field(
        description="Upstream status name to page status; other names change nothing. Required."
    )
    resolve_on: tuple[Line, ...] = Field(description="Upstream categories that end the incident. Required.")
    resolve: _ResolveTexts = Field(
        description='The text at the end, or {category: text}; the category "*" is any other. Required.'
    )
