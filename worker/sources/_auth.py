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
from urllib.parse import parse_qs, urlencode

from worker.core.model import Inbound
from worker.core.ruleset import AuthConfig
from worker.errors import ConfigError, SignatureInvalid

TOLERANCE_SECONDS = 300
"""How far a signed time may lie from ours; the value of all reference libraries of Standard Webhooks."""

PATH_TOKEN = "token"
_WEBHOOK_HEADERS = ("webhook-", "svix-")
_SECRET_PREFIX = "whsec_"


def verify(inbound: Inbound, auth: AuthConfig, secrets: Sequence[str], now: datetime) -> None:
    """
    Prove an inbound authentic.

    Args:
        secrets: Resolved values of ``auth.secrets``; any may match; empty ones never do.

    Raises:
        SignatureInvalid: It is not.
    """
    try:
        _VERIFY[auth.scheme](inbound, auth.options, [secret for secret in secrets if secret], now)
    except SignatureInvalid:
        raise
    except Exception:  # noqa: BLE001 - whatever a decoder makes of hostile bytes, it is the sender's fault
        raise SignatureInvalid("the signature or token cannot be read") from None


def sign(auth: AuthConfig, secrets: Sequence[str], body: bytes, now: datetime, delivery_id: str) -> dict[str, str]:
    """
    Give the headers that a sender adds so that ``verify`` accepts the request; the first secret is used.

    ``path_token`` has none: see ``sign_query``.

    Raises:
        ConfigError: There is no secret, or it is none for this scheme.
    """
    if auth.scheme in ("none", "path_token"):
        return {}
    return _SIGN[auth.scheme](auth.options, _first(secrets), body, now, delivery_id)


def sign_query(auth: AuthConfig, secrets: Sequence[str]) -> str:
    """Give the query string, without "?", that a sender adds to the address; "" for every scheme but ``path_token``."""
    return urlencode({PATH_TOKEN: _first(secrets)}) if auth.scheme == "path_token" else ""


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
        raise SignatureInvalid("the request bears no signature or token")
    return value.encode("latin-1")


def _credentials(inbound: Inbound, scheme: bytes) -> bytes:
    name, _, credentials = _header(inbound, "authorization").partition(b" ")
    if name.lower() != scheme:
        raise SignatureInvalid("the request bears no signature or token")
    return credentials.strip()


def _verify_bearer(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    _require([_credentials(inbound, b"bearer")], (secret.encode() for secret in secrets))


def _sign_bearer(options: Mapping[str, str], secret: str, body: bytes, now: datetime, ident: str) -> dict[str, str]:
    return {"Authorization": "Bearer " + _latin(secret)}


def _verify_basic(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    given = base64.b64decode(_credentials(inbound, b"basic"), validate=True)
    _require([given], (_user_and(secret, options) for secret in secrets))


def _sign_basic(options: Mapping[str, str], secret: str, body: bytes, now: datetime, ident: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(_user_and(secret, options)).decode()}


def _user_and(secret: str, options: Mapping[str, str]) -> bytes:
    return f"{options.get('username', '')}:{secret}".encode()


def _verify_header(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    _require([_header(inbound, options["name"])], (secret.encode() for secret in secrets))


def _sign_header(options: Mapping[str, str], secret: str, body: bytes, now: datetime, ident: str) -> dict[str, str]:
    return {options["name"]: _latin(secret)}


def _verify_path_token(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    tokens = parse_qs(inbound.query, max_num_fields=20).get(PATH_TOKEN, [])
    if len(tokens) != 1:
        raise SignatureInvalid("the request bears no signature or token")
    _require([tokens[0].encode()], (secret.encode() for secret in secrets))


def _verify_hmac(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    """Several signatures may stand in the header, separated by commas, as senders do while they rotate."""
    prefix = options.get("prefix", "").encode()
    parts = [part.strip() for part in _header(inbound, options["header"]).split(b",")]
    given = [part[len(prefix) :] for part in parts if part.startswith(prefix)]
    if options.get("encoding", "hex") == "hex":
        given = [part.lower() for part in given]
    _require(given, (_mac(options, secret, inbound.body) for secret in secrets))


def _sign_hmac(options: Mapping[str, str], secret: str, body: bytes, now: datetime, ident: str) -> dict[str, str]:
    return {options["header"]: options.get("prefix", "") + _mac(options, secret, body).decode()}


def _mac(options: Mapping[str, str], secret: str, body: bytes) -> bytes:
    digest = hmac.digest(secret.encode(), body, options.get("algorithm", "sha256"))
    return _ENCODINGS[options.get("encoding", "hex")](digest)


_ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": base64.b64encode,
}


def _verify_webhook(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    """The specification of Standard Webhooks: ``v1,`` and HMAC-SHA256 over ``id.timestamp.body``, base64."""
    prefix = next((prefix for prefix in _WEBHOOK_HEADERS if prefix + "signature" in inbound.headers), "webhook-")
    ident, stamp = _header(inbound, prefix + "id"), _header(inbound, prefix + "timestamp")
    parts = _header(inbound, prefix + "signature").split(b" ")
    given = [part.removeprefix(b"v1,") for part in parts if part.startswith(b"v1,")]
    keys = [key for secret in secrets if (key := _webhook_key(secret))]
    _require(given, (_webhook_mac(key, ident, stamp, inbound.body) for key in keys))
    if not stamp.isdigit() or abs(int(stamp) - now.timestamp()) > TOLERANCE_SECONDS:
        raise SignatureInvalid("the signed time is more than 5 minutes away from the time here")


def _sign_webhook(options: Mapping[str, str], secret: str, body: bytes, now: datetime, ident: str) -> dict[str, str]:
    key, stamp = _webhook_key(secret), str(math.floor(now.timestamp()))
    if not key:
        raise ConfigError("the secret is not base64, with or without whsec_ before it")
    signature = "v1," + _webhook_mac(key, ident.encode(), stamp.encode(), body).decode()
    return {"webhook-id": ident, "webhook-timestamp": stamp, "webhook-signature": signature}


def _webhook_key(secret: str) -> bytes:
    """Give the key; b"" for a secret that is none, so that another one can still match."""
    text = secret.removeprefix(_SECRET_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _webhook_mac(key: bytes, ident: bytes, stamp: bytes, body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, b".".join((ident, stamp, body)), "sha256"))


def _verify_none(inbound: Inbound, options: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    """Everything is accepted, because the configuration says so."""


def _latin(secret: str) -> str:
    """Put a text into a header so that its UTF-8 bytes are what is sent."""
    return secret.encode().decode("latin-1")


_Verify = Callable[[Inbound, Mapping[str, str], Sequence[str], datetime], None]
_Sign = Callable[[Mapping[str, str], str, bytes, datetime, str], dict[str, str]]

_VERIFY: Mapping[str, _Verify] = {
    "bearer": _verify_bearer,
    "basic": _verify_basic,
    "header": _verify_header,
    "path_token": _verify_path_token,
    "hmac": _verify_hmac,
    "standard_webhooks": _verify_webhook,
    "none": _verify_none,
}
_SIGN: Mapping[str, _Sign] = {
    "bearer": _sign_bearer,
    "basic": _sign_basic,
    "header": _sign_header,
    "hmac": _sign_hmac,
    "standard_webhooks": _sign_webhook,
}

SCHEMES = frozenset(_VERIFY)
