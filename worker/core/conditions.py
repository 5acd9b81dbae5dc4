"""
Expressions in rules: CEL, checked when loaded, evaluated to plain data, and never wrong in silence.

What belongs here: the one use of the CEL library, the names and types that an expression may read, and the conversion
of our values. Rules, templates and files are not known here. Safe to use from several threads.

How CEL is used, and why (cel-expr-python 0.1.3):

* variables are declared with dots (``event.title``) and types, so that a misspelt field is an error when loaded;
* the library gives errors as values of the type ERROR; all of them are raised as ``EvaluationFailed``;
* it reads text up to the first NUL only, and refuses lone surrogates and numbers beyond 64 bits: values are made
  harmless before they are bound;
* it binds eagerly, so that only what an expression can name is bound.

Time zones in expressions come from the directory in the environment variable ``TZDIR``, else from the system's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings  # type: ignore[import-untyped]

from worker.core.cel_faults import Fault, compile_faults, run_time_fault
from worker.core.model import Event, Signal, Status
from worker.errors import EvaluationFailed

MAX_SOURCE = 4096
"""Characters of an expression or a pattern."""
_WORD = re.compile(r"\w+")
_STRING = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_HAS_FIELD = re.compile(r"\bhas\(\s*(event\.\w+)\s*\)")
_LARGEST = 2**63 - 1


class CompileFailed(Exception):
    """
    An expression or a template is wrong.

    Attributes:
        faults: (line, column, message) of each, both from 1, relative to the text; at least one.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("; ".join(f"{line}:{column}: {message}" for line, column, message in self.faults))


class Want(StrEnum):
    """What an expression must give, in the words of messages."""

    BOOL = "true or false"
    TEXT = "text"
    INT = "a whole number"
    LIST = "a list"
    MAP = "a map"
    TIME = "a time"
    DURATION = "a duration"
    ANY = "a value"


_STATIC = {
    Want.BOOL: {"BOOL"},
    Want.TEXT: {"STRING", "DYN"},
    Want.INT: {"INT", "UINT", "DYN"},
    Want.LIST: {"LIST", "DYN"},
    Want.MAP: {"MAP", "DYN"},
    Want.TIME: {"TIMESTAMP", "DYN"},
    Want.DURATION: {"DURATION", "DYN"},
    Want.ANY: {"BOOL", "STRING", "INT", "UINT", "DOUBLE", "NULL", "LIST", "MAP", "TIMESTAMP", "DURATION", "DYN"},
}
"""The library's type names that each accepts when loaded."""

_PLAIN: dict[Want, set[type]] = {
    Want.BOOL: {bool},
    Want.TEXT: {str},
    Want.INT: {int},
    Want.LIST: {list},
    Want.MAP: {dict},
    Want.TIME: {datetime},
    Want.DURATION: {timedelta},
    Want.ANY: {bool, str, int, float, type(None), list, dict, datetime, timedelta},
}
"""The types that each gives."""

_WORDS = {
    "BOOL": "true or false",
    "STRING": "text",
    "INT": "a number",
    "UINT": "a number",
    "DOUBLE": "a number",
    "LIST": "a list",
    "MAP": "a map",
    "NULL": "null",
    "TIMESTAMP": "a time",
    "DURATION": "a duration",
    "BYTES": "bytes",
    "TYPE": "a type",
    "bool": "true or false",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "list": "a list",
    "dict": "a map",
    "NoneType": "null",
    "datetime": "a time",
    "timedelta": "a duration",
}

_TEXTS = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
_TEXT_FIELDS = "source kind key status severity status_name category title message url scope".split()
_EVENT: dict[str, Any] = {
    **{f"event.{name}": cel.Type.STRING for name in _TEXT_FIELDS},
    "event.severity_rank": cel.Type.INT,
    "event.private": cel.Type.BOOL,
    "event.test": cel.Type.BOOL,
    "event.labels": _TEXTS,
    "event.annotations": _TEXTS,
    # A timestamp or null, which only DYN can be: compare with null before anything else.
    "event.started_at": cel.Type.DYN,
    "event.occurred_at": cel.Type.DYN,
}
_SIGNALS = {"signals": cel.Type.List(cel.Type.DYN)}
_JSON = {"body": cel.Type.DYN, "headers": _TEXTS}
_REGEX = {"value": cel.Type.STRING, "pattern": cel.Type.STRING}

