"""
What the dashboard is shown, and who is signed in to it: the ledger and the rules in force, as the web knows them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from worker.bootstrap.in_force import InForce
from worker.bootstrap.pages import PageDirectory
from worker.core.model import Window
from worker.core.window_drafts import called
from worker.ledger import Ledger
from worker.ports import Clock
from worker.web.desk import Desk, Resolved
from worker.web.guard import Access
from worker.web.session import Sessions


def desk_of(force: Callable[[], InForce], ledger: Ledger, clock: Clock) -> Desk:
    """Put the ledger and the rules in force on a desk."""

    def name(window: Window) -> str:
        return called(window, force().book.window_context(window, ledger.revision, lambda sources: ()), clock())

    def pages() -> Mapping[str, Resolved]:
        return {page: _resolved(directory) for page, directory in force().directories.items()}

    return Desk(ledger, rules=lambda: force().rules, pages=pages, called=name, clock=clock)


def sessions_of(key: str, access: Access, clock: Clock) -> Sessions:
    """Sign sessions with *key*, or, where it is "", with one that ends with the process."""
    made = key or secrets.token_urlsafe(32)
    return Sessions(made.encode(), known=access.tokens.__contains__, clock=clock, nonce=secrets.token_urlsafe)


def _resolved(directory: PageDirectory) -> Resolved:
    known = directory.known
    if known is None:
        return Resolved(wrong=directory.wrong)
    return Resolved(name=known.name, url=known.public_url, wrong=directory.wrong)
