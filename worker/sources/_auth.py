"""
Proof that a request comes from the configured sender, and the mirror of it: what the sender has to add.

One function a scheme, over the raw bytes. Whatever hostile headers or bodies make any of it raise ends as
SignatureInvalid. Every configured secret is tried against everything the request offers, in constant time and to the
end, so that secrets can be rotated and none can be guessed by the clock. This file may not know any vendor.

Standard Webhooks is done here, not by the PyPI package of that name: its ``verify`` reads the wall clock itself, takes
only ``webhook-*`` names, raises bare ValueError on malformed signatures, and accepts mistyped base64 in secrets. The
package is the oracle of the tests instead.
"""

from __future__ import annotations

import base64
import hmac
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from worker.core.model import Inbound
from worker.core.ruleset import AuthConfig
from worker.errors import ConfigError, SignatureInvalid

TOLERANCE_SECONDS = 300
"""How far a signed time may lie from ours; the value of all reference libraries of Standard Webhooks."""

MAX_FIELDS = 200
"""Of a query string or form."""
_WEBHOOK_HEADERS = ("webhook-", "svix-")
_ABSENT = "the request bears no signature or token"


class _Proof(NamedTuple):
    """What a request offers, and what it is held against."""

    inbound: Inbound
    options: Mapping[str, str]
    secrets: Sequence[str]
    now: datetime


class _Order(NamedTuple):
    """What is to be signed."""

    options: Mapping[str, str]
    secret: str
    body: bytes
    now: datetime
    delivery_id: str


def verify(inbound: Inbound, auth: AuthConfig, secrets: Sequence[str], now: datetime) -> None:
    """
    Prove an inbound authentic.

    Args:
        secrets: Resolved values of ``auth.secrets``; any may match; empty ones never do.

    Raises:
        SignatureInvalid: It is not.
    """
    try:
        _VERIFY[auth.scheme](_Proof(inbound, auth.options, [secret for secret in secrets if secret], now))
    except SignatureInvalid:
        raise
    except Exception:  # whatever a decoder makes of hostile bytes, it is the sender's fault
        raise SignatureInvalid("the signature or token cannot be read") from None


def sign(auth: AuthConfig, secrets: Sequence[str], body: bytes, now: datetime, delivery_id: str) -> dict[str, str]:
    """
    Give the headers that a sender adds so that ``verify`` accepts the request; the first secret is used.

    ``none`` and ``path_token`` have no headers; for the latter see ``sign_query``.

    Raises:
        ConfigError: There is no secret, or it is none for this scheme.
    """
    if auth.scheme not in _VERIFY:
        raise ConfigError(f"only the real sender can sign by `{auth.scheme}`")
    if auth.scheme not in _SIGN:
        return {}
    return _SIGN[auth.scheme](_Order(auth.options, _first(secrets), body, now, delivery_id))


def sign_query(auth: AuthConfig, secrets: Sequence[str]) -> str:
    """Give the query string, without "?", that a sender adds to the address; "" for every scheme but ``path_token``."""
    return urlencode({_parameter(auth.options): _first(secrets)}) if auth.scheme == "path_token" else ""


def message_id(headers: Mapping[str, str]) -> str:
    """Give the delivery's id by Standard Webhooks, the same over all retries; "" where there is none."""
    return next((headers[prefix + "id"] for prefix in _WEBHOOK_HEADERS if prefix + "id" in headers), "")


def _first(secrets: Sequence[str]) -> str:
    if not secrets or not secrets[0]:
        raise ConfigError("there is no secret to sign with")
    return secrets[0]


def _require(offered: Iterable[bytes], accepted: Iterable[bytes]) -> None:
    expected, matched = list(accepted), False
    for given in offered:
        for wanted in expected:
            matched |= hmac.compare_digest(wanted, given)
    if not matched:
        raise SignatureInvalid("the signature or token does not match")


def _header(inbound: Inbound, name: str) -> bytes:
    """Give a header as the bytes that were sent (HTTP libraries decode headers as Latin-1)."""
    value = inbound.headers.get(name.lower())
    if not value:
        raise SignatureInvalid(_ABSENT)
    return value.encode("latin-1")


def _sendable(secret: str) -> str:
    """Write a secret so that a header carries its UTF-8 bytes."""
    return secret.encode().decode("latin-1")


def _credentials(inbound: Inbound, scheme: bytes) -> bytes:
    name, _, credentials = _header(inbound, "authorization").partition(b" ")
    if name.lower() != scheme:
        raise SignatureInvalid(_ABSENT)
    return credentials.strip()


def _verify_bearer(proof: _Proof) -> None:
    _require([_credentials(proof.inbound, b"bearer")], (secret.encode() for secret in proof.secrets))


def _sign_bearer(order: _Order) -> dict[str, str]:
    return {"Authorization": "Bearer " + _sendable(order.secret)}


def _verify_basic(proof: _Proof) -> None:
    """Compared as encoded, so that there is one way only to write the right answer."""
    _require([_credentials(proof.inbound, b"basic")], (_basic(proof.options, secret) for secret in proof.secrets))


def _sign_basic(order: _Order) -> dict[str, str]:
    return {"Authorization": "Basic " + _basic(order.options, order.secret).decode()}


