"""Mappings that are shipped: found by their files, read when they are needed, and what is wrong in one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.core.rules import load
from worker.errors import ConfigError
from worker.sources import SOURCES, _shipped

GOOD = """
sender: Bell
auth: [bearer, none]
event_kinds: [bell]
event: {kind: "'bell'", key: body.id, status: "'firing'"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_shipped, "FOLDER", tmp_path)
    return tmp_path


def bell(folder: Path, text: str) -> _shipped.Shipped:
    (folder / "bell.yaml").write_text(text)
    return _shipped.shipped()["bell"]


def test_a_file_is_a_kind(folder: Path) -> None:
    source = bell(folder, GOOD)
    assert (source.kind, dict(source.schemes), source.event_kinds) == (
        "bell",
        {"bearer": {}, "none": {}},
        frozenset({"bell"}),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sender: Bell", "event"),
        (GOOD.replace("bearer", "bearing"), "there is no scheme"),
        (GOOD + "delivered: x\n", "delivered"),
        (GOOD.replace("sender: Bell", "sender: [x"), "bell.yaml:"),
    ],
)
def test_a_form_that_is_wrong_is_told_with_the_file(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"bell\.yaml") as caught:
        _ = bell(folder, text).schemes
    assert said in str(caught.value)


def test_an_expression_that_is_wrong_is_told_with_its_field(folder: Path) -> None:
    source = bell(folder, GOOD.replace("body.id", "bodi.id"))
    with pytest.raises(ConfigError, match=r"bell\.yaml: event\.key, 1:1: .*bodi"):
        _ = source._read_by


def test_rules_read_only_the_kinds_that_they_name(folder: Path) -> None:
    (folder / "broken.yaml").write_text("sender: [x")
    kinds = {**SOURCES, **_shipped.shipped()}
    text = 'sources:\n  a: {kind: pagerduty, auth: {hmac: "${S}"}}\n'
    loaded = load({"x.yaml": text}, {}, source_kinds=kinds, provider_names=())
    assert loaded.sources["a"].auth.options == {
        "header": "X-PagerDuty-Signature",
        "prefix": "v1=",
        "encoding": "hex",
        "algorithm": "sha256",
    }
    assert [secret.name for secret in loaded.sources["a"].auth.secrets] == ["S"]
