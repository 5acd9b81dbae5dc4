"""Copies of the source with faults in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.faults import Fault

ROOT = Path(__file__).parents[2]
COPIED = ("worker", "tests", "rules", "pyproject.toml")


class MovedOn(Exception):
    """The place of a fault is not there exactly once: the source has moved on, and the fault must follow it."""


@contextmanager
def made(*faults: Fault) -> Iterator[Path]:
    """
    Copy what the tests need, with faults made in it, for the length of a block.

    Raises:
        MovedOn: The place of one is not there exactly once.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree)
        for fault in faults:
            path = tree / "worker" / fault.file
            text = path.read_text() if path.exists() else ""
            if text.count(fault.old) != 1:
                raise MovedOn(f"{fault.name}: {fault.file}")
            path.write_text(text.replace(fault.old, fault.new))
        yield tree
