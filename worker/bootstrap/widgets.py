"""
What the widgets show: of each page what it lets anybody show, or what the ledger says that we have published there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from worker.bootstrap.in_force import InForce
from worker.core.model import WidgetMode
from worker.core.summary import summary
from worker.errors import ProviderUnavailable
from worker.ports import Clock, Footprints


class Widgets:
    """
    Args:
        force: Gives the rules in force.
    """

    def __init__(self, force: Callable[[], InForce], ledger: Footprints, clock: Clock) -> None:
        self._force = force
        self._ledger = ledger
        self._clock = clock
        self._of: InForce | None = None
        self._names: Collection[str] = ()

    def pages(self) -> Collection[str]:
        """Give the names of the pages that have a widget."""
        force = self._force()
        if force is not self._of:
            pages = force.rules.pages.items()
            self._names = frozenset(name for name, page in pages if page.widget is not WidgetMode.OFF)
            self._of = force
        return self._names

    def summary(self, name: str) -> Mapping[str, Any]:
        """
        Sum up a page.

        Raises:
            ProviderUnavailable: It cannot be asked now, or its owner does not want it.
            LedgerUnavailable: The ledger cannot be read now.
        """
        force = self._force()
        page, channel = force.rules.pages.get(name), force.channels.get(name)
        if page is None or channel is None:
            raise ProviderUnavailable(f"the rules have no page `{name}` any more")
        directory = channel.directory()
        shown = channel.provider.summary(directory) if page.widget is WidgetMode.PAGE else None
        if shown is not None:
            return shown
        return summary(directory, page.components, self._ledger.footprints(name, self._clock()))
