"""
Expressions in rules: CEL, checked when loaded, evaluated to plain data, and never wrong in silence.

What belongs here: the one use of the CEL library, and the names and types that an expression may read. Rules, templates
and files are not known here. Safe to use from several threads.

How CEL is used, and why (cel-expr-python 0.1.3):

* variables are declared with dots (``event.title``) and types, so that a misspelt field is an error when loaded;
* the library gives errors as values of the type ERROR; all of them are raised as ``EvaluationFailed``;
* it binds eagerly, so that only what an expression can name is bound, and made readable first (``core.bindings``);
* zones in expressions come from the directory in the environment variable ``TZDIR``, else from the system's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from worker.core.bindings import WRITABLE, as_text, bindable, event_bindings, readable, signal_bindings
from worker.core.cel_faults import Fault, compile_faults, kind_of, run_time_fault
from worker.core.model import Event, Status
from worker.errors import EvaluationFailed

__all__ = [
    "CelProgram",
    "CompileFailed",
    "RegexProgram",
    "Want",
    "as_text",
    "compile_event",
    "compile_json",
    "compile_regex",
    "compile_signals",
    "event_bindings",
    "signal_bindings",
]

MAX_SOURCE = 4096
"""Characters of an expression or a pattern."""
_WORD = re.compile(r"\w+")
_UNREAD = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|//[^\n]*", re.DOTALL)
_HAS_FIELD = re.compile(r"\bhas\(\s*(event\.\w+)\s*\)")
_labels: ContextVar[Mapping[str, str] | None] = ContextVar("labels", default=None)
"""What ``label(name)`` looks in during an evaluation: the library hands its functions the arguments only."""


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
    """
    What an expression must give, in the words of messages.

    Anything but BOOL may be left to the evaluation, where it cannot be told before. TEXT also takes numbers, truth
    values, times and null, and writes them as ``as_text`` does. TIME and DURATION also take text, and TIME null; to
    read them is for who asks.
    """

    BOOL = "true or false"
    TEXT = "text"
    INT = "a whole number"
    LIST = "a list"
    MAP = "a map"
    TIME = "a time"
    DURATION = "a duration"
    ANY = "a value"


_ACCEPTED: dict[Want, tuple[frozenset[str], tuple[type, ...]]] = {
    Want.BOOL: (frozenset({"BOOL"}), (bool,)),
    Want.TEXT: (frozenset({"STRING", "BOOL", "INT", "UINT", "DOUBLE", "TIMESTAMP", "DYN"}), (str,)),
    Want.INT: (frozenset({"INT", "UINT", "DYN"}), (int,)),
    Want.LIST: (frozenset({"LIST", "DYN"}), (list,)),
    Want.MAP: (frozenset({"MAP", "DYN"}), (dict,)),
    Want.TIME: (frozenset({"TIMESTAMP", "STRING", "NULL", "DYN"}), (datetime, str, type(None))),
    Want.DURATION: (frozenset({"DURATION", "STRING", "DYN"}), (timedelta, str)),
    Want.ANY: (
        frozenset({"BOOL", "STRING", "INT", "UINT", "DOUBLE", "NULL", "LIST", "MAP", "TIMESTAMP", "DURATION", "DYN"}),
        (bool, str, int, float, type(None), list, dict, datetime, timedelta),
    ),
}
"""Names of the library's types that pass when loaded, and types that pass when evaluated."""


