"""
People: those who work on the page as if there were no worker, and those who run the worker and ask things of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from worker.core.approval import approval_hash, to_be_approved
from worker.core.commands import Adopt, Approve, Command, Dismiss, Done, Pause, Resume, Retry
from worker.core.model import Action, ActionState
from worker.sandbox import State

if TYPE_CHECKING:
    from tests.sim.run import World

ON_THE_PAGE = ("posts", "posts", "resolves", "renames", "deletes", "opens", "opens")
AT_THE_WORKER = ("pauses", "approves", "approves", "dismisses", "retries", "retries", "adopts")
NAME = "ann"


class People:
    """
    Everybody in one world.

    Attributes:
        touched: (when, the page's incident, what somebody did to it).
        approved: Action to the content that somebody saw and approved.
        retried: How often somebody let an action go out again.
        adopted: Aggregate to when it was given back.
        dismissed: (when, aggregate) of which somebody wanted nothing more said.
        paused: Ids of what was on its way when somebody was told that all is paused; None: nothing is paused.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.touched: list[tuple[datetime, str, str]] = []
        self.approved: dict[str, Mapping[str, Any]] = {}
        self.retried: dict[str, int] = {}
        self.adopted: dict[str, datetime] = {}
        self.dismissed: list[tuple[datetime, str]] = []
        self.paused: frozenset[str] | None = None
        self._resumed = 0

    # -- on the page

    def on_the_page(self, does: str) -> None:
        """Somebody does something at the vendor's dashboard."""
        world = self._world
        page, chance, now = world.page, world.kernel.chance, world.kernel.now
        ours = [it for it in page.ongoing_incidents(page.page.id) if it.updates[0].author == "api"]
        if does == "opens":
            components = world.plan.rules.pages["main"].components.values()
            name = chance.choice(sorted(ref.name for ref in components))
            incident = page.person_opens("Something else", "We look.", {name: "partial_outage"}, now=now)
            if chance.random() < 0.7:
                world.kernel.after(chance.uniform(60, 1200), lambda: self._ends(incident.id))
        elif ours:
            incident = chance.choice(sorted(ours, key=lambda it: it.id))
            _DOES[does](page, incident.id, now)
        else:
            return
        self.touched.append((now, incident.id, does))
        world.seen(f"person {does}")
        world.tell("person", f"{does} {incident.id}")

    def _ends(self, incident: str) -> None:
        self._world.tell("person", f"resolves {incident}")
        self._world.page.person_resolves(incident, now=self._world.kernel.now)

    # -- at the worker

    def at_the_worker(self, does: str) -> None:
        """Somebody asks something of the worker."""
        if self._world.node.up:
            getattr(self, f"_{does}")()

    def calm_down(self) -> None:
        """Somebody lets everything go on, and approves what waits for that, until nothing does."""
        if self._world.node.up:
            self._ask(Resume(by=NAME))
            for action in self._waiting(to_be_approved):
                self._approve(action)
        self._world.kernel.after(240, self.calm_down)

    def _ask(self, command: Command, then: Callable[[Done], None] = lambda done: None) -> None:
        if isinstance(command, Resume):
            self.paused = None
            self._resumed += 1

        def done(answer: Done) -> None:
            self._world.seen(f"command {type(command).__name__.lower()}")
            then(answer)

        self._world.node.command(command, done)

    def _pauses(self) -> None:
        resumed = self._resumed

        def paused(done: Done) -> None:
            if resumed == self._resumed:  # else somebody asked to go on before they were told
                self.paused = frozenset(done.sending)

        chance = self._world.kernel.chance
        self._ask(Pause(by=NAME), paused)
        self._world.kernel.after(chance.choice([30, 300, 1200]), lambda: self._ask(Resume(by=NAME)))

    def _approves(self) -> None:
        for action in self._waiting(to_be_approved)[:1]:
            self._approve(action)

    def _approve(self, action: Action) -> None:
        # Noted before it is asked: what is on its way when the worker dies may go out without an answer to us.
        self.approved[action.id] = asdict(action.content)
        self._ask(Approve(by=NAME, action=action.id, hash=approval_hash(action)))

    def _dismisses(self) -> None:
        for action in self._waiting(lambda action: not action.sends)[:1]:
            self.dismissed.append((self._world.kernel.now, action.aggregate))
            self._ask(Dismiss(by=NAME, subject=action.id))

    def _retries(self) -> None:
        for action in self._waiting(lambda action: action.state is not ActionState.AWAITING_APPROVAL)[:1]:
            self.retried[action.id] = self.retried.get(action.id, 0) + 1
            self._ask(Retry(by=NAME, action=action.id))

    def _adopts(self) -> None:
        world = self._world
        for key in sorted(world.hands_off):
            self.adopted[key] = world.kernel.now
            self._ask(Adopt(by=NAME, subject=key))
            return

    def _waiting(self, wanted: Callable[[Action], bool]) -> Sequence[Action]:
        waits = (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL)
        lines = self._world.node.ledger.history(limit=1000)
        found = [line.action for line in lines if line.action.state in waits and wanted(line.action)]
        return sorted(found, key=lambda action: (action.created_at, action.id))


_DOES: Mapping[str, Callable[[State, str, datetime], object]] = {
    "posts": lambda page, incident, now: page.person_posts(incident, "We are on it.", "identified", now=now),
    "resolves": lambda page, incident, now: page.person_resolves(incident, now=now),
    "renames": lambda page, incident, now: page.person_renames(incident, "A better name", now=now),
    "deletes": lambda page, incident, now: page.person_deletes(incident, now=now),
}
