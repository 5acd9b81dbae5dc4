"""A page, a worker and a story to look at: real processes on this machine, with something of everything to be seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.leaks import rehearsed_page
from tests.processes import Running, alert, notification, post, until, worker
from worker.sandbox import SandboxServer

ADMIN = "a-token-for-browsers"

RULES = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${{PAGE_KEY}}
    base_url: {page}
    publish: auto
    settle: 1s
    limits: {{incidents: 1000 per 10m, updates: 1000 per 1h, mails: 1000 per 1h}}
    components: {{checkout: Checkout API, api: Public API}}
sources:
  alertmanager: {{kind: alertmanager, auth: {{bearer: "${{TOKEN}}"}}}}
rules:
  - id: checkout-outage
    source: alertmanager
    match: {{labels.service: checkout, labels.severity: [critical, warning]}}
    incident:
      page: main
      components: {{checkout: {{critical: full_outage, warning: degraded_performance}}}}
      hold: 0s
      quiet: 1s
      min_gap: 0s
      existing: open
      title: "Checkout problems"
      say:
        open: "Some customers cannot complete checkout. We are **investigating**."
        worsen: "The impact has grown."
        improve: "Some of it has recovered."
        resolve: "Checkout works again."
  - id: api-outage
    source: alertmanager
    match: {{labels.service: api}}
    group_by: [region]
    vars: {{summary: "event.annotations[?\\"summary\\"].orValue(\\"\\")"}}
    incident:
      page: main
      components: {{api: degraded_performance}}
      hold: 0s
      quiet: 1s
      existing: open
      publish: approve
      approve: {{posts: [open, worsen]}}
      title: "API trouble in {{{{ region }}}}"
      say: {{open: "Requests in {{{{ region }}}} may fail. {{{{ summary }}}}", resolve: "The API works again."}}
  - id: quiet-blip
    source: alertmanager
    match: {{labels.service: search}}
    incident:
      page: main
      components: {{api: degraded_performance}}
      hold: 1h
      yield_to: [api-outage]
      title: "Search is slow"
      say: {{open: "Search is slow.", resolve: "Search works again."}}
maintenance:
  - id: db-weekly
    page: main
    components: [api, checkout]
    title: Weekly database maintenance
    starts: {starts}
    timezone: UTC
    duration: 1h
    repeat: FREQ=DAILY;INTERVAL=3
    announce: {{before: 72h, text: "The API may be slow during this time.", notify: false}}
    start: {{text: "It has begun."}}
    complete: {{text: "It is done."}}
"""


@dataclass
class Stage:
    """
    Args:
        url: Of the worker.
        page: The status page.
    """

    url: str
    page: SandboxServer
    run: Running

    def alerts(self, *alerts: Mapping[str, object]) -> None:
        """Send alerts."""
        assert post(self.url, notification(*alerts)).status_code == 202

    def ask(self, path: str, **query: Any) -> Any:
        """Read from the API."""
        with self.client() as client:
            reply = client.get(f"/api/v1/{path}", params=query)
            assert reply.status_code == 200, reply.text
            return reply.json()

    def do(self, command: str, **fields: Any) -> None:
        """Have a command done."""
        with self.client() as client:
            reply = client.post(f"/api/v1/{command}", json={"by": "a test", **fields})
            assert reply.status_code == 200, reply.text

    def client(self) -> httpx.Client:
        """A client that is allowed everything."""
        headers = {"authorization": f"Bearer {ADMIN}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=10)

    def incidents(self) -> list[Any]:
        """Those on the page."""
        return list(self.page.state.incidents.shelf.all())

    def public(self) -> str:
        """The public page, as its readers get it."""
        with httpx.Client(trust_env=False, timeout=5) as client:
            return client.get(f"{self.page.url}/").text

    def waiting(self) -> list[Any]:
        """Posts that wait for an approval."""
        return list(self.ask("history", state="awaiting_approval")["items"])


@contextmanager
def stage(folder: Path, **environ: str) -> Iterator[Stage]:
    """Run a page and a worker for the length of a block."""
    starts = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251  (real time)
    with rehearsed_page() as page:
        rules = folder / "rules"
        rules.mkdir()
        (rules / "rules.yaml").write_text(RULES.format(page=page.url, starts=f"{starts:%Y-%m-%dT%H:00}"))
        with worker(
            rules, folder / "ledger.db", STATUSBRIDGE_ADMIN_TOKEN=ADMIN, STATUSBRIDGE_WATCH="1", **environ
        ) as run:
            yield Stage(run.url, page, run)


def tell(of: Stage) -> None:
    """Let something of everything happen."""
    of.alerts(
        alert("Slow", "checkout", "warning", "firing"), regional("Errors", "eu-west-1", "Payments <b>fail</b> & *more*")
    )
    until(of.incidents, "the page has an incident")
    of.alerts(alert("Down", "checkout", "critical", "firing"), alert("SearchSlow", "search", "warning", "firing"))
    until(lambda: len(of.incidents()[0].updates) == 2, "the incident has an update")
    of.alerts(alert("SearchSlow", "search", "warning", "resolved"))
    of.alerts({"status": "firing", "labels": "none"})  # not understood
    until(of.waiting, "a post waits for approval")
    until(lambda: of.ask("windows")["items"], "a window is planned")
    until(lambda: of.ask("inbounds", state="parked")["items"], "a webhook is parked")


def regional(name: str, region: str, summary: str = "", status: str = "firing") -> dict[str, Any]:
    """An alert that waits for approval before it is public."""
    made = json.loads(json.dumps(alert(name, "api", "critical", status)))
    made["labels"]["region"] = region
    made["annotations"]["summary"] = summary
    made["fingerprint"] = f"{name}-{region}"
    return dict(made)
