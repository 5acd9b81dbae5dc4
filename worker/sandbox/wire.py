"""
What goes over the wire, without a wire: one request, one reply, and the vendor's error body.

Knows nothing of pages, faults or sockets. ``Refused`` is the one exception that the sandbox's parts raise.

Source: incident.io API, official SDK 2.29.0 (``ErrorResponse``, ``ErrorSingle``, ``ErrorRateLimit``), read 2026-11-23.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "resource_forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    422: "validation_error",
    429: "too_many_requests",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    One request as it came.

    Args:
        path: Percent-decoded, without the query.
        query: Decoded; of a repeated name the last value.
        headers: Names in lower case.
        connection: Number of the TCP connection it came on, from 1; 0 where there is none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    connection: int = 0

    @property
    def api(self) -> bool:
        """Whether it speaks to the Status Page API (and not to the public page)."""
        return self.path.startswith("/v2/")

    @property
    def write(self) -> bool:
        """Whether it may change the page."""
        return self.api and self.method not in ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One complete answer; ``headers`` leaves out what the server adds by itself (length, date)."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Complaint:
    """One entry of ``errors``. ``pointer`` is a JSON pointer into the request body; empty: no ``source`` is given."""

    code: str
    message: str
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The ``rate_limit`` part of a 429: which limit, how much per minute, and until when."""

    name: str
    limit: int
    retry_at: datetime


class Refused(Exception):
    """The API says no: an HTTP status of 4xx and what is wrong with the request."""

    def __init__(self, status: int, *complaints: Complaint, rate_limit: RateLimit | None = None) -> None:
        super().__init__(f"{status} " + "; ".join(complaint.message for complaint in complaints))
        self.status = status
        self.complaints = complaints
        self.rate_limit = rate_limit


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, as the vendor writes it: ``2021-08-17T13:28:57.801578Z``."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_reply(status: int, data: Mapping[str, Any], *headers: tuple[str, str]) -> Reply:
    """A JSON answer; text goes out as UTF-8."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status=status, body=body, headers=(("content-type", "application/json; charset=utf-8"), *headers))


def error_reply(refused: Refused, request_id: str, *headers: tuple[str, str]) -> Reply:
    """The vendor's error body for ``refused``."""
    data: dict[str, Any] = {
        "type": ERROR_TYPES.get(refused.status, "api_error"),
        "status": refused.status,
        "request_id": request_id,
        "errors": [_single(complaint) for complaint in refused.complaints],
    }
    if refused.rate_limit is not None:
        data["rate_limit"] = {
            "name": refused.rate_limit.name,
            "limit": refused.rate_limit.limit,
            "remaining": 0,
            "retry_after": timestamp(refused.rate_limit.retry_at),
        }
    return json_reply(refused.status, data, *headers)


def _single(complaint: Complaint) -> dict[str, Any]:
    single: dict[str, Any] = {"code": complaint.code, "message": complaint.message}
    if complaint.pointer:
        field_name = complaint.pointer.strip("/").replace("/", ".")
        single["source"] = {"field": field_name, "pointer": complaint.pointer}
    return single