_SAMPLE = Event(source="", kind="", key="", status=Status.FIRING, started_at=datetime(2000, 1, 1, tzinfo=UTC))
_labels: ContextVar[Mapping[str, str] | None] = ContextVar("labels", default=None)
"""What ``label(name)`` looks in during an evaluation: the library hands its functions the arguments only."""


class CelProgram:
    """
    A compiled expression; immutable.

    Attributes:
        text: The expression as written.
        names: The variables that it can read; what an evaluation binds beyond them does not matter.
    """

    __slots__ = ("_calls_label", "_expression", "_want", "names", "text")

    def __init__(self, text: str, want: Want, expression: Any, declared: Collection[str]) -> None:
        words = set(_WORD.findall(text))  # more than it reads, never less: CEL cannot spell a name in another way
        self.text = text
        self.names = frozenset(name for name in declared if words.issuperset(_WORD.findall(name)))
        self._calls_label = "label" in words
        self._want = want
        self._expression = expression

    def __str__(self) -> str:
        return self.text

    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> Any:
        """
        Evaluate to plain Python data of the wanted kind.

        Args:
            bindings: Values of the declared variables; dotted names for event fields.
            event: What ``label(name)`` looks in; None: in the bound ``event.labels``.

        Raises:
            EvaluationFailed: The expression gave an error, or something else than was wanted.
        """
        if not self._calls_label:
            return self._evaluate(bindings)
        token = _labels.set(event.labels if event is not None else bindings.get("event.labels"))
        try:
            return self._evaluate(bindings)
        finally:
            _labels.reset(token)

    def _evaluate(self, bindings: Mapping[str, Any]) -> Any:
        try:
            result = self._expression.eval(data={name: _bindable(bindings[name]) for name in self.names if name in bindings})
            value = result.plain_value()
            failed = type(value) is str and result.type() in (cel.Type.ERROR, cel.Type.UNKNOWN)
        except Exception as fault:  # the library documents none of what it raises
            raise self._failed(run_time_fault(str(fault))) from fault
        if failed:
            raise self._failed(run_time_fault(value))
        if self._want is Want.TEXT:
            value = self._text(value)
        if type(value) not in _PLAIN[self._want]:
            raise self._failed(f"it gives {_word(type(value).__name__)}, not {self._want}")
        return value

    def _text(self, value: Any) -> Any:
        try:
            return as_text(value)
        except TypeError:
            return value

    def _failed(self, why: str) -> EvaluationFailed:
        return EvaluationFailed(f"`{_shortened(self.text)}`: {why}")


class RegexProgram:
    """A compiled pattern; evaluates ``{"value": text}`` to whether all of the text matches; immutable."""

    __slots__ = ("_anchored", "text")

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self._anchored = rf"\A(?:{pattern})\z"

    def __str__(self) -> str:
        return self.text

    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> bool:
        """
        Match ``bindings["value"]``; *event* is not looked at.

        Raises:
            EvaluationFailed: The pattern is too costly for this value.
        """
        found: bool = _matcher().evaluate({"value": bindings["value"], "pattern": self._anchored})
        return found


def compile_event(text: str, want: Want, *, names: Collection[str] = ()) -> CelProgram:
    """
    Compile an expression over one event.

    It reads ``event.<field>`` — text but for ``event.severity_rank`` (number), ``event.private`` and ``event.test``
    (true or false), ``event.labels`` and ``event.annotations`` (maps of text), ``event.started_at`` and
    ``event.occurred_at`` (a time or null) — and ``label(name)``, which is "" for a missing label.

    Args:
        names: Further variables of any kind.

    Raises:
        CompileFailed: Wrong syntax, an unknown name, a wrong kind.
    """
    return _compiled("event", text, want, frozenset(names))


