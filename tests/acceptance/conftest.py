"""At the end of all: no secret stands in anything that was written, printed or published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaks import LEFT, found, kept

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave real processes to ``make acceptance``: they wait more than they compute."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search ledgers, logs, outputs and pages of the whole session for the secrets of these tests."""
    with kept(LEFT):
        yield
    assert LEFT.printed, "nothing was kept: the search would find nothing, whatever was there"
    assert found(LEFT, tmp_path_factory.getbasetemp().rglob("*")) == []
