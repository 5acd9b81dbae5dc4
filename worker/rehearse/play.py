"""
One rule test, played: what was said on the pages, in order, and what the team was told.

What is expected is held against it in ``rehearse.verdict``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.core.approval import approval_hash
from worker.core.commands import Approve, Command, Dismiss
from worker.core.model import Action, ActionState, Inbound, IncidentStatus, Notice, Origin, WindowStatus
from worker.errors import CommandRefused, NotFound
from worker.ports import HistoryLine, Sender
from worker.rehearse.page import RehearsalPage
from worker.rehearse.reading import Case, Senders, Step, absolute
from worker.rehearse.rebase import Rebase
from worker.rehearse.spec import DeedSpec
from worker.rehearse.stage import Stage

ALL = 1_000_000
UNSAID = (ActionState.REPLACED, ActionState.DISMISSED)
"""What the public never gets, and nobody waits for any more."""

WAITING = (ActionState.AWAITING_APPROVAL, ActionState.HELD, ActionState.PARKED)
"""What a person moves on."""

PERSON = "a person"

FAULTS = ("inbound_parked", "evaluation_failed", "internal_fault")
"""Notices of what is wrong with a rule or a body: a test that hides one proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """
    One action as the public, or whoever waits for it, has it.

    Args:
        at: When the page had it; of what it does not have, when it was decided.
        rule: The rule's id as it is now; "" of a window that no rule asks for.
        window: The id of the maintenance entry; "" where it is none that says it.
        adopted: The name of the window that people made on the page; "" of everything else.
        number: Of the episode; 0 of a window.
    """

    action: Action
    at: datetime
    rule: str
    window: str
    adopted: str
    number: int
    group: Mapping[str, str]

    @property
    def said(self) -> bool:
        """Whether the page has it, or would have it if it were not for shadow."""
        return self.action.state in (ActionState.DONE, ActionState.SHADOWED)

    @property
    def who(self) -> str:
        """Whose it is, for people: the rule, the entry of ``maintenance``, or the name of an adopted window."""
        return self.rule or self.window or f"“{self.adopted}”"

    @property
    def title(self) -> str:
        """What it is called on the page, as far as this action says so."""
        return self.action.content.title or self.adopted

    @property
    def text(self) -> str:
        """What is posted; of a backfill all its texts."""
        return self.action.content.message or "\n".join(step.message for step in self.action.content.steps)


@dataclass(slots=True, kw_only=True)
class Played:
    """
    What came of a case.

    Args:
        came: Place in the inbox to the step that sent it.
        problems: (place, why): what could not be played.
    """

    case: Case
    stage: Stage
    came: dict[int, Step] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sayings(self) -> list[Saying]:
        """Everything that was decided and not taken back, in order of time."""
        return sayings(self.stage)

    @property
    def sent(self) -> Mapping[int, tuple[datetime, str]]:
        """Place in the inbox to when a body was sent, and by which step."""
        return {seq: (step.at, step.place) for seq, step in self.came.items()}

    @property
    def notices(self) -> Sequence[tuple[datetime, Notice]]:
        """Every notice, the oldest first."""
        return self.stage.notices

    @property
    def faults(self) -> list[Notice]:
        """Notices of what is wrong with a body or a rule."""
        return [notice for _, notice in self.notices if notice.code in FAULTS]


def sayings(stage: Stage) -> list[Saying]:
    """Give everything that was decided on a stage and not taken back, in order of time."""
    names = {rule.identity: rule.id for rule in stage.book.rules.rules}
    lines = reversed(stage.ledger.history(limit=ALL))
    found = [_saying(stage, line, names) for line in lines if line.action.state not in UNSAID]
    return sorted(found, key=lambda saying: (saying.at, saying.action.page, saying.action.aggregate, saying.action.seq))


