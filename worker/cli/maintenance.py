"""``maintenance``: windows as code, and what becomes of them."""

from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli import windows
from worker.cli.console import document, remark, table
from worker.cli.options import JsonOption, RulesOption, settings_of
from worker.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    from worker.core.recurrence import Occurrence
    from worker.core.ruleset import WindowEntry

    Row = tuple[WindowEntry, Occurrence, str]
    """An occurrence, and what is to be minded about it."""

maintenance = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Maintenance windows: those of the rules, and by hand."
)


@maintenance.command()
def preview(
    rules: RulesOption = None,
    window: Annotated[str, typer.Option("--id", metavar="ID", help="Only this window.", show_default=False)] = "",
    count: Annotated[int, typer.Option("--next", metavar="NUMBER", min=1, max=1000, help="How many at most.")] = 10,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From when on: 2027-03-01 (UTC), or how long back: 7d. Else now."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show when the maintenance windows of the rules come next.

    Local and UTC, the soonest first; the note says what a change of the clocks does. Needs no secret and no network.

    \b
    Examples:
      statusbridge maintenance preview --next 20
      statusbridge maintenance preview --id db-work --from 2027-03-01
      statusbridge maintenance preview --json

    Exit codes: 0 good; 2 the rules are wrong, or there is no such window.
    """
    from worker.cli.reading import moment, now

    at = moment("--from", start, now()) if start else now()
    coming = {plan.id: _rows(plan, at, count) for plan in _plans(settings_of(rules=rules).rules, window)}
    rows = sorted(chain(*coming.values()), key=lambda row: row[1].starts_at)[:count]
    if as_json:
        document({"occurrences": [_as_data(*row) for row in rows]})
        return
    if rows:
        table(("WINDOW", "LOCAL", "ZONE", "UTC", "NOTE"), [_as_cells(*row) for row in rows])
    if not coming:
        remark("there is no `maintenance` in these rules")
    for name in (name for name, found in coming.items() if not found):
        remark(f"`{name}` does not happen any more")


def _plans(directory: Path, window: str) -> list[WindowEntry]:
    from worker.bootstrap import load_rules
    from worker.core.spelling import suggest

    plans = load_rules(directory).maintenance
    ids = [plan.id for plan in plans]
    if window and window not in ids:
        raise ConfigError(f"--id: there is no window `{window[:60]}` in these rules{suggest(window, ids, 'there is')}")
    return [plan for plan in plans if window in ("", plan.id)]


def _rows(plan: WindowEntry, at: datetime, count: int) -> list[Row]:
    from worker.core.recurrence import occurrences

    found = occurrences(plan, at, most=count)
    offsets = [_offset(one.local_start) for one in found]
    changes = [f"offset changes to {now}" if now != was else "" for was, now in pairwise(offsets[:1] + offsets)]
    return [(plan, one, one.shifted or change) for one, change in zip(found, changes, strict=True)]


def _offset(local: datetime) -> str:
    """Give "+01:00"."""
    return local.isoformat(timespec="minutes")[-6:]


def _as_cells(plan: WindowEntry, one: Occurrence, note: str) -> tuple[str, ...]:
    was, will_be = _offset(one.local_start), _offset(one.local_end)
    changes = "" if was == will_be else f" {was}"
    local = f"{_span(one.local_start, one.local_end, changes)} {will_be}"
    return plan.id, local, plan.timezone, _span(one.starts_at, one.ends_at), note


def _span(start: datetime, end: datetime, changes: str = "") -> str:
    """
    Write "Sun 2026-12-06 02:00 – 03:00"; the end with its day where it is another.

    Args:
        changes: Put behind the start, where what holds for it does not hold for the end.
    """
    from worker.telling.words import clock_of

    clock = clock_of(start, end)
    day = f"%a %Y-%m-%d {clock}"
    return f"{start.strftime(day)}{changes} – {end.strftime(clock if start.date() == end.date() else day)}"


def _as_data(plan: WindowEntry, one: Occurrence, note: str) -> dict[str, Any]:
    return {
        "window": plan.id,
        "key": one.key,
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
        "local_start": one.local_start.isoformat(),
        "local_end": one.local_end.isoformat(),
        "timezone": plan.timezone,
        "pages": plan.pages,
        "components": plan.components,
        "note": note,
    }


for _name, _command in (
    ("list", windows.listed),
    ("schedule", windows.schedule),
    ("start", windows.start),
    ("complete", windows.complete),
    ("extend", windows.extend),
    ("cancel", windows.cancel),
):
    maintenance.command(_name)(_command)
