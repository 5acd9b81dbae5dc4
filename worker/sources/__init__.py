"""
Senders of webhooks: what each of them says, in our words. One file a vendor, one line here.

A new source needs its file, its line, ``docs/reference/sources/<kind>.md``, and captured bodies under
``tests/payloads/<kind>/``; the contract tests run over this registry. Sources are pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.ports import Source
from worker.sources.alertmanager import Alertmanager
from worker.sources.incident_io import IncidentIo
from worker.sources.json_mapping import JsonSource

SOURCES: Mapping[str, Source] = {
    "alertmanager": Alertmanager(),
    "incident_io": IncidentIo(),
    "json": JsonSource(),
}
