"""
The pages as they are resolved: asked in the background, and again for as long as anything about them is wrong.

Nobody waits for a page here: webhooks are taken meanwhile, and only what is to be written to it waits.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from worker.core.model import Directory, Notice, Severity
from worker.errors import ConfigError, ProviderUnavailable
from worker.ports import Clock, Provider

LOG = structlog.get_logger("worker")

_REQUEST = re.compile(r" \(request [^)]*\)")
"""How the page names a request: another one each time, for the same complaint."""

AGAIN = timedelta(seconds=30)
"""How long a page is left alone that could not be resolved, or not in full."""


class PageDirectory:
    """
    One page, resolved and remembered.

    Args:
        name: Ours, in the rules.
        tell: Takes what the team has to know.

    Attributes:
        wrong: What is not as the rules say, or why it could not be resolved; "" while all is well.
    """

    def __init__(self, name: str, provider: Provider, clock: Clock, tell: Callable[[Notice], None]) -> None:
        self.wrong = "not resolved yet"
        self._name = name
        self._provider = provider
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._known: Directory | None = None
        self._again_at: datetime | None = None
        self._told = ""

    @property
    def known(self) -> Directory | None:
        """The page as it was resolved the last time; None: it never was."""
        return self._known

    def __call__(self) -> Directory:
        """
        Give the page; components of ours that it does not have are missing in it.

        Raises:
            ProviderUnavailable: It could not be resolved so far.
        """
        if self._known is None:
            self.ask()
        if self._known is None:
            raise ProviderUnavailable(self.wrong)
        return self._known

    def ask(self) -> None:
        """Resolve it, where something about it is wrong and it was not asked just now."""
        with self._lock:
            now = self._clock()
            if not self.wrong or (self._again_at is not None and now < self._again_at):
                return
            self._again_at = now + AGAIN
            try:
                self._resolve()
            except ProviderUnavailable as unavailable:
                before, self.wrong = self.wrong, str(unavailable)
                if self.wrong != before:
                    LOG.warning("page cannot be asked", page=self._name, error=self.wrong)

    def _resolve(self) -> None:
        try:
            self._known = self._provider.directory()
            problems = list(self._known.missing.values())
            waits = "posts about these components are parked, all others go out"
        except ConfigError as wrong:
            problems = list(wrong.problems)
            waits = "what is to be posted there waits" if self._known is None else "it is used as it was found before"
        self.wrong = "; ".join(map(str, problems))
        meant = _REQUEST.sub("", self.wrong)
        if meant != self._told:
            self._tell(self._notice(waits))
            self._told = meant

    def _notice(self, waits: str) -> Notice:
        if not self.wrong:
            return Notice(
                code="page_right", subject=self._name, text="the page is as the rules say again", severity=Severity.INFO
            )
        text = f"{self.wrong}; {waits}, and it is asked again every {AGAIN.seconds} s"
        return Notice(code="page_wrong", subject=self._name, text=text, severity=Severity.ERROR)