class CelProgram:
    """
    A compiled expression; immutable.

    Attributes:
        text: The expression as written.
        names: The variables that it can read; whatever else an evaluation is given costs nothing.
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
            data = {name: bindable(bindings[name]) for name in self.names if name in bindings}
            result = self._expression.eval(data=data)
            value = result.plain_value()
            failed = type(value) is str and result.type() in (cel.Type.ERROR, cel.Type.UNKNOWN)
        except Exception as fault:  # the library documents none of what it raises
            raise self._failed(run_time_fault(str(fault))) from fault
        if failed:
            raise self._failed(run_time_fault(value))
        return self._accepted(value)

    def _accepted(self, value: Any) -> Any:
        if self._want is Want.TEXT and type(value) in WRITABLE:
            value = as_text(value)
        if type(value) not in _ACCEPTED[self._want][1]:
            raise self._failed(f"it gives {kind_of(type(value).__name__)}, not {self._want}")
        return value

    def _failed(self, why: str) -> EvaluationFailed:
        return EvaluationFailed(f"`{_shortened(self.text)}`: {why}")


class RegexProgram:
    """A compiled pattern; evaluates ``{"value": text}`` to whether all of the text matches; immutable."""

    __slots__ = ("_anchored", "text")

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self._anchored = _anchor(pattern)

    def __str__(self) -> str:
        return self.text

    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> bool:  # noqa: ARG002
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

    It reads ``event.<field>``, which is text ("" where there is none; times as ISO 8601) but for
    ``event.severity_rank`` (number), ``event.private`` and ``event.test`` (true or false), ``event.labels`` and
    ``event.annotations`` (maps of text); and ``label(name)``, which is "" for a missing label.

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

    Each evaluation converts the whole of what ``CelProgram.names`` holds: a program that does not read the innermost
    name gives the same for every element, and need be evaluated only once for a large body.

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
    for attempt in (pattern, _anchor(pattern)):  # alone first: "a)|(b" is no fault within brackets, but unanchored
        try:
            _matcher().evaluate({"value": "", "pattern": attempt})
        except EvaluationFailed as fault:
            why = str(fault).rpartition("invalid regular expression: ")[2].partition(": ")[0]
            raise CompileFailed([(1, 1, f"not a regular expression (RE2): {why}")]) from fault
    return RegexProgram(pattern)


# --- compiling


def _look_up_label(name: str) -> str:
    labels = _labels.get()
    if labels is None:
        raise LookupError("label() has no event to look in")
    return readable(labels.get(name, ""))


_LABEL = cel.FunctionDecl(
    "label",
    # The implementation must stand in the overload, or be given under its id: given with an evaluation it is not found.
    [cel.Overload("label_string", cel.Type.STRING, [cel.Type.STRING], is_member=False, impl=_look_up_label)],
)
_EXTENSIONS = (ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_math.ExtMath(), ext_bindings.ExtBindings())
_TEXTS = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
_KINDS = {
    "event.severity_rank": cel.Type.INT,
    "event.private": cel.Type.BOOL,
    "event.test": cel.Type.BOOL,
    "event.labels": _TEXTS,
    "event.annotations": _TEXTS,
}
_SAMPLE = Event(source="", kind="", key="", status=Status.FIRING, started_at=datetime(2000, 1, 1, tzinfo=UTC))
_EVENT = {name: _KINDS.get(name, cel.Type.STRING) for name in event_bindings(_SAMPLE)}
_VARIABLES: dict[str, dict[str, cel.Type]] = {
    "event": _EVENT,
    "signals": _EVENT | {"signals": cel.Type.List(cel.Type.DYN)},
    "json": {"body": cel.Type.DYN, "headers": _TEXTS},
    "regex": {"value": cel.Type.STRING, "pattern": cel.Type.STRING},
}


@lru_cache(maxsize=256)
def _environment(kind: str, names: frozenset[str]) -> tuple[cel.Env, tuple[str, ...]]:
    """Make the environment of a kind of expression, and name what is declared in it."""
    variables = _VARIABLES[kind] | dict.fromkeys(names, cel.Type.DYN)
    functions = [_LABEL] if "event.labels" in variables else []
    return cel.NewEnv(variables=variables, extensions=_EXTENSIONS, functions=functions), tuple(variables)


@lru_cache(maxsize=8192)  # rules share most of their expressions, and a reload compiles only what is new
def _compiled(kind: str, text: str, want: Want, names: frozenset[str]) -> CelProgram:
    _refuse_unreadable(text)
    environment, declared = _environment(kind, names)
    _refuse_pointless_has(text, declared)
    try:
        expression = environment.compile(text)
    except Exception as fault:  # the library documents none of what it raises
        raise CompileFailed(compile_faults(text, str(fault), declared)) from None
    gives = re.split(r"[<(]", str(expression.return_type()))[0]
    if gives not in _ACCEPTED[want][0]:
        raise CompileFailed([(1, 1, _wrong_kind(gives, want))])
    program = CelProgram(text, want, expression, declared)
    _refuse_wrong_constants(program)
    return program


@lru_cache(maxsize=1)
def _matcher() -> CelProgram:
    """One program serves all patterns: the library compiles a pattern at each evaluation, even a constant one."""
    return _compiled("regex", "value.matches(pattern)", Want.BOOL, frozenset())


def _anchor(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


def _refuse_unreadable(text: str) -> None:
    if len(text) > MAX_SOURCE:
        raise CompileFailed([(1, 1, f"longer than {MAX_SOURCE:,} characters")])
    if readable(text) != text:
        raise CompileFailed([(1, 1, "it has characters that are no text: NUL, or half of one")])


def _refuse_pointless_has(text: str, declared: Collection[str]) -> None:
    """``has()`` of a declared variable gives the variable itself (a fault of the library), so it must not pass."""
    code = _UNREAD.sub(lambda unread: " " * len(unread[0]), text)
    faults = [
        (text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start()), found[1])
        for found in _HAS_FIELD.finditer(code)
        if found[1] in declared
    ]
    if faults:
        raise CompileFailed(
            [(line, at, f'`{name}` is always there: compare it with "" instead') for line, at, name in faults]
        )


def _refuse_wrong_constants(program: CelProgram) -> None:
    """Constant patterns and zones are looked at in an evaluation only; nothing in the sample can make either wrong."""
    try:
        program.evaluate(event_bindings(_SAMPLE), _SAMPLE)
    except EvaluationFailed as fault:
        why = str(fault).removeprefix(f"`{_shortened(program.text)}`: ")
        if why.startswith(("invalid regular expression", "there is no time zone")):
            raise CompileFailed([(1, 1, why)]) from None


def _wrong_kind(gives: str, want: Want) -> str:
    if gives == "optional_type":
        return f"it gives an optional value, not {want}; end it with `.orValue(…)` or `.hasValue()`"
    if gives == "DYN":
        return f"it may give anything, and must give {want}; compare it with something, as in `… == true`"
    return f"it gives {kind_of(gives)}, not {want}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
