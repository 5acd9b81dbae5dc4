"""Proof of the sender: right requests pass, everything else is a 401, and nothing else ever happens."""

from __future__ import annotations

import base64
import hmac as stdlib_hmac
import json
import random  # noqa: TID251 - seeded
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from worker.core.model import Inbound
from worker.core.ruleset import AuthConfig
from worker.errors import ConfigError, SignatureInvalid
from worker.sources import _auth

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
VECTOR = Path(__file__).parents[3].parent / "shared/payloads/standardwebhooks-vector.json"

WEBHOOKS = AuthConfig(scheme="standard_webhooks")
SIGNED = {
    "bearer": AuthConfig(scheme="bearer"),
    "basic": AuthConfig(scheme="basic", options={"username": "bridge"}),
    "header": AuthConfig(scheme="header", options={"name": "X-Token"}),
    "path_token": AuthConfig(scheme="path_token"),
    "hmac": AuthConfig(scheme="hmac", options={"header": "X-Signature", "prefix": "sha256="}),
    "standard_webhooks": WEBHOOKS,
}


def inbound(body: bytes = b"{}", headers: dict[str, str] | None = None, query: str = "") -> Inbound:
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    return Inbound(source="s", body=body, headers=lowered, query=query, received_at=NOW)


def signed(how: AuthConfig, body: bytes = b"{}", secret: str = SECRET, now: datetime = NOW) -> Inbound:
    return inbound(body, _auth.sign(how, [secret], body, now, "msg_1"), _auth.sign_query(how, [secret]))


def accepted(request: Inbound, how: AuthConfig, *secrets: str, now: datetime = NOW) -> bool:
    try:
        _auth.verify(request, how, secrets or (SECRET,), now)
    except SignatureInvalid:
        return False
    return True


def webhook(body: bytes, **headers: str) -> Inbound:
    return inbound(body, {name.replace("_", "-"): value for name, value in headers.items()})


# --- Standard Webhooks, against the reference implementation

keys = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
idents = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
texts = st.text(max_size=300)


@given(keys, idents, texts)
def test_what_the_reference_library_signs_is_accepted(secret: str, ident: str, body: str) -> None:
    signature = Webhook(secret).sign(ident, NOW, body)
    stamp = str(int(NOW.timestamp()))
    request = webhook(body.encode(), webhook_id=ident, webhook_timestamp=stamp, webhook_signature=signature)
    assert accepted(request, WEBHOOKS, secret)
    assert not accepted(replace(request, body=request.body + b" "), WEBHOOKS, secret)


@given(keys, idents, texts)
def test_the_reference_library_accepts_what_is_signed_here(secret: str, ident: str, body: str) -> None:
    headers = _auth.sign(WEBHOOKS, [secret], body.encode(), NOW, ident)
    with time_machine.travel(NOW, tick=False):
        Webhook(secret).verify(body.encode(), headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body.encode() + b" ", headers, json_parse=False)


@pytest.mark.parametrize("seconds", [-301, -299, 0, 299, 301])
def test_the_tolerance_is_that_of_the_reference_library(seconds: int) -> None:
    sent, read = NOW.replace(microsecond=0), NOW.replace(microsecond=0) + timedelta(seconds=seconds)
    headers = _auth.sign(WEBHOOKS, [SECRET], b"{}", sent, "msg_1")
    with time_machine.travel(read, tick=False):
        try:
            Webhook(SECRET).verify(b"{}", headers, json_parse=False)
            theirs = True
        except WebhookVerificationError:
            theirs = False
    assert accepted(inbound(b"{}", headers), WEBHOOKS, now=read) is theirs is (abs(seconds) <= 300)


@pytest.mark.skipif(not VECTOR.exists(), reason="the vector is not at hand")
def test_the_published_vector_is_accepted() -> None:
    vector = json.loads(VECTOR.read_text())
    at = datetime.fromtimestamp(int(vector["webhook-timestamp"]), UTC)
    request = inbound(vector["body"].encode(), {name: vector[name] for name in vector if name.startswith("webhook-")})
    assert accepted(request, WEBHOOKS, vector["secret"], now=at)


def test_svix_header_names_are_the_same_scheme() -> None:
    request = signed(WEBHOOKS)
    svix = {name.replace("webhook-", "svix-"): value for name, value in request.headers.items()}
    assert accepted(replace(request, headers=svix), WEBHOOKS)
    assert _auth.message_id(svix) == "msg_1"


def test_one_right_signature_among_several_is_enough() -> None:
    request = signed(WEBHOOKS)
    right = request.headers["webhook-signature"]
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    for several in (
        f"{wrong} {right}",
        f"{right} {wrong}",
        f"v1a,AAAA {right}",
        f"  {right} garbage",
        f"v1,a,b {right}",
    ):
        assert accepted(replace(request, headers={**request.headers, "webhook-signature": several}), WEBHOOKS)
    for none in (wrong, right.replace("v1,", "v1a,"), right.replace("v1,", "v2,"), right[3:], "v1,", "v1", "garbage"):
        assert not accepted(replace(request, headers={**request.headers, "webhook-signature": none}), WEBHOOKS)


