"""The search for secrets finds them: in a ledger, on a page, in what was printed and logged, however written."""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests import leaks
from tests.leaks import CANARIES, Left, kept, rehearsed_page
from worker.core.model import Flag
from worker.ledger import open_ledger
from worker.ports import Commit

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
PLANTED = tuple(canary.replace("canary", "planted") for canary in CANARIES)
"""Not the canaries themselves: those would be found once more at the end of the session."""

TOKEN, PAGE_KEY, ADMIN_TOKEN, _ = PLANTED
found = partial(leaks.found, canaries=PLANTED)


@pytest.mark.parametrize("secret", PLANTED)
def test_a_secret_in_a_ledger_is_found(tmp_path: Path, secret: str) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock=lambda: NOW)
    assert found(Left(), tmp_path.rglob("*")) == []
    ledger.commit(Commit(now=NOW, flags=[Flag(page="main", name="x", at=NOW, value=f"a {secret} b")]))
    while_it_runs = found(Left(), tmp_path.rglob("*"))
    ledger.close()
    assert while_it_runs
    assert found(Left(), tmp_path.rglob("*")) == [f"file {tmp_path}/ledger.db"]


@pytest.mark.parametrize(
    "written",
    [
        TOKEN,
        base64.b64encode(f"{PAGE_KEY}:".encode()).decode(),
        ADMIN_TOKEN.encode().hex(),
        TOKEN.replace("+", "%2B").replace("/", "%2F"),
    ],
)
def test_a_secret_that_is_printed_is_found_however_it_is_written(written: str) -> None:
    left = Left()
    with kept(left):
        subprocess.run([sys.executable, "-c", "print('nothing')"], capture_output=True, text=True, check=True)
        assert (len(left.printed), found(left, [])) == (1, [])
        subprocess.run([sys.executable, "-c", f"print('x{written}y')"], capture_output=True, check=True)
    assert len(found(left, [])) == 1


def test_a_secret_that_is_logged_is_found() -> None:
    left = Left()
    with kept(left):
        logging.getLogger("worker.any").warning("the token is %s", TOKEN)
    logging.getLogger("worker.any").warning("the token is %s", TOKEN)
    assert found(left, []) == ["log line (0)"]


def test_a_secret_on_a_page_is_found() -> None:
    left = Left()
    with rehearsed_page(left=left) as page:
        page.state.person_opens("Ours", "We look.", now=NOW)
        assert found(left, []) == []
        page.state.person_opens("Ours", f"We look: {PAGE_KEY}", now=NOW)
    assert found(left, []) == ["page 0"]
