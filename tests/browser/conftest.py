"""One browser for all tests, and a worker and a page that each file shares: starting them is most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.browsing import DESK, browser, sign_in
from tests.browser.stage import Stage, stage, tell


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium."""
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A worker with something of everything to be seen."""
    with stage(tmp_path_factory.mktemp("stage")) as made:
        tell(made)
        yield made


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A worker of a test's own, at which nothing has happened yet."""
    with stage(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.fixture
def stranger(chromium: Any) -> Iterator[Any]:
    """A browser page that nobody is signed in on; whatever goes wrong in it fails the test."""
    context = chromium.new_context(viewport=DESK, locale="en-GB")
    context.set_default_timeout(10_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}") or dialog.dismiss())
    yield page
    context.close()
    # What the server says no to is told by the browser, too.
    assert [text for text in wrong if "the server responded with a status of" not in text] == []


@pytest.fixture
def page(stranger: Any, on: Stage) -> Any:
    """A browser page where ann is signed in."""
    sign_in(stranger, on)
    return stranger
