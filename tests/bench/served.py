"""A worker with a route beside its hooks that does nothing: the ceiling. Run as its own process; prints its address."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from worker.bootstrap.server import serve
from worker.bootstrap.worker import Worker
from worker.settings import Settings
from worker.telemetry import set_up_logs

WIDGET_TTL_S = 1.0


async def noop(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer what an accepted inbound is answered."""
    while (await receive()).get("more_body"):
        pass
    body = b'{"accepted":1,"duplicates":0}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Noop:
    """An endpoint of the same make as the hooks'."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await noop(scope, receive, send)


if __name__ == "__main__":
    rules, ledger = sys.argv[1:3]
    set_up_logs("console", "error")
    settings = Settings(rules=Path(rules), ledger=ledger, port=0, backlog=10_000_000, widget_ttl=WIDGET_TTL_S)
    worker = Worker(settings, environ=os.environ)
    worker.app.rest.router.routes.append(Route("/noop", Noop(), methods=["GET", "POST"]))
    serve(worker, lambda url: print(url, flush=True))
