"""What becomes of a request when the page, the network or we ourselves misbehave."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from worker.core.model import Result
from worker.providers import _http
from worker.providers._outcomes import Answer, Unanswered, classify
from worker.providers._pace import Pace

from .raw import KEY, RawPage, Script, answering, http_to, resetting, response

GOOD = response(201, b'{"a": "b"}', "content-type: application/json")

REFUSED = {400, 404, 405, 406, 412, 413, 422}
DENIED = {401, 403}


def expected(status: int) -> Result:
    if status in range(200, 300):
        return Result.DONE
    if status == 429:
        return Result.NOT_SENT
    return Result.REFUSED if status in REFUSED else Result.DENIED if status in DENIED else Result.UNKNOWN


def result_of(url: str, **options: object) -> Result:
    return classify(http_to(url, **options).write("POST", "/x", b"{}"), echoed=True)


def test_every_status_has_exactly_the_result_of_the_table() -> None:
    results = {}
    with RawPage(lambda connection: None) as page:
        for status in range(200, 600):
            page.script = answering(response(status, b"" if status in (204, 304) else b"{}"))
            results[status] = result_of(page.url)
    assert results == {status: expected(status) for status in range(200, 600)}


@pytest.mark.parametrize("status", [100, 101, 199, 600, 799, 999])
def test_a_status_that_no_table_lists_is_unknown(status: int) -> None:
    with RawPage(answering(response(status))) as page:
        assert result_of(page.url) is Result.UNKNOWN


def test_a_2xx_that_is_no_echo_is_unknown() -> None:
    assert classify(Answer(status=201), echoed=False) is Result.UNKNOWN


@pytest.mark.parametrize("ending", [answering, resetting])
def test_an_answer_that_breaks_off_anywhere_is_unknown(ending: Callable[[bytes], Script]) -> None:
    with RawPage(lambda connection: None) as page:
        for length in range(len(GOOD)):
            page.script = ending(GOOD[:length])
            assert result_of(page.url) is Result.UNKNOWN, length
        page.script = answering(GOOD)
        assert result_of(page.url) is Result.DONE
        assert page.connections == len(page.requests) == len(GOOD) + 1


def test_what_never_reached_the_page_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert result_of(f"http://127.0.0.1:{port}") is Result.NOT_SENT

    def unresolved(*args: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    assert result_of("http://status.example") is Result.NOT_SENT

    def exhausted(*args: object, **options: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "create_connection", exhausted)
    assert result_of("http://127.0.0.1:1") is Result.NOT_SENT


def test_a_black_hole_was_not_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "CONNECT_TIMEOUT", 0.2)
    with socket.socket() as hole, socket.socket() as first, socket.socket() as second:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for filler in (first, second):  # the queue of those who wait to be accepted is full now
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        began = time.monotonic()
        assert result_of(f"http://127.0.0.1:{hole.getsockname()[1]}") is Result.NOT_SENT
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_failed_handshake_was_not_sent_and_is_not_downgraded(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: received.append(_greet(server, greeting)))
        received: list[bytes] = []
        thread.start()
        began = time.monotonic()
        assert result_of(f"https://127.0.0.1:{server.getsockname()[1]}", write_deadline=0.3) is Result.NOT_SENT
        assert time.monotonic() - began < 2
        thread.join(10)
    assert KEY.encode() not in received[0]
    assert b"HTTP" not in received[0]


def _greet(server: socket.socket, greeting: bytes) -> bytes:
    connection, _ = server.accept()
    with connection:
        connection.sendall(greeting)
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
        return received


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody trusts."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [openssl, "req", "-x509", *curve, *names, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


class TlsPage(RawPage):
    """A page behind TLS."""

    def __init__(self, script: Script, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__(script)
        self.url = self.url.replace("http:", "https:")

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            wrapped = self.context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        super()._serve(wrapped)


def test_an_untrusted_certificate_was_not_sent_to_and_a_trusted_one_is(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TlsPage(answering(GOOD), certificate) as page:
        assert result_of(page.url) is Result.NOT_SENT
        assert page.requests == []
        trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        monkeypatch.setattr(_http, "tls", lambda: trusting)
        assert result_of(page.url) is Result.DONE


def test_one_tls_context_serves_all_clients() -> None:
    assert _http.tls() is _http.tls()
    assert _http.tls().verify_mode is ssl.CERT_REQUIRED
    assert _http.tls().check_hostname


def dripping(data: bytes, page: Callable[[], RawPage]) -> Script:
    def script(connection: socket.socket) -> None:
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            if page().ended.wait(0.02):
                return

    return script


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 201 Created\r\n" + b"x-drop: y\r\n" * 1000,
        b"HTTP/1.1 201 Created\r\ncontent-length: 5000\r\n\r\n" + b" " * 5000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    ],
    ids=["head", "body", "continue"],
)
def test_a_drip_ends_at_the_deadline(data: bytes) -> None:
    with RawPage(lambda connection: None) as page:
        page.script = dripping(data, lambda: page)
        began = time.monotonic()
        assert result_of(page.url, write_deadline=0.3) is Result.UNKNOWN
        assert 0.25 < time.monotonic() - began < 1.5


def test_silence_ends_at_the_deadline_for_writes_and_reads() -> None:
    with RawPage(lambda connection: None) as page:
        page.script = lambda connection: page.ended.wait(5)  # type: ignore[assignment]
        http = http_to(page.url, write_deadline=0.2, read_deadline=0.1)
        for exchange, seconds in ((http.write("POST", "/x", b"{}"), "0.2"), (http.read("/x"), "0.1")):
            assert isinstance(exchange, Unanswered)
            assert exchange.sent, seconds


def test_a_deadline_that_passes_before_the_first_byte_was_not_sent() -> None:
    ticks = iter([0.0, 1.0, 31.0, 31.0])
    with RawPage(answering(GOOD)) as page:
        exchange = http_to(page.url, monotonic=lambda: next(ticks)).write("POST", "/x", b"{}")
        assert isinstance(exchange, Unanswered)
        assert (exchange.sent, "deadline of 30 s" in exchange.detail) == (False, True)
        assert page.requests == []


@pytest.mark.parametrize("head", [b"content-length: 999999999", b"transfer-encoding: chunked"])
def test_an_endless_body_is_cut_at_the_cap_and_unknown(head: bytes) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 201 Created\r\n" + head + b"\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    with RawPage(endless) as page:
        exchange = http_to(page.url).write("POST", "/x", b"{}")
    assert isinstance(exchange, Answer)
    assert (len(exchange.body), exchange.complete) == (1024 * 1024, False)
    assert classify(exchange, echoed=True) is Result.UNKNOWN


def test_a_compressed_answer_is_not_unpacked() -> None:
    with RawPage(answering(response(201, b"\x1f\x8b", "content-encoding: gzip"))) as page:
        exchange = http_to(page.url).write("POST", "/x", b"{}")
        assert isinstance(exchange, Answer)
        assert not exchange.complete
        assert b"accept-encoding: identity" in page.requests[0].lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with RawPage(answering(GOOD)) as other, RawPage(lambda connection: None) as page:
        page.script = answering(response(status, b"", f"location: {other.url}/x"))
        assert result_of(page.url) is Result.UNKNOWN
        assert (page.connections, other.connections) == (1, 0)


def test_every_request_has_a_connection_of_its_own_and_bears_no_cookie() -> None:
    keep = response(201, b"{}", "connection: keep-alive", "set-cookie: id=1; Path=/")
    with RawPage(answering(keep)) as page:
        http = http_to(page.url)
        for _ in range(5):
            http.write("POST", "/x", b"{}")
            http.read("/x")
        assert page.connections == len(page.requests) == 10
        assert not [request for request in page.requests if b"cookie" in request.lower()]
        assert all(b"connection: close" in request.lower() for request in page.requests)


def test_the_bytes_go_out_verbatim() -> None:
    body = '{"z":"é\\u00e9 ","a":1}'.encode()
    with RawPage(answering(GOOD)) as page:
        http_to(f"{page.url}/prefix/").write("PUT", "/v2/x/a%2Fb?q=1", body)
        head, _, sent = page.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"PUT /prefix/v2/x/a%2Fb?q=1 HTTP/1.1\r\n")
    assert f"authorization: Bearer {KEY}".lower().encode() in head.lower()
    assert b"content-type: application/json" in head.lower()


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawPage(answering(GOOD)) as proxy, RawPage(answering(GOOD)) as page:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert result_of(page.url) is Result.DONE
        assert proxy.connections == 0


def test_an_early_no_is_heard_although_the_page_did_not_read_on() -> None:
    """A page may answer 413 and close before it has read the body."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(response(413, b"{}"))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        exchange = http_to(f"http://127.0.0.1:{server.getsockname()[1]}").write("POST", "/x", b"x" * 3_000_000)
        thread.join(10)
    assert classify(exchange, echoed=True) is Result.REFUSED


