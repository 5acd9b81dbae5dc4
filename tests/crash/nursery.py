"""Where workers are brought up, one after the other; see ``killed``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import SECRETS, until


@dataclass
class Alive:
    """A worker."""

    pid: int = 0
    url: str = ""
    ended: bool = False

    def kill(self) -> None:
        """End it as a power failure would, as far as the process can tell."""
        until(lambda: self.pid or self.ended, "a worker born", 120)
        if not self.ended:
            with suppress(ProcessLookupError):  # it may have died by itself just now
                os.kill(self.pid, signal.SIGKILL)
        until(lambda: self.ended or not Path(f"/proc/{self.pid}").exists(), "a worker dead", 120)
        self.ended = True


class Nursery:
    """Brings up the workers of one ledger."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._newest = Alive()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def worker(self, point: str = "-", visits: int = 1) -> Alive:
        """Bring up a worker, which dies by itself when it comes to *point* so often; the last one must be dead."""
        assert self._process.stdin is not None
        self._newest = Alive()
        self._process.stdin.write(f"{point} {visits}\n")
        self._process.stdin.flush()
        return self._newest

    def close(self) -> None:
        """End it, and the worker that is alive."""
        try:
            if self._newest.pid and not self._newest.ended:
                self._newest.kill()
        finally:
            self._process.kill()
            self._listener.join(10)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "pid":
                self._newest.pid = int(rest)
            elif word.startswith("http://"):
                self._newest.url = word
            elif word == "ended" and self._newest.pid == int(rest):
                self._newest.ended = True
        self._newest.ended = True


@contextmanager
def nursery(rules: Path, ledger: Path, tree: Path | None) -> Iterator[Nursery]:
    """
    Open one for the length of a block.

    Args:
        tree: Where the source is; None: here.
    """
    command = [sys.executable, "-m", "tests.crash.killed", str(rules), str(ledger)]
    environ = {**os.environ, **SECRETS}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # of what they tell about, the page is asked
        text=True,
        env=environ,
        cwd=tree,
    ) as process:
        place = Nursery(process)
        try:
            yield place
        finally:
            place.close()
