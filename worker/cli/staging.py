"""
Anybody's rules made ready to be rehearsed: a page for them on this machine, secrets that are worth nothing, nothing
that waits for a person; and a word on what they lack.

Pure. What is left as it is: matching, timing, grouping, words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.core.matching import RuleIndex, Verdict
from worker.core.model import Event, PublishMode
from worker.core.ruleset import ComponentRef, IncidentPlan, RelayPlan, Rule, RuleSet, SecretRef
from worker.core.spelling import listed
from worker.errors import ConfigError

KIND = "alertmanager"
_ELSE = (
    "to try these rules with what your own senders send: `statusbridge test`; or `statusbridge sandbox` as the "
    "`base_url` of the page, with `statusbridge run` and `statusbridge send`"
)


def staged(rules: RuleSet, url: str, key: str, secrets: Mapping[str, str]) -> tuple[RuleSet, Mapping[str, str]]:
    """
    Make a set ready.

    Args:
        url: Where the page for rehearsals is, and *key* what opens it.
        secrets: Scheme of authentication to a secret for it; "" is any other.

    Returns:
        The set, and the environment that its secrets are looked up in.
    """
    environ: dict[str, str] = {}

    def worthless(value: str) -> SecretRef:
        ref = SecretRef(kind="env", name=f"DEMO_{len(environ)}")
        environ[ref.name] = value
        return ref

    pages = {
        name: replace(page, base_url=url, api_key=page.api_key and worthless(key), publish=PublishMode.AUTO)
        for name, page in rules.pages.items()
    }
    sources = {}
    for name, source in rules.sources.items():
        secret = secrets.get(source.auth.scheme, secrets[""])
        refs = tuple(worthless(secret) for _ in source.auth.secrets)
        sources[name] = replace(source, auth=replace(source.auth, secrets=refs))
    publishing = tuple(_publishing(rule) for rule in rules.rules)
    return replace(rules, pages=pages, sources=sources, rules=publishing, notices=()), environ


def _publishing(rule: Rule) -> Rule:
    if not isinstance(rule.plan, IncidentPlan | RelayPlan):
        return rule
    return replace(rule, plan=replace(rule.plan, publish=PublishMode.AUTO))


def holds_back(rules: RuleSet) -> bool:
    """Whether anything of the set would wait for a person, or stay in the shadow."""
    plans = [rule.plan for rule in rules.rules if isinstance(rule.plan, IncidentPlan | RelayPlan)]
    return any(each.publish is not PublishMode.AUTO for each in (*rules.pages.values(), *plans))


def sender(rules: RuleSet, directory: Path) -> str:
    """
    Name the source that alerts are posted to: the first of its kind.

    Raises:
        ConfigError: There is none.
    """
    for name, source in rules.sources.items():
        if source.kind == KIND:
            return name
    raise ConfigError(
        f"{directory}: the demo posts what Alertmanager sends, and no source here is of `kind: {KIND}` "
        f"({listed(rules.sources) or 'there is none at all'}); add one under `sources:`; {_ELSE}"
    )


def check_cast(rules: RuleSet, directory: Path, events: Iterable[Event]) -> None:
    """
    Make sure that some rule opens an incident for what will be sent.

    Raises:
        ConfigError: None does.
    """
    index, seen = RuleIndex(rules.rules), list(events)
    for event in seen:
        for match in index.matches(event):
            if match.verdict is Verdict.MATCHED and isinstance(match.rule.plan, IncidentPlan):
                return
    said = ", ".join(f"{name}: {value}" for name, value in sorted(seen[0].labels.items()))
    raise ConfigError(
        f"{directory}: no rule with `incident:` here is for what the demo sends: alerts of source `{seen[0].source}` "
        f"with the labels {said}; or with severity {' or '.join(each.severity for each in seen[1:])}; {_ELSE}"
    )


def page_content(rules: RuleSet) -> Mapping[str, Any]:
    """Describe pages that have what the set names, in the form of the sandbox's ``build_pages``."""
    pages: dict[str, dict[str, Any]] = {}
    for page in rules.pages.values():
        tree = pages.setdefault(page.page, {})
        for place in sorted(map(_place, page.components.values()), key=len, reverse=True):
            _plant(tree, place)
    return {"pages": [{"name": name, "items": _items(tree)} for name, tree in pages.items()]}


def _place(ref: ComponentRef) -> list[str]:
    """Give where a component stands: "Sub-page / Group / Name"; of a whole group, one component without a name."""
    return [part.strip() for part in ref.name.split(" / ")] if ref.name else [*ref.group.split(" / "), ""]


def _plant(tree: dict[str, Any], place: list[str]) -> None:
    *above, name = place
    if not above and any(name in below for below in tree.values()):
        return  # a bare name may mean one in a group; two of a name would be ambiguous
    for part in above:
        tree = tree.setdefault(part, {})
    if name or not tree:  # a group that has components already needs no other
        tree.setdefault(name or "Everything", {})


def _items(tree: Mapping[str, Any]) -> list[Any]:
    return [_item(name, below) for name, below in tree.items()]


def _item(name: str, below: Mapping[str, Any]) -> Any:
    if not below:
        return name
    deeper = any(below.values())
    return {"sub_page": name, "items": _items(below)} if deeper else {"group": name, "components": list(below)}
