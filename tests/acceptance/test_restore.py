"""Real processes: a ledger is backed up while its worker runs, lost, put back or begun anew; nothing is said twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, Running, alert, notification, post, running, until, write_rules
from worker.sandbox import SandboxServer, faults

BEGAN, OVER = "It began.", "It is over."
UNREADABLE = faults.error(applied=False)


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    """A page to watch."""
    with rehearsed_page() as server:
        yield server


def _run(rules: Path, ledger: Path, *more: str) -> AbstractContextManager[Running]:
    args = ("run", "--rules", str(rules), "--ledger", f"sqlite:///{ledger}", "--port", "0", *more)
    return running("worker", *args, environ={**SECRETS, "STATUSBRIDGE_WATCH": "0.3", "STATUSBRIDGE_POLL": "0.3"})


def _said(page: SandboxServer) -> Mapping[str, list[str]]:
    """Give what the page says, by service; fails where there are two incidents of one."""
    incidents = page.state.incidents.shelf.all()
    said = {each.name.rpartition(" ")[2]: [update.message for update in each.updates] for each in incidents}
    assert len(said) == len(incidents), [each.name for each in incidents]
    return said


def _of(status: str, *services: str) -> dict[str, object]:
    return notification(*(alert("down", service, "critical", status) for service in services))


def _tells(run: Running, text: str) -> bool:
    return any(text in line for line in run.lines)


def _delete(ledger: Path, *, mark: bool) -> None:
    for each in ledger.parent.glob(f"{ledger.name}*"):
        if mark or each.suffix != ".mark":
            each.unlink()


def _posted(page: SandboxServer) -> int:
    return sum(request.method != "GET" for request in page.state.requests)


def _failed(page: SandboxServer) -> int:
    return sum(request.fault == UNREADABLE.name for request in page.state.requests)


def test_a_ledger_that_was_put_back_is_matched_and_nothing_is_said_twice_or_forgotten(
    page: SandboxServer, tmp_path: Path
) -> None:
    rules, ledger, copy = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db", tmp_path / "backup.db"
    with _run(rules, ledger) as run:
        post(run.url, _of("firing", "cart", "login"))
        until(lambda: _said(page) == {"cart": [BEGAN], "login": [BEGAN]}, "both opened")
        _back_up(ledger, copy)
        post(run.url, _of("firing", "mail"))
        post(run.url, _of("resolved", "login"))
        until(lambda: _said(page) == {"cart": [BEGAN], "login": [BEGAN, OVER], "mail": [BEGAN]}, "gone on")
        assert run.terminate() == 0
    _delete(ledger, mark=False)
    shutil.copyfile(copy, ledger)
    page.faults.next("GET", r"/status_page_incidents/\w+$", *[UNREADABLE] * 10_000)
    posted = _posted(page)
    with _run(rules, ledger) as run:
        until(lambda: _tells(run, "the ledger may be older than the pages: it is a backup"), "known as a backup")
        post(run.url, _of("firing", "cart", "mail", "search"))
        looked = _failed(page)
        until(lambda: _failed(page) >= looked + 2, "looked in vain")
        assert _posted(page) == posted, "nothing before it was matched"
        page.faults.clear()
        until(lambda: _tells(run, "it is written to again"), "matched")
        until(lambda: _said(page).get("search") == [BEGAN], "what is new is said")
        post(run.url, _of("resolved", "cart", "mail", "search"))
        until(lambda: all(said[-1] == OVER for said in _said(page).values()), "all over")
        assert run.terminate() == 0
    assert _said(page) == {service: [BEGAN, OVER] for service in ("cart", "login", "mail", "search")}
    with _run(rules, ledger) as run:
        assert run.terminate() == 0
        assert not _tells(run, "may be older"), "only once"


@pytest.mark.parametrize("mark", [False, True], ids=["and its mark stays", "with all that is beside it"])
def test_a_ledger_that_was_deleted_is_begun_anew_and_no_event_that_is_posted_again_opens_anything_twice(
    page: SandboxServer, tmp_path: Path, mark: bool
) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    events = [_of("firing", "cart", "login"), _of("firing", "mail"), _of("resolved", "login")]
    shown = {"cart": [BEGAN], "login": [BEGAN, OVER], "mail": [BEGAN]}
    with _run(rules, ledger) as run:
        for event in events[:2]:
            post(run.url, event)
        until(lambda: len(_said(page)) == 3, "all opened")
        post(run.url, events[2])
        until(lambda: _said(page) == shown, "told")
        assert run.terminate() == 0
    _delete(ledger, mark=mark)
    with _run(rules, ledger) as run:
        assert _tells(run, "it is new, but there was another one here before") is not mark
        for event in events:
            assert post(run.url, event).status_code == 202
        post(run.url, _of("firing", "search"))
        until(lambda: "search" in _said(page), "what is new is opened")
        post(run.url, _of("resolved", "cart", "mail", "search"))
        until(lambda: all(said[-1] == OVER for said in _said(page).values()), "all over")
        assert run.terminate() == 0
    assert _said(page) == {service: [BEGAN, OVER] for service in ("cart", "login", "mail", "search")}


def test_reconcile_asks_for_it_where_nothing_tells_so(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    with _run(rules, tmp_path / "ledger.db", "--reconcile") as run:
        until(lambda: _tells(run, "it is written to again"), "matched")
        assert _tells(run, "the ledger may be older than the pages: it was asked for")
        assert run.terminate() == 0


def _back_up(ledger: Path, target: Path) -> None:
    command = [sys.executable, "-m", "worker", "backup", "--ledger", f"sqlite:///{ledger}", str(target)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "sound" in made.stdout
