"""
The public page as customers would see it: words and times for the templates, and nothing else.

All text on it comes from elsewhere and is escaped; messages are read as Markdown as far as status pages do: paragraphs,
emphasis, links, lists, quotes, code. This file decides nothing: what is ongoing and how bad it is, the model says.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.sandbox.model import (
    COMPLETE,
    DEGRADED,
    IN_PROGRESS,
    OPERATIONAL,
    SCHEDULED,
    UNDER_MAINTENANCE,
    Component,
    Group,
    Incident,
    Maintenance,
    Page,
    SubPage,
    Update,
    worst,
)
from worker.sandbox.state import State

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt
    from markupsafe import Markup

SHOWN_PAST = 10
HEADERS: tuple[tuple[str, str], ...] = (
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
)
LABELS: Mapping[str, str] = {
    OPERATIONAL: "Operational",
    UNDER_MAINTENANCE: "Under maintenance",
    DEGRADED: "Degraded performance",
    "partial_outage": "Partial outage",
    "full_outage": "Full outage",
    "investigating": "Investigating",
    "identified": "Identified",
    "monitoring": "Monitoring",
    "resolved": "Resolved",
    SCHEDULED: "Scheduled",
    IN_PROGRESS: "In progress",
    COMPLETE: "Complete",
}
_BANNERS: Mapping[str, str] = {
    OPERATIONAL: "All systems operational",
    UNDER_MAINTENANCE: "Maintenance in progress",
    DEGRADED: "Some systems are slower than usual",
    "partial_outage": "Some systems are down",
    "full_outage": "Major outage",
}
_TEMPLATES = Path(__file__).parent / "templates"

View = dict[str, Any]


def render_page(state: State, page: Page) -> str:
    """The whole page as HTML."""
    statuses = state.component_statuses(page.id)
    incidents = state.ongoing_incidents(page.id)
    views = functools.partial(_posting, page)
    return _render(
        "page.html",
        page=page,
        banner=_banner(page, statuses, bool(incidents)),
        items=[_item(item, statuses) for item in page.items],
        incidents=[views(it) for it in incidents],
        in_progress=[views(it) for it in state.windows(page.id, IN_PROGRESS)],
        scheduled=[views(it) for it in state.windows(page.id, SCHEDULED)],
        past=[views(it) for it in _past(state, page)],
    )


def render_posting(page: Page, posting: Incident | Maintenance) -> str:
    """One incident or window as HTML."""
    return _render("posting.html", page=page, page_url=f"{_path(page)}/", posting=_posting(page, posting))


def asset(name: str) -> str:
    """The style sheet or script of that name."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _past(state: State, page: Page) -> list[Incident | Maintenance]:
    incidents = [it for it in state.incidents.shelf.all() if it.page_id == page.id and not it.ongoing]
    over: list[Incident | Maintenance] = [*incidents, *state.windows(page.id, COMPLETE)]
    return sorted(over, key=lambda posting: posting.updates[-1].published_at, reverse=True)[:SHOWN_PAST]


def _banner(page: Page, statuses: Mapping[str, str], incidents: bool) -> View:
    status = worst(statuses[key] for key, place in page.places().items() if not place.hidden)
    trouble = incidents and status in (OPERATIONAL, UNDER_MAINTENANCE)
    text = "We are looking into a problem" if trouble else _BANNERS[status]
    return {"status": DEGRADED if trouble else status, "text": text}


def _item(item: Component | Group | SubPage, statuses: Mapping[str, str]) -> View:
    if isinstance(item, Component):
        status = statuses[item.id]
        return {"name": item.name, "hidden": item.hidden, "status": status, "label": LABELS[status]}
    if isinstance(item, SubPage):
        return {"name": item.name, "hidden": False, "nested": [_item(part, statuses) for part in item.items]}
    status = worst(statuses[component.id] for component in item.components if not component.hidden)
    components = [_item(component, statuses) for component in item.components]
    shown = {"name": item.name, "description": item.description, "status": status, "label": LABELS[status]}
    return {**shown, "hidden": item.hidden, "components": components}


def _posting(page: Page, posting: Incident | Maintenance) -> View:
    places = page.places()
    said = posting.component_statuses().items()
    shown = {key: status for key, status in said if key in places and not places[key].hidden}
    kind = "incidents" if isinstance(posting, Incident) else "maintenances"
    return {
        "id": posting.id,
        "name": posting.name,
        "url": f"{_path(page)}/{kind}/{posting.id}",
        "label": LABELS[posting.status],
        "tone": _tone(posting, worst(shown.values())),
        "window": _times(posting) if isinstance(posting, Maintenance) else None,
        "ongoing": posting.ongoing,
        "components": [{"label": places[key].label, "status": LABELS[status]} for key, status in shown.items()],
        "updates": [_update(update) for update in reversed(posting.updates)],
    }


def _path(page: Page) -> str:
    return f"/{page.slug}" if page.slug else ""


def _tone(posting: Incident | Maintenance, impact: str) -> str:
    """The component status whose colour the posting has."""
    if isinstance(posting, Maintenance):
        return OPERATIONAL if posting.status == COMPLETE else UNDER_MAINTENANCE
    return DEGRADED if posting.ongoing and impact == OPERATIONAL else impact


def _times(window: Maintenance) -> View:
    return {"start": _time(window.start_at), "end": _time(window.end_at)}


def _update(update: Update) -> View:
    return {"label": LABELS[update.status], "at": _time(update.published_at), "text": _prose(update.message)}


def _prose(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(_markdown().render(text))  # noqa: S704  (with `html` off, all of the text is escaped)


def _time(at: datetime) -> View:
    at = at.astimezone(UTC)
    return {"iso": at.isoformat(timespec="seconds"), "text": f"{at.day} {at:%b %Y, %H:%M} UTC"}


def _render(template: str, **words: object) -> str:
    return _environment().get_template(template).render(words)


@functools.cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # What is not read as Markdown is shown as it is written; a picture would be fetched from somewhere else.
    return MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading", "hr"])


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(_TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
