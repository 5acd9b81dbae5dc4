"""
``make bench``: durable intake, the widget, answers, latency to the page, matching, memory: as ratios, or with ceilings.

Every ratio compares figures of one round, minutes apart at most, on one machine; medians and the spread over rounds
are printed. On a noisy machine nothing under 1.5 times is a difference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

TOKEN = "bench-token"
MARKER = "@@@@@@@@@@@@@@@@"
ENVIRON = {**os.environ, "BENCH_TOKEN": TOKEN, "BENCH_KEY": "bench-key"}
RULES = """
pages:
  main:
    provider: incident_io
    page: Acme Status
    api_key: ${{BENCH_KEY}}
    base_url: {page}
    publish: auto
    components: {{checkout: Checkout API, api: Public API}}
    limits: {{incidents: 100000 per 10m, updates: 100000 per 1h, mails: 100000 per 1h}}
sources:
  alertmanager: {{kind: alertmanager, auth: {{bearer: "${{BENCH_TOKEN}}"}}}}
rules:
  - id: each
    source: alertmanager
    match: {{labels.service: opens}}
    group_by: [instance]
    incident:
      page: main
      existing: open
      components: {{checkout: partial_outage}}
      hold: 0s
      title: "{{{{ instance }}}}"
      say: {{open: It began., resolve: It is over.}}
"""
CONSOLE = Console(highlight=False)


# -- what is posted


def alert(service: str, padding: int, instance: str = f"node-{MARKER}:9100") -> dict[str, Any]:
    """Make one alert of about *padding* bytes more than its bones."""
    return {
        "status": "firing",
        "labels": {"alertname": "Bench", "service": service, "severity": "critical", "instance": instance},
        "annotations": {"summary": f"Bench on {instance}", "description": "x" * padding},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.org/graph?g0.expr=up",
        "fingerprint": MARKER,
    }


def webhook(alerts: Sequence[dict[str, Any]]) -> str:
    """Wrap alerts as Alertmanager posts them."""
    outer = {"receiver": "r", "status": "firing", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}}
    outer |= {"externalURL": "http://am", "version": "4", "groupKey": f"{{}}:{MARKER}", "truncatedAlerts": 0}
    return json.dumps({**outer, "alerts": list(alerts)})


def single() -> str:
    """One alert, 2 KB."""
    return webhook([alert("bench", 1320)])


def fifty() -> str:
    """Fifty alerts, 34 KB."""
    return webhook([alert("bench", 230, f"node-{n}-{MARKER}") | {"fingerprint": f"{n:02d}{MARKER}"} for n in range(50)])


def for_alertmanager(posted: str) -> str:
    """The same alerts as Alertmanager's own API takes them."""
    keys = ("labels", "annotations", "startsAt", "generatorURL")
    return json.dumps([{key: alert[key] for key in keys} for alert in json.loads(posted)["alerts"]])


# -- who serves


@contextmanager
def process(*command: str, ready: bool = True) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process for the length of a block; gives it and the first line it prints."""
    out = subprocess.PIPE if ready else subprocess.DEVNULL
    running = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, text=True, env=ENVIRON)
    try:
        line = running.stdout.readline().strip() if running.stdout else ""
        if ready and not line:
            raise RuntimeError(f"{command} did not start")
        yield running, line
    finally:
        running.terminate()
        running.wait(20)


@contextmanager
def worker(scratch: Path, page: str, name: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A worker with a ledger of its own."""
    rules = scratch / f"rules-{name}"
    rules.mkdir(exist_ok=True)
    (rules / "rules.yaml").write_text(RULES.format(page=page))
    with process(sys.executable, "-m", "tests.bench.served", str(rules), f"sqlite:///{scratch}/{name}.db") as running:
        yield running


