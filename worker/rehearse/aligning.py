"""
Two lists in order, laid side by side so that as little as possible is missing, too much, or different.

What is compared is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

GAP = 2.5
"""What something without a partner costs, where a partner that differs costs 1 for each difference."""

Left = TypeVar("Left")
Right = TypeVar("Right")
Difference = TypeVar("Difference")


def aligned(
    left: Sequence[Left], right: Sequence[Right], differences: Callable[[Left, Right], Sequence[Difference] | None]
) -> list[tuple[Left | None, Right | None, Sequence[Difference]]]:
    """
    Pair the elements of two lists.

    Args:
        differences: Gives what is not the same about two elements; None where they can be no pair.

    Returns:
        Every element once, in order; None stands for a partner that is not there.
    """
    if len(left) == len(right) and all(differences(a, b) == [] for a, b in zip(left, right, strict=True)):
        return [(a, b, ()) for a, b in zip(left, right, strict=True)]
    pairs = [[differences(a, b) for b in right] for a in left]
    best = _costs(pairs, len(left), len(right))
    rows: list[tuple[Left | None, Right | None, Sequence[Difference]]] = []
    i, j = 0, 0
    while i < len(left) or j < len(right):
        paired = pairs[i][j] if i < len(left) and j < len(right) else None
        if paired is not None and best[i][j] == best[i + 1][j + 1] + len(paired):
            rows.append((left[i], right[j], paired))
            i, j = i + 1, j + 1
        elif i < len(left) and best[i][j] == best[i + 1][j] + GAP:
            rows.append((left[i], None, ()))
            i += 1
        else:
            rows.append((None, right[j], ()))
            j += 1
    return rows


def _costs(pairs: Sequence[Sequence[Sequence[object] | None]], left: int, right: int) -> list[list[float]]:
    """Give the least cost of pairing what is left, behind every place of both."""
    best = [[0.0] * (right + 1) for _ in range(left + 1)]
    for i in range(left, -1, -1):
        for j in range(right, -1, -1):
            options = []
            if i < left:
                options.append(best[i + 1][j] + GAP)
            if j < right:
                options.append(best[i][j + 1] + GAP)
            if i < left and j < right and (paired := pairs[i][j]) is not None:
                options.append(best[i + 1][j + 1] + len(paired))
            best[i][j] = min(options, default=0.0)
    return best
