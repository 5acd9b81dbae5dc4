"""The file format of ``match``: one line, and the fields that a line can be about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from worker.core.spec.scalars import Flag, Line, Short, Strict, must, not_empty, what
from worker.core.spelling import suggest

FIELDS = (
    *("source", "kind", "key", "severity", "severity_rank", "status_name", "category"),
    *("title", "message", "url", "private", "test", "scope"),
)
"""Event fields that can be matched; ``labels.x`` and ``annotations.x`` besides."""
MAPS = ("labels", "annotations")

_REFUSED = {
    "status": "rules are asked of firing signals only; an episode hears by itself when a signal is resolved",
    "started_at": "times cannot be matched; use `if`",
    "occurred_at": "times cannot be matched; use `if`",
    "labels": "write the label's name behind a dot: `labels.service: checkout`",
    "annotations": "write the annotation's name behind a dot: `annotations.team: web`",
}


def _field(value: object) -> str:
    name = str(value)
    if name in _REFUSED:
        raise must(f"is no field to match: {_REFUSED[name]}")
    first, _, rest = name.partition(".")
    if name in FIELDS or (first in MAPS and rest):
        return name
    known = [f"{each}.{rest}" for each in MAPS] if rest else FIELDS
    raise must(f"is no field of an event{suggest(name, known, 'there is')}")


FieldName = Annotated[str, PlainValidator(_field, json_schema_input_type=str)]


def _widen_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _any_text(value: object) -> object:
    if not isinstance(value, str):
        raise must(f"must be text, not {what(value)}")
    return value


_AnyText = Annotated[str, BeforeValidator(_any_text)]
TextOrTexts = Annotated[tuple[_AnyText, ...], AfterValidator(not_empty), Short(_widen_many)]


class MatchSpec(Strict):
    """How one field is compared; always as text, and a missing field is the empty text. Exactly one key."""

    in_: TextOrTexts | None = Field(
        default=None, alias="in", description="It is one of these texts; short: the text or the list."
    )
    not_: TextOrTexts | None = Field(default=None, alias="not", description="It is none of these texts.")
    regex: Line | None = Field(default=None, description="The whole of it matches this regular expression (RE2).")
    not_regex: Line | None = Field(
        default=None, description="The whole of it does not match this regular expression (RE2)."
    )
    exists: Flag | None = Field(
        default=None, description="true: it is there and not empty; false: it is missing or empty."
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise must("must have exactly one of `in`, `not`, `regex`, `not_regex`, `exists`")
        return self


def _widen_match(value: object) -> object:
    if isinstance(value, (str, list)):
        return {"in": value}
    if not isinstance(value, Mapping):
        raise must(f"must be text, a list of texts, or {{not: …}}, {{regex: …}}, {{exists: true}}; not {what(value)}")
    return value


MatchValue = Annotated[
    MatchSpec,
    Short(
        _widen_match,
        {"type": ["string", "number", "boolean", "array"], "items": {"type": ["string", "number", "boolean"]}},
    ),
]
Match = dict[FieldName, MatchValue]
