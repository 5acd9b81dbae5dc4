"""A page is asked in the background until it is as the rules say; what is wrong with it is told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from worker.bootstrap.pages import AGAIN, PageDirectory
from worker.core.model import Directory, Notice, Severity
from worker.errors import ConfigError, LedgerUnavailable, Problem, ProviderUnavailable

WHOLE = Directory(page_id="p", name="Acme", public_url="", components={"api": ("1",), "web": ("2",)})
LOST = Problem("rules/pages.yaml", 5, 7, "page `Acme` has no component `Dashboard`")
PART = Directory(page_id="p", name="Acme", public_url="", components={"api": ("1",)}, missing={"web": LOST})


class Desk:
    """A directory on virtual time, of a page that answers as it is told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 10, tzinfo=UTC)
        self.answer: Directory | Exception = ProviderUnavailable("it is down")
        self.asked = 0
        self.notices: list[Notice] = []
        self.tell: Callable[[Notice], None] = self.notices.append
        self.page = PageDirectory("main", self, lambda: self.now, lambda notice: self.tell(notice))  # type: ignore[arg-type]

    def directory(self) -> Directory:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def later(self, answer: Directory | Exception) -> Desk:
        """Time passes, and the page is asked by its loop."""
        self.answer = answer
        self.now += AGAIN
        self.page.ask()
        return self


def test_a_page_that_is_right_is_asked_once() -> None:
    desk = Desk().later(WHOLE).later(ProviderUnavailable("down"))
    assert desk.page() == WHOLE
    assert (desk.asked, desk.page.wrong, desk.notices) == (1, "", [])


def test_a_page_that_is_down_makes_its_actions_wait_and_is_not_pressed() -> None:
    desk = Desk()
    for _ in range(5):
        with pytest.raises(ProviderUnavailable, match="it is down"):
            desk.page()
        desk.now += timedelta(seconds=1)
    assert desk.asked == 1
    assert desk.later(WHOLE).page() == WHOLE
    assert desk.notices == []


def test_a_page_that_is_not_known_to_the_service_is_told_once_and_waited_for() -> None:
    gone = ConfigError([Problem("rules/pages.yaml", 2, 3, "the API key sees no status page `Acme`")])
    desk = Desk().later(gone).later(gone).later(gone)
    with pytest.raises(ProviderUnavailable, match="sees no status page `Acme`"):
        desk.page()
    (notice,) = desk.notices
    assert (notice.code, notice.subject, notice.severity) == ("page_wrong", "main", Severity.ERROR)
    assert "rules/pages.yaml:2:3: " in notice.text
    assert "what is to be posted there waits" in notice.text
    assert [each.code for each in desk.later(WHOLE).notices] == ["page_wrong", "page_right"]


def test_a_component_that_is_missing_is_told_once_and_costs_no_other() -> None:
    desk = Desk().later(PART).later(PART)
    assert desk.page() == PART
    assert desk.page.wrong == str(LOST)
    (notice,) = desk.notices
    assert (notice.code, notice.severity) == ("page_wrong", Severity.ERROR)
    assert notice.text.startswith(f"{LOST}; posts about these components are parked, all others go out")
    assert desk.later(WHOLE).page() == WHOLE
    assert [each.severity for each in desk.notices] == [Severity.ERROR, Severity.INFO]
    assert desk.page.wrong == ""


@pytest.mark.parametrize("fault", [ProviderUnavailable("down"), ConfigError("the key is not taken")])
def test_what_was_found_once_is_used_on_while_the_page_cannot_be_asked(fault: Exception) -> None:
    desk = Desk().later(PART).later(fault)
    assert desk.page() == PART
    assert desk.page.wrong == str(fault)


def test_a_notice_that_could_not_be_stored_is_told_again() -> None:
    desk = Desk()

    def full(notice: Notice) -> None:
        raise LedgerUnavailable("no room")

    desk.tell = full
    with pytest.raises(LedgerUnavailable):
        desk.later(PART)
    assert desk.page() == PART
    desk.tell = desk.notices.append
    assert len(desk.later(PART).notices) == 1


def test_a_complaint_that_names_another_request_each_time_is_told_once() -> None:
    desk = Desk()
    for request in ("5e54", "200d", "1cd8"):
        desk.later(ConfigError([Problem("rules/pages.yaml", 3, 3, f"401: the key is not valid (request {request})")]))
    assert [notice.code for notice in desk.notices] == ["page_wrong"]
