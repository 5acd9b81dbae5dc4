"""What is fetched for webhooks: little, briefly, and from nowhere else than where it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from worker.web.errands import MOST_BYTES, get


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = {"/good": (200, b"pem"), "/long": (200, b"x" * (MOST_BYTES + 1))}.get(self.path, (302, b""))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/good")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def there() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_small_answer_is_given(there: str) -> None:
    assert get(f"{there}/good") == b"pem"


@pytest.mark.parametrize("path", ["/long", "/moved"])
def test_what_is_too_long_or_lies_elsewhere_is_none(there: str, path: str) -> None:
    with pytest.raises(OSError):
        get(there + path)


def test_nobody_there_is_none() -> None:
    with pytest.raises(OSError):
        get("http://127.0.0.1:9/")