@pytest.mark.parametrize("stamp", ["", "abc", "1e9", "-1", "1795435200.5", " 1795435200", "9" * 5000, "NaN", "①"])
def test_a_time_that_is_not_whole_seconds_is_refused_even_when_signed(stamp: str) -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = stdlib_hmac.digest(key, f"msg_1.{stamp}.{{}}".encode(), "sha256")
    signature = "v1," + base64.b64encode(mac).decode()
    request = webhook(b"{}", webhook_id="msg_1", webhook_timestamp=stamp, webhook_signature=signature)
    assert not accepted(request, WEBHOOKS)


def test_a_mistyped_secret_matches_nothing_and_spares_the_other_one() -> None:
    assert not accepted(signed(WEBHOOKS), WEBHOOKS, "whsec_!!!not-base64!!!", "whsec_", "=")
    assert accepted(signed(WEBHOOKS), WEBHOOKS, "whsec_!!!not-base64!!!", SECRET)
    assert not accepted(signed(WEBHOOKS), WEBHOOKS, f"{SECRET[:10]}!{SECRET[10:]}")
    with pytest.raises(ConfigError, match="not base64"):
        _auth.sign(WEBHOOKS, ["whsec_!!!"], b"", NOW, "msg_1")


# --- the other schemes


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_hmac_in_every_algorithm_and_encoding(algorithm: str, encoding: str) -> None:
    options = {"header": "X-Sig", "algorithm": algorithm, "encoding": encoding}
    mac = stdlib_hmac.new(SECRET.encode(), b"{}", algorithm)
    value = mac.hexdigest() if encoding == "hex" else base64.b64encode(mac.digest()).decode()
    assert accepted(inbound(b"{}", {"X-Sig": value}), AuthConfig(scheme="hmac", options=options))
    assert not accepted(inbound(b"{ }", {"X-Sig": value}), AuthConfig(scheme="hmac", options=options))


def test_hmac_takes_upper_case_hex_and_a_list_but_never_a_value_without_its_prefix() -> None:
    how = SIGNED["hmac"]
    right = signed(how).headers["x-signature"]
    digest = right.removeprefix("sha256=")
    for good in (right, "sha256=" + digest.upper(), f"sha256={'0' * 64}, {right}", f"v0=zz,{right}"):
        assert accepted(inbound(b"{}", {"X-Signature": good}), how)
    for bad in (digest, f"sha1={digest}", "sha256=", f"sha256={digest[:-1]}", f"sha256={digest}0", ","):
        assert not accepted(inbound(b"{}", {"X-Signature": bad}), how)


def test_the_name_of_the_authorization_scheme_has_no_case() -> None:
    assert accepted(inbound(headers={"Authorization": f"bearer {SECRET}"}), SIGNED["bearer"])
    assert accepted(inbound(headers={"Authorization": f"BEARER  {SECRET}"}), SIGNED["bearer"])
    for bad in (SECRET, f"Basic {SECRET}", f"Bearer{SECRET}", f"Bearer {SECRET}, Bearer {SECRET}", "Bearer", "Bearer "):
        assert not accepted(inbound(headers={"Authorization": bad}), SIGNED["bearer"])


def test_basic_needs_user_and_password() -> None:
    for pair, good in ((f"bridge:{SECRET}", True), (f"other:{SECRET}", False), (SECRET, False), ("bridge:", False)):
        header = "Basic " + base64.b64encode(pair.encode()).decode()
        assert accepted(inbound(headers={"Authorization": header}), SIGNED["basic"]) is good


def test_the_path_token_is_read_from_the_query_and_stands_there_once() -> None:
    for query, good in (
        (f"token={SECRET.replace('+', '%2B')}", True),
        (f"a=1&token={SECRET.replace('+', '%2B')}", True),
        (f"token={SECRET}&token=x", False),
        ("token=", False),
        ("", False),
        (f"Token={SECRET}", False),
        ("&".join(["a=1"] * 250) + f"&token={SECRET}", False),
    ):
        assert accepted(inbound(query=query), SIGNED["path_token"]) is good, query


@pytest.mark.parametrize("scheme", sorted(SIGNED.keys() - {"standard_webhooks"}))
def test_secrets_may_hold_any_text(scheme: str) -> None:
    how = SIGNED[scheme]
    assert accepted(signed(how, secret="pässwörd +&=%/ß"), how, "pässwörd +&=%/ß")
    assert not accepted(signed(how, secret="pässwörd +&=%/ß"), how, "password +&=%/ß")


