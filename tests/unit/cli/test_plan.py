"""``plan``: which posts would be gone, new or different with changed rules, from a ledger and from a folder."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.desk import START, Desk, Said
from tests.unit.steps.rig import HEAD, Rig, alert, notification, rule
from worker.cli.recordings import from_folder, save
from worker.core.model import Inbound

SINCE = "2026-11-23T00:00Z"


def rules(folder: Path, *each: str) -> Path:
    folder.mkdir()
    (folder / "rules.yaml").write_text(HEAD + "".join(each))
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """A blip of two minutes, an outage of twenty, and another of four, as a worker recorded them."""
    rig = Rig(tmp_path / "ledger.db", rule(hold="3m", quiet="5m"))
    for length in ("2m", "20m", "4m"):
        rig.fires().passes(length)
        rig.clears().passes("1h")
    rig.close()
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def present(tmp_path: Path) -> Path:
    return rules(tmp_path / "present", rule(hold="3m", quiet="5m"))


def planned(desk: Desk, ledger: str, present: Path, changed: Path, *more: object) -> Said:
    return desk("plan", "--present", present, "--rules", changed, "--ledger", ledger, "--since", SINCE, *more)


def changes(said: Said) -> list[tuple[str, str]]:
    found = []
    for each in said.data["changes"]:
        saying = each["in_force"] or each["changed"]
        found.append((each["kind"], f"{saying['at'][11:16]} {saying['post']}"))
    return found


def test_the_present_rules_played_again_say_what_the_ledger_says(desk: Desk, ledger: str, present: Path) -> None:
    said = planned(desk, ledger, present, present, "--json")
    assert said.code == 0, said.err
    assert "mean the same" in said.err
    told = [line.action for line in history(ledger)]
    assert said.data["same"] == len(told) == 4
    assert said.data["changes"] == []
    assert said.data["in_force"] == {"incidents": 2, "updates": 2, "mails": 4}


def history(ledger: str) -> Any:
    from worker.cli.reading import ledger_to_read

    with ledger_to_read(ledger) as book:
        return book.history()


def test_a_longer_hold_names_exactly_the_posts_that_would_not_have_happened(
    desk: Desk, ledger: str, present: Path, tmp_path: Path
) -> None:
    changed = rules(tmp_path / "changed", rule(hold="5m", quiet="5m"))
    said = planned(desk, ledger, present, changed, "--json")
    assert changes(said) == [("different", "11:05 open"), ("gone", "12:25 open"), ("gone", "12:31 resolve")]
    (moved, gone, _) = said.data["changes"]
    assert moved["fields"] == {"at": ["2026-11-23T11:05:00Z", "2026-11-23T11:07:00Z"]}
    assert gone["instead"] == "dismissed: all clear before anything was public"
    assert said.data["changed"] == {"incidents": 1, "updates": 1, "mails": 2}
    text = planned(desk, ledger, present, changed).out
    assert "incidents            2         1      -1" in text
    assert "would not have happened (2)" in text
    assert "instead: dismissed: all clear before anything was public" in text


def test_a_shorter_hold_names_what_would_have_happened_besides(
    desk: Desk, ledger: str, present: Path, tmp_path: Path
) -> None:
    changed = rules(tmp_path / "changed", rule(hold="1m", quiet="5m"))
    said = planned(desk, ledger, present, changed, "--json")
    assert changes(said)[:2] == [("new", "10:01 open"), ("new", "10:07 resolve")]
    assert said.data["changed"]["incidents"] == 3


def test_another_text_is_the_same_post_in_other_words(desk: Desk, ledger: str, present: Path, tmp_path: Path) -> None:
    changed = rules(tmp_path / "changed", rule(hold="3m", quiet="5m", title="Trouble"))
    said = planned(desk, ledger, present, changed, "--json")
    assert [each["fields"] for each in said.data["changes"]] == [{"title": ["“Checkout problems”", "“Trouble”"]}] * 2


def test_a_renamed_rule_is_the_same_rule(desk: Desk, ledger: str, present: Path, tmp_path: Path) -> None:
    renamed = rule("shop", hold="3m", quiet="5m", title="Checkout problems", more="was: checkout")
    said = planned(desk, ledger, present, rules(tmp_path / "changed", renamed), "--json")
    assert said.data["changes"] == []


def test_a_rule_that_is_gone_takes_its_posts_along(desk: Desk, ledger: str, present: Path, tmp_path: Path) -> None:
    changed = rules(tmp_path / "changed", rule("other", match="{labels.service: other}"))
    said = planned(desk, ledger, present, changed, "--json")
    assert {each["kind"] for each in said.data["changes"]} == {"gone"}
    assert said.data["changes"][0]["instead"] == "no signal matches any more"


def test_markdown_is_a_comment_with_a_table_and_a_diff(desk: Desk, ledger: str, present: Path, tmp_path: Path) -> None:
    changed = rules(tmp_path / "changed", rule(hold="5m", quiet="5m"))
    lines = planned(desk, ledger, present, changed, "--format", "markdown").out.splitlines()
    assert lines[0] == "### What the status page would have said"
    assert "| incidents | 2 | 1 | -1 |" in lines
    assert "<details><summary>2 posts would not have happened</summary>" in lines
    assert any(line.startswith("- 2026-11-23 12:25:00  open_incident checkout#3") for line in lines)
    assert lines.count("```diff") == lines.count("```") == 2


def test_differences_can_fail_a_pipeline(desk: Desk, ledger: str, present: Path, tmp_path: Path) -> None:
    changed = rules(tmp_path / "changed", rule(hold="5m", quiet="5m"))
    assert planned(desk, ledger, present, changed, "--exit-code").code == 1
    assert planned(desk, ledger, present, present, "--exit-code").code == 0


def test_a_ledger_is_saved_to_a_folder_that_plans_the_same(
    desk: Desk, ledger: str, present: Path, tmp_path: Path
) -> None:
    changed = rules(tmp_path / "changed", rule(hold="5m", quiet="5m"))
    first = planned(desk, ledger, present, changed, "--json", "--save", tmp_path / "saved")
    assert "6 webhooks written" in first.err
    again = desk("plan", "--present", present, "--rules", changed, "--payloads", tmp_path / "saved", "--json")
    assert again.data["changes"] == first.data["changes"]
    assert again.data["webhooks"] == 6


def test_what_proved_a_sender_is_not_saved(desk: Desk, present: Path, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "ledger.db", rule())
    rig.receives("alerts", notification(alert()), headers={"x-hub-signature": "canary", "x-event": "alert"})
    rig.close()
    planned(desk, f"sqlite:///{tmp_path}/ledger.db", present, present, "--save", tmp_path / "saved")
    (headers,) = (tmp_path / "saved/alerts").glob("*.headers.json")
    assert json.loads(headers.read_text()) == {"x-event": "alert"}


def test_what_an_address_said_is_saved_and_read_again(tmp_path: Path) -> None:
    asked = Inbound(
        source="gatus",
        body=b"",
        headers={"accept": "*/*"},
        method="GET",
        query="status=up&name=%22x",
        received_at=START,
    )
    posted = Inbound(source="gatus", body=b"{}", headers={}, received_at=START + timedelta(minutes=1))
    assert save(tmp_path, [asked, posted]) == 2
    assert from_folder(tmp_path) == [asked, posted]


def test_webhooks_of_a_source_that_is_gone_and_faults_are_told(
    desk: Desk, ledger: str, present: Path, tmp_path: Path
) -> None:
    without = tmp_path / "without"
    without.mkdir()
    head = HEAD.replace("  alerts: {kind: alertmanager, auth: none}\n", "")
    (without / "rules.yaml").write_text(head + rule())
    text = planned(desk, ledger, present, without).out
    assert "the rules changed have no source `alerts`: 6 webhooks left out" in text
    failing = rules(tmp_path / "failing", rule(more='if: event.labels.nothing == "x"'))
    text = planned(desk, ledger, present, failing).out
    assert "with the rules changed: rule `checkout`: if: " in text


def test_what_is_not_there_is_a_wrong_call(desk: Desk, ledger: str, present: Path, tmp_path: Path) -> None:
    late = desk("plan", "--present", present, "--rules", present, "--ledger", ledger, "--since", "2027-01-01T00:00Z")
    assert (late.code, "has no webhook since" in late.err) == (2, True)
    nothing = desk("plan", "--present", present, "--rules", present, "--payloads", tmp_path / "nothing")
    assert (nothing.code, "there is no such folder" in nothing.err) == (2, True)
    both = desk("plan", "--present", tmp_path / "a", "--rules", tmp_path / "b", "--ledger", ledger)
    assert both.code == 2
    assert both.err.count("does not exist") == 2


def test_a_file_without_a_time_in_its_name_counts_at_its_own(desk: Desk, present: Path, tmp_path: Path) -> None:
    folder = tmp_path / "payloads/alerts"
    folder.mkdir(parents=True)
    (folder / "20261123T100000Z_a.json").write_text(json.dumps(notification(alert())))
    (folder / "2026-11-23T10:01:00+00:00_b.json").write_text(json.dumps(notification(alert(status="resolved"))))
    (folder / "later.json").write_text(json.dumps(notification(alert("b"))))
    (folder / ".hidden").write_text("no")
    said = desk("plan", "--present", present, "--rules", present, "--payloads", tmp_path / "payloads", "--json")
    assert said.data["webhooks"] == 3
    assert said.data["since"] == "2026-11-23T10:00:00Z"


def test_a_name_that_only_looks_like_a_time_is_told(desk: Desk, present: Path, tmp_path: Path) -> None:
    folder = tmp_path / "payloads/alerts"
    folder.mkdir(parents=True)
    names = ("99991231T235959Z_y", "00010101T000000Z_y", "20269923T100000Z_y")
    for name in names:
        (folder / f"{name}.json").write_text(json.dumps(notification(alert())))
    (tmp_path / "payloads/stray.json").write_text("{}")
    said = desk("plan", "--present", present, "--rules", present, "--payloads", tmp_path / "payloads")
    assert said.code == 2
    for name in names:
        assert f"{folder / name}.json: its name begins like a time, but is none from 1970 to 2200" in said.err
    assert f"{tmp_path / 'payloads/stray.json'}: put it into a folder named after its source" in said.err