def compile_signals(text: str, want: Want, *, names: Collection[str] = ()) -> CelProgram:
    """
    Compile an expression over the leading event, as ``compile_event`` does, and ``signals``.

    ``signals`` is a list of maps, one for each firing member, as ``signal_bindings`` makes them.

    Raises:
        CompileFailed: Wrong syntax, an unknown name, a wrong kind.
    """
    return _compiled("signals", text, want, frozenset(names))


def compile_json(text: str, want: Want, *, names: Collection[str]) -> CelProgram:
    """
    Compile an expression over ``body`` (any JSON), ``headers`` (map of text) and *names* (any JSON).

    Raises:
        CompileFailed: Wrong syntax, an unknown name, a wrong kind.
    """
    return _compiled("json", text, want, frozenset(names))


def compile_regex(pattern: str) -> RegexProgram:
    """
    Compile an RE2 pattern that must match the whole of a text. RE2: linear time, no look-around, no back references.

    Raises:
        CompileFailed: Wrong syntax.
    """
    _refuse_unreadable(pattern)
    for attempt in (pattern, rf"\A(?:{pattern})\z"):  # alone first: "a)|(b" would be right in brackets, and unanchored
        try:
            _matcher().evaluate({"value": "", "pattern": attempt})
        except EvaluationFailed as fault:
            why = str(fault).rpartition("invalid regular expression: ")[2]
            raise CompileFailed([(1, 1, f"not a regular expression (RE2): {why.partition(': ')[0]}")]) from fault
    return RegexProgram(pattern)


def event_bindings(event: Event) -> dict[str, Any]:
    """Give the variables ``event.*`` of an event."""
    return {
        "event.source": event.source,
        "event.kind": event.kind,
        "event.key": event.key,
        "event.status": str(event.status),
        "event.severity": event.severity,
        "event.severity_rank": event.severity_rank,
        "event.status_name": event.status_name,
        "event.category": event.category,
        "event.title": event.title,
        "event.message": event.message,
        "event.labels": event.labels,
        "event.annotations": event.annotations,
        "event.url": event.url,
        "event.scope": event.scope,
        "event.private": event.private,
        "event.test": event.test,
        "event.started_at": event.started_at,
        "event.occurred_at": event.occurred_at,
    }


def signal_bindings(signals: Iterable[Signal]) -> list[dict[str, Any]]:
    """Give the elements of the variable ``signals``: the newest statement of each signal, in the given order."""
    return [
        {
            "key": event.key,
            "source": event.source,
            "kind": event.kind,
            "status": str(event.status),
            "severity": event.severity,
            "severity_rank": event.severity_rank,
            "title": event.title,
            "message": event.message,
            "labels": dict(event.labels),
            "annotations": dict(event.annotations),
            "url": event.url,
            "started_at": event.started_at,
        }
        for event in (signal.event for signal in signals)
    ]


def as_text(value: Any) -> str:
    """
    Write a plain value as text: null is "", true is "true", 3.0 is "3", a time is ISO 8601 in UTC with "Z".

    Raises:
        TypeError: It is a list, a map or anything else that has no one text.
    """
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"{_word(type(value).__name__)} is not text")
    return writer(value)


def _float_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float_text,
    type(None): lambda _: "",
    datetime: lambda value: value.astimezone(UTC).isoformat().replace("+00:00", "Z"),
}


# --- compiling


def _look_up_label(name: str) -> str:
    labels = _labels.get()
    if labels is None:
        raise LookupError("label() has no event to look in")
    return _clean(labels.get(name, ""))


_LABEL = cel.FunctionDecl(
    "label",
    # The implementation must stand in the overload, or be given under its id: given with an evaluation it is not found.
    [cel.Overload("label_string", cel.Type.STRING, [cel.Type.STRING], False, impl=_look_up_label)],
)
_EXTENSIONS = (ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_math.ExtMath(), ext_bindings.ExtBindings())
_VARIABLES: dict[str, dict[str, Any]] = {"event": _EVENT, "signals": _EVENT | _SIGNALS, "json": _JSON, "regex": _REGEX}


