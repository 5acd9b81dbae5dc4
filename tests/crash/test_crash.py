"""
kill -9 at every named point, and a restart: no accepted event is lost, and no second incident is opened.

The oracle is the page's own log and the sender's own list of what was accepted; the worker is never asked.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.crash.killed import POINTS
from tests.leaks import rehearsed_page
from tests.processes import alert, notification, post, running, until, write_rules
from worker.sandbox import SandboxServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STORY = (
    notification(alert("A", "checkout", "warning", "firing"), alert("B", "search", "warning", "firing")),
    notification(alert("C", "checkout", "critical", "firing")),
    notification(alert("C", "checkout", "critical", "resolved")),
    notification(alert("A", "checkout", "warning", "resolved"), alert("B", "search", "warning", "resolved")),
)
BEGINNINGS, ENDS = 2, 2  # incidents that the story begins, and how many of its last parts end some


class Rehearsal:
    """A page that is never killed, a worker that is, and a sender that posts until it is answered 2xx."""

    def __init__(self, folder: Path, page: SandboxServer) -> None:
        self.page = page
        self.rules = write_rules(folder / "rules", page.url)
        self.ledger = folder / "crash.db"
        self.left = list(STORY)
        self.crashes = 0

    def run(self, point: str, visits: int) -> None:
        """Let the worker run until it kills itself; restart it without a point; send on."""
        with running("tests.crash.killed", str(self.rules), str(self.ledger), point, str(visits)) as worker:
            until(lambda: self._send(worker.url) or self._over() or worker.process.poll() is not None, "the story told")
            until(lambda: self._over() or worker.process.poll() is not None, "the end or a crash", 100)
            self.crashes += worker.process.poll() == -9
        with running("tests.crash.killed", str(self.rules), str(self.ledger), "", "1") as worker:
            until(lambda: self._send(worker.url), "the rest of the story told")
            until(self._over, "the end of the story on the page", 100)

    def _send(self, url: str) -> bool:
        while self.left:
            # What is over before it could be said is rightly never said: the ends wait for the beginnings.
            if len(self.left) <= ENDS and len(self.incidents()) < BEGINNINGS:
                return False
            try:
                answer = post(url, self.left[0])
            except httpx.HTTPError:
                return False
            if answer.status_code != 202:
                return False
            del self.left[0]
        return True

    def _over(self) -> bool:
        incidents = self.incidents()
        return len(incidents) >= BEGINNINGS and all(i.status == "resolved" for i in incidents) and not self.left

    def incidents(self) -> list[object]:
        """Give what the page has."""
        return list(self.page.state.incidents.shelf.all())


@pytest.mark.parametrize("visits", [1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_loses_nothing_and_doubles_nothing(point: str, visits: int, tmp_path: Path) -> None:
    with rehearsed_page() as page:
        rehearsal = Rehearsal(tmp_path, page)
        rehearsal.run(point, visits)
        incidents = rehearsal.incidents()
        names = sorted(i.name for i in incidents)  # type: ignore[attr-defined]
        assert names == ["Trouble with checkout", "Trouble with search"]
        for incident in incidents:
            said = [(u.status, u.message) for u in incident.updates]  # type: ignore[attr-defined]
            assert said[-1] == ("resolved", "It is over.")
            assert said.count(("resolved", "It is over.")) == 1, said
            assert said.count(("investigating", "It began.")) == 1, said
        assert page.state.max_live_writes <= 4
