"""
The Status Page API v2 as one function: a request and the time in, the vendor's answer out.

No sockets and no faults: what an honest service answers. Every operation is one line of ``ROUTES``.

Source: incident.io API, official SDK 2.29.0 (``incident_io.api.status_pages_v2``), read 2026-11-23.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from worker.sandbox import listing, payloads, shapes
from worker.sandbox.state import State
from worker.sandbox.wire import Complaint, Refused, Reply, Request, error_reply, json_reply

RETROSPECTIVE = "/v2/status_page_retrospective_incidents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that was let in. ``id`` and ``component_id`` are the parts of its path."""

    state: State
    query: Mapping[str, str]
    body: bytes
    now: datetime
    id: str = ""
    component_id: str = ""

    @property
    def data(self) -> Mapping[str, Any]:
        """The JSON object of the body."""
        return payloads.json_object(self.body)

    def lagged(self, seconds: float) -> datetime | None:
        """The time of which a reader sees the page; None: the present."""
        return self.now - timedelta(seconds=seconds) if seconds else None


def handle(state: State, request: Request, now: datetime) -> Reply:
    """
    The answer to a request below ``/v2``.

    Args:
        now: Aware time of the request; what the service was due to do by itself until then is done first.
    """
    with state.lock:
        state.settle(now)
        try:
            key = _authenticate(state, request)
            state.limits.charge(key, request.path == RETROSPECTIVE and request.method == "POST", now)
            handler, parts = _route(request)
            call = Call(state=state, query=request.query, body=request.body, now=now, **parts)
            return handler(call)
        except Refused as refused:
            return refusal(refused, request, now)


def refusal(refused: Refused, request: Request, now: datetime) -> Reply:
    """The vendor's error answer; a 429 carries Retry-After in seconds."""
    headers = []
    if refused.rate_limit is not None:
        seconds = max(1, math.ceil((refused.rate_limit.retry_at - now).total_seconds()))
        headers.append(("retry-after", str(seconds)))
    seen = f"{request.method} {request.path} {now.isoformat()}".encode() + request.body
    return error_reply(refused, hashlib.sha256(seen).hexdigest()[:8], *headers)


