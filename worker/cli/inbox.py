"""``inbox``: what came in, and what could not be made of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import document, remark, table, utc
from worker.cli.options import JsonOption, LedgerOption, LimitOption, SinceOption, settings_of

if TYPE_CHECKING:
    from worker.ports import Received


def inbox(
    parked: Annotated[bool, typer.Option("--parked", help="Only what could not be followed, or not in full.")] = False,
    unparsed: Annotated[
        bool, typer.Option("--unparsed", help="Only what was not understood, whole or in part.")
    ] = False,
    source: Annotated[str, typer.Option(metavar="NAME", help="Only of this source.", show_default=False)] = "",
    since: SinceOption = None,
    limit: LimitOption = 50,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show the webhooks that came in.

    The newest first, each with what became of it. Parked are those that were not understood, whole or in part, and
    those that a rule failed on; what could be followed of them was. They stay so until somebody has dismissed them.
    Works while a worker runs. Times are UTC.

    \b
    Examples:
      statusbridge inbox --parked
      statusbridge inbox --source ci --since 2h --json
      statusbridge show inbound/42        one of them: what was received, and why it is parked
      statusbridge dismiss inbound/42     seen and dealt with: it is listed as parked no more

    Exit codes: 0 good; 2 there is no such ledger.
    """
    from worker.cli.reading import ledger_to_read, moment, now
    from worker.cli.reports import footing, way_on_of_inbound
    from worker.telling.data import inbound_data
    from worker.telling.words import amount

    # What is not understood stays parked; it is never done.
    states = ("parked",) if parked else ("parked", "pending") if unparsed else ()
    start = moment("--since", since, now()) if since else None
    with ledger_to_read(settings_of(ledger=ledger).ledger) as book:
        found = book.inbounds(source=source, states=states, unparsed=unparsed, since=start, limit=limit)
    if as_json:
        document({"inbounds": [asdict(inbound_data(received)) for received in found]})
        return
    if found:

        def why(received: Received) -> str:
            return "\n".join(filter(None, (received.detail, way_on_of_inbound(received))))

        rows = [(utc(r.received_at), f"inbound/{r.seq}", r.source, r.state, amount(r), why(r)) for r in found]
        table(("UTC", "INBOUND", "SOURCE", "STATE", "SAID", "WHY"), rows)
    remark(footing(len(found), limit))
