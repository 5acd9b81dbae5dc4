"""
The rest of an entry whose form is wrong, so that what else is wrong with it can be told at the same time.

What belongs here: dropping what was refused and standing in for what is missing. What comes out is only ever looked at
for more faults, and never used: the set is refused anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from worker.core.documents import Path

Model = TypeVar("Model", bound=BaseModel)

_ROUNDS = 6
"""Dropping one thing may leave another one missing, and so on."""

_NAME = "unnamed-0"
_STAND_INS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "provider", "kind", "page"), _NAME),
    **dict.fromkeys(("title", "text", "open", "resolve"), "-"),
    **dict.fromkeys(("every", "extend", "before", "within", "duration"), "1h"),
    "say": {"open": "-", "resolve": "-"},
    "components": {},
    "publish": "auto",
    "resolve_on": ["-"],
    "auth": "none",
    "key": "''",
    "match": {},
    "times": 1,
    "starts": "2000-01-01T00:00",
    "timezone": "UTC",
}
"""For what is missing: values that are right in form and mean nothing."""


def salvaged(model: type[Model], data: Any, error: ValidationError, context: Mapping[str, Any]) -> Model | None:
    """
    Read what is right of *data*; None where too little is.

    Args:
        model: The type that refused it.
        data: What was written; it is not changed.
        error: The refusal.
        context: As for the first reading.
    """
    data = deepcopy(data)
    for _ in range(_ROUNDS):
        if not _mend(data, error):
            return None
        try:
            return model.model_validate(data, context=dict(context))
        except ValidationError as again:
            error = again
    return None


def _mend(data: Any, error: ValidationError) -> bool:
    drop: set[Path] = set()
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        path = _present(data, fault["loc"])
        if fault["type"] == "missing":
            name = str(fault["loc"][-1])
            if name not in _STAND_INS:
                return False
            _at(data, path)[name] = deepcopy(_STAND_INS[name])
        elif path:
            drop.add(path)
        else:
            return False
    for path in sorted(drop, key=lambda path: [str(part).zfill(6) for part in path], reverse=True):  # last items first
        del _at(data, path[:-1])[path[-1]]
    return True


def _present(data: Any, loc: Path) -> Path:
    """Give those parts of *loc* that lead to something."""
    path: Path = ()
    for part in loc:
        held = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
        if part in held:
            path, data = (*path, part), data[part]
    return path


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data
