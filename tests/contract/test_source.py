"""
What every source keeps, whoever sends.

Runs over the registry, the shipped examples, and the bodies of ``tests/payloads``: a new source is tested by its being
there, and by its folders of ``body.json`` or ``body.txt``, ``headers.json`` (as sent, unsigned; ``:method`` and
``:query`` where they matter), ``events.json`` (all that differs from the defaults), and ``config.yaml``, a rule file,
where it takes a mapping. The name of a folder is a claim: what begins with ``test`` or ``private`` says nothing else,
what begins with ``unknown`` neither fires nor resolves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from worker.core.model import Event, Inbound, SharedPost, Status, Unreadable
from worker.core.rules import load
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.core.signals import settle
from worker.errors import PayloadNotUnderstood, SignatureInvalid
from worker.ports import Source, Statement
from worker.sources import SENDERS, SOURCES, _auth, _cases

ROOT = Path(__file__).parents[2]
PAYLOADS = ROOT / "tests/payloads"
SHARED = ROOT.parent / "shared/payloads"
CASES = sorted([*PAYLOADS.glob("*/*/"), *_cases.EXAMPLES.glob("*/")])
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET, NEWER, WRONG = (f"whsec_{letter * 32}" for letter in "ABC")
OPTIONS: dict[str, dict[str, str]] = {
    "bearer": {},
    "basic": {"username": "bridge"},
    "header": {"name": "X-Token"},
    "path_token": {},
    "hmac": {"header": "X-Signature", "prefix": "sha256="},
    "standard_webhooks": {},
    "sns": {"topics": "arn:aws:sns:eu-west-1:123456789012:alarms"},
    "none": {},
}
SIGNED = [
    pytest.param(kind, scheme, id=f"{kind}-{scheme}")
    for kind, source in SOURCES.items()
    for scheme in sorted((source.schemes.keys() & _auth.SCHEMES.keys()) - {"none"})
]
"""All that can be signed here; a scheme of one vendor alone has tests of its own."""


def kind_of(case: Path) -> str:
    return case.name if case.parent == _cases.EXAMPLES else case.parent.name


def auth(kind: str, scheme: str) -> AuthConfig:
    return AuthConfig(scheme=scheme, options={**OPTIONS[scheme], **SOURCES[kind].schemes[scheme]})


def config_for(kind: str) -> SourceConfig:
    """Configure a kind; by the mapping of its example, where it takes one."""
    mapped = _cases.EXAMPLES / kind / "config.yaml"
    mapping = config_of(mapped.parent).mapping if mapped.exists() else None
    return SourceConfig(name=f"my-{kind}", kind=kind, auth=auth(kind, min(SOURCES[kind].schemes)), mapping=mapping)


@cache
def config_of(case: Path) -> SourceConfig:
    kind, path = kind_of(case), case / "config.yaml"
    if not path.exists():
        return config_for(kind)
    rule_set = load({path.name: path.read_text()}, {}, source_kinds=SOURCES, provider_names=())
    return rule_set.sources[f"my-{kind}"]


def inbound_of(case: Path, body: bytes | None = None) -> Inbound:
    inbound = _cases.inbound_of(case, f"my-{kind_of(case)}", NOW)
    return inbound if body is None else replace(inbound, body=body, query="")


def said_by(case: Path) -> Sequence[Statement]:
    return SOURCES[kind_of(case)].normalise(inbound_of(case), config_of(case))


def events_of(kind: str) -> list[Event]:
    """Every event of every case of a kind that needs no mapping."""
    cases = [case for case in CASES if kind_of(case) == kind and config_of(case).mapping is None]
    return [event for case in cases for event in said_by(case) if isinstance(event, Event)]


def signed(inbound: Inbound, how: AuthConfig, secret: str, now: datetime = NOW) -> Inbound:
    added = _auth.sign(how, [secret], inbound.body, now, "msg_1")
    headers = {**inbound.headers, **{name.lower(): value for name, value in added.items()}}
    query = "&".join(filter(None, (inbound.query, _auth.sign_query(how, [secret]))))
    return replace(inbound, headers=headers, query=query)


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


def named(case: Path) -> str:
    return f"{kind_of(case)}-{'example' if case.parent == _cases.EXAMPLES else case.name}"


@pytest.fixture(params=CASES, ids=named)
def case(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


IN_JSON = [case for case in CASES if (case / "body.json").exists()]
"""What is written in JSON; of a form that is cut off, nobody can tell but by its announced length."""


@pytest.fixture(params=IN_JSON, ids=named)
def in_json(request: pytest.FixtureRequest) -> Path:
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


SECTIONS = ["On the sender's side", "In the rules directory", "Try it", "What maps to what", "Traps"]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_comes_with_bodies_and_a_docs_page(kind: str) -> None:
    source = SOURCES[kind]
    assert source.kind == kind
    assert source.schemes
    assert source.schemes.keys() <= OPTIONS.keys()
    assert any(kind_of(case) == kind for case in CASES if case.parent != _cases.EXAMPLES)
    page = (ROOT / f"docs/reference/sources/{kind}.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS
    assert f"kind: {kind}" in page
    assert "statusbridge send --example " in page
    assert not [scheme for scheme in source.schemes if f"`{scheme}" not in page]
    assert not [event_kind for event_kind in source.event_kinds if f"`{event_kind}`" not in page]


@pytest.mark.parametrize("kind", SOURCES)
def test_the_example_fires_and_is_no_test(kind: str) -> None:
    """So that ``send --example`` shows what comes of the real thing."""
    events = [event for event in said_by(_cases.EXAMPLES / kind) if isinstance(event, Event)]
    assert [event.status for event in events] == [Status.FIRING] * len(events)
    assert events
    assert not any(event.test or event.private for event in events)


def test_every_body_belongs_to_a_source() -> None:
    assert {kind_of(case) for case in CASES} <= SOURCES.keys()


def test_a_body_says_exactly_what_was_recorded(case: Path) -> None:
    statements = said_by(case)
    assert [recorded(each) for each in statements] == json.loads((case / "events.json").read_text())
    check_sound(statements, SOURCES[kind_of(case)], config_of(case))


def test_a_body_says_what_the_name_of_its_folder_claims(case: Path) -> None:
    """A vendor's test messages, private things and events of the future never pass for news."""
    events = [event for event in said_by(case) if isinstance(event, Event)]
    claim = re.split(r"_", case.name)[0]
    assert claim != "test" or all(event.test for event in events)
    assert claim != "private" or all(event.private for event in events)
    assert claim != "unknown" or all(event.status is Status.INFO for event in events)


