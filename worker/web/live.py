"""
``GET /live``: tells a browser that something has changed, as server-sent events. What has changed it asks itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from worker.web.problems import problem

PATH = "/live"
LEAST_GAP_S = 0.5
"""However much happens, a browser is told no more often."""
TICK_S = 10.0
"""It is told so often at least: another worker on the same ledger may have changed something; and times go on."""
MOST_LISTENERS = 200


class Live:
    """Those who listen, and a bell for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._over = False

    def ring(self) -> None:
        """Tell everybody that something has changed; from any thread."""
        with self._lock:
            for bell, loop in self._waiting.items():
                loop.call_soon_threadsafe(bell.set)

    def end(self) -> None:
        """Let everybody go, and nobody in any more: the server is about to end."""
        self._over = True
        self.ring()

    def answer(self, request: Request) -> Response:
        """Begin to tell one browser."""
        if self._over or len(self._waiting) >= MOST_LISTENERS:
            return problem(503, "busy", "too many listen, or the worker is about to end", headers={"retry-after": "5"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._told(request), media_type="text/event-stream", headers=headers)

    async def _told(self, request: Request) -> AsyncIterator[str]:
        bell = asyncio.Event()
        with self._lock:
            self._waiting[bell] = asyncio.get_running_loop()
        try:
            yield "retry: 2000\n\n"
            number = 0
            while not self._over and not await request.is_disconnected():
                number += 1
                yield f"event: changed\ndata: {number}\n\n"
                await asyncio.sleep(LEAST_GAP_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), TICK_S)
                bell.clear()
        finally:
            with self._lock:
                del self._waiting[bell]