@pytest.mark.parametrize("scheme", sorted(SIGNED))
def test_every_secret_is_compared_though_the_first_matches(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how, compared = SIGNED[scheme], []
    request = signed(how)
    real = stdlib_hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return real(one, other)

    monkeypatch.setattr(stdlib_hmac, "compare_digest", counting)
    others = ["whsec_" + base64.b64encode(bytes([n] * 24)).decode() for n in (1, 2)]
    assert accepted(request, how, SECRET, *others)
    assert len(compared) == 3


def test_none_accepts_everything_because_it_was_asked_to() -> None:
    assert accepted(inbound(b"\xff"), AuthConfig(scheme="none"), "")
    assert _auth.sign(AuthConfig(scheme="none"), [], b"", NOW, "") == {}


def test_without_a_secret_nothing_is_accepted_and_nothing_signed() -> None:
    for how in SIGNED.values():
        for secrets in ((), ("",)):
            with pytest.raises(SignatureInvalid):
                _auth.verify(signed(how), how, secrets, NOW)
            if how.scheme != "path_token":
                with pytest.raises(ConfigError):
                    _auth.sign(how, secrets, b"", NOW, "msg_1")
    with pytest.raises(ConfigError):
        _auth.sign_query(SIGNED["path_token"], [])


def test_an_empty_secret_is_no_key_to_sign_with() -> None:
    empty_mac = "sha256=" + stdlib_hmac.new(b"", b"{}", "sha256").hexdigest()
    empty_pair = "Basic " + base64.b64encode(b"bridge:").decode()
    assert not accepted(inbound(b"{}", {"X-Signature": empty_mac}), SIGNED["hmac"], "")
    assert not accepted(inbound(b"{}", {"Authorization": empty_pair}), SIGNED["basic"], "")


def test_a_scheme_that_nobody_knows_accepts_nothing() -> None:
    assert not accepted(inbound(), AuthConfig(scheme="magic"))


# --- hostile requests

NAMES = ["authorization", "x-token", "x-signature", "webhook-id", "webhook-timestamp", "webhook-signature", "svix-id"]
shapes = st.sampled_from(["Bearer ", "Basic ", "sha256=", "v1,", "v1,a,b", "v1a,x v1,", str(int(NOW.timestamp())), ""])
values = st.tuples(shapes, st.text(max_size=40)).map("".join)


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(SIGNED)), st.dictionaries(st.sampled_from(NAMES), values), st.binary(max_size=80), st.text()
)
def test_whatever_is_sent_the_answer_is_yes_or_401(
    scheme: str, headers: dict[str, str], body: bytes, query: str
) -> None:
    assert not accepted(Inbound(source="s", body=body, headers=headers, query=query, received_at=NOW), SIGNED[scheme])


def mutations(request: Inbound, dice: random.Random) -> Iterator[Inbound]:
    """Change one character of one part of a request, without end."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=.,-_ %\0é"

    def changed(text: str) -> str:
        at, new = dice.randrange(len(text) + 1), dice.choice(alphabet)
        return dice.choice([text[:at] + new + text[at:], text[:at] + new + text[at + 1 :], text[:at] + text[at + 1 :]])

    parts: list[Callable[[], Inbound]] = [
        lambda name=name: replace(request, headers={**request.headers, name: changed(request.headers[name])})  # type: ignore[misc]
        for name in request.headers
    ]
    if request.query:
        parts.append(lambda: replace(request, query=changed(request.query)))
    if "signature" in " ".join(request.headers):
        parts.append(lambda: replace(request, body=changed(request.body.decode()).encode()))
    while True:
        yield dice.choice(parts)()


def neutral(mutated: Inbound, request: Inbound) -> bool:
    """Whether it says the same: case of hex and of scheme names, blanks around a value, a plus for a blank."""

    def gist(each: Inbound) -> tuple[object, ...]:
        headers: dict[str, object] = {name: " ".join(value.split()) for name, value in each.headers.items()}
        if "x-signature" in headers:
            headers["x-signature"] = [
                part for part in each.headers["x-signature"].lower().replace(" ", "").split(",") if part
            ]
        if "authorization" in headers:
            scheme, _, rest = each.headers["authorization"].partition(" ")
            headers["authorization"] = (scheme.lower(), rest.strip())
        return headers, each.query, each.body

    return gist(mutated) == gist(request)


@pytest.mark.parametrize("scheme", sorted(SIGNED))
def test_of_ten_thousand_mutated_requests_none_is_accepted(scheme: str) -> None:
    how, dice, body = SIGNED[scheme], random.Random(20261123), b'{"status": "firing", "alerts": []}'
    request = signed(how, body)
    tried = 0
    for mutated in mutations(request, dice):
        if neutral(mutated, request):
            continue
        assert not accepted(mutated, how), mutated
        tried += 1
        if tried == 10_000:
            break
