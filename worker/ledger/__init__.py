"""
The ledger: the worker's memory and its only truth.

Here live the tables, the way to and from domain values, and every line of SQL; nothing of it leaves but the values of
``core.model`` and ``ports``. The ledger decides nothing: it may not know rules, sources, providers or steps.
"""

from __future__ import annotations

from worker.ledger.ledger import Ledger, open_ledger
from worker.ledger.sqlite import sqlite_faults

__all__ = ["Ledger", "open_ledger", "sqlite_faults"]