def test_the_key_is_in_no_text_whatever_the_page_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    echo = response(422, f'{{"m": "{KEY}"}}'.encode(), f"content-type: {KEY}", f"retry-after: {KEY}")
    with RawPage(answering(echo)) as page:
        http = http_to(page.url)
        told += [http.write("POST", "/x", b"{}"), http.read("/x")]
        page.script = answering(f"HTTP/1.1 {KEY} {KEY}\r\n\r\n".encode())
        told.append(http.write("POST", "/x", b"{}"))
        page.script = answering(GOOD)
        told += [http.write("POST", "/x", b"{}"), http, http._client]
        told.append([getattr(each, "body", b"") for each in told])
    assert KEY not in repr(told) + str(told) + caplog.text
    assert caplog.records == []


@pytest.mark.parametrize("key", ["", "two words", "a\r\nX-Evil: 1", "a\n", "clé", "\x7f"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        _http.Http("https://api.example", key, clock=no_clock)
    assert not key or key not in str(caught.value)


def no_clock() -> datetime:
    raise AssertionError("no clock is needed")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.incident.io",
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x?q=1",
        "https://x#f",
        "https://[",
        "http://x:y",
    ],
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address of the API"):
        http_to(url)


def test_after_429_everything_of_the_key_waits_and_says_until_when() -> None:
    moment = [0.0]
    pace = Pace(monotonic=lambda: moment[0], sleep=lambda seconds: pytest.fail("a sleeping thread"))
    with RawPage(answering(response(429, b"{}", "retry-after: 60"))) as page, RawPage(answering(GOOD)) as other:
        assert result_of(page.url, pace=pace) is Result.NOT_SENT
        for held in (
            http_to(other.url, pace=pace).write("POST", "/x", b"{}"),
            http_to(other.url, pace=pace).read("/x"),
        ):
            assert isinstance(held, Unanswered)
            assert not held.sent
            assert held.retry_at is not None
            assert (held.retry_at.minute, held.retry_at.second) == (1, 0)
        assert other.connections == 0
        moment[0] = 60.0
        assert result_of(other.url, pace=pace) is Result.DONE
