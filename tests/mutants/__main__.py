"""
``make mutants``: each fault is made in a copy of the source, and the test named for it must turn red there.

A test that stays green while the code is wrong proves nothing; this finds it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.faults import FAULTS, Fault
from tests.mutants.trees import MovedOn, made

FAILED = 1
"""The exit code of pytest when a test has failed; any other says that nothing was proven."""


def main() -> int:
    """Make every fault once; print who was caught."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("-k", dest="only", default="", help="only faults whose name holds this")
    asked = parser.parse_args()
    faults = [fault for fault in FAULTS if asked.only in fault.name]
    with ThreadPoolExecutor(2) as pool:
        verdicts = []
        for fault, verdict in zip(faults, pool.map(verdict_on, faults), strict=True):
            print(f"{verdict:<10}{fault.name}  ({fault.test.partition('::')[0]})", flush=True)
            verdicts.append(verdict)
    killed = verdicts.count("killed")
    print(f"killed {killed}/{len(faults)}")
    return 0 if killed == len(faults) else 1


def verdict_on(fault: Fault) -> str:
    """Make a fault and run what must catch it, each by itself: "killed", "survived", or what went wrong."""
    try:
        with made(fault) as tree:
            verdicts = [_verdict(tree, tests) for tests in (fault.test, fault.also) if tests]
    except MovedOn:
        return "moved on"
    return next((verdict for verdict in verdicts if verdict != "killed"), "killed")


def _verdict(tree: Path, tests: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    if run.returncode not in (0, FAILED):
        print(run.stdout[-1500:], run.stderr[-500:], file=sys.stderr)
        return "not run"
    return "killed" if run.returncode == FAILED else "survived"


if __name__ == "__main__":
    sys.exit(main())