@lru_cache(maxsize=256)
def _environment(kind: str, names: frozenset[str]) -> tuple[Any, tuple[str, ...]]:
    """Make the environment of a kind of expression, and name what is declared in it."""
    variables = _VARIABLES[kind] | dict.fromkeys(names, cel.Type.DYN)
    functions = [_LABEL] if "event.labels" in variables else []
    return cel.NewEnv(variables=variables, extensions=_EXTENSIONS, functions=functions), tuple(variables)


@lru_cache(maxsize=8192)  # rules share most of their expressions; a reload compiles only what is new
def _compiled(kind: str, text: str, want: Want, names: frozenset[str]) -> CelProgram:
    _refuse_unreadable(text)
    environment, declared = _environment(kind, names)
    _refuse_pointless_has(text, declared)
    try:
        expression = environment.compile(text)
    except Exception as fault:  # the library documents none of what it raises
        raise CompileFailed(compile_faults(text, str(fault), declared)) from None
    gives = str(expression.return_type())
    if re.split(r"[<(]", gives)[0] not in _STATIC[want]:
        raise CompileFailed([(1, 1, _wrong_kind(gives, want))])
    program = CelProgram(text, want, expression, declared)
    _refuse_wrong_constants(program)
    return program


@lru_cache(maxsize=1)
def _matcher() -> CelProgram:
    """One program serves all patterns: the library compiles a pattern at each evaluation, even a constant one."""
    return _compiled("regex", "value.matches(pattern)", Want.BOOL, frozenset())


def _refuse_unreadable(text: str) -> None:
    if len(text) > MAX_SOURCE:
        raise CompileFailed([(1, 1, f"longer than {MAX_SOURCE:,} characters")])
    if _clean(text) != text:
        raise CompileFailed([(1, 1, "it has characters that are no text (NUL or half a character)")])


def _refuse_pointless_has(text: str, declared: Collection[str]) -> None:
    """``has()`` of a declared variable gives the variable itself (a fault of the library), so it must not pass."""
    faults = []
    for found in _HAS_FIELD.finditer(_STRING.sub(lambda string: " " * len(string[0]), text)):
        if found[1] in declared:
            before = text[: found.start()].split("\n")
            faults.append((len(before), len(before[-1]) + 1, f"`{found[1]}` is always there: compare it with \"\" or null instead"))
    if faults:
        raise CompileFailed(faults)


def _refuse_wrong_constants(program: CelProgram) -> None:
    """Constant patterns and zones are looked at in an evaluation only; nothing in the sample can make either wrong."""
    try:
        program.evaluate(event_bindings(_SAMPLE), _SAMPLE)
    except EvaluationFailed as fault:
        why = str(fault).removeprefix(f"`{_shortened(program.text)}`: ")
        if why.startswith(("invalid regular expression", "there is no time zone")):
            raise CompileFailed([(1, 1, why)]) from None


def _wrong_kind(gives: str, want: Want) -> str:
    if gives.startswith("optional_type"):
        return f"it gives an optional value, not {want}; end it with `.orValue(…)` or `.hasValue()`"
    if gives == "DYN":
        return f"it may give anything, and must give {want}; compare it with something, as in `… == true`"
    return f"it gives {_word(re.split(r'[<(]', gives)[0])}, not {want}"


def _word(type_name: str) -> str:
    return _WORDS.get(type_name, f"`{type_name}`")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"


# --- values


def _bindable(value: Any) -> Any:
    """Make a value of ours, or of any JSON, one that the library reads rightly."""
    convert = _CONVERTERS.get(type(value))
    if convert is not None:
        return convert(value)
    if isinstance(value, Mapping):
        return _bindable_map(value)
    return _bindable_list(value) if isinstance(value, (tuple, set, frozenset)) else value


def _clean(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bindable_map(value: Mapping[Any, Any]) -> dict[Any, Any]:
    return {_bindable(key): _bindable(item) for key, item in value.items()}


def _bindable_list(value: Iterable[Any]) -> list[Any]:
    return [_bindable(item) for item in value]


_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    str: _clean,
    int: lambda value: value if -_LARGEST <= value <= _LARGEST else float(value),
    dict: _bindable_map,
    list: _bindable_list,
    **dict.fromkeys((bool, float, type(None), datetime, timedelta), lambda value: value),
}
