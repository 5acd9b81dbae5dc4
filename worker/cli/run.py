"""``run``: the worker."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.console import answer, remark
from worker.cli.options import LedgerOption, RulesOption

if TYPE_CHECKING:
    from worker.bootstrap.worker import Worker


def run(
    rules: RulesOption = None,
    ledger: LedgerOption = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; else STATUSBRIDGE_HOST, else 127.0.0.1. Others need STATUSBRIDGE_ADMIN_TOKEN.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="0 takes a free one; else STATUSBRIDGE_PORT, else 8080.",
            show_default=False,
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format",
            metavar="console|json",
            help="Form of the logs on standard error; else STATUSBRIDGE_LOG_FORMAT.",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            metavar="debug|info|warning|error",
            help="Least severe line to log; else STATUSBRIDGE_LOG_LEVEL.",
        ),
    ] = None,
    reconcile: Annotated[
        bool,
        typer.Option("--reconcile", help="Publish nothing before the ledger was matched with every page."),
    ] = False,
) -> None:
    """
    Receive webhooks and keep the status page up to date.

    Takes webhooks at once; its pages are asked in the background. Rules that change are read again within seconds, or
    at once on SIGHUP; a set that cannot be used changes nothing. Runs until SIGTERM or Ctrl-C, then finishes what is
    under way, within about 15 seconds.

    A ledger that was put back from a backup is known as one: nothing is published then before what it believes was
    matched with what the pages show. `--reconcile` asks for the same where nothing tells so: after a whole machine was
    put back.

    \b
    Examples:
      statusbridge run --rules rules
      STATUSBRIDGE_ADMIN_TOKEN=… statusbridge run --rules /etc/statusbridge/rules \\
          --ledger sqlite:////var/lib/statusbridge/ledger.db --host 0.0.0.0 --log-format json

    Exit codes: 0 stopped by SIGTERM; 2 the rules, a setting or a secret is wrong, or the ledger is held by another
    worker, damaged or not writable; 74 the ledger can be trusted no more; 130 stopped by Ctrl-C.
    """
    flags = {
        "rules": rules,
        "ledger": ledger,
        "host": host,
        "port": port,
        "log_format": log_format,
        "log_level": log_level,
    }
    _serve(_worker(flags, reconcile=reconcile))


def _worker(flags: dict[str, Path | str | int | None], *, reconcile: bool) -> Worker:
    from worker.settings import from_environment
    from worker.telemetry import set_up_logs

    settings = from_environment(flags, os.environ)
    set_up_logs(settings.log_format, settings.log_level)
    from worker.bootstrap.worker import Worker

    worker = Worker(settings, environ=os.environ, reconcile=reconcile)
    for warning in worker.rules.warnings:
        remark(f"{warning}")
    return worker


def _serve(worker: Worker) -> None:
    from worker.bootstrap.server import serve

    # The server ends with the signal raised once more, after it has drained; the worker still has to close then.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, lambda *_: worker.ask_reload())
    serve(worker, lambda url: answer(_banner(worker, url)))


def _stop(*_: Any) -> None:
    sys.exit(0)


def _banner(worker: Worker, url: str) -> str:
    from worker.cli.check import revision, summary

    rules = worker.rules
    pages = ", ".join(f"{name} ({page.publish.value})" for name, page in rules.pages.items()) or "none"
    parts = (
        f"statusbridge listens on {url}",
        f"{revision(rules, worker.settings.rules)}: {summary(rules)}",
        f"sources: {', '.join(rules.sources) or 'none'}",
        f"pages: {pages}",
    )
    return " · ".join(parts)
