"""
Vendors that need no code: a mapping as in ``kind: json``, shipped, and a kind of its own.

A file ``<kind>.yaml`` beside this one says who sends, how it proves itself, what it makes events about, and how bodies
are read. It is read when it is first needed, since most kinds never are. This file may not know any vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from worker.core.compiling import Compiler, compile_mapping
from worker.core.documents import parse
from worker.core.model import Inbound
from worker.core.ruleset import JsonMapping, SourceConfig
from worker.core.spec.scalars import Header, Line, Strict
from worker.core.spec.sources import EventSpec
from worker.errors import ConfigError, Problem
from worker.ports import Statement
from worker.sources import _auth, _mapping, _request

FOLDER = Path(__file__).parent


def _known(value: Any) -> Any:
    """Let schemes be listed that need no options; a map gives them."""
    return dict.fromkeys(value) if isinstance(value, list) else value


class _Form(Strict):
    """
    What a file says.

    ``auth``: scheme to those of its options that the sender has chosen, as in rule files, and ``parameter`` for
    ``path_token``. ``delivery``: the header that names a delivery, the same over its retries.
    """

    sender: Line
    auth: Annotated[dict[str, dict[str, str] | None], BeforeValidator(_known)]
    delivery: Header | None = None
    event_kinds: frozenset[Line]
    event: EventSpec


class Shipped:
    """Reads one vendor's bodies by the mapping in ``<kind>.yaml``."""

    verify = staticmethod(_auth.verify)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @cached_property
    def _form(self) -> _Form:
        path = FOLDER / f"{self.kind}.yaml"
        try:
            form = _Form.model_validate(parse(path.name, path.read_text()).data)
        except ValidationError as wrong:
            raise ConfigError(f"{path.name}: {wrong}") from None
        if unknown := form.auth.keys() - _auth.SCHEMES.keys():
            raise ConfigError(f"{path.name}: auth: there is no scheme {sorted(unknown)}")
        return form

    @cached_property
    def _read_by(self) -> JsonMapping:
        faults: list[Problem] = []
        compiler = Compiler(
            lambda loc, line, column, message: faults.append(
                Problem(f"{self.kind}.yaml", 0, 0, f"{'.'.join(map(str, loc))}, {line}:{column}: {message}")
            )
        )
        mapping = compile_mapping(self._form.event, compiler, ("event",))
        if faults:
            raise ConfigError(faults)
        return mapping

    @cached_property
    def schemes(self) -> Mapping[str, Mapping[str, str]]:
        """How the sender can prove itself."""
        return {scheme: options or {} for scheme, options in self._form.auth.items()}

    @property
    def event_kinds(self) -> frozenset[str]:
        """What its events are about."""
        return self._form.event_kinds

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """See ``_mapping.statements``."""
        return _mapping.statements(self._read_by, _request.read(inbound), len(inbound.body), inbound, config)

    def delivery_id(self, inbound: Inbound) -> str:
        """Give what stands in the sender's header for it, else the id of Standard Webhooks."""
        named = self._form.delivery
        return (inbound.headers.get(named.lower(), "") if named else "") or _auth.message_id(inbound.headers)


def shipped() -> dict[str, Shipped]:
    """Give every kind that has a file, by its name."""
    return {path.stem: Shipped(path.stem) for path in sorted(FOLDER.glob("*.yaml"))}
