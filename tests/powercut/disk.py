"""
A disk whose power fails: the system calls of a process, read from strace, and what of them is there after a cut.

What was written before the last sync of a file is there; of what came later any part may be, torn at 512 bytes.
A file that was removed is gone.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
TORN = 0.3

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<args>.*)\) += (?P<result>-?\d+)")
_BEGUN = re.compile(r"^(?P<pid>\d+) +(?P<text>.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<text>.*)$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """
    One effect on a file; or, with the name "", an acknowledgement.

    Args:
        kind: "write", "cut" (to *at* bytes), "sync", "remove" or "ack".
        number: For "ack": of which entry.
    """

    kind: str
    name: str = ""
    at: int = 0
    data: bytes = b""
    number: int = 0


def calls(log: Path, folder: Path) -> list[Call]:
    """Read what a process did to the files of a folder, and what it acknowledged, in order."""
    names: dict[int, str] = {}
    found: list[Call] = []
    for line in _whole(log):
        parsed = _LINE.match(line)
        if parsed is None or int(parsed["result"]) < 0:
            continue
        found += _effects(parsed["call"], parsed["args"], int(parsed["result"]), names, folder)
    return found


def _whole(log: Path) -> list[str]:
    """Put calls together that others interrupted; a call took effect, as far as others can know, when it ended."""
    begun: dict[str, str] = {}
    lines = []
    for line in log.read_text(errors="replace").splitlines():
        if half := _BEGUN.match(line):
            begun[half["pid"]] = f"{half['pid']} {half['text']}"
        elif rest := _RESUMED.match(line):
            lines.append(begun.pop(rest["pid"], "") + rest["text"])
        else:
            lines.append(line)
    return lines


def _effects(call: str, args: str, result: int, names: dict[int, str], folder: Path) -> list[Call]:
    strings = [bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(args)]
    if call == "openat":
        path = Path(strings[0].decode())
        names[result] = path.name if path.parent == folder else ""
        return []
    if call == "unlink":
        path = Path(strings[0].decode())
        return [Call("remove", path.name)] if path.parent == folder else []
    number = int(args.partition(",")[0])
    if call == "write" and number == 1:
        return [Call("ack", number=int(word)) for word in strings[0].replace(b"ACK", b"").split()]
    name = names.get(number, "")
    if call == "close":
        names.pop(number, None)
    if not name or name.endswith(("-shm", ".lock")):
        return []
    if call in ("fsync", "fdatasync"):
        return [Call("sync", name)]
    if call == "ftruncate":
        return [Call("cut", name, at=int(args.rpartition(",")[2]))]
    if call == "pwrite64":
        return [Call("write", name, at=int(args.rpartition(",")[2]), data=strings[0])]
    return []


@dataclass(slots=True)
class Disk:
    """
    The files as they were before, and what may have become of them.

    Args:
        before: Names to contents.
    """

    before: dict[str, bytes]

    def after(self, done: list[Call], chance: random.Random) -> dict[str, bytes]:
        """Give the files after the power failed when so much was done."""
        files = {name: bytearray(data) for name, data in self.before.items()}
        synced = {name: _last_sync(done, name) for name in {call.name for call in done}}
        for place, call in enumerate(done):
            if call.kind in ("write", "cut", "remove"):
                _apply(files, call, certain=place < synced[call.name], chance=chance)
        return {name: bytes(data) for name, data in files.items()}


def _last_sync(done: list[Call], name: str) -> int:
    return max((place for place, call in enumerate(done) if call.kind == "sync" and call.name == name), default=-1)


def _apply(files: dict[str, bytearray], call: Call, *, certain: bool, chance: random.Random) -> None:
    if call.kind == "remove":
        files.pop(call.name, None)
        return
    file = files.setdefault(call.name, bytearray())
    if not certain and chance.random() < 0.5:
        return
    if call.kind == "cut":
        del file[call.at :]
        return
    data = call.data
    if not certain and chance.random() < TORN:
        data = data[: chance.randrange(len(data) // SECTOR + 1) * SECTOR]
    if len(file) < call.at:
        file.extend(bytes(call.at - len(file)))
    file[call.at : call.at + len(data)] = data
