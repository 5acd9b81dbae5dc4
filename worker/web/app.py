"""
The HTTP surface: one FastAPI app, in which the hook route is a plain endpoint.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.hooks import PREFIX, HookEndpoint

OPEN_PATHS = ("/healthz", "/readyz")

Health = Callable[[], Mapping[str, str]]
"""Names what is wrong, each with why; empty: all is well."""


def make_app(
    hooks: HookEndpoint, *, alive: Health, ready: Health, exposition: Callable[[], bytes], admin_token: str = ""
) -> Door:
    """
    Build the app.

    Args:
        alive: What would be mended by a restart.
        ready: What keeps it from doing its work now.
        exposition: The metrics, Prometheus text format.
        admin_token: Asked for everything but hooks and health; "": not asked.
    """
    app = FastAPI(title="statusbridge", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")

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
    return Door(hooks, app)


class Door:
    """
    Hooks go their own way, everything else through FastAPI: its layers cost an inbound a quarter of its time
    (``make bench``), and give it nothing.
    """

    def __init__(self, hooks: HookEndpoint, rest: FastAPI) -> None:
        self._hooks = hooks
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        hook = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._hooks if hook else self.rest)(scope, receive, send)


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
