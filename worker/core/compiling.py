"""
From the form of a rule to what decide reads: expressions and texts compiled, short forms spelt out.

What belongs here: every use of the compilers of ``core.conditions`` and ``core.templates``. Every fault is told with
the path of the text that it is in, all of them at once. Nothing here knows files, or whether a name is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from worker.core.conditions import CompileFailed, Want, compile_event, compile_json, compile_regex, compile_signals
from worker.core.documents import Path
from worker.core.model import ComponentStatus, IncidentStatus, Post, digest
from worker.core.ruleset import (
    Adoption,
    ApproveConfig,
    Canary,
    Driver,
    EventWindowPlan,
    Impact,
    IncidentPlan,
    JsonMapping,
    Keepalive,
    Matcher,
    MatchOp,
    Missed,
    Overrun,
    Program,
    RelayPlan,
    Rule,
    Said,
    Template,
    WindowEntry,
    WindowPlan,
)
from worker.core.spec.file import RuleSpec
from worker.core.spec.maintenance import (
    AnnounceSpec,
    CancelSpec,
    CompleteSpec,
    MaintenanceSpec,
    OverrunSpec,
    RescheduleSpec,
    RuleMaintenanceSpec,
    StartSpec,
    WindowCommon,
)
from worker.core.spec.matches import Match, MatchSpec
from worker.core.spec.pages import AdoptSpec
from worker.core.spec.plans import ApproveSpec, ChosenComponent, IncidentSpec, KeepaliveSpec, RelaySpec
from worker.core.spec.scalars import CelSpec, Strict
from worker.core.spec.sources import ALL, CanarySpec, EventSpec
from worker.core.templates import compile_template
from worker.errors import ConfigError

TITLE_LIMIT = 200
MESSAGE_LIMIT = 4096
"""Characters of a rendered title and text; no provider that we know takes more."""

Made = TypeVar("Made")
Spec = Mapping[str, Any]


class Compiler:
    """
    Compiles the texts of one entry and collects what is wrong with them.

    Args:
        words: Names that templates may use besides the built-in ones.
        tell: Takes (path, line, column, message) of each fault; line and column within the text, 1-based.
        about: What templates are about, "episode" or "window".
    """

    def __init__(
        self, tell: Callable[[Path, int, int, str], None], words: Collection[str] = (), about: str = "window"
    ) -> None:
        self._tell = tell
        self._words = frozenset(words)
        self._about = about

    def _try(self, loc: Path, make: Callable[[], Made], hint: str = "") -> Made | Any:
        try:
            return make()
        except CompileFailed as failed:
            for line, column, message in failed.faults:
                self._tell(loc, line, column, message + hint)
            return None  # whoever was told drops the whole entry

    def _cel(self, text: str, loc: Path, make: Callable[[], Program]) -> Program:
        # The usual slip: a word that is meant as a text, which must be quoted for YAML and for CEL.
        hint = f"; if it is a fixed text, write \"'{text}'\"" if text.isidentifier() else ""
        return self._try(loc, make, hint)

    def event(self, text: str, want: Want, loc: Path) -> Program:
        """Compile an expression over one event."""
        return self._cel(text, loc, lambda: compile_event(text, want))

    def signals(self, text: str, want: Want, loc: Path) -> Program:
        """Compile an expression over the leading event and all firing signals."""
        return self._cel(text, loc, lambda: compile_signals(text, want))

    def json(self, text: str, want: Want, names: Collection[str], loc: Path) -> Program:
        """Compile an expression over a body."""
        return self._cel(text, loc, lambda: compile_json(text, want, names=names))

    def regex(self, pattern: str, loc: Path) -> Program:
        """Compile a regular expression."""
        return self._try(loc, lambda: compile_regex(pattern))

    def title(self, text: str, loc: Path) -> Template:
        """Compile the name of an incident or window."""
        return self._try(
            loc, lambda: compile_template(text, self._words, TITLE_LIMIT, markdown=False, about=self._about)
        )

    def text(self, text: str, loc: Path) -> Template:
        """Compile what is posted."""
        return self._try(loc, lambda: compile_template(text, self._words, MESSAGE_LIMIT, about=self._about))


def spec_of(rule: Strict) -> dict[str, Any]:
    """Give an entry as self-contained JSON data, every default and template in it; reads back to the same."""
    return rule.model_dump(mode="json", by_alias=True, exclude_none=True)


def compile_spec(spec: Spec) -> Rule:
    """
    Make a rule from its stored revision.

    Raises:
        ConfigError: The revision was stored by a version that knew other keys.
    """
    return _compiled_again("rule", spec, lambda tell: compile_rule(RuleSpec.model_validate(spec), tell))


def compile_entry(spec: Spec) -> WindowEntry:
    """Make an entry of ``maintenance`` from its stored revision; raises as ``compile_spec`` does."""
    return _compiled_again("maintenance", spec, lambda tell: compile_window(MaintenanceSpec.model_validate(spec), tell))


def _compiled_again(what: str, spec: Spec, make: Callable[[Callable[[Path, int, int, str], None]], Made]) -> Made:
    faults: list[str] = []

    def tell(loc: Path, _line: int, _column: int, message: str) -> None:
        faults.append(f"{_dotted(loc)}: {message}")

    try:
        made = make(tell)
    except ValidationError as error:
        faults = [f"{_dotted(fault['loc'])}: {fault['msg']}" for fault in error.errors(include_input=False)]
    if faults:
        raise ConfigError(f"the stored revision of {what} `{spec.get('id')}` cannot be used: {'; '.join(faults)}")
    return made


def _dotted(loc: Path) -> str:
    return ".".join(str(part) for part in loc) or "rule"


def compile_rule(
    rule: RuleSpec, tell: Callable[[Path, int, int, str], None], words: Collection[str] = (), place: str = ""
) -> Rule:
    """
    Make a rule from its form.

    Args:
        rule: Its form.
        tell: Takes (path, line, column, message) of each fault; if it is called, the rule must not be used.
        words: Names that its texts may use besides those in ``group_by`` and ``vars``.
        place: ``file:line:col``.
    """
    about = "episode" if rule.maintenance is None else "window"
    compiler = Compiler(tell, (*rule.group_by, *rule.vars, *words), about)
    spec = spec_of(rule)
    return Rule(
        id=rule.id,
        was=rule.was or "",
        sources=rule.source or (),
        matchers=compile_match(rule.match, compiler, ("match",)),
        condition=compiler.event(rule.if_, Want.BOOL, ("if",)) if rule.if_ is not None else None,
        group_by={name: compiler.event(cel, Want.TEXT, ("group_by", name)) for name, cel in rule.group_by.items()},
        vars={name: compiler.signals(cel, Want.ANY, ("vars", name)) for name, cel in rule.vars.items()},
        plan=_plan(rule, compiler, spec, place),
        spec=spec,
        hash=digest(spec),
        place=place,
    )


def _plan(rule: RuleSpec, compiler: Compiler, spec: Spec, place: str) -> IncidentPlan | RelayPlan | EventWindowPlan:
    if rule.relay is not None:
        return _relay(rule.relay, compiler)
    if rule.incident is not None:
        return _incident(rule.incident, compiler)
    assert rule.maintenance is not None  # it has one of the three
    return _event_window(rule.maintenance, compiler, id=rule.was or rule.id, spec=spec, hash=digest(spec), place=place)


# --- match

_OPS: Mapping[str, MatchOp] = {
    "in_": MatchOp.IN,
    "not_": MatchOp.NOT_IN,
    "regex": MatchOp.REGEX,
    "not_regex": MatchOp.NOT_REGEX,
}


def compile_match(match: Match, compiler: Compiler, loc: Path) -> tuple[Matcher, ...]:
    """Make the lines of a ``match``."""
    return tuple(_matcher(name, value, compiler, (*loc, name)) for name, value in match.items())


def compile_canary(canary: CanarySpec, compiler: Compiler, loc: Path) -> Canary:
    """Make the canary of a source."""
    return Canary(matchers=compile_match(canary.match, compiler, (*loc, "match")), within=canary.within)


def _matcher(name: str, value: MatchSpec, compiler: Compiler, loc: Path) -> Matcher:
    if value.exists is not None:
        return Matcher(field=name, op=MatchOp.EXISTS if value.exists else MatchOp.ABSENT)
    key = next((key for key in _OPS if getattr(value, key) is not None), None)
    if key is None:  # it has no value, which is told elsewhere
        return Matcher(field=name, op=MatchOp.ABSENT)
    operand = getattr(value, key)
    if isinstance(operand, tuple):
        return Matcher(field=name, op=_OPS[key], values=operand)
    return Matcher(field=name, op=_OPS[key], values=(operand,), program=compiler.regex(operand, (*loc, key)))


# --- incident and relay


def _incident(spec: IncidentSpec, compiler: Compiler) -> IncidentPlan:
    say = {Post(name): text for name, text in spec.say if isinstance(text, str)}
    return IncidentPlan(
        pages=spec.page,
        impact=_impact(spec, compiler, ("incident", "components")),
        title=compiler.title(spec.title, ("incident", "title")),
        say={post: compiler.text(text, ("incident", "say", str(post))) for post, text in say.items()},
        hold=spec.hold,
        quiet=spec.quiet,
        reopen_within=spec.reopen_within,
        min_gap=spec.min_gap,
        max_open=spec.max_open if isinstance(spec.max_open, timedelta) else None,
        yield_to=spec.yield_to,
        existing=spec.existing,
        publish=spec.publish,
        approve=_approve(spec.approve),
        notify=frozenset(Post(post) for post in spec.notify),
        too_short=spec.too_short,
        keepalive=_keepalive(spec.say.keepalive, compiler),
    )


def _keepalive(spec: KeepaliveSpec | None, compiler: Compiler) -> Keepalive | None:
    if spec is None:
        return None
    text = compiler.text(spec.text, ("incident", "say", "keepalive", "text"))
    return Keepalive(every=spec.every, times=spec.times, text=text)


def _relay(spec: RelaySpec, compiler: Compiler) -> RelayPlan:
    return RelayPlan(
        pages=spec.page,
        impact=_impact(spec, compiler, ("relay", "components")),
        title=compiler.title(spec.title, ("relay", "title")),
        text=compiler.text(spec.text, ("relay", "text")),
        status={name: IncidentStatus(status) for name, status in spec.status.items()},
        resolve_on=frozenset(spec.resolve_on),
        resolve={each: compiler.text(text, ("relay", "resolve", each)) for each, text in spec.resolve.items()},
        existing=spec.existing,
        publish=spec.publish,
        approve=_approve(spec.approve),
        notify=frozenset(Post(post) for post in spec.notify),
    )


def _impact(spec: IncidentSpec | RelaySpec, compiler: Compiler, loc: Path) -> Impact:
    components = spec.components
    if isinstance(components, ChosenComponent):
        return Impact(
            chosen=compiler.event(components.from_, Want.TEXT, (*loc, "from")),
            chosen_status=_statuses(components.status),
        )
    return Impact(by_name={name: _statuses(statuses) for name, statuses in components.items()})


def _statuses(statuses: Mapping[str, str]) -> Mapping[str, ComponentStatus]:
    return {severity: ComponentStatus(status) for severity, status in statuses.items()}


_ALIKE = {Post.OPEN: (Post.REOPEN, Post.BACKFILL), Post.WORSEN: (Post.RELAPSE,)}
"""Who approves the one approves the others: an incident appears; or is worse than the page says."""


def _approve(spec: ApproveSpec) -> ApproveConfig:
    posts = frozenset(Post(post) for post in spec.posts)
    return ApproveConfig(
        posts=posts.union(*(_ALIKE.get(post, ()) for post in posts)),
        deadline=spec.deadline,
        on_expiry=spec.on_expiry,
    )


# --- windows


def compile_window(
    window: MaintenanceSpec, tell: Callable[[Path, int, int, str], None], place: str = ""
) -> WindowEntry:
    """
    Make an entry of ``maintenance`` from its form.

    Args:
        window: Its form.
        tell: Takes (path, line, column, message) of each fault; if it is called, the entry must not be used.
        place: ``file:line:col``.
    """
    spec = spec_of(window)
    return WindowEntry(
        id=window.id,
        starts=datetime.fromisoformat(window.starts),
        timezone=window.timezone,
        duration=window.duration,
        until=time.fromisoformat(window.until) if window.until is not None else None,
        repeat=window.repeat or "",
        except_days=frozenset(date.fromisoformat(day) for day in window.except_),
        spec=spec,
        hash=digest(spec),
        place=place,
        **_common(window, Compiler(tell), ()),
    )


def compile_adoption(spec: AdoptSpec, page: str, compiler: Compiler, loc: Path) -> Adoption:
    """Make what a page adopts, and how."""
    start, complete = (compiler.text(getattr(spec, name), (*loc, name)) for name in ("start", "complete"))
    written = spec_of(spec)
    plan = WindowPlan(
        id=str(loc[-1]),
        pages=(page,),
        components=(),
        title=compiler.title(str(loc[-1]), loc),
        announce=None,
        reminders=(),
        start=Said(text=start, notify=spec.notify),
        complete=Said(text=complete, notify=spec.notify),
        failed=complete,
        reschedule=None,
        cancel=Said(text=complete, notify=False),
        cancel_deletes=False,
        driver=Driver.WORKER,
        missed=Missed(spec.missed),
        overrun=None,
        grace=spec.grace,
        spec=written,
        hash=digest(written),
    )
    return Adoption(title=compile_match({"title": spec.title}, compiler, loc), plan=plan)


def _event_window(window: RuleMaintenanceSpec, compiler: Compiler, **known: Any) -> EventWindowPlan:
    loc: Path = ("maintenance",)

    def over(name: str, want: Want) -> Any:
        value = getattr(window, name)
        return compiler.event(value.cel, want, (*loc, name, "cel")) if isinstance(value, CelSpec) else value

    return EventWindowPlan(
        starts=over("starts", Want.TIME),
        ends=over("ends", Want.TIME),
        duration=over("duration", Want.DURATION),
        **known,
        **_common(window, compiler, loc),
    )


def _common(window: WindowCommon, compiler: Compiler, loc: Path) -> dict[str, Any]:
    """Give those fields of a window that do not depend on where it comes from."""
    complete = window.complete
    failed = "text" if complete.failed is None else "failed"
    return {
        "pages": window.page,
        "components": window.components,
        "title": compiler.title(window.title, (*loc, "title")),
        "announce": _said(window.announce, compiler, (*loc, "announce")) if window.announce is not None else None,
        "reminders": tuple(_said(each, compiler, (*loc, "remind", n)) for n, each in enumerate(window.remind)),
        "start": _said(window.start, compiler, (*loc, "start")),
        "complete": _said(complete, compiler, (*loc, "complete")),
        "failed": compiler.text(getattr(complete, failed), (*loc, "complete", failed)),
        "reschedule": _said(window.reschedule, compiler, (*loc, "reschedule")) if window.reschedule else None,
        "cancel": _said(window.cancel, compiler, (*loc, "cancel")),
        "cancel_deletes": window.cancel.delete,
        "driver": Driver(window.driver),
        "missed": Missed(window.missed),
        "overrun": _overrun(window.overrun, compiler, (*loc, "overrun")) if window.overrun is not None else None,
        "grace": window.grace,
    }


def _said(spec: _SaidSpec, compiler: Compiler, loc: Path) -> Said:
    before = spec.before if isinstance(spec, AnnounceSpec) else timedelta()
    return Said(text=compiler.text(spec.text, (*loc, "text")), notify=spec.notify, before=before)


_SaidSpec: TypeAlias = AnnounceSpec | StartSpec | CompleteSpec | RescheduleSpec | CancelSpec | OverrunSpec


def _overrun(spec: OverrunSpec, compiler: Compiler, loc: Path) -> Overrun:
    return Overrun(
        sources=spec.while_.source or (),
        matchers=compile_match(spec.while_.match, compiler, (*loc, "while", "match")),
        extend=spec.extend,
        times=spec.times,
        said=_said(spec, compiler, loc),
    )


# --- the json source

_WANTS: Mapping[str, Want] = {
    "severity_rank": Want.ANY,
    "started_at": Want.ANY,
    "occurred_at": Want.ANY,
    "private": Want.ANY,
    "test": Want.ANY,
}
"""Fields that are no text; what JSON may hold for them is known to the source that reads it."""


def compile_mapping(event: EventSpec, compiler: Compiler, loc: Path, names: Collection[str] = ()) -> JsonMapping:
    """
    Make the mapping of a source.

    Args:
        event: Its form.
        compiler: Collects what is wrong.
        loc: Where it stands in the entry.
        names: What expressions may use besides ``body``, ``headers`` and the names in ``each``.
    """
    names = list(names)
    each: list[tuple[str, Program]] = []
    for index, step in enumerate(event.each):
        for name, cel in step.items():
            each.append((name, compiler.json(cel, Want.LIST, names, (*loc, "each", index, name))))
            names.append(name)
    when = compiler.json(event.when, Want.BOOL, names, (*loc, "when")) if event.when is not None else None
    fields = {".".join(path): compiler.json(cel, _want(path), names, (*loc, *path)) for path, cel in _fields(event)}
    return JsonMapping(each=tuple(each), when=when, fields=fields)


def _want(path: tuple[str, ...]) -> Want:
    return Want.ANY if path[-1] == ALL else _WANTS.get(path[0], Want.TEXT)


def _fields(event: EventSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in event:
        if name in ("each", "when"):
            continue
        if isinstance(value, str):
            yield (name,), value
        elif isinstance(value, Mapping):
            yield from (((name, key), cel) for key, cel in value.items())
