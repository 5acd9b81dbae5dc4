"""
Where a page is not as the ledger believes it to be.

Pure: footprints and what the page shows come in, differences come out. What people did on an incident that is theirs
by now is none, and no judgement is passed on what the page may not show yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from worker.core.footprints import LOOKED_FOR, Footprint, bears, echoes, normal
from worker.core.model import Action, ActionState, Episode, Post, RemoteIncident
from worker.core.ruleset import IncidentPlan, RuleSet, Template, WindowPlan

LEAST_LIKENESS = 12
"""So many characters of the rules' own must an object bear before it is said to look like ours."""

_SETTLES = (ActionState.QUEUED, ActionState.SENDING, ActionState.UNKNOWN)


class DriftKind(StrEnum):
    """How page and ledger differ."""

    LOST = "lost"  # we believe it is there, and the page has it not
    DUPLICATE = "duplicate"  # the page has it twice
    UNEXPECTED = "unexpected"  # it is open and looks like ours, and the ledger does not know it
    CHANGED = "changed"  # it is there, and says something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """
    One difference.

    Args:
        subject: The episode or window; "" where the ledger has none that it belongs to.
        remote_id: The page's object.
        what: Of that: "object", "name", "status", or the page's id of a post.
        text: For people.
    """

    kind: DriftKind
    subject: str
    remote_id: str
    what: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """
    What the comparisons of a page with the ledger have come to.

    Args:
        at: When the last one ended; None: there was none.
        whole_at: When the last one ended that went back all the way.
        recent: What the last one found, among what is open or was written to since *whole_at*.
        older: What the last whole one found.
        version: How often it was committed; 0: never.
    """

    page: str
    at: datetime | None = None
    whole_at: datetime | None = None
    recent: tuple[Drift, ...] = ()
    older: tuple[Drift, ...] = ()
    version: int = 0

    @property
    def found(self) -> tuple[Drift, ...]:
        """Every difference that stands."""
        return tuple({_identity(each): each for each in (*self.older, *self.recent)}.values())

    def after(self, found: Sequence[Drift], now: datetime, *, whole: bool) -> tuple[Sweep, list[Drift]]:
        """Take in what was found; give also what of it is new."""
        told = {_identity(each) for each in self.found}
        later = replace(self, at=now, recent=tuple(found))
        if whole:
            later = replace(later, whole_at=now, older=tuple(found))
        return later, [each for each in found if _identity(each) not in told]


def _identity(drift: Drift) -> tuple[str, ...]:
    return drift.kind, drift.subject, drift.remote_id, drift.what


def differences(footprint: Footprint, shown: RemoteIncident | None, now: datetime, settle: timedelta) -> list[Drift]:
    """
    Compare one object with what we wrote to it.

    Args:
        shown: None: the page has it not.
        now: When the page was asked.
        settle: How long after a write the page may not show it yet.
    """
    subject = footprint.subject
    if subject.hands_off or footprint.in_flight or not footprint.shows_all(now, settle):
        return []
    tell = _Teller(subject.id, subject.remote_id)
    if isinstance(subject, Episode) and subject.guest:  # its name, its status and its end are somebody else's
        if shown is not None:
            _posts(footprint, shown, tell)
        return tell.found
    if shown is None:
        tell(DriftKind.LOST, "object", "it is not on the page any more")
        return tell.found
    if subject.known_name and normal(shown.name) != normal(subject.known_name):
        tell(DriftKind.CHANGED, "name", f"it is called `{shown.name}`, not `{subject.known_name}`")
    known = _status(footprint)
    if known and shown.status != known and not footprint.strangers(shown):
        tell(DriftKind.CHANGED, "status", f"it is {shown.status}, not {known}")
    _posts(footprint, shown, tell)
    return tell.found


@dataclass(slots=True)
class _Teller:
    subject: str
    remote_id: str
    found: list[Drift] = field(default_factory=list)

    def __call__(self, kind: DriftKind, what: str, text: str) -> None:
        self.found.append(Drift(kind=kind, subject=self.subject, remote_id=self.remote_id, what=what, text=text))


def _status(footprint: Footprint) -> str:
    subject = footprint.subject
    if isinstance(subject, Episode):
        return subject.known.incident_status if subject.known else ""
    return subject.known or ""


def _posts(footprint: Footprint, shown: RemoteIncident, tell: _Teller) -> None:
    """Compare post by post; one that has a reason was told when it was made: the page never had the same words."""
    there = {post.id: post for post in shown.updates}
    for action in footprint.actions:
        if action.state is not ActionState.DONE or not action.update_id or action.remote_id != shown.id:
            continue
        post = there.get(action.update_id)
        if post is None:
            tell(DriftKind.LOST, action.update_id, f"our post {_quoted(action)} is not there any more")
        elif (
            action.content.message and not action.reason and not bears(action, post)
        ):  # a reason: it never was the same
            tell(DriftKind.CHANGED, action.update_id, f"our post {_quoted(action)} says something else")
    for post in shown.updates:
        copied = footprint.copied(post)
        if copied is not None and copied.state is ActionState.DONE:
            tell(DriftKind.DUPLICATE, post.id, f"our post {_quoted(copied)} is there twice")
        elif copied is not None:
            tell(DriftKind.UNEXPECTED, post.id, f"our post {_quoted(copied)} is there, though it is {copied.state}")


def _quoted(action: Action) -> str:
    return repr(action.content.message[:60]) if action.content.message else action.id


def strange(
    shown: RemoteIncident, footprints: Iterable[Footprint], looks_like_ours: Callable[[RemoteIncident], bool]
) -> Drift | None:
    """
    Judge an open object that belongs to none of the *footprints*; None: it is somebody else's, or settles by itself.

    Args:
        footprints: All that there are of its page, as far back as may matter.
    """
    alike = [
        (footprint.subject, action)
        for footprint in footprints
        for action in footprint.actions
        if action.kind in LOOKED_FOR and echoes(action, shown)
    ]
    if any(action.state in _SETTLES for _, action in alike):
        return None
    said = f"`{shown.name}`"
    for subject, _ in alike:
        if subject.remote_id:
            text = f"{said} is there twice; {subject.remote_id} is the one that we know"
            return Drift(kind=DriftKind.DUPLICATE, subject=subject.id, remote_id=shown.id, what="object", text=text)
    if not alike and not looks_like_ours(shown):
        return None
    return Drift(
        kind=DriftKind.UNEXPECTED,
        subject=alike[0][0].id if alike else "",
        remote_id=shown.id,
        what="object",
        text=f"{said} is open and says what we would say, but the ledger does not know it",
    )


def known_ids(footprints: Iterable[Footprint]) -> frozenset[str]:
    """Give the page's ids of every object that belongs to one of the footprints."""
    return frozenset(
        remote_id
        for footprint in footprints
        for remote_id in (footprint.subject.remote_id, *(action.remote_id for action in footprint.actions))
        if remote_id
    )


