"""
The HTTP surface: one FastAPI app, in which the hook route is a plain endpoint.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse
from starlette.routing import Route

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
        _guard(app, admin_token)
    return app


def _verdict(wrong: Mapping[str, str]) -> Response:
    return JSONResponse(
        {"status": "failing", "wrong": dict(wrong)} if wrong else {"status": "ok"}, 503 if wrong else 200
    )


def _guard(app: FastAPI, token: str) -> None:
    expected = f"Bearer {token}".encode()

    @app.middleware("http")
    async def admin(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if not request.url.path.startswith(OPEN_PATHS) and not hmac.compare_digest(given, expected):
            return JSONResponse({"error": "admin token needed"}, 401, {"www-authenticate": "Bearer"})
        return await call_next(request)
