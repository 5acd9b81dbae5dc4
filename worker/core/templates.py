"""
Public texts: Jinja2, narrowed down until a text can neither leak, nor reach out, nor cost much.

What belongs here: the one use of Jinja2. A template is checked against an allow-list of constructs, filters and words
when it is loaded; rendering sees only the words it is given, escapes each for Markdown, counts its work, and stops at
the limit. Rules and events are not known here. Safe to use from several threads.

Of the language there is: ``{{ word }}``, ``if``, ``for`` (two deep, at most 100 elements), filters, comparisons, sums
of numbers. There is no ``set``, call, macro, include or import, and no text that is multiplied, formatted or joined.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2 import tests as jinja_tests
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker.core.conditions import CompileFailed
from worker.core.markdown import clean, cut, escape, one_line
from worker.core.phrases import FILTERS, MAX_TEXT, Trusted, in_words, weight
from worker.core.template_check import ELEMENTS, LOOP_WORDS, TESTS, WEIGHED, Check
from worker.errors import EvaluationFailed

BUILT_IN_WORDS = frozenset({"components", "severity", "episode", "window", "page", "now"})
"""Words that every template may use."""
MAX_SOURCE = 8192
"""Characters of a template."""
_MOST_ELEMENTS = 100
_WORK = 30_000
"""What one rendering may cost: one for each construct passed, and for each eight characters filtered or printed."""
_RECKONED = ((int, float), (datetime, timedelta))
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
}


class Template:
    """
    A compiled text; immutable.

    Attributes:
        text: The source.
        words: The names that it uses.
        trusted: Whether it prints a value as raw Markdown.
    """

    def __init__(self, text: str, tree: nodes.Template, check: Check, limit: int, *, markdown: bool) -> None:
        self.text = text
        self.words = frozenset(check.words)
        self.trusted = check.trusted
        self._tree = tree
        self._fixed = _fixed(tree)
        self._limit = limit
        self._markdown = markdown
        self._code: Any = None

    def __str__(self) -> str:
        return self.text

    def render(self, words: Mapping[str, Any]) -> str:
        """
        Render; what is longer than the limit is cut at a word, with "…".

        Args:
            words: Plain data, maps or dataclasses; only those in ``self.words`` are looked at.

        Raises:
            EvaluationFailed: A word is missing or of a wrong kind, or the text costs too much.
        """
        sheet = _Sheet(self._limit, markdown=self._markdown)
        try:
            for chunk in self._chunks({name: _bounded(words[name]) for name in self.words if name in words}, sheet):
                if sheet.add(chunk):
                    break
        except UndefinedError as fault:
            raise self._failed(str(fault.message).replace("'", "`")) from None
        except Exception as fault:  # the language documents none of what its operations raise
            raise self._failed(str(fault) or type(fault).__name__) from fault
        return sheet.finished()

    def likeness(self, text: str) -> int | None:
        """See ``ruleset.Template``; white space counts as one blank."""
        first, *between = self._fixed
        text = _blanks(text)
        if not between:
            return len(first) if text == first else None
        last = between.pop()
        place, end = len(first), len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last):
            return None
        for part in between:
            place = text.find(part, place, end) + len(part)
            if place < len(part):
                return None
        return sum(map(len, self._fixed)) if place <= end else None

    def _chunks(self, words: dict[str, Any], sheet: _Sheet) -> Iterator[str]:
        if self._code is None:  # compiling costs several times as much as checking, and most texts are seldom used
            self._code = _ENVIRONMENT.from_string(self._tree)
        context = self._code.new_context(words)
        context.sheet = sheet
        chunks: Iterator[str] = self._code.root_render_func(context)
        return chunks

    def _failed(self, why: str) -> EvaluationFailed:
        return EvaluationFailed(f"text `{cut(' '.join(self.text.split()), 80)}`: {why}")


def _fixed(tree: nodes.Template) -> tuple[str, ...]:
    """Give the text that every rendering has; something that varies stands between each part and the next."""
    parts = [""]
    for statement in tree.body:
        for node in statement.nodes if isinstance(statement, nodes.Output) else [statement]:
            if isinstance(node, nodes.TemplateData):
                parts[-1] += node.data
            else:
                parts.append("")
    return tuple(map(_blanks, parts))


def _blanks(text: str) -> str:
    return " ".join(text.split())


def compile_template(
    text: str, words: Collection[str], limit: int, *, markdown: bool = True, about: str = ""
) -> Template:
    """
    Compile and check a text.

    Args:
        words: Names that it may use besides ``BUILT_IN_WORDS``.
        limit: Characters of the result, at least 1.
        markdown: Whether the result is Markdown; else it is one line of plain text, in which nothing is escaped.
        about: "episode" or "window": only the fields of that can be read; "": of either.

    Raises:
        CompileFailed: Wrong syntax, unknown words, a construct that is not allowed.
    """
    return _compiled(text, frozenset(words), limit, markdown, about)


@lru_cache(maxsize=8192)  # rules share texts, and a reload compiles only what is new
def _compiled(text: str, words: frozenset[str], limit: int, markdown: bool, about: str) -> Template:
    if len(text) > MAX_SOURCE:
        raise CompileFailed([(1, 1, f"longer than {MAX_SOURCE:,} characters")])
    check = Check(text, words | BUILT_IN_WORDS, about)
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as fault:
        raise CompileFailed([_syntax_fault(check, fault)]) from None
    except (RecursionError, ValueError) as fault:
        raise CompileFailed([(1, 1, "this is nested too deep, or has too large a number")]) from fault
    check.visit(tree)
    if check.faults:
        raise CompileFailed(sorted(set(check.faults)))
    return Template(text, tree, check, limit, markdown=markdown)


def _syntax_fault(check: Check, fault: TemplateSyntaxError) -> tuple[int, int, str]:
    message = (fault.message or "wrong syntax").replace("'", "`")
    named = re.search(r"`([^`]+)`", message)
    return (fault.lineno, check.column(fault.lineno, named[1] if named else "{"), message[:1].lower() + message[1:])


class _Sheet:
    """What one rendering has written so far, and what it may still cost."""

    def __init__(self, limit: int, *, markdown: bool) -> None:
        self._limit = limit
        self._markdown = markdown
        self._text = ""
        self._work = _WORK

    def charge(self, cost: int) -> None:
        """Count work; stop the rendering when it is too much."""
        self._work -= cost
        if self._work < 0:
            raise SecurityError("it costs too much; shorten its lists, or make the text under `vars`")

    def value(self, value: Any) -> str:
        """Write the value of an expression as it must stand after what is written already."""
        text = in_words(_defined(value))
        self.charge(weight(text))
        if not self._markdown:
            return one_line(text)
        return clean(text) if isinstance(value, Trusted) else escape(text, self._text)

    def add(self, chunk: str) -> bool:
        """Append; say whether the sheet is full."""
        if self._markdown and chunk.startswith("[") and self._text.endswith("!") and not self._text.endswith("\\!"):
            self._text = f"{self._text[:-1]}\\!"  # a value's "!" would make the author's link an image
        self._text = (self._text + chunk).lstrip()
        if not self._markdown:
            self._text = re.sub(r"\s+", " ", self._text)
        if len(self._text) > 4 * MAX_TEXT:
            raise SecurityError("it makes too much white space")
        return len(self._text.rstrip()) > self._limit

    def finished(self) -> str:
        """Give the text, cut to the limit."""
        return cut(self._text.rstrip(), self._limit)


class _Context(Context):
    sheet: _Sheet


class _Environment(ImmutableSandboxedEnvironment):
    """Reads only maps, lists and the fields of dataclasses; reckons only with numbers and times."""

    context_class = _Context
    intercepted_binops = frozenset(_ARITHMETIC)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Reckon with what cannot grow; text and lists could."""
        left, right = _defined(left), _defined(right)
        if not any(isinstance(left, kind) and isinstance(right, kind) for kind in _RECKONED):
            raise SecurityError(f"`{operator}` is for numbers only")
        return _ARITHMETIC[operator](left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Read ``obj.attribute``; no method, nothing inner."""
        obj = _defined(obj)
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        fields = LOOP_WORDS if isinstance(obj, LoopContext) else getattr(type(obj), "__dataclass_fields__", ())
        return getattr(obj, attribute) if attribute in fields else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Read ``obj[argument]``: a field by its name, or an element by its place."""
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(argument, int) and isinstance(obj, (list, tuple, str)) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=_defined(obj), name=argument)


