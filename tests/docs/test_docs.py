"""What the pages name is there: links, commands, settings, metrics, routes, words, rules, and the tests of promises."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from starlette.types import Receive, Scope, Send

from tests.docs import matrix
from worker import telemetry
from worker.bootstrap import load_rules, rule_book
from worker.bootstrap.rehearsal import play_case
from worker.cli.app import app as cli
from worker.cli.failures import DEBUG
from worker.cli.verdicts import failure
from worker.core import model, signals
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import InboundError
from worker.ledger import open_ledger
from worker.providers import PROVIDERS
from worker.rehearse.memory import MemoryLedger
from worker.rehearse.reading import read_cases
from worker.rehearse.verdict import judge
from worker.rules_dir import read_beside
from worker.settings import PREFIX, Settings
from worker.sources import SENDERS, SOURCES
from worker.web.app import make_app
from worker.web.desk import Desk
from worker.web.guard import Access
from worker.web.hooks import PREFIX as HOOKS
from worker.web.live import Live
from worker.web.session import Sessions
from worker.web.widget import PREFIX as WIDGET

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``info`` is what stands after the fence."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def split(page: Path) -> tuple[str, tuple[Block, ...]]:
    """Give a page's prose, with blank lines in place of its blocks; and its blocks."""
    prose: list[str] = []
    blocks: list[Block] = []
    begun: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.match(r" *(```+)([^`]*)$", line)
        if begun is None and fence:
            begun, inside = (number, fence[1], fence[2].strip()), []
        elif begun is not None and fence and fence[1] == begun[1] and not fence[2]:
            blocks.append(Block(page, begun[0], begun[2], "\n".join(inside) + "\n"))
            begun = None
        elif begun is not None:
            inside.append(line)
            prose.append("")
            continue
        else:
            prose.append(line)
            continue
        prose.append("")
    assert begun is None, f"{page}:{begun}: a block without an end"
    return "\n".join(prose), tuple(blocks)


def prose(page: Path) -> str:
    return split(page)[0]


def blocks(*infos: str) -> list[Block]:
    return [block for page in PAGES for block in split(page)[1] if block.info in infos]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


# -- links


def anchors(page: Path) -> set[str]:
    """The names that headings can be linked by, as the usual renderers make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "code", prose(page))
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http://", "https://"))]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        missing = not target.exists() or not target.is_relative_to(ROOT)
        if missing or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            broken.append(link)
    assert not broken


def test_the_index_has_every_page_and_the_readme_has_the_index() -> None:
    index = DOCS / "index.md"
    hubs = (index, matrix.PAGE)
    listed = {(hub.parent / link.partition("#")[0]).resolve() for hub in hubs for link in links(hub)}
    assert not [named(page) for page in PAGES if page not in {*listed, index, ROOT / "README.md"}]
    assert any(link.startswith("docs/index.md") for link in links(ROOT / "README.md"))


# -- commands, verbs, settings


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}


CLI: Any = typer.main.get_command(cli)


def called(words: list[str]) -> tuple[str, set[str]]:
    """Give the name and the options of what *words* call, also below a group of commands; "" for nothing there is."""
    command, names = CLI, []
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        names.append(word)
    known = names or words[0].startswith("-")
    return " ".join(names), options_of(command) if known and (not names or not hasattr(command, "commands")) else set()


VERBS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def command_lines() -> Iterator[tuple[str, str]]:
    """Every line that a reader would type, with its place; one that goes on after a backslash is one."""
    for block in blocks("console", "sh", "ini", ""):
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            if block.info == "console" and line.startswith("$ "):
                yield block.place, line[2:]
            elif block.info == "ini" and line.startswith("Exec"):
                yield block.place, line.partition("=")[2]
            elif block.info == "sh" or (not block.info and line.startswith("statusbridge ")):
                yield block.place, line
    for page in PAGES:
        for code in re.findall(r"`((?:statusbridge|make) [^`\n]+)`", prose(page)):
            yield named(page), code


def ours(line: str) -> bool:
    return re.search(r"(?:^|[\s/])(?:statusbridge|make)\s", line) is not None


def words_of(line: str) -> list[str]:
    lexer = shlex.shlex(re.split(r"(?:^|\s)#(?:\s|$)", line)[0], posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return list(lexer)


def calls(line: str) -> Iterator[list[str]]:
    """Give each call of a line that is about us as its words, the program's name first."""
    call: list[str] = []
    for word in [*words_of(line), ";"] if ours(line) else ():
        if set(word) <= set(";|&<>()"):
            if call:
                yield call
            call = []
        elif call or not re.fullmatch(r"\w+=.*", word):
            call.append(word.rpartition("/")[2] if not call else word)


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    wrong, seen = [], set()
    for place, line in command_lines():
        for program, *words in calls(line):
            if program != "statusbridge" or not words or words[0].isupper():
                continue
            name, known = called(words)
            seen.add(name.partition(" ")[0])
            options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
            if not known or not options <= known:
                wrong.append(f"{place}: {line}")
    assert not wrong
    assert seen >= CLI.commands.keys()


