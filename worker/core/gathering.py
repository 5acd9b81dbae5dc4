"""
Many files to one set of entries, each with its place.

What belongs here: the sections of a file, names that stand twice, ``defaults`` merged into rules, and values that are
text whatever YAML makes of them. Forms are checked in ``core.spec``; names that entries use of each other elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from worker.core.documents import Document, Path, parse
from worker.core.spec.file import RulesFile
from worker.core.spec.plans import IncidentSpec, RelaySpec
from worker.core.spec.scalars import ID, ID_FORM, shown
from worker.core.spelling import suggest
from worker.core.written import Entry, Report
from worker.errors import ConfigError

_MERGED: Mapping[str, frozenset[str]] = {"incident": IncidentSpec.merged, "relay": RelaySpec.merged}
"""Plans that ``defaults`` reaches, and their keys that are merged key by key; every other is taken whole."""

_MAPS = {"pages": "page", "sources": "source"}
_LISTS = {"rules": "rule", "maintenance": "window", "notices": "notice"}
"""Sections to what an entry of them is called."""

_AS_TEXT: Mapping[str, Sequence[Path]] = {
    "pages": [("adopt_maintenance", "title")],
    "sources": [("event",), ("canary", "match")],
    "rules": [
        *[("match",), ("if",), ("group_by",), ("vars",)],
        *[("incident", "components", "from"), ("relay", "components", "from")],
        ("maintenance", "overrun", "while", "match"),
    ],
    "maintenance": [("overrun", "while", "match")],
}
"""Where ``9100`` and ``true`` are meant as written: values to compare with, and expressions."""


@dataclass(slots=True)
class Gathered:
    """
    The entries of all files, in order of file and line.

    Args:
        maps: Section to the entries by name: pages and sources.
        lists: Section to the entries: rules, maintenance and notices.
    """

    maps: dict[str, dict[str, Entry]] = field(default_factory=lambda: {section: {} for section in _MAPS})
    lists: dict[str, list[Entry]] = field(default_factory=lambda: {section: [] for section in _LISTS})
    defaults: Entry | None = None


def gather(files: Mapping[str, str], templates_dir: str, report: Report) -> Gathered:
    """
    Read all files.

    Args:
        files: Name as the person knows it, to content.
        templates_dir: Folder of the template files, for messages.
        report: Takes what is wrong.
    """
    gathered = Gathered()
    for name in sorted(files):
        document = _document(name, files[name], report)
        if document is not None:
            _FileReader(document, templates_dir, report).into(gathered)
    _refuse_twice(gathered.lists["rules"], report)
    _refuse_twice(gathered.lists["maintenance"], report)
    gathered.lists["rules"] = [_with_defaults(rule, gathered.defaults) for rule in gathered.lists["rules"]]
    return gathered


def _document(name: str, text: str, report: Report) -> Document | None:
    try:
        document = parse(name, text)
    except ConfigError as error:
        report.problems.update(error.problems)
        report.unread(name, text)
        return None
    report.problems.update(document.problems)
    for path in document.written:
        if path and document.at(path) is None:
            label = f"`{path[-1]}`" if isinstance(path[-1], str) else "this item"
            report.wrong((name, *document.value_at(path)), f"{label} has no value; give it one, or remove it")
    return document


@dataclass(frozen=True, slots=True)
class _FileReader:
    """Puts the entries of one file to those of the others."""

    document: Document
    templates_dir: str
    report: Report

    def into(self, gathered: Gathered) -> None:
        data = self.document.data
        if data is None:
            return
        if not isinstance(data, dict):
            hint = "; put `rules:` above the list" if isinstance(data, list) else ""
            self._lost((), f"a rule file must be a map with keys such as `rules`{hint}")
            return
        for section, value in data.items():
            if value is not None:
                self._section(section, value, gathered)

    def _section(self, section: str, value: Any, gathered: Gathered) -> None:
        if section in _MAPS:
            self._map(section, value, gathered.maps[section])
        elif section in _LISTS:
            self._list(section, value, gathered.lists[section])
        elif section == "defaults":
            gathered.defaults = self._defaults(gathered.defaults)
        else:
            hint = suggest(section, RulesFile.model_fields, "allowed")
            self._wrong_key((section,), f"unknown key {shown(section)} at the top of a file{hint}")
            self.report.unread(self.document.file, f"{section} {value!r}")

    def _lost(self, path: Path, message: str) -> None:
        """Tell that a value has the wrong form, so that nobody knows the names in it."""
        self._wrong(path, message)
        self.report.unread(self.document.file, repr(self.document.at(path)))

    def _wrong(self, path: Path, message: str) -> None:
        self.report.wrong((self.document.file, *self.document.value_at(path)), message)

    def _wrong_key(self, path: Path, message: str) -> None:
        self.report.wrong((self.document.file, *self.document.key_at(path)), message)

    def _map(self, section: str, data: Any, entries: dict[str, Entry]) -> None:
        if not isinstance(data, dict):
            self._lost((section,), f"`{section}` must be a map of names")
            return
        for name in data:
            entry = self._entry(f"{_MAPS[section]} {shown(name)}", (section, name))
            if not ID.fullmatch(name):
                self._wrong_key(entry.path, f"{shown(name)} must be {ID_FORM}")
            if entries.setdefault(name, entry) is not entry:
                message = f"{entry.label} stands here a second time, first in {entries[name].place}"
                self._wrong_key(entry.path, message)

    def _list(self, section: str, data: Any, entries: list[Entry]) -> None:
        if not isinstance(data, list):
            self._lost((section,), f"`{section}` must be a list; begin each item with `- `")
            return
        for index, item in enumerate(data):
            name = item.get("id") if isinstance(item, dict) else None
            noun = _LISTS[section]
            entries.append(
                self._entry(f"{noun} {shown(name)}" if isinstance(name, str) else f"this {noun}", (section, index))
            )

    def _defaults(self, known: Entry | None) -> Entry:
        entry = self._entry("`defaults`", ("defaults",))
        if known is None:
            return entry
        message = f"`defaults` stand here a second time, first in {known.place}; keep them in one file"
        self._wrong_key(entry.path, message)
        return known

    def _entry(self, label: str, path: Path) -> Entry:
        data = self.document.at(path)
        if isinstance(data, dict):
            for place in _AS_TEXT.get(str(path[0]), ()):
                data = self._as_written(data, place, path)
        return Entry(label, data, self.document, path, templates=self.templates_dir)

    def _as_written(self, data: Any, place: Path, path: Path) -> Any:
        """Give *data* with everything at *place* as the text that stands in the file."""
        if not place:
            return self._texts(data, path)
        first, *rest = place
        if not isinstance(data, dict) or first not in data:
            return data
        return {**data, first: self._as_written(data[first], tuple(rest), (*path, first))}

    def _texts(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: item if key == "exists" else self._texts(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._texts(item, (*path, index)) for index, item in enumerate(value)]
        written = self.document.written.get(path)
        if written is None or value is None:
            return value
        if not isinstance(value, bool) and str(value) != written:
            message = f'`{written}` is taken as it is written here, but is a number to other tools; write "{written}"'
            self.report.odd((self.document.file, *self.document.value_at(path)), message)
        return written


def _with_defaults(rule: Entry, defaults: Entry | None) -> Entry:
    if defaults is None or not isinstance(rule.data, dict) or not isinstance(defaults.data, dict):
        return rule
    data = dict(rule.data)
    for plan, deep in _MERGED.items():
        own, common = data.get(plan), defaults.data.get(plan)
        if isinstance(own, dict) and isinstance(common, dict):
            data[plan] = {**common, **own, **_merged(own, common, deep)}
    return replace(rule, data=data, defaults=defaults)


def _merged(own: Mapping[str, Any], common: Mapping[str, Any], deep: frozenset[str]) -> dict[str, Any]:
    both = [key for key in deep if isinstance(own.get(key), dict) and isinstance(common.get(key), dict)]
    return {key: {**common[key], **own[key]} for key in both}


def _refuse_twice(entries: Sequence[Entry], report: Report) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        name = entry.data.get("id") if isinstance(entry.data, dict) else None
        if isinstance(name, str) and first.setdefault(name, entry) is not entry:
            message = f"the id {shown(name)} stands here a second time, first in {first[name].place}"
            report.wrong(entry.value(("id",)), message)
