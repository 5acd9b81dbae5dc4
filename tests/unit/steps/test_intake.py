"""An inbound is verified, read as far as it can be, and on disk before anybody is told that it was accepted."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.steps.rig import HEAD, START, Rig, alert, notification, rule
from worker.core.model import Inbound
from worker.errors import Overloaded, SignatureInvalid, SourceUnknown
from worker.ledger import open_ledger
from worker.ports import Entry
from worker.steps.intake import Intake, Receipt

Make = Callable[..., Rig]
CANARY = "canary-5f1d"


def secured(rig: Rig, auth: str) -> Rig:
    """Give the pipeline a source ``safe`` that asks for a secret."""
    head = HEAD.replace("rules:\n", f"  safe: {{kind: alertmanager, auth: {auth}}}\nrules:\n")
    rig.use(rule(), head)
    config = rig.rules.sources["safe"]
    found = rig.endpoints["safe"]
    rig.endpoints["safe"] = type(found)(config, found.source, (CANARY,))
    return rig


def on_disk(path: Path) -> bytes:
    """Give every byte of the ledger's files."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rules name as a secret."""
    monkeypatch.setattr("tests.unit.steps.rig.endpoints", _endpoints)


def _endpoints(rules: object, environ: dict[str, str]) -> object:
    from worker.bootstrap import endpoints

    return endpoints(rules, {**environ, "CANARY": CANARY})  # type: ignore[arg-type]


def test_what_is_accepted_is_on_disk_when_it_is_answered(make: Make, tmp_path: Path) -> None:
    rig = make()
    assert rig.receives("alerts", notification(alert("a"), alert("b"))) == Receipt(2, 0, unparsed=0)
    copy = tmp_path / "power-failure.db"
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{rig.path}{suffix}", f"{copy}{suffix}")
    survivor = open_ledger(f"sqlite:///{copy}", clock=rig.clock)
    try:
        assert [inbound.source for inbound in survivor.pending(10)] == ["alerts"]
    finally:
        survivor.close()


def test_the_same_bytes_without_stamps_are_recorded_again_because_they_may_be_news(make: Make) -> None:
    """An alert that expired and is back with its old start is told by the very same bytes."""
    rig = make()
    body = notification(alert("a"), alert("b"))
    assert rig.receives("alerts", body) == Receipt(2, 0, unparsed=0)
    rig.now += timedelta(seconds=5)
    assert rig.receives("alerts", body) == Receipt(2, 0, unparsed=0)
    assert len(rig.ledger.pending(10)) == 2


def test_the_same_bytes_much_later_are_a_new_inbound(make: Make) -> None:
    rig = make()
    body = notification(alert("a"))
    rig.receives("alerts", body)
    rig.now += timedelta(minutes=11)
    assert rig.receives("alerts", body) == Receipt(1, 0, unparsed=0)


def test_the_same_bytes_are_news_where_they_name_no_occurrence(make: Make) -> None:
    rig = make()
    for _ in range(2):
        assert rig.receives("words", {"words": [{"key": "k", "status": "firing"}]}).accepted == 1


def test_the_same_bytes_are_news_where_a_header_makes_them_say_something_else(make: Make) -> None:
    rig = make()
    head = HEAD.replace(
        "rules:\n",
        """  headed:
    kind: json
    auth: none
    event: {key: body.k, status: 'headers["x-state"]', occurred_at: body.t}
rules:
""",
    )
    rig.use(rule(match="{source: headed}"), head)
    body = {"k": "k", "t": START.isoformat()}
    assert rig.receives("headed", body, headers={"x-state": "firing"}).accepted == 1
    assert rig.receives("headed", body, headers={"x-state": "firing"}).duplicates == 1
    assert rig.receives("headed", body, headers={"x-state": "resolved"}).accepted == 1


