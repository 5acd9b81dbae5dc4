"""
Rate limits per API key: token buckets that refill with the sandbox's clock.

Source: incident.io API, official SDK 2.29.0 (1,200 requests a minute per key; retrospective incidents 5 a second with a
burst of 300), read 2026-11-23.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.sandbox.switches import Switches
from worker.sandbox.wire import Complaint, RateLimit, Refused

RETROSPECTIVE_PER_MINUTE = 300
RETROSPECTIVE_BURST = 300


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class Limits:
    """What each key has used up."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def charge(self, key: str, retrospective: bool, now: datetime) -> None:
        """Count one request of ``key``; Refused(429) with the time of the next free place when there is none."""
        if not self._switches.rate_limit:
            return
        if retrospective:
            self._take(key, "retrospective_incidents", RETROSPECTIVE_PER_MINUTE, RETROSPECTIVE_BURST, now)
        else:
            per_minute = int(self._switches.rate_limit)
            self._take(key, "api_key", per_minute, per_minute, now)

    def forget(self) -> None:
        """Give every key its full allowance again."""
        self._buckets.clear()

    def _take(self, key: str, name: str, per_minute: int, burst: int, now: datetime) -> None:
        bucket = self._buckets.setdefault((key, name), _Bucket(burst, now))
        passed = max(0.0, (now - bucket.at).total_seconds())
        bucket.tokens = min(burst, bucket.tokens + passed * per_minute / 60)
        bucket.at = now
        if bucket.tokens < 1:
            retry_at = now + timedelta(seconds=(1 - bucket.tokens) * 60 / per_minute)
            raise too_many_requests(RateLimit(name, per_minute, retry_at))
        bucket.tokens -= 1


def too_many_requests(limit: RateLimit) -> Refused:
    """The 429 of the vendor."""
    return Refused(429, Complaint("too_many_requests", "You have made too many requests"), rate_limit=limit)