def _authenticate(state: State, request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else ""
    if hmac.compare_digest(given.encode(), state.api_key.encode()):
        return given
    if state.read_only_key is None or not hmac.compare_digest(given.encode(), state.read_only_key.encode()):
        raise Refused(401, Complaint("authentication_required", "The API key is missing or not valid"))
    if request.write:
        text = 'The API key lacks the scope "Create status page incidents, status page maintenance windows, and …"'
        raise Refused(403, Complaint("missing_scope", text))
    return given


def _route(request: Request) -> tuple[Handler, dict[str, str]]:
    allowed = False
    for method, pattern, handler in ROUTES:
        match = pattern.fullmatch(request.path)
        if match is not None and method == request.method:
            return handler, match.groupdict()
        allowed = allowed or match is not None
    if allowed:
        raise Refused(405, Complaint("method_not_allowed", f"{request.method} is not allowed here"))
    raise Refused(404, Complaint("not_found", "There is no such endpoint"))


def list_pages(call: Call) -> Reply:
    pages, meta = listing.paginate(list(call.state.pages.values()), call.query)
    base_url = call.state.base_url
    return json_reply(200, {"status_pages": [shapes.page(page, base_url) for page in pages], "pagination_meta": meta})


def show_page(call: Call) -> Reply:
    return json_reply(200, {"status_page": shapes.page(call.state.board.page(call.id), call.state.base_url)})


def show_structure(call: Call) -> Reply:
    return json_reply(200, shapes.structure(call.state.board.page(call.id)))


def show_availability(call: Call) -> Reply:
    page = call.state.board.page(call.id)
    if call.component_id not in page.places():
        raise Refused(404, Complaint("not_found", f"Could not find component {call.component_id}"))
    start, end = listing.time_of(call.query, "start_at"), listing.time_of(call.query, "end_at")
    incidents = [it for it in call.state.incidents.shelf.all() if it.page_id == page.id]
    spans = [span for it in incidents for span in it.spans() if span.component_id == call.component_id]
    percent = listing.availability(spans, page.created_at, start, end, call.now)
    return json_reply(200, {"availability": shapes.availability(page, call.component_id, start, end, percent)})


def list_incidents(call: Call) -> Reply:
    page = call.state.board.page(listing.required(call.query, "status_page_id"))
    seen = call.state.incidents.shelf.all(call.lagged(call.state.switches.list_lag))
    found, meta = listing.paginate(listing.impacted(seen, page, call.query), call.query)
    return json_reply(200, {"status_page_incidents": [shapes.incident(it) for it in found], "pagination_meta": meta})


def show_incident(call: Call) -> Reply:
    incident = call.state.incidents.shelf.show(call.id, call.lagged(call.state.switches.show_lag))
    return json_reply(200, {"status_page_incident": shapes.incident(incident)})


def _created_incident(call: Call, made: str) -> Reply:
    return json_reply(201, {"status_page_incident": shapes.incident(call.state.incidents.shelf.show(made))})


def create_incident(call: Call) -> Reply:
    def create() -> str:
        return call.state.incidents.open(payloads.incident(call.data), call.now).id

    return _once(call, "incident", create, _created_incident)


def create_retrospective(call: Call) -> Reply:
    def create() -> str:
        return call.state.incidents.backfill(payloads.retrospective(call.data), call.now).id

    return _once(call, "retrospective", create, _created_incident)


def rename_incident(call: Call) -> Reply:
    incident = call.state.incidents.rename(call.id, payloads.incident_name(call.data), call.now)
    return json_reply(200, {"status_page_incident": shapes.incident(incident)})


def post_incident_update(call: Call) -> Reply:
    draft = payloads.incident_update(call.data)
    update = call.state.incidents.post(draft, call.now)
    incident = call.state.incidents.shelf.show(draft.subject_id)
    return json_reply(201, {"status_page_incident_update": shapes.incident_update(incident, update)})


def list_maintenances(call: Call) -> Reply:
    page = call.state.board.page(listing.required(call.query, "status_page_id"))
    seen = call.state.maintenances.shelf.all(call.lagged(call.state.switches.list_lag))
    found, meta = listing.paginate(listing.impacted(seen, page, call.query), call.query)
    shown = [shapes.maintenance(it) for it in found]
    return json_reply(200, {"status_page_maintenances": shown, "pagination_meta": meta})


def show_maintenance(call: Call) -> Reply:
    window = call.state.maintenances.shelf.show(call.id, call.lagged(call.state.switches.show_lag))
    return json_reply(200, {"status_page_maintenance": shapes.maintenance(window)})


def create_maintenance(call: Call) -> Reply:
    def create() -> str:
        return call.state.maintenances.schedule(payloads.maintenance(call.data), call.now).id

    def created(call: Call, made: str) -> Reply:
        window = call.state.maintenances.shelf.show(made)
        return json_reply(201, {"status_page_maintenance": shapes.maintenance(window)})

    return _once(call, "maintenance", create, created)


def reschedule_maintenance(call: Call) -> Reply:
    window = call.state.maintenances.reschedule(call.id, *payloads.schedule(call.data), call.now)
    return json_reply(200, {"status_page_maintenance": shapes.maintenance(window)})


def delete_maintenance(call: Call) -> Reply:
    call.state.maintenances.shelf.remove(call.id, call.now)
    return Reply(status=204)


def post_maintenance_update(call: Call) -> Reply:
    draft = payloads.maintenance_update(call.data)
    update = call.state.maintenances.post(draft, call.now)
    window = call.state.maintenances.shelf.show(draft.subject_id)
    return json_reply(201, {"status_page_maintenance_update": shapes.maintenance_update(window, update)})


def _once(call: Call, operation: str, create: Callable[[], str], render: Callable[[Call, str], Reply]) -> Reply:
    data = call.data
    key = data.get("idempotency_key")
    body = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    text = key if isinstance(key, str) else ""
    return call.state.keys.once(operation, text, body, create, lambda made: render(call, made), call.now)


Handler = Callable[[Call], Reply]

ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (method, re.compile(path), handler)
    for method, path, handler in (
        ("GET", r"/v2/status_pages", list_pages),
        ("GET", r"/v2/status_pages/(?P<id>[^/]+)", show_page),
        ("GET", r"/v2/status_pages/(?P<id>[^/]+)/components/(?P<component_id>[^/]+)/availability", show_availability),
        ("GET", r"/v2/status_page_structures/(?P<id>[^/]+)", show_structure),
        ("GET", r"/v2/status_page_incidents", list_incidents),
        ("POST", r"/v2/status_page_incidents", create_incident),
        ("GET", r"/v2/status_page_incidents/(?P<id>[^/]+)", show_incident),
        ("PUT", r"/v2/status_page_incidents/(?P<id>[^/]+)", rename_incident),
        ("POST", r"/v2/status_page_incident_updates", post_incident_update),
        ("POST", re.escape(RETROSPECTIVE), create_retrospective),
        ("GET", r"/v2/status_page_maintenances", list_maintenances),
        ("POST", r"/v2/status_page_maintenances", create_maintenance),
        ("GET", r"/v2/status_page_maintenances/(?P<id>[^/]+)", show_maintenance),
        ("PUT", r"/v2/status_page_maintenances/(?P<id>[^/]+)", reschedule_maintenance),
        ("DELETE", r"/v2/status_page_maintenances/(?P<id>[^/]+)", delete_maintenance),
        ("POST", r"/v2/status_page_maintenance_updates", post_maintenance_update),
    )
)
