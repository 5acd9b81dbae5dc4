"""
Secrets that are found again, and the search for them in all that a run has left behind.

Every secret of the tests with real processes is one of ``CANARIES``. Whatever such a run prints, writes to a file or
says on a page is kept here, and searched at the end of the session.
"""

from __future__ import annotations

import base64
import logging
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from worker.sandbox import DEFAULT, SandboxServer, State, build_pages
from worker.sandbox.server import utc_now

TOKEN = "canary-token-5f3a+90c1/e7d2"
PAGE_KEY = "canary-page-key-81b4+d0aa/93"
ADMIN_TOKEN = "canary-admin-6c2e+77f0/1d"
CHAT = "canary-chat-T0-B0-77aa"
CANARIES = (TOKEN, PAGE_KEY, ADMIN_TOKEN, CHAT)

OWN = ("alertmanager.yml", "input.json")
"""Files in which a test itself gives a sender its token."""


@dataclass
class Left:
    """
    What a session has left behind beside files.

    Args:
        printed: What processes and log lines said, each by where it comes from.
        pages: Gives what each page that was written to has, and has been asked.
    """

    printed: list[tuple[str, str]] = field(default_factory=list)
    pages: list[Callable[[], str]] = field(default_factory=list)


LEFT = Left()


def _written(secret: str) -> set[bytes]:
    """The ways in which a secret may stand there."""
    encoded = {base64.b64encode(text.encode()).decode() for text in (secret, f"{secret}:", f":{secret}")}
    return {text.encode() for text in (secret, quote(secret, safe=""), secret.encode().hex(), *encoded)}


def found(left: Left, files: Iterable[Path], canaries: Iterable[str] = CANARIES) -> list[str]:
    """Give each place where a secret stands, without the secret."""
    forms = {form for canary in canaries for form in _written(canary)}
    texts = {
        **{f"file {path}": path.read_bytes() for path in files if path.is_file() and path.name not in OWN},
        **{f"{where} ({number})": text.encode() for number, (where, text) in enumerate(left.printed)},
        **{f"page {number}": said().encode() for number, said in enumerate(left.pages)},
    }
    return sorted(where for where, text in texts.items() if any(form in text for form in forms))


class _Lines(logging.Handler):
    def __init__(self, left: Left) -> None:
        super().__init__(logging.DEBUG)
        self._left = left

    def emit(self, record: logging.LogRecord) -> None:
        self._left.printed.append(("log line", record.getMessage()))


@contextmanager
def kept(left: Left) -> Iterator[None]:
    """Keep what processes print that are waited for, and what is logged in this process."""
    run, handler = subprocess.run, _Lines(left)

    def noted(*args: Any, **options: Any) -> Any:
        done = run(*args, **options)
        for text in (done.stdout, done.stderr):
            if text:
                left.printed.append((f"output of {done.args!r:.80}", text if isinstance(text, str) else text.decode()))
        return done

    subprocess.run = noted
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        subprocess.run = run
        logging.getLogger().removeHandler(handler)


@contextmanager
def rehearsed_page(port: int = 0, left: Left = LEFT) -> Iterator[SandboxServer]:
    """A page that takes PAGE_KEY alone; what it has in the end is searched."""
    state = State(build_pages(DEFAULT, utc_now()), api_key=PAGE_KEY)
    left.pages.append(lambda: _all_of(state))
    with SandboxServer(state, port=port) as server:
        yield server


def _all_of(state: State) -> str:
    asked: list[Mapping[str, Any]] = [
        {"path": r.path, "query": r.query, "headers": r.headers, "body": r.body} for r in state.requests
    ]
    return repr([list(state.incidents.shelf.all()), list(state.maintenances.shelf.all()), list(state.mails), asked])
