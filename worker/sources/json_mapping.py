"""Any tool that can send JSON, without code: the rules directory says in CEL how its body is read (kind ``json``)."""

from __future__ import annotations

from collections.abc import Sequence

from worker.core.model import Inbound
from worker.core.ruleset import SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _mapping, _request


class JsonSource:
    """Reads anything by a configured mapping."""

    kind = "json"
    schemes = _auth.SCHEMES
    event_kinds: frozenset[str] = frozenset()  # any: the configuration chooses the word
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """See ``_mapping.statements``."""
        if config.mapping is None:
            raise PayloadNotUnderstood("the source has no `event` mapping to read bodies by")
        return _mapping.statements(config.mapping, _request.read(inbound), len(inbound.body), inbound, config)

    def delivery_id(self, inbound: Inbound) -> str:
        """Give the id of Standard Webhooks, where there is one."""
        return _auth.message_id(inbound.headers)
