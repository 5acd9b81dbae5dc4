"""
The small words of the file format: durations, rates, secrets, texts, names, expressions.

What belongs here: types that check one value and say in our words what it must be. Each is a plain Python value
afterwards, dumps to the text that it was read from, and knows its JSON Schema. Files and names are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from worker.core.spelling import suggest

MAX_CEL = 4096
MAX_TEXT = 8192
LONGEST = timedelta(days=366)


class Strict(BaseModel):
    """A map of the file format: no key is unknown, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=False)


def must(message: str) -> PydanticCustomError:
    """Make the error of a value: *message* goes on from the key, "must be …"; it never repeats a secret."""
    return PydanticCustomError("must", "{message}", {"message": message})


def shown(value: object) -> str:
    """Quote a value for a message: its text, shortened; of anything else what it is."""
    if isinstance(value, str):
        return f"`{value if len(value) <= 40 else value[:37] + '...'}`"
    return what(value)


def what(value: object) -> str:
    """Say what kind of value a person wrote."""
    if isinstance(value, bool):
        return "true or false"
    return next((word for kind, word in _KINDS if isinstance(value, kind)), "nothing")


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "text"),
    ((int, float), "a number"),
    (Mapping, "a map"),
    ((list, tuple), "a list"),
)

# --- durations and rates

_DURATION = re.compile(
    r"(?:(?P<days>[0-9]{1,6})d)?(?:(?P<hours>[0-9]{1,6})h)?(?:(?P<minutes>[0-9]{1,6})m)?(?:(?P<seconds>[0-9]{1,6})s)?"
)
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(value: object) -> timedelta:
    """
    Read ``90s``, ``3m``, ``2h``, ``1d`` or ``1h30m``.

    Raises:
        PydanticCustomError: It is none, or longer than 366 days.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        written = f"{value}, which has no unit" if type(value) in (int, float) else shown(value)
        raise must(f"must be a duration like 90s, 3m, 2h, 1d or 1h30m, not {written}")
    length = timedelta(**{unit: int(count) for unit, count in found.groupdict(default="0").items()})
    if length > LONGEST:
        raise must(f"must be at most 366d, not {shown(value)}")
    return length


def format_duration(length: timedelta) -> str:
    """Write a duration as ``parse_duration`` reads it, in the largest units: 90 s is ``1m30s``."""
    rest, parts = int(length.total_seconds()), []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _positive(length: timedelta) -> timedelta:
    if not length:
        raise must("must be longer than 0s")
    return length


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^(?=.)(\d{1,6}d)?(\d{1,6}h)?(\d{1,6}m)?(\d{1,6}s)?$",
    "examples": ["90s", "3m", "2h", "1d", "1h30m"],
}
Duration = Annotated[
    timedelta, PlainValidator(parse_duration), PlainSerializer(format_duration), WithJsonSchema(_DURATION_SCHEMA)
]
"""``90s 3m 2h 1d 1h30m``; 0s is allowed."""
Span = Annotated[
    timedelta,
    PlainValidator(lambda value: _positive(parse_duration(value))),
    PlainSerializer(format_duration),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A duration that is longer than 0s."""


def _parse_age(value: object) -> timedelta | str:
    return "never" if value == "never" else _positive(parse_duration(value))


Age = Annotated[
    timedelta | str,
    PlainValidator(_parse_age),
    PlainSerializer(lambda age: age if isinstance(age, str) else format_duration(age)),
    WithJsonSchema({"anyOf": [{"const": "never"}, _DURATION_SCHEMA]}),
]
"""A duration, or the word ``never``."""

_RATE = re.compile(r"(?P<count>[0-9]{1,6}) per (?P<window>[0-9a-z]+)")
RateValue = tuple[int, timedelta]


def parse_rate(value: object) -> RateValue:
    """
    Read ``3 per 10m``.

    Raises:
        PydanticCustomError: It is none.
    """
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["count"]) < 1:
        raise must(f"must be a rate like `3 per 10m`, not {shown(value)}")
    return (int(found["count"]), _positive(parse_duration(found["window"])))


Rate = Annotated[
    RateValue,
    PlainValidator(parse_rate),
    PlainSerializer(lambda rate: f"{rate[0]} per {format_duration(rate[1])}"),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9]\d{0,5} per \w+$", "examples": ["3 per 10m"]}),
]
"""``3 per 10m``."""

# --- plain words


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise must(
            f"must be text, not {what(value)}" + ("; put it in quotes" if isinstance(value, (bool, int, float)) else "")
        )
    if not value.strip():
        raise must("must not be empty")
    return value


Line = Annotated[str, BeforeValidator(_text)]
"""Text that is not empty."""


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise must(f"must be true or false, not {shown(value)}")
    return value


Flag = Annotated[StrictBool, BeforeValidator(_flag)]
"""``true`` or ``false``."""


