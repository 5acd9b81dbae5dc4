"""
Where in the rule files something is decided: the way back from an action to the line that a person would change.

What is not written anywhere is a default, and is called so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.core.checking import entry_name, find
from worker.core.documents import Path
from worker.core.gathering import gather
from worker.core.model import Post
from worker.core.ruleset import EventWindowPlan, IncidentPlan, RelayPlan, Rule
from worker.core.written import Entry, Report
from worker.rehearse.play import Saying


@dataclass(frozen=True, slots=True)
class Reference:
    """
    A key of the rules that has a say.

    Args:
        key: Dotted: "say.open".
        value: As written; "" where it is a map or a long text.
        place: ``file:line:col``; "" for a default.
    """

    key: str
    value: str
    place: str

    def __str__(self) -> str:
        value = f": {self.value}" if self.value else ""
        return f"`{self.key}{value}`, {self.place or 'by default'}"


_TIMES: Mapping[Post, Path] = {
    Post.OPEN: ("hold",),
    Post.WORSEN: ("min_gap",),
    Post.IMPROVE: ("min_gap",),
    Post.MONITORING: ("min_gap",),
    Post.RELAPSE: ("min_gap",),
    Post.KEEPALIVE: ("say", "keepalive", "every"),
    Post.REOPEN: ("reopen_within",),
    Post.RESOLVE: ("quiet",),
    Post.BACKFILL: ("too_short",),
    Post.ANNOUNCE: ("announce", "before"),
    Post.REMIND: ("remind",),
    Post.START: ("starts",),
    Post.EXTEND: ("overrun", "extend"),
}
_WORDS: Mapping[Post, Path] = {
    Post.REOPEN: ("say", "open"),
    Post.RELAPSE: ("say", "open"),
    Post.BACKFILL: ("say", "open"),
    Post.KEEPALIVE: ("say", "keepalive", "text"),
    Post.ANNOUNCE: ("announce", "text"),
    Post.REMIND: ("remind",),
    Post.START: ("start", "text"),
    Post.COMPLETE: ("complete", "text"),
    Post.EXTEND: ("overrun", "text"),
    Post.RESCHEDULE: ("reschedule", "text"),
    Post.CANCEL: ("cancel", "text"),
}
_RELAYED: Mapping[Post, Path] = {Post.OPEN: ("text",), Post.RELAY: ("text",), Post.RESOLVE: ("resolve",)}
PLANS: Mapping[type, str] = {IncidentPlan: "incident", RelayPlan: "relay", EventWindowPlan: "maintenance"}
"""Where in a rule its plan is written."""

_FIELDS: Mapping[str, Path] = {
    "components": ("components",),
    "mails": ("notify",),
    "title": ("title",),
    "state": ("publish",),
}


class Places:
    """
    Args:
        files: The rule files, name to content; right in themselves.
        templates_dir: As the person knows it.
    """

    def __init__(self, files: Mapping[str, str], templates_dir: str) -> None:
        gathered = gather(files, templates_dir, Report())
        self._rules = {entry_name(entry): entry for entry in gathered.lists["rules"]}
        self._windows = {entry_name(entry): entry for entry in gathered.lists["maintenance"]}
        self._pages = gathered.maps["pages"]

    def rule(self, rule_id: str, *path: str | int) -> str:
        """Give the place of a rule, or of what stands at *path* in it; "" where it is written nowhere."""
        return _place(self._rules.get(rule_id), path)

    def window(self, window_id: str, *path: str | int) -> str:
        """Give the place of a maintenance entry, or of what stands at *path* in it."""
        return _place(self._windows.get(window_id), path)

    def page(self, name: str, *path: str | int) -> str:
        """Give the place of a page, or of what stands at *path* in it."""
        return _place(self._pages.get(name), path)

    def governing(self, saying: Saying, name: str, rule: Rule | None) -> Reference | None:
        """
        Give the key that decides about a field of an action: its ``at``, ``text``, ``title`` …

        Args:
            name: The field, as in rule tests.
            rule: The rule that said it; None for an entry of ``maintenance``, and for an adopted window.
        """
        post = saying.action.post
        if saying.adopted:
            found = {"text": post.value, "mails": "notify"}.get(name)
            shown = ("adopt_maintenance", found) if found is not None else ()
            return self._reference(self._pages.get(saying.action.page), shown, shown, {}) if found else None
        relayed = rule is not None and isinstance(rule.plan, RelayPlan)
        if name == "at":
            path = None if relayed else _TIMES.get(post)
        elif name == "text":
            path = _RELAYED.get(post) if relayed else _WORDS.get(post, ("say", post.value))
        else:
            path = _FIELDS.get(name)
        if path is None:
            return None
        if rule is None:
            return self._reference(self._windows.get(saying.window), path, path, {})
        return self._reference(self._rules.get(rule.id), (PLANS[type(rule.plan)], *path), path, rule.spec)

    def _reference(self, entry: Entry | None, path: Path, shown: Path, spec: Mapping[str, Any]) -> Reference:
        written = find(entry.data, *path) if entry is not None else None
        value = written if written is not None else find(spec, *path)
        brief = str(value) if isinstance(value, (str, int)) and len(str(value)) <= 20 else ""
        return Reference(".".join(map(str, shown)), brief, _place(entry, path))


def _place(entry: Entry | None, path: Path) -> str:
    if entry is None or len(entry.written(path)) != len(path):
        return ""
    file, line, column = entry.key(path)
    return f"{file}:{line}:{column}"
