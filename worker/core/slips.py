"""
What a person probably meant, where YAML only knows that something does not parse.

What belongs here: the words for syntax faults. This file may not know what any key means.
Nothing of a value is ever repeated here: it may be a secret. Keys are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from worker.errors import Problem

MISSING_SPACE = re.compile(r"\s*(?:- +)*(?P<key>[A-Za-z_][\w.-]*):(?=[^\s:/])")
"""``hold:3m``: a key, a colon, and no space. Not a web address."""

_LOOK = 500
"""Characters of a line that are searched for slips: bounds the work on a hostile line."""

_BRACES = re.compile(r"""(?:[:,\[-]\s+|[\[{])(?P<slip>\{\{)""")
_SECRET = re.compile(r"""[\[{](?:[^"'#]*?[:,])??\s*(?P<slip>\$\{)""")
_TAB = re.compile(r"^ *(?P<slip>\t)")

_BY_PROBLEM: Sequence[tuple[str, str]] = (
    (
        "mapping values are not allowed",
        "a `:` cannot stand here; quote a text that holds `: `, or mend the indentation",
    ),
    ("could not find expected ':'", "a `:` is missing after a key in this line or the one above"),
    ("did not find expected key", "this does not fit the lines above; mend the indentation, a quote or a bracket"),
    (
        "did not find expected '-' indicator",
        "this does not fit the list above; mend the indentation, or start it with `- `",
    ),
    ("did not find expected ',' or '}'", "a `,`, or the `}` for the `{` in line {opened}, is missing before this"),
    ("did not find expected ',' or ']'", "a `,`, or the `]` for the `[` in line {opened}, is missing before this"),
    (
        "found unknown escape character",
        "in double quotes a backslash begins an escape; double it, or use single quotes",
    ),
    ("found character that cannot start any token", "a text cannot start with this character; put it in quotes"),
    ("found undefined tag handle", "a value that starts with `!` is a YAML tag, which is not allowed; quote it"),
    ("block sequence entries are not allowed", "a list cannot start here; put each `- ` item on a line of its own"),
    ("did not find expected <document start>", "this does not fit the lines above; mend the indentation"),
    ("did not find expected comment or line break", "a text that starts with `|` or `>` must be in quotes"),
    ("did not find expected alphabetic or numeric character", "a text that starts with `&` or `*` must be in quotes"),
    ("did not find expected tag URI", "a text that starts with `!` must be in quotes"),
    ("did not find expected node content", "a value is missing before this, or it must be in quotes"),
    ("found unexpected ':'", "a `:` cannot stand here; put the text in quotes"),
    ("found invalid Unicode character", "this is not a valid character"),
)
_UNCLOSED = "the quotes that open here are never closed"


def explain(file: str, lines: Sequence[str], error: yaml.MarkedYAMLError) -> Problem:
    """
    Say in our words what YAML refused, at the place where a person would mend it.

    Args:
        lines: The file's lines.
        error: What the parser raised; its marks are 0-based.
    """
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(file, 0, 0, "this is not YAML")
    first = error.context_mark.line if error.context_mark else mark.line
    slip = _slip(lines, first, mark.line)
    if slip:
        return Problem(file, *slip)
    if "end of stream" in (error.problem or "") and error.context_mark:
        return Problem(file, error.context_mark.line + 1, error.context_mark.column + 1, _UNCLOSED)
    words = next((ours for theirs, ours in _BY_PROBLEM if theirs in (error.problem or "")), None)
    message = words.replace("{opened}", str(first + 1)) if words else f"this is not YAML: {error.problem}"
    return Problem(file, mark.line + 1, mark.column + 1, message)


def _slip(lines: Sequence[str], first: int, last: int) -> tuple[int, int, str] | None:
    """Find a common slip in the last few lines up to the one that did not parse, the nearest first."""
    for number in range(min(last, len(lines) - 1), max(0, min(first, last - 1), last - 3) - 1, -1):
        line = lines[number][:_LOOK]
        for pattern, message in _SLIPS:
            if found := pattern.search(line):
                return (number + 1, found.start("slip") + 1, message)
        if found := MISSING_SPACE.match(line):
            return (number + 1, found.start("key") + 1, f"a space is missing after the colon of `{found['key']}:`")
    return None


_SLIPS = (
    (_TAB, "a tab stands here; YAML is indented with spaces only"),
    (_BRACES, "a text that starts with `{{` must be in quotes"),
    (_SECRET, 'inside `{ }` and `[ ]` write "${NAME}" with quotes'),
)
