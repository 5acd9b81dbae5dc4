"""
The Widget API: what a page's owner lets anybody show elsewhere. It belongs to the public page, and takes no key.

The vendor asks for it to be called through one's own backend, with caching; that is whose matter it is who asks here.

Source: incident.io help pages on the Widget API, and the fields seen on live pages, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from worker.errors import ProviderUnavailable
from worker.ports import Clock
from worker.providers._http import Http
from worker.providers._outcomes import Unanswered
from worker.providers.incident_io import reading

PATH = "/api/v1/summary"
DEADLINE = 5.0
MOST_BYTES = 1024 * 1024
_LISTS = ("ongoing_incidents", "in_progress_maintenances", "scheduled_maintenances")
_NOT_ENABLED = (401, 403, 404)


class WidgetApi:
    """
    Args:
        rehearsal: The page may be asked in the clear.
    """

    def __init__(self, clock: Clock, *, rehearsal: bool) -> None:
        self._clock = clock
        self._rehearsal = rehearsal

    def summary(self, public_url: str) -> Mapping[str, Any]:
        """
        Ask a page for its summary.

        Args:
            public_url: As the API tells it.

        Raises:
            ProviderUnavailable: There is none that can be used.
        """
        answer = self._http(public_url).read(PATH)
        if isinstance(answer, Unanswered):
            raise ProviderUnavailable(answer.detail)
        said = f"{urlsplit(public_url).hostname}: GET {PATH}"
        if answer.status in _NOT_ENABLED:
            raise ProviderUnavailable(f"{said}: {answer.status}: the Widget API of this page is not enabled")
        if answer.status != 200 or not answer.complete:
            raise ProviderUnavailable(f"{said}: {reading.complaint(answer)}")
        try:
            data = reading.document(answer.body)
            for name in _LISTS:
                reading.records(data, name)
        except reading.Unreadable as fault:
            raise ProviderUnavailable(f"{said}: this is not a summary: {fault}") from None
        return data

    def _http(self, public_url: str) -> Http:
        if not public_url.startswith(("https://", "http://") if self._rehearsal else "https://"):
            raise ProviderUnavailable("the page has no public address, or one without https")
        try:
            return Http(public_url, None, clock=self._clock, read_deadline=DEADLINE, read_cap=MOST_BYTES)
        except ValueError as fault:
            raise ProviderUnavailable(f"the page's public address: {fault}") from None
