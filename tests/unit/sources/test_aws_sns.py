"""Amazon SNS: whose signature is believed, what may be fetched for it, and the subscription that confirms itself."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.unit.web.site import Site
from worker.core.model import Inbound
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import ConfigError, KeyNeeded, SignatureInvalid
from worker.sources.aws_sns import MOST_KEYS, AwsSns
from worker.steps.intake import Endpoint
from worker.web.errands import Errands

PAYLOADS = Path(__file__).parents[2] / "payloads/aws_sns"
NOW = datetime(2026, 11, 23, 10, 15, 10, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alarms"
HOST = "https://sns.eu-west-1.amazonaws.com"
KEY_URL = f"{HOST}/SimpleNotificationService-{'0' * 32}.pem"
AUTH = AuthConfig(scheme="sns", options={"topics": f"arn:aws:sns:eu-west-1:123456789012:others,{TOPIC}"})
CONFIRMS = AuthConfig(scheme="sns", options={"topics": TOPIC, "confirm": "true"})


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate(until: datetime = NOW + timedelta(days=30)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder(name, name, key().public_key(), 7, NOW - timedelta(days=30), until)
    return made.sign(key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signed(version: str = "2", **changed: Any) -> dict[str, Any]:
    """Make a message as SNS does, by its documentation."""
    message = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Subject": "ALARM",
        "Message": "{}",
        "Timestamp": "2026-11-23T10:15:02.300Z",
        "SignatureVersion": version,
        "SigningCertURL": KEY_URL,
    } | changed
    confirms = message["Type"] != "Notification"
    fields = "Message MessageId SubscribeURL Timestamp Token TopicArn Type" if confirms else ""
    names = (fields or "Message MessageId Subject Timestamp TopicArn Type").split()
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    algorithm = {"1": hashes.SHA1, "2": hashes.SHA256}[version]()
    signature = key().sign(text.encode(), padding.PKCS1v15(), algorithm)
    return {**message, "Signature": base64.b64encode(signature).decode()}


def subscription(**changed: Any) -> dict[str, Any]:
    url = f"{HOST}/?Action=ConfirmSubscription&TopicArn={quote(TOPIC, safe='')}&Token=2336412f37"
    told = {
        "Type": "SubscriptionConfirmation",
        "Message": "You have chosen",
        "Token": "2336412f37",
        "SubscribeURL": url,
    }
    return {name: value for name, value in signed(**{**told, **changed}).items() if name != "Subject"}


def inbound(message: Any) -> Inbound:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Inbound(source="sns", body=body, headers={"x-amz-sns-message-id": "m-1"}, received_at=NOW)


def source() -> AwsSns:
    made = AwsSns()
    made.learn(KEY_URL, certificate())
    return made


def verified(message: Any, auth: AuthConfig = AUTH, now: datetime = NOW, by: AwsSns | None = None) -> bool:
    try:
        (by or source()).verify(inbound(message), auth, (), now)
    except SignatureInvalid:
        return False
    return True


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_believed(version: str) -> None:
    assert verified(signed(version))


def test_a_notification_without_a_subject_is_signed_without_it() -> None:
    message = signed()
    told = {name: value for name, value in message.items() if name not in ("Subject", "Signature")}
    text = "".join(f"{name}\n{told[name]}\n" for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"))
    signature = key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert verified({**told, "Signature": base64.b64encode(signature).decode()})


@pytest.mark.parametrize(
    "name",
    [
        f"localstack_{each}"
        for each in ("alarm_sigv1", "alarm_sigv2", "ok_sigv1", "confirmation_sigv1", "confirmation_sigv2")
    ],
)
def test_what_a_real_sender_signed_is_believed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed by LocalStack's SNS; its certificate lies on this machine, so that the pin is what must be lifted."""
    message = json.loads((PAYLOADS / name / "body.json").read_bytes())
    sent = datetime.fromisoformat(message["Timestamp"])
    url = message["SigningCertURL"]
    assert not verified(message, AuthConfig(scheme="sns", options={"topics": message["TopicArn"]}), sent)
    monkeypatch.setattr("worker.sources.aws_sns._of_the_topic", lambda url, topic: True)
    monkeypatch.setattr("worker.sources.aws_sns._KEY_PATH", re.compile(".*"))
    by = AwsSns()
    by.learn(url, (PAYLOADS / "localstack.pem").read_bytes())
    auth = AuthConfig(scheme="sns", options={"topics": message["TopicArn"]})
    assert verified(message, auth, sent, by)
    assert not verified({**message, "Message": message["Message"] + " "}, auth, sent, by)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "Type", "Signature"])
def test_whatever_is_signed_cannot_be_changed(name: str) -> None:
    message = signed()
    other = "2026-11-23T10:15:03.300Z" if name == "Timestamp" else message[name][:-1] + "x"
    assert not verified({**message, name: other})