def _basic(options: Mapping[str, str], secret: str) -> bytes:
    return base64.b64encode(f"{options['username']}:{secret}".encode())


def _verify_header(proof: _Proof) -> None:
    _require([_header(proof.inbound, proof.options["name"])], (secret.encode() for secret in proof.secrets))


def _sign_header(order: _Order) -> dict[str, str]:
    return {order.options["name"]: _sendable(order.secret)}


def _parameter(options: Mapping[str, str]) -> str:
    return options.get("parameter", "token")


def _verify_path_token(proof: _Proof) -> None:
    fields = parse_qs(proof.inbound.query, max_num_fields=MAX_FIELDS)
    tokens = fields.get(_parameter(proof.options), [])
    if len(tokens) != 1:
        raise SignatureInvalid(_ABSENT)
    _require([tokens[0].encode()], (secret.encode() for secret in proof.secrets))


def _verify_hmac(proof: _Proof) -> None:
    """Several signatures may stand in the header, separated by commas, as senders do while they rotate."""
    prefix = proof.options.get("prefix", "").encode()
    parts = [part.strip() for part in _header(proof.inbound, proof.options["header"]).split(b",")]
    given = [part[len(prefix) :] for part in parts if part.startswith(prefix)]
    if proof.options.get("encoding", "hex") == "hex":
        given = [part.lower() for part in given]
    timestamp = proof.options.get("timestamp")
    stamp = _header(proof.inbound, timestamp) if timestamp else b""
    signed = stamp + b":" + proof.inbound.body if timestamp else proof.inbound.body
    _require(given, (_mac(proof.options, secret, signed) for secret in proof.secrets))
    if timestamp:
        _require_fresh(stamp, proof.now)


def _require_fresh(stamp: bytes, now: datetime) -> None:
    if not stamp.isdigit() or abs(int(stamp) - now.timestamp()) > TOLERANCE_SECONDS:
        raise SignatureInvalid("the signed time is more than 5 minutes away from the time here")


def _sign_hmac(order: _Order) -> dict[str, str]:
    timestamp, stamp = order.options.get("timestamp"), str(math.floor(order.now.timestamp()))
    signed = stamp.encode() + b":" + order.body if timestamp else order.body
    signature = _mac(order.options, order.secret, signed).decode()
    headers = {order.options["header"]: order.options.get("prefix", "") + signature}
    return headers | {timestamp: stamp} if timestamp else headers


def _mac(options: Mapping[str, str], secret: str, body: bytes) -> bytes:
    digest = hmac.digest(secret.encode(), body, options.get("algorithm", "sha256"))
    return base64.b64encode(digest) if options.get("encoding", "hex") == "base64" else digest.hex().encode()


def _verify_webhook(proof: _Proof) -> None:
    """The specification of Standard Webhooks: ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``."""
    headers = proof.inbound.headers
    prefix = next((prefix for prefix in _WEBHOOK_HEADERS if prefix + "signature" in headers), "")
    ident, stamp, signatures = (_header(proof.inbound, prefix + name) for name in ("id", "timestamp", "signature"))
    given = [part[3:] for part in signatures.split(b" ") if part.startswith(b"v1,")]
    keys = [key for secret in proof.secrets if (key := _webhook_key(secret))]
    _require(given, (_webhook_mac(key, ident, stamp, proof.inbound.body) for key in keys))
    _require_fresh(stamp, proof.now)


def _sign_webhook(order: _Order) -> dict[str, str]:
    key, stamp = _webhook_key(order.secret), str(math.floor(order.now.timestamp()))
    if not key:
        raise ConfigError("the secret is not base64, with or without whsec_ before it")
    signature = _webhook_mac(key, order.delivery_id.encode(), stamp.encode(), order.body).decode()
    return {"webhook-id": order.delivery_id, "webhook-timestamp": stamp, "webhook-signature": "v1," + signature}


def _webhook_key(secret: str) -> bytes:
    """Give the key; b"" for a secret that is none, so that another one can still match."""
    text = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _webhook_mac(key: bytes, ident: bytes, stamp: bytes, body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, b".".join((ident, stamp, body)), "sha256"))


def _verify_none(_: _Proof) -> None:
    """Everything is accepted, because the configuration says so."""


_VERIFY: Mapping[str, Callable[[_Proof], None]] = {
    "bearer": _verify_bearer,
    "basic": _verify_basic,
    "header": _verify_header,
    "path_token": _verify_path_token,
    "hmac": _verify_hmac,
    "standard_webhooks": _verify_webhook,
    "none": _verify_none,
}
_SIGN: Mapping[str, Callable[[_Order], dict[str, str]]] = {
    "bearer": _sign_bearer,
    "basic": _sign_basic,
    "header": _sign_header,
    "hmac": _sign_hmac,
    "standard_webhooks": _sign_webhook,
}

SCHEMES: Mapping[str, Mapping[str, str]] = {scheme: {} for scheme in _VERIFY}
"""Every scheme that a source can offer, none with options of its own."""
TOKENS = {scheme: SCHEMES[scheme] for scheme in ("bearer", "basic", "header", "path_token", "none")}
"""Those that are left where the sender signs nothing."""
