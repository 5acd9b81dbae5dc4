"""
What a page consists of, and how the names in the rules find it there.

Knows no vendor and no I/O: whoever can list a page's components can have ours resolved.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.core.ruleset import ComponentRef
from worker.errors import ConfigError, Problem
from worker.providers._text import plain

_SHOWN = 8
_CLOSE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedComponent:
    """
    A component as its page lists it; one that stands in several places is listed once for each.

    Args:
        group: Name of its group, or "".
        group_id: Id of its group, or "".
        sub_page: Name of the sub-page that it stands on, or "" on the main page.
        hidden: Whether customers do not see it, by itself or with its group.
    """

    id: str
    name: str
    group: str = ""
    group_id: str = ""
    sub_page: str = ""
    hidden: bool = False

    @property
    def label(self) -> str:
        """Its full name: "Sub-page / Group / Name", without what it does not have."""
        return _joined(self.sub_page, self.group, self.name)

    @property
    def names(self) -> frozenset[str]:
        """Everything that it may be called by."""
        return frozenset({self.id, self.name, _joined(self.group, self.name), self.label})

    @property
    def group_names(self) -> frozenset[str]:
        """Everything that its group may be called by; empty outside any group."""
        if not self.group_id:
            return frozenset()
        return frozenset({self.group_id, self.group, _joined(self.sub_page, self.group)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPage:
    """A page that a key can see; components in the order of the page."""

    id: str
    name: str
    public_url: str = ""
    components: tuple[ListedComponent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """
    How available a component was.

    Args:
        percent: Decimal text, floored; None where the page has no data of that time.
        since: Before this the page knows nothing of the component.
    """

    component_id: str
    start: datetime
    end: datetime
    percent: str | None
    since: datetime | None


def problem(place: str, message: str) -> Problem:
    """Make a problem at *place*, a ``file:line:col`` or any other name of a place."""
    parts = place.rsplit(":", 2)
    if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
        return Problem(parts[0], int(parts[1]), int(parts[2]), message)
    return Problem(place, 0, 0, message)


def near(wanted: str, names: Iterable[str]) -> str:
    """Say which of *names* may have been meant, or which there are: the second half of an error message."""
    by_folded = {name.casefold(): plain(name) for name in names if name}
    close = difflib.get_close_matches(wanted.casefold(), by_folded, n=3, cutoff=_CLOSE)
    if close:
        return "; did you mean " + " or ".join(f"`{by_folded[match]}`" for match in close) + "?"
    some = sorted(by_folded.values())
    rest = f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else ""
    return "; there are " + ", ".join(f"`{name}`" for name in some[:_SHOWN]) + rest if some else "; there is none"


def choose_page(pages: Sequence[ListedPage], wanted: str, place: str) -> ListedPage:
    """
    Find the page called *wanted*, an id or an exact name.

    Raises:
        ConfigError: There is none, or more than one.
    """
    found = [page for page in pages if page.id == wanted] or [page for page in pages if page.name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"`{page.id}`" for page in found)
        raise ConfigError([problem(place, f"{len(found)} pages are called `{wanted}`; name one by its id: {ids}")])
    hint = near(wanted, [page.name for page in pages])
    raise ConfigError([problem(place, f"the API key sees no status page `{wanted}`{hint}")])


def resolve(
    page: ListedPage, refs: Mapping[str, ComponentRef]
) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, Problem]]:
    """
    Find our components on *page*.

    Args:
        refs: Our name to what the rules call it at the page.

    Returns:
        Our name to ids, in the order of the page; more than one only for a group. And each name of ours that is
        unknown or ambiguous there, to why.
    """
    found: dict[str, tuple[str, ...]] = {}
    missing: dict[str, Problem] = {}
    for ours, ref in refs.items():
        try:
            found[ours] = _group(page, ref) if ref.group else _component(page, ref)
        except LookupError as fault:
            missing[ours] = problem(ref.place, f"page `{plain(page.name)}` {fault.args[0]}")
    return found, missing


def hidden(page: ListedPage, found: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Say which of the resolved components customers do not see, one sentence each."""
    seen = {component.id for component in page.components if not component.hidden}
    labels = {component.id: plain(component.label) for component in page.components}
    return tuple(
        f"component `{ours}`: `{labels[each]}` is hidden on page `{plain(page.name)}`"
        for ours, ids in found.items()
        for each in ids
        if each not in seen
    )


def _component(page: ListedPage, ref: ComponentRef) -> tuple[str, ...]:
    matches = [component for component in page.components if ref.name in component.names]
    labels = {component.id: component.label for component in matches}
    if ref.name in labels:  # an id is never ambiguous
        return (ref.name,)
    if len(labels) == 1:
        return tuple(labels)
    if labels:
        raise LookupError(f"has {len(labels)} components `{ref.name}`; name one in full or by id: {_listed(labels)}")
    names = {name for component in page.components for name in (component.name, component.label)}
    raise LookupError(f"has no component `{ref.name}`{near(ref.name, names)}")


def _group(page: ListedPage, ref: ComponentRef) -> tuple[str, ...]:
    members = [component for component in page.components if ref.group in component.group_names]
    groups = {component.group_id: _joined(component.sub_page, component.group) for component in members}
    if ref.group in groups:
        members = [component for component in members if component.group_id == ref.group]
    elif len(groups) > 1:
        raise LookupError(f"has {len(groups)} groups `{ref.group}`; name one in full or by id: {_listed(groups)}")
    if not members:
        names = {component.group for component in page.components}
        raise LookupError(f"has no group `{ref.group}` with a component in it{near(ref.group, names)}")
    return tuple(dict.fromkeys(component.id for component in members))


def _listed(labels: Mapping[str, str]) -> str:
    return ", ".join(f"`{plain(label)}` ({each})" for each, label in labels.items())


def _joined(*names: str) -> str:
    return " / ".join(name for name in names if name)
