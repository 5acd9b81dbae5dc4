"""The file format of ``pages`` and ``notices``. What belongs here: form only; names are checked in ``core.rules``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from worker.core.model import PublishMode, WidgetMode
from worker.core.spec.matches import MatchValue
from worker.core.spec.scalars import (
    ComponentName,
    Duration,
    Flag,
    Line,
    Rate,
    Secret,
    Short,
    Strict,
    Text,
    must,
    parse_duration,
    parse_rate,
    what,
)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _address(value: str) -> str:
    """Accept ``https://host[/path]``; plain http only where the bytes stay on this machine."""
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise must("must be an address like https://api.example.com") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise must("must be an address without user, password, `?` and `#`")
    if not host or parts.scheme not in ("http", "https"):
        raise must("must be an address like https://api.example.com")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise must("must begin with https://, or the API key would travel in the clear; http:// is for localhost only")
    return value.rstrip("/")


Address = Annotated[Line, AfterValidator(_address)]


class ComponentSpec(Strict):
    """Which of the page's components is meant."""

    name: Line | None = Field(default=None, description='Its name, "Group / Name" or id, as the page has it.')
    group: Line | None = Field(default=None, description="The name of a group: all of its components are meant.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.name is None) == (self.group is None):
            raise must("must be a name, or {group: Name}")
        return self


def _widen_component(value: object) -> object:
    if not isinstance(value, (str, Mapping)):
        raise must(f"must be a name in quotes, or {{group: Name}}, not {what(value)}")
    return {"name": value} if isinstance(value, str) else value


class LimitsSpec(Strict):
    """Brakes on what reaches the page, kept in the ledger."""

    incidents: Rate = Field(
        default=parse_rate("3 per 10m"),
        description="New incidents; more of them wait for approval. Default: 3 per 10m.",
    )
    updates: Rate = Field(
        default=parse_rate("6 per 1h"),
        description="Updates of an incident; more are delayed and merged. Default: 6 per 1h.",
    )
    mails: Rate = Field(
        default=parse_rate("4 per 1h"),
        description="Posts that mail subscribers; more are published silently. Default: 4 per 1h.",
    )


class AdoptSpec(Strict):
    """Windows that people made on the page itself, and that are to be moved along."""

    title: MatchValue = Field(description="Which windows: matched against their name, as in `match`. Required.")
    start: Text = Field(description="The text posted when such a window starts. Required.")
    complete: Text = Field(description="The text posted when it is complete. Required.")
    notify: Flag = Field(default=False, description="Whether these posts mail the subscribers. Default: false.")
    missed: Literal["late", "skip"] = Field(
        default="late",
        description="Nobody was there at the start: `late` says so as soon as possible, `skip` says nothing. "
        "Default: late.",
    )
    grace: Duration = Field(
        default=parse_duration("10m"),
        description="Signals still firing this long after the end open their incident. Default: 10m.",
    )


class PageSpec(Strict):
    """A status page."""

    provider: Line = Field(description="The service that hosts the page. Required.")
    page: Line = Field(description="The page's name or id at the provider. Required.")
    api_key: Secret | None = Field(
        default=None,
        description="The key to write with, ${NAME} or ${file:/path}. Default: none, for providers that need none.",
    )
    base_url: Address | None = Field(
        default=None, description="The address of the provider's API. Default: the provider's own."
    )
    publish: PublishMode = Field(
        description="How far anything on this page may go by itself, a ceiling over all rules: `auto` publishes, "
        "`approve` waits for a person where the rule says so, `shadow` only records what would be said. Required."
    )
    components: dict[ComponentName, Annotated[ComponentSpec, Short(_widen_component, {"type": "string"})]] = Field(
        default_factory=dict,
        description='Our names to the page\'s components: a name, "Group / Name", an id, or {group: Name}. '
        "Default: none.",
    )
    settle: Duration = Field(
        default=parse_duration("2m"),
        description="How long a request that timed out may still be applied by the provider. Default: 2m.",
    )
    limits: LimitsSpec = Field(default_factory=LimitsSpec, description="Brakes. Default: as listed there.")
    adopt_maintenance: AdoptSpec | None = Field(
        default=None, description="Also advance the maintenance windows that people made on the page. Default: no."
    )
    widget: WidgetMode = Field(
        default=WidgetMode.PAGE,
        description="What anybody may read at `/widget/<page>`: `page` what the page itself lets others show, where "
        "its provider has a word for that, `ledger` what the worker has published there, `off` nothing. Default: page.",
    )


class NoticeSpec(Strict):
    """Where notices to the team go, or who wants to hear that all is well: exactly one of the two."""

    webhook: Secret | None = Field(
        default=None, description="The address to post notices to, ${NAME} or ${file:/path}."
    )
    format: Literal["slack", "json"] = Field(
        default="slack",
        description="What is posted to `webhook`: `slack` as Slack and those that take the same, `json` for programs. "
        "Default: slack.",
    )
    least: Literal["info", "warning", "error"] = Field(
        default="info", description="How loud a notice must be to go to `webhook`, at least. Default: info."
    )
    heartbeat: Secret | None = Field(
        default=None, description="The address to call while all is well, ${NAME} or ${file:/path}."
    )
    every: Duration = Field(default=parse_duration("1m"), description="How often `heartbeat` is called. Default: 1m.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.webhook is None) == (self.heartbeat is None):
            raise must("must have exactly one of `webhook`, `heartbeat`")
        other = {"every"} if self.webhook is not None else {"format", "least"}
        if odd := sorted(other & self.model_fields_set):
            raise must(f"has no use for `{odd[0]}` beside `{'webhook' if self.webhook is not None else 'heartbeat'}`")
        return self
