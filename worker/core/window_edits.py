"""
What the page shows of a window, kept up with what is planned by now: its times, its title, its components.

Pure. No page takes another list of components for a window that is announced already: they are told in a post, and
those that have left are said to be operational. When a window begins or ends is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.core.footprints import normal
from worker.core.markdown import escape, one_line
from worker.core.model import ActionKind, ComponentStatus, Content, Origin, Post
from worker.core.phrases import list_words
from worker.core.ruleset import Said
from worker.core.window_drafts import WindowDraft

AFFECTS = "This maintenance affects "

OWN_POSTS = (Post.RESCHEDULE, Post.EXTEND, Post.REVISE)
"""Why the posts are made that are decided here."""


def take_up(draft: WindowDraft) -> None:
    """Follow the revision in force; what the page moves by itself, or a person, keeps its components."""
    window, plan = draft.window, draft.plan
    news = window.plan_hash != plan.hash
    draft.set(plan_hash=plan.hash, grace=plan.grace)
    if set(plan.components) == set(window.components):
        return
    theirs = window.known is not None and (window.automated or window.hands_off)
    if not theirs:
        draft.set(components=plan.components)
    elif news:
        who = "the page moves it by itself" if window.automated else "a person moves it on the page"
        draft.notice(
            "components_kept",
            f"{who}, and no page takes other components for it any more: it stays about "
            f"{list_words(window.components)}, though its {window.origin} names {list_words(plan.components)} now",
        )


def statuses(draft: WindowDraft) -> Mapping[str, ComponentStatus]:
    """Give what is to be said of each component: those that have left are well."""
    window = draft.window
    left = dict.fromkeys(window.known_components, ComponentStatus.OPERATIONAL)
    return left | dict.fromkeys(window.components, ComponentStatus.UNDER_MAINTENANCE)


def keep(draft: WindowDraft) -> None:
    """
    Bring the page up to what is planned, then say so where that is wanted; another post that waits comes first.

    Nobody is mailed about another title or other components.
    """
    window = draft.window
    others = [action for action in window.actions if action.post not in OWN_POSTS]
    if window.known is None or not window.known_times or others:
        return
    times: dict[str, Any] = {"starts_at": window.starts_at, "ends_at": window.ends_at}
    if window.known_times != tuple(times.values()) or _renamed(draft):
        content = Content(title=_title(draft), **times)
        draft.once(ActionKind.RESCHEDULE_MAINTENANCE, Post.RESCHEDULE, content)
        return
    wanted = statuses(draft)
    revised = window.known_components and wanted != window.known_components
    components: dict[str, Any] = {"components": wanted, "window_status": window.known} if revised else {}
    owed, said = window.owed, _owed(draft)
    if owed and said:
        draft.once(ActionKind.UPDATE_MAINTENANCE, owed, draft.says(said, draft.now, **times, **components))
    elif revised:
        content = Content(message=AFFECTS + _public_names(draft) + ".", **components)
        draft.once(ActionKind.UPDATE_MAINTENANCE, Post.REVISE, content)
    else:
        for action in window.actions:
            if action.replaceable:
                draft.cancel(action, "it was edited back")


def _public_names(draft: WindowDraft) -> str:
    return list_words([escape(one_line(name), AFFECTS) for name in draft.words()["components"]])


def _owed(draft: WindowDraft) -> Said | None:
    owed, overrun = draft.window.owed, draft.plan.overrun
    return draft.meant(owed, overrun.said if owed is Post.EXTEND and overrun else draft.plan.reschedule)


def _renamed(draft: WindowDraft) -> bool:
    """Whether another revision has another title for it; one that says something else each time is no news."""
    window = draft.window
    return window.named_by not in ("", draft.revision) and normal(_title(draft)) != normal(window.known_name)


def _title(draft: WindowDraft) -> str:
    if draft.window.origin is Origin.PAGE:
        return draft.window.known_name
    return draft.plan.title.render(draft.words())
