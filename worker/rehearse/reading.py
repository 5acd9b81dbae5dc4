"""
Files of rule tests to cases that can be played, or every problem at once, each at its place.

What belongs here: names that a test uses, the order of its times, and the bodies that it sends. Text comes in; reading
files is for the shell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from worker.core.documents import Path, parse
from worker.core.ruleset import RuleSet
from worker.core.spec.scalars import Strict, format_duration, shown
from worker.core.spelling import suggest
from worker.core.wording import validated
from worker.core.written import Entry, Report, Unread
from worker.errors import ConfigError
from worker.ports import Sender
from worker.rehearse.spec import INLINE, CaseSpec, DeedSpec, ExpectSpec, SendSpec, Shell, StepSpec

ReadFile = Callable[[str, str], bytes]
"""Gives the content of a file that a test file (its name first) names; raises OSError."""

Senders = Mapping[str, Callable[[], Sender]]
"""Kind of source to who sends for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One step of a case.

    Args:
        number: From 1, as written.
        at: When.
        items: Of an inline form: its items, in the form of the source's sender.
        body: Of any other: the raw body.
        place: ``file:line:col``.
    """

    number: int
    at: datetime
    place: str
    send: SendSpec | None = None
    deed: DeedSpec | None = None
    items: Sequence[Any] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One expected action; ``at`` is absolute, None where it is not compared."""

    spec: ExpectSpec
    at: datetime | None
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One rule test, ready to be played.

    Args:
        steps: In order of time; repeated ones as often as they happen.
        ends: When the last step is.
        wanted: None where only ``spec.totals`` counts.
        place: ``file:line:col``.
    """

    file: str
    name: str
    place: str
    spec: CaseSpec
    steps: Sequence[Step]
    ends: datetime
    wanted: Sequence[Wanted] | None = field(default=None)

    @property
    def length(self) -> timedelta:
        """How much time passes in it."""
        return self.ends - self.spec.start


def read_cases(
    files: Mapping[str, str],
    rules: RuleSet,
    senders: Senders,
    read_file: ReadFile,
    unread: Sequence[Unread] = (),
) -> list[Case]:
    """
    Read all files of rule tests.

    Args:
        files: Name as the person knows it, to content.
        rules: What the tests are about.
        senders: For the inline forms.
        unread: Files that could not be read: their problems are told with the others.

    Raises:
        ConfigError: With every problem, in order of file, line and column.
    """
    report = Report(problems={file.problem for file in unread})
    cases = [case for name in sorted(files) for case in _file(name, files[name], rules, senders, read_file, report)]
    if report.problems:
        raise ConfigError(sorted(report.problems))
    return cases


def _file(
    name: str, text: str, rules: RuleSet, senders: Senders, read_file: ReadFile, report: Report
) -> Iterator[Case]:
    try:
        document = parse(name, text)
    except ConfigError as wrong:
        report.problems.update(wrong.problems)
        return
    report.problems.update(document.problems)
    if document.data is None:
        report.wrong((name, 1, 1), "there is nothing in this file; write `tests:`, a list of tests")
        return
    whole = Entry("this file", document.data, document, ())
    if validated(Shell, whole, report, {}) is None or not isinstance(document.data["tests"], list):
        return
    first: dict[str, Entry] = {}
    for index, data in enumerate(document.data["tests"]):
        case_name = data.get("name") if isinstance(data, dict) else None
        label = f"test {shown(case_name)}" if isinstance(case_name, str) else "this test"
        entry = Entry(label, data, document, ("tests", index))
        if isinstance(case_name, str) and first.setdefault(case_name, entry) is not entry:
            report.wrong(
                entry.value(("name",)), f"{label} stands here a second time, first in {first[case_name].place}"
            )
        case = _Reader(entry, rules, senders, read_file, report).case()
        if case is not None:
            yield case


class _Reader:
    """Reads one case."""

    def __init__(self, entry: Entry, rules: RuleSet, senders: Senders, read_file: ReadFile, report: Report) -> None:
        self._entry = entry
        self._rules = rules
        self._senders = senders
        self._read_file = read_file
        self._report = report
        self._titles: set[str] = set()

    def case(self) -> Case | None:
        spec = validated(CaseSpec, self._entry, self._report, {})
        if spec is None or not self._whole(spec):
            return None
        firsts = self._moments(spec)
        written = enumerate(zip(spec.steps, firsts, strict=True))
        steps = [self._step(index, step, at, spec.start) for index, (step, at) in written]
        happening = sorted(_repeated(spec, steps), key=lambda step: (step.at, step.number))
        ends = max(step.at for step in happening)
        wanted = None if spec.expect is None else [self._wanted(n, w, spec, ends) for n, w in enumerate(spec.expect)]
        return Case(
            file=self._entry.document.file,
            name=spec.name,
            place=self._entry.place,
            spec=spec,
            steps=happening,
            ends=ends,
            wanted=wanted,
        )

    def _whole(self, spec: CaseSpec) -> bool:
        """Whether every item of the lists could be read, so that their places are known."""
        data = self._entry.data
        lists = {"steps": spec.steps, "expect": spec.expect or ()}
        return all(len(read) == len(data.get(key) or ()) for key, read in lists.items())

    def _wrong(self, loc: Path, message: str) -> None:
        self._report.wrong(self._entry.value(loc), message)

    def _place(self, loc: Path) -> str:
        file, line, column = self._entry.value(loc)
        return f"{file}:{line}:{column}"

    # -- steps

    def _moments(self, spec: CaseSpec) -> list[datetime]:
        found: list[datetime] = []
        for index, step in enumerate(spec.steps):
            at = absolute(step.at, spec.start)
            if at < (found[-1] if found else spec.start):
                before = "the step before" if found else "the start of the test"
                self._wrong(("steps", index, "at"), f"`at` must not be earlier than {before}")
            found.append(at)
        return found

    def _step(self, index: int, step: StepSpec, at: datetime, start: datetime) -> Step:
        loc: Path = ("steps", index)
        made = Step(number=index + 1, at=at, place=self._place(loc), send=step.send, deed=step.page)
        if step.page is not None:
            self._deed(step.page, (*loc, "page"), start)
        if step.send is None or not self._source(step.send, (*loc, "send")):
            return made
        if step.send.file is not None or "body" in step.send.model_fields_set:
            return replace(made, body=self._body(step.send, (*loc, "send")))
        return replace(made, items=self._items(step.send, (*loc, "send")))

    def _source(self, send: SendSpec, loc: Path) -> bool:
        known = self._rules.sources
        if send.source not in known:
            self._wrong(
                (*loc, "source"), f"unknown source {shown(send.source)}{suggest(send.source, known, 'there is')}"
            )
        return send.source in known

    def _body(self, send: SendSpec, loc: Path) -> bytes:
        if send.file is None:
            return json.dumps(send.body).encode()
        try:
            content = self._read_file(self._entry.document.file, send.file)
        except OSError as error:
            self._wrong((*loc, "file"), f"{shown(send.file)} cannot be read: {error.strerror or error}")
            return b""
        if send.times == "rebase":
            try:
                json.loads(content)
            except ValueError:
                self._wrong((*loc, "times"), f"the times of {shown(send.file)} cannot be moved: it is not JSON")
        return content

    def _items(self, send: SendSpec, loc: Path) -> list[Any]:
        form = next(name for name in INLINE if name in send.model_fields_set)
        kind = self._rules.sources[send.source].kind
        sender = self._senders[kind]() if kind in self._senders else None
        if sender is None or sender.inline != form:
            way = f"`{sender.inline}`, `body` or `file`" if sender else "`body` or `file`"
            message = f"source {shown(send.source)} is of kind `{kind}`, which has no `{form}`: write {way}"
            self._report.wrong(self._entry.key((*loc, form)), message)
            return []
        return [item for index in range(len(getattr(send, form))) if (item := self._item(sender, (*loc, form, index)))]

    def _item(self, sender: Sender, loc: Path) -> Any:
        document, path = self._entry.document, (*self._entry.path, *loc)
        entry = Entry(f"this item of `{sender.inline}`", document.at(path), document, path)
        form: type[Strict] = sender.item
        return validated(form, entry, self._report, {})

    def _deed(self, deed: DeedSpec, loc: Path, start: datetime) -> None:
        pages = self._rules.pages
        if deed.on is not None and deed.on not in pages:
            self._wrong((*loc, "on"), f"unknown page {shown(deed.on)}{suggest(deed.on, pages, 'there is')}")
            return
        target = getattr(deed, deed.deed)
        starts, ends = (absolute(each, start) if each is not None else None for each in (deed.starts, deed.ends))
        if starts is not None and ends is not None and ends <= starts:
            self._wrong((*loc, "ends"), "`ends` must be later than `starts`")
        if deed.deed in ("opens", "schedules"):
            self._titles.add(deed.title)
            if deed.on is None and len(pages) > 1:
                self._wrong(loc, f"there are several pages: say which with `on`, {' or '.join(map(shown, pages))}")
            self._components(target, [deed.on] if deed.on else list(pages), (*loc, deed.deed))
        elif isinstance(target, str):
            known = [*self._rule_ids(), *(plan.id for plan in self._rules.maintenance), *self._titles]
            if target not in known:
                hint = suggest(target, known, "there is")
                what = "no rule, no entry of `maintenance`, and nothing that somebody opened or scheduled"
                self._wrong((*loc, deed.deed), f"{shown(target)} is {what}{hint}")

    # -- what is expected

    def _wanted(self, index: int, want: ExpectSpec, spec: CaseSpec, ends: datetime) -> Wanted:
        loc: Path = ("expect", index)
        at = absolute(want.at, spec.start) if want.at is not None else None
        if at is not None and at > ends:
            end = format_duration(ends - spec.start)
            self._wrong((*loc, "at"), f"the test ends at {end}, before this: end it with a later step, {{at: …}}")
        self._name(want.rule, self._rule_ids(), "rule", loc)
        self._name(want.maintenance, [plan.id for plan in self._rules.maintenance], "maintenance", loc)
        self._name(want.page, list(self._rules.pages), "page", loc)
        pages = [want.page] if want.page in self._rules.pages else list(self._rules.pages)
        self._components(list(want.components or ()), pages, (*loc, "components"))
        return Wanted(spec=want, at=at, place=self._place(loc))

    def _rule_ids(self) -> list[str]:
        return [rule.id for rule in self._rules.rules]

    def _name(self, name: str | None, known: Sequence[str], noun: str, loc: Path) -> None:
        if name is not None and name not in known:
            self._wrong((*loc, noun), f"unknown {noun} {shown(name)}{suggest(name, known, 'there is')}")

    def _components(self, names: Sequence[str], pages: Sequence[str | None], loc: Path) -> None:
        known = {name for page in pages if page for name in self._rules.pages[page].components}
        for name in names:
            if name not in known:
                place = (
                    self._entry.key((*loc, name))
                    if (*self._entry.path, *loc, name) in self._entry.document.keys
                    else (self._entry.value(loc))
                )
                self._report.wrong(place, f"unknown component {shown(name)}{suggest(name, known, 'there is')}")


def absolute(moment: timedelta | datetime, start: datetime) -> datetime:
    """Give the time that is meant by one after the start, or by a time."""
    return start + moment if isinstance(moment, timedelta) else moment


def _repeated(spec: CaseSpec, steps: Sequence[Step]) -> Iterator[Step]:
    for step, written in zip(steps, spec.steps, strict=True):
        repeat = written.repeat
        for number in range(repeat.times if repeat else 1):
            yield replace(step, at=step.at + number * repeat.every) if repeat else step
