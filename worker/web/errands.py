"""
What webhooks need fetched, now and then: certificates that prove them, and the address that confirms a subscription.

A source has looked at the address. Here it is bounded what a stranger can make of it: one fetch at a time, briefly, a
small answer, no redirects, and none again of what has just failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from worker.errors import LedgerUnavailable
from worker.ports import Clock

TIMEOUT_S = 5.0
MOST_BYTES = 32_768
AGAIN_AFTER = timedelta(seconds=30)
MOST_REMEMBERED = 100

log = logging.getLogger(__name__)


def get(url: str) -> bytes:
    """
    Fetch the small answer of an address.

    Raises:
        OSError: There was none, or no good one.
    """
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client, client.stream("GET", url) as answer:
            content = b""
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise OSError("the answer is too long")
    except httpx.HTTPError as failed:
        raise OSError(str(failed) or type(failed).__name__) from None
    if answer.status_code != httpx.codes.OK:
        raise OSError(f"the answer is {answer.status_code}")
    return content


class Errands:
    """
    Args:
        fetch: Fetches an address, in a thread; raises OSError.
    """

    def __init__(self, clock: Clock, fetch: Callable[[str], bytes] = get) -> None:
        self._clock = clock
        self._fetch = fetch
        self._one = asyncio.Lock()
        self._failed: dict[str, datetime] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def bring(self, url: str, take: Callable[[str, bytes], None]) -> None:
        """
        Fetch what *take* needs.

        Raises:
            LedgerUnavailable: Not now; whoever asked shall come again.
        """
        async with self._one:
            failed = self._failed.get(url)
            if failed is None or not failed <= self._clock() < failed + AGAIN_AFTER:
                try:
                    take(url, await asyncio.to_thread(self._fetch, url))
                except Exception as wrong:
                    log.warning("%s cannot be used: %s", url, wrong)
                    self._remember(url)
                else:
                    self._failed.pop(url, None)
                    return
        raise LedgerUnavailable("what proves the sender cannot be fetched now")

    def _remember(self, url: str) -> None:
        while len(self._failed) >= MOST_REMEMBERED:
            self._failed.pop(next(iter(self._failed)))
        self._failed[url] = self._clock()

    def run(self, url: str) -> None:
        """Call an address in the background; what comes of it is in the log."""
        task = asyncio.get_running_loop().create_task(self._call(url))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _call(self, url: str) -> None:
        address = url.partition("?")[0]  # what follows is a secret
        try:
            await asyncio.to_thread(self._fetch, url)
        except OSError as failed:
            log.warning("called %s in vain: %s", address, failed)
        else:
            log.warning("called %s, as a webhook asked and its source allows", address)
