"""
The HTTP surface: hooks and widgets as plain endpoints, everything else as one FastAPI app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.api import PREFIX as API
from worker.web.api import Run, add_commands
from worker.web.calendar import MEDIA_TYPE
from worker.web.calendar import PATH as CALENDAR
from worker.web.dashboard import Dashboard
from worker.web.desk import Desk
from worker.web.guard import Access, Guard
from worker.web.hooks import PREFIX, HookEndpoint
from worker.web.live import PATH as LIVE
from worker.web.live import Live
from worker.web.problems import tell_problems
from worker.web.reads import add_reads
from worker.web.session import Sessions
from worker.web.widget import PREFIX as WIDGET

Reload = Callable[[], Any]
Health = Callable[[], Mapping[str, str]]
"""Names what is wrong, each with why; empty: all is well."""


def make_app(
    hooks: HookEndpoint,
    widget: ASGIApp,
    *,
    alive: Health,
    ready: Health,
    exposition: Callable[[], bytes],
    calendar: Callable[[], bytes],
    run: Run,
    reload: Reload,
    access: Access,
    sessions: Sessions,
    desk: Desk,
    live: Live,
) -> Door:
    """
    Build the app.

    Args:
        alive: What would be mended by a restart.
        ready: What keeps it from doing its work now.
        exposition: The metrics, Prometheus text format.
        calendar: The maintenance windows, in the form of iCalendar.
        run: Does what a person asks.
        reload: Reads the rules again, and gives what came of it; raises ConfigError, and changes nothing then.
        access: What lets in whom.
        sessions: Those of browsers.
        desk: What is shown to people and programs.
        live: Tells browsers that something has changed.
    """
    app = FastAPI(title="statusbridge", docs_url=None, redoc_url=None, openapi_url=f"{API}/openapi.json")

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        return _verdict(alive())

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> Response:
        return _verdict({**alive(), **ready()})

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.post("/-/reload", include_in_schema=False)
    def reload_rules() -> Response:
        return JSONResponse(asdict(reload()))

    @app.get(CALENDAR, include_in_schema=False)
    def maintenance() -> Response:
        return Response(calendar(), media_type=MEDIA_TYPE, headers={"cache-control": "private"})

    add_commands(app, run)
    add_reads(app, desk, API)
    app.add_api_route(LIVE, live.answer, methods=["GET"], include_in_schema=False)
    Dashboard(desk, run, access, sessions).add(app)
    tell_problems(app)
    app.add_middleware(Guard, access=access, sessions=sessions)
    return Door(hooks, widget, app)


class Door:
    """
    Hooks and widgets go their own way, everything else through FastAPI: its layers cost an inbound a quarter of its
    time (``make bench``), and give it nothing.
    """

    def __init__(self, hooks: HookEndpoint, widget: ASGIApp, rest: FastAPI) -> None:
        self._plain: tuple[tuple[str, ASGIApp], ...] = ((PREFIX, hooks), (WIDGET, widget))
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            for prefix, endpoint in self._plain:
                if scope["path"].startswith(prefix):
                    await endpoint(scope, receive, send)
                    return
        await self.rest(scope, receive, send)


def _verdict(wrong: Mapping[str, str]) -> Response:
    return JSONResponse(
        {"status": "failing", "wrong": dict(wrong)} if wrong else {"status": "ok"}, 503 if wrong else 200
    )
