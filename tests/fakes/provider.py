"""
A status page in memory that answers as a test tells it to; it implements ``worker.ports.Provider``.

Each write meets the next ``Answer`` of its script, or is simply done. The page itself behaves like the one it stands
for: creates are told apart by their key, updates are not.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from worker.core.model import (
    Action,
    ActionKind,
    Directory,
    IncidentStatus,
    Outcome,
    RemoteIncident,
    RemoteUpdate,
    Request,
    Result,
    WindowStatus,
)
from worker.errors import EvaluationFailed, KeyDenied, ProviderUnavailable

NONE: Mapping[str, str] = {}
COMPONENTS = {"checkout": ("c-checkout",), "api": ("c-api",), "web": ("c-web",)}


class Answer(Enum):
    """What becomes of one write."""

    DONE = auto()
    NOT_SENT = auto()
    REFUSED = auto()
    DENIED = auto()
    UNMAILED = auto()  # refused because of the mails it asks for
    LOST = auto()  # unknown, and it never reached the page
    TAKEN = auto()  # unknown, but the page has it
    LATE = auto()  # unknown; the page has it once the test calls ``arrive``
    CRASH = auto()  # the worker dies: no outcome; the page has it
    CRASH_LOST = auto()  # the worker dies: no outcome; the page does not have it


class Died(BaseException):
    """The worker was killed while it sent; nothing may catch this."""


_RESULTS = {
    Answer.NOT_SENT: Result.NOT_SENT,
    Answer.REFUSED: Result.REFUSED,
    Answer.DENIED: Result.DENIED,
    Answer.UNMAILED: Result.UNMAILED,
    Answer.LOST: Result.UNKNOWN,
    Answer.TAKEN: Result.UNKNOWN,
    Answer.LATE: Result.UNKNOWN,
}
_APPLIED = (Answer.DONE, Answer.TAKEN, Answer.CRASH)


@dataclass(frozen=True, slots=True)
class Sent:
    """A write as it left."""

    at: datetime
    action: Action
    request: Request


@dataclass
class FakePage:
    """
    Args:
        clock: Aware, UTC.
        watch: Called with every write before it takes effect.
        retry_at: What the page asks for with every NOT_SENT.
        lag: Reads show the page as it was so long ago.
        alters: What the page makes of each text that it is sent.
    """

    clock: Callable[[], datetime]
    watch: Callable[[Action, Request], None] = lambda action, request: None
    retry_at: timedelta | None = None
    lag: timedelta = timedelta()
    alters: Callable[[str], str] = lambda text: text
    down: bool = False
    most_updates: int = 100
    refuses_mail: bool = False
    denies_reads: bool = False
    denied: int = 0
    script: deque[Answer] = field(default_factory=deque)
    always: Answer = Answer.DONE
    sent: list[Sent] = field(default_factory=list)
    incidents: dict[str, RemoteIncident] = field(default_factory=dict)
    reads: int = 0
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._past: list[tuple[datetime, dict[str, RemoteIncident]]] = []
        self._late: list[tuple[Action, Request]] = []
        self._lock = threading.Lock()
        self._ids = 0

    # -- ports.Provider

    @property
    def supports(self) -> frozenset[ActionKind]:
        return frozenset(ActionKind)

    def directory(self) -> Directory:
        self._read()
        return Directory(page_id="p1", name="Acme Status", public_url="", components=COMPONENTS)

    def ongoing(self, directory: Directory) -> Sequence[RemoteIncident]:
        self._read()
        return [i for i in self._shown().values() if i.starts_at is None and i.status != IncidentStatus.RESOLVED]

    def windows(self, directory: Directory) -> Sequence[RemoteIncident]:
        self._read()
        return [i for i in self._shown().values() if i.starts_at and i.status != WindowStatus.COMPLETE]

    def show(self, remote_id: str, kind: ActionKind) -> RemoteIncident | None:
        self._read()
        return self._shown().get(remote_id)

    def summary(self, directory: Directory) -> None:
        """It has no word for that."""

    def request(self, action: Action, directory: Directory) -> Request:
        unknown = action.content.components.keys() - directory.components.keys()
        if unknown:
            raise EvaluationFailed(f"the page has no component {sorted(unknown)}")
        said = {
            "key": action.key,
            "to": action.remote_id,
            "title": action.content.title,
            "message": action.content.message,
            "status": action.incident_status or action.content.window_status,
            "times": [at.isoformat() for at in (action.content.starts_at, action.content.ends_at) if at],
            "automate": action.content.automate,
            "components": {
                remote: status
                for name, status in action.content.components.items()
                for remote in directory.components[name]
            },
            "steps": [step.message for step in action.content.steps],
        }
        return Request(method="POST", target=f"/{action.kind}", body=json.dumps(said, sort_keys=True).encode())

    def send(self, action: Action, request: Request) -> Outcome:
        with self._lock:
            answer = self.script.popleft() if self.script else self.always
            if self.refuses_mail and action.content.notify and answer in _APPLIED:
                answer = Answer.UNMAILED
            self.sent.append(Sent(self.clock(), action, request))
            self.in_flight[action.aggregate] += 1
            self.most_in_flight |= self.in_flight
            self.most_at_once = max(self.most_at_once, self.in_flight.total())
        try:
            self.watch(action, request)
            return self._answered(action, request, answer)
        finally:
            with self._lock:
                self.in_flight[action.aggregate] -= 1

    def _answered(self, action: Action, request: Request, answer: Answer) -> Outcome:
        incident = post = ""
        shown = None
        if answer in _APPLIED:
            incident, post, shown = self._apply(action, request)
        if answer in (Answer.CRASH, Answer.CRASH_LOST):
            raise Died
        if answer is Answer.LATE:
            self._late.append((action, request))
        if answer is not Answer.DONE:
            retry_at = self.clock() + self.retry_at if self.retry_at and answer is Answer.NOT_SENT else None
            detail = f"the page said {answer.name}"
            return Outcome(
                action_id=action.id, result=_RESULTS[answer], at=self.clock(), detail=detail, retry_at=retry_at
            )
        return Outcome(
            action_id=action.id,
            result=Result.DONE,
            at=self.clock(),
            remote_id=incident,
            update_id=post,
            published_at=shown,
            name=self.incidents[incident].name if incident in self.incidents else "",
            differences=() if self.alters(said := action.content.message) == said else ("message: altered",),
        )

    # -- what tests do to it

    def arrive(self) -> None:
        """What was late takes effect now."""
        for action, request in self._late:
            self._apply(action, request)
        self._late.clear()

    def person_posts(
        self,
        incident: str,
        message: str = "We are people.",
        status: str = "identified",
        statuses: Mapping[str, str] = NONE,
    ) -> str:
        """Somebody posts on an incident; give the id of the post."""
        return self._post(incident, message, status, statuses)

    def person_opens(
        self,
        name: str,
        component: str = "checkout",
        message: str = "Ours to handle.",
        status: str = "investigating",
        statuses: Mapping[str, str] = NONE,
    ) -> str:
        """Somebody opens an incident; give its id. *statuses*: the page's component ids to what is said of them."""
        incident = self._open(name, frozenset(COMPONENTS[component]))
        self._post(incident, message, status, statuses)
        return incident

    def person_resolves(self, incident: str) -> None:
        """Somebody resolves an incident."""
        self._post(incident, "Over.", "resolved")

    def person_renames(self, incident: str, name: str) -> None:
        """Somebody gives an incident another name."""
        with self._lock:
            self.incidents[incident] = replace(self.incidents[incident], name=name)

    def person_deletes(self, incident: str) -> None:
        """Somebody deletes an incident."""
        with self._lock:
            del self.incidents[incident]

    def person_schedules(
        self, name: str, starts_at: datetime, ends_at: datetime, *components: str, automate: bool = False
    ) -> str:
        """Somebody schedules a window; give its id."""
        touched = frozenset(remote for each in components or ("checkout",) for remote in COMPONENTS.get(each, (each,)))
        window = self._open(name, touched)
        self._timed(window, [starts_at.isoformat(), ends_at.isoformat()], automate=automate)
        self._post(window, "We work on it.", WindowStatus.SCHEDULED)
        return window

    def person_moves(self, window: str, starts_at: datetime, ends_at: datetime) -> None:
        """Somebody edits the times of a window."""
        self._timed(window, [starts_at.isoformat(), ends_at.isoformat()])

    def person_automates(self, window: str, *, automate: bool = True) -> None:
        """Somebody switches the automation of a window on or off."""
        with self._lock:
            self.incidents[window] = replace(self.incidents[window], automate=automate)

    def statuses(self, window: str) -> list[str]:
        """Give what each post of a window made of it, oldest first."""
        return [update.status.removeprefix("maintenance_") for update in self.incidents[window].updates]

    def said(self, incident: str) -> list[str]:
        """Give the messages of an incident, oldest first."""
        return [update.message for update in self.incidents[incident].updates]

    def shown(self, incident: str) -> Mapping[str, str]:
        """Give what an incident says of each component: what was said last."""
        said: dict[str, str] = {}
        for update in self.incidents[incident].updates:
            said |= update.components
        return said

    @property
    def names(self) -> list[str]:
        """The names of all incidents, oldest first."""
        return [incident.name for incident in self.incidents.values()]

    # -- inside

    def _read(self) -> None:
        self.reads += 1
        if self.denies_reads:
            self.denied += 1
            raise KeyDenied("the page does not take the key")
        if self.down:
            raise ProviderUnavailable("the page cannot be reached")
        for window in [each for each in self.incidents.values() if each.automate and each.starts_at and each.ends_at]:
            moves = {WindowStatus.IN_PROGRESS: window.starts_at, WindowStatus.COMPLETE: window.ends_at}
            for status, due in moves.items():
                said = [update.status for update in self.incidents[window.id].updates]
                if due and due <= self.clock() and not {status, WindowStatus.COMPLETE} & set(said):
                    self._post(window.id, f"By itself: {status}.", status)

    def _shown(self) -> dict[str, RemoteIncident]:
        with self._lock:
            if not self.lag:
                return dict(self.incidents)
            then = [incidents for at, incidents in self._past if at <= self.clock() - self.lag]
            return then[-1] if then else {}

    def _changed(self) -> None:
        if self.lag:
            self._past.append((self.clock(), dict(self.incidents)))

    def _apply(self, action: Action, request: Request) -> tuple[str, str, datetime | None]:
        """Take effect; give the ids of the incident and the post, and when the incident was published."""
        body = json.loads(request.body)
        known = self._keys.get(body["key"]) if body["key"] else None
        if known is not None:
            shown = self.incidents[known]
            return known, shown.updates[0].id, shown.published_at
        if action.kind is ActionKind.CANCEL_MAINTENANCE:
            with self._lock:
                self.incidents.pop(body["to"])
            return body["to"], "", None
        if action.kind is ActionKind.RESCHEDULE_MAINTENANCE:
            self._timed(body["to"], body["times"], name=body["title"])
            return body["to"], "", None
        if not action.kind.creates:
            post = self._post(body["to"], body["message"], body["status"] or "", body["components"])
            return body["to"], post, self.incidents[body["to"]].published_at
        incident = self._open(body["title"], frozenset(body["components"]))
        if body["key"]:
            self._keys[body["key"]] = incident
        if body["times"]:
            self._timed(incident, body["times"], automate=body["automate"])
        post = ""
        for message in body["steps"] or [body["message"]]:
            post = self._post(incident, message, body["status"] or "resolved", body["components"])
        return incident, post, self.incidents[incident].published_at

    def _open(self, name: str, components: frozenset[str]) -> str:
        with self._lock:
            self._ids += 1
            incident = f"inc-{self._ids}"
            self.incidents[incident] = RemoteIncident(
                id=incident, name=name, status="", component_ids=components, published_at=self.clock()
            )
            self._changed()
        return incident

    def _timed(self, window: str, times: Sequence[str], **more: object) -> None:
        starts_at, ends_at = map(datetime.fromisoformat, times)
        with self._lock:
            shown = self.incidents[window]
            self.incidents[window] = replace(shown, starts_at=starts_at, ends_at=ends_at, **more)  # type: ignore[arg-type]
            self._changed()

    def _post(self, incident: str, message: str, status: str, components: Mapping[str, str] = NONE) -> str:
        with self._lock:
            self._ids += 1
            shown = self.incidents[incident]
            update = RemoteUpdate(
                id=f"up-{self._ids}",
                message=self.alters(message),
                status=status or shown.status,
                published_at=self.clock(),
                components={**components},
            )
            touched = shown.component_ids | components.keys()
            self.incidents[incident] = replace(
                shown, status=update.status, updates=(*shown.updates, update), component_ids=touched
            )
            self._changed()
        return update.id


def dies(step: Callable[[], object]) -> bool:
    """Do *step*; say whether the worker died in it."""
    with suppress(Died):
        step()
        return False
    return True
