"""A file of rule tests is read whole or refused with every problem at its place."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.bootstrap import load_rules, rehearsal
from worker.core.ruleset import RuleSet
from worker.errors import ConfigError
from worker.rehearse.reading import Case, read_cases
from worker.rehearse.spec import CasesFile
from worker.rules_dir import read_beside
from worker.sources import SENDERS

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / "tests/corpus/rule_tests"
RULES = Path("rules")


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rules(CORPUS / RULES)


@pytest.fixture(autouse=True)
def _in_the_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS)


def read(rules: RuleSet, text: str, name: str = "case.yaml") -> list[Case]:
    def read_file(_: str, path: str) -> bytes:
        return read_beside(RULES, "rules/tests/case.yaml", path)

    return read_cases({name: text}, rules, SENDERS, read_file)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_wrong_file_is_told_exactly(path: Path, rules: RuleSet) -> None:
    """Each file says in its first lines what must be told."""
    text = path.read_text()
    expected = re.findall(r"^# expect: (.*)$", text, re.MULTILINE)
    with pytest.raises(ConfigError) as caught:
        read(rules, text, path.name)
    assert expected
    assert [str(problem).removeprefix(f"{path.name}:") for problem in caught.value.problems] == expected


def test_times_are_after_the_start_or_absolute_and_repeated_steps_come_in_order(rules: RuleSet) -> None:
    (case,) = read(
        rules,
        """
tests:
  - name: x
    start: 2026-11-23T12:00:00+02:00
    steps:
      - {at: 0m, send: {source: ci, body: {jobs: []}}, repeat: {every: 10m, times: 3}}
      - {at: 15m, page: {unreachable: 1m}}
      - {at: 2026-11-23T11:00:00Z}
    expect: [{at: 10m, do: open_incident}]
""",
    )
    start = datetime(2026, 11, 23, 10, tzinfo=UTC)
    minutes = [(step.number, (step.at - start) // timedelta(minutes=1)) for step in case.steps]
    assert minutes == [(1, 0), (1, 10), (2, 15), (1, 20), (3, 60)]
    assert case.wanted is not None
    assert case.wanted[0].at == start + timedelta(minutes=10)
    assert case.length == timedelta(hours=1)


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: set(model["properties"]) for name, model in schema["$defs"].items() if "properties" in model}


def test_the_schema_knows_every_key_with_its_help() -> None:
    schema = rehearsal.tests_schema()
    keys = [key for model in (schema, *schema["$defs"].values()) for key in model.get("properties", {}).values()]
    assert len(keys) > 40
    assert [key for key in keys if not key.get("description")] == []
    forms = schema["$defs"]["SendSpec"]["properties"]
    assert {"labels", "status", "annotations", "count"} == set(forms["alerts"]["items"]["properties"])
    assert "severity_rank" in forms["incidents"]["items"]["properties"]


def test_the_reference_lists_every_key() -> None:
    text = (ROOT / "docs/reference/rule-tests.md").read_text()
    told = set(re.findall(r"`(\w+)`", text))
    schema = rehearsal.tests_schema()
    models = [*properties(schema).values()]
    forms = schema["$defs"]["SendSpec"]["properties"]
    models += [set(forms[form]["items"]["properties"]) for form in ("alerts", "incidents")]
    names = {name for model in models for name in model}
    assert names - told - {"every", "contains"} == set()
    assert "{every:" in text
    assert "{contains:" in text


def test_the_tests_that_come_along_fit_the_form() -> None:
    for path in sorted((ROOT / "rules/tests").glob("*.yaml")):
        data = yaml.load(path.read_text(), yaml.BaseLoader)
        assert len(CasesFile.model_validate(truths(data)).tests) == len(data["tests"])


def truths(value: Any) -> Any:
    """Give what our reader makes of texts that are true, false or numbers."""
    if isinstance(value, dict):
        return {key: truths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [truths(item) for item in value]
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return {"true": True, "false": False}.get(value, value)


def test_a_payload_beside_the_tests_is_read_and_one_outside_is_not(tmp_path: Path) -> None:
    (tmp_path / "rules/tests").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "rules/tests/link").symlink_to(tmp_path / "secret")
    (tmp_path / "rules/shared.json").write_text("{}")
    beside = partial(read_beside, tmp_path / "rules", str(tmp_path / "rules/tests/a.yaml"))
    assert beside("../shared.json") == b"{}"
    for outside in ("../../secret", "link", str(tmp_path / "secret")):
        with pytest.raises(OSError, match="outside"):
            beside(outside)
