"""The file format: small words are read exactly, what is read dumps to the same, and every key is documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from worker.core.compiling import spec_of
from worker.core.spec import json_schema
from worker.core.spec.file import RulesFile
from worker.core.spec.maintenance import Repeat
from worker.core.spec.pages import Address
from worker.core.spec.plans import IncidentSpec, RelaySpec
from worker.core.spec.scalars import Age, format_duration, parse_duration, parse_rate, parse_secret

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0s", 0), ("90s", 90), ("3m", 180), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1d2h3m4s", 93784)],
)
def test_durations_are_read(written: str, seconds: int) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "3", "3 m", "m", "3min", "1.5h", "-3m", "30m1h", "3M", "367d", "٣m", "9999999d", 3, None, True, []]
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_duration(written)


@given(st.integers(0, 366 * 86400))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert parse_duration(format_duration(length)) == length


def test_an_age_may_be_never() -> None:
    assert TypeAdapter(Age).validate_python("never") == "never"
    assert TypeAdapter(Age).validate_python("24h") == timedelta(days=1)


def test_rates_are_read() -> None:
    assert parse_rate("3 per 10m") == (3, timedelta(minutes=10))


@pytest.mark.parametrize("written", ["3", "0 per 10m", "3 per 0s", "3 per  10m", "3/10m", "three per 10m", None, 3])
def test_what_is_no_rate_is_refused(written: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_rate(written)


@pytest.mark.parametrize(
    ("written", "secret"), [("${A_1}", ("env", "A_1")), ("${file:/run/x y}", ("file", "/run/x y"))]
)
def test_secrets_are_references(written: str, secret: tuple[str, str]) -> None:
    assert parse_secret(written) == secret


@pytest.mark.parametrize(
    "written",
    ["hunter2", "$A", "${}", "${A", "${A}\n", "x${A}", "${A}${B}", "${A:-x}", "${file:relative}", "${1A}", "", None, 7],
)
def test_a_literal_secret_is_refused_and_not_repeated(written: object) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_secret(written)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://api.example.com", "https://api.example.com/v2/", "http://127.0.0.1:8080", "http://[::1]:80"]
)
def test_addresses_are_https_or_this_machine(address: str) -> None:
    assert TypeAdapter(Address).validate_python(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        *("http://api.example.com", "http://localhost.example.com", "ftp://example.com", "example.com", "https://"),
        *("https://user:secret@example.com", "https://example.com/?x=1", "https://example.com:port", "https://[", ""),
        *("http://127.0.0.1.example.com", "file:///etc/passwd", "https://example.com#x"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Address).validate_python(address)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=SU,MO;INTERVAL=2;WKST=MO",
        "FREQ=MONTHLY;BYDAY=-1SU;UNTIL=20271231T000000",
        "FREQ=DAILY;UNTIL=20270603T001500Z",
        "FREQ=YEARLY;BYMONTH=1,12;BYMONTHDAY=-1;COUNT=3",
    ],
)
def test_recurrence_rules_are_taken(rule: str) -> None:
    assert TypeAdapter(Repeat).validate_python(rule) == rule


@pytest.mark.parametrize(
    "rule",
    [
        *(
            "FREQ=HOURLY",
            "FREQ=DAILY;BYHOUR=1,2",
            "BYDAY=SU",
            "FREQ=DAILY;FREQ=WEEKLY",
            "FREQ=DAILY;COUNT=1;UNTIL=20270101",
        ),
        *("FREQ=DAILY;COUNT=0", "FREQ=WEEKLY;BYDAY=SO", "weekly", "FREQ=DAILY;", "FREQ=DAILY;X=1", "freq=daily"),
    ],
)
def test_other_recurrence_rules_are_refused(rule: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Repeat).validate_python(rule)


# --- the format as a whole


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for inner in _inner(field.annotation):
            yield from _models(inner, seen)


def _inner(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _inner(part)


ALL = list(_models(RulesFile, set()))


def _keys() -> list[tuple[str, str]]:
    return [(model.__name__, field.alias or name) for model in ALL for name, field in model.model_fields.items()]


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_every_key_says_what_it_is_and_whether_it_is_required(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        text = field.description or ""
        assert text.endswith("."), name
        if field.is_required():
            assert "equired." in text, name
        elif field.default is not None and field.default != "" and not name.startswith(("in", "not")):
            assert "Default" in text or model is RulesFile, name


def test_the_reference_explains_every_key() -> None:
    reference = (ROOT / "docs/reference/rules.md").read_text()
    missing = [f"{model}.{key}" for model, key in _keys() if f"`{key}`" not in reference]
    assert not missing


def test_the_json_schema_takes_what_the_loader_takes() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(RulesFile.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["RuleSpec"]["properties"]["if"]["description"].startswith("CEL")
    assert "required" not in schema["$defs"]["IncidentSpec"], "defaults may stand in another file"
    assert "PT3M" not in json.dumps(schema), "defaults are told as they are written"


def test_built_in_defaults_are_those_of_the_reference() -> None:
    incident = IncidentSpec.model_validate(
        {"page": "p", "components": {}, "title": "t", "say": {"open": "o", "resolve": "r"}}
    )
    assert spec_of(incident) == {
        "page": ["p"],
        "components": {},
        "title": "t",
        "hold": "3m",
        "quiet": "10m",
        "reopen_within": "0s",
        "min_gap": "5m",
        "max_open": "1d",
        "yield_to": [],
        "existing": "hold",
        "publish": "auto",
        "approve": {"posts": ["open", "worsen"], "on_expiry": "hold"},
        "notify": ["open", "resolve"],
        "too_short": "skip",
        "say": {
            "open": "o",
            "worsen": "The impact has grown. We are still investigating.",
            "improve": "Some of the affected services have recovered. We are still working on the rest.",
            "resolve": "r",
        },
    }


def test_what_is_read_dumps_to_what_reads_to_the_same() -> None:
    good = yaml.safe_load((ROOT / "tests/corpus/good/rules.yaml").read_text())
    relay = RelaySpec.model_validate(good["rules"][3]["relay"])
    assert RelaySpec.model_validate(spec_of(relay)) == relay
    assert spec_of(relay)["approve"]["posts"] == ["open", "relay"]