def test_a_senders_own_id_tells_deliveries_apart(make: Make) -> None:
    rig = make()
    body = notification(alert("a"))
    inbound = Inbound(source="alerts", body=b"", headers={}, received_at=START)
    endpoint = rig.endpoints["alerts"]

    class Named:
        kind, schemes, event_kinds = endpoint.source.kind, endpoint.source.schemes, endpoint.source.event_kinds
        verify = staticmethod(endpoint.source.verify)
        normalise = staticmethod(endpoint.source.normalise)

        def delivery_id(self, inbound: Inbound) -> str:
            return inbound.headers.get("id", "")

    rig.endpoints["alerts"] = type(endpoint)(endpoint.config, Named(), ())
    assert rig.receives("alerts", body, headers={"id": "1"}).accepted == 1
    assert rig.receives("alerts", body, headers={"id": "2"}).accepted == 1
    assert rig.receives("alerts", body, headers={"id": "1"}).duplicates == 1
    assert inbound.seq == 0


def test_a_body_that_is_not_understood_is_recorded_counted_and_told(make: Make) -> None:
    rig = make()
    assert rig.receives("alerts", b"not json") == Receipt(0, 0, unparsed=1)
    rig.reacts()
    assert rig.ledger.totals()["inbounds_unparsed"] == 1
    assert [(n.code, n.subject) for n in rig.notices] == [("inbound_parked", "inbound 1")]
    assert rig.notices[0].text.startswith("the body is not JSON")
    assert rig.meter.counted == {"inbounds:unparsed:alerts": 1, "statements_unparsed:alerts": 1, "events": 0}


def test_what_can_be_read_counts_beside_what_cannot(make: Make) -> None:
    rig = make()
    body = notification(alert("a"), {"status": "odd"}, {"status": 7}, alert("d"))
    assert rig.receives("alerts", body) == Receipt(2, 0, unparsed=2)
    assert len(rig.ledger.pending(10)) == 1
    assert rig.meter.counted == {"inbounds:accepted:alerts": 1, "statements_unparsed:alerts": 2}
    assert rig.receives("alerts", notification({"status": 1}, {"status": 2})) == Receipt(0, 0, unparsed=2)
    assert rig.reacts().ledger.totals()["inbounds_unparsed"] == 2


def test_a_retry_of_what_could_be_read_in_part_is_a_repeat(make: Make) -> None:
    rig = make()
    event = "{each: {w: body}, key: w.key, status: w.status, occurred_at: w.t}"
    stamped = f"  stamped: {{kind: json, auth: none, event: {event}}}\n"
    rig.use(rule(match="{source: stamped}"), HEAD.replace("rules:\n", f"{stamped}rules:\n"))
    body = [{"key": "k", "status": "firing", "t": START.isoformat()}, {"key": "l"}]
    assert rig.receives("stamped", body) == Receipt(1, 0, unparsed=1)
    assert rig.receives("stamped", body) == Receipt(0, 1, unparsed=1)
    assert rig.meter.counted["statements_unparsed:stamped"] == 1


def test_two_bodies_that_are_not_understood_are_both_kept(make: Make) -> None:
    rig = make()
    rig.receives("alerts", b"not json")
    rig.receives("alerts", b"not json")
    assert rig.reacts().ledger.totals()["inbounds_unparsed"] == 2


def test_a_fault_of_ours_in_reading_a_body_keeps_the_body(make: Make) -> None:
    rig = make()
    endpoint = rig.endpoints["alerts"]

    class Buggy:
        kind, schemes, event_kinds = endpoint.source.kind, endpoint.source.schemes, endpoint.source.event_kinds
        verify = staticmethod(endpoint.source.verify)
        delivery_id = staticmethod(endpoint.source.delivery_id)

        def normalise(self, inbound: Inbound, config: object) -> list[object]:
            raise IndexError("secret detail of the body")

    rig.endpoints["alerts"] = type(endpoint)(endpoint.config, Buggy(), ())
    assert rig.receives("alerts", notification(alert())) == Receipt(0, 0, unparsed=1)
    rig.reacts()
    assert rig.ledger.totals()["inbounds_unparsed"] == 1
    assert [n.text for n in rig.notices] == ["internal fault: IndexError"]


