"""
A worker's HTTP server, in the foreground or in a thread.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from pathlib import Path

import structlog
import uvicorn

from worker.bootstrap import run_file_of
from worker.bootstrap.worker import Worker

LOG = structlog.get_logger("worker")


class _Server(uvicorn.Server):
    """Tells once where it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._tell(f"http://{host}:{port}")


def make_server(worker: Worker, started: Callable[[str], None]) -> uvicorn.Server:
    """
    Make the HTTP server of a worker; ``run()`` serves until ``should_exit`` is set or a signal comes.

    Args:
        started: Called with the address once the server listens.
    """
    settings = worker.settings
    config = uvicorn.Config(
        worker.app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
    )
    return _Server(config, started)


def serve(worker: Worker, started: Callable[[str], None] = lambda url: None) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    Args:
        started: Called with the address once the server listens.
    """
    run_file = run_file_of(worker.settings.ledger)

    def listening(url: str) -> None:
        if run_file is not None:
            _write_private(run_file, json.dumps({"url": url, "pid": os.getpid()}))
        LOG.info("listening", url=url, rules=worker.rules.hash[:12])
        started(url)

    # What was loaded stays: no collection needs to look at it again.
    gc.collect()
    gc.freeze()
    worker.start()
    try:
        make_server(worker, listening).run()
    finally:
        worker.stop()
        if run_file is not None:
            run_file.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
