"""``approve``, ``dismiss``, ``retry``, ``adopt`` on a real ledger, without a worker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from worker.core.approval import approval_hash
from worker.core.model import Action, ActionState, Phase
from worker.ledger import open_ledger
from worker.ports import Commit

from .desk import START, Desk


def change(**fields: object) -> Action:
    """Let the action that was refused be something else, of an episode that still fires; give it."""
    ledger = open_ledger("sqlite:///own.db", clock=lambda: START)
    try:
        said, line = sorted(ledger.history(), key=lambda line: line.action.state is not ActionState.DONE)
        episode, other = ledger.get(line.episode), ledger.get(said.episode)
        assert episode is not None
        assert other is not None
        firing = replace(episode, remote_id="", phase=Phase.OPEN, members=other.members)
        action = replace(episode.actions[0], **fields)  # type: ignore[arg-type]
        ledger.commit(Commit(now=START, episodes=[firing], actions=[action]))
        return action
    finally:
        ledger.close()


@pytest.fixture
def waits(ledger: str, rules: Path) -> Action:
    """An opening that awaits approval."""
    return change(state=ActionState.AWAITING_APPROVAL, sends=0, deadline=START + timedelta(minutes=10))


def state_of(desk: Desk, action: Action) -> tuple[str, str]:
    lines = {line["id"]: line for line in desk("history", "--json").data["actions"]}
    return lines[action.id]["state"], lines[action.id]["approved_by"]


def test_what_waits_is_shown_with_the_command_that_moves_it_on(desk: Desk, waits: Action) -> None:
    way = f"statusbridge approve {waits.id} --hash {approval_hash(waits)[:12]}, until 2026-11-23 10:10 UTC"
    assert way in desk("history", COLUMNS="400").out
    assert way in desk("show", waits.aggregate, COLUMNS="400").out
    (line,) = (each for each in desk("history", "--json").data["actions"] if each["id"] == waits.id)
    assert line["approval_hash"] == approval_hash(waits)
    assert line["approve_until"] == "2026-11-23T10:10:00Z"


def test_approving_says_what_was_approved_and_is_on_record(desk: Desk, waits: Action) -> None:
    said = desk("approve", waits.id, "--hash", approval_hash(waits)[:12].upper(), "--by", "ann")
    assert said.code == 0, said.err
    for text in ("open_incident: investigating; checkout full_outage; mails", "“We are on it.”", approval_hash(waits)):
        assert text in said.out
    assert state_of(desk, waits) == ("queued", "ann")
    assert "approved: sha256" in desk("show", waits.aggregate).out
    assert "ann (approve)" in desk("show", waits.aggregate).out


def test_other_words_take_the_place_of_ours(desk: Desk, waits: Action) -> None:
    said = desk("approve", waits.id, "--text", "Payments fail.", "--title", "Payments")
    assert said.code == 0, said.err
    (line,) = (each for each in desk("history", "--json").data["actions"] if each["id"] == waits.id)
    assert (line["title"], line["message"], line["state"]) == ("Payments", "Payments fail.", "queued")


def test_an_episode_may_be_named_where_only_one_of_its_actions_waits(desk: Desk, waits: Action) -> None:
    said = desk("approve", waits.aggregate)
    assert said.code == 0, said.err
    again = desk("approve", waits.aggregate)
    assert (again.code, again.err) == (1, f"nothing of {waits.aggregate} waits for approval\n")


@pytest.mark.parametrize("seen", ["0" * 64, "abc", "5f0c1d9b2a77"])
def test_a_hash_of_something_else_approves_nothing(desk: Desk, waits: Action, seen: str) -> None:
    said = desk("approve", waits.id, "--hash", seen)
    assert said.code == 1
    assert f"is not what {seen} stands for: its hash is {approval_hash(waits)}" in said.err
    assert state_of(desk, waits)[0] == "awaiting_approval"


@pytest.mark.parametrize("option", ["--hash", "--text", "--title"])
def test_an_option_of_a_script_whose_variable_is_unset_approves_nothing(desk: Desk, waits: Action, option: str) -> None:
    said = desk("approve", waits.id, option, "")
    assert said.code == 2
    assert f"'{option}': is empty; give it a value" in said.err
    assert state_of(desk, waits)[0] == "awaiting_approval"


def test_what_is_called_wrongly_is_told(desk: Desk, waits: Action) -> None:
    for name in ("approve", "dismiss", "retry", "adopt"):
        said = desk(name, "nonsense#1")
        assert (said.code, said.err) == (
            1,
            "there is nothing called `nonsense#1`; `statusbridge history` names what there is\n",
        )
    assert f"{waits.aggregate}/9 does not exist" in desk("approve", f"{waits.aggregate}/9").err
    said = desk("adopt", waits.id)
    assert said.code == 2
    assert f"name its episode or window: {waits.aggregate}" in said.err


def test_what_is_settled_is_told_with_its_state(desk: Desk, waits: Action) -> None:
    (done,) = (line for line in desk("history", "--json").data["actions"] if line["state"] == "done")
    assert desk("retry", done["id"]).err == f"{done['id']} is done already\n"


def test_retry_lets_what_was_refused_go_out(desk: Desk, ledger: str, rules: Path) -> None:
    action = change(sends=0)
    assert f"statusbridge retry {action.id}" in desk("history", COLUMNS="400").out
    assert desk("retry", action.aggregate, "--by", "ann").code == 0
    assert state_of(desk, action)[0] == "queued"


def test_dismiss_ends_what_nobody_wants(desk: Desk, waits: Action) -> None:
    said = desk("dismiss", waits.aggregate, "--reason", "a false alarm", "--by", "ann")
    assert said.code == 0, said.err
    assert state_of(desk, waits)[0] == "dismissed"
    assert "dismissed by ann: a false alarm" in desk("show", waits.aggregate).out


def test_adopt_refuses_what_nobody_has_taken_over(desk: Desk, waits: Action) -> None:
    said = desk("adopt", waits.aggregate)
    assert (said.code, said.err) == (1, f"{waits.aggregate} is not on the page\n")
