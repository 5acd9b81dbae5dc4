"""``maintenance list|schedule|start|complete|extend|cancel``: what becomes of windows, and what people do with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.asking import ByOption, ask
from worker.cli.console import answer, document, remark, table
from worker.cli.options import JsonOption, LedgerOption, RulesOption, not_blank, settings_of
from worker.core.model import WindowPhase
from worker.errors import CommandRefused, ConfigError, NotFound

if TYPE_CHECKING:
    from worker.core.model import Window
    from worker.ledger import Ledger
    from worker.settings import Settings

SINCE = timedelta(days=1)
"""How long windows that are over are shown, unless more is asked for."""

WAITING = (WindowPhase.PLANNED, WindowPhase.SCHEDULED)
BEGUN = (WindowPhase.IN_PROGRESS,)

WindowArgument = Annotated[
    str,
    typer.Argument(metavar="WINDOW", help="Its id, as `maintenance list` shows it; or its entry, where that says all."),
]
TextOption = Annotated[
    str | None,
    typer.Option("--text", metavar="TEXT", help="Said in place of the planned text.", callback=not_blank),
]
NotifyOption = Annotated[
    bool | None,
    typer.Option("--notify/--no-notify", help="Whether it mails the subscribers. Default: as planned."),
]


def listed(
    page: Annotated[str, typer.Option(metavar="NAME", help="Only this page.", show_default=False)] = "",
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Also those that ended after: 7d, 2026-11-23T10:00Z (UTC). Default: 1d."),
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List the maintenance windows that the ledger knows.

    The earliest first: planned, announced, in progress, and those that ended lately. Entries of the rules are planned
    about eight days ahead; `maintenance preview` looks farther. Works while a worker runs. Times are UTC.

    \b
    Examples:
      statusbridge maintenance list
      statusbridge maintenance list --page main --since 30d --json

    Exit codes: 0 good; 2 there is no such ledger.
    """
    from worker.cli.reading import ledger_to_read, moment, now
    from worker.telling.data import window_data

    at = now()
    start = moment("--since", since, at) if since else at - SINCE
    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        found = [(window, _title(book, window)) for window in book.windows(start) if page in ("", window.page)]
    if as_json:
        document({"windows": [asdict(window_data(*each)) for each in found]})
        return
    if found:
        table(("WINDOW", "PHASE", "UTC", "WHAT", "NOTE"), [_row(*each) for each in found])
    remark(f"{len(found)} in all" if found else "no maintenance window that fits")


def schedule(
    page: Annotated[str, typer.Option(metavar="NAME", help="The page, as the rules call it.", callback=not_blank)],
    components: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Components, as the rules call them: api,checkout.", callback=not_blank),
    ],
    title: Annotated[str, typer.Option(metavar="TEXT", help="What the public calls it.", callback=not_blank)],
    starts: Annotated[
        str,
        typer.Option(metavar="TIME", help="now, or a time with its zone: 2026-12-06T02:00+01:00; or use --timezone."),
    ],
    length: Annotated[
        str, typer.Option("--for", metavar="LENGTH", help="How long: 30m, 1h. Or --until.", show_default=False)
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="When it ends, as --starts.", show_default=False)] = "",
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Of times without one: Europe/Berlin.", show_default=False)
    ] = "",
    text: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Announce it now with this; without, it appears when it starts.", callback=not_blank
        ),
    ] = None,
    start_text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Said when it starts.", callback=not_blank)
    ] = None,
    complete_text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Said when it is over.", callback=not_blank)
    ] = None,
    notify: Annotated[
        bool, typer.Option("--notify/--no-notify", help="Whether the first post mails the subscribers.")
    ] = False,
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Schedule a maintenance window that stands in no rules.

    It is announced, started and completed as those of the rules are, and mutes what it is about. Texts are posted as
    they are.

    \b
    Examples:
      statusbridge maintenance schedule --page main --components api,checkout --title "Database upgrade" \\
          --starts 2026-12-06T02:00 --timezone Europe/Berlin --for 1h --text "The API may be slow." --notify
      statusbridge maintenance schedule --page main --components api --title "Restart" --starts now --for 15m

    Exit codes: 0 it is planned; 1 refused, or not possible now; 2 wrong call.
    """
    from worker.cli.reading import now

    at = now()
    starts_at = _instant("--starts", starts, timezone, at)
    if bool(length) == bool(until):
        raise ConfigError("--for: say how long it takes, or --until when it ends; one of them")
    ends_at = starts_at + _length("--for", length) if length else _instant("--until", until, timezone, at)
    _ask(
        settings_of(rules=rules, ledger=ledger),
        "schedule",
        by,
        page=page,
        components=[name.strip() for name in components.split(",") if name.strip()],
        title=title,
        starts_at=starts_at,
        ends_at=ends_at,
        text=text or "",
        start_text=start_text or "",
        complete_text=complete_text or "",
        notify=notify,
    )


def start(
    window: WindowArgument,
    text: TextOption = None,
    notify: NotifyOption = None,
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Start a maintenance window now, before its time.

    It ends when it was to end; `maintenance complete` ends it earlier.

    \b
    Examples:
      statusbridge maintenance start db-work
      statusbridge maintenance start main/db-work@2026-12-06T02:00 --text "We begin early."

    Exit codes: 0 it is in progress; 1 refused, or not possible now; 2 wrong call.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    chosen = _meant(settings, window, WAITING)
    _ask(settings, "start", by, window=chosen.id, text=text or "", notify=notify)


def complete(
    window: WindowArgument,
    text: TextOption = None,
    notify: NotifyOption = None,
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Complete a maintenance window now, before its time.

    What was muted is looked at again, once the `grace` of its entry is over.

    \b
    Examples:
      statusbridge maintenance complete db-work
      statusbridge maintenance complete db-work --text "All done, earlier than planned." --notify

    Exit codes: 0 it is complete; 1 refused, or not possible now; 2 wrong call.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    chosen = _meant(settings, window, BEGUN)
    _ask(settings, "complete", by, window=chosen.id, text=text or "", notify=notify)


def extend(
    window: WindowArgument,
    length: Annotated[
        str, typer.Argument(metavar="LENGTH", help="By how much: 15m, 1h. Or --until.", show_default=False)
    ] = "",
    until: Annotated[
        str,
        typer.Option(metavar="TIME", help="When it ends, with its zone: 2026-12-06T04:00+01:00.", show_default=False),
    ] = "",
    text: TextOption = None,
    notify: NotifyOption = None,
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Let a maintenance window end later.

    The page shows the new end; with --text it is also said. What is muted stays muted as long. LENGTH counts from its
    end, or from now where that is past.

    \b
    Examples:
      statusbridge maintenance extend db-work 15m
      statusbridge maintenance extend db-work 1h --text "It takes an hour longer." --notify

    Exit codes: 0 it ends later; 1 refused, or not possible now; 2 wrong call.
    """
    from worker.cli.reading import now

    if bool(length) == bool(until):
        raise ConfigError("LENGTH: say by how much, or --until when it ends; one of them")
    settings = settings_of(rules=rules, ledger=ledger)
    chosen = _meant(settings, window, (*WAITING, *BEGUN))
    # Past its end it goes on, and only what comes from now on can be more.
    from_then = max(chosen.ends_at, now())
    ends_at = from_then + _length("LENGTH", length) if length else _instant("--until", until, "", now())
    _ask(settings, "extend", by, window=chosen.id, ends_at=ends_at, text=text or "", notify=notify)


