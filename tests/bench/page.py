"""
A page that answers at once: the few operations that opening an incident needs, canned, with the time of each write.

Run as its own process: prints its port; ``GET /seen`` answers the names that were opened and when,
``GET /asked`` how often its widget was asked for, ``GET /die`` makes its widget fail from then on, and ``GET /hang``
leaves every write without an answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import uvloop

INCIDENT = {
    "id": "i1",
    "name": "Checkout is slow",
    "url": "http://127.0.0.1/incidents/i1",
    "status": "investigating",
    "last_update_at": "2026-11-23T10:00:00Z",
    "last_update_message": "We are looking into it.",
    "current_worst_impact": "degraded_performance",
    "affected_components": [{"id": "c0", "name": "Checkout API", "current_status": "degraded_performance"}],
}
SUMMARY = {
    "page_title": "Acme Status",
    "page_url": "http://127.0.0.1/",
    "ongoing_incidents": [INCIDENT],
    "in_progress_maintenances": [],
    "scheduled_maintenances": [],
}
PAGE = {"id": "page", "name": "Acme Status", "public_url": "http://127.0.0.1/"}
NAMES = ["Checkout API", "Public API", "Dashboard", "Europe / API", "Europe / Storage"]


def _structure() -> dict[str, Any]:
    def component(n: int, name: str) -> dict[str, Any]:
        return {"component_id": f"c{n}", "name": name, "hidden": False, "display_uptime": True}

    flat = [{"component": component(n, name)} for n, name in enumerate(NAMES[:3])]
    group = {
        "id": "g",
        "name": "Europe",
        "description": "",
        "hidden": False,
        "display_aggregated_uptime": True,
        "components": [component(3, "API"), component(4, "Storage")],
    }
    current = {"id": "s", "status_page_id": "page", "items": [*flat, {"group": group}]}
    return {
        "status_page_structure": {"id": "s", "status_page_id": "page", "current_structure": current},
        "current_structure": current,
    }


class Page(asyncio.Protocol):
    """One connection."""

    seen: dict[str, float] = {}
    count = 0
    asked = 0
    dead = False
    hangs = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].decode("latin-1")
        lowered = head.lower()
        length = int(lowered.split("content-length:")[1].split("\r\n")[0]) if "content-length:" in lowered else 0
        if len(self.buffer) < end + 4 + length:
            return
        body = self.buffer[end + 4 : end + 4 + length]
        self.buffer = b""
        method, target, _ = head.split(" ", 2)
        if Page.hangs and method == "POST":
            return
        status, answer = self.answer(method, target, body)
        raw = json.dumps(answer).encode()
        close = "connection: close" in lowered
        self.transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
            % (status, len(raw), b"connection: close\r\n" if close else b"")
            + raw
        )
        if close:
            self.transport.close()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        path = target.split("?")[0]
        if path == "/seen":
            return 200, Page.seen
        if path in ("/asked", "/die"):
            Page.dead = Page.dead or path == "/die"
            return 200, {"asked": Page.asked}
        if path == "/hang":
            Page.hangs = True
            return 200, {}
        if path == "/api/v1/summary":
            Page.asked += 1
            return (503, {}) if Page.dead else (200, SUMMARY)
        if path == "/v2/status_pages":
            return 200, {"status_pages": [PAGE], "pagination_meta": {"page_size": 25}}
        if path.startswith("/v2/status_pages/"):
            return 200, {"status_page": PAGE}
        if path.startswith("/v2/status_page_structures/"):
            return 200, _structure()
        if method == "POST" and path == "/v2/status_page_incidents":
            return 201, {"status_page_incident": self.incident(json.loads(body))}
        return 200, {"status_page_incidents": [], "pagination_meta": {"page_size": 25}}

    def incident(self, asked: dict[str, Any]) -> dict[str, Any]:
        Page.seen.setdefault(asked["name"], time.time())
        Page.count += 1
        update = {
            "id": f"u{Page.count}",
            "message": asked["message"],
            "incident_status": asked["incident_status"],
            "published_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "component_statuses": asked.get("component_statuses", []),
            "status_page_incident_id": f"i{Page.count}",
        }
        return {
            "id": f"i{Page.count}",
            "name": asked["name"],
            "status_page_id": "page",
            "incident_status": asked["incident_status"],
            "published_at": update["published_at"],
            "updates": [update],
            "component_impacts": [],
        }


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Page, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    PAGE["public_url"] = f"http://127.0.0.1:{port}/"
    print(port, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
