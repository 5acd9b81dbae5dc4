"""What ``show`` tells of one inbound: the request as it came, without what proved its sender, and what became of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from worker.cli.console import answer, document, remark, table, utc
from worker.cli.failures import NO

if TYPE_CHECKING:
    from worker.ports import Heard, InboundStory

EXCERPT = 2000
"""Characters of a body that people see; programs get all of it."""


def tell(story: InboundStory | None, number: int, as_json: bool) -> None:
    """
    Tell one inbound.

    Raises:
        Exit: There is none.
    """
    if story is None:
        remark(f"there is no inbound {number}; `statusbridge inbox` names them, and old ones are removed")
        raise typer.Exit(NO)
    from worker.telling.data import request_data, shown_body, shown_headers

    if as_json:
        document(asdict(request_data(story)))
        return
    answer(_heading(story))
    if story.heard:
        table(("HEARD", "EFFECT"), [_row(heard) for heard in story.heard])
        answer("")
    answer("\n".join(f"{name}: {value}" for name, value in sorted(shown_headers(story.inbound).items())))
    answer(f"\n{_excerpt(shown_body(story.inbound))}")


def _heading(story: InboundStory) -> str:
    from worker.cli.reports import way_on_of_inbound as way_on
    from worker.telling.words import amount

    received, inbound = story.received, story.inbound
    query = f"?{inbound.query}" if inbound.query else ""
    facts = {
        "inbound": str(received.seq),
        "received": f"{utc(received.received_at)} UTC",
        "request": f"{inbound.method} /hooks/{received.source}{query}, {received.size} bytes",
        "says": amount(received),
        "state": received.state,
        "why": "\n         ".join(filter(None, (received.detail, way_on(received)))),
    }
    return "\n".join(f"{name:<9}{text}" for name, text in facts.items() if text) + "\n"


def _row(heard: Heard) -> tuple[str, str]:
    from worker.telling.words import statement

    return statement(heard.event), heard.effect


def _excerpt(body: str) -> str:
    rest = len(body) - EXCERPT
    return body if rest <= 0 else f"{body[:EXCERPT]}…\n({rest} more characters: --json shows all)"
