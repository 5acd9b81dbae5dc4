"""
The pipeline with its threads: one worker, built from settings, started and stopped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from worker.bootstrap import load_rules, pages, utc_now
from worker.bootstrap.desks import desk_of, sessions_of
from worker.bootstrap.doubt import MARK_EVERY_S, hold_back
from worker.bootstrap.evenness import Evenness
from worker.bootstrap.in_force import InForce, in_force
from worker.bootstrap.notifying import Heart, Mended, link_to
from worker.bootstrap.reload import Reloader
from worker.bootstrap.widgets import Widgets
from worker.core.model import PAUSE, UNMATCHED, ActionKind, ActionState, Episode, Inbound, Notice, Severity, Window
from worker.core.ruleset import RuleSet
from worker.errors import LedgerUnavailable, PayloadNotUnderstood
from worker.ledger import Ledger, open_ledger
from worker.ports import Clock, Commit, Committer, Statement
from worker.scheduler import AlarmClock, Courtesy, Loop, Sweep, ring_some
from worker.settings import Settings
from worker.steps.advance import Advance
from worker.steps.command import Commands
from worker.steps.deliver import Deliver
from worker.steps.intake import Intake
from worker.steps.notify import Notify
from worker.steps.observe import Observe
from worker.steps.react import React
from worker.telemetry import PrometheusMeter
from worker.web.app import make_app
from worker.web.calendar import feed
from worker.web.guard import Access
from worker.web.hooks import HookEndpoint
from worker.web.live import Live
from worker.web.widget import Widget

LOG = structlog.get_logger("worker")
_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}
P = ParamSpec("P")
T = TypeVar("T")
DRAIN_S = 12.0
ON_CALENDAR = timedelta(days=90)
"""How long the calendar shows what is over."""

PATIENCE_S = 1.0
"""How long to wait for a command that writes to the ledger just now."""

SWEEP_S = 0.5
HEART_S = 1.0
MOST_ROUNDS = 100
"""How often advance may find work in a row before the clock rings again, so that a fault cannot spin."""

RELOAD_UNASKED_S = 3600.0
"""How often the rules directory is looked at where that is switched off: only a request counts then."""

PRUNE_EVERY_S = 3600.0
TOMBSTONE = timedelta(days=30)
"""So long at least a signal is remembered after it was resolved, so that a late word of it opens nothing."""


class Announcing:
    """
    A committer that tells what it has committed, once that is on disk.

    Args:
        announce: Called in the thread that commits.
    """

    def __init__(self, committer: Committer, announce: Callable[[Commit], None]) -> None:
        self._committer = committer
        self._announce = announce

    def commit(self, commit: Commit) -> None:
        """See ``ports.Committer``."""
        self._committer.commit(commit)
        self._announce(commit)


class Worker:
    """
    The pipeline with its threads.

    Args:
        settings: How to run.
        environ: Where secrets are looked up.
        clock: The time.
        monotonic: Seconds that run on whatever becomes of *clock*.
        checkpoint: Called with a name at each point where a crash must be harmless; for tests.
        load: Gives the rules, at the start and whenever they are read again; None: reads those of the settings.
        reconcile: Publish nothing before the ledger was matched with every page.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        checkpoint: Callable[[str], None] = lambda point: None,
        load: Callable[[], RuleSet] | None = None,
        reconcile: bool = False,
    ) -> None:
        self.settings = settings
        self._clock, self._reconcile = clock, reconcile
        self.meter = PrometheusMeter()
        self.live = Live()
        self.run_token = secrets.token_urlsafe(32)
        self._draining = False
        self._running = self._caught_up = False
        self._evenness = Evenness(clock, monotonic)
        tell = partial(self._tell, clock)
        self._told_gone: set[str] = set()
        read = load or partial(load_rules, settings.rules)
        self._force = in_force(read(), environ, clock, tell)
        self._told_of = set(self._force.channels)
        self._wake_all = partial(self._wake, clock)
        self.reload = Reloader(
            settings.rules,
            unasked=settings.reload > 0,
            current=lambda: self.rules,
            load=lambda: in_force(read(), environ, clock, tell, self._force),
            use=self._use,
            wake=self._wake_all,
            tell=tell,
            meter=self.meter,
            clock=clock,
        )
        self.ledger: Ledger = open_ledger(
            settings.ledger, clock=clock, on_fatal=self._on_fatal, patience=PATIENCE_S, most_pending=settings.backlog
        )
        self.meter.watch(self.ledger.totals, self._pages_ready)
        self._build(clock, checkpoint)

    def _build(self, clock: Clock, checkpoint: Callable[[str], None]) -> None:
        ledger, meter = self.ledger, self.meter
        self._committer = committer = Announcing(ledger, self._announce)
        common = {
            "episodes": ledger,
            "windows": ledger,
            "committer": committer,
            "book": lambda: self._force.book,
            "clock": clock,
            "meter": meter,
        }
        on_pages = {**common, "footprints": ledger, "channels": lambda: self._force.channels}
        intake = Intake(ledger, lambda: self._force.endpoints, meter)
        self._react = React(inbox=ledger, normalise=self._normalise, shared=self._heard_of_a_post, **common)  # type: ignore[arg-type]
        self._advance = Advance(**common)  # type: ignore[arg-type]
        outgoing = {
            "outbox": ledger,
            "footprints": ledger,
            "switches": ledger,
            "channels": lambda: self._force.channels,
            "checkpoint": checkpoint,
            "even_since": self._evenness,
            **common,
        }
        self._deliver = Deliver(**outgoing)  # type: ignore[arg-type]
        self._transitions = Deliver(kinds=[kind for kind in ActionKind if kind.of_window], **outgoing)  # type: ignore[arg-type]
        self._observe = Observe(switches=ledger, every=timedelta(seconds=self.settings.watch), **on_pages)  # type: ignore[arg-type]
        own = {
            "switches": ledger,
            "queries": ledger,
            "footprints": ledger,
            "provider": lambda page: self._force.channels[page].provider,
        }
        self._commands = Commands(**own, **common)  # type: ignore[arg-type]
        poll = self.settings.poll
        reacting = self._timed("react", partial(self._catch_up, clock))
        self._reacting = Loop("react", Courtesy(reacting, self._arrived), poll)
        delivering = self._timed("deliver", self._once_caught_up(self._deliver.run_once))
        loops = [Loop(f"deliver-{n}", delivering, poll) for n in range(max(1, self.settings.deliver_threads - 1))]
        # One is kept for windows, so that a storm of incidents makes no window late.
        moving = self._timed("deliver", self._once_caught_up(self._transitions.run_once))
        self._moving = Loop("deliver-windows", moving, poll)
        self._delivering = [*loops, *([self._moving] if self.settings.deliver_threads > 1 else [])]
        self._observing: dict[str, Loop] = {}
        self._asking: dict[str, Loop] = {}
        self._tend_pages()
        self._reloading = Loop("rules", self.reload.look, self.settings.reload or RELOAD_UNASKED_S)
        self._pruning = Loop("retention", Courtesy(partial(self._prune, clock), self._arrived), PRUNE_EVERY_S)
        self._marking = Loop("mark", ledger.mark, MARK_EVERY_S)
        self._notify = Notify(
            notices=ledger,
            footprints=ledger,
            switches=ledger,
            committer=committer,
            targets=lambda: self._force.receivers.targets,
            pages=lambda: self._force.rules.pages,
            link=partial(link_to, self.settings.external_url),
            mended=Mended(clock(), self._pages_ready),
            clock=clock,
            meter=meter,
        )
        self._telling = Loop("notices", self._once_caught_up(self._notify.run_once), poll)
        heart = Heart(lambda: self._force.receivers.hearts, self.ready_and_alive, self._notify.failing, clock)
        self._beating = Loop("heartbeat", heart, HEART_S)
        self._alarm = AlarmClock(self._advance_all, poll)
        sweep = Sweep(self._alarm, self._advance_all, clock, partial(meter.count, "alarms_missed"))
        self._sweeping = Loop("sweep", sweep, SWEEP_S)
        self._hooks = HookEndpoint(
            intake, max_body=self.settings.max_body, clock=clock, meter=meter, ring=self._reacting.ring
        )
        widgets = Widgets(lambda: self._force, ledger, clock)
        access = Access(
            admin_token=self.settings.admin_token,
            admins=self.settings.admins,
            run_token=self.run_token,
            calendar_token=self.settings.calendar_token,
        )
        desk = desk_of(lambda: self._force, ledger, clock)
        self.app = make_app(
            self._hooks,
            Widget(
                widgets.pages,
                widgets.summary,
                ttl=self.settings.widget_ttl,
                stale=self.settings.widget_stale,
                monotonic=time.monotonic,
                meter=meter,
            ),
            alive=self.alive,
            ready=self.ready,
            exposition=meter.exposition,
            calendar=lambda: feed(desk.titled(clock() - ON_CALENDAR)),
            run=self._commands.run,
            reload=self.reload,
            access=access,
            sessions=sessions_of(self.settings.session_key, access, clock),
            desk=desk,
            live=self.live,
        )

    # -- what follows from what

    def _catch_up(self, clock: Clock, limit: int) -> int:
        """
        React; and let the others begin once there is nothing left that was accepted before the start.

        What waits in the inbox may say that it is over: before that is heard, nothing is decided by the clock or sent.
        """
        done = self._react.run_once(limit)
        if done < limit and not self._caught_up:
            self._caught_up = True
            self._alarm.set(clock())
            ring_some(self._delivering, len(self._delivering))
        return done

    def _once_caught_up(self, step: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: self._caught_up and step()

    def _advance_all(self) -> None:
        if not self._caught_up:
            return
        for _ in range(MOST_ROUNDS):
            if not self._advance.run_once():
                break
        for at in (self.ledger.next_wake(), self.ledger.next_window_wake()):
            self._alarm.set(at)

    def _timed(self, name: str, step: Callable[P, T]) -> Callable[P, T]:
        """Measure the rounds of a step that found work."""

        def round_of_work(*args: P.args, **kwargs: P.kwargs) -> T:
            began = time.perf_counter()
            worked = step(*args, **kwargs)
            if worked:
                self.meter.observe("step_duration", time.perf_counter() - began, step=name)
            return worked

        return round_of_work

    @property
    def _loops(self) -> Sequence[Loop]:
        of_pages = (*self._observing.values(), *self._asking.values())
        of_team = (self._telling, self._beating)
        return (
            self._reacting,
            *self._delivering,
            *of_pages,
            self._pruning,
            self._marking,
            self._reloading,
            self._sweeping,
            *of_team,
        )

    def _prune(self, clock: Clock, limit: int) -> int:
        """Remove what is old, a few rows at once."""
        now, kept = clock(), timedelta(days=self.settings.retention_days)
        removed = self.ledger.prune(
            inbounds_before=now - kept,
            signals_before=now - max(kept, TOMBSTONE),
            ended_before=now - timedelta(days=self.settings.history_days),
            limit=limit,
        )
        self.meter.count("rows_removed", by=removed)
        return removed

    def _tell(self, clock: Clock, notice: Notice) -> None:
        self._committer.commit(Commit(now=clock(), notices=[notice]))

    def _heard_of_a_post(self) -> None:
        self._observe.hint()
        for loop in self._observing.values():
            loop.ring()

    def _arrived(self) -> int:
        return self._hooks.received

    def _announce(self, commit: Commit) -> None:
        """Tell the notices, and ring: for those who deliver actions, and the clock for when an episode wakes."""
        self.live.ring()
        for notice in commit.notices:
            self._telling.ring()
            LOG.log(_LEVELS[notice.severity], notice.text, notice=notice.code, about=notice.subject)
        for action in commit.actions:
            if action.state is ActionState.DONE and not action.approved_by:
                delay = (commit.now - action.created_at).total_seconds()
                self.meter.observe("publish_delay", max(0.0, delay), kind=action.kind.value)
        ready = sum(action.state is ActionState.QUEUED for action in commit.actions)
        settled = any(action.state.settled for action in commit.actions)
        if ready or settled:
            ring_some(self._delivering, max(ready, 1))
        if commit.flags:
            ring_some(self._delivering, len(self._delivering))
        if commit.windows:
            self._moving.ring()
        woken: list[Episode | Window] = [*commit.episodes, *commit.windows]
        wakes = [each.wake_at for each in woken if each.wake_at is not None]
        self._alarm.set(min([*wakes, commit.now] if commit.wakes else wakes, default=None))

    def _normalise(self, inbound: Inbound) -> Sequence[Statement]:
        endpoint = self._force.endpoints.get(inbound.source)
        if endpoint is None:
            raise PayloadNotUnderstood(f"source `{inbound.source}` is not configured any more")
        return endpoint.source.normalise(inbound, endpoint.config)

    # -- rules

    @property
    def rules(self) -> RuleSet:
        """Those in force."""
        return self._force.rules

    def ask_reload(self) -> None:
        """Have the rules read again, soon; safe to be called from a signal handler."""
        self.reload.ask()
        self._reloading.ring()

    def _use(self, force: InForce) -> None:
        """Put another set in force; its pages are asked at once."""
        self._told_of |= force.channels.keys()
        self._force = force
        self._tend_pages()
        for loop in (*self._asking.values(), *self._delivering):
            loop.ring()

    def _wake(self, clock: Clock) -> None:
        """Have everything that is live looked at again, on whatever page; a held episode follows the rule of now."""
        self._committer.commit(Commit(now=clock(), wakes=[("", page) for page in sorted(self._told_of)]))
        for page in sorted(self._told_of - self._force.channels.keys()):
            self._tell_gone(page, clock())

    def _tell_gone(self, page: str, now: datetime) -> None:
        """What is open on a page that the rules do not have any more can never be ended by us."""
        subjects = [footprint.subject for footprint in self.ledger.footprints(page, now)]
        live = [subject.id for subject in subjects if subject.phase.live and subject.remote_id]
        if live and page not in self._told_gone:
            text = f"the rules have no page `{page}` any more, but {', '.join(live)} is still open there: "
            text += "what is to be said of it waits until the page is back in the rules"
            notice = Notice(code="page_gone", subject=page, text=text, severity=Severity.ERROR)
            self._committer.commit(Commit(now=now, notices=[notice]))
            self._told_gone.add(page)

    def _tend_pages(self) -> None:
        """
        Have a thread look at each page, and one ask it what it has: so one that does not answer keeps no other waiting.
        """
        watched = self._timed("observe", self._observe.run_once)
        observing = {page: Loop(f"observe-{page}", partial(watched, page), self.settings.poll) for page in self._new()}
        asking = {
            page: Loop(f"page-{page}", partial(self._ask, page), pages.AGAIN.total_seconds()) for page in self._new()
        }
        for page in [page for page in self._observing if page not in self._force.channels]:
            self._observing.pop(page).end()
            self._asking.pop(page).end()
        self._observing.update(observing)
        self._asking.update(asking)
        if self._running:
            for loop in (*observing.values(), *asking.values()):
                loop.start()

    def _new(self) -> Sequence[str]:
        return [page for page in self._force.channels if page not in self._observing]

    def _ask(self, page: str) -> None:
        directory = self._force.directories.get(page)
        if directory is not None:
            directory.ask()

    # -- life

    def start(self) -> None:
        """Start the threads."""
        self._running = True
        hold_back(self.ledger, self._committer, self._force.channels, self._clock, asked=self._reconcile)
        self.ledger.mark()
        self._wake_all()  # the rules may have changed while nobody was here
        self._alarm.start()
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Finish what runs, within about 15 s, and close the ledger."""
        self._draining = True
        self._alarm.stop()
        for loop in self._loops:
            loop.end()
        until = time.monotonic() + DRAIN_S
        ended = [loop.stop(max(0.0, until - time.monotonic())) for loop in self._loops]
        if not all(ended):
            LOG.warning("a write was still on its way; the next start settles it")
        with contextlib.suppress(LedgerUnavailable, OSError):
            self.ledger.mark()
        self.ledger.close()

    def _on_fatal(self, fault: Exception) -> None:
        # A failed sync must not be tried again: what is on disk is not known any more. The next start looks.
        LOG.error("ledger failed; exiting", error=str(fault))
        os._exit(74)

    def alive(self) -> Mapping[str, str]:
        """Name what only a restart would mend."""
        wrong = {loop.name: "not running" for loop in self._loops if not loop.alive}
        return wrong if self._alarm.alive else {**wrong, "alarm": "does not ring; the sweep does its work"}

    def ready_and_alive(self) -> Mapping[str, str]:
        """Name all of it."""
        return {**self.alive(), **self.ready()}

    def ready(self) -> Mapping[str, str]:
        """Name what keeps the worker from doing its work."""
        wrong = {
            f"page {name}": directory.wrong for name, directory in self._force.directories.items() if directory.wrong
        }
        return {**wrong, **self._paused(), **({"worker": "draining"} if self._draining else {})}

    def _pages_ready(self) -> Mapping[str, bool]:
        return {name: not directory.wrong for name, directory in self._force.directories.items()}

    def _paused(self) -> Mapping[str, str]:
        try:
            flags, unmatched = self.ledger.flags(PAUSE), self.ledger.flags(UNMATCHED)
        except LedgerUnavailable as unavailable:
            return {"ledger": str(unavailable)}
        held_back = {f"page {flag.page}": "not matched with the ledger yet" for flag in unmatched}
        return held_back | {
            # Anybody may ask this: by whom and why stays between those who read the ledger.
            f"pause of {flag.page or 'all pages'}": f"since {flag.at:%Y-%m-%d %H:%M:%S} UTC"
            for flag in flags
        }
