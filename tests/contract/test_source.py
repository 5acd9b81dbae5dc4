"""
What every source keeps, whoever sends.

Runs over the registry and the captured bodies of ``tests/payloads``: a new source is tested by its line in the registry
and its folders of ``body.json``, ``headers.json`` (as sent, unsigned), ``events.json`` (all that differs from the
defaults), and ``config.yaml``, a rule file, where it takes a mapping.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from worker.core.model import Event, Inbound, SharedPost, Status, Unreadable
from worker.core.rules import SourceFacts, load
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import PayloadNotUnderstood, SignatureInvalid
from worker.ports import Source, Statement
from worker.sources import SENDERS, SOURCES, _auth

ROOT = Path(__file__).parents[2]
PAYLOADS = ROOT / "tests/payloads"
SHARED = ROOT.parent / "shared/payloads"
CASES = sorted(path.parent for path in PAYLOADS.glob("*/*/body.json"))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET, NEWER, WRONG = (f"whsec_{letter * 32}" for letter in "ABC")
AUTHS: dict[str, dict[str, str]] = {
    "bearer": {},
    "basic": {"username": "bridge"},
    "header": {"name": "X-Token"},
    "path_token": {},
    "hmac": {"header": "X-Signature", "prefix": "sha256="},
    "standard_webhooks": {},
    "none": {},
}
SIGNED = [
    pytest.param(kind, scheme, id=f"{kind}-{scheme}")
    for kind, source in SOURCES.items()
    for scheme in sorted(source.schemes - {"none"})
]


def auth(scheme: str) -> AuthConfig:
    return AuthConfig(scheme=scheme, options=AUTHS[scheme])


@cache
def config_of(case: Path) -> SourceConfig:
    kind, path = case.parent.name, case / "config.yaml"
    if not path.exists():
        return SourceConfig(name=f"my-{kind}", kind=kind, auth=auth(min(SOURCES[kind].schemes)))
    facts = {name: SourceFacts(source.schemes, source.event_kinds) for name, source in SOURCES.items()}
    rule_set = load({path.name: path.read_text()}, {}, source_kinds=facts, provider_names=())
    return rule_set.sources[f"my-{kind}"]


def inbound_of(case: Path, body: bytes | None = None) -> Inbound:
    headers = json.loads((case / "headers.json").read_text())
    raw = (case / "body.json").read_bytes() if body is None else body
    return Inbound(source=f"my-{case.parent.name}", body=raw, headers=headers, received_at=NOW)


def signed(inbound: Inbound, how: AuthConfig, secret: str, now: datetime = NOW) -> Inbound:
    added = _auth.sign(how, [secret], inbound.body, now, "msg_1")
    headers = {**inbound.headers, **{name.lower(): value for name, value in added.items()}}
    return replace(inbound, headers=headers, query=_auth.sign_query(how, [secret]))


def refused(source: Source, inbound: Inbound, how: AuthConfig, secrets: Sequence[str], now: datetime = NOW) -> bool:
    try:
        source.verify(inbound, how, secrets, now)
    except SignatureInvalid:
        return True
    return False


def recorded(statement: Statement) -> dict[str, Any]:
    """A statement as it stands in ``events.json``: what differs from the defaults."""
    if isinstance(statement, Unreadable):
        return {"unreadable": statement.why}
    if isinstance(statement, SharedPost):
        return {"shared_post": {"remote_id": statement.remote_id, "update_id": statement.update_id}}
    plain = Event(source="", kind="", key="", status=Status.INFO)
    values = {field.name: getattr(statement, field.name) for field in fields(Event)}
    told = {name: value for name, value in values.items() if name == "status" or value != getattr(plain, name)}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}


@pytest.fixture(params=CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def case(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def check_sound(statements: Sequence[Statement], source: Source, config: SourceConfig) -> None:
    """What holds for all events of every source, whatever the body was."""
    for event in statements:
        if isinstance(event, SharedPost):
            assert all((event.remote_id, event.update_id))
            continue
        if isinstance(event, Unreadable):
            assert 0 < len(event.why) < 600
            continue
        assert event.source == config.name
        assert event.kind in (source.event_kinds or {event.kind})
        assert event.key
        assert max(map(len, (event.key, event.scope, event.title, event.kind))) <= 500
        assert "\n" not in event.title
        assert not event.whole_scope or (event.scope and event.status is Status.RESOLVED)
        for time in (event.started_at, event.occurred_at):
            assert time is None or time.utcoffset() == timedelta(0)
        for value in (*event.labels.values(), *event.annotations.values()):
            assert isinstance(value, str)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_comes_with_captured_bodies_and_a_docs_page(kind: str) -> None:
    source = SOURCES[kind]
    assert source.kind == kind
    assert source.schemes
    assert source.schemes <= AUTHS.keys()
    assert any(case.parent.name == kind for case in CASES)
    page = (ROOT / f"docs/reference/sources/{kind}.md").read_text()
    assert f"kind: {kind}" in page
    assert "statusbridge send" in page


def test_every_captured_body_belongs_to_a_source() -> None:
    assert {case.parent.name for case in CASES} <= SOURCES.keys()


def test_a_body_says_exactly_what_was_recorded(case: Path) -> None:
    statements = SOURCES[case.parent.name].normalise(inbound_of(case), config_of(case))
    assert [recorded(each) for each in statements] == json.loads((case / "events.json").read_text())
    check_sound(statements, SOURCES[case.parent.name], config_of(case))


def test_a_repeat_says_the_same_again(case: Path) -> None:
    source, later = SOURCES[case.parent.name], replace(inbound_of(case), received_at=NOW + timedelta(days=1), seq=99)
    assert source.normalise(later, config_of(case)) == source.normalise(inbound_of(case), config_of(case))


def test_the_content_type_does_not_matter(case: Path) -> None:
    source, inbound = SOURCES[case.parent.name], inbound_of(case)
    odd = replace(
        inbound, headers={**inbound.headers, "content-type": "application/x-www-form-urlencoded"}, method="PUT"
    )
    assert source.normalise(odd, config_of(case)) == source.normalise(inbound, config_of(case))


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_stamps_every_statement_of_public_things_or_none(kind: str) -> None:
    stamped: dict[object, set[bool]] = {}
    for case in (case for case in CASES if case.parent.name == kind):
        whose = kind if config_of(case).mapping is None else case  # a mapping decides for itself
        for event in SOURCES[kind].normalise(inbound_of(case), config_of(case)):
            if isinstance(event, Event) and not (event.private and event.status is Status.INFO):
                stamped.setdefault(whose, set()).add(event.occurred_at is not None)
    assert all(len(said) == 1 for said in stamped.values())


@pytest.mark.parametrize(("kind", "scheme"), SIGNED)
def test_only_the_configured_secrets_open_the_door(kind: str, scheme: str) -> None:
    source, how = SOURCES[kind], auth(scheme)
    inbound = Inbound(source="s", body=b'{"a": 1}', headers={}, received_at=NOW)
    right = signed(inbound, how, SECRET)
    assert not refused(source, right, how, [SECRET])
    assert refused(source, inbound, how, [SECRET]), "unsigned"
    assert refused(source, right, how, [WRONG]), "another secret"
    assert refused(source, right, how, []), "no secret is configured"
    assert refused(source, right, how, [""]), "the configured secret is empty"
    empty = dict.fromkeys(right.headers, "")
    assert refused(source, replace(right, headers=empty, query="token="), how, ["", SECRET]), "empty credentials"


@pytest.mark.parametrize(("kind", "scheme"), SIGNED)
def test_a_secret_can_be_rotated(kind: str, scheme: str) -> None:
    source, how = SOURCES[kind], auth(scheme)
    inbound = Inbound(source="s", body=b"{}", headers={}, received_at=NOW)
    for secret in (SECRET, NEWER):
        assert not refused(source, signed(inbound, how, secret), how, [SECRET, NEWER])
    assert refused(source, signed(inbound, how, SECRET), how, [NEWER]), "the old one has gone"


@pytest.mark.parametrize(
    ("kind", "scheme"), [param for param in SIGNED if param.values[1] in ("hmac", "standard_webhooks")]
)
def test_a_signature_covers_the_body(kind: str, scheme: str) -> None:
    source, how = SOURCES[kind], auth(scheme)
    right = signed(Inbound(source="s", body=b'{"ok": true}', headers={}, received_at=NOW), how, SECRET)
    assert refused(source, replace(right, body=b'{"ok":  true}'), how, [SECRET])


@pytest.mark.parametrize(("kind", "scheme"), [param for param in SIGNED if param.values[1] == "standard_webhooks"])
def test_a_stale_signature_is_refused_and_retries_keep_their_delivery_id(kind: str, scheme: str) -> None:
    source, how = SOURCES[kind], auth(scheme)
    inbound = Inbound(source="s", body=b"{}", headers={}, received_at=NOW)
    right = signed(inbound, how, SECRET)
    for minutes, stale in ((-6, True), (-4, False), (4, False), (6, True), (3 * 24 * 60, True)):
        assert refused(source, right, how, [SECRET], NOW + timedelta(minutes=minutes)) is stale
    retry = signed(inbound, how, SECRET, NOW + timedelta(hours=2))
    assert source.delivery_id(retry) == source.delivery_id(right) == "msg_1"


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sender_without_delivery_ids_gets_none_invented(kind: str) -> None:
    assert SOURCES[kind].delivery_id(Inbound(source="s", body=b"{}", headers={}, received_at=NOW)) == ""


def test_a_truncated_body_is_not_understood(case: Path) -> None:
    source, body = SOURCES[case.parent.name], (case / "body.json").read_bytes().rstrip()
    for end in range(0, len(body), max(1, len(body) // 40)):
        with pytest.raises(PayloadNotUnderstood):
            source.normalise(inbound_of(case, body[:end]), config_of(case))


NONSENSE = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"\xff\xfe",
    b"a=1&b=2",
    b'{"alerts":7}',
    b'{"event_type":[]}',
    b"<xml/>",
]


def test_nonsense_is_not_understood_or_says_nothing(case: Path) -> None:
    for body in NONSENSE:
        reason = ""
        try:
            said = SOURCES[case.parent.name].normalise(inbound_of(case, body), config_of(case))
            assert all(isinstance(statement, Unreadable) for statement in said), body
        except PayloadNotUnderstood as error:
            reason = str(error)
        assert len(reason) < 400


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value, as (container, key or index)."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, child in places:
        yield value, place
        yield from leaves(child)


ODD: list[Any] = [None, "", "x" * 9_000, "line\nline", -1, 2**63, 1e308, True, [], {}, [None], "0001-01-01T00:00:00Z"]


def test_no_damage_to_a_single_field_does_more_than_refuse_the_body(case: Path) -> None:
    """Oversized, missing, mistyped: it, or what it is a part of, is refused with a short reason; all else is sound."""
    source, config, value = SOURCES[case.parent.name], config_of(case), json.loads((case / "body.json").read_bytes())
    reasons: set[str] = set()
    for container, place in leaves(value):
        good = container[place]
        for odd in ODD:
            container[place] = odd
            try:
                statements = source.normalise(inbound_of(case, json.dumps(value).encode()), config)
            except PayloadNotUnderstood as error:
                statements = ()
                reasons.add(str(error))
            check_sound(statements, source, config)
        container[place] = good
    assert all(0 < len(reason) < 600 for reason in reasons)


def elsewhere() -> list[Any]:
    prefixes = {"alertmanager-": "alertmanager", "incidentio-": "incident_io"}
    return [
        pytest.param(kind, path, id=path.stem)
        for prefix, kind in prefixes.items()
        for path in sorted(SHARED.glob(f"{prefix}*.json"))
    ]


@pytest.mark.parametrize(("kind", "path"), elsewhere())
def test_bodies_that_others_captured_are_understood(kind: str, path: Path) -> None:
    config = SourceConfig(name=kind, kind=kind, auth=auth(min(SOURCES[kind].schemes)))
    inbound = Inbound(source=kind, body=path.read_bytes(), headers={}, received_at=NOW)
    check_sound(SOURCES[kind].normalise(inbound, config), SOURCES[kind], config)


# --- who sends for a rehearsal

ITEMS: dict[str, Any] = {"alerts": {"labels": {"service": "checkout", "severity": "critical"}}, "incidents": {}}


@pytest.mark.parametrize("kind", SENDERS)
def test_what_a_sender_makes_is_what_its_source_reads(kind: str) -> None:
    sender, source = SENDERS[kind](), SOURCES[kind]
    config = SourceConfig(name=kind, kind=kind, auth=auth(min(source.schemes)))
    item = sender.item.model_validate(ITEMS[sender.inline])

    def read(at: datetime) -> list[Statement]:
        bodies = sender.bodies([item], at)
        inbounds = [Inbound(source=kind, body=body, headers={}, received_at=at) for body in bodies]
        return [statement for inbound in inbounds for statement in source.normalise(inbound, config)]

    (first,), (second,) = read(NOW), read(NOW + timedelta(minutes=5))
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.status, first.key, first.started_at) == (Status.FIRING, second.key, NOW)
    assert second.started_at == NOW
    assert second.occurred_at is None or (first.occurred_at or NOW) < second.occurred_at
