"""
Requests that are kept as files: the example of each kind, for ``send --example``, and the captures of the tests.

A folder holds ``body.json`` (``body.txt`` for what is no JSON); ``headers.json``: as sent, lower-case names, without
what proves the sender, ``:method`` and ``:query`` where they matter; and ``events.json``: what it says.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from worker.core.model import Inbound

EXAMPLES = Path(__file__).parent / "examples"
"""A folder for each kind. Where the kind takes a mapping, its example fits the one on its docs page."""


def inbound_of(folder: Path, source: str, received_at: datetime) -> Inbound:
    """Read a request, as yet unsigned."""
    headers = json.loads((folder / "headers.json").read_text())
    body = next(folder.glob("body.*")).read_bytes()
    method, query = headers.pop(":method", "POST"), headers.pop(":query", "")
    return Inbound(source=source, body=body, headers=headers, received_at=received_at, query=query, method=method)
