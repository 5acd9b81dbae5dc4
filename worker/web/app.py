"""
The HTTP surface: one FastAPI app, in which the hook route is a plain endpoint.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.hooks import HookEndpoint

OPEN_PATHS = ("/hooks/", "/healthz", "/readyz")

Health = Callable[[], Mapping[str, str]]
"""Names what is wrong, each with why; empty: all is well."""


def make_app(
    hooks: HookEndpoint, *, alive: Health, ready: Health, exposition: Callable[[], bytes], admin_token: str = ""
) -> FastAPI:
    """
    Build the app.

    Args:
        alive: What would be mended by a restart.
        ready: What keeps it from doing its work now.
        exposition: The metrics, Prometheus text format.
        admin_token: Asked for everything but hooks and health; "": not asked.
    """
    app = FastAPI(title="statusbridge", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.router.routes.append(Route("/hooks/{source}", hooks, methods=["POST", "PUT"]))

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        return _verdict(alive())

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> Response:
        return _verdict({**alive(), **ready()})

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if admin_token:
        app.add_middleware(_Guard, token=admin_token)
    return app


def _verdict(wrong: Mapping[str, str]) -> Response:
    return JSONResponse(
        {"status": "failing", "wrong": dict(wrong)} if wrong else {"status": "ok"}, 503 if wrong else 200
    )


class _Guard:
    """Asks for the admin token; plain ASGI, so that hooks pass through it untouched."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS) or self._allowed(scope):
            await self._app(scope, receive, send)
        else:
            refusal = JSONResponse({"error": "admin token needed"}, 401, {"www-authenticate": "Bearer"})
            await refusal(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)
