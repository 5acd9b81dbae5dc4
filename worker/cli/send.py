"""``send``: a payload file, as a sender would post it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import answer, remark
from worker.cli.failures import NO
from worker.cli.options import LedgerOption, RulesOption, header_of, settings_of
from worker.errors import ConfigError

if TYPE_CHECKING:
    import httpx

    from worker.settings import Settings
    from worker.steps.intake import Endpoint

TIMEOUT_S = 30.0

_HINTS: Mapping[int, str] = {
    401: "not authentic: the secret here is not the one that the worker has",
    404: "the worker knows no such source: it runs with other rules",
    413: "the body is larger than the worker takes (STATUSBRIDGE_MAX_BODY)",
    503: "the worker cannot take it now; try again in a few seconds",
}


def send(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Name of the source in the rules.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The body to post; - reads standard input.")],
    rules: RulesOption = None,
    ledger: LedgerOption = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The worker's address; else the one that it left beside its ledger, else this machine's.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="A further header. Repeatable.", show_default=False)
    ] = None,
) -> None:
    """
    Post a payload to a running worker, signed as its source needs.

    The secret is looked up in the environment, as the worker does.

    \b
    Examples:
      statusbridge send alertmanager firing.json
      curl -s http://ci.example/last-run | statusbridge send ci - --header X-Event:done

    Exit codes: 0 the worker took it; 1 it did not; 2 wrong call, or the secret is missing.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    endpoint = _endpoint(settings.rules, source)
    body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    further = dict(header_of(text) for text in header or ())
    base = url or _running(settings)
    reply = _posted(base, endpoint, body, further)
    if not reply.is_success:
        remark(f"{base} answered {reply.status_code}: {_HINTS.get(reply.status_code, reply.text[:300])}")
        raise typer.Exit(NO)
    counts = _counts(reply)
    answer(", ".join(f"{name} {count}" for name, count in counts.items()))
    if counts.get("unparsed"):
        nothing = not counts["accepted"] and not counts["duplicates"]
        what = "events out of it" if nothing else f"{counts['unparsed']} of its parts"
        remark(f"the worker could not read {what}; is it of kind `{endpoint.config.kind}`?")


def _endpoint(directory: Path, source: str) -> Endpoint:
    from worker.bootstrap import endpoints, load_rules
    from worker.core.spelling import suggest

    rules = load_rules(directory)
    if source not in rules.sources:
        raise ConfigError(f"{directory}: there is no source `{source}`{suggest(source, rules.sources, 'sources')}")
    return endpoints(replace(rules, sources={source: rules.sources[source]}), os.environ)[source]


def _running(settings: Settings) -> str:
    """Give the address that the worker left beside its ledger, else the one that it listens on by default."""
    from worker.bootstrap import run_file_of
    from worker.cli.reading import left_by_worker

    left = left_by_worker(run_file_of(settings.ledger))
    return left.url if left else f"http://127.0.0.1:{settings.port}"


def _posted(base: str, endpoint: Endpoint, body: bytes, further: Mapping[str, str]) -> httpx.Response:
    import httpx

    from worker.bootstrap import utc_now
    from worker.cli.posting import signed

    path, headers = signed(endpoint, body, utc_now())
    try:
        # No proxy of the environment: what is signed here goes to the worker itself.
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            return client.post(f"{base.rstrip('/')}{path}", content=body, headers={**headers, **_lower(further)})
    except httpx.InvalidURL as wrong:
        raise ConfigError(f"--url: {base}: {wrong}") from None
    except httpx.HTTPError as failed:
        remark(f"no worker answers at {base}: {str(failed) or type(failed).__name__}")
        remark("start one with `statusbridge run`, or name it with --url")
        raise typer.Exit(NO) from None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _counts(reply: httpx.Response) -> Mapping[str, int]:
    try:
        counts = reply.json()
    except ValueError:
        counts = None
    if not isinstance(counts, dict):
        raise ConfigError(
            f"--url: {reply.url.copy_with(query=None)} is not a worker: it answered 2xx without a receipt"
        )
    return counts
