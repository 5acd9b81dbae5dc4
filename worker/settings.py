"""
Flags, then ``STATUSBRIDGE_*``, then defaults → one frozen object, checked once at the start.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from worker.errors import ConfigError, Problem

PREFIX = "STATUSBRIDGE_"
MIB = 1024 * 1024
LEAST_KEY = 32
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How the worker runs; each field may be set by ``STATUSBRIDGE_<FIELD>``.

    Args:
        rules: The rules directory.
        ledger: ``sqlite:///path`` or ``postgresql://…``.
        host: Address to listen on.
        port: 0: any free one.
        max_body: Largest inbound body, bytes.
        backlog: How many inbounds may wait for react before senders are told to come back later.
        deliver_threads: How many writes to pages may be on their way at once.
        poll: Seconds between looks at the ledger when nothing rings.
        reload: Seconds between looks at the rules directory; 0: only when asked.
        watch: Seconds between looks at what each page shows of ours.
        external_url: Where people reach this worker, for links in notices; "": notices bear none.
        widget_ttl: Seconds for which the widget of a page is fresh: so often at most the page is asked for it.
        widget_stale: Seconds after which an old one is not shown any more while the page does not answer.
        retention_days: How long webhooks are kept as they came, and what was heard in them.
        history_days: How long episodes, windows and their history are kept after they ended, and notices.
        log_format: "console" or "json".
        log_level: "debug", "info", "warning" or "error".
        admin_token: Needed for everything but hooks and health once ``host`` is not loopback.
        admin_tokens: The same for several people: ``name=SHA-256`` each, with spaces or commas between them.
        session_key: Signs the sessions of browsers, so that they outlive a restart and hold at every worker; "": one
            that is made up at the start.
        calendar_token: Opens ``/maintenance.ics`` alone, as ``?token=``; calendars send no headers.
    """

    rules: Path = Path("rules")
    ledger: str = "sqlite:///statusbridge.db"
    host: str = "127.0.0.1"
    port: int = 8080
    max_body: int = 5 * MIB
    backlog: int = 100_000
    deliver_threads: int = 4
    poll: float = 2.0
    reload: float = 2.0
    watch: float = 60.0
    external_url: str = ""
    widget_ttl: float = 30.0
    widget_stale: float = 3600.0
    retention_days: int = 30
    history_days: int = 400
    log_format: str = "console"
    log_level: str = "info"
    admin_token: str = ""
    admin_tokens: str = ""
    session_key: str = ""
    calendar_token: str = ""

    def __repr__(self) -> str:
        return f"Settings(rules={self.rules}, host={self.host}, port={self.port})"

    @property
    def admins(self) -> Mapping[str, str]:
        """
        Name to the SHA-256 of the token, hexadecimal.

        Raises:
            ValueError: They are of another form.
        """
        found: dict[str, str] = {}
        for number, entry in enumerate(re.split(r"[\s,]+", self.admin_tokens.strip()) if self.admin_tokens else (), 1):
            name, _, digest = entry.partition("=")
            if not name or name in found or not _SHA256.fullmatch(digest):
                # What stands there may be a token itself.
                raise ValueError(f"the {number}. is not name=SHA-256, as `statusbridge token NAME` prints it")
            found[name] = digest
        return found

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


_ALLOWED = {"log_format": ("console", "json"), "log_level": ("debug", "info", "warning", "error")}
_RANGES = {
    "port": (0, 65_535),
    "max_body": (1, 1024 * MIB),
    "backlog": (1, 10_000_000),
    "deliver_threads": (1, 64),
    "poll": (0.01, 60.0),
    "reload": (0.0, 3600.0),
    "watch": (0.1, 3600.0),
    "widget_ttl": (1.0, 3600.0),
    "widget_stale": (1.0, 86_400.0),
    "retention_days": (7, 3650),
    "history_days": (30, 36_500),
}


def from_environment(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """
    Collect the settings.

    Args:
        flags: Field name to value; None where the flag was not given.
        environ: The process environment.

    Raises:
        ConfigError: A value cannot be read, or the combination is unsafe; all problems at once.
    """
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for field in fields(Settings):
        variable = PREFIX + field.name.upper()
        raw = flags.get(field.name)
        raw = environ.get(variable, "").strip() if raw is None else raw
        if raw is None or raw == "":
            continue
        try:
            values[field.name] = _convert(field.name, raw, getattr(Settings(), field.name))
        except ValueError as wrong:
            problems.append(Problem(variable, 0, 0, str(wrong)))
    settings = Settings(**values) if not problems else Settings()  # type: ignore[arg-type]
    try:
        admins = settings.admins
    except ValueError as wrong:
        problems.append(Problem(f"{PREFIX}ADMIN_TOKENS", 0, 0, str(wrong)))
    if settings.session_key and len(settings.session_key) < LEAST_KEY:
        problems.append(Problem(f"{PREFIX}SESSION_KEY", 0, 0, f"is shorter than {LEAST_KEY} characters"))
    if not problems and not settings.loopback and not settings.admin_token and not admins:
        problems.append(
            Problem(
                "--host",
                0,
                0,
                f"`{settings.host}` is reachable from outside; set {PREFIX}ADMIN_TOKEN first, or listen on 127.0.0.1",
            )
        )
    if not problems and settings.calendar_token and settings.calendar_token == settings.admin_token:
        told = "must not be the admin token: an address is kept by calendars, their servers and their logs"
        problems.append(Problem(f"{PREFIX}CALENDAR_TOKEN", 0, 0, told))
    if settings.external_url and not settings.external_url.startswith(("https://", "http://")):
        told = f"`{settings.external_url}` is no address like https://bridge.example.com"
        problems.append(Problem(f"{PREFIX}EXTERNAL_URL", 0, 0, told))
    if problems:
        raise ConfigError(problems)
    return settings


def _convert(name: str, raw: object, default: object) -> object:
    allowed = _ALLOWED.get(name)
    if allowed and raw not in allowed:
        raise ValueError(f"`{raw}` is none of {', '.join(allowed)}")
    kind = type(default)
    if isinstance(default, Path):
        return Path(str(raw))
    try:
        value: Any = kind(raw)  # type: ignore[call-arg]
    except (ValueError, TypeError):
        raise ValueError(f"`{raw}` is not a number") from None
    if name in _RANGES:
        least, most = _RANGES[name]
        if not least <= value <= most:
            raise ValueError(f"`{raw}` is not between {least} and {most}")
    return value