def test_a_repeat_says_the_same_again(case: Path) -> None:
    source, later = SOURCES[kind_of(case)], replace(inbound_of(case), received_at=NOW + timedelta(days=1), seq=99)
    assert source.normalise(later, config_of(case)) == said_by(case)
    assert source.delivery_id(later) == source.delivery_id(inbound_of(case))


def test_the_content_type_does_not_matter(in_json: Path) -> None:
    case, source, inbound = in_json, SOURCES[kind_of(in_json)], inbound_of(in_json)
    odd = replace(
        inbound, headers={**inbound.headers, "content-type": "application/x-www-form-urlencoded"}, method="PUT"
    )
    assert source.normalise(odd, config_of(case)) == source.normalise(inbound, config_of(case))


@pytest.mark.parametrize("kind", SOURCES)
def test_what_fires_is_resolved_under_the_same_key_in_whatever_order_it_comes(kind: str) -> None:
    """A source whose signals can end proves it; where statements are stamped, those that overtake do no harm."""
    events = events_of(kind)
    over = {event.key for event in events if event.status is Status.RESOLVED}
    assert not over or over & {event.key for event in events if event.status is Status.FIRING}
    stamped = [event for event in events if event.occurred_at is not None]
    for key in {event.key for event in stamped}:
        about = [event for event in stamped if event.key == key]
        ends = set()
        for order in (about, about[::-1], sorted(about, key=lambda event: event.title)):
            signal = None
            for seq, event in enumerate(order, 1):
                signal, _ = settle(signal, event, NOW + timedelta(days=1), seq)
            ends.add(None if signal is None else (signal.event.status, signal.stamp))
        assert len(ends) == 1, key


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_stamps_every_statement_of_public_things_or_none(kind: str) -> None:
    stamped: dict[object, set[bool]] = {}
    for case in (case for case in CASES if kind_of(case) == kind):
        whose = kind if config_of(case).mapping is None else case  # a mapping decides for itself
        for event in said_by(case):
            if isinstance(event, Event) and not (event.private and event.status is Status.INFO):
                stamped.setdefault(whose, set()).add(event.occurred_at is not None)
    assert all(len(said) == 1 for said in stamped.values())


@pytest.mark.parametrize(("kind", "scheme"), SIGNED)
def test_only_the_configured_secrets_open_the_door(kind: str, scheme: str) -> None:
    source, how = SOURCES[kind], auth(kind, scheme)
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
    source, how = SOURCES[kind], auth(kind, scheme)
    inbound = Inbound(source="s", body=b"{}", headers={}, received_at=NOW)
    for secret in (SECRET, NEWER):
        assert not refused(source, signed(inbound, how, secret), how, [SECRET, NEWER])
    assert refused(source, signed(inbound, how, SECRET), how, [NEWER]), "the old one has gone"


@pytest.mark.parametrize(
    ("kind", "scheme"), [param for param in SIGNED if param.values[1] in ("hmac", "standard_webhooks")]
)
def test_a_signature_covers_the_body(kind: str, scheme: str) -> None:
    source, how = SOURCES[kind], auth(kind, scheme)
    right = signed(Inbound(source="s", body=b'{"ok": true}', headers={}, received_at=NOW), how, SECRET)
    assert refused(source, replace(right, body=b'{"ok":  true}'), how, [SECRET])


