"""Words that a person may have meant. What belongs here: nearness of names, for error texts; nothing else."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

SHOWN = 12
"""Names that a message lists at most."""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Give "; did you mean `checkout`?" where one of *known* is near, else ""."""
    lower = {name.lower(): name for name in sorted(known)}
    near = get_close_matches(word.lower()[:100], lower, n=1, cutoff=0.7)
    return f"; did you mean `{lower[near[0]]}`?" if near else ""


def listed(names: Collection[str], none: str = "none") -> str:
    """Write names in order, as a message shows them: "`a`, `b`"; at most twelve."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return (", ".join(f"`{name}`" for name in ordered[:SHOWN]) or none) + rest


def suggest(word: str, known: Collection[str], noun: str) -> str:
    """Give the nearest name, or all of them: "; did you mean …?" or "; <noun>: `a`, `b`"."""
    return did_you_mean(word, known) or f"; {noun}: {listed(known)}"
