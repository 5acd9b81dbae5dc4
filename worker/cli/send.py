"""``send``: a payload, as a sender would post it."""

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

    from worker.core.model import Inbound
    from worker.core.ruleset import RuleSet
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
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="The body to post; - reads standard input.", show_default=False),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Post the example of the source's kind.")] = False,
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

    The secret is looked up in the environment, as the worker does. An example is one thing that fires, as the real
    sender would tell it; what it says, and which rules match it, is told too. The worker acts on it.

    \b
    Examples:
      statusbridge send alertmanager firing.json
      statusbridge send --example alertmanager
      curl -s http://ci.example/last-run | statusbridge send ci - --header X-Event:done

    Exit codes: 0 the worker took it; 1 it did not; 2 wrong call, or the secret is missing.
    """
    settings = settings_of(rules=rules, ledger=ledger)
    if (file is None) is not example:
        raise typer.BadParameter("name a file, or say --example", param_hint="FILE")
    loaded, endpoint = _endpoint(settings.rules, source)
    inbound = _inbound(endpoint, file)
    further = dict(header_of(text) for text in header or ())
    base = url or _running(settings)
    reply = _posted(base, endpoint, inbound, further)
    if not reply.is_success:
        remark(f"{base} answered {reply.status_code}: {_HINTS.get(reply.status_code, reply.text[:300])}")
        raise typer.Exit(NO)
    counts = _counts(reply)
    answer(", ".join(f"{name} {count}" for name, count in counts.items()))
    if example and not counts.get("unparsed"):
        _tell(loaded, endpoint, inbound)
    if counts.get("unparsed"):
        nothing = not counts["accepted"] and not counts["duplicates"]
        what = "events out of it" if nothing else f"{counts['unparsed']} of its parts"
        remark(f"the worker could not read {what}; is it of kind `{endpoint.config.kind}`?")


def _inbound(endpoint: Endpoint, file: str | None) -> Inbound:
    """Give what is to be posted, without what proves its sender."""
    from worker.bootstrap import utc_now
    from worker.core.model import Inbound
    from worker.sources._cases import EXAMPLES, inbound_of

    name, kind = endpoint.config.name, endpoint.config.kind
    if file is not None:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return Inbound(source=name, body=body, headers={"content-type": "application/json"}, received_at=utc_now())
    return inbound_of(EXAMPLES / kind, name, utc_now())


def _tell(rules: RuleSet, endpoint: Endpoint, inbound: Inbound) -> None:
    """Say what the worker read, and which rules are asked to act; the words of ``explain``."""
    from worker.cli.sayings import heard
    from worker.core.answers import asked
    from worker.core.model import Event

    events = [each for each in endpoint.source.normalise(inbound, endpoint.config) if isinstance(each, Event)]
    for statement in asked(rules, events):
        answer(heard(statement.event, 0))
        matching = [f"{found.rule.id} ({found.rule.place})" for found in statement.answers if found.matches]
        answer("\n".join(f"  matches  {rule}" for rule in matching) if matching else "  no rule matches it")


def _endpoint(directory: Path, source: str) -> tuple[RuleSet, Endpoint]:
    from worker.bootstrap import endpoints, load_rules
    from worker.core.spelling import suggest

    rules = load_rules(directory)
    if source not in rules.sources:
        raise ConfigError(f"{directory}: there is no source `{source}`{suggest(source, rules.sources, 'sources')}")
    return rules, endpoints(replace(rules, sources={source: rules.sources[source]}), os.environ)[source]


def _running(settings: Settings) -> str:
    """Give the address that the worker left beside its ledger, else the one that it listens on by default."""
    from worker.bootstrap import run_file_of
    from worker.cli.reading import left_by_worker

    left = left_by_worker(run_file_of(settings.ledger))
    return left.url if left else f"http://127.0.0.1:{settings.port}"


def _posted(base: str, endpoint: Endpoint, inbound: Inbound, further: Mapping[str, str]) -> httpx.Response:
    import httpx

    from worker.cli.posting import signed

    path, headers = signed(endpoint, inbound)
    try:
        # No proxy of the environment: what is signed here goes to the worker itself.
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            address, headers = f"{base.rstrip('/')}{path}", {**headers, **_lower(further)}
            return client.request(inbound.method, address, content=inbound.body, headers=headers)
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
