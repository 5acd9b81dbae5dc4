"""What the tests of the command line share: how to call it, a rule set, a ledger with a story in it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from worker.cli.app import app
from worker.core.model import (
    Action,
    ActionKind,
    ActionState,
    Attempt,
    ComponentStatus,
    Content,
    Episode,
    Event,
    Inbound,
    IncidentStatus,
    Member,
    Phase,
    Post,
    Result,
    Signal,
    Status,
    episode_key,
)
from worker.ledger import Ledger, open_ledger
from worker.ports import Commit, Decision, Entry, Handled, Heard
from worker.sandbox import DEFAULT_KEY

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECRETS = {"PAGE_KEY": DEFAULT_KEY, "ALERTS_TOKEN": "token-of-alerts", "CI_SECRET": "secret-of-ci"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


class Desk:
    """Calls commands in this process."""

    def __call__(self, *args: object, stdin: str | None = None, **env: str) -> Said:
        told = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin, env=env, prog_name="statusbridge")
        return Said(told.exit_code, told.stdout, told.stderr)


RULES = """\
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${{PAGE_KEY}}
    base_url: {url}
    publish: auto
    components:
      checkout: Checkout API
      europe: {{group: Europe}}
sources:
  alerts:
    kind: alertmanager
    auth: {{bearer: "${{ALERTS_TOKEN}}"}}
  ci:
    kind: json
    auth: {{hmac: {{header: X-Signature, prefix: "sha256=", secrets: ["${{CI_SECRET}}"]}}}}
    event: {{key: body.job, status: "'firing'"}}
rules:
  - id: checkout-outage
    source: alerts
    match: {{labels.service: checkout}}
    incident:
      page: main
      components: {{checkout: full_outage}}
      hold: 0s
      quiet: 10m
      title: Checkout is down
      say: {{open: We are on it., resolve: It works again.}}
"""


def write_rules(directory: Path, url: str, *changes: tuple[str, str]) -> Path:
    """Write the rule set, with texts replaced as *changes* say."""
    text = RULES.format(url=url)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    directory.mkdir(exist_ok=True)
    (directory / "rules.yaml").write_text(text)
    return directory


def fill(url: str) -> None:
    """Tell a ledger two stories, through its ports."""
    ledger = open_ledger(url, clock=lambda: START)
    try:
        seq = _record(ledger)
        event = Event(
            source="alerts",
            kind="alert",
            key="1a2b",
            status=Status.FIRING,
            severity="critical",
            title="Checkout \x1b[31mdown",
        )
        signal = Signal(event=event, stamp=START, since=START, seq=seq)
        first = _episode(signal, 1, "2026-11-23 eu")
        said = _said(first)
        attempt = Attempt(
            action_id=said.id,
            number=1,
            started_at=START + timedelta(seconds=2),
            finished_at=START + timedelta(seconds=3),
            method="POST",
            target="/v2/status_page_incidents",
            body=b"{}",
            result=Result.DONE,
        )
        second = replace(_episode(signal, 1, "us"), members={}, phase=Phase.HELD)
        parked = replace(
            _said(second), state=ActionState.PARKED, reason="422: no such component", update_id="", remote_id=""
        )
        ledger.commit(
            Commit(
                now=START + timedelta(seconds=1),
                handled=[Handled(seq=seq)],
                heard=[Heard(inbound_seq=seq, position=0, event=event, effect="news")],
                signals=[signal],
                episodes=[replace(first, actions=(said,)), replace(second, actions=(parked,))],
                actions=[replace(said, state=ActionState.SENDING), parked],
                attempts=[attempt],
                decisions=[
                    Decision(aggregate=first.id, at=START, cause="inbound 1 from alerts", text="opened: hold is over")
                ],
            )
        )
        ledger.commit(
            Commit(
                now=START + timedelta(seconds=3),
                episodes=[replace(first, version=1)],
                actions=[said],
                attempts=[attempt],
            )
        )
    finally:
        ledger.close()


def _record(ledger: Ledger) -> int:
    done, places = threading.Event(), []
    inbound = Inbound(source="alerts", body=b"{}", headers={}, received_at=START)

    def recorded(result: Any) -> None:
        places.append(result.seq)
        done.set()

    ledger.record(Entry(inbound=inbound, delivery=None, statements=1), recorded)
    assert done.wait(5)
    return int(places[0])


def _episode(signal: Signal, number: int, region: str) -> Episode:
    group = {"region": region}
    return Episode(
        id=f"{episode_key('checkout-outage', 'main', group)}#{number}",
        rule_id="checkout-outage",
        page="main",
        group=group,
        number=number,
        phase=Phase.OPEN,
        rule_hash="f" * 64,
        created_at=START,
        held_since=START,
        opened_at=START,
        members={signal.id: Member(signal=signal, joined_at=START)},
        remote_id="01INCIDENT",
    )


def _said(episode: Episode) -> Action:
    return Action(
        id=f"{episode.id}/1",
        aggregate=episode.id,
        seq=1,
        kind=ActionKind.OPEN_INCIDENT,
        page="main",
        post=Post.OPEN,
        content=Content(
            title="Checkout is down",
            message="We are on it.",
            incident_status=IncidentStatus.INVESTIGATING,
            components={"checkout": ComponentStatus.FULL_OUTAGE},
            notify=True,
        ),
        state=ActionState.DONE,
        created_at=START + timedelta(seconds=1),
        not_before=START,
        rule_hash=episode.rule_hash,
        cause="inbound 1 from alerts",
        key="k",
        remote_id="01INCIDENT",
        update_id="01UPDATE",
        tries=1,
        sends=1,
    )
