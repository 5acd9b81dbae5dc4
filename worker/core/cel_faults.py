"""
What the CEL library says when something is wrong, said so that the author of a rule can act on it.

What belongs here: the library's wordings (cel-cpp as of cel-expr-python 0.1.3, which documents none of them, so all are
taken from trying) and ours. A wording that is not known passes through. Nothing is compiled or evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from worker.core.spelling import did_you_mean

Fault = tuple[int, int, str]
"""Line and column, both from 1, and the message."""

_FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
        label has size matches contains startsWith endsWith lowerAscii upperAscii replace split join trim substring
        indexOf all exists exists_one filter map orValue or hasValue value duration timestamp string int double bool
        dyn type getFullYear getMonth getDate getDayOfWeek getHours getMinutes getSeconds
        """,
    )
)
_FAULT = re.compile(r"^ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_CODE = re.compile(r"\A(?!ERROR)[A-Z_]+: | \[[A-Z_]+\]\Z")
_TYPES = {
    "string": "text",
    "int": "a number",
    "int64": "a number",
    "uint": "a number",
    "uint64": "a number",
    "double": "a number",
    "bool": "true or false",
    "list": "a list",
    "map": "a map",
    "null": "null",
    "null_type": "null",
    "timestamp": "a time",
    "duration": "a duration",
    "bytes": "bytes",
    "optional_type": "an optional value",
    "type": "a type",
    "str": "text",
    "float": "a number",
    "dict": "a map",
    "nonetype": "null",
    "datetime": "a time",
    "timedelta": "a duration",
}
"""Names of types, in lower case: of the checker, of the run time, of Python."""
_OPERATIONS = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), "cannot compare {0} with {1} ({3})"),
    **dict.fromkeys(("&&", "||"), "`{2}` needs true or false on both sides, not {0} and {1} ({3})"),
    **dict.fromkeys(("+", "-", "*", "/", "%"), "cannot reckon {0} {2} {1} ({3})"),
    "in": "cannot look for {0} in {1} ({3})",
}
_TIME_HINT = "; `timestamp(…)` makes a time of text"
_SYNTAX = (
    (re.compile(r"token recognition error at: '[\"']"), "this text has no closing quote, or an unknown `\\` in it"),
    (re.compile(r"token recognition error at: '=[^=~]?'"), "to compare, write `==`"),
    (re.compile(r"token recognition error at: '=~"), 'for a regular expression, write `.matches("…")`'),
    (re.compile(r"token recognition error at: '&"), "for both of two, write `&&`"),
    (re.compile(r"token recognition error at: '\|"), "for one of two, write `||`"),
    (re.compile(r"token recognition error at: '(.)"), "`{0}` means nothing here"),
    (re.compile(r"(?:mismatched|extraneous) input 'and' "), "for both of two, write `&&`"),
    (re.compile(r"(?:mismatched|extraneous) input 'or' "), "for one of two, write `||`"),
    (re.compile(r"missing '(.+)' at '<EOF>'"), "the expression ends where `{0}` is needed"),
    (re.compile(r"mismatched input '<EOF>' expecting '(.+)'"), "the expression ends where `{0}` is needed"),
    (re.compile(r"input '<EOF>'"), "the expression ends too early"),
    (re.compile(r"missing '(.+)' at '(.+)'"), "`{0}` is needed before `{1}`"),
    (re.compile(r"(?:mismatched|extraneous) input '(.+?)' expecting"), "`{0}` cannot stand here"),
    (re.compile(r"no viable alternative at input '(.+)'"), "`{0}` cannot stand here"),
)
_MESSAGES = (
    (re.compile(r"reserved identifier: (.+)"), "`{0}` is a reserved word"),
    (re.compile(r"expression of type '(.+)' cannot be the operand of a select operation"), "{type} has no fields"),
    (re.compile(r"(?i)recursion (?:limit|depth)"), "the expression is nested or chained more than 32 deep"),
    (re.compile(r"has\(\) argument must be a field selection"), "`has(…)` asks for a field: `has(event.labels.x)`"),
)
_RUN_TIME = (
    (
        re.compile(r"Key not found in map : (.+)"),
        'there is no key {0}; guard it with `has(…)`, or `.?name.orValue("")`',
    ),
    (re.compile(r"No value with name \"(.+?)\" found"), "`{0}` has no value here"),
    (re.compile(r"Index error: index=(.+) size=(.+)"), "the list has no element {0}, it has {1}"),
    (re.compile(r"Applying SELECT to non-message type"), "a field is read of something that is not a map"),
    (re.compile(r"No matching overloads found : <jump_condition>"), "what stands before `?` is neither true nor false"),
    (re.compile(r"Iteration budget exceeded"), "it goes through too many elements (about 10,000 are allowed)"),
    (re.compile(r"Non-CEL value type for '(.+)'"), "`{0}` is not a value that expressions can read"),
    (re.compile(r"String to (\w+) conversion failed"), 'this text is not {type}; guard it with `!= ""`'),
    (re.compile(r"Invalid timezone"), "there is no time zone of this name"),
)
_OVERLOAD = re.compile(
    r"(?:found no matching overload for '(.+)' applied to '|No matching overloads found : (.+?))\((.*)\)'?$"
)
_MEMBER = re.compile(r"No matching overloads found : \((.+?)\)\.(\w+)\((.*)\)$")
_BARE_OPERATOR = re.compile(r"No matching overloads found : _?(.+?)_$")


