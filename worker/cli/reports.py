"""
How lists end on the command line, and which command moves on what waits.

Pure: nothing is read or printed here.
"""

from __future__ import annotations

from worker.core.approval import approval_hash, to_be_approved
from worker.core.model import Action, ActionState
from worker.ports import Received
from worker.telling.words import HASH


def footing(shown: int, limit: int) -> str:
    """Say how much of what there is was shown."""
    if not shown:
        return "nothing yet that fits"
    return f"the newest {limit}; there may be more: --limit" if shown == limit else f"{shown} in all"


def way_on(action: Action) -> str:
    """Say how a person moves on what waits for one; "" where it waits for nobody."""
    if to_be_approved(action):
        until = f", until {action.deadline:%Y-%m-%d %H:%M} UTC" if action.deadline else ""
        return f"statusbridge approve {action.id} --hash {approval_hash(action)[:HASH]}{until}"
    if action.state in (ActionState.HELD, ActionState.PARKED):
        return f"statusbridge retry {action.id}"
    return ""


def way_on_of_inbound(received: Received) -> str:
    """Say how a person sets aside an inbound that is parked; "" where it is not."""
    return f"statusbridge dismiss inbound/{received.seq}" if received.state == "parked" else ""
