"""
The only place where concrete classes meet. Owns the clock; everything else takes `now` as an argument.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from worker import rules_dir
from worker.core.model import Directory, Inbound
from worker.core.rulebook import RuleBook
from worker.core.rules import SourceFacts, compile_spec
from worker.core.ruleset import PageConfig, RuleSet
from worker.errors import ConfigError, PayloadNotUnderstood, ProviderUnavailable
from worker.ledger import Ledger, open_ledger
from worker.ports import Clock, Provider, Statement
from worker.providers import PROVIDERS
from worker.scheduler import AlarmClock, Loop
from worker.settings import Settings
from worker.sources import SOURCES
from worker.steps.advance import Advance
from worker.steps.deliver import Channel, Deliver
from worker.steps.intake import Endpoint, Intake
from worker.steps.react import React
from worker.telemetry import PrometheusMeter
from worker.web.app import make_app
from worker.web.hooks import HookEndpoint

LOG = structlog.get_logger("worker")
DRAIN_S = 12.0
DIRECTORY_RETRY = timedelta(seconds=30)


def utc_now() -> datetime:
    """Give the time: aware, UTC."""
    return datetime.now(UTC)


def source_facts() -> Mapping[str, SourceFacts]:
    """Tell the rules loader what each kind of source can do."""
    return {kind: SourceFacts(schemes=s.schemes, event_kinds=s.event_kinds) for kind, s in SOURCES.items()}


def load_rules(directory: Path) -> RuleSet:
    """
    Load a rules directory; needs no secret and no network.

    Raises:
        ConfigError: All problems at once.
    """
    return rules_dir.load_directory(directory, source_facts(), PROVIDERS.keys())


def rule_book(rules: RuleSet) -> RuleBook:
    """Put a loaded set in use."""
    return RuleBook(rules, compile_spec)


def endpoints(rules: RuleSet, environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """
    Resolve the secrets of every source.

    Raises:
        ConfigError: Secrets are missing; all of them at once.
    """
    found: dict[str, Endpoint] = {}
    with _all_at_once() as problems:
        for name, config in rules.sources.items():
            with problems:
                secrets = tuple(rules_dir.resolve_secret(ref, environ) for ref in config.auth.secrets)
                found[name] = Endpoint(config, SOURCES[config.kind], secrets)
    return found


def provider_for(page: PageConfig, environ: Mapping[str, str], clock: Clock) -> Provider:
    """
    Make the client of a page.

    Raises:
        ConfigError: Its secret is missing.
    """
    key = rules_dir.resolve_secret(page.api_key, environ) if page.api_key else ""
    return PROVIDERS[page.provider](page, key, clock)


def providers(rules: RuleSet, environ: Mapping[str, str], clock: Clock) -> dict[str, Provider]:
    """
    Make the clients of all pages.

    Raises:
        ConfigError: Secrets are missing; all of them at once.
    """
    found: dict[str, Provider] = {}
    with _all_at_once() as problems:
        for name, page in rules.pages.items():
            with problems:
                found[name] = provider_for(page, environ, clock)
    return found


class _Problems(contextlib.AbstractContextManager["_Problems"]):
    """Collects the ConfigErrors of its inner blocks."""

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ConfigError):
            self.found.append(error)
            return True
        return False


@contextlib.contextmanager
def _all_at_once():  # type: ignore[no-untyped-def]
    problems = _Problems()
    yield problems
    if problems.found:
        raise ConfigError([problem for error in problems.found for problem in error.problems])


class PageDirectory:
    """
    A page as resolved, remembered; asked again now and then while it could not be.

    Args:
        provider: The page's client.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Directory | None = None
        self._again_at: datetime | None = None
        self.wrong = "not resolved yet"

    def __call__(self) -> Directory:
        """
        Give the page.

        Raises:
            ProviderUnavailable: It could not be resolved so far.
        """
        with self._lock:
            if self._known is not None:
                return self._known
            if self._again_at is not None and self._clock() < self._again_at:
                raise ProviderUnavailable(self.wrong)
            try:
                return self.resolve()
            except ConfigError as wrong:
                self.wrong = str(wrong)
                raise ProviderUnavailable(self.wrong) from wrong

    def resolve(self) -> Directory:
        """
        Ask the page.

        Raises:
            ConfigError: A name is unknown or ambiguous.
            ProviderUnavailable: It could not be read.
        """
        self._again_at = self._clock() + DIRECTORY_RETRY
        try:
            self._known = self._provider.directory()
        except ProviderUnavailable as unavailable:
            self.wrong = str(unavailable)
            raise
        self.wrong = ""
        return self._known


