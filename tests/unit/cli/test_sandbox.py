"""``sandbox`` in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request

from .desk import Desk

START = [sys.executable, "-m", "worker", "sandbox"]


def test_it_prints_where_it_is_and_ends_in_peace() -> None:
    with subprocess.Popen([*START, "--port", "0", "--fault", "slow=0"], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            told = [running.stdout.readline() for _ in range(4)]
            url = told[0].split()[-1]
            with urllib.request.urlopen(url, timeout=5) as page:
                assert b"Acme Status" in page.read()
            assert "sandbox-key" in told[2]
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0


def test_an_address_that_is_taken_is_a_wrong_call(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = desk("sandbox", "--port", port)
    assert said.code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said.err


def test_wrong_faults_and_switches_are_named(desk: Desk) -> None:
    assert "no such fault" in desk("sandbox", "--fault", "flood=1").err
    assert "no such switch" in desk("sandbox", "--switch", "colour=red").err
