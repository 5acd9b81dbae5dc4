"""What the worker tells of itself: counters with closed label sets, the ledger's totals, logs without secrets."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

import worker
from worker.errors import LedgerUnavailable
from worker.telemetry import _COUNTERS, _HISTOGRAMS, _LABELS, PrometheusMeter, set_up_logs

SECRET = "canary-44dd"


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:] = kept
    root.setLevel(level)
    structlog.reset_defaults()


def fail_with_a_secret() -> None:
    """Fail while local variables hold a secret."""
    token = headers = {"authorization": f"Bearer {SECRET}"}
    raise KeyError(f"bug in {len(token) + len(headers)} places")


# -- metrics


def test_a_counter_counts_under_its_labels() -> None:
    meter = PrometheusMeter()
    meter.count("inbounds", source="a", outcome="accepted")
    meter.count("inbounds", by=2, outcome="accepted", source="a")
    meter.count("events", by=0)
    text = meter.exposition().decode()
    assert 'statusbridge_inbounds_total{outcome="accepted",source="a"} 3.0' in text
    assert "statusbridge_events_total 0.0" in text


def test_a_measurement_is_in_its_histogram() -> None:
    meter = PrometheusMeter()
    meter.observe("step_duration", 0.2, step="react")
    assert 'statusbridge_step_duration_seconds_count{step="react"} 1.0' in meter.exposition().decode()


def test_two_meters_do_not_mix() -> None:
    one, other = PrometheusMeter(), PrometheusMeter()
    one.count("events")
    assert "statusbridge_events_total 1.0" not in other.exposition().decode()


@pytest.mark.parametrize(
    ("name", "labels"), [("unknown", {}), ("events", {"more": "x"}), ("inbounds", {"source": "a"}), ("inbounds", {})]
)
def test_an_unknown_name_or_label_is_a_fault_of_ours(name: str, labels: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        PrometheusMeter().count(name, **labels)


def test_every_name_and_label_that_the_worker_counts_exists() -> None:
    meter = PrometheusMeter()
    calls = re.compile(
        r"""((?<![\w.])count|meter\.count|meter\.observe)\(\s*"(\w+)"((?:,\s*\w+=[^,()]*(?:\([^()]*\))?[^,()]*)*)"""
    )
    found = set()
    for file in Path(worker.__file__).parent.rglob("*.py"):
        if "sandbox" in file.parts:
            continue
        for method, name, given in calls.findall(file.read_text()):
            labels = {label: "x" for label in re.findall(r"(\w+)=", given) if label != "by"}
            if method.endswith("observe"):
                meter.observe(name, 0.1, **dict.fromkeys(_HISTOGRAMS[name][1], "x"))
            else:
                meter.count(name, **labels)
            found.add(name)
    assert {"inbounds", "inbounds_refused", "events", "conflicts", "faults", "attempts", "page_reads_failed"} <= found


def test_counting_from_many_threads_loses_nothing() -> None:
    meter = PrometheusMeter()

    def count() -> None:
        for _ in range(1000):
            meter.count("conflicts", step="react")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 'statusbridge_conflicts_total{step="react"} 4000.0' in meter.exposition().decode()


def test_the_ledgers_totals_are_read_at_each_scrape() -> None:
    meter = PrometheusMeter()
    totals = {"inbounds_pending": 1, "signals_firing": 2, "actions_done": 3, "actions_done_open_incident": 4}
    meter.watch(lambda: totals)
    assert "statusbridge_ledger_inbounds_pending 1.0" in meter.exposition().decode()
    totals["inbounds_pending"] = 7
    text = meter.exposition().decode()
    assert "statusbridge_ledger_inbounds_pending 7.0" in text
    assert 'statusbridge_ledger_actions{state="done"} 3.0' in text
    assert 'statusbridge_ledger_actions_done{kind="open_incident"} 4.0' in text


def test_it_says_which_version_it_is_whether_pages_are_right_and_what_the_process_takes() -> None:
    meter = PrometheusMeter()
    meter.watch(dict, lambda: {"main": True, "other": False})
    text = meter.exposition().decode()
    assert re.search(r'^statusbridge_build_info\{version="[^"]+"\} 1.0$', text, re.MULTILINE)
    assert 'statusbridge_page_ready{page="main"} 1.0' in text
    assert 'statusbridge_page_ready{page="other"} 0.0' in text
    assert "\nprocess_resident_memory_bytes " in text


def test_no_label_is_open_ended() -> None:
    labels = {label for _, names in (*_COUNTERS.values(), *_HISTOGRAMS.values()) for label in names}
    closed = {"reason", "outcome", "step", "result", "kind", "state", "phase"}
    of_the_rules = {"source", "page"}
    assert labels | set(_LABELS.values()) == closed | of_the_rules


def test_a_ledger_that_is_gone_hides_only_its_own_totals() -> None:
    meter = PrometheusMeter()

    def gone() -> dict[str, int]:
        raise LedgerUnavailable("disk is gone")

    meter.watch(gone)
    meter.count("events")
    text = meter.exposition().decode()
    assert "statusbridge_events_total 1.0" in text
    assert "statusbridge_ledger_" not in text


# -- logs


def test_json_logs_are_one_object_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("json", "info")
    structlog.get_logger("x").info("two\nlines", page="main")
    told = capsys.readouterr()
    assert told.out == ""
    line = json.loads(told.err)
    assert (line["event"], line["page"], line["level"]) == ("two\nlines", "main", "info")
    assert line["timestamp"].endswith("Z")


def test_console_logs_are_plain_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("console", "info")
    structlog.get_logger("x").info("listening", url="http://127.0.0.1")
    told = capsys.readouterr()
    assert told.out == ""
    assert "listening" in told.err
    assert "\x1b" not in told.err


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_what_is_severe_enough_is_logged(level: str, shown: int, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("json", level)
    log = structlog.get_logger("x")
    for say in (log.debug, log.info, log.warning, log.error):
        say("said")
    assert len(capsys.readouterr().err.splitlines()) == shown


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_fault_is_told_with_its_place_and_without_the_values_around_it(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(form, "info")
    try:
        fail_with_a_secret()
    except KeyError:
        structlog.get_logger("x").exception("step failed", step="react")
    told = capsys.readouterr().err
    assert "fail_with_a_secret" in told
    assert "bug in 2 places" in told
    assert SECRET not in told


@pytest.mark.parametrize("name", ["httpx", "httpcore", "apscheduler", "alembic", "uvicorn.access"])
def test_libraries_that_talk_much_are_quiet(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("console", "debug")
    logging.getLogger(name).warning("chatter")
    logging.getLogger("other").warning("worth telling")
    told = capsys.readouterr().err
    assert "chatter" not in told
    assert "worth telling" in told


def test_setting_up_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        set_up_logs("json", "info")
    structlog.get_logger("x").info("once")
    logging.getLogger("y").warning("once")
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    set_up_logs("json", "info")
    structlog.get_logger("test").warning("nobody hears this")
