"""Chromium, as it is installed on the machine, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.browser.stage import ADMIN, Stage

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true })"


def chromium() -> str:
    """Where it is; without, tests are skipped, but not in CI."""
    found = next((path for name in NAMES if (path := shutil.which(name))), "")
    if not found:
        how = "no Chromium on this machine: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(how)
        pytest.skip(how)
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """Run it for the length of a block."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as driver:
        # As root, as in a container, it has no sandbox of its own.
        running = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


def sign_in(page: Any, stage: Stage, to: str = "/", name: str = "ann") -> None:
    """Sign in through the form."""
    page.goto(f"{stage.url}{to}")
    page.get_by_label("Token").fill(ADMIN)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
