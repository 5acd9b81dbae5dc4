"""``drift`` on a real ledger and a page that has gone its own way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.ledger_rows import action, episode
from worker.core.model import ActionKind, ActionState, Attempt, Content, IncidentStatus, PageState
from worker.ledger import open_ledger
from worker.ports import Commit
from worker.sandbox import SandboxServer

from .desk import SECRETS, Desk

WORDS = ("Checkout is down", "We are on it.")


@pytest.fixture
def opened(desk: Desk, page: SandboxServer) -> str:
    """URL of a ledger with one incident that was opened an hour ago, and that the page has."""
    ago = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251  (real time)
    shown = page.state.person_opens(*WORDS, now=page.now())
    one = episode(
        key="checkout-outage@main",
        created_at=ago,
        remote_id=shown.id,
        known=PageState(incident_status=IncidentStatus.INVESTIGATING, components={}),
        known_name=WORDS[0],
    )
    said = action(
        of=one.id,
        page="main",
        kind=ActionKind.OPEN_INCIDENT,
        state=ActionState.DONE,
        created_at=ago,
        remote_id=shown.id,
        update_id=shown.updates[0].id,
        content=Content(title=WORDS[0], message=WORDS[1], incident_status=IncidentStatus.INVESTIGATING),
    )
    attempt = Attempt(
        action_id=said.id, number=1, started_at=ago, finished_at=ago, method="POST", target="/", body=b"{}"
    )
    ledger = open_ledger("sqlite:///ledger.db", clock=lambda: ago)
    ledger.commit(Commit(now=ago, episodes=[one], actions=[said], attempts=[attempt]))
    ledger.close()
    return "sqlite:///ledger.db"


def remote_id(page: SandboxServer) -> str:
    return page.state.incidents.shelf.all()[-1].id


@pytest.fixture(autouse=True)
def empty(page: SandboxServer) -> None:
    for incident in page.state.incidents.shelf.all():
        page.state.person_deletes(incident.id, now=page.now())


def test_a_page_as_it_should_be_is_a_good_answer(desk: Desk, rules: Path, opened: str) -> None:
    said = desk("drift", "--rules", rules, "--ledger", opened, **SECRETS)
    assert (said.code, said.out) == (0, ""), said.err
    assert said.err == "page `main`: no differences\n"
    assert desk("drift", "--rules", rules, "--ledger", opened, "--json", **SECRETS).data == {
        "pages": [{"page": "main", "read": True}],
        "drift": [],
    }


def test_differences_are_listed_and_are_a_no(desk: Desk, rules: Path, opened: str, page: SandboxServer) -> None:
    ours = remote_id(page)
    page.state.person_renames(ours, "All is well", now=page.now())
    copy = page.state.person_opens(*WORDS, now=page.now()).id
    said = desk("drift", "--rules", rules, "--ledger", opened, **SECRETS)
    assert said.code == 1, said.err
    assert "changed    main  checkout-outage@main#1" in said.out
    assert "it is called `All is well`, not `Checkout is down`" in said.out
    assert "page `main`: 2 differences" in said.err
    found = desk("drift", "--rules", rules, "--ledger", opened, "--json", **SECRETS)
    assert found.code == 1
    assert [(each["kind"], each["remote_id"], each["what"]) for each in found.data["drift"]] == [
        ("changed", ours, "name"),
        ("duplicate", copy, "object"),
    ]


def test_what_the_ledger_does_not_know_is_told_by_the_words_of_the_rules(
    desk: Desk, rules: Path, page: SandboxServer, filled: str
) -> None:
    page.state.person_opens("Checkout is down", "We are on it.", now=page.now())
    open_ledger("sqlite:///empty.db", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)).close()
    said = desk("drift", "--rules", rules, "--ledger", "sqlite:///empty.db", "--json", **SECRETS)
    assert [each["kind"] for each in said.data["drift"]] == ["unexpected"]


def test_a_page_that_cannot_be_read_is_no_good_answer(desk: Desk, rules: Path, opened: str) -> None:
    text = (rules / "rules.yaml").read_text()
    start = text.index("base_url: ") + len("base_url: ")
    (rules / "rules.yaml").write_text(text[:start] + "http://127.0.0.1:9" + text[text.index("\n", start) :])
    said = desk("drift", "--rules", rules, "--ledger", opened, **SECRETS)
    assert said.code == 1
    assert said.err.startswith("page `main` was not compared: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--page", "mian"), "--page: the rules have no page `mian`; did you mean `main`?"),
        (("--since", "yesterday"), "--since: `yesterday` is neither"),
        (("--ledger", "sqlite:///missing.db"), "missing.db"),
    ],
)
def test_a_wrong_call_names_what_is_wrong(
    desk: Desk, rules: Path, opened: str, more: tuple[str, ...], told: str
) -> None:
    said = desk("drift", "--rules", rules, "--ledger", opened, *more, **SECRETS)
    assert said.code == 2
    assert told in said.err


def test_a_missing_secret_is_named_and_nothing_is_read(desk: Desk, rules: Path, opened: str) -> None:
    said = desk("drift", "--rules", rules, "--ledger", opened)
    assert said.code == 2
    assert "PAGE_KEY" in said.err