@pytest.mark.parametrize(
    "changed",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:strangers"},
        {"TopicArn": ""},
        {"TopicArn": ["x"]},
        {"SigningCertURL": KEY_URL.replace("https", "http")},
        {"SigningCertURL": KEY_URL.replace("eu-west-1", "us-east-1")},
        {"SigningCertURL": KEY_URL.replace("amazonaws.com", "amazonaws.com.evil.example")},
        {"SigningCertURL": KEY_URL.replace("https://", "https://evil.example@")},
        {"SigningCertURL": KEY_URL.replace(".com/", ".com:444/")},
        {"SigningCertURL": KEY_URL.replace("/Simple", "/evil/../Simple")},
        {"SigningCertURL": KEY_URL + "?x=1.pem#"},
        {"SigningCertURL": "https://s3.amazonaws.com/bucket/cert.pem"},
        {"SigningCertURL": 7},
        {"Timestamp": "2026-11-23T09:05:00Z"},
        {"Timestamp": "2026-11-23T10:25:00Z"},
        {"Timestamp": ""},
        {"SignatureVersion": "3"},
        {"Signature": "not base64"},
        {"Type": "Whatever"},
    ],
)
def test_nobody_is_asked_for_a_key_by_a_message_that_cannot_be_right(changed: dict[str, Any]) -> None:
    """No address of a stranger's is ever fetched: with no key known, it is refused before one is asked for."""
    message = {**signed(), **changed}
    where_it_lies = "SigningCertURL" in changed or "TopicArn" in changed or "Timestamp" in changed
    if changed == {"SigningCertURL": KEY_URL + "?x=1.pem#"}:
        message["SigningCertURL"] = KEY_URL.replace(".pem", ".pem/x")
    assert not verified(message, by=AwsSns() if where_it_lies else None)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"7", b"\xff", b'{"TopicArn":[]}'])
def test_nonsense_and_raw_deliveries_are_refused(body: bytes) -> None:
    assert not verified(body)


def test_a_key_that_is_not_known_is_asked_for_once_it_is_worth_it() -> None:
    with pytest.raises(KeyNeeded) as asked:
        AwsSns().verify(inbound(signed()), AUTH, (), NOW)
    assert asked.value.url == KEY_URL


def test_a_certificate_that_is_over_proves_nothing() -> None:
    by = AwsSns()
    by.learn(KEY_URL, certificate(NOW - timedelta(seconds=1)))
    assert not verified(signed(), by=by)


def test_only_so_many_certificates_are_remembered() -> None:
    by = source()
    for number in range(MOST_KEYS):
        by.learn(f"{HOST}/{number}", certificate())
    with pytest.raises(KeyNeeded):
        by.verify(inbound(signed()), AUTH, (), NOW)
    with pytest.raises(ValueError):
        by.learn(KEY_URL, b"<html>")


def test_without_the_library_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError, match="aws"):
        AwsSns().learn(KEY_URL, b"")


# --- over HTTP


class Network:
    """Answers what it knows, and remembers what it was asked for."""

    def __init__(self, **answers: bytes) -> None:
        self.asked: list[str] = []
        self.known = {KEY_URL: certificate()} | answers

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.known:
            raise OSError("no route")
        return self.known[url]


def site_with(network: Network, auth: AuthConfig = AUTH, clock: Any = lambda: NOW) -> Site:
    site = Site(clock=clock, limit=50_000)
    config = SourceConfig(name="sns", kind="aws_sns", auth=auth)
    site.endpoints = {"sns": Endpoint(config, AwsSns(), ())}
    site.hooks._errands = Errands(clock, network)
    return site


def alarm(state: str = "ALARM") -> str:
    return json.dumps({"AlarmName": "a", "NewStateValue": state, "StateChangeTime": "2026-11-23T10:15:02.118+0000"})


def posted(site: Site, message: Any) -> tuple[int, Any]:
    async def work(client: httpx.AsyncClient) -> httpx.Response:
        answer = await client.post("/hooks/sns", content=inbound(message).body)
        await asyncio.gather(*site.hooks._errands._running)
        return answer

    answer = site.asks(work)
    return answer.status_code, answer.json()


def test_the_certificate_is_fetched_once_and_the_message_taken() -> None:
    network = Network()
    site = site_with(network)
    for _ in range(3):
        assert posted(site, signed(Message=alarm()))[0] == 202
    assert network.asked == [KEY_URL]


def test_what_cannot_be_fetched_is_answered_503_and_not_tried_again_at_once() -> None:
    network, now = Network(), [NOW]
    site = site_with(network, clock=lambda: now[0])
    network.known = {}
    assert [posted(site, signed(Message=alarm()))[0] for _ in range(3)] == [503, 503, 503]
    assert network.asked == [KEY_URL]
    network.known = {KEY_URL: b"<html>"}
    now[0] += timedelta(seconds=31)
    assert posted(site, signed(Message=alarm()))[0] == 503, "no certificate"
    network.known = {KEY_URL: certificate()}
    now[0] += timedelta(seconds=31)
    assert posted(site, signed(Message=alarm()))[0] == 202


def test_a_forged_message_makes_nobody_fetch_anything_but_the_key() -> None:
    network = Network()
    site = site_with(network, CONFIRMS)
    assert posted(site, {**subscription(), "Token": "another"})[0] == 401
    assert posted(site, {**signed(), "TopicArn": "arn:aws:sns:eu-west-1:1:x"})[0] == 401
    assert network.asked == [KEY_URL]


def test_a_subscription_is_confirmed_only_where_the_rules_allow_it_and_only_at_sns() -> None:
    network = Network()
    assert posted(site_with(network), subscription()) == (202, {"accepted": 0, "duplicates": 0})
    assert network.asked == [KEY_URL], "not allowed"
    network = Network()
    url = subscription()["SubscribeURL"]
    assert posted(site_with(network, CONFIRMS), subscription())[0] == 202
    assert network.asked == [KEY_URL, url]
    for elsewhere in (
        url.replace("eu-west-1.amazonaws.com", "eu-west-1.evil.example"),
        url.replace("https", "http"),
        url.replace("ConfirmSubscription", "Unsubscribe"),
        url.replace("alarms", "others"),
    ):
        network = Network()
        assert posted(site_with(network, CONFIRMS), subscription(SubscribeURL=elsewhere))[0] == 202
        assert network.asked == [KEY_URL], elsewhere