def cancel(
    window: WindowArgument,
    text: TextOption = None,
    notify: NotifyOption = None,
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Call a maintenance window off, before it starts.

    If it was announced, the page gets a last word. An entry that repeats goes on with its next time.

    \b
    Examples:
      statusbridge maintenance cancel main/db-work@2026-12-06T02:00 --text "We do this another day."

    Exit codes: 0 it is off; 1 refused, or not possible now; 2 wrong call.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    chosen = _meant(settings, window, WAITING)
    _ask(settings, "cancel", by, window=chosen.id, text=text or "", notify=notify)


def _ask(settings: Settings, name: str, by: str | None, **fields: Any) -> None:
    for line in ask(settings, f"maintenance/{name}", by, **fields).said:
        answer(line)


# -- what is meant


def _meant(settings: Settings, reference: str, phases: Collection[WindowPhase]) -> Window:
    """Give the window of this id; or the only one of this entry, rule or title that is in one of the phases."""
    from worker.cli.reading import ledger_to_read, now

    with ledger_to_read(settings.ledger) as book:
        window = book.window(reference)
        if window is not None:
            return window
        alike = [each for each in book.windows(now() - SINCE) if reference in (each.plan_id, each.known_name)]
    fitting = [window for window in alike if window.phase in phases]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise CommandRefused(f"more than one window is meant; name one: {', '.join(each.id for each in fitting)}")
    if alike:
        stand = ", ".join(f"{each.id} is {each.phase.value.replace('_', ' ')}" for each in alike[-3:])
        raise CommandRefused(f"no window of `{reference}` can be meant: {stand}")
    raise NotFound(f"there is no window `{reference[:200]}`; `statusbridge maintenance list` names them")


def _length(option: str, text: str) -> timedelta:
    from pydantic_core import PydanticCustomError

    from worker.core.spec.scalars import parse_duration

    try:
        return parse_duration(text)
    except PydanticCustomError as wrong:
        raise ConfigError(f"{option}: {wrong.message()}") from None


def _instant(option: str, text: str, zone: str, now: datetime) -> datetime:
    """Read "now", or an ISO 8601 time; without an offset it is wall time in *zone*."""
    from zoneinfo import ZoneInfo

    if text == "now":
        return now
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: `{text[:60]}` is no time like 2026-12-06T02:00+01:00, and not `now`") from None
    if told.tzinfo is not None:
        return told.astimezone(UTC)
    if not zone:
        raise ConfigError(f"{option}: `{text[:60]}` has no zone; write {text[:60]}Z for UTC, or name --timezone")
    try:
        return told.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OSError, LookupError):
        raise ConfigError(f"--timezone: `{zone[:60]}` is no time zone like Europe/Berlin") from None


# -- what is shown


def _title(book: Ledger, window: Window) -> str:
    """What the page calls it; before that, what its entry does, where that is no template."""
    spec = {} if window.known_name else book.revision(window.plan_hash) or {}
    title = str(spec.get("maintenance", spec).get("title", ""))
    return window.known_name or ("" if "{" in title else title)


def _row(window: Window, title: str) -> tuple[str, str, str, str, str]:
    from worker.telling.words import clock_of

    starts_at, ends_at = window.begun_at or window.starts_at, window.ended_at or window.ends_at
    clock = clock_of(starts_at, ends_at)
    times = f"{starts_at:%Y-%m-%d {clock}} –\n{ends_at:%Y-%m-%d {clock}}"
    what = "\n".join(filter(None, (title, f"page {window.page}: {', '.join(window.components)}")))
    return window.id, window.phase.value.replace("_", " "), times, what, "\n".join(_notes(window))


def _notes(window: Window) -> list[str]:
    from worker.cli.reports import way_on

    waits = [f"{action.kind.value} is {action.state.value.replace('_', ' ')}" for action in window.actions]
    notes = ("a person moves it on the page" if window.hands_off else "", window.fault, *waits)
    return [*filter(None, notes), *filter(None, map(way_on, window.actions))]
