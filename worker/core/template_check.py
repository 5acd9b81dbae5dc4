"""
What a template may say: an allow-list over Jinja2's syntax tree, and the counting that is put into it.

What belongs here: one pass over a tree that collects faults and words. Compiling and rendering are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from inspect import signature

from jinja2 import nodes

from worker.core.phrases import FILTERS
from worker.core.spelling import suggest

FIELDS: Mapping[str, frozenset[str]] = {
    "episode": frozenset({"number", "started_at", "duration", "signals"}),
    "window": frozenset({"starts_at", "ends_at", "duration"}),
}
"""The fields of what a text is about; of the two there is one only."""
LOOP_WORDS = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
"""The fields of ``loop``."""
TESTS = frozenset({"defined", "undefined", "none", "string", "number"})
"""What may stand after ``is``."""
ELEMENTS = "_elements"
"""The inner filter around what a loop goes through; its argument is the number of constructs in the loop."""
WEIGHED = "_weighed"
"""The inner filter around what is compared or cut: gives its value, and counts the size of it."""
_DEEPEST = 40
_LOOPS = 2
_MOST_NODES = 1000

_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const, nodes.List),
        *(nodes.Tuple, nodes.Filter, nodes.Keyword, nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.And),
        *(
            nodes.Or,
            nodes.Not,
            nodes.CondExpr,
            nodes.Compare,
            nodes.Operand,
            nodes.Add,
            nodes.Sub,
            nodes.Mul,
            nodes.Div,
        ),
        *(nodes.FloorDiv, nodes.Neg, nodes.Pos),
    }
)
_REFUSED = {
    nodes.Call: "nothing can be called here; use a filter, as in `{{ word | upper }}`",
    nodes.Concat: "`~` is not allowed; write one `{{ … }}` after the other",
    nodes.Mod: "`%` is not allowed",
    nodes.Pow: "`**` is not allowed",
    nodes.Assign: "`set` is not allowed; make it a word under `vars`",
    nodes.AssignBlock: "`set` is not allowed; make it a word under `vars`",
    nodes.Dict: "a map cannot be written here; make it a word under `vars`",
}


class Check:
    """
    One pass over one tree.

    Args:
        text: The source, to find columns in.
        allowed: The words that the template may use.
        about: What it is about, "episode" or "window"; "": either.

    Attributes:
        faults: (line, column, message) of each.
        words: The words that it uses.
        trusted: Whether it prints a value as it is.
    """

    def __init__(self, text: str, allowed: frozenset[str], about: str = "") -> None:
        self.faults: list[tuple[int, int, str]] = []
        self.words: set[str] = set()
        self.trusted = False
        self._nodes = 0
        self._rows = text.splitlines()
        self._allowed = allowed
        self._about = about

    def visit(self, node: nodes.Node, scope: frozenset[str] = frozenset(), loops: int = 0, depth: int = 0) -> None:
        """Check a node and all below it; *scope* are the names that loops around it made."""
        self._nodes += 1
        if depth > _DEEPEST:
            self._fault(node, "", f"this is nested more than {_DEEPEST} deep")
        elif self._nodes > _MOST_NODES:
            self._fault(node, "", f"there are more than {_MOST_NODES:,} words and signs in this text")
        elif type(node) not in _ALLOWED:
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()
            self._fault(node, "", _REFUSED.get(type(node), f"`{name}` is not allowed"))
        elif isinstance(node, nodes.For):
            self._loop(node, scope, loops, depth)
        else:
            for child in node.iter_child_nodes():
                self.visit(child, scope, loops, depth + 1)
            look = _LOOKS.get(type(node))
            if look:
                look(self, node, scope)

    def column(self, line: int, word: str) -> int:
        """Find where a word stands in a line: the tree knows lines only."""
        row = self._rows[line - 1] if line <= len(self._rows) else ""
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", row) or re.search(re.escape(word), row)
        return found.start() + 1 if found else 1

    def _loop(self, node: nodes.For, scope: frozenset[str], loops: int, depth: int) -> None:
        if loops == _LOOPS or node.recursive:
            self._fault(node, "for", "loops cannot be more than two deep, nor call themselves")
            return
        self.visit(node.iter, scope, loops, depth + 1)
        names = [node.target] if isinstance(node.target, nodes.Name) else node.target.find_all(nodes.Name)
        inner = scope | {name.name for name in names if isinstance(name, nodes.Name)} | {"loop"}
        parts = [*node.body, *node.else_, *([node.test] if node.test else [])]
        for part in parts:
            self.visit(part, inner, loops + 1, depth + 1)
        size = sum(1 for part in parts for _ in part.find_all(nodes.Node)) + len(parts)
        node.iter = _filtered(node.iter, ELEMENTS, nodes.Const(size + 1))

    def _name(self, node: nodes.Name, scope: frozenset[str]) -> None:
        if node.ctx != "load" or node.name in scope:
            return
        self.words.add(node.name)
        if node.name not in self._allowed:
            hint = suggest(node.name, self._allowed | scope, "known here")
            self._fault(node, node.name, f"unknown word `{node.name}`{hint}")

    def _filter(self, node: nodes.Filter, _: frozenset[str]) -> None:
        self.trusted = self.trusted or node.name == "trusted"
        self._known(node, node.name, "filter", FILTERS.keys())
        if node.dyn_args or node.dyn_kwargs:
            self._fault(node, "", "`*` and `**` are not allowed")
        elif node.name in FILTERS:
            try:
                signature(FILTERS[node.name]).bind(
                    node.node, *node.args, **{str(pair.key): pair.value for pair in node.kwargs}
                )
            except TypeError as fault:
                self._fault(node, node.name, f"wrong arguments of `{node.name}`: {fault}".replace("'", "`"))

    def _test(self, node: nodes.Test, _: frozenset[str]) -> None:
        self._known(node, node.name, "test", TESTS)

    def _field(self, node: nodes.Getattr, scope: frozenset[str]) -> None:
        if node.attr.startswith("_"):
            self._fault(node, node.attr, f"`{node.attr}` cannot be read")
        elif isinstance(node.node, nodes.Name):
            if node.node.name == "loop" and "loop" in scope:
                self._known(node, node.attr, "field of `loop`", LOOP_WORDS)
            elif node.node.name in FIELDS and node.node.name not in scope:
                self._subject(node, node.node.name)

    def _subject(self, node: nodes.Getattr, name: str) -> None:
        if self._about in ("", name):
            self._known(node, node.attr, f"field of `{name}`", FIELDS[name])
        else:
            public = "an incident" if self._about == "episode" else "maintenance"
            self._fault(node, name, f"there is no `{name}` in a text about {public}")

    def _comparison(self, node: nodes.Compare, _: frozenset[str]) -> None:
        node.expr = _filtered(node.expr, WEIGHED)
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, WEIGHED)

    def _element(self, node: nodes.Getitem, _: frozenset[str]) -> None:
        node.node = _filtered(node.node, WEIGHED)

    def _known(self, node: nodes.Node, name: str, noun: str, known: Collection[str]) -> None:
        if name not in known:
            self._fault(node, name, f"unknown {noun} `{name}`{suggest(name, known, 'known are')}")

    def _fault(self, node: nodes.Node, word: str, message: str) -> None:
        line = node.lineno or 1
        self.faults.append((line, self.column(line, word or "{"), message))


_LOOKS: dict[type[nodes.Node], Callable[..., None]] = {
    nodes.Name: Check._name,
    nodes.Filter: Check._filter,
    nodes.Test: Check._test,
    nodes.Getattr: Check._field,
    nodes.Compare: Check._comparison,
    nodes.Getitem: Check._element,
}


def _filtered(node: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno, environment=node.environment)
