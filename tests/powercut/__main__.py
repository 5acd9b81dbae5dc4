"""
``make powercut``: un-synced writes are dropped and torn at random moments, and the ledger is opened on what is left.

With ``synchronous=FULL``, as the worker has it, nothing that was acknowledged may be missing. The control has power
only if it loses something: with NORMAL it must.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.powercut.disk import Call, Disk, calls
from tests.powercut.writes import START
from worker.errors import ConfigError, LedgerUnavailable
from worker.ledger import open_ledger

ENTRIES = 120
TRACED = "openat,close,pwrite64,write,fdatasync,fsync,ftruncate,unlink"


@dataclass(frozen=True, slots=True)
class Recording:
    """What one process did, on a ledger that was there before."""

    before: dict[str, bytes]
    done: list[Call]


def record(mode: str) -> Recording:
    """Let a process commit under strace."""
    with tempfile.TemporaryDirectory(prefix="powercut-") as made:
        folder = Path(made).resolve()
        path, log = folder / "ledger.db", folder / "strace.log"
        open_ledger(f"sqlite:///{path}", clock=lambda: START).close()
        before = {each.name: each.read_bytes() for each in folder.iterdir() if each.name.startswith("ledger.db")}
        command = ["strace", "-f", "-xx", "-s", "70000", "-e", f"trace={TRACED}", "-o", str(log)]
        command += [sys.executable, "-m", "tests.powercut.writes", str(path), mode, str(ENTRIES)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return Recording(before, calls(log, folder))


def cut(recording: Recording, seed: int) -> str:
    """Fail the power once; say what is wrong with what is left, or ""."""
    chance = random.Random(seed)
    done = recording.done[: chance.randrange(1, len(recording.done) + 1)]
    acknowledged = {call.number for call in done if call.kind == "ack"}
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=_memory()) as made:
        for name, data in Disk(recording.before).after(done, chance).items():
            (Path(made) / name).write_bytes(data)
        try:
            with closing(open_ledger(f"sqlite:///{made}/ledger.db", clock=lambda: START)) as ledger:
                there = {int(inbound.body.split()[0]) for inbound in ledger.pending(ENTRIES + 1)}
        except (ConfigError, LedgerUnavailable) as wrong:
            return f"not opened: {wrong}"
    missing = acknowledged - there
    return f"{len(missing)} of {len(acknowledged)} acknowledged are missing" if missing else ""


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _cuts(recording: Recording, seeds: range) -> list[tuple[int, str]]:
    return [(seed, wrong) for seed in seeds if (wrong := cut(recording, seed))]


def count(mode: str, cuts: int) -> list[tuple[int, str]]:
    """Fail the power so often; give the seeds after which something was wrong, each with what."""
    recording = record(mode)
    halves = [range(cuts // 2), range(cuts // 2, cuts)]
    with ProcessPoolExecutor(2) as pool:
        found = pool.map(_cuts, [recording] * 2, halves)
        return [wrong for half in found for wrong in half]


def main() -> int:
    """Compare the two modes."""
    parser = argparse.ArgumentParser(prog="make powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=2000)
    asked = parser.parse_args()
    if shutil.which("strace") is None:
        print("powercut needs strace: apt-get install strace", file=sys.stderr)
        return 2
    full = count("FULL", asked.cuts)
    print(f"synchronous=FULL    {len(full):>5} of {asked.cuts} power cuts lost something", flush=True)
    for seed, wrong in full[:5]:
        print(f"  seed {seed}: {wrong}")
    control = count("NORMAL", asked.cuts)
    print(f"synchronous=NORMAL  {len(control):>5} of {asked.cuts} (the control: must lose)")
    return 0 if not full and control else 1


if __name__ == "__main__":
    sys.exit(main())
