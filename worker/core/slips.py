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
_DASH = re.compile(r"^ *(?P<slip>-)[A-Za-z_]\w*:")
_TAB = re.compile(r"^ *(?P<slip>\t)")

_WORDS: Sequence[tuple[str, str]] = (
    (
        "mapping values are not allowed",
        "a `:` cannot stand here; quote a text that holds `: `, or mend the indentation",
    ),
    ("could not find expected ':'", "a `:` is missing after a key in this line or the one above"),
    ("found unexpected ':'", "a `:` cannot stand here; put the text in quotes"),
    ("did not find expected key", "this does not fit the lines above; mend the indentation, a quote or a bracket"),
    ("expected '-' indicator", "this does not fit the list above; mend the indentation, or start it with `- `"),
    ("expected ',' or '}'", "a `,`, or the `}` for the `{` in line {opened}, is missing before this"),
    ("expected ',' or ']'", "a `,`, or the `]` for the `[` in line {opened}, is missing before this"),
    ("expected <document start>", "this does not fit the lines above; mend the indentation"),
    ("expected node content", "a value is missing before this, or it must be in quotes"),
    ("block sequence entries are not allowed", "a list cannot start here; put each `- ` item on a line of its own"),
    ("unknown escape character", "in double quotes a backslash begins an escape; double it, or use single quotes"),
    ("expected hexdecimal number", "in double quotes a backslash begins an escape; double it, or use single quotes"),
    ("character that cannot start any token", "a text cannot start with this character; put it in quotes"),
    ("tab character", "a tab stands here; YAML is indented with spaces only"),
    ("unexpected document indicator", "`---` and `...` cannot stand within a text; indent them, or mend a quote above"),
    ("directive", "a text that starts with `%` must be in quotes; YAML's own `%` lines are not allowed"),
    ("tag", "a text that starts with `!` must be in quotes"),
    ("alias", "a text that starts with `*` must be in quotes"),
    ("anchor", "a text that starts with `&` must be in quotes"),
    ("block scalar", "a text that starts with `|` or `>` must be in quotes"),
)
"""Part of what the parser says to what we say; the first that fits."""
_OTHERWISE = "this is not YAML; most often the indentation, a quote or a bracket is wrong"
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
    theirs = f"{error.problem} {error.context}"
    message = next((ours for part, ours in _WORDS if part in theirs), _OTHERWISE)
    return Problem(file, mark.line + 1, mark.column + 1, message.replace("{opened}", str(first + 1)))


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
    (_DASH, "a space is missing after the `-`"),
    (_TAB, "a tab stands here; YAML is indented with spaces only"),
    (_BRACES, "a text that starts with `{{` must be in quotes"),
    (_SECRET, 'inside `{ }` and `[ ]` write "${NAME}" with quotes'),
)
