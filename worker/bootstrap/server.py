"""
A worker's HTTP server, in the foreground or in a thread.
"""

from __future__ import annotations

import errno
import gc
import json
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from worker.bootstrap import run_file_of
from worker.bootstrap.worker import Worker
from worker.errors import ConfigError
from worker.web.server import Server, bound

LOG = structlog.get_logger("worker")


def serve(worker: Worker, started: Callable[[str], None] = lambda url: None) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    Args:
        started: Called with the address once the server listens.

    Raises:
        ConfigError: It cannot listen there; then nothing was done yet.
    """
    settings = worker.settings
    try:
        sockets = bound(settings.host, settings.port)
    except OSError as taken:
        worker.ledger.close()
        where, known = f"{settings.host}:{settings.port}", taken.errno in errno.errorcode
        why = os.strerror(taken.errno or 0) if known else taken.strerror
        raise ConfigError(f"cannot listen on {where}: {why}; choose another --port or --host") from None
    run_file = run_file_of(worker.settings.ledger)

    def listening(url: str) -> None:
        if run_file is not None:
            _write_private(run_file, json.dumps({"url": url, "pid": os.getpid(), "token": worker.run_token}))
        rules = worker.rules
        pages = ", ".join(f"{name} ({page.publish})" for name, page in rules.pages.items())
        holds = {"rules": len(rules.rules), "windows": len(rules.maintenance), "sources": ", ".join(rules.sources)}
        LOG.info("listening", url=url, revision=rules.hash[:12], pages=pages, **holds)
        started(url)

    # What was loaded stays: no collection needs to look at it again.
    gc.collect()
    gc.freeze()
    worker.start()
    try:
        Server(worker.app, worker.settings.host, worker.settings.port, listening, worker.live.end).run(sockets)
    finally:
        for each in sockets:
            each.close()
        worker.stop()
        if run_file is not None:
            run_file.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
