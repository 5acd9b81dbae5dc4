"""
Amazon SNS, with alarms of CloudWatch in its notifications (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).

SNS signs with a certificate that lies on a host of its own. That host, the form of the address, and the region follow
from a topic that the rules allow, so a forged message cannot send anybody anywhere else; what has to be fetched is
named (``KeyNeeded``, ``errand``), and fetched by who has a network. ``SignatureVersion`` 1 is SHA-1, 2 is SHA-256.

An alarm that has no data is neither firing nor resolved. Every alarm is stamped with the time of its change.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from worker.core.model import Event, Inbound, Status
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import ConfigError, KeyNeeded, PayloadNotUnderstood, SignatureInvalid
from worker.ports import Statement
from worker.sources import _auth, _fields, _json

KIND = "alarm"
SCHEME = "sns"
MOST_KEYS = 20
OLDEST = timedelta(minutes=65)
"""A message is sent again for an hour at most, and keeps its time."""
AHEAD = timedelta(minutes=5)

_NOTIFICATION = "Notification"
_SUBSCRIBE = "SubscriptionConfirmation"
_SIGNED: Mapping[str, Sequence[str]] = {
    _NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    _SUBSCRIBE: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What is signed, in this order; fields that are not there are left out."""
_HASHES = {"1": "SHA1", "2": "SHA256"}
_KEY_PATH = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
_TOPIC = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}(?:-[a-z]+)+-[0-9]):[0-9]{12}:[\w.-]+")
_STATUSES: Mapping[str, Status] = {"ALARM": Status.FIRING, "OK": Status.RESOLVED}


