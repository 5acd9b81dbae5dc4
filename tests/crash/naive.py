"""
Workers as they are written by whoever has not been woken at night yet: each with faults, and what they must end in.

That the lives of ``make crash`` find them out says that nothing to be found in the true worker's means something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutants.faults import Fault


def _fault(file: str, old: str, new: str) -> Fault:
    return Fault("naive", file, old, new, "")


@dataclass(frozen=True, slots=True)
class Naive:
    """
    One of them.

    Args:
        does: What, in place of what is right.
        ends_in: Which list of the tally must not be empty.
    """

    does: str
    ends_in: str
    faults: Sequence[Fault]


NAIVE = (
    Naive(
        "sends again what timed out, without a look",
        "doubled",
        (
            _fault(
                "steps/deliver.py",
                "            outcome = self._look.for_update(action, channel, self._outbox.attempts(action.id))\n",
                '            outcome = self._look.outcome(action, Result.ABSENT, "no answer")\n',
            ),
            _fault(
                "steps/_look.py",
                "        return self._not_ours(action, shown) or self._full(action, shown, channel)\n",
                "        return None\n",
            ),
        ),
    ),
    Naive(
        "answers before it commits",
        "lost",
        (
            _fault(
                "ledger/writer.py",
                "        try:\n            answers = self._commit(group)\n",
                "        for each in group:\n            if isinstance(each, _Arrival):\n"
                "                _call(each.done, Recorded(1, duplicate=False))\n"
                "                __import__('time').sleep(0.5)\n"  # a disk that is busy
                "        try:\n            answers = self._commit(group)\n",
            ),
        ),
    ),
)
