"""Backups of a ledger that is being written, and how a ledger that was put back is known as one."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.fakes.ledger_rows import NOW, action, episode, record, signal
from worker.errors import ConfigError
from worker.ledger import Ledger, open_ledger
from worker.ledger.backup import back_up
from worker.ports import Commit


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(f"sqlite:///{path}", clock=lambda: NOW)
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def write(ledger: Ledger, number: int) -> None:
    one = signal(str(number), message="x" * 500)
    each = episode(1, one, key=f"rule@page.{number}")
    ledger.commit(Commit(now=NOW, signals=[one], episodes=[each], actions=[action(each.id)]))


def test_every_backup_of_a_ledger_that_is_being_written_is_sound_and_has_all_that_was_stored_before(
    path: Path, tmp_path: Path
) -> None:
    with opened(path) as ledger:
        stored, enough = 0, threading.Event()

        def keep_writing() -> None:
            nonlocal stored
            while not enough.is_set():
                write(ledger, stored)
                record(ledger, None)
                stored += 1

        writer = threading.Thread(target=keep_writing)
        writer.start()
        try:
            for number in range(10):
                before = stored
                target = tmp_path / f"copy-{number}.db"
                counts = back_up(f"sqlite:///{path}", target, NOW)
                assert counts["episode"] >= before
                assert counts["episode"] - counts["action"] == 0, "one moment of the ledger"
                with closing(sqlite3.connect(target)) as copy:
                    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    assert copy.execute("SELECT count(*) FROM episode").fetchone() == (counts["episode"],)
                    assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        finally:
            enough.set()
            writer.join()
        assert stored > 10, "the writer was not kept waiting"
    left = {each.name for each in tmp_path.iterdir()}
    assert not [name for name in left if "unfinished" in name]


def test_a_backup_is_for_its_owner_alone_and_opens_as_a_ledger(path: Path, tmp_path: Path) -> None:
    with opened(path) as ledger:
        write(ledger, 1)
        target = tmp_path / "copy.db"
        back_up(f"sqlite:///{path}", target, NOW)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with opened(target) as copy:
        assert copy.get("rule@page.1#1") is not None


def test_a_backup_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    with opened(path):
        target = tmp_path / "there"
        target.write_text("precious")
        with pytest.raises(ConfigError, match="exists already"):
            back_up(f"sqlite:///{path}", target, NOW)
        assert target.read_text() == "precious"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///{tmp}/missing.db", "there is no such ledger"),
        ("sqlite:///{tmp}/words.txt", "is no ledger"),
        ("sqlite:///{tmp}/other.db", "is no ledger"),
        ("postgresql://u:p@localhost/d", "pg_dump"),
    ],
)
def test_what_is_no_ledger_is_told(tmp_path: Path, url: str, told: str) -> None:
    (tmp_path / "words.txt").write_text("no database " * 500)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    with pytest.raises(ConfigError, match=told):
        back_up(url.format(tmp=tmp_path), tmp_path / "copy.db", NOW)
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "missing.db").exists()


def test_a_place_that_cannot_be_written_is_told(path: Path, tmp_path: Path) -> None:
    with opened(path), pytest.raises(ConfigError, match="cannot be written: No such file"):
        back_up(f"sqlite:///{path}", tmp_path / "nowhere" / "copy.db", NOW)


# -- put back


def copied(path: Path, to: Path) -> Path:
    """As other tools copy: nothing in the copy says that it is one."""
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(to)) as made:
        live.backup(made)
    return to


def put_back(copy: Path, path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if not each.name.endswith((".mark", ".lock")):
            each.unlink()
    shutil.copyfile(copy, path)


def test_a_ledger_that_goes_on_is_not_doubted(path: Path) -> None:
    for _ in range(3):
        with opened(path) as ledger:
            assert ledger.doubt() == ""
            ledger.mark()
            ledger.mark()


def test_a_worker_that_died_between_the_two_marks_is_not_doubted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as ledger:
        ledger.mark()
        monkeypatch.setattr(ledger._database, "leave_mark", lambda mark: None)
        ledger.mark()
        assert ledger.doubt() == ""


def test_a_backup_is_known_as_one_until_it_was_marked(path: Path, tmp_path: Path) -> None:
    with opened(path) as ledger:
        ledger.mark()
        back_up(f"sqlite:///{path}", tmp_path / "copy.db", NOW)
        assert ledger.doubt() == "", "only the copy is one"
    put_back(tmp_path / "copy.db", path)
    with opened(path) as ledger:
        assert ledger.doubt() == f"it is a backup of {NOW.isoformat()}"
        ledger.mark()
        assert ledger.doubt() == ""


def test_an_older_copy_that_was_put_back_is_known_by_the_mark_beside_it(path: Path, tmp_path: Path) -> None:
    with opened(path) as ledger:
        ledger.mark()
        copy = copied(path, tmp_path / "copy.db")
        ledger.mark()
    put_back(copy, path)
    with opened(path) as ledger:
        assert "older than the one that was here before" in ledger.doubt()
        ledger.mark()
        assert ledger.doubt() == ""
    put_back(copy, path)
    with opened(path) as ledger:
        assert ledger.doubt(), "and once more"


def test_a_copy_that_was_put_elsewhere_is_doubted(path: Path, tmp_path: Path) -> None:
    with opened(path) as ledger:
        ledger.mark()
        copy = copied(path, tmp_path / "elsewhere.db")
    with opened(copy) as ledger:
        assert "elsewhere.db.mark is not there" in ledger.doubt()


def test_a_new_ledger_in_the_place_of_one_that_was_lost_is_doubted(path: Path) -> None:
    with opened(path) as ledger:
        ledger.mark()
    for each in path.parent.glob("ledger.db*"):
        if each.suffix != ".mark":
            each.unlink()
    with opened(path) as ledger:
        assert "it is new, but there was another one" in ledger.doubt()
