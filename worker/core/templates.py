"""
Public texts: Jinja2, narrowed down until a text can neither leak, nor reach out, nor cost much.

What belongs here: the one use of Jinja2. A template is checked against an allow-list of constructs, filters and words
when it is loaded; rendering sees only the words it is given, escapes each for Markdown, counts its work, and stops at
the limit. Rules and events are not known here. Safe to use from several threads.

Of the language there is: ``{{ word }}``, ``if``, ``for`` (two deep, at most 100 elements), filters, comparisons, sums of
numbers. There is no ``set``, call, macro, include, import, and no text that is multiplied, joined by ``~`` or formatted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker.core.conditions import CompileFailed
from worker.core.markdown import clean, cut, escape, one_line
from worker.core.phrases import MAX_TEXT, Trusted, filters, in_words
from worker.core.spelling import did_you_mean, suggest
from worker.errors import EvaluationFailed

BUILT_IN_WORDS = frozenset({"components", "severity", "episode", "window", "page", "now"})
"""Words that every template may use."""
EPISODE_WORDS = frozenset({"number", "started_at", "duration", "signals"})
"""The fields of ``episode``."""

MAX_SOURCE = 8192
"""Characters of a template."""
_DEEPEST = 40
"""Levels of the syntax tree."""
_LOOPS = 2
_ELEMENTS = 100
_WORK = 50_000
"""What one rendering may cost: about one for each construct passed, and for each eight characters filtered or printed."""
_LARGEST = 10**15
_LOOP_WORDS = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
_TESTS = frozenset({"defined", "undefined", "none", "string", "number"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const, nodes.Filter,
    nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.CondExpr, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Pos, nodes.List,
    nodes.Tuple, nodes.Keyword,
)  # fmt: skip
_REFUSED = {
    nodes.Call: "nothing can be called here; use a filter: `{{ word | upper }}`",
    nodes.Concat: "`~` is not allowed; write one `{{ … }}` after the other",
    nodes.Mod: "`%` is not allowed",
    nodes.Pow: "`**` is not allowed",
    nodes.Assign: "`set` is not allowed; make it a word under `vars`",
    nodes.AssignBlock: "`set` is not allowed; make it a word under `vars`",
    nodes.Dict: "maps cannot be written here; make it a word under `vars`",
}


class Template:
    """
    A compiled text; immutable.

    Attributes:
        text: The source.
        words: The names that it uses.
        trusted: Whether it prints a value as raw Markdown.
    """

    def __init__(self, text: str, tree: nodes.Template, check: _Check, limit: int, markdown: bool) -> None:
        self.text = text
        self.words = frozenset(check.words)
        self.trusted = check.trusted
        self._tree = tree
        self._limit = limit
        self._markdown = markdown
        self._code: Any = None

    def __str__(self) -> str:
        return self.text

    def render(self, words: Mapping[str, Any]) -> str:
        """
        Render; what is longer than the limit is cut at a word, with "…".

        Args:
            words: Plain data; objects must be maps or dataclasses. Others than ``words`` do not matter.

        Raises:
            EvaluationFailed: A word is missing or of a wrong kind, or the text costs too much.
        """
        sheet = _Sheet(self._limit, self._markdown)
        try:
            for chunk in self._chunks({name: _bounded(words[name]) for name in self.words if name in words}, sheet):
                if sheet.add(chunk):
                    break
        except UndefinedError as fault:
            raise self._failed(str(fault.message).replace("'", "`")) from None
        except Exception as fault:  # the template language documents none of what its operations raise
            raise self._failed(str(fault) or type(fault).__name__) from fault
        return sheet.finished()

    def _chunks(self, words: Mapping[str, Any], sheet: _Sheet) -> Iterator[str]:
        if self._code is None:  # compiling costs four times as much as checking, and most texts wait long for their use
            self._code = _ENVIRONMENT.from_string(self._tree)
        context = self._code.new_context(dict(words))
        context.sheet = sheet
        chunks: Iterator[str] = self._code.root_render_func(context)
        return chunks

    def _failed(self, why: str) -> EvaluationFailed:
        line = " ".join(self.text.split())
        return EvaluationFailed(f"template `{line if len(line) <= 80 else line[:79] + '…'}`: {why}")


def compile_template(text: str, words: Collection[str], limit: int, markdown: bool = True) -> Template:
    """
    Compile and check a text.

    Args:
        words: Names that it may use besides ``BUILT_IN_WORDS``.
        limit: Characters of the result, at least 1.
        markdown: Whether the result is Markdown; else it is one line of plain text, and nothing is escaped.

    Raises:
        CompileFailed: Wrong syntax, unknown words, a construct that is not allowed.
    """
    return _compiled(text, frozenset(words), limit, markdown)


@lru_cache(maxsize=8192)  # rules share texts, and a reload compiles only what is new
def _compiled(text: str, words: frozenset[str], limit: int, markdown: bool) -> Template:
    if len(text) > MAX_SOURCE:
        raise CompileFailed([(1, 1, f"longer than {MAX_SOURCE:,} characters")])
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as fault:
        raise CompileFailed([_syntax_fault(text, fault)]) from None
    except (RecursionError, ValueError, OverflowError) as fault:
        raise CompileFailed([(1, 1, "this is nested too deep, or has too large a number")]) from fault
    check = _Check(text, words | BUILT_IN_WORDS)
    check.visit(tree, frozenset(), 0, 0)
    if check.faults:
        raise CompileFailed(sorted(set(check.faults)))
    return Template(text, tree, check, limit, markdown)


def _syntax_fault(text: str, fault: TemplateSyntaxError) -> tuple[int, int, str]:
    named = re.search(r"'([^']+)'", fault.message or "")
    message = (fault.message or "wrong syntax").replace("'", "`")
    return (fault.lineno, _column(text, fault.lineno, named[1] if named else "{"), message[:1].lower() + message[1:])


def _column(text: str, line: int, word: str) -> int:
    """Find where a word stands in a line: the syntax tree knows lines only."""
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", row) or re.search(re.escape(word), row)
    return found.start() + 1 if found else 1


class _Check:
    """Goes through a syntax tree once: collects faults and words, and puts the counting of work into the tree."""

    def __init__(self, text: str, words: frozenset[str]) -> None:
        self.text = text
        self.allowed = words
        self.words: set[str] = set()
        self.trusted = False
        self.faults: list[tuple[int, int, str]] = []

    def visit(self, node: nodes.Node, scope: frozenset[str], loops: int, depth: int) -> None:
        """Check a node and all below; *scope*: names that loops around it made."""
        if depth > _DEEPEST:
            return self._fault(node, "", f"this is nested more than {_DEEPEST} deep")
        if type(node) not in _ALLOWED:
            return self._fault(node, "", _refusal(node))
        if isinstance(node, nodes.For):
            return self._visit_loop(node, scope, loops, depth)
        for kind, look in _LOOKS.items():
            if isinstance(node, kind):
                look(self, node, scope)
        for child in node.iter_child_nodes():
            self.visit(child, scope, loops, depth + 1)
        return None

    def _visit_loop(self, node: nodes.For, scope: frozenset[str], loops: int, depth: int) -> None:
        if loops == _LOOPS or node.recursive:
            return self._fault(node, "for", "loops cannot be nested more than two deep, nor be recursive")
        self.visit(node.iter, scope, loops, depth + 1)
        inner = scope | {name.name for name in node.target.find_all(nodes.Name)} | {"loop"}
        if isinstance(node.target, nodes.Name):
            inner |= {node.target.name}
        size = sum(1 for part in [*node.body, *node.else_] for _ in part.find_all(nodes.Node))
        for part in [*node.body, *node.else_, *([node.test] if node.test else [])]:
            self.visit(part, inner, loops + 1, depth + 1)
        node.iter = _filtered(node.iter, "_elements", nodes.Const(size + 1))
        return None

    def _name(self, node: nodes.Name, scope: frozenset[str]) -> None:
        if node.ctx != "load" or node.name in scope:
            return
        if node.name in self.allowed:
            self.words.add(node.name)
        else:
            hint = suggest(node.name, self.allowed | scope, "words are")
            self._fault(node, node.name, f"unknown word `{node.name}`{hint}")

    def _filter(self, node: nodes.Filter, _scope: frozenset[str]) -> None:
        self.trusted = self.trusted or node.name == "trusted"
        if node.name not in _FILTERS:
            self._fault(node, node.name, f"unknown filter `{node.name}`{suggest(node.name, _FILTERS, 'filters are')}")
        if node.dyn_args or node.dyn_kwargs:
            self._fault(node, node.name, "`*` and `**` are not allowed")

    def _test(self, node: nodes.Test, _scope: frozenset[str]) -> None:
        if node.name not in _TESTS:
            self._fault(node, node.name, f"unknown test `{node.name}`{suggest(node.name, _TESTS, 'tests are')}")

    def _attribute(self, node: nodes.Getattr, scope: frozenset[str]) -> None:
        if node.attr.startswith("_"):
            self._fault(node, node.attr, f"`{node.attr}` cannot be read")
        known = {"episode": EPISODE_WORDS, "loop": _LOOP_WORDS if "loop" in scope else EPISODE_WORDS}
        fields = known.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        if fields and node.attr not in fields:
            self._fault(node, node.attr, f"there is no such field{suggest(node.attr, fields, 'fields are')}")

    def _comparison(self, node: nodes.Compare, _scope: frozenset[str]) -> None:
        node.expr = _filtered(node.expr, "_weighed")
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, "_weighed")

    def _element(self, node: nodes.Getitem, _scope: frozenset[str]) -> None:
        node.node = _filtered(node.node, "_weighed")

    def _fault(self, node: nodes.Node, word: str, message: str) -> None:
        self.faults.append((node.lineno, _column(self.text, node.lineno, word or "{"), message))
