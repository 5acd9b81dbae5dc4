"""``show``: the story of one episode or window, or of one inbound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import answer, document, remark, table, utc
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, settings_of
from worker.core.model import Window

if TYPE_CHECKING:
    from worker.core.model import Episode
    from worker.ports import Story

EVENT, DECISION, ACTION, ATTEMPT, PAGE = "event", "decided", "action", "attempt", "page got"
_ORDER = {kind: place for place, kind in enumerate((EVENT, DECISION, ACTION, ATTEMPT, PAGE))}
_STYLES = {EVENT: "cyan", ACTION: "magenta", ATTEMPT: "yellow", PAGE: "bold green"}

Chapter = tuple[datetime, str, str]


def show(
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT", help="rule#number, or a full id, as `history` shows it; or inbound/number."),
    ],
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Tell the story of one episode or maintenance window, or of one webhook.

    Of the former, in order of time: events in, decisions with their reasons, actions, attempts, and what the page got.
    Of a webhook: what was received, without what proved its sender; what was heard in it; why it is parked. Works while
    a worker runs.

    \b
    Examples:
      statusbridge show checkout-outage#3
      statusbridge show checkout-outage@main#3 --json
      statusbridge show main/db-work@2026-12-06T02:00
      statusbridge show inbound/42

    Exit codes: 0 good; 1 there is no such thing; 2 there is no such ledger.
    """
    from worker.cli.inbound import tell
    from worker.cli.reading import ledger_to_read, unknown
    from worker.ports import inbound_named

    episode = " ".join(what)
    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        number = inbound_named(episode)
        if number is not None:
            tell(book.inbound(number), number, as_json)
            return
        story = book.story(episode)
        if story is None:
            remark(unknown(book, episode))
            raise typer.Exit(NO)
    if as_json:
        from worker.telling.data import story_data

        data = asdict(story_data(story))
        document({name: value for name, value in data.items() if value is not None})
        return
    answer(_heading(_of_window(story.about) if isinstance(story.about, Window) else _of_episode(story.about)))
    table(("UTC", "WHAT", ""), [(utc(at), kind, text) for at, kind, text in _chapters(story)], _STYLES)


def _chapters(story: Story) -> list[Chapter]:
    return sorted(_told(story), key=lambda chapter: (chapter[0], _ORDER[chapter[1]]))


def _told(story: Story) -> Iterator[Chapter]:
    from worker.cli.reports import way_on
    from worker.telling.words import HASH, deed, statement, trial, words

    for at, heard in story.heard:
        yield at, EVENT, f"{statement(heard.event)} (inbound {heard.inbound_seq}, {heard.effect})"
    for decision in story.decisions:
        yield decision.at, DECISION, f"{decision.text} ← {decision.cause}"
    for attempt in story.attempts:
        yield attempt.started_at, ATTEMPT, f"{attempt.action_id.rpartition('/')[2]}.{attempt.number} {trial(attempt)}"
    for line in story.actions:
        action = line.action
        reason = f": {action.reason}" if action.reason else ""
        state = f"now {action.state.value}{reason}; rule at {action.rule_hash[:HASH]}"
        told = f"{action.seq} {deed(action)} ← {action.cause} ({state})"
        waits = way_on(action)
        yield action.created_at, ACTION, f"{told}\n{words(action.content)}\n{waits}" if waits else told
        if line.said_at:
            post = f"post {line.update_id}" if line.update_id else ""
            facts = "; ".join(filter(None, (deed(action), post)))
            yield line.said_at, PAGE, f"{action.seq} {facts}\n{words(action.content)}".strip()


def _heading(facts: Mapping[str, str]) -> str:
    return "\n".join(f"{name:<9}{text}" for name, text in facts.items() if text) + "\n"


def _of_window(window: Window) -> dict[str, str]:
    from worker.telling.words import HASH

    return {
        "window": window.id,
        "by": f"{window.origin.value} {window.plan_id} at {window.plan_hash[:HASH]}",
        "page": f"{window.page}{', maintenance ' + window.remote_id if window.remote_id else ''}",
        "about": ", ".join(window.components),
        "phase": f"{window.phase.value}{', a person has taken over' if window.hands_off else ''}",
        "starts": utc(window.begun_at or window.starts_at),
        "ends": utc(window.ended_at or window.ends_at),
        "fault": window.fault,
    }


def _of_episode(episode: Episode) -> dict[str, str]:
    from worker.telling.words import HASH, pairs

    return {
        "episode": episode.id,
        "rule": f"{episode.rule_id} at {episode.rule_hash[:HASH]}",
        "page": f"{episode.page}{', incident ' + episode.remote_id if episode.remote_id else ''}",
        "group": pairs(episode.group),
        "phase": f"{episode.phase.value}{', a person has taken over' if episode.hands_off else ''}",
        "opened": utc(episode.opened_at),
        "ended": utc(episode.ended_at),
        "fault": episode.fault,
    }