class AwsSns:
    """
    Reads alarms out of SNS.

    It remembers certificates that it was shown: ``verify`` raises KeyNeeded where one is missing, and is asked again
    after ``learn``.
    """

    kind = "aws_sns"
    schemes: Mapping[str, Mapping[str, str]] = {SCHEME: {}, "path_token": {}, "none": {}}
    event_kinds = frozenset({KIND})

    def __init__(self) -> None:
        self._certificates: dict[str, Any] = {}

    def verify(self, inbound: Inbound, auth: AuthConfig, secrets: Sequence[str], now: datetime) -> None:
        """See ``ports.Source``; of the scheme ``sns``, the signature."""
        if auth.scheme != SCHEME:
            _auth.verify(inbound, auth, secrets, now)
            return
        try:
            self._verify(_json.read(inbound.body), auth, now)
        except (SignatureInvalid, KeyNeeded):
            raise
        except Exception:  # whatever a decoder makes of hostile bytes, it is the sender's fault
            raise SignatureInvalid("the signature cannot be read") from None

    def _verify(self, message: Any, auth: AuthConfig, now: datetime) -> None:
        if type(message) is not dict or message.get("TopicArn") not in auth.options["topics"].split(","):
            raise SignatureInvalid("not from a topic that the rules name")
        url, sent = _fields.required(message, "SigningCertURL"), _fields.time(message, "Timestamp")
        if not _of_the_topic(url, message["TopicArn"]) or not _KEY_PATH.fullmatch(urlsplit(url).path):
            raise SignatureInvalid("the certificate does not lie where it must")
        if sent is None or not now - OLDEST <= sent <= now + AHEAD:
            raise SignatureInvalid("the signed time is more than an hour old, or lies ahead")
        if url not in self._certificates:
            raise KeyNeeded(url)
        _require(self._certificates[url], message, now)

    def learn(self, url: str, content: bytes) -> None:
        """
        Take a certificate, PEM.

        Raises:
            ConfigError: The library that reads it is not installed.
            ValueError: It is none.
        """
        try:
            from cryptography import x509
        except ImportError:
            raise ConfigError("signatures of SNS need a library: pip install 'statusbridge[aws]'") from None
        certificate = x509.load_pem_x509_certificate(content)
        while len(self._certificates) >= MOST_KEYS:
            self._certificates.pop(next(iter(self._certificates)))
        self._certificates[url] = certificate

    def errand(self, inbound: Inbound, config: SourceConfig) -> str:
        """Give the address that confirms a subscription, where the rules allow that; else ""."""
        if config.auth.scheme != SCHEME or not config.auth.options.get("confirm"):
            return ""
        message = _json.read(inbound.body)
        url = _fields.text(message, "SubscribeURL")
        if message.get("Type") != _SUBSCRIBE or not _of_the_topic(url, message["TopicArn"]):
            return ""
        asked = parse_qs(urlsplit(url).query)
        confirms = asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [message["TopicArn"]]
        return url if confirms else ""

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give the one alarm of the notification; none for confirmations."""
        body = _json.read(inbound.body)
        if type(body) is not dict:
            raise PayloadNotUnderstood("not a message of SNS")
        told = _fields.text(body, "Type")
        if told in _SIGNED and told != _NOTIFICATION:
            return ()
        alarm = _alarm(_fields.text(body, "Message")) if told else body  # without the envelope: raw delivery
        if type(alarm) is not dict or "AlarmName" not in alarm:
            raise PayloadNotUnderstood("not an alarm of CloudWatch; give alarms a topic of their own")
        return (_event(config.name, alarm),)

    def delivery_id(self, inbound: Inbound) -> str:
        """Give the id of the message, the same over its retries."""
        return inbound.headers.get("x-amz-sns-message-id", "")


def _of_the_topic(url: str, topic: str) -> bool:
    """Whether an address is one of SNS itself, in the region of a topic."""
    parts, found = urlsplit(url), _TOPIC.fullmatch(topic)
    if found is None:
        return False
    host = f"sns.{found[2]}.amazonaws.com" + (".cn" if found[1] == "aws-cn" else "")
    return parts.scheme == "https" and parts.netloc == host


def _require(certificate: Any, message: dict[str, Any], now: datetime) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise SignatureInvalid("the certificate is not valid now")
    fields = _SIGNED[_fields.text(message, "Type")]
    signed = "".join(f"{name}\n{_fields.text(message, name)}\n" for name in fields if message.get(name) is not None)
    signature = base64.b64decode(_fields.text(message, "Signature"), validate=True)
    algorithm = getattr(hashes, _HASHES[_fields.text(message, "SignatureVersion")])()
    try:
        certificate.public_key().verify(signature, signed.encode(), PKCS1v15(), algorithm)
    except InvalidSignature:
        raise SignatureInvalid("the signature does not match") from None


def _alarm(message: str) -> Any:
    try:
        return _json.read(message.encode())
    except PayloadNotUnderstood:
        return None


def _event(source: str, alarm: dict[str, Any]) -> Event:
    state, changed = _fields.text(alarm, "NewStateValue"), _fields.time(alarm, "StateChangeTime")
    if changed is None:
        raise PayloadNotUnderstood("StateChangeTime: missing")
    status = _STATUSES.get(state, Status.INFO)
    return Event(
        source=source,
        kind=KIND,
        key=_key(alarm),
        status=status,
        status_name=state,
        title=_fields.one_line(_fields.required(alarm, "AlarmName")),
        message=_fields.text(alarm, "NewStateReason"),
        labels=_labels(alarm),
        annotations={"description": words} if (words := _fields.text(alarm, "AlarmDescription")) else {},
        started_at=changed if status is Status.FIRING else None,
        occurred_at=changed,
    )


def _key(alarm: dict[str, Any]) -> str:
    """Give the alarm's ARN; older alarms have none, but what it is made of."""
    parts = (_fields.text(alarm, name) for name in ("AWSAccountId", "Region", "AlarmName"))
    return _fields.identity(alarm, "AlarmArn") or _fields.bounded("/".join(parts))


def _labels(alarm: dict[str, Any]) -> dict[str, str]:
    trigger = _fields.child(alarm, "Trigger")
    arn = _fields.text(alarm, "AlarmArn").split(":")
    fixed = {
        "alarm": _fields.text(alarm, "AlarmName"),
        "account": _fields.text(alarm, "AWSAccountId"),
        "region": arn[3] if len(arn) > 3 else _fields.text(alarm, "Region"),
        "namespace": _fields.text(trigger, "Namespace"),
        "metric": _fields.text(trigger, "MetricName"),
    }
    dimensions = _fields.tags(trigger.get("Dimensions"), "Trigger.Dimensions")
    return {**dimensions, **{name: value for name, value in fixed.items() if value}}
