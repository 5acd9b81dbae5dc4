"""
Templates into HTML, safely: whatever is shown may have come from a webhook or a person, and is escaped.

The headers let a browser run nothing but our own script, load nothing from elsewhere, and show the pages in no frame.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse, Response

from worker.telling import words

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt
    from markupsafe import Markup

FOLDER = Path(__file__).parent
HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ASSETS: Mapping[str, str] = {
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""What is served below ``/static/``, and as what."""


def html(template: str, status: int = 200, **shown: object) -> HTMLResponse:
    """Render a template as an answer."""
    return HTMLResponse(_environment().get_template(template).render(shown), status, headers=dict(HEADERS))


def asset(name: str) -> Response:
    """
    Give a static file.

    Raises:
        KeyError: There is none of that name.
    """
    media_type = ASSETS[name]
    headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
    return Response((FOLDER / "static" / name).read_bytes(), media_type=media_type, headers=headers)


def link(path: str, /, **query: object) -> str:
    """Write an address of ours; what is empty is left out."""
    pairs = [(name, value) for name, value in query.items() if value not in ("", None, [], ())]
    return f"{path}?{urlencode(pairs, doseq=True, quote_via=quote)}" if pairs else path


def ago(at: datetime, now: datetime) -> str:
    """Say how long ago, or in how long, in one unit: "5 min ago", "in 3 h"."""
    gap = now - at
    size = abs(gap)
    for unit, length in _UNITS:
        if size >= 2 * length:
            told = f"{size // length} {unit}"
            return f"{told} ago" if gap > timedelta() else f"in {told}"
    return "now"


_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)


def seconds(value: float | None) -> str:
    """Write a length of time: "0.4 s", "3 min"."""
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def plain(word: str) -> str:
    """Write a word of a closed set as people do: "full_outage" is "full outage"."""
    return word.replace("_", " ")


def clock(at: datetime) -> str:
    """Write a time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def iso(at: datetime) -> str:
    """Write a time for programs."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def prose(text: str) -> Markup:
    """Read a message as status pages do."""
    from markupsafe import Markup

    return Markup(_markdown().render(text))  # noqa: S704  (with `html` off, all of the text is escaped)


TONES: Mapping[str, str] = {
    **dict.fromkeys(("operational", "resolved", "complete", "done", "auto", "ok"), "good"),
    **dict.fromkeys(("degraded_performance", "monitoring", "clearing", "awaiting_approval", "approve"), "warn"),
    **dict.fromkeys(("partial_outage", "full_outage", "investigating", "identified", "open", "firing"), "bad"),
    **dict.fromkeys(("held", "parked", "unknown", "paused", "warning"), "warn"),
    **dict.fromkeys(("refused", "denied", "error"), "bad"),
    **dict.fromkeys(("under_maintenance", "in_progress", "scheduled", "planned"), "work"),
}
"""In which colour a word is shown; others are grey. The word is always there, too."""


@functools.cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # A picture would be fetched from somewhere else; a link could lead a person anywhere, and is shown as text.
    return MarkdownIt("commonmark", {"html": False}).disable(["image", "link", "autolink", "heading", "lheading", "hr"])


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared: dict[str, Any] = {"link": link, "ago": ago, "tones": TONES, "timedelta": timedelta}
    environment.globals.update(shared)
    filters = {
        "plain": plain,
        "clock": clock,
        "iso": iso,
        "prose": prose,
        "seconds": seconds,
        "pairs": words.pairs,
        "statement": words.statement,
        "trial": words.trial,
    }
    environment.filters.update(filters)
    return environment
