"""What people and disks do to the files of a ledger is noticed, told, and never published from."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.ledger_rows import NOW, action, entry, episode, record, record_all, signal
from worker.core.model import digest
from worker.errors import ConfigError, LedgerUnavailable
from worker.ledger import Ledger, open_ledger
from worker.ledger.faults import LedgerBroken
from worker.ports import Commit

ROOT = Path(__file__).parents[3]
FILES = ("", "-wal", "-shm", ".lock")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Ledger, list[Exception]]]:
    """A ledger with one row, and what it told to be fatal."""
    fatal: list[Exception] = []
    ledger = open_ledger(f"sqlite:///{path}", clock=lambda: NOW, on_fatal=fatal.append)
    try:
        record(ledger, None)
        yield ledger, fatal
    finally:
        ledger.close()


def deleted(file: Path) -> None:
    file.unlink()


def replaced(file: Path) -> None:
    """As a restored backup does it: the same bytes, another file."""
    copy = file.with_name("copy")
    shutil.copyfile(file, copy)
    copy.replace(file)


def moved_away(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))


class TestGhosts:
    @pytest.mark.parametrize("suffix", FILES)
    @pytest.mark.parametrize("done", [deleted, replaced, moved_away])
    def test_the_next_commit_notices_and_is_not_answered(
        self, path: Path, done: Callable[[Path], None], suffix: str
    ) -> None:
        with opened(path) as (ledger, fatal):
            done(Path(f"{path}{suffix}"))
            with pytest.raises(LedgerBroken, match=r"(deleted|replaced).*restore a backup"):
                ledger.commit(Commit(now=NOW, signals=[signal()]))
            with pytest.raises(LedgerUnavailable):
                ledger.commit(Commit(now=NOW, signals=[signal("other")]))
            with pytest.raises(LedgerUnavailable):
                ledger.record(entry(), lambda answer: None)
            assert [type(error) for error in fatal] == [LedgerBroken]

    @pytest.mark.parametrize("done", [deleted, replaced])
    def test_a_look_notices_too_so_that_it_needs_no_commit(self, path: Path, done: Callable[[Path], None]) -> None:
        with opened(path) as (ledger, fatal):
            done(path)
            with pytest.raises(LedgerBroken, match=str(path)):
                ledger.pending(1)
            assert len(fatal) == 1

    def test_an_inbound_that_only_a_ghost_has_is_not_acknowledged(self, path: Path) -> None:
        with opened(path) as (ledger, _):
            path.unlink()
            (answer,) = record_all(ledger, [entry()])
            assert isinstance(answer, LedgerBroken)

    def test_a_directory_that_was_moved_is_noticed(self, tmp_path: Path, migrated_file: Path) -> None:
        folder = tmp_path / "there"
        folder.mkdir()
        shutil.copyfile(migrated_file, folder / "ledger.db")
        with opened(folder / "ledger.db") as (ledger, _):
            folder.rename(tmp_path / "elsewhere")
            with pytest.raises(LedgerBroken, match="moved away"):
                ledger.totals()

    def test_what_cannot_be_looked_at_now_is_no_ghost_yet(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with opened(path) as (ledger, fatal):

            def denied(name: str) -> os.stat_result:
                raise PermissionError(13, "Permission denied", name)

            with monkeypatch.context() as patched:
                patched.setattr("worker.ledger.files.os.stat", denied)
                with pytest.raises(LedgerUnavailable, match="cannot be looked at: Permission denied"):
                    ledger.commit(Commit(now=NOW, signals=[signal()]))
            assert fatal == []
            assert len(ledger.pending(10)) == 1

    def test_a_reader_beside_the_worker_changes_nothing(self, path: Path) -> None:
        with opened(path) as (ledger, fatal):
            reader = open_ledger(f"sqlite:///{path}", clock=lambda: NOW, read_only=True)
            reader.totals()
            reader.close()
            ledger.commit(Commit(now=NOW, signals=[signal()]))
            assert fatal == []


class TestDamage:
    def filled(self, path: Path) -> bytes:
        with opened(path) as (ledger, _):
            for number in range(40):
                one = signal(str(number), message="x" * 400)
                each = episode(1, one, key=f"rule@page.{number}")
                ledger.commit(Commit(now=NOW, signals=[one], episodes=[each], actions=[action(each.id)]))
        return path.read_bytes()

    def test_a_damaged_file_is_refused_at_the_start_and_left_as_it_is(self, path: Path) -> None:
        sound = self.filled(path)
        damaged = bytearray(sound)
        for page in range(len(sound) // 8192 * 4096, len(sound), 4096):
            damaged[page : page + 40] = b"\xff" * 40
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"ledger.db: the ledger is corrupt: .*restore a backup.*left as it is"):
            open_ledger(f"sqlite:///{path}", clock=lambda: NOW)
        assert path.read_bytes() == bytes(damaged)

    def test_no_flipped_bit_ends_in_anything_but_a_ledger_or_a_clear_refusal(self, path: Path) -> None:
        """What SQLite cannot see, a letter within a text, is not promised."""
        sound, refusals = self.filled(path), []
        for number in range(100):
            flipped = bytearray(sound)
            chance = int(digest(number), 16)
            page = chance % (len(flipped) // 4096) * 4096
            place = page + chance // 7919 % (16 if number % 2 else 4096)  # half of them where a page says what it is
            flipped[place] ^= 1 << chance % 8
            path.write_bytes(flipped)
            try:
                open_ledger(f"sqlite:///{path}", clock=lambda: NOW).close()
            except (ConfigError, LedgerUnavailable) as clear:
                refusals.append((str(clear), path.read_bytes() == bytes(flipped)))
        assert len(refusals) > 10
        assert all(str(path) in words and untouched for words, untouched in refusals)


@contextmanager
def without_rights() -> Iterator[None]:
    """The rights of nobody in particular, where the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65_534, 65_534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


