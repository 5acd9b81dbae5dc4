"""A ledger in a file: who may write it, how it is opened, and what can happen to a file."""

from __future__ import annotations

import os
import shutil
import signal as signals
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from tests.fakes.ledger_rows import MINUTE, NOW, action, entry, episode, record, record_all, signal
from worker.errors import ConfigError, LedgerLocked, LedgerUnavailable
from worker.ledger import Ledger, open_ledger, sqlite_faults
from worker.ledger.faults import LedgerBroken
from worker.ledger.sqlite import SqliteDatabase
from worker.ports import Commit, Recorded

ROOT = Path(__file__).parents[3]


def opened(path: Path, **options: object) -> Ledger:
    return open_ledger(f"sqlite:///{path}", clock=lambda: NOW, **options)  # type: ignore[arg-type]


def database_of(ledger: Ledger) -> SqliteDatabase:
    database = ledger._database
    assert isinstance(database, SqliteDatabase)
    return database


@contextmanager
def python(*lines: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process of its own, killed at the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


HOLD = """
import sys, time
from tests.fakes.ledger_rows import NOW
from worker.ledger import open_ledger
ledger = open_ledger("sqlite:///{path}", clock=lambda: NOW)
print("open", flush=True)
time.sleep(60)
"""


class TestOneWriter:
    def test_a_second_process_is_refused_and_told_who_holds_it(self, path: Path) -> None:
        with python(HOLD.format(path=path)) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(LedgerLocked, match=f"held by process {holder.pid};"):
                opened(path)
            holder.send_signal(signals.SIGKILL)
            holder.wait(10)
            opened(path).close()

    def test_the_same_process_is_refused_as_well_even_by_another_name(self, ledger: Ledger, path: Path) -> None:
        link = path.parent / "link.db"
        link.symlink_to(path)
        for name in (path, link, path.parent / "x" / ".." / path.name):
            with pytest.raises(LedgerLocked, match=str(os.getpid())):
                opened(name)

    def test_the_lock_file_stays_and_the_lock_goes(self, path: Path) -> None:
        opened(path).close()
        assert Path(f"{path}.lock").exists()
        opened(path).close()

    def test_a_ledger_to_read_takes_no_lock_and_sees_what_the_worker_commits(self, ledger: Ledger, path: Path) -> None:
        reader = opened(path, read_only=True)
        ledger.commit(Commit(now=NOW, signals=[signal()]))
        assert reader.totals()["signals_firing"] == 1
        with pytest.raises(LedgerUnavailable, match="read only"):
            reader.commit(Commit(now=NOW, signals=[signal("x")]))
        with pytest.raises(LedgerUnavailable, match="read only"):
            reader.record(entry(), lambda answer: None)
        with pytest.raises(LedgerUnavailable, match="read only"):
            reader.claim(NOW, MINUTE, ["page"])
        reader.close()

    def test_a_ledger_can_be_read_after_its_worker_stopped(self, path: Path) -> None:
        opened(path).close()
        reader = opened(path, read_only=True)
        assert reader.totals()["inbounds"] == 0
        reader.close()

    @pytest.mark.parametrize("statement", ["DELETE FROM inbound", "CREATE TABLE x (y)", "PRAGMA user_version = 7"])
    def test_a_reading_connection_cannot_write(self, ledger: Ledger, statement: str) -> None:
        with pytest.raises(LedgerUnavailable, match="readonly"), database_of(ledger).read() as connection:
            connection.exec_driver_sql(statement)

    def test_a_read_sees_one_moment_whatever_is_committed_meanwhile(self, ledger: Ledger) -> None:
        with database_of(ledger).read() as connection:
            count = "SELECT count(*) FROM signal"
            assert connection.exec_driver_sql(count).scalar() == 0
            ledger.commit(Commit(now=NOW, signals=[signal()]))
            assert connection.exec_driver_sql(count).scalar() == 0


class TestFile:
    def test_a_new_ledger_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            ledger = opened(tmp_path / "new.db")
            record(ledger, None)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        finally:
            os.umask(before)
        ledger.close()
        assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm", "new.db.lock"), 0o600)

    def test_a_commit_is_synced_before_it_is_answered(self, ledger: Ledger) -> None:
        asked = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000, "query_only": 0}
        found = database_of(ledger).write(
            lambda connection: {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked}
        )
        assert found == asked

    def test_closing_writes_the_log_back(self, path: Path) -> None:
        ledger = opened(path)
        record(ledger, None)
        ledger.totals()
        ledger.close()
        assert not Path(f"{path}-wal").exists()

    def test_it_describes_itself(self, ledger: Ledger, path: Path) -> None:
        facts = ledger.describe()
        assert facts["file"] == str(path)
        assert facts["schema"] == "1"
        assert facts["journal"] == "wal"
        assert facts["created_at"] == NOW.isoformat()
        assert facts["database"] == f"SQLite {sqlite3.sqlite_version}"

    def test_numbers_are_never_given_again_even_where_the_newest_rows_are_gone(self, path: Path) -> None:
        ledger = opened(path)
        record(ledger, None, None, None)
        database_of(ledger).write(lambda connection: connection.exec_driver_sql("DELETE FROM inbound"))
        ledger.close()
        again = opened(path)
        assert list(record(again, None)) == [4]
        again.close()

    @pytest.mark.parametrize(
        ("version", "sound"),
        [
            ((3, 40, 1), False),
            ((3, 44, 5), False),
            ((3, 44, 6), True),
            ((3, 45, 9), False),
            ((3, 50, 6), False),
            ((3, 50, 7), True),
            ((3, 51, 2), False),
            ((3, 51, 3), True),
            ((3, 52, 0), True),
            ((4, 0, 0), True),
        ],
    )
    def test_libraries_with_a_known_fault_are_named(self, version: tuple[int, int, int], sound: bool) -> None:
        fault = sqlite_faults(version)
        assert (fault is None) == sound
        assert fault is None or ".".join(map(str, version)) in fault


