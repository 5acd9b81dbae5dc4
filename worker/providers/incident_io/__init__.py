"""
All that is incident.io's on the way out: its Status Page API (v2) as a provider.

Public and customer pages; internal pages have no API. See docs/reference/providers/incident_io.md.
"""

from __future__ import annotations

from worker.providers.incident_io.provider import IncidentIo

__all__ = ["IncidentIo"]
