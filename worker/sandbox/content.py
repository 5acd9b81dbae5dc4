"""
Pages from a plain mapping, and the page that the sandbox shows when nobody says otherwise.

::

    {"pages": [{"name": "Acme Status", "description": "…", "subscribers": 40, "widget": True, "items": [
        "Checkout API",
        {"component": "Internal API", "hidden": True},
        {"group": "Europe", "description": "…", "components": ["API", "Storage"]},
        {"sub_page": "Partners", "items": ["Feed", {"group": "Asia", "components": ["API"]}]},
    ]}]}
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from worker.errors import ConfigError
from worker.sandbox.board import sandbox_id
from worker.sandbox.model import Component, Group, Page, SubPage

DEFAULT: Mapping[str, Any] = {
    "pages": [
        {
            "name": "Acme Status",
            "description": "How the services of Acme are doing.",
            "subscribers": 42,
            "items": [
                "Checkout API",
                "Public API",
                "Dashboard",
                {"group": "Europe", "components": ["API", "Storage"]},
                {"group": "US", "components": ["API", "Storage"]},
            ],
        }
    ]
}


def build_pages(content: Mapping[str, Any], now: datetime) -> list[Page]:
    """
    The pages that ``content`` describes; the first is the one at ``/``.

    Args:
        now: When the pages were created: availability before it is unknown.

    Raises:
        ConfigError: ``content`` is not of the form above, or has no page, or two of one address.
    """
    try:
        pages = _Builder(now).pages(content["pages"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"the sandbox's pages are not of the documented form: {error!r}") from None
    if not pages or len({page.slug for page in pages}) < len(pages):
        raise ConfigError("the sandbox needs at least one page, and pages of different names")
    return pages


class _Builder:
    def __init__(self, now: datetime) -> None:
        self._now = now
        self._numbers: Iterator[int] = itertools.count(1)

    def pages(self, entries: list[Mapping[str, Any]]) -> list[Page]:
        return [self._page(entry, first=index == 0) for index, entry in enumerate(entries)]

    def _page(self, entry: Mapping[str, Any], *, first: bool) -> Page:
        return Page(
            id=self._id("P"),
            name=entry["name"],
            slug="" if first else re.sub(r"[^a-z0-9]+", "-", entry["name"].lower()).strip("-") or "page",
            items=tuple(self._item(item) for item in entry["items"]),
            created_at=self._now,
            description=entry.get("description", ""),
            subscribers=entry.get("subscribers", 0),
            widget=entry.get("widget", True),
        )

    def _item(self, entry: str | Mapping[str, Any]) -> Component | Group | SubPage:
        if not isinstance(entry, str) and "sub_page" in entry:
            items = tuple(self._part(part) for part in entry["items"])
            return SubPage(id=self._id("S"), name=entry["sub_page"], items=items)
        return self._part(entry)

    def _part(self, entry: str | Mapping[str, Any]) -> Component | Group:
        if isinstance(entry, str) or "group" not in entry:
            return self._component(entry)
        return Group(
            id=self._id("G"),
            name=entry["group"],
            components=tuple(self._component(component) for component in entry["components"]),
            description=entry.get("description", ""),
            hidden=entry.get("hidden", False),
        )

    def _component(self, entry: str | Mapping[str, Any]) -> Component:
        if isinstance(entry, str):
            return Component(id=self._id("C"), name=entry)
        return Component(id=self._id("C"), name=entry["component"], hidden=entry.get("hidden", False))

    def _id(self, kind: str) -> str:
        return sandbox_id(kind, next(self._numbers))