def test_every_verb_that_is_shown_exists_and_contributing_shows_all() -> None:
    shown = [
        (place, call[1]) for place, line in command_lines() for call in calls(line) if call[0] == "make" and call[1:]
    ]
    assert not [f"{place}: make {verb}" for place, verb in shown if verb not in VERBS]
    told = {verb for place, verb in shown if place.startswith("docs/contributing.md")}
    assert told >= VERBS - {"help"}


def test_every_setting_that_is_named_exists() -> None:
    known = {PREFIX + field.name.upper() for field in fields(Settings)} | {DEBUG, PREFIX}
    for page in PAGES:
        assert set(re.findall(rf"{PREFIX}[A-Z_]*", page.read_text())) <= known, page


# -- reference


def test_every_metric_is_explained(tmp_path: Path) -> None:
    meter = telemetry.PrometheusMeter()
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock=lambda: NOW)
    meter.watch(ledger.totals)
    scraped = meter.exposition().decode()
    exposed = set(re.findall(r"^# TYPE (statusbridge_\S+)(?<!_created) ", scraped, re.MULTILINE))
    ledger.close()
    text = (DOCS / "reference/metrics.md").read_text()
    told = set(re.findall(r"`(statusbridge_\w+)`", text))
    assert told == exposed
    for name, (_, labels) in {**telemetry._COUNTERS, **telemetry._HISTOGRAMS}.items():
        row = next(line for line in text.splitlines() if f"`statusbridge_{name}_" in line)
        assert [label for label in labels if f"`{label}`" not in row] == [], name
    sample = re.compile(r'^(statusbridge_ledger_\w+)\{(\w+)="(\w+)"\}', re.MULTILINE)
    for name, label, value in sample.findall(scraped):
        row = next(line for line in text.splitlines() if f"| `{name}` |" in line)
        assert f"`{label}`" in row, name
        assert f"`{value}`" in row or f"`{label}`: [action](" in row, (name, value)


