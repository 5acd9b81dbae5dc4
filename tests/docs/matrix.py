"""
The support matrix: ``python -m tests.docs.matrix`` writes it anew.

Whatever it says of a source is taken from the registry, or was seen in what the source makes of its bodies.
"""

from __future__ import annotations

from pathlib import Path

from tests.contract import test_source as contract
from worker.core.model import Event, Status
from worker.sources import SOURCES
from worker.sources._shipped import Shipped

PAGE = contract.ROOT / "docs/reference/sources/matrix.md"
HEAD = """# Sources: who can send

Made from the code, and from the bodies that the tests read, by `python -m tests.docs.matrix`.

| kind | `auth` | events about | is resolved | tests, private items | order | a retry is told by | read by |
|---|---|---|---|---|---|---|---|
"""
FOOT = """
* **`auth`**: the schemes that the source can be configured with; in bold, those that sign the body.
* **is resolved**: whether the sender also tells the end. Where it does not, `max_open` in rules gives a notice.
* **tests, private items**: *marked*: events with `test: true` or `private: true`, which reach only rules that match on
  it; *dropped*: they say nothing; `–`: the sender has none, or nothing in them tells.
* **order**: *stamp*: every statement bears the sender's time, and may come in any order; *receipt*: none does.
* **a retry is told by**: the header with the sender's id of a delivery; *its content*: the same bytes within ten
  minutes; *its signal*: a repeat is recorded, and changes nothing.
* **read by**: *mapping*: a shipped mapping, as in `kind: json`; *code*.
"""
SIGNING = frozenset({"hmac", "standard_webhooks", "sns"})


def cases_of(kind: str) -> list[Path]:
    """Give every body that a kind is tested with."""
    return [case for case in contract.CASES if contract.kind_of(case) == kind]


def events_in(case: Path) -> list[Event]:
    """Give what a body says about signals."""
    return [said for said in contract.said_by(case) if isinstance(said, Event)]


def marked(cases: list[Path], claim: str) -> str:
    """Say what becomes of the cases whose names begin with *claim*, and of whatever else is marked so."""
    events = [event for case in cases for event in events_in(case)]
    if any(getattr(event, claim) for event in events):
        return "marked"
    return "dropped" if any(case.name.startswith(claim) for case in cases) else "–"


def row(kind: str) -> str:
    """Give the line of one kind."""
    source, cases = SOURCES[kind], cases_of(kind)
    events = [event for case in cases for event in events_in(case)]
    schemes = [f"**{scheme}**" if scheme in SIGNING else scheme for scheme in sorted(source.schemes)]
    if not source.event_kinds:
        told = ["as mapped"] * 4 + ["`webhook-id`, else by what it says", "your mapping"]
    else:
        ends = any(event.status is Status.RESOLVED for event in events)
        stamped = any(event.occurred_at for event in events)
        told = [
            ", ".join(f"`{each}`" for each in sorted(source.event_kinds)),
            "yes" if ends else "no",
            f"{marked(cases, 'test')}, {marked(cases, 'private')}",
            "stamp" if stamped else "receipt",
            retry_told_by(kind, cases, stamped),
            "mapping" if isinstance(source, Shipped) else "code",
        ]
    return f"| [`{kind}`]({kind}.md) | {', '.join(schemes)} | {' | '.join(told)} |\n"


def retry_told_by(kind: str, cases: list[Path], stamped: bool) -> str:
    """Name the header that a delivery's id was read from, by looking for it in the captures."""
    if "standard_webhooks" in SOURCES[kind].schemes:
        return "`webhook-id`"
    for case in cases:
        inbound = contract.inbound_of(case)
        named = SOURCES[kind].delivery_id(inbound)
        if named:
            found = [name for name, value in inbound.headers.items() if value == named]
            return f"`{found[0]}`" if found else "its id in the body"
    return "its content" if stamped else "its signal"


def matrix() -> str:
    """Give the whole page."""
    return HEAD + "".join(map(row, sorted(SOURCES))) + FOOT


if __name__ == "__main__":
    PAGE.write_text(matrix())
