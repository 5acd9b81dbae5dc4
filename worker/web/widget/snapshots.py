"""
What was last heard of each page, and when to ask again: once in a while, whatever the load.

A summary is fresh for a time. For as long again it is shown while somebody asks for the next one; later whoever wants
it waits a little for that. Where the page does not answer, what was heard last is shown up to a limit, and said to be
old. A page that fails is not asked more often than one that answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from worker.errors import ProviderUnavailable, WorkerError
from worker.ports import Meter

LOG = structlog.get_logger("worker")

PATIENCE_S = 3.0
"""How long somebody waits for an answer of the page before what is old is shown, or nothing."""

MOST_PARTS = 256
MOST_BYTES = 4 * 1024 * 1024
"""How many choices of components are kept of one summary, and how large they may be together."""

MOST_AT_ONCE = 4
"""How many pages are asked at once."""

Json = Mapping[str, Any]
_EVENTS = ("ongoing_incidents", "in_progress_maintenances", "scheduled_maintenances")


class Snapshot:
    """
    A summary as it was heard.

    Args:
        at: When it was asked for, monotonic seconds.
    """

    def __init__(self, summary: Json, at: float) -> None:
        self.at = at
        self._summary = summary
        self._parts: dict[tuple[str, ...], tuple[bytes, bytes]] = {}
        self._size = 0

    def part(self, components: tuple[str, ...]) -> tuple[bytes, bytes]:
        """Give the bytes and their entity tag; only what is wrong with one of *components*, () for all there is."""
        part = self._parts.get(components)
        if part is None:
            if len(self._parts) >= MOST_PARTS or self._size >= MOST_BYTES:
                self._parts.clear()
                self._size = 0
            body = json.dumps(only(self._summary, components), ensure_ascii=False, separators=(",", ":")).encode()
            part = self._parts[components] = body, self.etag_of(body)
            self._size += len(body)
        return part

    @staticmethod
    def etag_of(body: bytes) -> bytes:
        """Name bytes by their content."""
        return b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()


class Shown:
    """
    A snapshot as it is shown now.

    Attributes:
        age: Whole seconds since it was asked for.
        outcome: "hit", or "stale": the page has not answered since it was due.
        status: The same for those who ask, as RFC 9211 has it.
    """

    __slots__ = ("_snapshot", "age", "outcome", "status")

    def __init__(self, snapshot: Snapshot, age: float, ttl: float, *, failing: bool) -> None:
        self._snapshot = snapshot
        self.age = int(age)
        stale = age >= ttl
        self.outcome = "stale" if stale else "hit"
        why = b"; detail=page-does-not-answer" if stale and failing else b""
        self.status = b"statusbridge; hit; ttl=%d%b" % (int(ttl - age), why)

    def part(self, components: tuple[str, ...]) -> tuple[bytes, bytes]:
        """See ``Snapshot.part``."""
        return self._snapshot.part(components)


def only(summary: Json, components: tuple[str, ...]) -> Json:
    """
    Leave out what does not hurt the components now.

    Args:
        components: Ids, names, or "Group / Name", in lower case; () leaves out nothing.
    """
    if not components:
        return summary
    return {
        **summary,
        **{kind: [event for event in summary[kind] if _hurts(kind, event, components)] for kind in _EVENTS},
    }


def _hurts(kind: str, event: Json, components: tuple[str, ...]) -> bool:
    return any(
        not (kind == "ongoing_incidents" and affected.get("current_status") == "operational")
        and not _names(affected).isdisjoint(components)
        for affected in event.get("affected_components") or ()
    )


def _names(component: Json) -> set[str]:
    name = str(component.get("name", "")).casefold()
    group = str(component.get("group_name") or "").casefold()
    return {name, str(component.get("id", "")).casefold(), f"{group} / {name}"}


class _Page:
    """One page: what is known of it, and who asks for more."""

    def __init__(self) -> None:
        self.known: Snapshot | None = None
        self.tried = float("-inf")
        self.flight: asyncio.Task[None] | None = None
        self.failing = ""


class Snapshots:
    """
    Args:
        fetch: Asks for the summary of a page; raises WorkerError.
        ttl: Seconds for which one is fresh.
        stale: Seconds after which one is shown no more.
    """

    def __init__(
        self,
        fetch: Callable[[str], Json],
        *,
        ttl: float,
        stale: float,
        monotonic: Callable[[], float],
        meter: Meter,
    ) -> None:
        self._fetch = fetch
        self._ttl = ttl
        self._stale = stale
        self._monotonic = monotonic
        self._meter = meter
        self._pages: dict[str, _Page] = {}
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="widget")

    async def get(self, name: str) -> Shown:
        """
        Give what is to be shown of a page now; whoever comes while somebody asks for it waits for the same answer.

        Args:
            name: Of a page that there is: something is remembered for each.

        Raises:
            WorkerError: Nothing is known of it, or nothing that may still be shown.
        """
        page = self._pages.get(name) or self._pages.setdefault(name, _Page())
        now = self._monotonic()
        if page.known is not None and now - page.known.at < self._ttl:
            return Shown(page.known, now - page.known.at, self._ttl, failing=False)
        if page.flight is None and now - page.tried >= self._ttl:
            page.tried = now
            page.flight = asyncio.create_task(self._refresh(name, page))
        if page.flight is not None and (page.known is None or now - page.known.at >= 2 * self._ttl):
            await asyncio.wait({page.flight}, timeout=PATIENCE_S)
            now = self._monotonic()
        if page.known is None or now - page.known.at >= self._stale:
            raise ProviderUnavailable(page.failing or "it does not answer in time")
        return Shown(page.known, now - page.known.at, self._ttl, failing=bool(page.failing))

    async def _refresh(self, name: str, page: _Page) -> None:
        try:
            summary = await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch, name)
        except WorkerError as wrong:
            self._meter.count("widget_fetches", page=name, outcome="failed")
            if page.failing != (told := str(wrong) or type(wrong).__name__):
                LOG.warning("widget cannot be filled", page=name, error=told)
            page.failing = told
        except Exception:
            self._meter.count("widget_fetches", page=name, outcome="failed")
            LOG.exception("widget cannot be filled", page=name)
            page.failing = "a fault of the worker"
        else:
            self._meter.count("widget_fetches", page=name, outcome="done")
            page.known, page.failing = Snapshot(summary, page.tried), ""
        finally:
            page.flight = None