def _saying(stage: Stage, line: HistoryLine, names: Mapping[str, str]) -> Saying:
    action = line.action
    window = stage.ledger.window(action.aggregate) if action.kind.of_window else None
    origin = window.origin if window is not None else Origin.RULE
    return Saying(
        action=action,
        at=line.shown_at,
        rule=names.get(line.rule_id, line.rule_id) if origin is Origin.RULE else "",
        window=line.rule_id if origin is Origin.ENTRY else "",
        adopted=window.known_name if window is not None and origin is Origin.PAGE else "",
        number=line.number,
        group=line.group,
    )


def play(case: Case, stage: Stage, senders: Senders) -> Played:
    """
    Play a case from its start to its last step.

    Args:
        stage: Fresh, its clock at the start of the case.
    """
    played = Played(case=case, stage=stage)
    player = _Player(played, senders)
    for step in case.steps:
        stage.until(step.at)
        player.take(step)
    stage.until(case.ends)
    return played


class _CannotPlayError(Exception):
    """A step makes no sense by the time it comes."""


class _Player:
    def __init__(self, played: Played, senders: Senders) -> None:
        self._played = played
        self._stage = played.stage
        self._makers = senders
        self._senders: dict[str, Sender] = {}
        self._rebase = Rebase()

    def take(self, step: Step) -> None:
        try:
            if step.send is not None:
                self._send(step)
            elif step.deed is not None:
                _DEEDS[step.deed.deed](self, step.deed)
        except _CannotPlayError as why:
            self._played.problems.append((step.place, str(why)))

    # -- webhooks

    def _send(self, step: Step) -> None:
        assert step.send is not None
        source = step.send.source
        headers = {name.lower(): value for name, value in step.send.headers.items()}
        for body in self._bodies(step):
            inbound = Inbound(source=source, body=body, headers=headers, received_at=self._stage.now)
            self._played.came[self._stage.receive(inbound)] = step

    def _bodies(self, step: Step) -> Sequence[bytes]:
        assert step.send is not None
        if not step.items:
            return [self._rebase(step.body, step.at) if step.send.times == "rebase" else step.body]
        source = step.send.source
        if source not in self._senders:
            self._senders[source] = self._makers[self._stage.endpoints[source].config.kind]()
        return self._senders[source].bodies(step.items, step.at)

    # -- people, and the page

    def _posts(self, deed: DeedSpec) -> None:
        self._post(deed, deed.person_posts or "", deed.status)

    def _resolves(self, deed: DeedSpec) -> None:
        self._post(deed, deed.resolves or "", IncidentStatus.RESOLVED)

    def _post(self, deed: DeedSpec, target: str, status: IncidentStatus | WindowStatus | None) -> None:
        page, remote_id = self._target(deed, target)
        if status is not None and page.is_window(remote_id) is not isinstance(status, WindowStatus):
            noun = "a maintenance window" if page.is_window(remote_id) else "an incident"
            raise _CannotPlayError(f"`{target}` is {noun} on the page, which has no status `{status}`")
        page.post(remote_id, deed.text, status or "")

    def _renames(self, deed: DeedSpec) -> None:
        page, remote_id = self._target(deed, deed.renames or "")
        page.rename(remote_id, deed.title)

    def _deletes(self, deed: DeedSpec) -> None:
        page, remote_id = self._target(deed, deed.deletes or "")
        page.delete(remote_id)

    def _opens(self, deed: DeedSpec) -> None:
        name = deed.on or next(iter(self._stage.pages))
        self._stage.pages[name].open(deed.title, deed.opens or (), deed.text)
        self._stage.watch(name)

    def _schedules(self, deed: DeedSpec) -> None:
        name = deed.on or next(iter(self._stage.pages))
        starts, ends = self._moment(deed.starts), self._moment(deed.ends)
        assert starts is not None
        assert ends is not None
        page = self._stage.pages[name]
        page.schedule(deed.title, deed.schedules or (), deed.text, starts, ends, automate=deed.automate)
        self._stage.watch(name)

    def _moves(self, deed: DeedSpec) -> None:
        page, remote_id = self._target(deed, deed.moves or "")
        if not page.is_window(remote_id):
            raise _CannotPlayError(f"`{deed.moves}` is an incident on the page, which has no times to move")
        page.reschedule(remote_id, self._moment(deed.starts), self._moment(deed.ends))

    def _moment(self, moment: timedelta | datetime | None) -> datetime | None:
        return absolute(moment, self._played.case.spec.start) if moment is not None else None

    def _approves(self, deed: DeedSpec) -> None:
        action = self._waiting(deed, deed.approves or "")
        own = {name: getattr(deed, name) for name in ("title", "text") if name in deed.model_fields_set}
        self._order(Approve(by=PERSON, action=action.id, hash=approval_hash(action), **own))

    def _dismisses(self, deed: DeedSpec) -> None:
        self._order(Dismiss(by=PERSON, subject=self._waiting(deed, deed.dismisses or "").id))

    def _order(self, command: Command) -> None:
        try:
            self._stage.order(command)
        except (CommandRefused, NotFound) as refused:
            raise _CannotPlayError(str(refused)) from None

    def _waiting(self, deed: DeedSpec, target: str) -> Action:
        """Find what waits for a person: the only one that is meant."""
        found = [
            line.action
            for line in self._stage.ledger.history(limit=ALL)
            if self._called(line) == target
            and line.action.state in WAITING
            and deed.on in (None, line.action.page)
            and (not deed.group or dict(line.group) == deed.group)
        ]
        if not found:
            raise _CannotPlayError(f"nothing of `{target}` waits for a person by now")
        if len(found) > 1:
            raise _CannotPlayError(f"several posts of `{target}` wait by now: say which with `group` or `on`")
        return found[0]

    def _unreachable(self, deed: DeedSpec) -> None:
        assert deed.unreachable is not None
        for name in [deed.on] if deed.on else self._stage.pages:
            self._stage.pages[name].unreachable_until = self._stage.now + deed.unreachable

    def _target(self, deed: DeedSpec, target: str) -> tuple[RehearsalPage, str]:
        """Find the incident or window that is meant; the worker will look at its page."""
        found = {
            (line.action.page, line.action.remote_id): line
            for line in self._stage.ledger.history(limit=ALL)
            if self._called(line) == target and line.action.remote_id
        }
        places = [
            (name, remote_id)
            for (name, remote_id), line in found.items()
            if deed.on in (None, name)
            and (not deed.group or dict(line.group) == deed.group)
            and self._stage.pages[name].has(remote_id)
        ]
        if not places and not found:
            places = [
                (name, remote_id)
                for name, page in self._stage.pages.items()
                if deed.on in (None, name) and (remote_id := page.called(target))
            ]
        live = [each for each in places if self._stage.pages[each[0]].is_open(each[1])] or places[:1]
        if not live:
            raise _CannotPlayError(f"`{target}` has nothing on the page by now")
        if len(live) > 1:
            groups = ", ".join(str(dict(found[each].group)) for each in live if each in found)
            raise _CannotPlayError(
                f"`{target}` has several incidents by now: say which with `group` or `on` ({groups})"
            )
        name, remote_id = live[0]
        self._stage.watch(name)
        return self._stage.pages[name], remote_id

    def _called(self, line: HistoryLine) -> str:
        rule = self._stage.book.current(line.rule_id)
        return rule.id if rule is not None else line.rule_id


_DEEDS: Mapping[str, Callable[[_Player, DeedSpec], None]] = {
    "person_posts": _Player._posts,
    "opens": _Player._opens,
    "schedules": _Player._schedules,
    "moves": _Player._moves,
    "resolves": _Player._resolves,
    "renames": _Player._renames,
    "deletes": _Player._deletes,
    "approves": _Player._approves,
    "dismisses": _Player._dismisses,
    "unreachable": _Player._unreachable,
}
