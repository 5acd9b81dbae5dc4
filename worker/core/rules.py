"""
Rule files to a rule set, or every problem at once.

What belongs here: the order of the work, and the making of the set. Text comes in, compiled values go out; reading
files, resolving secrets and knowing the vendors are for the shell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from worker.core import advice, checking, recurrence
from worker.core.checking import Checker, Known, SourceFacts, find, names_in
from worker.core.compiling import (
    Compiler,
    Spec,
    compile_adoption,
    compile_canary,
    compile_entry,
    compile_mapping,
    compile_rule,
    compile_spec,
    compile_window,
    spec_of,
)
from worker.core.documents import Path
from worker.core.gathering import Gathered, gather
from worker.core.model import digest
from worker.core.ruleset import (
    HEARTBEAT,
    AuthConfig,
    ComponentRef,
    Limits,
    NoticeTarget,
    PageConfig,
    Rule,
    RuleSet,
    SecretRef,
    SourceConfig,
    WindowEntry,
)
from worker.core.spec.file import DefaultsSpec, RuleSpec
from worker.core.spec.maintenance import MaintenanceSpec
from worker.core.spec.pages import NoticeSpec, PageSpec
from worker.core.spec.scalars import parse_secret
from worker.core.spec.sources import AuthSpec, SourceSpec
from worker.core.wording import Model, validated
from worker.core.written import Entry, Place, Report, Unread
from worker.errors import ConfigError

__all__ = ["SourceFacts", "compile_entry", "compile_spec", "load"]


def load(
    files: Mapping[str, str],
    templates: Mapping[str, str],
    *,
    source_kinds: Mapping[str, SourceFacts],
    provider_names: Collection[str],
    templates_dir: str = "templates",
    unread: Sequence[Unread] = (),
) -> RuleSet:
    """
    Read a whole set.

    Args:
        files: Name as the person knows it, to content.
        templates: Name below the templates folder, to content.
        source_kinds: Every kind of source that there is.
        provider_names: Every provider that there is.
        templates_dir: The templates folder as the person knows it.
        unread: Files of the set that could not be read: their problems are told with the others.

    Raises:
        ConfigError: With every problem, in order of file, line and column.
    """
    report = Report()
    for file in unread:
        report.problems.add(file.problem)
        report.unread(file.problem.file, file.text)
    gathered = gather(files, templates_dir, report)
    known = _known(gathered, source_kinds, provider_names)
    loader = _Loader(known, templates, report)
    rule_set = loader.load(gathered)
    if report.problems:
        raise ConfigError(report.all_problems())
    return rule_set


def _known(gathered: Gathered, kinds: Mapping[str, SourceFacts], providers: Collection[str]) -> Known:
    rules = {name: entry for entry in gathered.lists["rules"] if (name := checking.entry_name(entry)) is not None}
    return Known(
        pages={name: names_in(find(entry.data, "components")) for name, entry in gathered.maps["pages"].items()},
        sources={name: str(find(entry.data, "kind")) for name, entry in gathered.maps["sources"].items()},
        kinds=kinds,
        providers=providers,
        rules={name: checking.has_episodes(entry) for name, entry in rules.items()},
        renamed={was: name for name, entry in rules.items() for was in names_in(find(entry.data, "was"))},
    )


class _Loader:
    """
    Goes through the entries of one set.

    What is wrong goes into the report; what can be made of the rest is made all the same, to find what else is wrong.
    """

    def __init__(self, known: Known, templates: Mapping[str, str], report: Report) -> None:
        self._known = known
        self._report = report
        self._context = {"templates": templates}

    def load(self, gathered: Gathered) -> RuleSet:
        if gathered.defaults is not None:
            self._read(DefaultsSpec, gathered.defaults)
        pages = {name: made for name, entry in gathered.maps["pages"].items() if (made := self._page(name, entry))}
        sources = {
            name: read for name, entry in gathered.maps["sources"].items() if (read := self._source(name, entry))
        }
        rules = self._rules(gathered.lists["rules"])
        windows = [window for entry in gathered.lists["maintenance"] if (window := self._window(entry))]
        notices = [notice for entry in gathered.lists["notices"] if (notice := self._notice(entry))]
        return RuleSet(
            pages={name: page for name, (page, _) in pages.items()},
            sources={name: source for name, (source, _) in sources.items()},
            rules=tuple(rules),
            notices=tuple(notices),
            hash=_hash(pages, sources, rules, windows, notices),
            warnings=tuple(str(warning) for warning in sorted(self._report.warnings)),
            maintenance=tuple(windows),
        )

    def _read(self, model: type[Model], entry: Entry) -> Model | None:
        return validated(model, entry, self._report, self._context)

    def _tell(self, entry: Entry) -> Callable[[Path, int, int, str], None]:
        return lambda loc, line, column, message: self._report.wrong(entry.inside(loc, line, column), message)

    def _page(self, name: str, entry: Entry) -> tuple[PageConfig, Spec] | None:
        Checker(entry, self._known, self._report).page()
        page = self._read(PageSpec, entry)
        if page is None:
            return None
        adoption = None
        if page.adopt_maintenance is not None:
            compiler = Compiler(self._tell(entry))
            adoption = compile_adoption(page.adopt_maintenance, name, compiler, ("adopt_maintenance",))
        spec = spec_of(page)
        return replace(_page_config(name, entry, page), adoption=adoption), spec

    def _source(self, name: str, entry: Entry) -> tuple[SourceConfig, Spec] | None:
        Checker(entry, self._known, self._report).source()
        source = self._read(SourceSpec, entry)
        if source is None:
            return None
        advice.advise_source(entry, source, self._report)
        compiler, spec = Compiler(self._tell(entry)), spec_of(source)
        config = SourceConfig(
            name=name,
            kind=source.kind,
            auth=_auth(source, entry, self._known.kinds),
            mapping=compile_mapping(source.event, compiler, ("event",), _items(entry)) if source.event else None,
            place=entry.place,
            canary=compile_canary(source.canary, compiler, ("canary",)) if source.canary else None,
        )
        return config, spec

    def _rules(self, entries: Sequence[Entry]) -> list[Rule]:
        for entry in entries:
            Checker(entry, self._known, self._report).rule()
        read = [(entry, rule) for entry in entries if (rule := self._read(RuleSpec, entry))]
        checking.check_renamed(read, self._known, self._report)
        checking.check_circles(read, self._report)
        advice.advise_rules(read, self._report)
        return [compile_rule(rule, self._tell(entry), _words(entry), entry.place) for entry, rule in read]

    def _window(self, entry: Entry) -> WindowEntry | None:
        Checker(entry, self._known, self._report).window()
        window = self._read(MaintenanceSpec, entry)
        if window is None:
            return None
        advice.advise_window(entry, window, (), self._report)
        plan = compile_window(window, self._tell(entry), entry.place)
        key, wrong = recurrence.fault(plan)
        if wrong:
            self._report.wrong(entry.value((key,)), wrong)
        elif odd := recurrence.oddity(plan):
            self._report.odd(entry.value(("repeat",)), odd)
        return plan

    def _notice(self, entry: Entry) -> NoticeTarget | None:
        notice = self._read(NoticeSpec, entry)
        if notice is None:
            return None
        if notice.webhook is None:
            address = _secret(notice.heartbeat or "", entry, ("heartbeat",))
            return NoticeTarget(address=address, format=HEARTBEAT, every=notice.every)
        address = _secret(notice.webhook, entry, ("webhook",))
        return NoticeTarget(address=address, format=notice.format, least=notice.least)


def _words(rule: Entry) -> list[str]:
    """Give the words that a rule means its texts to have, also where something is wrong with one of them."""
    return [*names_in(find(rule.data, "group_by")), *names_in(find(rule.data, "vars"))]


def _items(source: Entry) -> list[str]:
    """Give the names in ``each``, also where something is wrong with it."""
    each = find(source.data, "event", "each")
    return [name for step in (each if isinstance(each, list) else [each]) for name in names_in(step)]


def _page_config(name: str, entry: Entry, page: PageSpec) -> PageConfig:
    return PageConfig(
        name=name,
        provider=page.provider,
        page=page.page,
        api_key=_secret(page.api_key, entry, ("api_key",)) if page.api_key is not None else None,
        base_url=page.base_url or "",
        publish=page.publish,
        components={
            ours: ComponentRef(
                name=ref.name or "", group=ref.group or "", place=_written(entry.value(("components", ours)))
            )
            for ours, ref in page.components.items()
        },
        settle=page.settle,
        limits=Limits(incidents=page.limits.incidents, updates=page.limits.updates, mails=page.limits.mails),
        place=entry.place,
        widget=page.widget,
    )


_SECRET_OPTIONS = frozenset({"password", "secrets", "value"})
"""Options of authentication schemes that are secrets; all others are plain words."""


def _auth(source: SourceSpec, entry: Entry, kinds: Mapping[str, SourceFacts]) -> AuthConfig:
    """Give what is written, over what the kind of source knows itself, over the defaults of the scheme."""
    if not isinstance(source.auth, AuthSpec):
        return AuthConfig(scheme=source.auth)
    scheme = next(iter(source.auth.model_fields_set))
    options, facts = getattr(source.auth, scheme), kinds.get(source.kind)
    known = facts.schemes.get(scheme, {}) if facts else {}
    if options is None:  # it has no value, which is told elsewhere
        return AuthConfig(scheme=scheme)
    if isinstance(options, tuple):
        return AuthConfig(scheme=scheme, secrets=_secrets(options, entry, ("auth", scheme)), options=known)
    key, texts = next(((key, value) for key, value in options if key in _SECRET_OPTIONS), ("", ()))
    told = {name: _option(value) for name, value in options if name not in _SECRET_OPTIONS and value is not None}
    return AuthConfig(
        scheme=scheme,
        secrets=_secrets(texts, entry, ("auth", scheme, key)),
        options=told | {option: value for option, value in known.items() if option not in options.model_fields_set},
    )


def _option(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _secrets(texts: Sequence[str], entry: Entry, loc: Path) -> tuple[SecretRef, ...]:
    return tuple(_secret(text, entry, (*loc, index)) for index, text in enumerate(texts))


def _secret(text: str, entry: Entry, loc: Path) -> SecretRef:
    kind, name = parse_secret(text)
    return SecretRef(kind, name, _written(entry.value(loc)))


def _written(place: Place) -> str:
    file, line, column = place
    return f"{file}:{line}:{column}"


def _hash(
    pages: Mapping[str, tuple[PageConfig, Spec]],
    sources: Mapping[str, tuple[SourceConfig, Spec]],
    rules: Sequence[Rule],
    windows: Sequence[WindowEntry],
    notices: Sequence[NoticeTarget],
) -> str:
    """Name the set by what it means: the order of files and entries, comments and layout do not count."""
    return digest(
        {
            "pages": {name: spec for name, (_, spec) in pages.items()},
            "sources": {name: spec for name, (_, spec) in sources.items()},
            "rules": {rule.id: rule.hash for rule in rules},
            "maintenance": {window.id: window.hash for window in windows},
            "notices": sorted(f"{n.address} {n.format} {n.least} {n.every}" for n in notices),
        }
    )
