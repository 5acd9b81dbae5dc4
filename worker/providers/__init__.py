"""
The status page services that can be written to: one module or package each, one line each below.

``_http`` alone knows HTTP; ``_outcomes`` alone tells what became of a write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.ports import Provider
from worker.providers.incident_io import IncidentIo

PROVIDERS: Mapping[str, Callable[..., Provider]] = {
    "incident_io": IncidentIo,
}
"""The word in ``pages: {x: {provider: …}}`` to what is called with (PageConfig, API key, Clock)."""
