"""
One stimulus, one episode or window: what decide is told beside it, and the commit that comes of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from worker.core import drafts, window_drafts, windows
from worker.core.episodes import decide
from worker.core.interventions import Asked
from worker.core.model import Episode, Window
from worker.core.rulebook import RuleBook
from worker.ports import Commit, Decision, Episodes, Windows
from worker.steps._surroundings import context_of

Stimulus = Asked
"""What episodes and windows alike are told."""


def decided(
    book: RuleBook,
    episodes: Episodes,
    maintenance: Windows,
    subject: Episode | Window,
    stimulus: Stimulus,
    cause: str,
    now: datetime,
) -> Commit:
    """
    Decide about one episode or window.

    Args:
        cause: What made us decide, for the history.

    Raises:
        CommandRefused: A person asks for what makes no sense now.
    """
    verdict: drafts.Verdict | window_drafts.WindowVerdict
    if isinstance(subject, Window):
        context = book.window_context(subject, episodes.revision, episodes.firing)
        verdict = windows.decide(subject, stimulus, context, now)
        window = verdict.window
        wakes = [("", window.page)] if windows.unmutes(subject, window) else []
        commit = Commit(now=now, windows=[window], wakes=wakes, revisions=book.revision(window.plan_hash))
    else:
        verdict = decide(subject, stimulus, context_of(book, subject, episodes, maintenance, now), now)
        episode = verdict.episode or subject
        wakes = book.woken(subject, episode)
        commit = Commit(now=now, episodes=[episode], wakes=wakes, revisions=book.revision(episode.rule_hash))
    return replace(
        commit,
        actions=verdict.actions,
        decisions=[Decision(aggregate=subject.id, at=now, cause=cause, text=text) for text in verdict.log],
        notices=verdict.notices,
    )
