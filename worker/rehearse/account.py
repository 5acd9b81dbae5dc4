"""
What would come of one webhook, if it came now and alone.

What belongs here: the answers, as data. Words are for whoever prints them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.core.model import Inbound
from worker.rehearse.play import Saying, sayings
from worker.rehearse.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """
    What would come of a body if it came alone.

    Args:
        came: Place in the inbox to when, as ``why`` takes it.
        said: Every action that it leads to, in order of time.
        quiet: (aggregate, what was decided last) of what it leads to without a word on any page.
    """

    stage: Stage
    came: Mapping[int, tuple[datetime, str]]
    said: Sequence[Saying]
    quiet: Sequence[tuple[str, str]]


def ahead(stage: Stage, inbound: Inbound, length: timedelta) -> Ahead:
    """Play a body on a fresh stage, and let so much time pass."""
    seq = stage.receive(inbound)
    stage.until(inbound.received_at + length)
    told = stage.ledger.inbound(seq)
    caused = {each.aggregate for each in told.decisions} if told is not None else set()
    said = [saying for saying in sayings(stage) if saying.action.aggregate in caused]
    spoken = {saying.action.aggregate for saying in said}
    quiet = [(name, stage.decisions[name][-1].text) for name in sorted(caused - spoken) if stage.decisions.get(name)]
    return Ahead(stage=stage, came={seq: (inbound.received_at, "")}, said=said, quiet=quiet)
