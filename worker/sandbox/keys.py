"""
Idempotency keys: a create with a key that was used before gets the original answer.

Documented is only that sentence. When a key expires, what another body does, whether a refused create spends its key
and whether the repeated answer is the old or the present one are switches.

Source: incident.io API, official SDK 2.29.0 (``StatusPagesCreateStatusPageIncidentPayloadV2``), read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.sandbox.switches import Switches
from worker.sandbox.wire import Complaint, Refused, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    at: datetime
    body: str
    made: str
    answer: Reply | Refused


class Keys:
    """Which key was used for what. Keys of different operations do not meet."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._uses: dict[tuple[str, str], _Use] = {}

    def once(
        self,
        operation: str,
        key: str,
        body: str,
        create: Callable[[], str],
        render: Callable[[str], Reply],
        now: datetime,
    ) -> Reply:
        """
        Create once per key.

        Args:
            body: A digest of the request body, to know another one.
            create: Makes the object and returns its id.
            render: The answer for an id.

        Raises:
            Refused: By ``create``, or as the switches say.
        """
        use = self._uses.get((operation, key)) if key else None
        if use is not None and not self._expired(use, now):
            return self._again(use, body, render)
        try:
            made = create()
        except Refused as refused:
            if self._switches.refused_key == "spent":
                self._uses[operation, key] = _Use(at=now, body=body, made="", answer=refused)
            raise
        answer = render(made)
        self._uses[operation, key] = _Use(at=now, body=body, made=made, answer=answer)
        return answer

    def _expired(self, use: _Use, now: datetime) -> bool:
        expiry = self._switches.key_expiry
        return bool(expiry) and now >= use.at + timedelta(seconds=expiry)

    def _again(self, use: _Use, body: str, render: Callable[[str], Reply]) -> Reply:
        if body != use.body and self._switches.same_key_other_body != "replay":
            text = "This idempotency key was used with another request"
            raise Refused(
                int(self._switches.same_key_other_body), Complaint("idempotency_key_reused", text, "/idempotency_key")
            )
        if isinstance(use.answer, Refused):
            raise use.answer
        if self._switches.replay_shows == "current":
            try:
                return render(use.made)
            except Refused:
                return use.answer
        return use.answer
