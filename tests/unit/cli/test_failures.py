"""What a failure looks like: a line or two that name the place and the way out, an exit code, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worker.cli import schema
from worker.cli.console import clean
from worker.cli.failures import told
from worker.errors import ConfigError, LedgerLocked, LedgerUnavailable, Problem, ProviderUnavailable

from .desk import Desk


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (
            ConfigError([Problem("b.yaml", 2, 3, "x"), Problem("a.yaml", 1, 1, "y")]),
            2,
            "a.yaml:1:1: y\nb.yaml:2:3: x\n",
        ),
        (LedgerLocked("held by process 7"), 2, "held by process 7\n"),
        (LedgerUnavailable("no server"), 1, "no server\n"),
        (ProviderUnavailable(), 1, "ProviderUnavailable\n"),
        (PermissionError(13, "Permission denied", "f.json"), 2, "f.json: Permission denied\n"),
    ],
)
def test_every_failure_has_its_code_and_its_words(
    failure: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(failure) == code
    assert capsys.readouterr().err == words


def test_an_unexpected_fault_is_named_with_the_way_to_see_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.core.spec.json_schema", lambda: 1 / 0)
    said = desk("schema")
    assert said.code == 1
    assert "ZeroDivisionError" in said.err
    assert "STATUSBRIDGE_DEBUG=1" in said.err


def test_an_unexpected_fault_shows_its_traceback_on_demand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.core.spec.json_schema", lambda: 1 / 0)
    monkeypatch.setenv("STATUSBRIDGE_DEBUG", "1")
    assert "unexpected" not in desk("schema").err


def test_ctrl_c_ends_with_130(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "document", interrupted)
    said = desk("schema")
    assert (said.code, said.err) == (130, "")


@pytest.mark.parametrize("call", [["chekc"], ["check", "--nope"], ["send", "alerts"], ["history", "--limit", "many"]])
def test_a_wrong_call_is_told_with_the_usage(desk: Desk, call: list[str]) -> None:
    said = desk(*call)
    assert said.code == 2
    assert "Usage: statusbridge" in said.err


def test_a_setting_that_cannot_be_read_names_its_variable(desk: Desk) -> None:
    said = desk("history", STATUSBRIDGE_PORT="eighty")
    assert said.code == 2
    assert said.err.startswith("STATUSBRIDGE_PORT: `eighty`")


def test_where_the_worker_would_listen_is_not_asked_of_other_commands(desk: Desk, filled: str) -> None:
    assert desk("history", "--ledger", filled, STATUSBRIDGE_HOST="0.0.0.0").code == 0


def test_only_printable_characters_are_printed() -> None:
    assert clean("a\x1b[2Jb\x9bc\u202ed\ne\tf\r") == "a\ufffd[2Jb\ufffdc\ufffdd\ne f\ufffd"


def test_help_loads_nothing_heavy() -> None:
    """So that `statusbridge --help` answers at once."""
    code = (
        "import sys; sys.argv = ['statusbridge', '--help']\n"
        "from worker.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'sqlalchemy', 'fastapi', 'httpx', 'rich', 'yaml', 'uvicorn', 'structlog', 'asyncio'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert "Usage: statusbridge" in ended.stdout
    assert ended.stderr == "[]\n"


def test_the_version_is_told(desk: Desk) -> None:
    assert desk("--version").out.startswith("statusbridge ")


def test_the_schema_is_one_json_document(desk: Desk) -> None:
    assert desk("schema").data["$defs"]