class TestWrongPaths:
    @pytest.mark.parametrize(
        ("name", "way_out"),
        [
            ("", "it is a directory; name a file in it"),
            ("no/such/ledger.db", "mkdir -p"),
            ("garbage.db", "file is not a database; name a file that does not exist yet"),
            ("other.db", r"tables of another program \(songs\); give the ledger a database of its own"),
            ("cut.db", "name a file that does not exist yet, or restore a backup"),
        ],
    )
    def test_what_cannot_be_a_ledger_is_refused_with_a_way_out(
        self, tmp_path: Path, migrated_file: Path, name: str, way_out: str
    ) -> None:
        (tmp_path / "garbage.db").write_bytes(b"this is no database" * 1000)
        (tmp_path / "cut.db").write_bytes(migrated_file.read_bytes()[:20_000])
        with sqlite3.connect(tmp_path / "other.db") as other:
            other.execute("CREATE TABLE songs (title)")
        other.close()
        before = {path: path.read_bytes() for path in tmp_path.glob("*.db")}
        with pytest.raises(ConfigError, match=way_out):
            opened(tmp_path / name)
        assert {path: path.read_bytes() for path in tmp_path.glob("*.db")} == before

    def test_a_place_that_cannot_be_written_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="/proc must be writable"):
            opened(Path("/proc/ledger.db"))

    def test_a_ledger_to_read_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no ledger here"):
            opened(tmp_path / "none.db", read_only=True)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite:///x.db?mode=ro",
            "sqlite://host/x.db",
            "mysql://u:hunter2@h/d",
            "ledger.db",
            "",
            "postgresql:hunter2",
        ],
    )
    def test_an_address_of_no_known_form_is_refused_without_repeating_secrets(self, url: str) -> None:
        with pytest.raises(ConfigError, match="use sqlite:///relative/path") as refused:
            open_ledger(url, clock=lambda: NOW)
        assert "hunter2" not in str(refused.value)

    def test_a_refused_ledger_is_let_go_of(self, tmp_path: Path) -> None:
        path = tmp_path / "x.db"
        path.write_bytes(b"this is no database" * 1000)
        for _ in range(2):  # not "held by another process" the second time
            with pytest.raises(ConfigError):
                opened(path)
        path.unlink()
        opened(path).close()


