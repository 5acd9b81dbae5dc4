"""``report``: what was said, what would have been said, and who was faster: the rules or people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.cli.desk import Desk
from tests.unit.steps.rig import HEAD, START, Rig, rule
from worker.sandbox import DEFAULT_KEY, SandboxServer

SINCE = "2026-11-23T00:00Z"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with SandboxServer(clock=lambda: START + timedelta(days=1)) as server:
        yield server


def recorded(path: Path, *lengths: str, publish: str = "shadow") -> str:
    """Outages of these lengths, an hour apart, as a worker recorded them."""
    rig = Rig(path / "ledger.db", rule(hold="3m", quiet="5m", publish=publish))
    for length in lengths:
        rig.fires().passes(length)
        rig.clears().passes("1h")
    rig.close()
    return f"sqlite:///{path}/ledger.db"


def lines(desk: Desk, *args: object, **env: str) -> list[str]:
    said = desk("report", "--since", SINCE, *args, **env)
    assert said.code == 0, said.err
    return [line.strip() for line in said.out.splitlines() if line.strip()]


def test_what_the_shadow_would_have_said_is_summed_up(desk: Desk, tmp_path: Path) -> None:
    ledger = recorded(tmp_path, "2m", "20m", "10m")
    assert lines(desk, "--ledger", ledger) == [
        "page main, since 2026-11-23 00:00:00 UTC",
        "in shadow          2 incidents, 2 updates, 4 mails",
        "would have opened 2, mailed 4",
    ]


def test_what_was_published_is_told_as_such(desk: Desk, tmp_path: Path) -> None:
    ledger = recorded(tmp_path, "20m", publish="auto")
    assert lines(desk, "--ledger", ledger)[1:] == [
        "published          1 incident, 1 update, 2 mails",
        "opened 1, mailed 2",
    ]


def test_what_nobody_ever_gets_is_not_counted(desk: Desk, tmp_path: Path) -> None:
    ledger = recorded(tmp_path, "2m")
    assert lines(desk, "--ledger", ledger) == ["nothing was said since 2026-11-23 00:00:00 UTC"]


def online_rules(folder: Path, url: str) -> Path:
    folder.mkdir()
    head = HEAD.replace("api_key: ${KEY}", f"api_key: ${{KEY}}\n    base_url: {url}")
    (folder / "rules.yaml").write_text(head.replace("page: Other Status", "page: Acme Status") + rule(publish="shadow"))
    return folder


def test_rules_are_held_against_what_people_opened_about_the_same(
    desk: Desk, tmp_path: Path, page: SandboxServer
) -> None:
    ledger = recorded(tmp_path, "20m", "20m", "20m")  # open at 10:03, 11:23, 12:43
    state = page.state
    state.person_opens("Checkout is down", "We see it.", {"Checkout API": "full_outage"}, now=START + 9 * MINUTE)
    state.person_opens("Checkout again", "We see it.", {"Checkout API": "full_outage"}, now=START + 81 * MINUTE)
    state.person_opens("Mail is slow", "We see it.", {"Dashboard": "full_outage"}, now=START + 90 * MINUTE)
    rules = online_rules(tmp_path / "rules", page.url)
    told = lines(desk, "--ledger", ledger, "--online", "--rules", rules, "--page", "main", KEY=DEFAULT_KEY)
    assert told[2:] == [
        "2026-11-23 10:03:00  checkout#1: 6 minutes before people (“Checkout is down”)",
        "2026-11-23 11:23:00  checkout#2: 2 minutes after people (“Checkout again”)",
        "2026-11-23 12:43:00  checkout#3: nobody opened one by hand",
        "2026-11-23 11:30:00  people alone: “Mail is slow”",
        (
            "would have opened 3, mailed 6; median 2 minutes before people did; 1 that nobody opened by hand; "
            "people opened 1 that no rule saw"
        ),
    ]
    data = desk(
        *("report", "--since", SINCE, "--ledger", ledger, "--online", "--rules", rules, "--page", "main", "--json"),
        KEY=DEFAULT_KEY,
    ).data["pages"]["main"]
    assert [each["lead_seconds"] for each in data["openings"]] == [360, -120, None]
    assert data["median_lead_seconds"] == 120
    assert [each["name"] for each in data["people_alone"]] == ["Mail is slow"]


def test_a_page_that_cannot_be_read_is_no_answer(desk: Desk, tmp_path: Path) -> None:
    ledger = recorded(tmp_path, "20m")
    rules = online_rules(tmp_path / "rules", "http://127.0.0.1:9")
    said = desk("report", "--ledger", ledger, "--since", SINCE, "--online", "--rules", rules, KEY="k")
    assert said.code == 1
    unknown = desk("report", "--ledger", ledger, "--online", "--rules", rules, "--page", "mian", KEY="k")
    assert (unknown.code, "did you mean `main`?" in unknown.err) == (2, True)
