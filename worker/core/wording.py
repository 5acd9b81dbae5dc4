"""
The words for what a file format's types refuse.

What belongs here: pydantic's errors, each rewritten so that it says what is wrong, where, and what was meant.
Values are repeated only where they cannot be secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from worker.core.documents import Path
from worker.core.salvaging import salvaged
from worker.core.slips import MISSING_SPACE
from worker.core.spec.file import DefaultsSpec
from worker.core.spec.scalars import shown, what
from worker.core.spelling import did_you_mean, suggest
from worker.core.written import Entry, Place, Report

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], entry: Entry, report: Report, context: Mapping[str, Any]) -> Model | None:
    """
    Read an entry into its type; where it does not fit, *report* says why, and what is right of it is read.

    Args:
        model: The type.
        entry: What was written.
        report: Takes what is wrong.
        context: Handed to the validators: ``templates``, name to text.
    """
    try:
        return model.model_validate(entry.data, context=dict(context))
    except ValidationError as error:
        for each in error.errors(include_url=False):
            fault = _Fault(model, entry, each["type"], each["loc"], each["input"], each["msg"], each.get("ctx", {}))
            if _follows(each["type"], fault, report):
                continue
            report.wrong(*_BY_TYPE.get(each["type"], _must)(fault))
        return salvaged(model, entry.data, error, context)


def _follows(kind: str, fault: _Fault, report: Report) -> bool:
    """Say whether a fault only follows from another one that is told."""
    if kind != "missing":
        return fault.input is None  # what has no value was told when it was read
    may_have_default = fault.loc[0] in DefaultsSpec.model_fields and fault.entry.defaults is None
    return may_have_default and report.elsewhere("defaults")


@dataclass(frozen=True, slots=True)
class _Fault:
    """One error of pydantic's, and what it is about."""

    model: type[BaseModel]
    entry: Entry
    type: str
    loc: Path
    input: Any
    message: str
    context: Mapping[str, Any]

    def subject(self, loc: Path) -> str:
        """Call the thing at *loc* by the nearest key above it; the entry itself by its label."""
        keys = [part for part in self.entry.written(loc) if isinstance(part, str)]
        return f"`{keys[-1]}`" if keys else self.entry.label


Told = tuple[Place, str]


def _unknown(fault: _Fault) -> Told:
    key, above = str(fault.loc[-1]), fault.loc[:-1]
    place = fault.entry.key(fault.loc)
    name, colon, _ = key.partition(":")
    if colon:
        return place, f"a space is missing after the colon of `{name[:60]}:`"
    allowed = [field.alias or name for name, field in _model_at(fault.model, above).model_fields.items()]
    return place, f"unknown key {shown(key)} in {fault.subject(above)}{suggest(key, allowed, 'allowed')}"


def _missing(fault: _Fault) -> Told:
    above = fault.loc[:-1]
    return fault.entry.key(above), f"`{fault.loc[-1]}` is missing in {fault.subject(above)}"


def _choice(fault: _Fault) -> Told:
    choices = [word.strip("'") for word in fault.context["expected"].replace(" or ", ", ").split(", ")]
    message = f"{fault.subject(fault.loc)} must be one of {', '.join(f'`{word}`' for word in choices)}"
    if "auth" not in fault.loc:
        message += f", not {shown(fault.input)}"
    hint = did_you_mean(fault.input, choices) if isinstance(fault.input, str) else ""
    return fault.entry.value(fault.loc), message + hint


def _must(fault: _Fault) -> Told:
    message = fault.message if fault.type == "must" else f"cannot be used: {fault.message}"
    if fault.loc and fault.loc[-1] == "[key]":
        name = shown(fault.loc[-2])
        return fault.entry.key(fault.loc[:-1]), f"{name} {message.removesuffix(f', not {name}')}"
    return fault.entry.value(fault.loc), f"{fault.subject(fault.loc)} {message}"


def _form(fault: _Fault, form: str) -> Told:
    slip = MISSING_SPACE.match(fault.input) if isinstance(fault.input, str) else None
    hint = f"; a space is missing after the colon of `{slip['key']}:`" if slip else ""
    return fault.entry.value(fault.loc), f"{fault.subject(fault.loc)} must be {form}, not {what(fault.input)}{hint}"


_BY_TYPE: Mapping[str, Callable[[_Fault], Told]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "enum": _choice,
    "literal_error": _choice,
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), partial(_form, form="a map of keys")),
    "tuple_type": partial(_form, form="a list"),
    "string_type": partial(_form, form="text"),
}


def _model_at(model: type[BaseModel], loc: Path) -> type[BaseModel]:
    """Find the type that describes the map at *loc*."""
    for part in loc:
        found = next((field for name, field in model.model_fields.items() if part == (field.alias or name)), None)
        if found is not None:
            model = next(_models_in(found.annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _models_in(part)
