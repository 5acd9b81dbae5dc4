"""A worker as a process whose rules change under it: seen within seconds, used whole or not at all, nothing lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.leaks import ADMIN_TOKEN, rehearsed_page
from tests.processes import Running, alert, notification, post, until, worker, write_rules
from worker.sandbox import SandboxServer

pytestmark = pytest.mark.timeout(90)
ADMIN = {"STATUSBRIDGE_ADMIN_TOKEN": ADMIN_TOKEN}


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with rehearsed_page() as server:
        yield server


def titles(page: SandboxServer) -> list[str]:
    return [incident.name for incident in page.state.incidents.shelf.all()]


def statuses(page: SandboxServer) -> list[str]:
    return [incident.status for incident in page.state.incidents.shelf.all()]


def changed(folder: Path, old: str, new: str) -> None:
    file = folder / "rules.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def fires(running: Running, service: str) -> None:
    assert post(running.url, notification(alert(service, service, "critical", "firing"))).status_code == 202


def metric(running: Running, name: str) -> float:
    with httpx.Client(trust_env=False, headers={"authorization": f"Bearer {ADMIN_TOKEN}"}) as client:
        lines = client.get(f"{running.url}/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), -1)


def reloads(outcome: str) -> str:
    return f'statusbridge_reloads_total{{outcome="{outcome}"}}'


def asks(running: Running, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, headers=headers) as client:
        return client.post(f"{running.url}/-/reload")


def test_rules_that_change_are_used_within_seconds_and_what_is_open_lives_on(
    page: SandboxServer, tmp_path: Path
) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    with worker(rules, tmp_path / "ledger.db", **ADMIN, STATUSBRIDGE_RELOAD="0.2") as running:
        fires(running, "mail")
        until(lambda: titles(page) == ["Trouble with mail"], "the first incident")
        changed(rules, "Trouble with", "Problems of")
        until(lambda: metric(running, reloads("changed")) == 1, "the change is seen")
        fires(running, "search")
        until(lambda: "Problems of search" in titles(page), "the second incident, in new words")
        changed(rules, "id: outage", "id: another")
        until(lambda: metric(running, reloads("changed")) == 2, "the rule is gone")
        ended = [alert(name, name, "critical", "resolved") for name in ("mail", "search")]
        assert post(running.url, notification(*ended)).status_code == 202
        until(lambda: statuses(page) == ["resolved", "resolved"], "what was open is ended by the rule that opened it")


def test_a_bad_set_keeps_the_last_good_one_and_says_so(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    with worker(rules, tmp_path / "ledger.db", **ADMIN, STATUSBRIDGE_RELOAD="0.2") as running:
        changed(rules, "hold: 0s", "hold: soon")
        until(lambda: metric(running, reloads("refused")) == 1, "the fault is seen")
        assert metric(running, "statusbridge_rules_last_reload_successful") == 0
        assert any("`hold` must be a duration" in line for line in running.lines)
        fires(running, "mail")
        until(lambda: titles(page) == ["Trouble with mail"], "the last good rules are at work")
        refused = asks(running, authorization=f"Bearer {ADMIN_TOKEN}")
        assert refused.status_code == 422
        assert "`hold` must be a duration" in refused.json()["detail"]
        changed(rules, "hold: soon", "hold: 0s")
        until(lambda: metric(running, "statusbridge_rules_last_reload_successful") == 1, "all is well again")


def test_a_signal_and_a_request_with_the_token_read_the_rules_again_at_once(
    page: SandboxServer, tmp_path: Path
) -> None:
    rules = write_rules(tmp_path / "rules", page.url)
    with worker(rules, tmp_path / "ledger.db", **ADMIN, STATUSBRIDGE_RELOAD="0") as running:
        assert asks(running).status_code == 401
        changed(rules, "Trouble with", "Problems of")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: metric(running, reloads("changed")) == 1, "the signal is heard")
        changed(rules, "Problems of", "Pain of")
        done = asks(running, authorization=f"Bearer {ADMIN_TOKEN}")
        assert (done.status_code, done.json()["changed"], done.json()["said"]) == (200, True, "changed rule outage")
        fires(running, "mail")
        until(lambda: titles(page) == ["Pain of mail"], "the newest words")


def test_what_is_held_by_a_rule_that_is_gone_is_never_said(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url, hold="1h")
    with worker(rules, tmp_path / "ledger.db", **ADMIN, STATUSBRIDGE_RELOAD="0.2") as running:
        fires(running, "mail")
        until(lambda: metric(running, 'statusbridge_ledger_episodes{phase="held"}') == 1, "held")
        changed(rules, "id: outage", "id: another")
        until(lambda: metric(running, 'statusbridge_ledger_episodes{phase="dismissed"}') == 1, "dismissed")
        assert titles(page) == []


@pytest.mark.parametrize("restarts", [False, True], ids=["while it runs", "while it is down"])
def test_what_is_public_and_in_shadow_from_now_on_is_told_at_once(
    page: SandboxServer, tmp_path: Path, restarts: bool
) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url), tmp_path / "ledger.db"
    with worker(rules, ledger, **ADMIN, STATUSBRIDGE_RELOAD="0.2") as running:
        fires(running, "mail")
        until(lambda: titles(page) == ["Trouble with mail"], "open")
        if not restarts:
            changed(rules, "publish: auto", "publish: shadow")
            until(lambda: any("close it by hand" in line for line in running.lines), "told")
    if restarts:
        changed(rules, "publish: auto", "publish: shadow")
        with worker(rules, ledger) as running:
            until(lambda: any("close it by hand" in line for line in running.lines), "told")


def test_what_is_held_follows_a_shortened_hold(page: SandboxServer, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", page.url, hold="1h")
    with worker(rules, tmp_path / "ledger.db", **ADMIN, STATUSBRIDGE_RELOAD="0.2") as running:
        fires(running, "mail")
        until(lambda: metric(running, 'statusbridge_ledger_episodes{phase="held"}') == 1, "held")
        changed(rules, "hold: 1h", "hold: 0s")
        until(lambda: titles(page) == ["Trouble with mail"], "open")


def test_what_is_held_follows_a_hold_that_was_shortened_while_nobody_was_there(
    page: SandboxServer, tmp_path: Path
) -> None:
    rules, ledger = write_rules(tmp_path / "rules", page.url, hold="1h"), tmp_path / "ledger.db"
    with worker(rules, ledger, **ADMIN) as running:
        fires(running, "mail")
        until(lambda: metric(running, 'statusbridge_ledger_episodes{phase="held"}') == 1, "held")
    changed(rules, "hold: 1h", "hold: 0s")
    with worker(rules, ledger):
        until(lambda: titles(page) == ["Trouble with mail"], "open")