def test_a_ping_that_states_nothing_is_accepted_and_done(make: Make) -> None:
    rig = make()
    assert rig.receives("alerts", notification()) == Receipt(0, 0, unparsed=0)
    assert rig.ledger.pending(10) == []


def test_an_unknown_source_and_a_bad_signature_reach_no_ledger(make: Make) -> None:
    rig = secured(make(), '{bearer: "${CANARY}"}')
    with pytest.raises(SourceUnknown):
        rig.receives("nobody", notification(alert()))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}):
        with pytest.raises(SignatureInvalid):
            rig.receives("safe", notification(alert()), headers=headers)
    assert rig.ledger.totals()["inbounds"] == 0


@pytest.mark.parametrize(
    ("auth", "headers", "query"),
    [
        ('{bearer: "${CANARY}"}', {"authorization": f"Bearer {CANARY}"}, ""),
        (
            '{basic: {username: am, password: "${CANARY}"}}',
            {"authorization": "Basic " + base64.b64encode(f"am:{CANARY}".encode()).decode()},
            "",
        ),
        ('{header: {name: X-Secret, value: "${CANARY}"}}', {"x-secret": CANARY}, ""),
        ('{path_token: "${CANARY}"}', {}, f"token={CANARY}&x=1"),
    ],
    ids=["bearer", "basic", "header", "path_token"],
)
def test_no_secret_of_a_sender_is_in_the_ledger(make: Make, auth: str, headers: dict[str, str], query: str) -> None:
    rig = secured(make(), auth)
    sent = {**headers, "x-kept": "kept-header"}
    assert rig.receives("safe", notification(alert()), headers=sent, query=query).accepted == 1
    written = on_disk(rig.path)
    assert b"kept-header" in written
    assert CANARY.encode() not in written
    assert base64.b64encode(f"am:{CANARY}".encode()) not in written
    assert rig.reacts().phase() == "open"


def test_a_full_backlog_is_told_and_nothing_is_stored(make: Make, tmp_path: Path) -> None:
    rig = make()
    rig.ledger.close()
    rig.ledger = open_ledger(f"sqlite:///{rig.path}", clock=rig.clock, most_pending=2)
    rig.intake = Intake(rig.ledger, lambda: rig.endpoints, rig.meter)
    for name in "ab":
        rig.receives("alerts", notification(alert(name)))
    with pytest.raises(Overloaded):
        rig.receives("alerts", notification(alert("c")))
    assert rig.ledger.totals()["inbounds"] == 2


def test_a_failed_commit_is_an_error_and_no_receipt(make: Make) -> None:
    rig = make()
    lost = OSError("disk is gone")

    class Failing:
        def record(self, entry: Entry, done: Callable[[object], None]) -> None:
            done(lost)

        def pending(self, limit: int) -> list[Inbound]:
            return []

    answers: list[object] = []
    intake = Intake(Failing(), lambda: rig.endpoints, rig.meter)  # type: ignore[arg-type]
    body = b'{"version":"4","alerts":[]}'
    entry = intake.understood(Inbound(source="alerts", body=body, headers={}, received_at=START))
    intake.record(entry, answers.append)
    assert answers == [lost]
    assert rig.meter.counted == {}


def test_an_endpoint_shows_no_secret() -> None:
    from worker.bootstrap import SOURCES
    from worker.core.ruleset import AuthConfig, SourceConfig
    from worker.steps.intake import Endpoint

    config = SourceConfig(name="safe", kind="alertmanager", auth=AuthConfig(scheme="bearer"))
    assert CANARY not in repr(Endpoint(config, SOURCES["alertmanager"], (CANARY,)))


def test_the_ledger_of_these_tests_is_a_real_file(make: Make) -> None:
    rig = make()
    with sqlite3.connect(f"file:{rig.path}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
