"""Real processes: the team is told of what a worker cannot settle, also by the one that comes after it was killed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from tests.leaks import rehearsed_page
from tests.processes import SECRETS, alert, notification, post, running, until, write_rules
from tests.unit.test_receivers import SECRET, chat
from worker.sandbox import faults

NOTICES = 'notices: [{webhook: "${CHAT}", format: json}, {heartbeat: "${BEAT}", every: 1s}]\n'


def told(taken: list[tuple[str, str, bytes]]) -> list[tuple[str, bool]]:
    found: list[dict[str, Any]] = [each for _, _, body in taken for each in json.loads(body)["notices"]]
    return [(each["code"], each["over"]) for each in found]


def failed(url: str) -> bool:
    with httpx.Client(trust_env=False, timeout=5) as client:
        return bool(re.search(r'notices_told_total\{outcome="failed"\} [1-9]', client.get(f"{url}/metrics").text))


def test_what_was_not_taken_before_the_worker_was_killed_is_told_by_the_next(tmp_path: Path) -> None:
    answer = [500]
    with rehearsed_page() as page, chat(status=answer) as (address, taken), chat() as (beat, beaten):
        rules = write_rules(tmp_path / "rules", page.url)
        with (rules / "rules.yaml").open("a") as file:
            file.write(NOTICES)
        args = ("run", "--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db", "--port", "0")
        environ = {**SECRETS, "CHAT": address, "BEAT": beat}
        with running("worker", *args, environ=environ) as first:
            until(lambda: beaten, "a heartbeat")
            page.faults.next("POST", "", faults.error(422, applied=False))
            post(first.url, notification(alert("Down", "shop", "critical", "firing")))
            until(lambda: failed(first.url), "refused by the receiver")
            first.kill()
        answer[0] = 200
        taken.clear()
        with running("worker", *args, environ=environ) as second:
            until(lambda: ("parked", False) in told(taken), "told by the next worker", 40)
            assert second.terminate() == 0
    assert told(taken).count(("parked", False)) == 1
    assert SECRET not in "".join([*first.lines, *second.lines])


def test_rules_that_were_mended_while_no_worker_ran_are_told_to_be_over(tmp_path: Path) -> None:
    with rehearsed_page() as page, chat() as (address, taken), chat() as (beat, _):
        rules = write_rules(tmp_path / "rules", page.url)
        file = rules / "rules.yaml"
        right = file.read_text() + NOTICES
        file.write_text(right)
        args = ("run", "--rules", str(rules), "--ledger", f"sqlite:///{tmp_path}/ledger.db", "--port", "0")
        environ = {**SECRETS, "CHAT": address, "BEAT": beat, "STATUSBRIDGE_RELOAD": "0.2"}
        with running("worker", *args, environ=environ) as first:
            file.write_text(right + "oops: 1\n")
            until(lambda: ("rules_refused", False) in told(taken), "refused")
            assert first.terminate() == 0  # killed, it might not have noted yet what the chat has taken
        file.write_text(right)
        with running("worker", *args, environ=environ) as second:
            until(lambda: ("rules_refused", True) in told(taken), "told to be over", 40)
            assert second.terminate() == 0
    assert len(told(taken)) == 2
