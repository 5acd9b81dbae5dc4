"""The file format of ``sources``. What belongs here: form only; which scheme fits which kind is checked elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from worker.core.spec.matches import Match
from worker.core.spec.scalars import (
    ONE_OR_MANY,
    Cel,
    Flag,
    Header,
    Line,
    Secrets,
    Short,
    Span,
    Strict,
    Word,
    must,
    not_empty,
    what,
)

_SECRETS_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _widen_to(key: str) -> Short:
    """Let the secrets stand alone, where the kind of source knows all the rest."""
    return Short(lambda value: {key: value} if isinstance(value, (str, list)) else value, _SECRETS_SCHEMA)


class BasicAuth(Strict):
    """HTTP Basic authentication."""

    username: Line = Field(description="The user name. Required.")
    password: Secrets = Field(description="The password, or several that are all good. Required.")


class HmacAuth(Strict):
    """A signature over the raw body, in a header."""

    header: Header | None = Field(
        default=None,
        description="The header that carries the signature. Default: the sender's own; required where it has none.",
    )
    secrets: Secrets = Field(description="The shared secret, or several that are all good. Required.")
    prefix: str = Field(
        default="", description='What stands before the signature in the header, such as "sha256=". Default: nothing.'
    )
    encoding: Literal["hex", "base64"] = Field(default="hex", description="How the signature is written. Default: hex.")
    algorithm: Literal["sha256", "sha1", "sha512"] = Field(default="sha256", description="The hash. Default: sha256.")
    timestamp: Header | None = Field(
        default=None,
        description="The header with the time in seconds that is signed before the body, with a colon between; "
        "it may be 5 minutes off. Default: the body alone is signed.",
    )


class HeaderAuth(Strict):
    """A secret value in a header of the sender's choice."""

    name: Header | None = Field(
        default=None, description="The header. Default: the sender's own; required where it has none."
    )
    value: Secrets = Field(description="Its value, or several that are all good. Required.")


def _topic(value: str) -> str:
    if not value.startswith("arn:") or value.count(":") != 5:
        raise must("must be the ARN of a topic, such as `arn:aws:sns:eu-west-1:123456789012:alarms`")
    return value


Topics = Annotated[tuple[Annotated[Line, AfterValidator(_topic)], ...], AfterValidator(not_empty), ONE_OR_MANY]


class SnsAuth(Strict):
    """The signature of Amazon SNS, which needs no secret."""

    topics: Topics = Field(description="The ARN of the topic, or several: no other is believed. Required.")
    confirm: Flag = Field(
        default=False, description="Whether to confirm subscriptions to them without asking. Default: false."
    )


