"""
What must have happened somewhere in a run of two thousand seeds: a simulator that idles proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.sim.faults import UNHEARD
from tests.sim.people import ON_THE_PAGE

ENOUGH_SEEDS = 1000
"""Fewer prove nothing about what they never met."""

FAULTS = (
    *(f"fault {name}" for name in (*UNHEARD, "refused", "given up", "denied")),
    *(f"fault rate-limited-{how}" for how in ("seconds", "date", "body")),
    *(f"person {does}" for does in set(ON_THE_PAGE)),
    *(f"command {name}" for name in ("pause", "resume", "approve", "dismiss", "retry", "adopt")),
    "restart",
    "pause",
    "step forward",
    "step back",
    "full disk",
    "stale reads",
    "sender refused",
    "inbounds duplicate",
    *(f"swarm {name}" for name in ("death", "deaf", "doubled", "reordered", "restless", "slow")),
)

KILLED = tuple(
    f"killed at {point}"
    for point in ("record", "record, done", "commit", "commit, done", "claim, done", "after_intent", "after_send")
)

OUTCOMES = (
    *(f"attempt {result}" for result in ("done", "not_sent", "refused", "unknown", "absent")),
    *(f"episode {phase}" for phase in ("held", "open", "clearing", "resolved", "dismissed")),
    *(f"window {phase}" for phase in ("planned", "scheduled", "in_progress", "complete")),
    *(f"action open_incident {state}" for state in ("done", "unknown", "held", "replaced", "shadowed")),
    *(f"action update_incident {state}" for state in ("done", "unknown", "held", "parked", "replaced")),
    *(f"action resolve_incident {state}" for state in ("done", "unknown", "held", "replaced")),
    "action backfill_incident done",
    "action schedule_maintenance done",
    "action start_maintenance done",
    "action complete_maintenance done",
    "conflicts advance",
    "conflicts deliver",
    "conflicts react",
    "takeovers",
    "shown while it fires",
    "run on a SQLite file",
)


def missing(seen: Mapping[str, int]) -> list[str]:
    """Name what a run never met."""
    if seen.get("seeds", 0) < ENOUGH_SEEDS:
        return []
    return [name for name in (*FAULTS, *KILLED, *OUTCOMES) if not seen.get(name)]
