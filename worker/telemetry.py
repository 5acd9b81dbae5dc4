"""
Logs and metrics: structlog over the standard library, and counters with closed label sets in a registry of our own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.tracebacks import ExceptionDictTransformer

from worker.errors import LedgerUnavailable

_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "inbounds": ("Inbound requests that were recorded, or repeats of one.", ("source", "outcome")),
    "inbounds_refused": ("Inbound requests that were not recorded.", ("reason",)),
    "events": ("Statements that were reacted to.", ()),
    "statements_unparsed": ("Statements, or whole inbound requests, that could not be understood.", ("source",)),
    "conflicts": ("Commits that were decided again because something else was first.", ("step",)),
    "faults": ("Faults of the worker itself that a step survived.", ("step",)),
    "alarms_missed": ("Looks at what is due that were needed because the alarm clock did not ring.", ()),
    "rows_removed": ("Rows of the ledger that were removed because they were old.", ()),
    "attempts": ("Attempts at writes to a page.", ("page", "result")),
    "takeovers": ("Incidents and windows of ours that people took over on the page.", ("page",)),
    "sweeps": ("Comparisons of a whole page with the ledger.", ("page",)),
    "braked": ("Posts that a brake kept waiting, or made silent.", ("page",)),
    "notices_told": ("Notices that were told to a receiver, or that it did not take.", ("outcome",)),
    "reloads": ("Times that the rules were read again.", ("outcome",)),
    "page_reads_failed": ("Reads of a page that failed.", ("page",)),
    "widget_requests": ("Questions for the widget of a page.", ("page", "outcome")),
    "widget_fetches": ("Questions to a page for its widget, so that it can be shown.", ("page", "outcome")),
}
_HISTOGRAMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "step_duration": ("How long one round of a step took.", ("step",)),
    "publish_delay": ("From the decision to publish by itself to the page's confirmation.", ("kind",)),
}
_BUCKETS = {"publish_delay": (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)}
_GAUGES: Mapping[str, str] = {
    "rules_last_reload_successful": "Whether the rules could be used when they were read the last time.",
    "rules_last_reload_success_timestamp_seconds": "When the rules in force were read, seconds since 1970.",
}


class PrometheusMeter:
    """Implements ``ports.Meter``; asking for an unknown name or label is a fault of ours and raises KeyError."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        told = "Which version this is; always 1."
        info = Gauge("statusbridge_build_info", told, ("version",), registry=self.registry)
        info.labels(version=metadata.version("statusbridge")).set(1)
        self._children: dict[tuple[object, ...], Counter] = {}
        self._counters = {
            name: Counter(f"statusbridge_{name}", text, labels, registry=self.registry)
            for name, (text, labels) in _COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(f"statusbridge_{name}", text, registry=self.registry) for name, text in _GAUGES.items()
        }
        self._histograms = {
            name: Histogram(
                f"statusbridge_{name}_seconds",
                text,
                labels,
                registry=self.registry,
                buckets=_BUCKETS.get(name, Histogram.DEFAULT_BUCKETS),
            )
            for name, (text, labels) in _HISTOGRAMS.items()
        }

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """See ``ports.Meter``."""
        which = (name, *labels.items())
        child = self._children.get(which)
        if child is None:
            counter = self._counters[name]
            child = self._children[which] = counter.labels(**labels) if labels else counter
        child.inc(by)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """See ``ports.Meter``."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(seconds)

    def show(self, name: str, value: float) -> None:
        """Let a gauge show a value."""
        self._gauges[name].set(value)

    def watch(self, totals: Callable[[], Mapping[str, int]], pages: Callable[[], Mapping[str, bool]] = dict) -> None:
        """
        Show what the ledger counts, and how pages stand, as gauges, read at each scrape.

        Args:
            totals: See ``ports.Queries.totals``.
            pages: Whether each page is as the rules say.
        """
        self.registry.register(_Totals(totals, pages))

    def exposition(self) -> bytes:
        """Give all metrics in the Prometheus text format."""
        return generate_latest(self.registry)


_LABELS: Mapping[str, str] = {
    "actions_done": "kind",
    "actions": "state",
    "episodes": "phase",
    "windows": "phase",
    "drift": "kind",
}
"""Totals that are counted by something: what they begin with, to what that is called; the longest come first."""


def _parted(name: str) -> tuple[str, str, str]:
    """Part the name of a total into metric, label and value; without a label both are ""."""
    for prefix, label in _LABELS.items():
        if name.startswith(f"{prefix}_"):
            return prefix, label, name.removeprefix(f"{prefix}_")
    return name, "", ""


class _Totals(Collector):
    def __init__(self, totals: Callable[[], Mapping[str, int]], pages: Callable[[], Mapping[str, bool]]) -> None:
        self._totals = totals
        self._pages = pages

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        told = "Whether a page is as the rules say."
        ready = GaugeMetricFamily("statusbridge_page_ready", told, labels=["page"])
        for page, right in self._pages().items():
            ready.add_metric([page], float(right))
        yield ready
        try:
            totals = self._totals()
        except LedgerUnavailable:
            return  # what is counted here is needed most when the ledger is in trouble
        families: dict[str, GaugeMetricFamily] = {}
        for total, value in sorted(totals.items()):
            name, label, which = _parted(total)
            text = f"Rows of the ledger: {name.replace('_', ' ')}{', by ' + label if label else ''}."
            labels = [label] if label else []
            family = families.setdefault(name, GaugeMetricFamily(f"statusbridge_ledger_{name}", text, labels=labels))
            family.add_metric([which] if label else [], value)
        yield from families.values()


_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


class _Unbreakable(io.TextIOBase):
    """Standard error, as it is at each line; a log that cannot be written must not stop what is logged."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def set_up_logs(log_format: str, level: str) -> None:
    """
    Send structured logs to standard error.

    Args:
        log_format: "console" (coloured only on a terminal) or "json".
        level: "debug", "info", "warning" or "error".
    """
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Both forms show local variables unless told otherwise, and those hold tokens.
            *((_TRACEBACKS, structlog.processors.JSONRenderer()) if log_format == "json" else (console,)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _Unbreakable())),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True
    )
    for talkative in ("httpx", "httpcore", "apscheduler", "alembic", "uvicorn.access"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