def compile_faults(text: str, said: str, names: Collection[str]) -> tuple[Fault, ...]:
    """
    Translate what the compiler said; at least one fault.

    Args:
        text: The expression.
        said: The text of the exception.
        names: Every variable that the expression could have used, dotted.
    """
    said = _without_code(said)
    found = [(int(line), int(column), message) for line, column, message in _FAULT.findall(said)] or [(1, 1, said)]
    syntax = [fault for fault in found if fault[2].startswith("Syntax error: ")]
    if syntax:  # what follows the first one is the parser's guessing
        found = syntax[:1]
    elif len(found) > 1:  # what builds on an unknown name is no fault of its own
        found = [fault for fault in found if "*error*" not in fault[2]] or found[:1]
    return tuple(_compile_fault(text, *fault, names) for fault in found)


def run_time_fault(said: str) -> str:
    """Translate the text of an error value, or of an exception while evaluating."""
    said = _without_code(said)
    member = _MEMBER.search(said)
    if member:
        return _misuse(member[2], [member[1], *_split(member[3])])
    return _overload(said) or _translated(said, _RUN_TIME) or said


def kind_of(type_name: str) -> str:
    """Name a type, known by any of its names, as people do: "a number"."""
    return _TYPES.get(re.split(r"[(<]", type_name)[0].lower(), f"`{type_name}`")


def _without_code(said: str) -> str:
    """Cut the status code that stands before, after or on both sides of a message, and long names of types."""
    return _CODE.sub("", said).replace("google.protobuf.", "")


def _compile_fault(text: str, line: int, column: int, message: str, names: Collection[str]) -> Fault:
    line, column = max(line, 1), max(column, 1)
    unknown = re.match(r"undeclared reference to '(.+?)'", message)
    if unknown:
        return _unknown_name(text, line, column, unknown[1], names)
    said = _overload(message) or _translated(message, _SYNTAX) or _translated(message, _MESSAGES) or message
    return (line, column, said + (_label_hint(text, line, column) if "has no fields" in said else ""))


def _unknown_name(text: str, line: int, column: int, name: str, names: Collection[str]) -> Fault:
    """The library points at the last dot or at "(", we at the first letter."""
    row = text.split("\n")[line - 1]
    start = row.rfind(name, 0, column - 1 + len(name))
    start = column - 1 if start < 0 else start
    called = row[start + len(name) :].lstrip().startswith("(")
    if called and name in _FUNCTIONS:
        return (line, start + 1, f"`{name}` is not called so: something before or after it is missing, or too much")
    if called:
        return (line, start + 1, f"unknown function `{name}`{did_you_mean(name, _FUNCTIONS)}")
    if name in _FUNCTIONS:
        return (line, start + 1, f"`{name}` is a function: write `{name}(…)`")
    hint = _label_hint(text, line, start) or _field_hint(name, names) or did_you_mean(name, names)
    return (line, start + 1, f"unknown name `{name}`{hint}")


def _field_hint(name: str, names: Collection[str]) -> str:
    if f"event.{name.partition('.')[0]}" in names:
        return f"; did you mean `event.{name}`?"
    field = min((known for known in names if known.startswith(f"{name}.")), default="")
    return f"; name one of its fields, as in `{field}`" if field else ""


def _label_hint(text: str, line: int, column: int) -> str:
    inside = re.search(r"labels\.\w+[-./]$", text.split("\n")[line - 1][:column])
    return '; a label with `-`, `.` or `/` in its name is read as `label("…")`' if inside else ""


def _overload(message: str) -> str:
    found = _OVERLOAD.search(message)
    if found:
        return _misuse(found[1] or found[2], _split(found[3]))
    bare = _BARE_OPERATOR.search(message)
    return f"`{bare[1]}` cannot be applied to what stands beside it" if bare else ""


def _misuse(function: str, arguments: list[str]) -> str:
    kinds = [kind_of(argument) for argument in arguments]
    operator = function.strip("_@")
    if operator in _OPERATIONS and len(kinds) == 2:
        hint = _TIME_HINT if {"text", "a time"} == set(kinds) else ""
        return _OPERATIONS[operator].format(*kinds, operator, f" {operator} ".join(arguments)) + hint
    if function == "_?_:_":
        return f"both answers of `? :` must be of one kind, not {' and '.join(kinds[1:])}"
    if function.startswith(("_[", "_?")):
        return f"{kinds[0]} has no fields or elements that {' and '.join(kinds[1:]) or 'nothing'} could name"
    hint = _TIME_HINT if operator.startswith("get") and kinds[:1] == ["text"] else ""
    return f"`{operator}` cannot be applied to {' and '.join(kinds) or 'nothing'}{hint}"


def _split(arguments: str) -> list[str]:
    """Split "int, list(string, int)" at its outer commas."""
    return [part.strip() for part in re.findall(r"(?:[^,(<]|[(<].*?[)>]+)+", arguments)]


def _translated(message: str, wordings: Collection[tuple[re.Pattern[str], str]]) -> str:
    for pattern, ours in wordings:
        found = pattern.search(message)
        if found:
            return ours.format(*found.groups(), type=kind_of(found[1]) if found.groups() else "")
    return ""