class TestRights:
    @pytest.fixture(autouse=True)
    def reachable(self, path: Path) -> Iterator[None]:
        above = [folder for folder in path.parents if not stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH]
        modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in above}
        for folder in above:
            folder.chmod(0o755)
        path.chmod(0o666)
        yield
        for folder, mode in modes.items():
            folder.chmod(mode)
        path.parent.chmod(0o700)

    @pytest.mark.parametrize(("file", "folder"), [(0o444, 0o777), (0o000, 0o777), (0o666, 0o555)])
    def test_what_may_not_be_written_is_refused_at_the_start(self, path: Path, file: int, folder: int) -> None:
        path.chmod(file)
        path.parent.chmod(folder)
        before = path.read_bytes()
        with without_rights(), pytest.raises(ConfigError, match="must be readable and writable for this user"):
            open_ledger(f"sqlite:///{path}", clock=lambda: NOW)
        assert path.read_bytes() == before


FILL = """
import os
from tests.fakes.ledger_rows import NOW, signal
from worker.ledger import open_ledger
from worker.ports import Commit
tell = lambda *words: os.write(1, (" ".join(map(str, words)) + "\\n").encode())
ledger = open_ledger("sqlite:///{path}", clock=lambda: NOW, on_fatal=lambda error: tell("fatal"))
for number in range(40):
    try:
        ledger.commit(Commit(now=NOW, signals=[signal(str(number))]))
        tell("kept", number)
    except Exception as error:
        tell(type(error).__name__)
ledger.close()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace fills the disk")
def test_a_disk_that_was_full_for_a_while_costs_only_what_was_refused(path: Path) -> None:
    inject = ["-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=20..40"]
    ran = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", *inject, sys.executable, "-c", FILL.format(path=path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if "ptrace" in ran.stderr:
        pytest.skip("strace may not trace here")
    told = ran.stdout.splitlines()
    kept = {line.split()[1] for line in told if line.startswith("kept")}
    assert set(told) == {*(f"kept {number}" for number in kept), "LedgerUnavailable"}
    assert 5 <= told.count("LedgerUnavailable") <= 21
    assert told[-1] == "kept 39"
    with opened(path) as (ledger, _):
        found = ledger.signals([("am", str(number)) for number in range(40)])
        assert {key for _, key in found} == kept
