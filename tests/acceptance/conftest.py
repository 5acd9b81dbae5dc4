"""At the end of all: no secret stands in anything that was written, printed or published."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.leaks import LEFT, found, kept


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search ledgers, logs, outputs and pages of the whole session for the secrets of these tests."""
    with kept(LEFT):
        yield
    assert LEFT.printed, "nothing was kept: the search would find nothing, whatever was there"
    assert found(LEFT, tmp_path_factory.getbasetemp().rglob("*")) == []