class Worker:
    """
    The pipeline with its threads.

    Args:
        settings: How to run.
        environ: Where secrets are looked up.
        clock: The time.
        checkpoint: Called with a name at each point where a crash must be harmless; for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        clock: Clock = utc_now,
        checkpoint: Callable[[str], None] = lambda point: None,
        rules: RuleSet | None = None,
    ) -> None:
        self.settings = settings
        self.meter = PrometheusMeter()
        self._draining = False
        self._fatal = ""
        self.rules = rules or load_rules(settings.rules)
        self._book = rule_book(self.rules)
        self._endpoints = endpoints(self.rules, environ)
        clients = providers(self.rules, environ, clock)
        self._directories = {name: PageDirectory(client, clock) for name, client in clients.items()}
        self._channels = {
            name: Channel(client, self._directories[name], self.rules.pages[name].settle)
            for name, client in clients.items()
        }
        self.ledger: Ledger = open_ledger(
            settings.ledger, clock=clock, on_fatal=self._on_fatal, most_pending=settings.backlog
        )
        self.meter.watch(self.ledger.totals)
        self._build(clock, checkpoint)

    def _build(self, clock: Clock, checkpoint: Callable[[str], None]) -> None:
        ledger, meter = self.ledger, self.meter
        common = {"episodes": ledger, "committer": ledger, "book": lambda: self._book, "clock": clock, "meter": meter}
        intake = Intake(ledger, lambda: self._endpoints, meter)
        self._react = React(inbox=ledger, normalise=self._normalise, **common)  # type: ignore[arg-type]
        self._advance = Advance(**common)  # type: ignore[arg-type]
        self._deliver = Deliver(outbox=ledger, channels=lambda: self._channels, checkpoint=checkpoint, **common)  # type: ignore[arg-type]
        poll = self.settings.poll
        self._reacting = Loop("react", self._react_once, poll)
        self._delivering = [
            Loop(f"deliver-{n}", self._deliver_once, poll) for n in range(self.settings.deliver_threads)
        ]
        self._alarm = AlarmClock(self._advance_all, poll)
        hooks = HookEndpoint(
            intake, max_body=self.settings.max_body, clock=clock, meter=meter, ring=self._reacting.ring
        )
        self.app: FastAPI = make_app(
            hooks,
            alive=self.alive,
            ready=self.ready,
            exposition=meter.exposition,
            admin_token=self.settings.admin_token,
        )

    # -- steps with what follows from them

    def _react_once(self) -> int:
        handled = self._react.run_once()
        if handled:
            self._after_commit()
        return handled

    def _advance_all(self) -> None:
        while self._advance.run_once():
            self._after_commit()
        self._alarm.set(self.ledger.next_wake())

    def _deliver_once(self) -> bool:
        worked = self._deliver.run_once()
        if worked:
            self._after_commit()
        return worked

    def _after_commit(self) -> None:
        for loop in self._delivering:
            loop.ring()
        self._alarm.set(self.ledger.next_wake())

    def _normalise(self, inbound: Inbound) -> Sequence[Statement]:
        endpoint = self._endpoints.get(inbound.source)
        if endpoint is None:
            raise PayloadNotUnderstood(f"source `{inbound.source}` is not configured any more")
        return endpoint.source.normalise(inbound, endpoint.config)

    # -- life

    def resolve_pages(self) -> None:
        """
        Ask every page for its components.

        Raises:
            ConfigError: Names are unknown or ambiguous; all problems at once. A page that cannot be reached
                is no such problem: it is asked again later.
        """
        with _all_at_once() as problems:
            for name, directory in self._directories.items():
                with problems:
                    try:
                        directory.resolve()
                    except ProviderUnavailable as unavailable:
                        LOG.warning("page not reachable yet", page=name, error=str(unavailable))

    def start(self) -> None:
        """Start the threads."""
        self._reacting.start()
        for loop in self._delivering:
            loop.start()
        self._alarm.start()
        self._advance_all()

    def stop(self) -> None:
        """Finish what runs, within about 15 s, and close the ledger."""
        self._draining = True
        self._alarm.stop()
        self._reacting.stop(DRAIN_S)
        for loop in self._delivering:
            loop.ring()
        ended = [loop.stop(DRAIN_S) for loop in self._delivering]
        if not all(ended):
            LOG.warning("a write was still on its way; the next start settles it")
        self.ledger.close()

    def _on_fatal(self, fault: Exception) -> None:
        # A failed sync must not be tried again: what is on disk is not known any more. The next start looks.
        self._fatal = str(fault)
        LOG.error("ledger failed; exiting", error=str(fault))
        os._exit(74)

    def alive(self) -> Mapping[str, str]:
        """Name what only a restart would mend."""
        loops = {loop.name: loop.alive for loop in (self._reacting, *self._delivering)} | {"alarm": self._alarm.alive}
        return {name: "not running" for name, alive in loops.items() if not alive}

    def ready(self) -> Mapping[str, str]:
        """Name what keeps the worker from doing its work."""
        wrong = {f"page {name}": directory.wrong for name, directory in self._directories.items() if directory.wrong}
        return {**wrong, **({"worker": "draining"} if self._draining else {})}


class _Server(uvicorn.Server):
    """Tells once where it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._tell(f"http://{host}:{port}")


def make_server(worker: Worker, started: Callable[[str], None]) -> uvicorn.Server:
    """
    Make the HTTP server of a worker; ``run()`` serves until ``should_exit`` is set or, in the main thread, a signal comes.

    Args:
        started: Called with the address once the server listens.
    """
    settings = worker.settings
    config = uvicorn.Config(
        worker.app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
        lifespan="off",
    )
    return _Server(config, started)


def serve(worker: Worker, started: Callable[[str], None] = lambda url: None) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain.

    Args:
        started: Called with the address once the server listens.
    """
    run_file = run_file_of(worker.settings.ledger)

    def listening(url: str) -> None:
        if run_file is not None:
            _write_private(run_file, json.dumps({"url": url, "pid": os.getpid()}))
        LOG.info("listening", url=url, rules=worker.rules.hash[:12])
        started(url)

    worker.start()
    try:
        make_server(worker, listening).run()
    finally:
        worker.stop()
        if run_file is not None:
            run_file.unlink(missing_ok=True)


def run_file_of(ledger_url: str) -> Path | None:
    """Name the file that tells where the worker of a ledger listens; None for a ledger that is no file."""
    prefix = "sqlite:///"
    return Path(ledger_url.removeprefix(prefix) + ".run") if ledger_url.startswith(prefix) else None


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
