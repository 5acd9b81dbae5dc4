"""``init``: a rules directory to begin with."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.console import answer
from worker.errors import ConfigError, KeyDenied, ProviderUnavailable

if TYPE_CHECKING:
    from worker.providers._components import ListedComponent, ListedPage

STARTER = files("worker.cli").joinpath("starter")
_SAMPLE: Mapping[str, str] = {"website": "Website", "api": "API"}
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
_RESERVED = ("from", "status", *_WORDS)


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; must be empty or not there.")],
    source: Annotated[
        list[str], typer.Option(metavar="KIND", help="What sends: alertmanager, incident_io, json. Repeatable.")
    ],
    page: Annotated[
        str,
        typer.Option(metavar="NAME", help="The status page: its name or id at the provider.", show_default=False),
    ] = "",
    provider: Annotated[str, typer.Option(metavar="NAME", help="The service that hosts the page.")] = "incident_io",
    base_url: Annotated[
        str, typer.Option(metavar="URL", help="The provider's API, where it is another: a sandbox.", show_default=False)
    ] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the page, though its key is there.")] = False,
) -> None:
    """
    Write a rules directory to begin with: a page, a source, a rule, and its tests.

    Where the page's key is in the environment (INCIDENT_IO_API_KEY), the page is asked for its components; nothing is
    changed there. What is written passes `check --strict` and `test`, and publishes nothing (`publish: shadow`).

    \b
    Examples:
      statusbridge init rules --source alertmanager
      INCIDENT_IO_API_KEY=… statusbridge init rules --source alertmanager --source incident_io --page "Acme Status"

    Exit codes: 0 written; 1 the page cannot be read now; 2 the call is wrong, or there is something in DIR already.
    """
    _check(directory, source, provider)
    key = f"{provider.upper()}_API_KEY"
    asked = None if offline or not os.environ.get(key) else _asked(provider, page, base_url, key)
    name = page or (asked.name if asked else "Acme Status")
    components = _named(asked.components) if asked else _SAMPLE
    written = _texts(source, _page_text(provider, name, base_url, key, components, known=asked is not None), components)
    for path, text in written.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    answer("\n".join(f"written: {directory / path}" for path in written))
    answer("\n".join(_next(directory, known=asked is not None)))


def _check(directory: Path, sources: Iterable[str], provider: str) -> None:
    from worker.core.spelling import listed, suggest
    from worker.providers import PROVIDERS
    from worker.sources import SOURCES

    begun = [kind for kind in SOURCES if STARTER.joinpath(kind).is_dir()]
    for kind in sources:
        if kind not in SOURCES:
            raise ConfigError(f"--source: there is no kind `{kind[:60]}`{suggest(kind, SOURCES, 'kinds')}")
        if kind not in begun:
            raise ConfigError(
                f"--source: rules to begin with are written for {listed(begun)} only; begin with one of them, and take "
                f"the block in docs/reference/sources/{kind}.md"
            )
    if provider not in PROVIDERS:
        raise ConfigError(f"--provider: there is no `{provider[:60]}`{suggest(provider, PROVIDERS, 'there is')}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"{directory}: there is something already; name a directory that is empty or not there")


# --- the page


def _asked(provider: str, page: str, base_url: str, key: str) -> ListedPage:
    """
    Ask the provider for the page that is meant.

    Raises:
        ConfigError: There is none of this name, or there are several and none is named.
        ProviderUnavailable: It cannot be read now.
    """
    from worker.bootstrap import provider_for, utc_now
    from worker.cli.pages import Listing
    from worker.core.model import PublishMode
    from worker.core.ruleset import PageConfig, SecretRef
    from worker.core.spelling import listed, suggest

    config = PageConfig(
        name="main",
        provider=provider,
        page=page,
        api_key=SecretRef("env", key),
        base_url=base_url,
        publish=PublishMode.SHADOW,
        components={},
    )
    client = provider_for(config, os.environ, utc_now)
    if not isinstance(client, Listing):
        raise ConfigError(f"--provider: `{provider}` cannot list its pages; use --offline")
    try:
        pages = client.pages()
    except KeyDenied:
        raise
    except ProviderUnavailable as away:
        raise ProviderUnavailable(
            f"{away}; try again later, or write without asking it, with --offline; a page elsewhere needs --base-url"
        ) from None
    found = [each for each in pages if page in ("", each.id, each.name)]
    names = [each.name for each in pages]
    if not found:
        hint = suggest(page, names, "it sees") if names else "; it sees none"
        raise ConfigError(f"--page: the key in {key} sees no page `{page[:60]}`{hint}")
    if len(found) > 1:
        raise ConfigError(f"--page: the key in {key} sees several pages: say which: {listed(names)}")
    return found[0]


def _named(components: Sequence[ListedComponent]) -> Mapping[str, str]:
    """Give each visible component a name of ours: short, and of letters that rules take."""
    found: dict[str, str] = {}
    for component in components:
        label = component.label
        if component.hidden or label in found.values():
            continue
        name = _slug(label)
        unique, number = name, 2
        while unique in found:
            unique, number = f"{name}-{number}", number + 1
        found[unique] = label
    return found or _SAMPLE


def _slug(label: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:50].strip("-") or "component"
    return f"the-{name}" if name in _RESERVED or not name[0].isalpha() else name


def _page_text(provider: str, page: str, base_url: str, key: str, components: Mapping[str, str], *, known: bool) -> str:
    lines = [f"      {ours}: {_quoted(theirs)}" for ours, theirs in components.items()]
    return _filled(
        STARTER.joinpath("pages.yaml").read_text(),
        provider=provider,
        page=_quoted(page),
        key=key,
        base_url=f"\n    base_url: {base_url}" if base_url else "",
        hint="" if known else ', or "Group / Name", or an id: put yours here',
        components="\n".join(lines),
    )


def _quoted(text: str) -> str:
    """Write a text as YAML reads it back, whatever is in it."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9/_-]*( [A-Za-z0-9/_-]+)*", text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


