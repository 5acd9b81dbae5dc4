"""``doctor``: each thing that a worker needs, and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .desk import SECRETS, Desk, Said


def _checks(said: Said) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for check in said.data["checks"]:
        found.setdefault(check["check"], []).append(check)
    return found


def test_all_is_well_where_all_is_there(desk: Desk, rules: Path, filled: str) -> None:
    said = desk("doctor", "--ledger", filled, "--json", **SECRETS)
    checks = _checks(said)
    assert (said.code, said.data["ok"]) == (0, True), checks
    assert {
        "python",
        "sqlite",
        "conditions",
        "time zones",
        "ledger",
        "disk",
        "worker",
        "rules",
        "secret",
    } <= checks.keys()
    assert "schema" in checks["ledger"][0]["text"]
    assert len(checks["secret"]) == len(SECRETS)


def test_a_table_for_people_names_verdict_check_and_finding(desk: Desk, rules: Path) -> None:
    said = desk("doctor", **SECRETS)
    assert said.code == 0, said.out
    assert "ok    rules" in said.out
    assert "1 rule, 2 sources, 1 page" in said.out
    assert "the first `statusbridge run` makes it" in said.out


def test_missing_secrets_are_named_and_present_ones_never_shown(desk: Desk, rules: Path) -> None:
    said = desk("doctor", **{**SECRETS, "CI_SECRET": ""})
    assert said.code == 1
    assert "${PAGE_KEY} is here" in said.out
    assert "CI_SECRET" in said.out
    assert not any(secret in said.out + said.err for secret in SECRETS.values())


def test_broken_rules_fail_at_their_place_and_leave_the_rest_standing(desk: Desk, rules: Path) -> None:
    (rules / "rules.yaml").write_text("rules: }")
    checks = _checks(desk("doctor", "--json"))
    assert checks["rules"][0]["verdict"] == "fail"
    assert "rules.yaml:1:" in checks["rules"][0]["text"]
    assert "ledger" in checks


def test_a_directory_that_is_missing_has_its_way_out(desk: Desk, rules: Path) -> None:
    said = desk("doctor", "--ledger", "sqlite:///no/where/ledger.db", **SECRETS)
    assert said.code == 1
    assert "mkdir -p no/where" in said.out


def test_a_file_that_others_may_read_is_a_warning(desk: Desk, rules: Path, filled: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(Path(filled.removeprefix("sqlite:///")).read_bytes())
    copy.chmod(0o644)
    checks = _checks(desk("doctor", "--ledger", f"sqlite:///{copy}", "--json", **SECRETS))
    assert checks["ledger file"][0]["way_out"] == f"chmod 600 {copy}"


def test_what_would_stop_the_worker_is_told(desk: Desk, rules: Path) -> None:
    checks = _checks(desk("doctor", "--json", STATUSBRIDGE_HOST="0.0.0.0", **SECRETS))
    assert checks["settings"][0]["verdict"] == "fail"
    assert "STATUSBRIDGE_ADMIN_TOKEN" in checks["settings"][0]["text"]


def test_too_little_room_fails(desk: Desk, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("worker.cli.checkup.shutil.disk_usage", lambda _: usage)
    checks = _checks(desk("doctor", "--json", **SECRETS))
    assert checks["disk"][0]["verdict"] == "fail"


def test_a_ledger_that_is_damaged_is_found(desk: Desk, filled: str, tmp_path: Path) -> None:
    copy = tmp_path / "damaged.db"
    damaged = bytearray(Path(filled.removeprefix("sqlite:///")).read_bytes())
    for page in range(len(damaged) // 8192 * 4096, len(damaged), 4096):
        damaged[page : page + 40] = b"\xff" * 40
    copy.write_bytes(damaged)
    said = desk("doctor", "--ledger", f"sqlite:///{copy}", "--json", **SECRETS)
    (found,) = _checks(said)["ledger"]
    assert (said.code, found["verdict"]) == (1, "fail")
    assert found["text"].startswith(f"{copy}: the ledger ")
    assert "restore a backup" in found["text"]