def test_every_value_of_a_metrics_label_is_named() -> None:
    text = (DOCS / "reference/metrics.md").read_text()
    rows = {name: line for line in text.splitlines() for name in re.findall(r"^\| `statusbridge_(\w+)_total`", line)}
    used = 0
    for path in sorted((ROOT / "worker").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "count":
                name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                for keyword in node.keywords if name in rows else ():
                    if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
                        used += 1
                        assert f"`{keyword.value.value}`" in rows[name], f"{path}:{node.lineno}"
    assert used
    assert not [
        each.__name__ for each in InboundError.__subclasses__() if each.__name__ not in rows["inbounds_refused"]
    ]


def test_metrics_that_other_pages_name_exist() -> None:
    known = set(re.findall(r"`(statusbridge_\w+)`", (DOCS / "reference/metrics.md").read_text()))
    for page in PAGES:
        assert set(re.findall(r"\bstatusbridge_(?:ledger_\w+|\w+_total)\b", page.read_text())) <= known, page


def test_every_notice_is_explained() -> None:
    text = (DOCS / "how-to/be-told.md").read_text()
    codes: set[str] = set()
    for path in (ROOT / "worker").rglob("*.py"):
        codes |= set(re.findall(r"""(?:\.notice\(\s*|Notice\(\s*code=)"(\w+)\"""", path.read_text()))
    assert len(codes) > 20
    assert not [code for code in codes - {"trial"} if f"`{code}`" not in text]


async def no_hooks(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


def test_every_route_and_every_answer_of_the_hooks_is_explained() -> None:
    parts: Any = {"alive": dict, "ready": dict, "exposition": bytes, "calendar": bytes, "run": None, "reload": None}
    desk = Desk(MemoryLedger(), rules=lambda: None, pages=dict, called=str, clock=lambda: NOW)  # type: ignore[arg-type, return-value]
    sessions = Sessions(b"", known=bool, clock=lambda: NOW, nonce=str)
    parts |= {"access": Access(), "desk": desk, "sessions": sessions, "live": Live()}
    app = make_app(no_hooks, no_hooks, **parts)  # type: ignore[arg-type]
    text = (DOCS / "reference/http.md").read_text()
    routes = {route.path for route in app.rest.routes if hasattr(route, "path")} | {HOOKS + "{source}"}
    routes |= {f"{WIDGET}{{page}}{rest}" for rest in ("", "/banner.js", "/demo")}
    told = set(re.findall(r"^\| \[?`(/[^`]*)`", text.partition("\n## ")[0], re.MULTILINE))
    assert told == routes
    assert {"/hooks/{source}", "/metrics"} <= routes
    hooks = text.partition("## POST /hooks/{source}")[2].partition("\n## ")[0]
    statuses = {each.http_status for each in InboundError.__subclasses__()} | {202, 503}
    assert not [status for status in statuses if f"| {status} |" not in hooks]


CLOSED = (
    *(model.Status, model.ComponentStatus, model.IncidentStatus, model.PublishMode, model.Phase, model.Post),
    *(model.ActionKind, model.ActionState, model.Result, signals.Change),
)


@pytest.mark.parametrize("kind", CLOSED, ids=lambda kind: kind.__name__)
def test_the_glossary_has_every_word_of_a_closed_set(kind: Any) -> None:
    text = prose(DOCS / "reference/glossary.md")
    paragraphs = [set(re.findall(r"`(\w+)`", part)) for part in re.split(r"\n(?=\*\*)", text)]
    assert any({value.value for value in kind} <= words for words in paragraphs)


def test_every_field_of_an_event_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \|", (DOCS / "reference/events.md").read_text(), re.MULTILINE)
    assert told == [field.name for field in fields(model.Event)]


# -- rules


def rules_of(block: Block, folder: Path) -> Path:
    """Write a block as a rules directory; ``rules+`` beside the pages and sources of ``rules/``."""
    folder.mkdir()
    (folder / "block.yaml").write_text(block.text)
    if block.info.endswith("+"):
        for name in ("pages.yaml", "sources.yaml"):
            shutil.copy(ROOT / "rules" / name, folder / name)
    return folder


COMPLETE = blocks("yaml rules", "yaml rules+")


@pytest.mark.parametrize("block", COMPLETE, ids=lambda block: block.place)
def test_every_complete_rules_block_passes_check_without_a_warning(block: Block, tmp_path: Path) -> None:
    loaded = load_rules(rules_of(block, tmp_path / "rules"))
    assert loaded.rules or loaded.maintenance
    assert not loaded.warnings


def test_the_readme_the_tutorial_and_how_to_write_a_rule_show_complete_rules() -> None:
    pages = {named(block.page) for block in COMPLETE}
    assert pages >= {"README.md", "docs/tutorial/first-incident.md", "docs/how-to/write-a-rule.md"}


@pytest.mark.parametrize("block", blocks("yaml tests"), ids=lambda block: block.place)
def test_every_rule_test_that_is_shown_passes_on_the_rules_that_come_along(block: Block) -> None:
    rules = load_rules(ROOT / "rules")
    cases = read_cases({block.place: block.text}, rules, SENDERS, partial(read_beside, ROOT))
    assert cases
    wrong = [verdict for case in cases if not (verdict := judge(play_case(case, rules))).holds]
    assert [failure(verdict, ROOT / "rules") for verdict in wrong] == []


def test_no_block_bears_a_word_after_the_fence_that_nobody_checks() -> None:
    known = {"", "console", "text", "json", "yaml", "yaml rules", "yaml rules+", "yaml tests", "python", "ini", "sh"}
    assert not [block.place for page in PAGES for block in split(page)[1] if block.info not in known]


def test_the_alert_of_the_tutorial_is_one_that_its_rule_matches(tmp_path: Path) -> None:
    page = DOCS / "tutorial/first-incident.md"
    (rules,) = (block for block in split(page)[1] if block.info == "yaml rules")
    (alert,) = (block for block in split(page)[1] if block.info == "json")
    json.loads(alert.text)
    config = SourceConfig(name="alertmanager", kind="alertmanager", auth=AuthConfig(scheme="none"))
    inbound = model.Inbound(source="alertmanager", body=alert.text.encode(), headers={}, received_at=NOW)
    (event,) = SOURCES["alertmanager"].normalise(inbound, config)
    assert isinstance(event, model.Event)
    matches = rule_book(load_rules(rules_of(rules, tmp_path / "rules"))).index.matches(event)
    assert [match.rule.id for match in matches] == ["checkout-outage"]


# -- what is named is there


def test_the_matrix_of_sources_is_up_to_date() -> None:
    """`python -m tests.docs.matrix` writes it."""
    assert matrix.PAGE.read_text() == matrix.matrix()


def test_the_readme_is_short_and_leads_to_every_source_and_provider() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 120
    assert "(docs/reference/sources/matrix.md)" in text
    for name in PROVIDERS:
        assert f"[`{name}`](docs/reference/providers/{name}.md)" in text


def test_every_test_and_file_that_a_page_names_exists() -> None:
    wrong = []
    for page in PAGES:
        for code in re.findall(r"`((?:tests|worker|docs)/[\w./-]+(?:::\w+)?)`", prose(page)):
            path, _, name = code.partition("::")
            file = ROOT / path
            if not file.exists() or (name and f"def {name}(" not in file.read_text()):
                wrong.append(f"{named(page)}: {code}")
    assert not wrong


def test_each_promise_names_its_proof() -> None:
    sections = re.split(r"\n## ", prose(DOCS / "explanation/guarantees.md"))
    promises = [section for section in sections if re.match(r"\d+\. ", section)]
    assert len(promises) >= 8
    assert not [section.splitlines()[0] for section in promises if "| `tests/" not in section]


def test_the_architecture_walks_every_part() -> None:
    text = (DOCS / "explanation/architecture.md").read_text()
    parts = [path for path in (ROOT / "worker").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    named_so = [f"`worker/{path.name}{'/' if path.is_dir() else ''}`" for path in parts if path.name != "__init__.py"]
    assert named_so
    assert not [name for name in named_so if name not in text]
    steps = [path.stem for path in (ROOT / "worker/steps").glob("[a-z]*.py")]
    assert not [step for step in steps if f"| **{step}** |" not in text]


def test_decisions_are_numbered_dated_by_order_and_short() -> None:
    records = sorted((DOCS / "explanation/decisions").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        lines = record.read_text().splitlines()
        assert lines[0].startswith(f"# {int(record.name[:4])}. ")
        assert lines[2].startswith("Status: ")
        assert len(lines) <= 60


# -- hooks for repositories of rules


def test_every_hook_for_pre_commit_calls_a_command_that_there_is() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["id"] for hook in hooks} == {"statusbridge-check", "statusbridge-test"}
    for hook in hooks:
        program, *words = hook["entry"].split()
        name, known = called(words)
        assert program == "statusbridge"
        assert known
        assert {word for word in words if word.startswith("-")} <= known
        assert hook["args"] == ["rules"]
        assert hook["pass_filenames"] is False
        assert f"`{name}`" in (DOCS / "reference/cli.md").read_text()
        assert hook["id"] in (DOCS / "how-to/rules-in-ci.md").read_text()