def whole(least: int, most: int) -> tuple[BeforeValidator, WithJsonSchema]:
    """Annotate a number: it is whole, and within these bounds."""

    def check(value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise must(f"must be a whole number from {least} to {most}")
        return value

    return BeforeValidator(check), WithJsonSchema({"type": "integer", "minimum": least, "maximum": most})


Count = Annotated[StrictInt, *whole(1, 1000)]
"""A whole number from 1 to 1000."""


def _named(pattern: str, form: str) -> tuple[AfterValidator, WithJsonSchema]:
    checked = re.compile(pattern)

    def check(value: str) -> str:
        if not checked.fullmatch(value):
            raise must(f"must be {form}, not {shown(value)}")
        return value

    return AfterValidator(check), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
ID_FORM = "letters, digits, `-` and `_`, at most 63 of them"
Id = Annotated[Line, *_named(ID.pattern, ID_FORM)]
"""The name of a page, source, rule or window: letters, digits, ``-`` and ``_``; it stands in addresses and keys."""

_COMPONENT = _named(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "letters, digits, `-`, `_` and `.`, at most 63 of them")


def _not_reserved(value: str) -> str:
    if value in ("from", "status"):
        raise must("is taken: in the `components` of a rule it means something else; choose another name")
    return value


ComponentName = Annotated[Line, *_COMPONENT, AfterValidator(_not_reserved)]
"""Our name of a component."""

_WORD = _named(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "a word of letters, digits and `_`, as templates use it")
Word = Annotated[Line, *_WORD]
"""A name that templates and expressions can use."""

_HEADER = _named(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", "the name of an HTTP header")
Header = Annotated[Line, *_HEADER]
"""The name of an HTTP header."""

# --- secrets

_SECRET = re.compile(r"\$\{(?:(?P<env>[A-Za-z_][A-Za-z0-9_]*)|file:(?P<file>/[^\x00{}]+))\}")


def parse_secret(value: object) -> tuple[str, str]:
    """
    Read ``${ENV_NAME}`` or ``${file:/path}`` into ("env", name) or ("file", path).

    Raises:
        PydanticCustomError: It is none; its text does not repeat the value, which may be a secret.
    """
    found = _SECRET.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise must("must be ${ENV_NAME} or ${file:/path} and nothing else; a secret itself never stands in a rule file")
    return ("env", found["env"]) if found["env"] else ("file", found["file"])


def _secret(value: object) -> str:
    parse_secret(value)
    return str(value)


Secret = Annotated[
    str,
    PlainValidator(_secret),
    WithJsonSchema({"type": "string", "pattern": r"^\$\{([A-Za-z_]\w*|file:/[^{}]+)\}$", "examples": ["${API_KEY}"]}),
]
"""``${ENV_NAME}`` or ``${file:/path}``: where a secret is, never the secret."""

# --- expressions and texts


def _cel(value: object) -> str:
    text = _text(value)
    if len(text) > MAX_CEL:
        raise must(f"must be at most {MAX_CEL} characters")
    return text


Cel = Annotated[str, PlainValidator(_cel), WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""A CEL expression; ``core.compiling`` compiles it."""


class CelSpec(Strict):
    """``{cel: "…"}``: an expression where else a literal stands."""

    cel: Cel = Field(description="A CEL expression. Required.")


def _said(value: object, info: ValidationInfo) -> str:
    """Take a text as it is, or the content of the template that it names."""
    if isinstance(value, Mapping) and set(value) == {"template"}:
        value = _template(value["template"], info.context or {})
    elif not isinstance(value, str):
        raise must(f"must be text or {{template: name.md.j2}}, not {what(value)}")
    text = _text(value)
    if len(text) > MAX_TEXT:
        raise must(f"must be at most {MAX_TEXT} characters")
    return text


def _template(name: object, context: Mapping[str, Any]) -> str:
    templates: Mapping[str, str] = context.get("templates", {})
    if not isinstance(name, str) or name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise must("must name a file below `templates/`, such as {template: resolved.md.j2}")
    if name not in templates:
        raise must(f"names no file below `templates/`: {shown(name)}{suggest(name, templates, 'there is')}")
    return templates[name]


TEMPLATE_SCHEMA = {
    "type": "object",
    "properties": {"template": {"type": "string", "description": "A file below `templates/`."}},
    "required": ["template"],
    "additionalProperties": False,
}
Text = Annotated[str, PlainValidator(_said), WithJsonSchema({"anyOf": [{"type": "string"}, TEMPLATE_SCHEMA]})]
"""What the public reads: a Jinja2 text, or ``{template: name.md.j2}``. Afterwards always the text itself."""

# --- short forms


class Short:
    """
    Lets a map or list be written in a short form.

    Args:
        widen: Gives the long form of a short one, and anything else back as it is.
        schema: JSON Schema of the short form; None: the same as one item of the list.
    """

    def __init__(self, widen: Callable[[Any], Any], schema: Mapping[str, Any] | None = None) -> None:
        self._widen, self._schema = widen, schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._widen, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        long = handler(schema)
        return {"anyOf": [dict(self._schema) if self._schema is not None else long["items"], long]}


def _widen_one(value: object) -> object:
    return value if isinstance(value, (list, dict)) else [value]


ONE_OR_MANY = Short(_widen_one)
"""Annotates a tuple: one item may stand without its list."""


def not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list of nothing."""
    if not value:
        raise must("must not be an empty list")
    return value


Ids = Annotated[tuple[Id, ...], AfterValidator(not_empty), ONE_OR_MANY]
"""One name or several."""
Secrets = Annotated[tuple[Secret, ...], AfterValidator(not_empty), ONE_OR_MANY]
"""One secret or several; any of them may match, so that they can be rotated."""
