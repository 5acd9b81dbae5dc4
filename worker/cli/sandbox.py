"""``sandbox``: a status page to rehearse on."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated

import typer

from worker.cli.console import answer
from worker.errors import ConfigError


def sandbox(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0 takes a free one.")] = 8090,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            "--faults",
            metavar="NAME[:SECONDS]=CHANCE",
            help="What may go wrong, and how likely for each request: drop-applied=0.05, slow:3=0.2 … Repeatable.",
            show_default=False,
        ),
    ] = None,
    switches: Annotated[
        list[str] | None,
        typer.Option(
            "--switch",
            metavar="NAME=VALUE",
            help="Behaviour that the vendor does not document: list_lag=5, second_resolve=refuse … Repeatable.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="The same seed and requests meet the same faults.")] = 0,
) -> None:
    """
    Run a status page to rehearse on.

    The vendor's API, the API of its widget and the public page, in one server on this machine. Nothing of it leaves the
    machine and nothing is kept. Runs until Ctrl-C or SIGTERM.

    \b
    Example: a page that answers one request in ten late, and loses one answer in twenty
      statusbridge sandbox --fault slow:3=0.1 --fault drop-applied=0.05
      # in the rules, for the page: base_url: http://127.0.0.1:8090

    Exit codes: 0 stopped by SIGTERM; 2 wrong call, or the address is taken; 130 stopped by Ctrl-C.
    """
    from worker.cli.reading import now
    from worker.sandbox import DEFAULT, Faults, SandboxServer, State, Switches, build_pages

    state = State(build_pages(DEFAULT, now()), switches=Switches.parse(switches or ()))
    chances = Faults.parse(faults or (), seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = SandboxServer(state, chances, host=host, port=port)
    except OSError as taken:
        raise ConfigError(f"cannot listen on {host}:{port}: {taken.strerror}; choose another --port") from None
    with server:
        answer(
            f"public page  {server.url}/\n"
            f"API          {server.url}   (base_url in the rules)\n"
            f"API key      {state.api_key}\n"
            f"pages        {', '.join(page.name for page in state.pages.values())}"
        )
        threading.Event().wait()
