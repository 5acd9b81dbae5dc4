"""
What may be said on somebody else's incident: no component is made better than people said of it there.

Pure. This file may not know when, or in which words, anything is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from worker.core.model import Action, ComponentStatus, Directory, RemoteUpdate

_RANK = {status.value: status.rank for status in ComponentStatus}


def as_guest(
    action: Action, directory: Directory, shown: Iterable[RemoteUpdate], people: Iterable[RemoteUpdate]
) -> tuple[Action, Directory, tuple[str, ...]]:
    """
    Make of a post what may be said on somebody else's incident.

    Args:
        shown: Every post on it, the oldest first.
        people: Those of them that are a person's.

    Returns:
        The action and the directory with components by the page's ids, so that one of a group can be told apart; and
        what was left as people said it, for people. A name that the page has no more is left for the provider to tell.
    """
    now, floors = _said(shown), _said(people)
    said: dict[str, ComponentStatus] = {
        name: status for name, status in action.content.components.items() if name not in directory.components
    }
    left = []
    for each, status in _by_id(action, directory).items():
        floor = floors.get(each, status.value)
        if floor == status.value or _RANK.get(floor, len(_RANK)) < status.rank:
            said[each] = status
            continue
        left.append(f"component {each} stays as people said it: {floor}")
        if floor in _RANK and now[each] != floor:
            said[each] = ComponentStatus(floor)
    content = replace(action.content, components=said)
    return replace(action, content=content), replace(directory, components={each: (each,) for each in said}), (*left,)


def _said(posts: Iterable[RemoteUpdate]) -> Mapping[str, str]:
    """Give what was said last of each component, by the page's ids and in its words."""
    return {each: word for post in posts for each, word in post.components.items()}


def _by_id(action: Action, directory: Directory) -> Mapping[str, ComponentStatus]:
    """Give the status per id of the page's; where two of our names mean the same one, the worse."""
    found: dict[str, ComponentStatus] = {}
    for name, status in action.content.components.items():
        for each in directory.components.get(name, ()):
            found[each] = max(status, found.get(each, status), key=lambda one: one.rank)
    return found