def _defined(value: Any) -> Any:
    """Give a value; of a missing one raise its name; of an ``if`` without ``else`` in an expression give ""."""
    return str(value) if isinstance(value, Undefined) else value


def _bounded(value: Any) -> Any:
    """Cut a text to what a post can hold several times, and the white space around it."""
    return value[:MAX_TEXT].strip() if isinstance(value, str) else value


def _metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter count its work; as it takes the context, it is never run while a template is compiled."""

    @pass_context
    def run(context: _Context, value: Any, *arguments: Any, **named: Any) -> Any:
        value = "" if isinstance(value, Undefined) and name == "default" else _defined(value)
        context.sheet.charge(weight(value) + sum(weight(item) for item in arguments))
        return function(value, *arguments, **named)

    return run


@pass_context
def _elements(context: _Context, value: Any, size: int) -> list[Any]:
    """Give what a loop may go through, having counted all that it will cost."""
    if not isinstance(value, (list, tuple)):
        _defined(value)
        raise TypeError("`for` goes through lists only")
    if len(value) > _MOST_ELEMENTS:
        raise ValueError(f"`for` goes through at most {_MOST_ELEMENTS} elements, not {len(value)}; try `| unique`")
    context.sheet.charge(len(value) * size)
    return list(value)


@pass_context
def _printed(context: _Context, value: Any) -> str:
    return context.sheet.value(value)


def _make_environment() -> _Environment:
    """Make the environment; nothing global is in it, and only what is listed in ours."""
    environment = _Environment(
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=0,
    )
    environment.globals.clear()
    environment.filters = {name: _metered(name, function) for name, function in FILTERS.items()}
    environment.filters |= {ELEMENTS: _elements, WEIGHED: _metered(WEIGHED, lambda value: value)}
    environment.tests = {name: jinja_tests.TESTS[name] for name in TESTS}
    return environment


_ENVIRONMENT = _make_environment()
