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

from worker.bootstrap import run_file_of
from worker.bootstrap.worker import Worker
from worker.web.server import Server

LOG = structlog.get_logger("worker")


def serve(worker: Worker, started: Callable[[str], None] = lambda url: None) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    Args:
        started: Called with the address once the server listens.
    """
    run_file = run_file_of(worker.settings.ledger)

    def listening(url: str) -> None:
        if run_file is not None:
            _write_private(run_file, json.dumps({"url": url, "pid": os.getpid(), "token": worker.run_token}))
        LOG.info("listening", url=url, rules=worker.rules.hash[:12])
        started(url)

    # What was loaded stays: no collection needs to look at it again.
    gc.collect()
    gc.freeze()
    worker.start()
    try:
        Server(worker.app, worker.settings.host, worker.settings.port, listening, worker.live.end).run()
    finally:
        worker.stop()
        if run_file is not None:
            run_file.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
