"""``pages``: what the API keys see."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer

from worker.cli.console import answer, document, remark
from worker.cli.failures import WRONG
from worker.cli.options import JsonOption, RulesOption, settings_of
from worker.errors import ConfigError, Problem

if TYPE_CHECKING:
    from worker.core.ruleset import PageConfig, RuleSet
    from worker.providers._components import ListedComponent, ListedPage


@runtime_checkable
class Listing(Protocol):
    """A provider that can list what its key sees."""

    def pages(self) -> Sequence[ListedPage]: ...


@dataclass(slots=True)
class Seen:
    """
    What one API key sees.

    Args:
        ours: Our names of pages that are read with the key.
        listed: Everything that it sees.
        names: (page id, component id) to our names of it, "page.component".
        problems: Names of ours that point nowhere.
    """

    ours: tuple[str, ...]
    listed: Sequence[ListedPage]
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    chosen: dict[str, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def pages(
    rules: RulesOption = None,
    page: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the key of this page; its name in the rules.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what the API keys see: pages and components.

    With their ids, and which names in the rules point at each: the place to look when `components:` does not find its
    component. Reads only.

    \b
    Example:
      STATUS_PAGE_API_KEY=… statusbridge pages --rules rules
      Acme Status  01HX…  https://status.acme.example   ← main
        Checkout API  01HY…   ← main.checkout
        Europe
          API  01HZ…   ← main.api-eu

    Exit codes: 0 good; 1 a page cannot be read now; 2 a key is missing or wrong, or a name of ours points nowhere.
    """
    from worker.bootstrap import load_rules

    known = load_rules(settings_of(rules=rules).rules)
    found = [_seen(configs) for configs in _by_key(_wanted(known, page))]
    if as_json:
        document({"keys": [_as_data(seen) for seen in found]})
    else:
        answer("\n".join(line for seen in found for line in _tree(seen)))
    problems = [problem for seen in found for problem in seen.problems]
    for problem in problems:
        remark(str(problem))
    raise typer.Exit(WRONG if problems else 0)


def _wanted(rules: RuleSet, page: str | None) -> list[PageConfig]:
    from worker.core.spelling import suggest

    if page is not None and page not in rules.pages:
        raise ConfigError(f"--page: the rules have no page `{page}`{suggest(page, rules.pages, 'pages')}")
    return [config for name, config in rules.pages.items() if page in (None, name)]


def _by_key(configs: Sequence[PageConfig]) -> Iterator[list[PageConfig]]:
    def key(config: PageConfig) -> tuple[str, str, str]:
        return (config.provider, config.base_url, str(config.api_key))

    for _, same in groupby(sorted(configs, key=key), key):
        yield list(same)


def _seen(configs: Sequence[PageConfig]) -> Seen:
    from worker.bootstrap import provider_for, utc_now

    providers = {config.name: provider_for(config, os.environ, utc_now) for config in configs}
    first = next(iter(providers.values()))
    if not isinstance(first, Listing):
        raise ConfigError(f"page `{configs[0].name}`: provider `{configs[0].provider}` cannot list its pages")
    seen = Seen(tuple(providers), first.pages())
    for name, provider in providers.items():
        try:
            directory = provider.directory()
        except ConfigError as wrong:
            seen.problems += wrong.problems
            continue
        seen.problems += directory.missing.values()
        seen.chosen.setdefault(directory.page_id, []).append(name)
        for ours, ids in directory.components.items():
            for component in ids:
                seen.names.setdefault((directory.page_id, component), []).append(f"{name}.{ours}")
    return seen


def _tree(seen: Seen) -> Iterator[str]:
    if not seen.listed:
        yield f"the key of {', '.join(seen.ours)} sees no page"
    for page in seen.listed:
        yield "  ".join(filter(None, (page.name, page.id, page.public_url))) + _pointing(seen.chosen.get(page.id))
        above: tuple[str, ...] = ()
        for component in page.components:
            path = tuple(filter(None, (component.sub_page, component.group)))
            if path != above and path:
                yield f"  {' / '.join(path)}{'  ' + component.group_id if component.group_id else ''}"
            above = path
            hidden = "  (hidden from customers)" if component.hidden else ""
            names = _pointing(seen.names.get((page.id, component.id)))
            yield f"{'    ' if path else '  '}{component.name}  {component.id}{hidden}{names}"


def _pointing(names: Sequence[str] | None) -> str:
    return f"   ← {', '.join(names)}" if names else ""


def _as_data(seen: Seen) -> dict[str, Any]:
    return {
        "used_by": list(seen.ours),
        "pages": [
            {
                "id": page.id,
                "name": page.name,
                "url": page.public_url,
                "names": seen.chosen.get(page.id, []),
                "components": [_component(component, page.id, seen.names) for component in page.components],
            }
            for page in seen.listed
        ],
        "problems": [str(problem) for problem in seen.problems],
    }


def _component(component: ListedComponent, page_id: str, names: Mapping[tuple[str, str], list[str]]) -> dict[str, Any]:
    return {
        "id": component.id,
        "name": component.name,
        "group": component.group,
        "group_id": component.group_id,
        "sub_page": component.sub_page,
        "hidden": component.hidden,
        "names": names.get((page_id, component.id), []),
    }