def likeness(rules: RuleSet, page: str) -> Callable[[RemoteIncident], bool]:
    """Make what tells whether an object's name and first words may have come of the rules' texts for *page*."""
    texts = list(_texts(rules, page))

    def looks_like_ours(shown: RemoteIncident) -> bool:
        first = shown.updates[0].message if shown.updates else ""
        return any(_likeness(title, shown.name) + _likeness(text, first) >= LEAST_LIKENESS for title, text in texts)

    return looks_like_ours


def _likeness(template: Template, text: str) -> float:
    found = template.likeness(text)
    return float("-inf") if found is None else found


def _texts(rules: RuleSet, page: str) -> Iterable[tuple[Template, Template]]:
    """Give each title with the first words that may stand under it."""
    for plan in (*(rule.plan for rule in rules.rules), *rules.maintenance):
        if page not in plan.pages:
            continue
        if isinstance(plan, WindowPlan):
            yield from ((plan.title, said.text) for said in (plan.announce, plan.start) if said is not None)
        else:
            yield plan.title, plan.say[Post.OPEN] if isinstance(plan, IncidentPlan) else plan.text


def counted(drifts: Iterable[Drift]) -> Mapping[DriftKind, int]:
    """Count differences by kind; every kind is there."""
    kinds = [drift.kind for drift in drifts]
    return {kind: kinds.count(kind) for kind in DriftKind}
