"""Receivers of notices: real HTTP on loopback, deadlines that nothing outlasts, and no word of the address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.leaks import CHAT
from tests.unit.web.site import Site
from worker.bootstrap import load_rules
from worker.bootstrap.notifying import Heart, link_to, receivers
from worker.core.model import Notice, Severity
from worker.errors import ConfigError, LedgerUnavailable
from worker.ports import Receipt, Told
from worker.receivers import FORMATS, Heartbeat, Webhook, checked

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECRET = CHAT
HELD = Notice(code="held", subject="shop@main#1", text="it is held: <!channel> & why|x", severity=Severity.ERROR)


class Chat(BaseHTTPRequestHandler):
    """Takes whatever is posted; what it answers is set by the test."""

    status: int | list[int] = 200
    headers_too: dict[str, str] = {}
    taken: list[tuple[str, str, bytes]] = []
    drips: threading.Event | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        type(self).taken.append((self.command, self.path, body))
        if self.drips is not None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.drips.wait(0.02):
                self.wfile.write(b"x: y\r\n")
            return
        self.send_response(self.status if isinstance(self.status, int) else self.status[0])
        for name, value in self.headers_too.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def chat(**answer: Any) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    handler = type("Handler", (Chat,), {"taken": [], **answer})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{SECRET}", handler.taken  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def told(notice: Notice = HELD, link: str = "https://bridge.example.com/story?of=shop%40main%231") -> Told:
    return Told(at=NOW, notice=notice, link=link)


def webhook(address: str, format_: str = "slack", deadline: float = 5) -> Webhook:
    return Webhook(address, format_, lambda: NOW, deadline)


def test_slack_gets_one_line_for_each_notice_in_which_nothing_of_a_notice_is_markup() -> None:
    with chat() as (address, taken):
        over = Notice(code="held", subject="a|b", text="over", over=True)
        assert webhook(address).tell([told(), told(over, "")], 3) == Receipt(taken=True)
    ((method, path, body),) = taken
    assert (method, path) == ("POST", f"/{SECRET}")
    assert json.loads(body) == {
        "text": "(3 older notices are not told here: `statusbridge notices`)\n"
        "🔴 <https://bridge.example.com/story?of=shop%40main%231|shop@main#1>: "
        "it is held: &lt;!channel&gt; &amp; why¦x (2026-11-23 10:00:00 UTC, held)\n"
        "✅ *a¦b*: over (2026-11-23 10:00:00 UTC, held)"
    }


def test_programs_get_fields() -> None:
    with chat() as (address, taken):
        assert webhook(address, "json").tell([told()], 0).taken
    assert json.loads(taken[0][2]) == {
        "version": 1,
        "dropped": 0,
        "notices": [
            {
                "at": "2026-11-23T10:00:00+00:00",
                "code": "held",
                "about": "shop@main#1",
                "severity": "error",
                "over": False,
                "text": HELD.text,
                "link": "https://bridge.example.com/story?of=shop%40main%231",
            }
        ],
    }


@pytest.mark.parametrize("format_", sorted(FORMATS))
def test_no_text_is_too_long_or_too_odd_to_be_told(format_: str) -> None:
    odd = Notice(code="x", subject="\ud800\x00", text="\ud800" * 100_000)
    body = FORMATS[format_]([Told(at=NOW, notice=odd)] * 20, 0)
    assert json.loads(body)
    if format_ == "slack":
        assert len(body) < 40_000


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_what_is_not_taken_says_why_without_the_address(status: int) -> None:
    with chat(status=status, headers_too={"location": "http://127.0.0.1:1/"}) as (address, taken):
        receipt = webhook(address).tell([told()], 0)
    assert receipt == Receipt(taken=False, detail=f"127.0.0.1: {status}")
    assert len(taken) == 1


@pytest.mark.parametrize(("wait", "later"), [("30", 30), ("86400", 600), ("soon", None), ("٣", None)])
def test_a_receiver_may_ask_for_patience_up_to_a_limit(wait: str, later: int | None) -> None:
    with chat(status=429, headers_too={"retry-after": wait.encode().decode("latin-1")}) as (address, _):
        receipt = webhook(address).tell([told()], 0)
    assert receipt.retry_at == (NOW + timedelta(seconds=later) if later else None)


def test_one_byte_at_a_time_does_not_outlast_the_deadline() -> None:
    end = threading.Event()
    with chat(drips=end) as (address, _):
        receipt = webhook(address, deadline=0.3).tell([told()], 0)
        end.set()
    assert receipt == Receipt(taken=False, detail="127.0.0.1: no answer within 0.3 s")


def test_a_receiver_that_is_not_there_is_no_exception_and_its_address_no_word() -> None:
    hook = webhook(f"http://127.0.0.1:1/{SECRET}")
    receipt = hook.tell([told()], 0)
    assert not receipt.taken
    assert SECRET not in f"{receipt} {hook!r} {Heartbeat(f'http://127.0.0.1:1/{SECRET}', lambda: NOW)!r}"


@pytest.mark.parametrize(
    "address", ["", "hooks.example.com/x", "http://hooks.example.com/x", "ftp://h/x", "https://h/a b", "https://[x"]
)
def test_an_address_that_cannot_be_used_is_told_with_its_place_and_without_its_value(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError):
        checked(address)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "rules.yaml").write_text('notices: [{webhook: "${CHAT}"}]\n')
    with pytest.raises(ConfigError) as wrong:
        receivers(load_rules(rules), {"CHAT": address and address + SECRET}, lambda: NOW)
    assert "rules.yaml:1:21" in str(wrong.value)
    assert SECRET not in str(wrong.value)


def test_links_lead_to_what_a_notice_is_about() -> None:
    assert link_to("https://b.example.com/", HELD) == "https://b.example.com/story?of=shop%40main%231"
    assert link_to("https://b.example.com", Notice(code="page_wrong", subject="main", text="")).endswith("/notices")
    rules = Notice(code="rules_refused", subject="/etc/statusbridge/rules", text="")
    assert link_to("https://b.example.com", rules) == "https://b.example.com/notices"
    assert link_to("", HELD) == ""
    assert {"/story", "/notices"} <= {getattr(route, "path", "") for route in Site().app.rest.routes}


# -- the heartbeat


class Beats:
    """Counts instead of calling."""

    def __init__(self) -> None:
        self.count = 0

    def beat(self) -> Receipt:
        self.count += 1
        return Receipt(taken=True)


def test_it_beats_while_all_is_well_and_every_receiver_hears() -> None:
    now, wrong, unheard = [NOW], [{}], [False]
    beats = Beats()
    hearts: Any = ((beats, timedelta(minutes=1)),)
    heart = Heart(lambda: hearts, lambda: wrong[0], lambda since: unheard[0], lambda: now[0])

    def beaten(seconds: float = 60) -> int:
        before = beats.count
        now[0] += timedelta(seconds=seconds)
        assert heart() is False
        return beats.count - before

    assert beaten() == 1
    assert beaten(59) == 0
    assert beaten(1) == 1
    wrong[0] = {"page main": "cannot be reached"}
    assert beaten() == 0
    wrong[0] = {}
    assert beaten(0) == 1
    unheard[0] = True
    assert beaten() == 0
    unheard[0] = False
    assert beaten(-3600) == 1

    def gone(since: datetime) -> bool:
        raise LedgerUnavailable

    assert Heart(lambda: hearts, dict, gone, lambda: now[0])() is False
    assert beats.count == 4


def test_a_beat_is_a_plain_call() -> None:
    with chat() as (address, taken):
        assert Heartbeat(address, lambda: NOW).beat().taken
    assert taken == [("GET", f"/{SECRET}", b"")]
