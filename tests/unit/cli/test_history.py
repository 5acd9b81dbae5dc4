"""``history`` and ``show`` on a real ledger."""

from __future__ import annotations

from pathlib import Path

from worker.cli.app import app  # noqa: F401  (loads every command once)

from .desk import Desk


def test_history_says_what_the_page_got_when_why_and_by_which_rule(desk: Desk, filled: str) -> None:
    said = desk("history", "--ledger", filled)
    assert said.code == 0, said.err
    for text in (
        "2026-11-23 10:00:03",
        "checkout-outage#1",
        "region=2026-11-23 eu",
        "open_incident: investigating; checkout full_outage; mails",
        "“We are on it.”",
        "inbound 1 from alerts",
        "rule at ffffffffffff",
    ):
        assert text in said.out


def test_history_shows_what_has_not_reached_the_page_with_its_state_and_reason(desk: Desk, filled: str) -> None:
    said = desk("history", "--ledger", filled)
    assert "[2026-11-23 10:00:01]" in said.out
    assert "[parked] open_incident" in said.out
    assert "422: no such component" in said.out


def test_history_for_programs_is_one_json_document(desk: Desk, filled: str) -> None:
    actions = desk("history", "--ledger", filled, "--json").data["actions"]
    done = next(action for action in actions if action["state"] == "done")
    assert done["said_at"] == "2026-11-23T10:00:03Z"
    assert done["components"] == {"checkout": "full_outage"}
    assert done["update_id"] == "01UPDATE"


def test_history_is_narrowed_by_page_rule_time_and_number(desk: Desk, filled: str) -> None:
    def count(*args: str) -> int:
        return len(desk("history", "--ledger", filled, "--json", *args).data["actions"])

    assert count() == 2
    assert count("--limit", "1") == 1
    assert count("--page", "other") == 0
    assert count("--rule", "other") == 0
    assert count("--since", "2026-11-23T10:00:01Z") == 2
    assert count("--since", "2026-11-23T10:00:02") == 1  # that the page had then, whenever it was decided


def test_a_time_that_is_none_names_the_option(desk: Desk, filled: str) -> None:
    said = desk("history", "--ledger", filled, "--since", "yesterday")
    assert said.code == 2
    assert said.err.startswith("--since: `yesterday` is neither")


def test_a_ledger_that_is_not_there_is_a_wrong_call_and_is_not_made(desk: Desk) -> None:
    said = desk("history", "--ledger", "sqlite:///missing.db")
    assert said.code == 2
    assert "missing.db: there is no ledger here; name that of your worker with --ledger" in said.err
    assert not Path("missing.db").exists()
    assert "Traceback" not in said.err


def test_show_tells_the_story_in_order_of_time(desk: Desk, filled: str) -> None:
    full = desk("history", "--ledger", filled, "--json").data["actions"]
    episode = next(action["episode"] for action in full if action["state"] == "done")
    said = desk("show", episode, "--ledger", filled)
    assert said.code == 0, said.err
    told = [
        "alerts alert 1a2b: firing, critical",
        "opened: hold is over ← inbound 1 from alerts",
        "1 open_incident: investigating",
        "1.1 POST /v2/status_page_incidents, 2 bytes",
        "post 01UPDATE",
    ]
    places = [said.out.index(text) for text in told]
    assert places == sorted(places)
    assert "done after 1.0 s" in said.out


def test_control_characters_of_a_payload_never_reach_the_terminal(desk: Desk, filled: str) -> None:
    episode = desk("history", "--ledger", filled, "--json").data["actions"][0]["episode"]
    said = desk("show", episode, "--ledger", filled)
    assert "\x1b" not in said.out
    assert "Checkout \ufffd[31mdown" in said.out


def test_show_for_programs_has_every_part_of_the_story(desk: Desk, filled: str) -> None:
    episode = desk("history", "--ledger", filled, "--json").data["actions"][0]["episode"]
    story = desk("show", episode, "--ledger", filled, "--json").data
    assert [len(story[part]) for part in ("events", "decisions", "actions", "attempts")] == [1, 1, 1, 1]
    assert story["attempts"][0]["result"] == "done"


def test_a_name_for_two_episodes_lists_both(desk: Desk, filled: str) -> None:
    said = desk("show", "checkout-outage#1", "--ledger", filled)
    assert said.code == 1
    assert said.err.count("checkout-outage@main.") == 2


def test_an_unknown_episode_is_a_no(desk: Desk, filled: str) -> None:
    said = desk("show", "nothing#7", "--ledger", filled)
    assert said.code == 1
    assert "there is nothing called `nothing#7`" in said.err
