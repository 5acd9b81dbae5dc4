"""The server listens before the worker does anything, and says where and for what."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from worker.bootstrap.server import serve
from worker.bootstrap.worker import Worker
from worker.errors import ConfigError
from worker.ledger import open_ledger
from worker.settings import Settings
from worker.web.server import Server

RULES = """
pages:
  main: {provider: incident_io, page: Acme, api_key: "${KEY}", publish: shadow, components: {api: API}}
sources:
  alerts: {kind: alertmanager, auth: none}
rules:
  - id: api
    source: alerts
    incident: {page: main, components: {api: full_outage}, title: Down, say: {open: We look., resolve: Over.}}
"""


class Still(Worker):
    """Counts its starts, and starts nothing."""

    starts = 0

    def start(self) -> None:
        self.starts += 1


def still(folder: Path, port: int) -> Still:
    (folder / "rules").mkdir()
    (folder / "rules/rules.yaml").write_text(RULES)
    settings = Settings(rules=folder / "rules", ledger=f"sqlite:///{folder}/ledger.db", port=port)
    return Still(settings, environ={"KEY": "k"})


def test_where_the_port_is_taken_nothing_is_begun_and_the_ledger_is_let_go(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = still(tmp_path, port)
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use; choose"):
            serve(worker)
    assert worker.starts == 0
    open_ledger(worker.settings.ledger, clock=lambda: worker._clock()).close()
    assert not (tmp_path / "ledger.db.run").exists()


def test_one_line_of_the_log_says_where_it_listens_and_for_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = still(tmp_path, 0)
    monkeypatch.setattr(Server, "run", lambda server, sockets: server._tell(f"port {sockets[0].getsockname()[1] > 0}"))
    monkeypatch.setattr(worker, "stop", worker.ledger.close)
    log = CapturingLogger()
    monkeypatch.setattr("worker.bootstrap.server.LOG", log)
    serve(worker)
    ((method, args, line),) = log.calls
    assert (method, args) == ("info", ("listening",))
    assert line == {
        "url": "port True",
        "revision": worker.rules.hash[:12],
        "rules": 1,
        "windows": 0,
        "sources": "alerts",
        "pages": "main (shadow)",
    }
