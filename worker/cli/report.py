"""``report``: what did the rules say, what would they have said, and were people faster?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer

from worker.cli.console import answer, document, utc
from worker.cli.options import JsonOption, LedgerOption, RulesOption, settings_of
from worker.errors import ConfigError

if TYPE_CHECKING:
    from worker.core.model import Directory, RemoteIncident
    from worker.core.outlook import Opening, Outlook
    from worker.core.ruleset import RuleSet
    from worker.ledger import Ledger
    from worker.ports import HistoryLine

ALL = 1_000_000
_STATES: Mapping[str, str] = {
    "done": "published",
    "shadowed": "in shadow",
    "awaiting_approval": "awaiting approval",
    "held": "held",
    "parked": "parked",
}


@runtime_checkable
class Past(Protocol):
    """A provider that can list incidents that are over."""

    def published(self, directory: Directory, since: datetime) -> Sequence[RemoteIncident]: ...


def report(
    since: Annotated[str, typer.Option(metavar="TIME", help="How long back: 7d, 12h; or a time (UTC).")] = "7d",
    page: Annotated[str, typer.Option(metavar="NAME", help="Only this page.", show_default=False)] = "",
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the page what people opened themselves. Reads only.")
    ] = False,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Sum up what the rules said, or with `publish: shadow` would have said.

    Counts incidents, updates and mails by what became of them. With --online each incident is held against what people
    opened on the page about the same components: who was faster, and what did only one of them see? Works while a
    worker runs.

    \b
    Examples:
      statusbridge report --since 7d
      statusbridge report --since 30d --online --rules rules     after a month in shadow

    Exit codes: 0 good; 1 a page cannot be read now (--online); 2 there is no such ledger or page, or a key is missing.
    """
    from worker.cli.reading import ledger_to_read, moment, now

    settings = settings_of(rules=rules, ledger=ledger)
    start = moment("--since", since, now())
    loaded = _rules(settings.rules, page) if online else None
    with ledger_to_read(settings.ledger) as book:
        lines = book.history(page=page, since=start, limit=ALL)
        pages = sorted({line.action.page for line in lines} | set(_pages(loaded, page)))
        by_page = {name: [line for line in lines if line.action.page == name] for name in pages}
        looks = {name: _outlook(book, by_page[name], name, start, loaded) for name in pages}
    if as_json:
        document({"since": start, "pages": {name: _data(look) for name, look in looks.items()}})
        return
    told = ["\n".join(_tell(name, look, start, online=online)) for name, look in looks.items()]
    answer("\n\n".join(told) or f"nothing was said since {utc(start)} UTC")


def _rules(folder: Any, page: str) -> RuleSet:
    from worker.bootstrap import load_rules
    from worker.core.spelling import suggest

    loaded = load_rules(folder)
    if page and page not in loaded.pages:
        raise ConfigError(f"--page: the rules have no page `{page[:60]}`{suggest(page, loaded.pages, 'pages')}")
    return loaded


def _pages(rules: RuleSet | None, page: str) -> list[str]:
    return [name for name in rules.pages if page in ("", name)] if rules is not None else []


def _outlook(book: Ledger, lines: Sequence[HistoryLine], page: str, since: datetime, rules: RuleSet | None) -> Outlook:
    from worker.core.outlook import CREATES, Opening, Outlook, counted, held_against
    from worker.telling.words import label

    counts = counted([line.action for line in lines])
    openings = [
        Opening(called=label(line), action=line.action, at=line.shown_at)
        for line in reversed(lines)
        if line.action.kind in CREATES and line.action.state in counts
    ]
    if rules is None or page not in rules.pages:
        return Outlook(counts=counts, openings=openings)
    published, directory = _published(rules, page, since)
    people = [each for each in published if not book.own_updates(each.id)]
    recent = [each for each in people if each.published_at is not None and each.published_at >= since]
    paired, alone = held_against(openings, recent, directory.components)
    return Outlook(counts=counts, openings=paired, people=alone)


def _published(rules: RuleSet, page: str, since: datetime) -> tuple[Sequence[RemoteIncident], Directory]:
    from worker.bootstrap import provider_for, utc_now

    provider = provider_for(rules.pages[page], os.environ, utc_now)
    if not isinstance(provider, Past):
        raise ConfigError(f"page `{page}`: its provider does not tell of incidents that are over; leave out --online")
    directory = provider.directory()
    return provider.published(directory, since), directory


# --- words


def _tell(page: str, look: Outlook, since: datetime, *, online: bool) -> Iterator[str]:
    yield f"page {page}, since {utc(since)} UTC"
    by_state = {state.value: counts for state, counts in look.counts.items()}
    for state in [*(known for known in _STATES if known in by_state), *sorted(by_state.keys() - _STATES.keys())]:
        told = ", ".join(_many(count, name) for name, count in by_state[state].items())
        yield f"  {_STATES.get(state, state):<18} {told}"
    if not look.counts:
        yield "  the rules said nothing"
    if online:
        yield from _against_people(look)
    yield f"  {_verdict(look, online=online)}"


def _against_people(look: Outlook) -> Iterator[str]:
    for opening in look.openings:
        yield f"  {utc(opening.at)}  {opening.called}: {_faster(opening)}"
    for incident in look.people:
        yield f"  {utc(incident.published_at)}  people alone: “{incident.name}”"


def _faster(opening: Opening) -> str:
    if opening.people is None or opening.lead is None:
        return "nobody opened one by hand"
    return f"{_span(opening.lead)} people (“{opening.people.name}”)"


def _span(lead: timedelta) -> str:
    from worker.core.phrases import duration

    return f"{duration(abs(lead))} {'before' if lead >= timedelta() else 'after'}"


def _verdict(look: Outlook, *, online: bool) -> str:
    """Say it in one line: "would have opened 3, mailed 2, median 4 minutes before people did"."""
    from worker.core.model import ActionState

    shadow = look.counts.get(ActionState.SHADOWED)
    done = look.counts.get(ActionState.DONE)
    parts = []
    for told, counts in (("would have opened", shadow), ("opened", done)):
        if counts is not None:
            parts.append(f"{told} {counts['incidents']}, mailed {counts['mails']}")
    lead = look.lead
    if lead is not None:
        parts.append(f"median {_span(lead)} people did")
    if online:
        alone = sum(opening.people is None for opening in look.openings)
        parts += [f"{alone} that nobody opened by hand"] if alone else []
        parts += [f"people opened {len(look.people)} that no rule saw"] if look.people else []
    return "; ".join(parts) or "nothing to sum up"


def _many(count: int, plural: str) -> str:
    return f"{count} {plural if count != 1 else plural[:-1]}"


# --- data


def _data(look: Outlook) -> Mapping[str, Any]:
    lead = look.lead
    return {
        "counts": {state.value: dict(counts) for state, counts in look.counts.items()},
        "openings": [
            {
                "episode": opening.called,
                "at": opening.at,
                "state": opening.action.state.value,
                "title": opening.action.content.title,
                "mails": opening.action.content.notify,
                "people": opening.people.id if opening.people is not None else None,
                "lead_seconds": opening.lead.total_seconds() if opening.lead is not None else None,
            }
            for opening in look.openings
        ],
        "people_alone": [
            {"id": incident.id, "name": incident.name, "at": incident.published_at} for incident in look.people
        ],
        "median_lead_seconds": lead.total_seconds() if lead is not None else None,
    }
