"""A rule, a whole file, and its JSON Schema. What belongs here: how the parts of the format are put together."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from worker.core.spec.maintenance import MaintenanceSpec, RuleMaintenanceSpec
from worker.core.spec.matches import Match
from worker.core.spec.pages import NoticeSpec, PageSpec
from worker.core.spec.plans import IncidentDefaults, IncidentSpec, RelayDefaults, RelaySpec
from worker.core.spec.scalars import Cel, Id, Ids, Short, Strict, Word, must
from worker.core.spec.sources import SourceSpec

PLANS = ("incident", "relay", "maintenance")
"""What a rule may do: exactly one of these."""


def _widen_labels(value: object) -> object:
    """``[region]`` is short for ``{region: label("region")}``."""
    if not isinstance(value, list):
        return value
    for name in value:
        if not isinstance(name, str):
            raise must("must be a list of label names, or a map of names to CEL")
        if not name.isidentifier():
            raise must(f"needs a plain word for the label `{name[:60]}`: {{word: 'label(\"{name[:60]}\")'}}")
    if len(set(value)) != len(value):
        raise must("names a label twice")
    return {name: f'label("{name}")' for name in value}


GroupBy = Annotated[dict[Word, Cel], Short(_widen_labels, {"type": "array", "items": {"type": "string"}})]


class RuleSpec(Strict):
    """A rule: which signals matter, how they group, and what the page shall say."""

    id: Id = Field(description="Stable: idempotency keys are derived from it. Required.")
    was: Id | None = Field(
        default=None, description="The id before it was renamed: open incidents go on. Default: none."
    )
    source: Ids | None = Field(default=None, description="A source, or a list of them. Default: any.")
    match: Match = Field(
        default_factory=dict,
        description="Event field to text, list of texts, {not: …}, {regex: …}, {not_regex: …} or {exists: …}; every "
        "line must hold. Fields: source, kind, key, severity, severity_rank, status_name, category, title, "
        "message, url, private, test, scope, labels.<name>, annotations.<name>. Default: everything.",
    )
    if_: Cel | None = Field(
        default=None, alias="if", description="CEL, true or false, asked after `match`. Default: true."
    )
    group_by: GroupBy = Field(
        default_factory=dict,
        description="One incident for each group: label names, or {name: CEL}. Default: [], one group.",
    )
    vars: dict[Word, Cel] = Field(
        default_factory=dict, description="Name to CEL: further words for the texts. Default: {}."
    )
    incident: IncidentSpec | None = Field(default=None, description="Open an incident, keep it up to date, resolve it.")
    relay: RelaySpec | None = Field(default=None, description="Follow an incident that people run upstream.")
    maintenance: RuleMaintenanceSpec | None = Field(
        default=None, description="Start a maintenance window, complete it when resolved."
    )

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        if sum(getattr(self, plan) is not None for plan in PLANS) != 1:
            raise must("must have exactly one of `incident`, `relay`, `maintenance`")
        return self


class DefaultsSpec(Strict):
    """What rules have where they say nothing else; a rule's own keys win."""

    incident: IncidentDefaults | None = Field(default=None, description="For every `incident`.")
    relay: RelayDefaults | None = Field(default=None, description="For every `relay`.")


class RulesFile(Strict):
    """One file of a rules directory; all files are read as one set."""

    pages: dict[Id, PageSpec] = Field(default_factory=dict, description="Our names to status pages.")
    sources: dict[Id, SourceSpec] = Field(default_factory=dict, description="Our names to senders of webhooks.")
    defaults: DefaultsSpec | None = Field(default=None, description="Defaults for rules; in one file only.")
    rules: tuple[RuleSpec, ...] = Field(default=(), description="Which signals make which incidents.")
    maintenance: tuple[MaintenanceSpec, ...] = Field(default=(), description="Planned windows.")
    notices: tuple[NoticeSpec, ...] = Field(
        default=(), description="Where notices to the team go, never to the public."
    )


def json_schema() -> dict[str, Any]:
    """
    Give the JSON Schema of a rule file, for editors.

    A rule's ``incident`` and ``relay`` require nothing in it, because ``defaults`` may stand in another file. Built-in
    defaults stand in the descriptions, in the form in which they are written.
    """
    schema = RulesFile.model_json_schema(by_alias=True)
    for name in ("IncidentSpec", "RelaySpec", "SaySpec"):
        schema["$defs"][name].pop("required", None)
    for model in (schema, *schema["$defs"].values()):
        for key in model.get("properties", {}).values():
            key.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "statusbridge rules"}
