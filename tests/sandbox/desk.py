"""A clock that the test moves, and somebody who speaks to a sandbox without a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.sandbox import DEFAULT, DEFAULT_KEY, Faults, Reply, Request, Service, State, build_pages

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


class Desk:
    """Speaks to a sandbox without a socket."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.state = State(build_pages(DEFAULT, clock()))
        self.faults = Faults()
        self.service = Service(self.state, self.faults, clock)
        self.page = self.state.page
        self.checkout = self.page.component_id("Checkout API")
        self.api = self.page.component_id("Public API")
        self._keys = 0

    def ask(self, method: str, path: str, data: Any = None, **query: str) -> Reply | None:
        """Send JSON (or bytes) with the right key."""
        body = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
        headers = {"authorization": f"Bearer {DEFAULT_KEY}"}
        return self.service.exchange(Request(method=method, path=path, query=query, headers=headers, body=body))

    def get(self, path: str, **query: str) -> Any:
        reply = self.ask("GET", path, **query)
        assert reply is not None
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def tell(self, method: str, path: str, data: Any, expect: int = 201) -> Any:
        reply = self.ask(method, path, data)
        assert reply is not None
        assert reply.status == expect, reply.body
        return json.loads(reply.body) if reply.body else None

    def new_incident(self, expect: int = 201, **changes: Any) -> Any:
        return self.tell("POST", "/v2/status_page_incidents", self.incident(**changes), expect)

    def incident(self, **changes: Any) -> dict[str, Any]:
        """A valid create; a change to None leaves the field out."""
        self._keys += 1
        data = {
            "status_page_id": self.page.id,
            "idempotency_key": f"key-{self._keys}",
            "name": "Checkout problems",
            "message": "We are investigating.",
            "incident_status": "investigating",
            "notify_subscribers": False,
            "component_statuses": [{"component_id": self.checkout, "component_status": "partial_outage"}],
        }
        return {name: value for name, value in (data | changes).items() if value is not None}

    def post(self, incident_id: str, expect: int = 201, **changes: Any) -> Any:
        data = {"status_page_incident_id": incident_id, "message": "News.", "notify_subscribers": False} | changes
        return self.tell("POST", "/v2/status_page_incident_updates", data, expect)

    def new_window(self, expect: int = 201, **changes: Any) -> Any:
        self._keys += 1
        data = {
            "status_page_id": self.page.id,
            "idempotency_key": f"key-{self._keys}",
            "name": "Database maintenance",
            "message": "We will be back soon.",
            "maintenance_status": "maintenance_scheduled",
            "start_at": "2026-11-23T11:00:00Z",
            "end_at": "2026-11-23T12:00:00Z",
            "affected_component_ids": [self.checkout, self.api],
            "notify_subscribers": False,
        }
        return self.tell("POST", "/v2/status_page_maintenances", data | changes, expect)

    def post_window(self, window_id: str, expect: int = 201, **changes: Any) -> Any:
        data = {"status_page_maintenance_id": window_id, "message": "News.", "notify_subscribers": False} | changes
        return self.tell("POST", "/v2/status_page_maintenance_updates", data, expect)
