"""The how-to is walked: its mapping and its code read the same body, and give the events that it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_source import NOW, recorded
from worker.core.model import Inbound
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Source
from worker.sources import _shipped

TEXT = (Path(__file__).parents[2] / "docs/how-to/add-a-source.md").read_text()
BODY = {
    "type": "change",
    "state": "down",
    "changed_at": "2026-11-23T18:00:00Z",
    "check": {
        "id": "c-17",
        "name": "Checkout",
        "tags": {"service": "checkout"},
        "url": "https://pinger.example/c-17",
    },
}


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def by_code() -> Source:
    inside: dict[str, Any] = {}
    exec(compile(block("python"), "pinger.py", "exec"), inside)
    made: Source = inside["Pinger"]()
    return made


def by_mapping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    (folder / "pinger.yaml").write_text(block("yaml"))
    monkeypatch.setattr(_shipped, "FOLDER", folder)
    return _shipped.shipped()["pinger"]


@pytest.mark.parametrize("way", ["mapping", "code"])
def test_both_ways_give_what_the_page_shows(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = by_code() if way == "code" else by_mapping(tmp_path, monkeypatch)
    config = SourceConfig(name="my-pinger", kind="pinger", auth=AuthConfig(scheme="none"))

    def said(**changed: Any) -> list[Any]:
        body = json.dumps({**BODY, **changed}).encode()
        inbound = Inbound(source="my-pinger", body=body, headers={"x-pinger-delivery": "d-1"}, received_at=NOW)
        assert source.delivery_id(inbound) == "d-1"
        return [recorded(each) for each in source.normalise(inbound, config)]

    assert said() == json.loads(block("json"))
    assert said(state="up")[0]["status"] == "resolved"
    assert said(state="melting")[0]["status"] == "info"
    assert said(type="test") == []
    try:
        assert not [each for each in said(check=None) if "key" in each]
    except PayloadNotUnderstood:
        assert way == "code"
    assert source.schemes["hmac"] == {"header": "X-Pinger-Signature", "prefix": "sha256="}
    assert source.event_kinds == {"check"}
