"""``approve``, ``dismiss``, ``retry``, ``adopt``: what people do with what waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.asking import ByOption, ask
from worker.cli.console import answer
from worker.cli.options import LedgerOption, RulesOption, not_blank, settings_of
from worker.errors import CommandRefused, ConfigError, NotFound

if TYPE_CHECKING:
    from worker.core.model import Action, Episode, Window
    from worker.ledger import Ledger
    from worker.settings import Settings

SHORTEST_HASH = 8

ActionArgument = Annotated[
    str,
    typer.Argument(
        metavar="ACTION", help="Its id, as `history` shows it; or its episode, where only one of its actions waits."
    ),
]


def approve(
    action: ActionArgument,
    seen: Annotated[
        str | None,
        typer.Option("--hash", metavar="HASH", help="What was looked at; 8 characters or more.", callback=not_blank),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Post this in place of its text.", callback=not_blank),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option("--title", metavar="TEXT", help="Post this in place of its title.", callback=not_blank),
    ] = None,
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Let a post go out that waits for approval.

    Binds exactly what `history` and `show` tell of it: page, texts, statuses, components, times and mailing. Without
    --hash it prints what it has approved. With --text and --title it goes out in other words. A newer decision takes
    the place of what waits, and needs an approval of its own. Each is good for once.

    \b
    Examples:
      statusbridge approve checkout-outage#3
      statusbridge approve checkout-outage@main#3/1 --hash 92570a6f2f8f
      statusbridge approve checkout-outage#3 --text "Payments fail for some customers. We are on it."

    Exit codes: 0 it goes out; 1 refused, or not possible now; 2 wrong call.
    """
    from worker.core.approval import approval_hash, to_be_approved
    from worker.telling.words import deed, words

    settings = settings_of(rules=rules, ledger=ledger)
    wanted = _one(settings, action, to_be_approved, "waits for approval")
    full = approval_hash(wanted)
    if seen and (len(seen) < SHORTEST_HASH or not full.startswith(seen.lower())):
        raise CommandRefused(f"{wanted.id} is not what {seen[:64]} stands for: its hash is {full}; look at it again")
    said = replace(wanted.content, title=title or wanted.content.title, message=text or wanted.content.message)
    answer(f"{wanted.id} {deed(wanted)}\n{words(said)}")
    _ask(settings, "approve", by, action=wanted.id, hash=full, title=title or "", text=text or "")


def dismiss(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="Id of an action, or of an episode that is not public yet; or a parked webhook, inbound/NUMBER.",
        ),
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.", show_default=False)] = "",
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Do not publish something that waits; or set a parked webhook aside.

    An update that is dismissed is not said; the next change is. An opening that is dismissed ends its episode: what
    fires later is another one. What is on the page already is ended there. A webhook that is dismissed is kept, with
    who did it, when and why, and is not listed as parked any more.

    \b
    Examples:
      statusbridge dismiss checkout-outage@main#3/2
      statusbridge dismiss inbound/42 --reason "a misconfigured sender, mended"
      statusbridge dismiss checkout-outage#3 --reason "a false alarm"

    Exit codes: 0 it is dismissed; 1 refused, or not possible now; 2 wrong call.
    """
    from worker.ports import inbound_named

    settings = settings_of(rules=rules, ledger=ledger)
    number = inbound_named(subject)
    if number is not None:
        _ask(settings, "dismiss", by, subject=f"inbound/{number}", reason=reason)
        return
    whole, action = _found(settings, subject)
    _ask(settings, "dismiss", by, subject=action.id if action else whole.id, reason=reason)


def retry(action: ActionArgument, by: ByOption = None, rules: RulesOption = None, ledger: LedgerOption = None) -> None:
    """
    Let an action go out that is held or parked.

    Once you have looked and, where need be, mended what kept it back. Behind somebody else's incident it opens anyway.
    What may have arrived is looked for on the page first, and only sent where it is not there.

    \b
    Examples:
      statusbridge retry checkout-outage#3
      statusbridge retry checkout-outage@main#3/2

    Exit codes: 0 it goes out; 1 refused, or not possible now; 2 wrong call.
    """
    from worker.core.approval import to_be_approved
    from worker.core.model import ActionState

    def stuck(each: Action) -> bool:
        return each.state in (ActionState.HELD, ActionState.PARKED) and not to_be_approved(each)

    settings = settings_of(rules=rules, ledger=ledger)
    _ask(settings, "retry", by, action=_one(settings, action, stuck, "is held or parked").id)


def adopt(
    subject: Annotated[str, typer.Argument(metavar="WHAT", help="Episode or window: rule#number, or the full id.")],
    by: ByOption = None,
    rules: RulesOption = None,
    ledger: LedgerOption = None,
) -> None:
    """
    Give back to the worker what a person has taken over on the page.

    Reads the page: all that it shows now counts as seen, and the worker goes on from there. What is over meanwhile is
    resolved; what goes on although somebody resolved it is opened again.

    \b
    Examples:
      statusbridge adopt checkout-outage#3

    Exit codes: 0 the worker has it; 1 refused, or the page cannot be read; 2 wrong call, or a secret is missing.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    whole, action = _found(settings, subject)
    if action is not None:
        raise ConfigError(f"WHAT: `{subject}` is an action; name its episode or window: {whole.id}")
    _ask(settings, "adopt", by, subject=whole.id)


def _ask(settings: Settings, name: str, by: str | None, **fields: str) -> None:
    for line in ask(settings, name, by, **fields).said:
        answer(line)


# -- what is meant


def _one(settings: Settings, reference: str, waits: Callable[[Action], bool], words: str) -> Action:
    """Give the action that is named, or the only one that waits of the episode or window that is."""
    whole, action = _found(settings, reference)
    if action is not None:
        return action
    waiting = [each for each in whole.actions if waits(each)]
    if len(waiting) == 1:
        return waiting[0]
    if waiting:
        raise CommandRefused(f"more than one action of {whole.id} {words}: {', '.join(each.id for each in waiting)}")
    raise CommandRefused(f"nothing of {whole.id} {words}")


def _found(settings: Settings, reference: str) -> tuple[Episode | Window, Action | None]:
    """Find an episode or window, or an action of one that is not settled."""
    from worker.cli.reading import ledger_to_read, unknown

    with ledger_to_read(settings.ledger) as book:
        whole = _aggregate(book, reference)
        if whole is not None:
            return whole, None
        aggregate, _, seq = reference.rpartition("/")
        whole = _aggregate(book, aggregate) if seq.isdecimal() else None
        if whole is None:
            raise NotFound(unknown(book, reference[:200]))
        action = next((each for each in whole.actions if each.seq == int(seq)), None)
        if action is None:
            line = next((each for each in book.history(limit=100_000) if each.action.id == f"{whole.id}/{seq}"), None)
            became = f"is {line.action.state} already" if line else "does not exist"
            raise CommandRefused(f"{whole.id}/{seq} {became}")
        return whole, action


def _aggregate(book: Ledger, reference: str) -> Episode | Window | None:
    story = book.story(reference)
    return story.about if story else None
