"""
``make mutants``: each fault is made in a copy of the source, and the test named for it must turn red there.

A test that stays green while the code is wrong proves nothing; this finds it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
COPIED = ("worker", "tests", "rules", "pyproject.toml")
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
    """Make a fault and run its test: "killed", "survived", or what went wrong."""
    with copied() as tree:
        path = tree / "worker" / fault.file
        source = path.read_text() if path.exists() else ""
        if source.count(fault.old) != 1:
            return "moved on"
        path.write_text(source.replace(fault.old, fault.new))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *fault.test.split()]
        environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    if run.returncode not in (0, FAILED):
        print(run.stdout[-1500:], run.stderr[-500:], file=sys.stderr)
        return "not run"
    return "killed" if run.returncode == FAILED else "survived"


@contextmanager
def copied() -> Iterator[Path]:
    """Copy what the tests need, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as made:
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, Path(made) / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, made)
        yield Path(made)


if __name__ == "__main__":
    sys.exit(main())