# --- files


def _texts(sources: Sequence[str], page: str, components: Mapping[str, str]) -> Mapping[str, str]:
    """Give every file to write, by its path in the directory."""
    component = next(iter(components))
    kinds = list(dict.fromkeys(sources))
    of = {kind: _filled_files(kind, component) for kind in kinds}
    head = "# Who may send webhooks. Secrets are looked up in the environment, and never stand here.\nsources:\n"
    texts = {"pages.yaml": page, "sources.yaml": head + "\n".join(each["source"] for each in of.values())}
    before: list[str] = []
    for each in sorted(of.values(), key=lambda files: "    incident:" in files["rules"]):  # what people say comes first
        rule = re.search(r"- id: (\S+)", each["rules"])
        assert rule is not None
        texts[f"{rule[1]}.yaml"] = _yielding(each["rules"], before)
        before.append(rule[1])
        texts[f"tests/{rule[1]}.yaml"] = each["tests"].replace(f"rules/{component}.yaml", f"{rule[1]}.yaml")
    return texts


def _yielding(rules: str, before: Sequence[str]) -> str:
    """Let a rule open nothing beside an incident of those before it: they speak of the same component."""
    if not before:
        return rules
    line = f"      yield_to: [{', '.join(before)}]".ljust(42) + "# it has an incident already: do not open a second one"
    return re.sub(r"^( +quiet:.*)$", rf"\1\n{line}", rules, count=1, flags=re.MULTILINE)


def _filled_files(kind: str, component: str) -> Mapping[str, str]:
    folder = STARTER.joinpath(kind)
    return {
        name: _filled(folder.joinpath(f"{name}.yaml").read_text(), component=component)
        for name in ("source", "rules", "tests")
    }


def _filled(text: str, **values: str) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _next(directory: Path, *, known: bool) -> list[str]:
    return [
        "next:",
        *([] if known else [f"  put your page and its components into {directory / 'pages.yaml'}"]),
        f"  statusbridge check {directory} --strict",
        f"  statusbridge test {directory}",
        f"  statusbridge run --rules {directory}          publish: shadow, so that nothing is published",
    ]
