"""How commands that change something find their way: a worker, none, a dead one, somebody else's ledger."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from worker.cli import asking
from worker.core.model import PAUSE
from worker.ledger import open_ledger

from .desk import START, Desk

HOLD = """
import sys
from worker.ledger.lock import FileLock
from pathlib import Path
lock = FileLock(Path("own.db"))
print("held", flush=True)
sys.stdin.read()
"""


def pauses() -> list[str]:
    ledger = open_ledger("sqlite:///own.db", clock=lambda: START, read_only=True)
    try:
        return [str(flag.value) for flag in ledger.flags(PAUSE)]
    finally:
        ledger.close()


def test_without_a_worker_the_command_writes_itself(desk: Desk, ledger: str) -> None:
    said = desk("pause", "--by", "ann")
    assert (said.code, pauses()) == (0, ["ann"]), said.err
    assert desk("resume").out == "all pages are written to again\n"
    assert pauses() == []


def test_who_asks_is_who_is_logged_in(desk: Desk, ledger: str) -> None:
    desk("pause", LOGNAME="carl")
    assert pauses() == ["carl"]


def test_a_page_is_looked_up_in_the_rules(desk: Desk, ledger: str, rules: Path) -> None:
    assert desk("pause", "--page", "main").code == 0
    said = desk("pause", "--page", "mian")
    assert (said.code, said.err) == (1, "there is no page `mian`; did you mean `main`?\n")


def test_rules_that_are_wrong_do_not_keep_anybody_from_pausing_everything(desk: Desk, ledger: str) -> None:
    Path("rules").mkdir()
    Path("rules/rules.yaml").write_text("nonsense: [")
    assert desk("pause").code == 0
    assert desk("resume").code == 0
    assert desk("pause", "--page", "main").code == 2


def test_a_ledger_that_is_not_there_is_not_made(desk: Desk) -> None:
    said = desk("pause", "--ledger", "sqlite:///lost.db")
    assert said.code == 2
    assert "there is no ledger here" in said.err
    assert not Path("lost.db").exists()


def test_the_ledger_of_another_user_is_left_alone(desk: Desk, ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    said = desk("pause")
    assert said.code == 2
    assert f"belongs to user {Path('own.db').stat().st_uid}; run this as that user: sudo -u" in said.err


def test_whoever_may_read_what_the_worker_left_may_ask_it(
    desk: Desk, answering: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(200, {"said": ["well"], "sending": []})
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert desk("pause").out == "well\n"


def test_what_a_dead_worker_left_is_passed_over(desk: Desk, ledger: str) -> None:
    Path("own.db.run").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 999_999_999, "token": "t"}))
    Path("own.db.lock").write_text("999999999\n")
    assert desk("pause").code == 0
    assert len(pauses()) == 1


@pytest.fixture
def held(desk: Desk, ledger: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Another process holds the ledger; its pid."""
    monkeypatch.setattr(asking, "PATIENCE_S", 0.3)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.communicate()


def left(pid: int, url: str) -> None:
    Path("own.db.run").write_text(json.dumps({"url": url, "pid": pid, "token": "secret-of-the-run-file"}))


def test_a_ledger_whose_holder_listens_nowhere_is_told_with_its_holder(desk: Desk, held: int) -> None:
    said = desk("pause")
    assert said.code == 2
    assert f"held by process {held}" in said.err


def test_a_run_file_of_another_process_than_the_holder_is_not_believed(
    desk: Desk, held: int, answering: Callable[..., list[Any]]
) -> None:
    asked = answering(200, {"said": [], "sending": []}, pid=held + 1)
    assert desk("pause").code == 2
    assert asked == []


@pytest.fixture
def answering(held: int) -> Iterator[Callable[..., list[Any]]]:
    """Let the holder answer over HTTP; gives what it was asked."""
    servers: list[HTTPServer] = []

    def start(status: int, body: object, pid: int = 0) -> list[Any]:
        asked: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                asked.append((self.path, self.headers["authorization"], json.loads(self.rfile.read(length))))
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        left(pid or held, f"http://127.0.0.1:{server.server_port}")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_holder_is_asked_with_its_token_and_its_answer_told(
    desk: Desk, answering: Callable[..., list[Any]]
) -> None:
    asked = answering(200, {"said": ["well", "done"], "sending": []})
    said = desk("pause", "--by", "ann", "--page", "main")
    assert (said.code, said.out) == (0, "well\ndone\n"), said.err
    body = {"by": "ann", "page": "main", "reason": ""}
    assert asked == [("/api/v1/pause", "Bearer secret-of-the-run-file", body)]


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (404, {"detail": "no such thing"}, 1, "no such thing"),
        (409, {"detail": "it is done already"}, 1, "it is done already"),
        (422, {"detail": "#/by: too long"}, 2, "#/by: too long"),
        (503, {"detail": "disk full"}, 1, "disk full"),
        (500, b"<html>", 1, "answered 500 without a reason"),
        (401, {"detail": "the admin token is needed"}, 1, "the admin token is needed"),
    ],
)
def test_what_the_holder_refuses_has_its_exit_code_and_no_traceback(
    desk: Desk, answering: Callable[..., list[Any]], status: int, body: object, code: int, words: str
) -> None:
    answering(status, body)
    said = desk("pause")
    assert said.code == code
    assert words in said.err
    assert "secret-of" not in said.err


def test_a_holder_that_closes_the_connection_leaves_no_doubt_that_nothing_is_known(desk: Desk, held: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        left(held, f"http://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        said = desk("pause")
    assert said.code == 1
    assert "did not answer" in said.err
    assert "whether it has done it, `statusbridge history` shows" in said.err


def test_a_holder_that_listens_no_more_is_told(desk: Desk, held: int) -> None:
    left(held, "http://127.0.0.1:9")
    said = desk("pause")
    assert said.code == 1
    assert "nobody answers at http://127.0.0.1:9" in said.err
    assert "nothing was done" in said.err
