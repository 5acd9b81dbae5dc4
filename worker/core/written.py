"""
What was read, together with where it was written; and what is wrong with it.

What belongs here: the way from a value back to file, line and column, also where it came from ``defaults`` or from a
template file; and the collecting of problems and warnings. This file may not know what any key means.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.core.documents import Document, Path
from worker.core.spelling import listed
from worker.errors import Problem

Place = tuple[str, int, int]
"""File, line, column; the last two 1-based."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One page, source, rule … as it was read.

    Args:
        label: What to call it in a message: "rule `checkout-outage`".
        data: Its value, defaults merged in.
        path: Where it stands in *document*.
        defaults: Where what is not in *document* comes from.
        templates: Folder of the template files, for messages.
    """

    label: str
    data: Any
    document: Document
    path: Path
    defaults: Entry | None = None
    templates: str = "templates"

    @property
    def place(self) -> str:
        """``file:line:col`` of the whole entry; of its key where it has one."""
        file, line, column = self.key(())
        return f"{file}:{line}:{column}"

    def value(self, loc: Path) -> Place:
        """Place of the value at *loc*, or of the nearest thing around it; parts that are in no file are skipped."""
        document, path, _ = self._find(loc)
        return (document.file, *document.value_at(path))

    def key(self, loc: Path) -> Place:
        """Place of the key at *loc*; of the value where it has none."""
        document, path, _ = self._find(loc)
        return (document.file, *document.key_at(path))

    def inside(self, loc: Path, line: int, column: int) -> Place:
        """Place of a line and column, both 1-based, within the text at *loc*."""
        document, path, _ = self._find(loc)
        value = document.at(path)
        if isinstance(value, Mapping) and isinstance(value.get("template"), str):
            return (f"{self.templates}/{value['template']}", line, column)
        return (document.file, *document.inside(path, line, column))

    def written(self, loc: Path) -> Path:
        """Give those parts of *loc* that stand in a file."""
        _, path, base = self._find(loc)
        return path[base:]

    def _find(self, loc: Path) -> tuple[Document, Path, int]:
        """Give the document, the path in it, and how much of the path is above the entry."""
        own = _follow(self.document, self.path, loc)
        if self.defaults is not None:
            other = _follow(self.defaults.document, self.defaults.path, loc)
            if len(other) - len(self.defaults.path) > len(own) - len(self.path):
                return (self.defaults.document, other, len(self.defaults.path))
        return (self.document, own, len(self.path))


def _follow(document: Document, path: Path, loc: Path) -> Path:
    for part in loc:
        if (*path, part) in document.values:
            path = (*path, part)
    return path


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be read: why, and as much of its text as is known; None: nothing."""

    problem: Problem
    text: str | None


@dataclass(slots=True)
class Report:
    """
    Everything that is wrong, and everything that is odd.

    What only follows from a file that could not be read is not told: a name that stands nowhere else may stand there.
    """

    problems: set[Problem] = field(default_factory=set)
    warnings: set[Problem] = field(default_factory=set)
    _unread: list[tuple[str, str | None]] = field(default_factory=list)
    _elsewhere: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def unread(self, file: str, text: str | None) -> None:
        """Note that something in *file* could not be read, and as much of its text as is known; None: nothing."""
        self._unread.append((file, text))

    @property
    def whole(self) -> bool:
        """Whether everything could be read."""
        return not self._unread

    def elsewhere(self, name: str) -> bool:
        """Say whether *name*, which is missed, may stand in a file that could not be read."""
        word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        file = next((file for file, text in self._unread if text is None or word.search(text)), None)
        if file is not None:
            self._elsewhere[file].add(name)
        return file is not None

    def all_problems(self) -> list[Problem]:
        """Give every problem in order, and of each file that could not be read what was taken to stand in it."""
        taken = (
            Problem(file, 1, 1, f"names that may stand in this file were not missed: {listed(names)}; mend it first")
            for file, names in self._elsewhere.items()
        )
        return sorted([*self.problems, *taken])

    def wrong(self, place: Place, message: str) -> None:
        """Note a problem: the set cannot be used."""
        self.problems.add(Problem(*place, message))

    def odd(self, place: Place, message: str) -> None:
        """Note a warning."""
        self.warnings.add(Problem(*place, message))
