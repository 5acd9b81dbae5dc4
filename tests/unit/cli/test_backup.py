"""``backup`` on a real ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from .desk import Desk


def test_a_backup_says_what_is_in_it(desk: Desk, filled: str) -> None:
    said = desk("backup", "copy.db", "--ledger", filled)
    assert said.code == 0, said.err
    assert said.out.startswith("copy.db: ")
    assert "sound: 1 webhook, 2 episodes, 0 windows, 2 actions" in said.out
    assert (
        desk("history", "--ledger", "sqlite:///copy.db", "--json").data
        == desk("history", "--ledger", filled, "--json").data
    )


@pytest.mark.parametrize(
    ("ledger", "told"),
    [("sqlite:///missing.db", "there is no such ledger"), ("postgresql://u:p@localhost/d", "pg_dump")],
)
def test_what_cannot_be_backed_up_is_a_wrong_call(desk: Desk, ledger: str, told: str) -> None:
    said = desk("backup", "copy.db", "--ledger", ledger)
    assert said.code == 2
    assert told in said.err
    assert not Path("copy.db").exists()


def test_a_backup_overwrites_nothing(desk: Desk, filled: str) -> None:
    Path("copy.db").write_text("precious")
    said = desk("backup", "copy.db", "--ledger", filled)
    assert (said.code, said.err) == (2, "copy.db: exists already; a backup overwrites nothing\n")
    assert Path("copy.db").read_text() == "precious"