@contextmanager
def alertmanager(scratch: Path, name: str) -> Iterator[str]:
    """A real Alertmanager on loopback, or "" where it is not installed."""
    binary = shutil.which("prometheus-alertmanager")
    if binary is None:
        yield ""
        return
    config = scratch / "alertmanager.yml"
    config.write_text("route: {receiver: none, group_wait: 1h}\nreceivers: [{name: none}]\n")
    port = free_port()
    flags = [f"--config.file={config}", f"--storage.path={scratch}/am-{name}", f"--web.listen-address=127.0.0.1:{port}"]
    with process(binary, *flags, "--cluster.listen-address=", "--log.level=error", ready=False):
        wait_for(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Give a port that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_for(url: str) -> None:
    """Wait until *url* answers."""
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{url} does not answer")


SERIAL = 0


def load(
    url: str, template: str, connections: int, seconds: float, method: str = "POST", path: str = ""
) -> dict[str, float]:
    """Ask from a process of its own."""
    global SERIAL
    SERIAL += 10_000_000
    parts = urlsplit(url)
    job = {
        "host": parts.hostname,
        "port": parts.port,
        "method": method,
        "path": path or parts.path,
        "headers": {"Authorization": f"Bearer {TOKEN}"},
        "template": template,
        "marker": MARKER,
        "serial": SERIAL,
        "connections": connections,
        "seconds": seconds,
    }
    command = [sys.executable, "-m", "tests.bench.load"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


# -- what is measured


@dataclass
class Cell:
    """The rounds of one measurement."""

    ours: list[float] = field(default_factory=list)
    noop: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def ratio(self, against: list[float]) -> str:
        """Median and spread of the ratios within each round."""
        if not against:
            return "not installed"
        ratios = [a / b for a, b in zip(self.ours, against, strict=True)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def intake(rounds: int, seconds: float) -> dict[str, Any]:
    """Durable intake against a route that does nothing and against Alertmanager, which keeps alerts in memory."""
    cells: dict[tuple[str, int], Cell] = {}
    shapes = {"1 alert, 2 KB": single(), "50 alerts, 34 KB": fifty()}
    for n in range(rounds):
        for shape, template in shapes.items():
            with (
                scratch_dir() as scratch,
                page() as at,
                worker(scratch, at, "intake") as (_, url),
                alertmanager(scratch, "intake") as am,
            ):
                for connections in (1, 16, 64):
                    cell = cells.setdefault((shape, connections), Cell())
                    cell.noop.append(load(f"{url}/noop", template, connections, seconds)["rate"])
                    ours = load(f"{url}/hooks/alertmanager", template, connections, seconds)
                    if ours["failed"]:
                        CONSOLE.print(f"  {ours['failed']} of ours were not accepted", style="red")
                    cell.ours.append(ours["rate"])
                    cell.p99.append(ours["p99_ms"])
                    if am:
                        theirs = load(f"{am}/api/v2/alerts", for_alertmanager(template), connections, seconds)
                        cell.theirs.append(theirs["rate"])
            CONSOLE.print(f"  intake round {n + 1}/{rounds}, {shape}", style="dim")
    table = Table("posted", "connections", "accepted/s", "p99 ms", "÷ no-op route", "÷ Alertmanager (memory only)")
    for (shape, connections), cell in cells.items():
        ours, p99 = statistics.median(cell.ours), statistics.median(cell.p99)
        table.add_row(
            shape, str(connections), f"{ours:,.0f}", f"{p99:.1f}", cell.ratio(cell.noop), cell.ratio(cell.theirs)
        )
    CONSOLE.print(table)
    return {f"{shape} c={c}": vars(cell) for (shape, c), cell in cells.items()}


@contextmanager
def page() -> Iterator[str]:
    """A page that answers at once."""
    with process(sys.executable, "-m", "tests.bench.page") as (_, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def scratch_dir() -> Iterator[Path]:
    """A throw-away folder on the disk that the checkout is on."""
    Path("var").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="var") as made:
        yield Path(made)


def steadily(url: str, bodies: Sequence[str], per_second: int) -> list[tuple[float, float]]:
    """Post at a steady pace, whatever the answers take; gives when each was to be sent, and was answered 2xx."""
    import httpx

    async def post(client: httpx.AsyncClient, intended: float, body: str) -> tuple[float, float]:
        answer = await client.post(f"{url}/hooks/alertmanager", content=body)
        return intended, time.time() if answer.is_success else float("inf")

    async def drive() -> list[tuple[float, float]]:
        async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {TOKEN}"}) as client:
            began, tasks = time.time() + 0.2, []
            for i, body in enumerate(bodies):
                intended = began + i / per_second
                await asyncio.sleep(max(0, intended - time.time()))
                tasks.append(asyncio.create_task(post(client, intended, body)))
            return await asyncio.gather(*tasks)

    return asyncio.run(drive())


def percentile(took: Sequence[float], share: float) -> float:
    """Give what so large a share does not exceed."""
    return sorted(took)[min(len(took) - 1, int(len(took) * share))]


def answers(rounds: int, seconds: float) -> dict[str, Any]:
    """How long a sender waits for its answer when every post opens an incident, with a page that answers or hangs."""
    shapes = {"1 alert, 2 KB": (1, 1320), "50 alerts, 34 KB": (50, 230)}
    told: dict[str, dict[str, list[float]]] = {}
    for n in range(rounds):
        for shape, (count, padding) in shapes.items():
            for how in ("answers", "hangs"):
                with scratch_dir() as scratch, page() as at, worker(scratch, at, "answers") as (_, url):
                    if how == "hangs":
                        urllib.request.urlopen(f"{at}/hang")
                    bodies = []
                    for i in range(int(20 * seconds)):
                        each = alert("opens", padding, f"{n}-{i}")
                        alerts = [each | {"fingerprint": f"{i}-{k}"} for k in range(count)]
                        bodies.append(webhook(alerts).replace(MARKER, f"{i:016x}"))
                    took = [(answered - intended) * 1000 for intended, answered in steadily(url, bodies, 20)]
                told.setdefault(shape, {}).setdefault(how, []).append(percentile(took, 0.99))
    table = Table("posted, 20 a second", "p99 ms, page answers", "p99 ms, page hangs", "ceiling")
    for shape, p99s in told.items():
        table.add_row(shape, *(f"{statistics.median(p99s[how]):.1f}" for how in ("answers", "hangs")), "100")
    CONSOLE.print(table)
    return told


def latency(rounds: int, seconds: float) -> dict[str, Any]:
    """From the intended time of a POST to the write on the page, at 50 events a second of which 5 open an incident."""
    p50s, p99s = [], []
    for n in range(rounds):
        with scratch_dir() as scratch, page() as at, worker(scratch, at, "latency") as (_, url):
            bodies = [
                webhook([alert("bench" if i % 10 else "opens", 1320, f"{n}-{i}")]).replace(MARKER, f"{i:016x}")
                for i in range(int(50 * seconds))
            ]
            sent = steadily(url, bodies, 50)
            posted = {f"{n}-{i}": intended for i, (intended, _) in enumerate(sent) if i % 10 == 0}
            seen: dict[str, float] = {}
            for _ in range(100):
                seen = json.load(urllib.request.urlopen(f"{at}/seen"))
                if len(seen) == len(posted):
                    break
                time.sleep(0.1)
            took = [(seen[name] - at_time) * 1000 for name, at_time in list(posted.items())[3:] if name in seen]
            if len(seen) != len(posted):
                CONSOLE.print(f"  {len(posted) - len(seen)} never reached the page", style="red")
            p50s.append(percentile(took, 0.5))
            p99s.append(percentile(took, 0.99))
    CONSOLE.print(
        f"POST to page at 50 events/s: p50 {statistics.median(p50s):.1f} ms, p99 {statistics.median(p99s):.1f} ms "
        f"({min(p99s):.1f}–{max(p99s):.1f}); ceiling 50 ms"
    )
    return {"p50_ms": p50s, "p99_ms": p99s}


def widget(rounds: int, seconds: float) -> dict[str, Any]:
    """The widget from memory against a route that does nothing; how often the page is asked for it; and its death."""
    cells: dict[int, Cell] = {}
    told = {"ttls": [], "asked": [], "stale": []}
    for n in range(rounds):
        with scratch_dir() as scratch, page() as at, worker(scratch, at, "widget") as (_, url):
            wait_for(f"{url}/widget/main")
            began, before = time.perf_counter(), json.load(urllib.request.urlopen(f"{at}/asked"))["asked"]
            for connections in (1, 16, 64):
                cell = cells.setdefault(connections, Cell())
                cell.noop.append(load(f"{url}/noop", "", connections, seconds, "GET")["rate"])
                ours = load(url, "", connections, seconds, "GET", "/widget/main?component=Checkout%20API")
                if ours["failed"]:
                    CONSOLE.print(f"  {ours['failed']} were not answered", style="red")
                cell.ours.append(ours["rate"])
                cell.p99.append(ours["p99_ms"])
            told["ttls"].append(seconds * 3)
            told["asked"].append(json.load(urllib.request.urlopen(f"{at}/die"))["asked"] - before)
            dead = load(url, "", 16, 3, "GET", "/widget/main")
            answer = urllib.request.urlopen(f"{url}/widget/main")
            told["stale"].append(answer.headers["cache-status"])
            if dead["failed"] or "page-does-not-answer" not in answer.headers["cache-status"]:
                CONSOLE.print(f"  {dead['failed']} failed once the page was dead", style="red")
            told["died_s"] = [*told.get("died_s", []), time.perf_counter() - began]
        CONSOLE.print(f"  widget round {n + 1}/{rounds}", style="dim")
    table = Table("connections", "answered/s", "p99 ms", "÷ no-op route")
    for connections, cell in cells.items():
        rate, p99 = statistics.median(cell.ours), statistics.median(cell.p99)
        table.add_row(str(connections), f"{rate:,.0f}", f"{p99:.1f}", cell.ratio(cell.noop))
    CONSOLE.print(table)
    asked = ", ".join(f"{asked} in {ttls:.0f}" for asked, ttls in zip(told["asked"], told["ttls"], strict=True))
    CONSOLE.print(f"questions to the page in so many seconds under load, each fresh for 1 s: {asked}")
    CONSOLE.print(f"with the page dead: {told['stale'][-1]}")
    return {**{f"c={c}": vars(cell) for c, cell in cells.items()}, **told}


def matching() -> dict[str, Any]:
    """Cost of finding the rules for an event, by number of rules."""
    from worker.bootstrap import source_facts
    from worker.core.matching import RuleIndex
    from worker.core.model import Event, Status
    from worker.core.rules import load as load_rules
    from worker.providers import PROVIDERS

    costs = {}
    for count in (10, 100, 1_000, 10_000):
        head, rule = RULES.format(page="http://127.0.0.1").split("  - id: each")
        rules = "".join(f"  - id: r{n}{rule.replace('opens', f's{n}')}" for n in range(count))
        texts = {f"{n}.yaml": part for n, part in enumerate(chunks(head, rules))}
        index = RuleIndex(load_rules(texts, {}, source_kinds=source_facts(), provider_names=PROVIDERS).rules)
        events = [
            Event(
                source="alertmanager",
                kind="alert",
                key="k",
                status=Status.FIRING,
                labels={"service": f"s{n % count}", "instance": "i"},
            )
            for n in range(2_000)
        ]
        best = []
        for _ in range(5):
            began = time.perf_counter()
            found = sum(len(index.matches(event)) for event in events)
            best.append((time.perf_counter() - began) / len(events) * 1e6)
            assert found == len(events)
        costs[count] = min(best)
    table = Table("rules", "µs per event", "÷ 10 rules")
    for count, cost in costs.items():
        table.add_row(f"{count:,}", f"{cost:.1f}", f"{cost / costs[10]:.2f}")
    CONSOLE.print(table)
    return {str(count): cost for count, cost in costs.items()}


def chunks(head: str, rules: str) -> Iterator[str]:
    """Spread rules over files of a size that the loader takes."""
    yield head + "  []\n" if not rules else head.rsplit("rules:", 1)[0]
    parts = rules.split("  - id: ")[1:]
    for at in range(0, len(parts), 200):
        yield "rules:\n" + "".join(f"  - id: {part}" for part in parts[at : at + 200])


def memory() -> dict[str, Any]:
    """Resident memory of the worker: on a new ledger, restarted on it, and after a storm of single alerts."""
    with scratch_dir() as scratch, page() as at:
        with worker(scratch, at, "memory") as (running, _):
            first = resident(running.pid)
        with worker(scratch, at, "memory") as (running, url):
            rest = resident(running.pid)
            stored = load(f"{url}/hooks/alertmanager", single(), 16, 6)["done"]
            time.sleep(1)
            after = resident(running.pid)
    CONSOLE.print(
        f"resident memory: {rest:.0f} MB at rest, {after:.0f} MB after {stored:,.0f} inbounds; ceiling 120 MB "
        f"(a first start, which makes the tables: {first:.0f} MB)"
    )
    return {"first_mb": first, "rest_mb": rest, "after_mb": after}


def resident(pid: int) -> float:
    """Read the resident memory of a process, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """Run the measurements that were asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", choices=["intake", "widget", "answers", "latency", "matching", "memory"], action="append"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one load")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    parts = {
        "intake": lambda: intake(asked.rounds, asked.seconds),
        "widget": lambda: widget(asked.rounds, asked.seconds),
        "answers": lambda: answers(asked.rounds, asked.seconds * 2),
        "latency": lambda: latency(asked.rounds, asked.seconds * 4),
        "matching": matching,
        "memory": memory,
    }
    results = {name: run() for name, run in parts.items() if not asked.only or name in asked.only}
    if asked.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
