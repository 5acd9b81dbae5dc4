"""
Nothing of a webhook reaches the public but what a reviewed line of a rule lets through.

Every text of every captured payload is replaced by a word of its own; then the page is searched for those words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.steps.conftest import Make
from tests.unit.steps.rig import Rig
from worker.bootstrap import endpoints, load_rules, rule_book
from worker.core.model import Inbound
from worker.rules_dir import secret_refs
from worker.sandbox import DEFAULT_KEY
from worker.steps.intake import understood

ROOT = Path(__file__).parents[3]
SOURCES = {"alertmanager": "alertmanager", "incident_io": "incident-io", "json": "ci"}
"""Kind to the source of the shipped rules."""
CASES = sorted(path for kind in SOURCES for path in (ROOT / "tests/payloads").glob(f"{kind}/*/body.json"))

READ = {  # what must stay as it is for the shipped rules to act: nothing of it is ever said
    *("status", "startsAt", "endsAt", "fingerprint", "service", "severity", "event_type", "id", "mode", "category"),
    *("created_at", "updated_at", "version", "groupKey", "rank", "visibility", "status_category"),
}
SAID = {("incident", "name"), ("name",), ("most_recent_update_message",), ("message",)}
"""Let through on purpose, by ``vars`` of the shipped rules: what people write in an incident."""


def marked(value: Any, words: dict[str, tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """Replace every text by a word that is found again."""
    if isinstance(value, dict):
        return {key: marked(item, words, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [marked(item, words, (*path, str(n))) for n, item in enumerate(value)]
    if not isinstance(value, str) or path[-1] in READ:
        return value
    word = f"zq{len(words)}qz"
    words[word] = path
    return f"{word} <b>{word}</b> http://{word}.example/"


def says(rig: Rig, kind: str, body: Any) -> None:
    inbound = Inbound(source=SOURCES[kind], body=json.dumps(body).encode(), headers={}, received_at=rig.now)
    rig.intake.record(understood(rig.endpoints[SOURCES[kind]], inbound), lambda done: None)
    rig.passes("30m").passes("2h")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parts[-3]}-{case.parts[-2]}")
def test_no_text_of_a_payload_is_public_unless_a_rule_says_so(make: Make, case: Path) -> None:
    rig = make()
    rig.rules = load_rules(ROOT / "rules")
    rig.book = rule_book(rig.rules)
    rig.endpoints = endpoints(rig.rules, {ref.name: DEFAULT_KEY for ref in secret_refs(rig.rules)})
    kind = case.parts[-3]
    words: dict[str, tuple[str, ...]] = {}
    body = marked(json.loads(case.read_text()), words)
    for alert in body.get("alerts", []):
        alert["labels"] |= {"service": "checkout", "severity": "critical", "region": "zqregionqz"}
    says(rig, kind, body)
    public = [repr(sent.action.content) + repr(sent.request) for sent in rig.page.sent]
    told = " ".join(public)
    found = {path for word, path in words.items() if word in told}
    assert {path[1:] for path in found} <= SAID
    if kind == "alertmanager" and any(alert["status"] == "firing" for alert in body["alerts"]):
        assert "zqregionqz" in told  # the search can find something
        assert not found


def test_the_words_are_found_where_a_rule_does_let_them_through(make: Make) -> None:
    """The control: a rule that says an annotation is caught by the same search."""
    rig = make(
        """  - id: leaky
    match: {labels.service: checkout}
    vars: {inner: 'event.annotations[?"description"].orValue("")'}
    incident:
      page: main
      hold: 0s
      components: {checkout: full_outage}
      title: Trouble
      say: {open: "{{ inner }}", resolve: Over.}
"""
    )
    words: dict[str, tuple[str, ...]] = {}
    body = marked(json.loads((ROOT / "tests/payloads/alertmanager/firing/body.json").read_text()), words)
    for alert in body["alerts"]:
        alert["labels"]["service"] = "checkout"
    rig.receives("alerts", body)
    rig.settles()
    told = repr([sent.action.content for sent in rig.page.sent])
    assert {path[-1] for word, path in words.items() if word in told} == {"description"}
