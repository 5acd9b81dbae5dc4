"""
Inbound → verified, normalised, recorded.

What is recorded is the inbound as it came: its statements are a pure function of it, so react reads them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_plus

from worker.core.model import Event, Inbound, Unreadable
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import SourceUnknown
from worker.ports import Correspondent, Entry, Host, Inbox, Meter, Recorded, Source, Statement

REPEAT_WINDOW_S = 600
"""How long a byte-identical body of stamped statements is taken for a retry, and not recorded again."""

_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured source with what it needs at run time; ``secrets`` are the resolved values."""

    config: SourceConfig
    source: Source
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Endpoint({self.config.name})"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What to answer: how many statements were accepted, were repeats, or could not be understood."""

    accepted: int
    duplicates: int
    unparsed: int


class Intake:
    """
    Args:
        endpoints: Gives the configured sources by name, as of now.
    """

    def __init__(self, inbox: Inbox, endpoints: Callable[[], Mapping[str, Endpoint]], meter: Meter) -> None:
        self._inbox = inbox
        self._endpoints = endpoints
        self._meter = meter

    def understood(self, inbound: Inbound) -> Entry:
        """
        Prove an inbound authentic and read it; what cannot be read is recorded all the same.

        Raises:
            SourceUnknown: No such source is configured.
            SignatureInvalid: It is not authentic.
            KeyNeeded: That cannot be told before ``learn`` was given something.
        """
        endpoint = self._endpoints().get(inbound.source)
        if endpoint is None:
            raise SourceUnknown
        endpoint.source.verify(inbound, endpoint.config.auth, endpoint.secrets, inbound.received_at)
        return understood(endpoint, without_secrets(inbound, endpoint.config.auth))

    def learn(self, inbound: Inbound, url: str, content: bytes) -> None:
        """
        Hand over what was missing to prove an inbound authentic.

        Raises:
            ConfigError, ValueError: It cannot be used.
        """
        endpoint = self._endpoints().get(inbound.source)
        if endpoint is not None and isinstance(endpoint.source, Correspondent):
            endpoint.source.learn(url, content)

    def errand(self, inbound: Inbound) -> str:
        """Name the address that an inbound, once recorded, asks to be called; "": none."""
        endpoint = self._endpoints().get(inbound.source)
        if endpoint is None or not isinstance(endpoint.source, Correspondent):
            return ""
        return endpoint.source.errand(inbound, endpoint.config)

    def welcome(self, inbound: Inbound) -> Mapping[str, str]:
        """
        Answer a sender that asks whether it may send: with the headers of a yes; none: its source knows no such thing.

        Raises:
            SourceUnknown: No such source is configured.
        """
        endpoint = self._endpoints().get(inbound.source)
        if endpoint is None:
            raise SourceUnknown
        return endpoint.source.welcome(inbound) if isinstance(endpoint.source, Host) else {}

    def record(self, entry: Entry, done: Callable[[Recorded | Exception], None]) -> None:
        """
        Queue an entry; *done* is called once it is on disk, or failed, from any thread.

        Raises:
            Overloaded: The backlog is full.
        """
        self._inbox.record(entry, done)

    def receipt(self, entry: Entry, recorded: Recorded) -> Receipt:
        """Tell, and count, what became of a recorded entry."""
        repeated = entry.statements if recorded.duplicate else 0
        nothing = entry.unparsed and not entry.statements
        outcome = "duplicate" if recorded.duplicate else "unparsed" if nothing else "accepted"
        source = entry.inbound.source
        self._meter.count("inbounds", source=source, outcome=outcome)
        if entry.unparsed and not recorded.duplicate:
            self._meter.count("statements_unparsed", by=entry.unparsed, source=source)
        return Receipt(entry.statements - repeated, repeated, entry.unparsed)


def without_secrets(inbound: Inbound, auth: AuthConfig) -> Inbound:
    """Leave out what proved the sender: nobody needs it again, and it must not be in the ledger."""
    secret = _CREDENTIALS | {auth.options.get("name", "").lower()}
    headers = {name: value for name, value in inbound.headers.items() if name not in secret}
    return replace(inbound, headers=headers, query=_open_query(inbound.query, auth))


def _open_query(query: str, auth: AuthConfig) -> str:
    if auth.scheme != "path_token":
        return query
    token = auth.options.get("parameter", "token")
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != token)


def understood(endpoint: Endpoint, inbound: Inbound) -> Entry:
    """Count what an authentic inbound says, and what of it cannot be read; why, react tells when it reads it again."""
    try:
        statements = endpoint.source.normalise(inbound, endpoint.config)
    except Exception:  # not understood, or a fault of ours: nothing is lost by either
        return Entry(inbound=inbound, delivery=None, statements=0, unparsed=1)
    readable = [statement for statement in statements if not isinstance(statement, Unreadable)]
    unparsed = len(statements) - len(readable)
    delivery = _delivery(endpoint, inbound, readable) if readable or not unparsed else None
    return Entry(inbound=inbound, delivery=delivery, statements=len(readable), unparsed=unparsed)


def _delivery(endpoint: Endpoint, inbound: Inbound, statements: Sequence[Statement]) -> str | None:
    """
    Name the delivery: by the sender's id; else by content, for a while, and only where every statement is stamped.
    Without stamps an identical body may be news: up, down, up again; there signals tell a repeat by themselves.
    """
    sent_as = endpoint.source.delivery_id(inbound)
    if sent_as:
        return sent_as
    if not statements or not all(isinstance(s, Event) and s.occurred_at for s in statements):
        return None
    content = hashlib.sha256(inbound.body)
    # The body alone does not tell: headers and the address may say something too.
    content.update(repr(statements).encode("utf-8", "surrogatepass"))
    return f"{content.hexdigest()}:{int(inbound.received_at.timestamp()) // REPEAT_WINDOW_S}"
