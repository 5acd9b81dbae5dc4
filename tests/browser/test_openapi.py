"""The API as it describes itself, asked everything that its description allows, and what it does not: never a 5xx."""

from __future__ import annotations

from collections import Counter
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.browser.stage import ADMIN, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ALLOWED = {"authorization": f"Bearer {ADMIN}"}
BOUNDED = hypothesis.settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def test_no_question_is_answered_with_a_fault_of_ours(on: Stage) -> None:
    description = schemathesis.openapi.from_url(f"{on.url}/api/v1/openapi.json", headers=ALLOWED)
    asked = {}
    for result in description.get_all_operations():
        operation = result.ok()
        statuses = asked[operation.label] = Counter[int]()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                ask(operation.as_strategy(generation_mode=mode), statuses)
            except hypothesis.errors.Unsatisfiable:
                assert mode is schemathesis.GenerationMode.NEGATIVE  # everything is allowed
    assert len(asked) > 20
    assert [label for label, statuses in asked.items() if not statuses] == []
    # The questions are not all nonsense.
    assert sum(200 in statuses for statuses in asked.values()) >= 8, asked


def ask(questions: Any, statuses: Counter[int]) -> None:
    """Ask what a strategy draws."""

    @BOUNDED
    @hypothesis.given(case=questions)
    def one(case: Any) -> None:
        answer = case.call(headers=ALLOWED)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert answer.json()["status"] == answer.status_code

    one()


def test_the_worker_is_well_after_all_that(on: Stage) -> None:
    with on.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
    assert "Traceback" not in "\n".join(on.run.lines)
