"""
What must never be, and what must be in the end. The page's own memory and what senders were told are the evidence.

Of the worker only this is believed: what it wrote down before a write, and that it told a person where it gave up.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.sim.kernel import START
from tests.sim.network import Write
from tests.sim.truth import Line, Want
from worker.core.model import Action, ActionKind, ActionState, Post, episode_key
from worker.sandbox.model import Incident, Maintenance, Update
from worker.steps.deliver import LEASE

if TYPE_CHECKING:
    from tests.sim.run import World

REACTION = timedelta(seconds=20)
"""How long a worker that is left in peace may take from what it was told to what it does about it."""

MOST_AT_ONCE = 4
MOST_SENDS = 2
_TEXT = re.compile(r"(\w+): (\w+) of (\w+)\.")
_WORD = re.compile(r"Word \d+ on (\w+)\.")
_WAITING = (ActionState.HELD, ActionState.PARKED, ActionState.AWAITING_APPROVAL)
_BRAKES: Mapping[str, Callable[[Action, Action], bool]] = {
    "incidents": lambda one, new: one.kind is new.kind is ActionKind.OPEN_INCIDENT,
    "updates": lambda one, new: one.kind is new.kind is ActionKind.UPDATE_INCIDENT and one.aggregate == new.aggregate,
    "mails": lambda one, new: one.content.notify and new.content.notify and one.post is not Post.RESOLVE,
}
_MAILED_AS = {Post.REOPEN: "open", Post.RELAPSE: "monitoring"}
_RANK = {"maintenance_scheduled": 0, "maintenance_in_progress": 1, "maintenance_complete": 2}


class Checker:
    """Judges one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bodies: dict[str, bytes] = {}
        self.newest: dict[str, int] = {}
        self.mailed_opens: set[str] = set()
        self.given_up: set[str] = set()
        self.writes = world.network.writes
        self.people = world.people

    def _wrong(self, kind: str, what: str) -> None:
        self.world.wrong(kind, what)

    # -- at every write

    def on_send(self, write: Write) -> None:
        """A write leaves the worker."""
        action = write.action
        # It stood still after it had looked at the clock: others may be at it by now, with the same key and bytes.
        late = self.world.node.clock() - action.not_before > LEASE
        again = any(w.overdue for w in self.writes if w.action.id == action.id)
        write.overdue = action.kind.creates and (late or again)
        self._written_down(write)
        self._one_at_a_time(write)
        self._in_order(action)
        self._seldom(write)
        self._taken_over(write)
        self._paused(write)
        self._braked(write)
        if not action.kind.of_window:
            self._wanted(write)

    def _written_down(self, write: Write) -> None:
        attempts = self.world.node.ledger.attempts(write.action.id)
        if not attempts or attempts[-1].body != write.body or attempts[-1].result is not None:
            self._wrong("unwritten", f"{write.action.id} leaves, but the ledger does not have it")

    def _one_at_a_time(self, write: Write) -> None:
        live = [w for w in self.writes if w.ended_at is None and w.task.alive and not w.overdue]
        if len(live) > MOST_AT_ONCE:
            self._wrong("crowd", f"{len(live)} writes at once")
        if sum(w.action.aggregate == write.action.aggregate for w in live) > 1:
            self._wrong("crowd", f"two writes of {write.action.aggregate} at once")

    def _in_order(self, action: Action) -> None:
        if action.seq < self.newest.get(action.aggregate, 0):
            self._wrong("out of order", f"{action.id} after {self.newest[action.aggregate]}")
        self.newest[action.aggregate] = max(action.seq, self.newest.get(action.aggregate, 0))

    def _seldom(self, write: Write) -> None:
        action = write.action
        body = self.bodies.setdefault(action.id, write.body)
        if action.kind.creates and not action.guest:
            if body != write.body and self._maybe_applied(write):
                self._wrong("duplicate", f"{action.id} is sent again in other words")
        elif len(unknown := self._maybe_applied(write)) >= MOST_SENDS + self.people.retried.get(action.id, 0):
            self._wrong("duplicate", f"{action.id} is sent for the third time, after {unknown}")

    def _maybe_applied(self, write: Write) -> Sequence[str]:
        """The answers to earlier writes of the same action that left open whether they took effect."""
        earlier = [w for w in self.writes if w.action.id == write.action.id and w is not write]
        told = [w.record.status if w.record else None for w in earlier]
        return [str(status) for status in told if status is None or status >= 500 or status < 400]

    def _taken_over(self, write: Write) -> None:
        """A person's post that was there when we last looked ends ours."""
        target = write.action.remote_id
        incident = self.world.page.incidents.shelf
        if write.action.guest or target not in incident:
            return
        versions = [shown for _, shown in incident._versions[target] if shown]
        if versions[0].updates[0].author != "api":
            return
        lag = timedelta(seconds=max((m.amount for m in self.world.swarm.stale), default=0))
        given_back = self.people.adopted.get(write.action.aggregate, START)
        for update in versions[-1].updates:
            if update.author == "person" and given_back < update.published_at <= write.read_at - lag:
                self._wrong("hands off", f"{write.action.id} is posted although a person has posted {update.id}")

    def _paused(self, write: Write) -> None:
        paused = self.people.paused
        if paused is not None and write.action.id not in paused:
            self._wrong("paused", f"{write.action.id} leaves although somebody was told that nothing does")

    def _braked(self, write: Write) -> None:
        """A storm must not reach the page unasked; resolves and windows pass, and what was let through before."""
        action = write.action
        passes = action.kind.of_window or action.post is Post.RESOLVE or action.sends > 1
        if passes or action.id in self.people.approved:
            return
        for name, counts in _BRAKES.items():
            most, length = self.world.plan.limits[name]
            if not counts(action, action) or (name == "updates" and self._ends(action)):
                continue
            since = self.world.kernel.now - length + timedelta(minutes=1) + self._clock_slack()
            posted = {w.action.id for w in self.writes if w.applied_at and w.applied_at >= since}
            alike = {w.action.id for w in self.writes if w.action.id in posted and counts(w.action, action)}
            if len(alike - {action.id} - self.people.approved.keys()) >= most:
                self._wrong("storm", f"{action.id} is one too many of {name}: {sorted(alike)}")

    def _ends(self, action: Action) -> bool:
        """Whether a resolve waits behind it."""
        episode = self.world.node.ledger.get(action.aggregate)
        return any(each.post is Post.RESOLVE for each in episode.actions)

    def on_action(self, action: Action) -> None:
        """The worker decided something about an action; where it gave up and told so, the text may be missing."""
        if action.state in _WAITING:
            self.given_up.add(action.content.message)

    # -- whether a post is wanted, fresh, and mailed to those who may be

    def _wanted(self, write: Write) -> None:
        for post, line, body in self._posts(write):
            if line.spec.publish == "shadow":
                self._wrong("unexpected", f"{write.action.id} although its rule is in shadow")
            if line.spec.publish == "approve" and write.action.post in (Post.OPEN, Post.WORSEN):
                self._approved(write.action)
            self._mail(write, post, line, body)
            if line.spec.relay or write.action.guest or write.action.sends > 1:
                continue
            if write.action.kind is ActionKind.BACKFILL_INCIDENT or self._dismissed(line):
                continue
            self._fresh(write, post, line, body)

    def _approved(self, action: Action) -> None:
        seen = self.people.approved.get(action.id)
        if seen is None:
            self._wrong("unexpected", f"{action.id} although nobody has approved it")
        elif seen != asdict(action.content):
            self._wrong("unexpected", f"{action.id} says something else than what was approved")

    def _posts(self, write: Write) -> Iterable[tuple[str, Line, Mapping[str, Any]]]:
        body = json.loads(write.body) if write.body else {}
        for part in body.get("updates", [body]):
            message = part.get("message")
            if message is None:
                continue
            said, word = _TEXT.fullmatch(message), _WORD.fullmatch(message)
            if word:
                yield ("open" if write.action.kind.creates else "relay"), self._line("desk", word[1]), part
            elif said:
                yield said[1], self._line(said[2], said[3]), part
            else:
                self._wrong("unexpected", f"{write.action.id} says what no rule says: {message!r}")

    def _line(self, rule: str, service: str) -> Line:
        return self.world.truth.line(rule, service)

    def _mail(self, write: Write, post: str, line: Line, body: Mapping[str, Any]) -> None:
        if not body.get("notify_subscribers"):
            return
        taken_back = self._status(write.action.remote_id) == "monitoring"  # whoever heard that must hear this
        why = {_MAILED_AS.get(write.action.post, post), *(["monitoring"] if taken_back else [])}
        if not why & line.spec.notify:
            self._wrong("wrong mail", f"{write.action.id} mails a {post}, which its rule does not")
        if write.action.post is Post.OPEN:
            self.mailed_opens.add(write.action.aggregate)
        if post == "resolve" and write.action.aggregate not in self.mailed_opens:
            self._wrong("wrong mail", f"{write.action.id} mails the end of what was never mailed")

    def _status(self, incident_id: str) -> str:
        shelf = self.world.page.incidents.shelf
        versions = [shown for _, shown in shelf._versions.get(incident_id, ()) if shown]
        return versions[-1].status if versions else ""

    def _fresh(self, write: Write, post: str, line: Line, body: Mapping[str, Any]) -> None:
        now = self.world.kernel.now
        since = self._undisturbed(now, REACTION)
        if post == "resolve":
            self._ended(write, line, since)
        elif post != "monitoring" or line.spec.quiet:
            said = self._components(body)
            wants = line.between(since, now)
            if not any(_same(said, want) for want in wants):
                self._wrong("stale", f"{write.action.id} says {said}, true was {[dict(want) for want in wants]}")
        fresh = all(w is write or w.action.aggregate != write.action.aggregate for w in self.writes)
        if post == "open" and write.action.kind.creates and fresh:
            self._held_long_enough(write, line, since)

    def _ended(self, write: Write, line: Line, since: datetime) -> None:
        quiet = line.spec.quiet - self._clock_slack()
        now = self.world.kernel.now
        longest = line.longest_clear(since, now)
        if longest is None:
            self._wrong("stale", f"{write.action.id} ends what fires")
        elif longest < quiet - REACTION:
            self._wrong("hasty", f"{write.action.id} ends it after {longest} of quiet")

    def _held_long_enough(self, write: Write, line: Line, since: datetime) -> None:
        began = line.firing_since(since) or line.firing_since(self.world.kernel.now)
        if began and self.world.kernel.now - began < line.spec.hold - self._clock_slack() - timedelta(seconds=1):
            self._wrong("hasty", f"{write.action.id} is public after {self.world.kernel.now - began}")

    def _clock_slack(self) -> timedelta:
        return timedelta(seconds=sum(max(0.0, moment.amount) for moment in self.world.swarm.steps))

    def _components(self, body: Mapping[str, Any]) -> Want:
        names = {place.component.id: place.component.name for place in self.world.page.page.places().values()}
        ours = {ref.name: name for name, ref in self.world.plan.rules.pages["main"].components.items()}
        said = body.get("component_statuses", [])
        return {ours[names[each["component_id"]]]: each["component_status"] for each in said}

    def _undisturbed(self, until: datetime, length: timedelta) -> datetime:
        """Give the time from which on the worker had *length* in peace until *until*."""
        since = until - length
        for start, end in sorted(self.world.disturbed, reverse=True):
            if start < until and end > since:
                since -= min(end, until) - max(start, since) if start > since else end - since
                since = min(since, start - timedelta(seconds=1)) if start <= since else since
        return since

    # -- at the end

    def at_end(self) -> None:
        """Everything has had its time."""
        self._twice_applied()
        self._ledger_is_done()
        for line in self.world.truth.lines.values():
            self._told_truth(line)
        self._windows()

    def _twice_applied(self) -> None:
        applied: Counter[str] = Counter()
        for incident in (*self._incidents(), *self.world.page.maintenances.shelf.all()):
            for update in incident.updates:
                write = self._made(update)
                if write is not None and write.action.kind is not ActionKind.BACKFILL_INCIDENT:
                    applied[write.action.id] += 1
        for action, times in applied.items():
            if times > 1 and not (self.world.beyond and times == MOST_SENDS):
                self._wrong("duplicate", f"{action} is on the page {times} times")

    def _incidents(self) -> Sequence[Incident]:
        """Every incident, also those that a person has deleted."""
        shelf = self.world.page.incidents.shelf
        return [[shown for _, shown in versions if shown][-1] for versions in shelf._versions.values()]

    def _made(self, update: Update) -> Write | None:
        if update.author != "api":
            return None
        return next((w for w in self.writes if w.applied_at == update.published_at), None)

    def _ledger_is_done(self) -> None:
        world = self.world
        ledger = world.node.ledger
        totals = ledger.totals()
        for state in ("parked", "unparsed"):
            if totals[f"inbounds_{state}"]:
                self._wrong("stuck", f"{totals[f'inbounds_{state}']} inbounds {state}")
        for inbound in ledger.pending(1):
            if inbound.received_at < world.node.clock() - timedelta(minutes=1):
                self._wrong("stuck", f"an inbound of {inbound.received_at} is pending")
        for wake in (ledger.next_wake(), ledger.next_window_wake()):
            if wake is not None and wake < world.node.clock() - timedelta(minutes=1):
                self._wrong("stuck", f"nobody woke what was due at {wake}")
        self.unsettled = [line.action for line in ledger.history(limit=100_000) if not line.action.state.settled]
        told = {notice.subject for notice in world.notices}
        first = {}
        for action in sorted(self.unsettled, key=lambda a: a.seq):
            first.setdefault(action.aggregate, action)
        for action in first.values():
            if action.state not in _WAITING:
                self._wrong(
                    "stuck", f"{action.id} {action.post} {action.state} until {action.not_before}: {action.reason}"
                )
            elif action.aggregate not in told:
                self._wrong("untold", f"{action.id} is {action.state}, and nobody was told")
            else:
                world.seen(f"left {action.state}: {_why(action)}")
        self._signals_are_known(ledger)

    def _signals_are_known(self, ledger: Any) -> None:
        for line in self.world.truth.lines.values():
            for said in line.signals.values():
                ids = [(source, said.key) for source in self.world.plan.rules.sources]
                known = list(ledger.signals(ids).values())
                if not any(signal.firing == said.firing for signal in known):
                    self._wrong("lost", f"{said.key}: accepted was firing={said.firing}, the ledger has {known}")

    def _told_truth(self, line: Line) -> None:
        if line.spec.publish == "shadow":
            return
        mine = [it for it in self._incidents() if self._is_about(it, line) and not self._left_to_a_person(it)]
        if line.spec.relay:
            self._relayed(line, mine)
            return
        there = {it.id for it in self.world.page.incidents.shelf.all()}
        ongoing = [it for it in mine if it.ongoing and it.id in there and it.updates[0].author == "api"]
        if len(ongoing) > 1:
            self._wrong("duplicate", f"{line.title}: {len(ongoing)} incidents are open")
        opened = sum(it.updates[0].author == "api" for it in mine)
        if opened > line.spells + self.reopens_refused:
            self._wrong("duplicate", f"{line.title}: {opened} incidents for {line.spells} outages")
        if not line.want:
            for incident in ongoing:
                self._wrong("stuck", f"{line.title}: over, but {incident.id} is open")
        elif why := self._excused(line):
            self.world.seen(f"excused: {why}")
        elif any(it.ongoing and it.updates[0].author != "api" for it in mine):
            self.world.seen("said on somebody else's incident")
        elif any(
            it.ongoing and it.id in there and self._is_about(it, line) for it in self._incidents() if it not in mine
        ):
            self.world.seen("left to a person")
        elif not ongoing:
            self._wrong("lost", f"{line.title} fires, and no incident is open")
        elif not _same(self._shown(ongoing[0]), line.want):
            self._wrong("lost", f"{line.title}: shows {self._shown(ongoing[0])}, true is {dict(line.want)}")
        else:
            self.world.seen("shown while it fires")

    def _left_to_a_person(self, incident: Incident) -> bool:
        """Whether a person has a hand in it, or was told that we do not know on."""
        writes = [write for write in map(self._made, incident.updates) if write]
        adopted = [self.people.adopted[w.action.aggregate] for w in writes if w.action.aggregate in self._given_back()]
        for at, touched, does in self.people.touched:
            if touched == incident.id and does != "opens" and at > max(adopted, default=START):
                return True
        told = {notice.subject for notice in self.world.notices}
        waiting = {action.aggregate for action in self.unsettled if action.state in _WAITING} & told
        return any(write.action.aggregate in waiting for write in writes)

    def _given_back(self) -> Set[str]:
        """Aggregates that a person took over and gave back, and has not taken over again."""
        return self.people.adopted.keys() - self.world.hands_off

    def _excused(self, line: Line) -> str:
        """Why the page need not say what is true: a person was told of it, or an other rule goes before. Else ""."""
        key = episode_key(line.spec.id, "main", {"service": line.service})
        episode = self.world.node.ledger.latest([key]).get(key)
        others = [other for other in self.world.truth.lines.values() if other.spec.id == line.spec.yields_to]
        if any(other.want for other in others):
            return "yields"
        if self._dismissed(line):
            return "dismissed by a person"
        if episode is None or episode.id not in {notice.subject for notice in self.world.notices}:
            return ""
        left = [action for action in episode.actions if action.state in _WAITING]
        return left[0].state if left else "hands off" if episode.hands_off else ""

    def _dismissed(self, line: Line) -> bool:
        """Whether something still fires that fired when somebody wanted nothing said of it; only news is said then."""
        key = episode_key(line.spec.id, "main", {"service": line.service})
        when = [at for at, aggregate in self.people.dismissed if aggregate.startswith(f"{key}#")]
        return any(since <= max(when, default=START) for since in line.fires_since.values())

    def _shown(self, incident: Incident) -> Want:
        said = [
            {"component_id": key, "component_status": value} for key, value in incident.component_statuses().items()
        ]
        return self._components({"component_statuses": said})

    def _is_about(self, incident: Incident, line: Line) -> bool:
        return any(self._said_of(update.message) is line for update in incident.updates)

    def _said_of(self, message: str) -> Line | None:
        said, word = _TEXT.fullmatch(message), _WORD.fullmatch(message)
        return self._line(said[2], said[3]) if said else self._line("desk", word[1]) if word else None

    @property
    def reopens_refused(self) -> int:
        """How often a page refused to open an incident again, and got a new one."""
        return sum(
            w.action.post is Post.REOPEN and w.record is not None and w.record.status == 422 for w in self.writes
        )

    def _relayed(self, line: Line, mine: Sequence[Incident]) -> None:
        posted = [update.message for incident in mine for update in incident.updates if update.author == "api"]
        said = [text for text in line.relayed if text not in self.given_up or text in posted]
        if posted == said or not posted:
            return
        kind = "duplicate" if len(set(posted)) < len(posted) else "lost" if set(said) - set(posted) else "out of order"
        self._wrong(kind, f"{line.title}: relayed {posted}, said was {said}")

    # -- windows

    def _windows(self) -> None:
        ours = [it for it in self.world.page.maintenances.shelf.all() if it.name == "Upkeep"]
        for planned in self.world.plan.maintenance:
            if len(ours) > 1:
                self._wrong("duplicate", f"{len(ours)} windows for one occurrence")
            if not ours and not self._troubled(planned.starts, planned.starts + planned.duration):
                self._wrong("lost", f"{planned.id} was not on the page")
            for window in ours:
                if not self.world.swarm.names:
                    self._punctual(window)
                self._forward(window)
                over = planned.starts + planned.duration
                waits = any(action.kind.of_window for action in self.unsettled)
                if self.world.kernel.now > over and window.status != "maintenance_complete" and not waits:
                    self._wrong("stuck", f"the window shows {window.status} after its end")

    def _troubled(self, since: datetime, until: datetime) -> bool:
        """Whether the worker or its page had other things to do."""
        swarm = self.world.swarm
        weather = swarm.weather
        spans = [*self.world.disturbed, *weather.outages, *weather.denials, *weather.overloads]
        return bool(swarm.steps or self.people.touched) or any(
            start < until + REACTION and since - REACTION < end for start, end in spans
        )

    def _punctual(self, window: Maintenance) -> None:
        """Left in peace, every transition is there within two seconds, and a second on the way."""
        due = {"maintenance_in_progress": window.start_at, "maintenance_complete": window.end_at}
        for update in window.updates:
            if update.status in due and update.published_at > due[update.status] + timedelta(seconds=3):
                self._wrong("late", f"the window says {update.status} at {update.published_at}")

    def _forward(self, window: Maintenance) -> None:
        ranks = [_RANK[update.status] for update in window.updates]
        if ranks != sorted(ranks):
            self._wrong("out of order", f"the window went {[update.status for update in window.updates]}")
        for status in ("maintenance_in_progress", "maintenance_complete"):
            said = sum(update.status == status for update in window.updates)
            if said > 1:
                self._wrong("duplicate", f"the window said {status} {said} times")
        early = self._clock_slack() + timedelta(seconds=1)
        for update in window.updates:
            due = {"maintenance_in_progress": window.start_at, "maintenance_complete": window.end_at}.get(update.status)
            if due and update.published_at < due - early:
                self._wrong("hasty", f"the window said {update.status} at {update.published_at}, due {due}")


def _same(one: Want, other: Want) -> bool:
    return all(one.get(name, "operational") == other.get(name, "operational") for name in {*one, *other})


def _why(action: Action) -> str:
    return re.sub(r"[0-9A-Z]{20,}|`.*`|\d+", "…", action.reason)[:60]
