"""
GitHub: deployments and runs of workflows, for maintenance.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads, read 2026-11-25.

What fires is work in progress; what is over is resolved, and its ``status_name`` tells how it went. What waits, or was
only asked for, is a remark. Everything is stamped; of two stamps within one second the end counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.core.model import Event, Inbound, Status
from worker.core.ruleset import SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources import _auth, _fields, _request

DEPLOYMENT = "deployment"
RUN = "workflow_run"
FAILURE = "failure"

_TELLING = ("deployment_status", "deployment", "workflow_run", "hook")
"""What tells the event where the header was lost on the way: the first of these that the body has."""
_DEPLOYMENTS: Mapping[str, Status] = {
    "in_progress": Status.FIRING,
    "success": Status.RESOLVED,
    "failure": Status.RESOLVED,
    "error": Status.RESOLVED,
    "inactive": Status.RESOLVED,  # another has taken its place
}
_RUNS: Mapping[str, Status] = {"in_progress": Status.FIRING, "completed": Status.RESOLVED}
_WAITS = "action_required"
"""A run that somebody has to let go on is told as completed, and is not."""
_FAILED = frozenset({"failure", "error", "timed_out", "startup_failure"})


class GitHub:
    """Reads GitHub's webhooks."""

    kind = "github"
    schemes: Mapping[str, Mapping[str, str]] = {"hmac": {"header": "X-Hub-Signature-256", "prefix": "sha256="}}
    event_kinds = frozenset({DEPLOYMENT, RUN})
    verify = staticmethod(_auth.verify)

    def normalise(self, inbound: Inbound, config: SourceConfig) -> Sequence[Statement]:
        """Give the one statement of the body; none for pings, and for events that say nothing about work."""
        body = _request.read(inbound)
        if type(body) is not dict:
            raise PayloadNotUnderstood("not GitHub's webhook: the body is not an object")
        name = inbound.headers.get("x-github-event") or next((name for name in _TELLING if name in body), "")
        if not name:
            raise PayloadNotUnderstood("not GitHub's webhook: the header X-GitHub-Event is missing")
        read = _READERS.get(name)
        if read is None:
            return ()
        told = read(body, _fields.text(_fields.child(body, "repository"), "full_name"))
        if told["occurred_at"] is None:
            raise PayloadNotUnderstood(f"{name}.updated_at: missing")
        if told["status_name"] in _FAILED:
            told["category"] = FAILURE
        return (Event(source=config.name, **told),)

    def delivery_id(self, inbound: Inbound) -> str:
        """Give the delivery's GUID, the same when it is sent again."""
        return inbound.headers.get("x-github-delivery", "")


def _deployment(body: dict[str, Any], repository: str) -> dict[str, Any]:
    """Somebody wants it; whether it has begun, its statuses tell."""
    told = _about(_fields.child(body, "deployment"), repository)
    created = _fields.time(_fields.child(body, "deployment"), "created_at")
    return {**told, "status": Status.INFO, "status_name": "created", "occurred_at": created}


def _deployment_status(body: dict[str, Any], repository: str) -> dict[str, Any]:
    status, told = _fields.child(body, "deployment_status"), _about(_fields.child(body, "deployment"), repository)
    state = _fields.text(status, "state")
    environment = _fields.text(status, "environment")
    return {
        **told,
        "status": _DEPLOYMENTS.get(state, Status.INFO),
        "status_name": state,
        "message": _fields.text(status, "description"),
        "labels": {**told["labels"], **({"environment": environment} if environment else {})},
        "url": _fields.text(status, "log_url") or _fields.text(status, "target_url"),
        "occurred_at": _fields.time(status, "updated_at"),
    }


def _about(deployment: dict[str, Any], repository: str) -> dict[str, Any]:
    words = {name: _fields.text(deployment, name) for name in ("environment", "ref", "task")}
    payload = deployment.get("payload")
    extra = _fields.tags(payload, "payload") if isinstance(payload, dict) else {}
    title = _fields.text(deployment, "description") or f"{repository}: {words['task']} to {words['environment']}"
    return {
        "kind": DEPLOYMENT,
        "key": f"deployment/{_number(deployment, 'id')}",
        "title": _fields.one_line(title),
        "labels": {**{f"payload_{name}": text for name, text in extra.items()}, **_filled(repository, words)},
        "started_at": _fields.time(deployment, "created_at"),
    }


def _run(body: dict[str, Any], repository: str) -> dict[str, Any]:
    run = _fields.child(body, "workflow_run")
    progress, conclusion = _fields.text(run, "status"), _fields.text(run, "conclusion")
    status = Status.INFO if conclusion == _WAITS else _RUNS.get(progress, Status.INFO)
    workflow = _fields.text(run, "name")
    workflow = workflow or _fields.text(_fields.child(body, "workflow"), "name")
    words = {"workflow": workflow, "branch": _fields.text(run, "head_branch"), "event": _fields.text(run, "event")}
    return {
        "kind": RUN,
        "key": f"workflow_run/{_number(run, 'id')}",
        "status": status,
        "status_name": conclusion or progress,
        "title": _fields.one_line(f"{repository}: {workflow}"),
        "labels": _filled(repository, words),
        "url": _fields.text(run, "html_url"),
        "started_at": _fields.time(run, "run_started_at"),
        "occurred_at": _fields.time(run, "updated_at"),
    }


def _filled(repository: str, words: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in {"repository": repository, **words}.items() if text}


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int:
        raise PayloadNotUnderstood(f"{name}: not a whole number")
    return value


_READERS: Mapping[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "deployment": _deployment,
    "deployment_status": _deployment_status,
    "workflow_run": _run,
}