@pytest.mark.parametrize(
    ("kind", "scheme", "stamped"),
    [
        pytest.param(*param.values, stamped, id=f"{param.id}-{stamped}")
        for param in SIGNED
        for stamped in ({"standard_webhooks": [""], "hmac": ["X-Stamp"]}.get(str(param.values[1]), []))
    ],
)
def test_a_stale_signature_is_refused(kind: str, scheme: str, stamped: str) -> None:
    source, how = SOURCES[kind], auth(kind, scheme)
    how = replace(how, options={**how.options, "timestamp": stamped}) if stamped else how
    inbound = Inbound(source="s", body=b"{}", headers={}, received_at=NOW)
    right = signed(inbound, how, SECRET)
    for minutes, stale in ((-6, True), (-4, False), (4, False), (6, True), (3 * 24 * 60, True)):
        assert refused(source, right, how, [SECRET], NOW + timedelta(minutes=minutes)) is stale
    later = {**right.headers, (stamped or "webhook-timestamp").lower(): str(int(NOW.timestamp()) + 600)}
    assert refused(source, replace(right, headers=later), how, [SECRET], NOW + timedelta(minutes=10)), "moved"


@pytest.mark.parametrize("kind", [kind for kind, source in SOURCES.items() if "standard_webhooks" in source.schemes])
def test_retries_keep_their_delivery_id(kind: str) -> None:
    source, how = SOURCES[kind], auth(kind, "standard_webhooks")
    inbound = Inbound(source="s", body=b"{}", headers={}, received_at=NOW)
    retry = signed(inbound, how, SECRET, NOW + timedelta(hours=2))
    assert source.delivery_id(retry) == source.delivery_id(signed(inbound, how, SECRET)) == "msg_1"


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sender_without_delivery_ids_gets_none_invented(kind: str) -> None:
    assert SOURCES[kind].delivery_id(Inbound(source="s", body=b"{}", headers={}, received_at=NOW)) == ""


def test_a_truncated_body_is_not_understood(in_json: Path) -> None:
    source, body = SOURCES[kind_of(in_json)], (in_json / "body.json").read_bytes().rstrip()
    for end in range(0, len(body), max(1, len(body) // 40)):
        try:
            said = source.normalise(inbound_of(in_json, body[:end]), config_of(in_json))
        except PayloadNotUnderstood:
            continue
        assert said
        assert all(isinstance(statement, Unreadable) for statement in said)


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
            said = SOURCES[kind_of(case)].normalise(inbound_of(case, body), config_of(case))
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
ODD.append("a_word_of_the_future")


def test_no_damage_to_a_single_field_does_more_than_refuse_the_body(in_json: Path) -> None:
    """
    Oversized, missing, mistyped, or a word that is not known yet: it, or what it is a part of, is refused with a short
    reason; all else is sound, and nothing that fires is taken for resolved.
    """
    case = in_json
    source, config, value = SOURCES[kind_of(case)], config_of(case), json.loads((case / "body.json").read_bytes())
    said = {event.status for event in said_by(case) if isinstance(event, Event)}
    fires_only = Status.FIRING in said and Status.RESOLVED not in said and config.mapping is None
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
            resolved = [event for event in statements if isinstance(event, Event) and event.status is Status.RESOLVED]
            assert not (fires_only and resolved), (place, odd)
        container[place] = good
    assert all(0 < len(reason) < 600 for reason in reasons)


LEFT_OUT = r"\.headers\.|TEMPLATE|vector|legacy|INVALID|^pagerduty-data-|^zabbix-(ok|problem)\."
"""In names of files: no body or but a part of one, another version, what a faulty or foreign template made."""


def elsewhere() -> list[Any]:
    """Bodies that are not ours, by their names: of what they are, and with the headers that stand beside them."""
    paths = [
        path
        for path in sorted([*SHARED.glob("*-*.json"), *SHARED.glob("*-*.txt")])
        if not re.search(LEFT_OUT, path.name)
    ]
    return [
        pytest.param(kind, path, id=path.stem)
        for path in paths
        for kind in SOURCES
        if kind.replace("_", "").startswith(path.name.partition("-")[0])
    ]


def beside(path: Path) -> dict[str, str]:
    """Give the headers that a body came with; none where they were not kept."""
    file = path.with_name(path.stem + ".headers.txt")
    lines = file.read_text().partition("\n\n")[0].splitlines()[1:] if file.exists() else []
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize(("kind", "path"), elsewhere())
def test_bodies_of_others_are_understood(kind: str, path: Path) -> None:
    config = config_for(kind)
    inbound = Inbound(source=kind, body=path.read_bytes(), headers=beside(path), received_at=NOW)
    statements = SOURCES[kind].normalise(inbound, config)
    check_sound(statements, SOURCES[kind], config)
    assert not any(isinstance(statement, Unreadable) for statement in statements)


# --- who sends for a rehearsal

ITEMS: dict[str, Any] = {"alerts": {"labels": {"service": "checkout", "severity": "critical"}}, "incidents": {}}


@pytest.mark.parametrize("kind", SENDERS)
def test_what_a_sender_makes_is_what_its_source_reads(kind: str) -> None:
    sender, source = SENDERS[kind](), SOURCES[kind]
    config = config_for(kind)
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
