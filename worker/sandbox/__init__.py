"""
A status page to rehearse on: the incident.io Status Page API, its Widget API and a public page, in one local server.

What the vendor documents it enforces; what the vendor does not document is a switch; what may go wrong is a fault.
It is written from the vendor's side and takes nothing from the worker but the error for wrong options, so that both
cannot be wrong in the same way.

Source: incident.io API, official SDK 2.29.0, read 2026-11-23.
"""

from __future__ import annotations

from worker.sandbox import faults
from worker.sandbox.content import DEFAULT, build_pages
from worker.sandbox.faults import Fault, Faults
from worker.sandbox.server import SandboxServer, make_app, serve
from worker.sandbox.service import Service
from worker.sandbox.state import DEFAULT_KEY, State
from worker.sandbox.switches import Switches
from worker.sandbox.wire import Refused, Reply, Request

__all__ = [
    "DEFAULT",
    "DEFAULT_KEY",
    "Fault",
    "Faults",
    "Refused",
    "Reply",
    "Request",
    "SandboxServer",
    "Service",
    "State",
    "Switches",
    "build_pages",
    "faults",
    "make_app",
    "serve",
]
