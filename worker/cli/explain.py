"""``explain``: what do the rules make of this payload, and why?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.console import answer, document, remark, utc
from worker.cli.failures import NO
from worker.cli.options import JsonOption, LedgerOption, RulesOption, header_of, settings_of
from worker.errors import ConfigError

if TYPE_CHECKING:
    from worker.core.answers import Answer, Statement
    from worker.core.matching import Line
    from worker.core.model import Event, Inbound
    from worker.core.ruleset import RuleSet
    from worker.ports import InboundStory
    from worker.rehearse.account import Ahead
    from worker.rehearse.places import Places


def explain(
    payload: Annotated[
        str, typer.Argument(metavar="PAYLOAD", help="A file with the body; - reads it; or inbound/NUMBER of a ledger.")
    ],
    source: Annotated[
        str,
        typer.Option(metavar="NAME", help="The source of the rules that it comes from.", show_default=False),
    ] = "",
    rules: RulesOption = None,
    ledger: LedgerOption = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header of it. Repeatable.", show_default=False)
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="When it comes: 2026-12-06T01:30Z, or 2h ago: 2h. Now.")
    ] = None,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="How far to look ahead.")] = "1d",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every line of every rule.")] = False,
    as_json: JsonOption = False,
) -> None:
    """
    Explain what the rules make of a payload, rule by rule and line by line.

    Of a file also what would come of it if it came now, alone: what is held, and what the page would say and when. Of
    an inbound of the ledger what did come of it. Needs no secret; nothing is sent.

    \b
    Examples:
      statusbridge explain firing.json --source alertmanager
      statusbridge explain firing.json --source alertmanager --at 2026-12-06T01:30Z    during maintenance
      statusbridge explain inbound/42

    Exit codes: 0 good; 1 it cannot be understood, or there is no such inbound; 2 the rules or the call are wrong.
    """
    from worker.ports import inbound_named

    settings = settings_of(rules=rules, ledger=ledger)
    number = inbound_named(payload)
    if number is not None:
        _of_ledger(settings.rules, settings.ledger, number, verbose=verbose, as_json=as_json)
        return
    if not source:
        raise ConfigError("--source: say which source of the rules the payload comes from")
    from worker.cli.reading import moment, now

    body = sys.stdin.buffer.read() if payload == "-" else Path(payload).read_bytes()
    headers = dict(header_of(text) for text in header or ())
    received_at = moment("--at", at, now()) if at else now().replace(microsecond=0)
    _of_file(settings.rules, source, body, headers, received_at, _length(length), verbose=verbose, as_json=as_json)


def _length(text: str) -> timedelta:
    from pydantic_core import PydanticCustomError

    from worker.core.spec.scalars import parse_duration

    try:
        return parse_duration(text)
    except PydanticCustomError as wrong:
        raise ConfigError(f"--for: {wrong}") from None


# --- a file


def _of_file(
    folder: Path,
    source: str,
    body: bytes,
    headers: Mapping[str, str],
    at: datetime,
    length: timedelta,
    *,
    verbose: bool,
    as_json: bool,
) -> None:
    from worker.bootstrap import load_rules
    from worker.bootstrap.rehearsal import places_in, stage_for
    from worker.core.answers import asked
    from worker.core.model import Inbound
    from worker.core.spelling import suggest
    from worker.rehearse.account import ahead

    loaded = load_rules(folder)
    if source not in loaded.sources:
        raise ConfigError(f"--source: there is no source `{source[:60]}`{suggest(source, loaded.sources, 'there is')}")
    inbound = Inbound(source=source, body=body, headers=headers, received_at=at)
    events, unread = _read(loaded, inbound)
    statements = asked(loaded, events)
    coming = ahead(stage_for(loaded, at), inbound, length)
    if as_json:
        document({**_data(statements, unread), "ahead": _ahead_data(coming)})
    else:
        _tell(statements, unread, places_in(folder), verbose=verbose)
        if events:
            answer("\n".join(_ahead_in_words(coming, places_in(folder), at, length)))
    if not events:
        raise typer.Exit(NO)


def _read(rules: RuleSet, inbound: Inbound) -> tuple[list[Event], list[str]]:
    """Give what a body says, and what of it cannot be read."""
    from worker.core.model import Event, Unreadable
    from worker.errors import PayloadNotUnderstood
    from worker.sources import SOURCES

    config = rules.sources[inbound.source]
    try:
        said = SOURCES[config.kind].normalise(inbound, config)
    except PayloadNotUnderstood as failed:
        return [], [str(failed)]
    return [s for s in said if isinstance(s, Event)], [s.why for s in said if isinstance(s, Unreadable)]


# --- an inbound of the ledger


def _of_ledger(folder: Path, url: str, number: int, *, verbose: bool, as_json: bool) -> None:
    from worker.bootstrap import load_rules
    from worker.bootstrap.rehearsal import places_in
    from worker.cli.reading import ledger_to_read
    from worker.core.answers import asked

    loaded = load_rules(folder)
    with ledger_to_read(url) as book:
        story = book.inbound(number)
        if story is None:
            remark(f"there is no inbound {number}; `statusbridge inbox` names them, and old ones are removed")
            raise typer.Exit(NO)
        since = story.inbound.received_at
        later = [line for line in book.history(since=since, limit=10_000) if line.episode in _aggregates(story)]
    statements = asked(loaded, [heard.event for heard in story.heard])
    effects = [heard.effect for heard in story.heard]
    if as_json:
        from worker.telling.data import action_data

        led = [{"about": each.aggregate, "at": each.at, "text": each.text} for each in story.decisions]
        document(
            {
                **_data(statements, [story.received.detail] if story.received.detail else []),
                "effects": effects,
                "decisions": led,
                "actions": [asdict(action_data(line)) for line in reversed(later)],
            }
        )
        return
    answer(f"inbound {number} from {story.inbound.source}, {utc(since)} UTC, {story.received.state}")
    unread = [story.received.detail] if story.received.detail else []
    _tell(statements, unread, places_in(folder), verbose=verbose, effects=effects)
    answer("\n".join(_led_to(story, later)))


def _aggregates(story: InboundStory) -> set[str]:
    return {each.aggregate for each in story.decisions}


def _led_to(story: InboundStory, later: Sequence[Any]) -> Iterator[str]:
    from worker.telling.words import deed, words

    if not story.decisions:
        yield "nothing was decided because of it"
        return
    yield "what was decided because of it"
    for each in story.decisions:
        yield f"  {utc(each.at)}  {each.aggregate}: {each.text}"
    if later:
        yield "what was said since then about the same"
    for line in reversed(later):
        state = "" if line.said_at else f"[{line.action.state}] "
        reason = f"  ({line.action.reason})" if line.action.reason else ""
        yield f"  {utc(line.shown_at)}  {state}{deed(line.action)}{reason}"
        yield from (f"      {text}" for text in words(line.action.content).splitlines())


# --- words


def _tell(
    statements: Sequence[Statement],
    unread: Sequence[str],
    places: Places,
    *,
    verbose: bool,
    effects: Sequence[str] = (),
) -> None:
    for why in unread:
        remark(f"not understood: {why}")
    for number, statement in enumerate(statements):
        effect = f"  → {effects[number]}" if number < len(effects) else ""
        answer("\n".join([*_statement(statement, places, effect, verbose=verbose), ""]))
    if not statements and not unread:
        answer("it says nothing that rules could be asked about")


def _statement(statement: Statement, places: Places, effect: str, *, verbose: bool) -> Iterator[str]:
    from worker.cli.sayings import heard

    yield heard(statement.event, 0) + effect
    if not statement.answers:
        yield "  no rule is asked: it is resolved, and whatever it was part of hears of it"
    for found in statement.answers:
        yield from _answer(found, places, verbose=verbose)


def _answer(found: Answer, places: Places, *, verbose: bool) -> Iterator[str]:
    place = places.rule(found.rule.id) or found.rule.place
    yield f"  {'matches' if found.matches else 'no match'}  {found.rule.id}  ({place})"
    for line in found.lines if verbose or found.matches else found.failed[:1]:
        yield f"      {_line(found, line, places)}"
    if not found.matches:
        return
    if found.fault:
        yield f"      components: {found.fault}"
    elif found.idle:
        yield "      counts for nothing: its severity has no status in `components`"
    elif found.components:
        yield "      components: " + ", ".join(f"{name} {status}" for name, status in found.components.items())


def _line(found: Answer, line: Line, places: Places) -> str:
    from worker.rehearse.why import in_words, line_place

    if not line.held:
        return f"{in_words(line)}  ({line_place(found.rule, line, places)})"
    if line.field == "if" or line.field.startswith("group_by."):
        return f"`{line.field}` gives `{line.actual}`: {line.wanted}"
    return f"`{line.field}` is `{line.actual}`"


def _ahead_in_words(coming: Ahead, places: Places, at: datetime, length: timedelta) -> Iterator[str]:
    from worker.cli.sayings import called, heard
    from worker.core.spec.scalars import format_duration
    from worker.rehearse.verdict import clock
    from worker.rehearse.why import came
    from worker.telling.words import words

    yield f"if it came at {utc(at)} UTC, and nothing else for {format_duration(length)}"
    told: dict[str, datetime] = {}
    for saying in coming.said:
        aggregate = saying.action.aggregate
        for because in came(coming.stage, coming.came, saying, places, told.get(aggregate)):
            text = because.text if because.event is None else heard(because.event, because.more)
            since = clock(because.at, at) if because.at is not None else ""
            yield f"  {since:<6} {text}" + (f"  ({because.place})" if because.place else "")
        told[aggregate] = saying.action.created_at
        yield f"  {clock(saying.at, at):<6} {called(saying)}"
        yield from (f"           {line}" for line in words(saying.action.content).splitlines())
    for aggregate, text in coming.quiet:
        yield f"  {aggregate}: {text}; nothing is said"
    for when, notice in coming.stage.notices:
        yield f"  {clock(when, at):<6} the team is told: {notice.text}"
    if not coming.said and not coming.quiet:
        yield "  nothing comes of it"


# --- data


def _data(statements: Sequence[Statement], unread: Sequence[str]) -> dict[str, Any]:
    from worker.telling.data import statement_data

    return {"statements": [asdict(statement_data(each)) for each in statements], "not_understood": list(unread)}


def _ahead_data(coming: Ahead) -> Mapping[str, Any]:
    from worker.cli.sayings import saying_data

    return {
        "actions": [saying_data(saying) for saying in coming.said],
        "quiet": [{"about": aggregate, "why": text} for aggregate, text in coming.quiet],
        "notices": [{"at": at, "code": notice.code, "text": notice.text} for at, notice in coming.stage.notices],
    }