class TestDisk:
    def test_a_full_disk_is_told_and_nothing_is_half_done(self, ledger: Ledger) -> None:
        database = database_of(ledger)
        database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1"))
        big = signal("big", message="x" * 100_000)
        with pytest.raises(LedgerUnavailable, match="full"):
            ledger.commit(Commit(now=NOW, signals=[signal("small"), big], episodes=[episode()]))
        (answer,) = record_all(ledger, [entry(body=b"x" * 100_000)])
        assert isinstance(answer, LedgerUnavailable)
        assert ledger.signals([("am", "small")]) == {}
        database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000000"))
        ledger.commit(Commit(now=NOW, signals=[signal("small"), big], episodes=[episode()]))
        assert record_all(ledger, [entry(body=b"x" * 100_000)])[0] == Recorded(2, duplicate=False)

    def test_a_file_that_turned_read_only_is_told(self, ledger: Ledger) -> None:
        connection = database_of(ledger)._connection
        assert connection is not None
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerUnavailable, match="readonly"):
            ledger.commit(Commit(now=NOW, signals=[signal()]))
        driver.execute("PRAGMA query_only = OFF")
        ledger.commit(Commit(now=NOW, signals=[signal()]))

    def test_a_file_that_turned_out_corrupt_ends_everything(self, path: Path) -> None:
        opened(path).close()
        pages = bytearray(path.read_bytes())
        pages[8192:] = b"\xff" * (len(pages) - 8192)
        fatal: list[Exception] = []
        ledger = opened(path, on_fatal=fatal.append)
        record(ledger, None)
        with path.open("r+b") as file:
            file.write(pages)
        with pytest.raises(LedgerBroken):
            ledger.story("x#1")
        with pytest.raises(LedgerUnavailable, match="broken"):
            ledger.commit(Commit(now=NOW, signals=[signal()]))
        assert [type(error) for error in fatal] == [LedgerBroken]
        ledger.close()

    @pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the sync fail")
    def test_a_sync_that_really_fails_is_fatal_and_what_was_answered_before_is_kept(self, path: Path) -> None:
        program = f"""
import os
from tests.fakes.ledger_rows import NOW, signal
from worker.ledger import open_ledger
from worker.ports import Commit
tell = lambda *words: os.write(1, (" ".join(map(str, words)) + "\\n").encode())
ledger = open_ledger("sqlite:///{path}", clock=lambda: NOW, on_fatal=lambda error: tell("fatal"))
for number in range(20):
    try:
        ledger.commit(Commit(now=NOW, signals=[signal(str(number))]))
        tell("kept", number)
    except Exception as error:
        tell(type(error).__name__)
"""
        inject = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=9"]
        ran = subprocess.run(
            [*inject, sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if "ptrace" in ran.stderr:
            pytest.skip("strace may not trace here")
        told = ran.stdout.split("\n")
        kept = [line.split()[1] for line in told if line.startswith("kept")]
        assert told.count("fatal") == 1
        assert told.count("LedgerBroken") == 1
        assert 0 < len(kept) < 20
        assert len(kept) + told.count("LedgerUnavailable") == 19
        again = opened(path)
        found = again.signals([("am", str(number)) for number in range(20)])
        again.close()
        assert {("am", number) for number in kept} <= found.keys()
        assert len(found) <= len(kept) + 1  # the one whose sync failed may or may not be there


KILLED = """
import os, random, select, signal, sys, time
from tests.fakes.ledger_rows import NOW, entry
from worker.ledger import open_ledger

def work(out):
    ledger = open_ledger("sqlite:///{path}", clock=lambda: NOW)
    def done(answer):
        os.write(out, b"%d\\n" % answer.seq)
        ledger.record(entry(body=b"x" * 500), done)
    for _ in range(8):
        ledger.record(entry(body=b"x" * 500), done)
    time.sleep(60)

random.seed(1)
for _ in range(20):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        work(writer)
    os.close(writer)
    acknowledged = b""
    ends = None
    while ends is None or time.monotonic() < ends:
        acknowledged += os.read(reader, 65536) if select.select([reader], [], [], 0.005)[0] else b""
        if acknowledged and ends is None:
            ends = time.monotonic() + random.random() / 8
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reader, 65536):
        acknowledged += more
    os.close(reader)
    print(acknowledged.decode().replace("\\n", " "), flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    with python(KILLED.format(path=path)) as harness:
        assert harness.stdout is not None
        lives = [list(map(int, line.split())) for line in harness.stdout]
    assert len(lives) == 20
    assert all(lives)
    acknowledged = [seq for life in lives for seq in life]
    ledger = opened(path)
    stored = {inbound.seq for inbound in ledger.pending(1_000_000)}
    ledger.close()
    assert set(acknowledged) <= stored
    assert len(set(acknowledged)) == len(acknowledged)
    checked = sqlite3.connect(path)
    assert checked.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    checked.close()


WHOLE_TABLES_READ = {
    "totals": {
        "SCAN inbound",
        "SCAN episode",
        "SCAN action",
        "SCAN event",
        "SCAN maintenance",
        "SCAN flag",
        "SCAN sweep",
    },  # counts, over covering indexes; of sweeps there is one for each page
    "next_due": {"SCAN flag"},  # a few rows, if any: of breakers
    "flags": {"SCAN flag"},  # a few rows, if any
    "history": {"SCAN action"},  # in order of time, up to the limit
    "inbounds": {"SCAN inbound"},  # in order of receipt, up to the limit
    "notices": {"SCAN notice"},  # in order of time, up to the limit
    "prune": {"SCAN inbound", "SCAN notice"},  # the same
}


def test_no_question_reads_a_whole_table(ledger: Ledger) -> None:
    one = signal()
    ledger.commit(Commit(now=NOW, signals=[one], episodes=[episode(1, one)], actions=[action()]))
    scans: dict[str, set[str]] = {}
    asking = ""

    def explain(connection: object, cursor: sqlite3.Cursor, statement: str, parameters: Any, *rest: object) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")) and not rest[1]:
            for *_, plan in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall():
                words = plan.split()
                if words[0] == "SCAN" and words[1] not in ("anon_1", "CONSTANT"):
                    scans.setdefault(asking, set()).add(" ".join(words[:2]))

    database = database_of(ledger)
    assert database._connection is not None
    for engine in (database._readers, database._connection.engine):
        sqlalchemy_event.listen(engine, "before_cursor_execute", explain)
    ids = [("am", "k"), ("am", "l"), ("ci", "k")]
    questions: dict[str, Callable[[], object]] = {
        "signals": lambda: ledger.signals(ids),
        "scope": lambda: ledger.scope("am", "g"),
        "latest": lambda: ledger.latest(["rule@page", "x@y"]),
        "joined": lambda: ledger.joined(ids),
        "get": lambda: ledger.get("rule@page#1"),
        "due": lambda: ledger.due(NOW, 10),
        "next_wake": ledger.next_wake,
        "live": lambda: ledger.live(["a", "b"], "page"),
        "revision": lambda: ledger.revision("h"),
        "window": lambda: ledger.window("page/db@2026"),
        "windows": lambda: ledger.windows(NOW),
        "joined_windows": lambda: ledger.joined_windows(ids),
        "latest_windows": lambda: ledger.latest_windows(["r@page", "x@y"]),
        "firing": lambda: ledger.firing(["am", "ci"]),
        "muting": lambda: ledger.muting(NOW),
        "due_windows": lambda: ledger.due_windows(NOW, 10),
        "next_window_wake": ledger.next_window_wake,
        "pending": lambda: ledger.pending(10),
        "claim": lambda: ledger.claim(NOW, MINUTE, ["page", "other"]),
        "paused": lambda: ledger.paused("page"),
        "flags": lambda: ledger.flags("pause"),
        "sending": lambda: ledger.sending("page"),
        "release": lambda: ledger.release("rule@page#1/1", NOW),
        "next_due": lambda: ledger.next_due(NOW),
        "attempts": lambda: ledger.attempts("rule@page#1/1"),
        "own_updates": lambda: ledger.own_updates("i"),
        "unsettled_creates": lambda: ledger.unsettled_creates("page"),
        "footprint": lambda: ledger.footprint("rule@page#1"),
        "footprints": lambda: ledger.footprints("page", NOW),
        "sweep": lambda: ledger.sweep("page"),
        "history": ledger.history,
        "story": lambda: ledger.story("rule#1"),
        "inbounds": ledger.inbounds,
        "inbounds parked": lambda: ledger.inbounds(states=("parked", "pending"), unparsed=True),
        "inbound": lambda: ledger.inbound(1),
        "totals": ledger.totals,
        "notices": ledger.notices,
        "prune": lambda: ledger.prune(inbounds_before=NOW, signals_before=NOW, ended_before=NOW),
        "record": lambda: record(ledger, "a", "b", "a"),
        "commit": lambda: ledger.commit(
            Commit(now=NOW, wakes=[("rule", "page")], episodes=[episode(1, one, version=1)], actions=[action()])
        ),
    }
    for name, ask in questions.items():
        asking = name
        ask()
    assert scans == WHOLE_TABLES_READ