class AuthSpec(Strict):
    """How requests are proven authentic: exactly one of these."""

    bearer: Secrets | None = Field(default=None, description="`Authorization: Bearer <token>`: the token, or several.")
    basic: BasicAuth | None = Field(default=None, description="HTTP Basic: {username, password}.")
    hmac: Annotated[HmacAuth, _widen_to("secrets")] | None = Field(
        default=None,
        description="A signature over the body: {header, prefix, secrets, encoding, algorithm, timestamp}; "
        "the secrets alone, where the kind of source knows the rest.",
    )
    standard_webhooks: Secrets | None = Field(
        default=None, description="Standard Webhooks (`webhook-signature`): the secrets."
    )
    header: Annotated[HeaderAuth, _widen_to("value")] | None = Field(
        default=None,
        description="A secret in a header: {name, value}; the value alone, where the kind of source knows the name.",
    )
    path_token: Secrets | None = Field(
        default=None, description="A token in the address that the sender calls, `?token=…`."
    )

    sns: SnsAuth | None = Field(default=None, description="The signature of Amazon SNS: {topics, confirm}.")

    @model_validator(mode="after")
    def _one_scheme(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise must(f"must name exactly one of {', '.join(f'`{name}`' for name in type(self).model_fields)}")
        return self


def _no_auth(value: object) -> object:
    if value != "none":
        raise must('must be a map such as {bearer: "${TOKEN}"}, or the word `none`')
    return value


def _auth_form(value: object) -> str:
    return "#scheme" if isinstance(value, (Mapping, AuthSpec)) else "#none"


Auth = Annotated[
    Annotated[AuthSpec, Tag("#scheme")] | Annotated[Literal["none"], BeforeValidator(_no_auth), Tag("#none")],
    Discriminator(_auth_form),
]


class CanarySpec(Strict):
    """A signal that must always fire; while it does not, resolves of its source are not believed."""

    match: Match = Field(description="Which signal it is, as in the `match` of a rule. Required.")
    within: Span = Field(description="How long it may be silent before it counts as gone. Required.")


def _widen_each(value: object) -> object:
    if isinstance(value, Mapping) and len(value) > 1:
        raise must(
            "must be a list when there are several, from outer to inner: [{site: body.sites}, {check: site.checks}]"
        )
    return [value] if isinstance(value, Mapping) else value


def _single(value: Mapping[str, str]) -> Mapping[str, str]:
    if len(value) != 1:
        raise must("must be a map of one name to one list: {job: body.jobs}")
    return value


def _widen_map(value: object) -> object:
    if not isinstance(value, (Mapping, str)):
        raise must(f"must be a map of names to CEL, not {what(value)}")
    return value


EachStep = Annotated[dict[Word, Cel], AfterValidator(_single)]
TextMap = Annotated[dict[Line, Cel], BeforeValidator(_widen_map)]
ALL = "*"
"""The name under which one expression gives a whole map of labels or annotations."""


class EventSpec(Strict):
    """
    How events are read out of any JSON.

    Every value is CEL over `body`, `headers` (lower-case names) and the names in `each`.
    """

    each: Annotated[tuple[EachStep, ...], AfterValidator(not_empty), Short(_widen_each)] = Field(
        default=(),
        description="Name to list: one event for each item; a list of these for nested lists. "
        "Default: one event a body.",
    )
    when: Cel | None = Field(
        default=None, description="Whether to make an event at all, true or false. Default: always."
    )
    key: Cel = Field(description="What the signal is known by within this source, text. Required.")
    status: Cel = Field(description="`firing`, `resolved` or `info`, text. Required.")
    kind: Cel | None = Field(default=None, description="What it is about. Default: `event`.")
    severity: Cel | None = Field(default=None, description="The sender's word for how bad it is. Default: empty.")
    severity_rank: Cel | None = Field(
        default=None, description="The sender's number for it, larger is worse. Default: 0."
    )
    status_name: Cel | None = Field(default=None, description="The sender's word for the state. Default: empty.")
    category: Cel | None = Field(default=None, description="The sender's class of state. Default: empty.")
    title: Cel | None = Field(default=None, description="One line. Default: empty.")
    message: Cel | None = Field(default=None, description="What people wrote. Default: empty.")
    labels: TextMap | None = Field(
        default=None,
        description="Label name to its text; `*`: to a map, or a list of tags, each a label. Default: none.",
    )
    annotations: TextMap | None = Field(
        default=None, description="Annotation name to its text; `*` as in `labels`. Default: none."
    )
    url: Cel | None = Field(default=None, description="Where a person looks it up. Default: empty.")
    started_at: Cel | None = Field(
        default=None, description="When this occurrence began; never used for order. Default: unknown."
    )
    occurred_at: Cel | None = Field(
        default=None, description="The stamp of this statement: then statements are ordered by it. Default: by receipt."
    )
    private: Cel | None = Field(default=None, description="Whether it is private, true or false. Default: false.")
    test: Cel | None = Field(default=None, description="Whether it is a rehearsal, true or false. Default: false.")


class SourceSpec(Strict):
    """Where webhooks come from: `POST /hooks/<name>`."""

    kind: Line = Field(description="What sends; each kind has a page in the documentation. Required.")
    auth: Auth = Field(description="How requests are proven authentic; `none` must be said. Required.")
    event: EventSpec | None = Field(
        default=None, description="For `kind: json` only, and required there: how events are read out of a body."
    )
    canary: CanarySpec | None = Field(
        default=None,
        description="A signal that always fires; when it stops, resolves of this source are not believed. "
        "Default: none.",
    )
