"""
One stimulus, one episode or window: what decide is told beside it, and the commit that comes of it. All steps ask
alike.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from worker.core import drafts, episodes, window_drafts, windows
from worker.core.footprints import Matched, Observed
from worker.core.interventions import Asked
from worker.core.model import Episode, Outcome, Window
from worker.core.rulebook import RuleBook
from worker.ports import Commit, Decision, Episodes, Windows


def about_either(
    book: RuleBook,
    ledger: Episodes,
    maintenance: Windows,
    subject: Episode | Window,
    stimulus: Asked | Observed | Matched | Outcome,
    cause: str,
    now: datetime,
) -> Commit:
    """Decide about an episode or a window; see the two below."""
    if isinstance(subject, Window):
        return about_window(book, ledger, subject, stimulus, cause, now)
    return about_episode(book, ledger, maintenance, subject, stimulus, cause, now)


def about_episode(
    book: RuleBook,
    ledger: Episodes,
    maintenance: Windows,
    episode: Episode,
    stimulus: drafts.Stimulus,
    cause: str,
    now: datetime,
) -> Commit:
    """
    Decide about one episode.

    Args:
        cause: What made us decide, for the history.

    Returns:
        With the episode, also where nothing about it is different.

    Raises:
        CommandRefused: A person asks for what makes no sense now.
        LedgerUnavailable: The ledger cannot be read now.
    """
    rule = book.followed_by(episode, ledger.revision)
    context = book.context(rule, episode.page, ledger.live, maintenance.muting(now), ledger.beats, now)
    verdict = episodes.decide(episode, stimulus, context, now)
    after = verdict.episode or episode
    commit = Commit(
        now=now, episodes=[after], wakes=book.woken(episode, after), revisions=book.revision(after.rule_hash)
    )
    return _with(commit, episode.id, verdict, cause)


def about_window(
    book: RuleBook,
    ledger: Episodes,
    window: Window,
    stimulus: window_drafts.Stimulus,
    cause: str,
    now: datetime,
    *,
    gone: bool = False,
) -> Commit:
    """
    Decide about one maintenance window; as ``about_episode``.

    Args:
        gone: Its entry does not have it any more.
    """
    context = book.window_context(window, ledger.revision, ledger.firing)
    verdict = windows.decide(window, stimulus, replace(context, gone=context.gone or gone), now)
    after = verdict.window
    wakes = [("", after.page)] if windows.unmutes(window, after) else []
    commit = Commit(now=now, windows=[after], wakes=wakes, revisions=book.revision(after.plan_hash))
    return _with(commit, window.id, verdict, cause)


def _with(commit: Commit, aggregate: str, verdict: drafts.Verdict | window_drafts.WindowVerdict, cause: str) -> Commit:
    lines = [Decision(aggregate=aggregate, at=commit.now, cause=cause, text=text) for text in verdict.log]
    return replace(commit, actions=verdict.actions, decisions=lines, notices=verdict.notices)
