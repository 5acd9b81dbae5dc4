"""
A rule set in use: found by id and by event, together with the older revisions that live episodes still follow.

Pure but for two caches that depend on content alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from worker.core.drafts import Context
from worker.core.matching import RuleIndex, Verdict
from worker.core.model import Episode, Event, Phase, PublishMode, Window, episode_key
from worker.core.ruleset import IncidentPlan, Rule, RuleSet
from worker.core.windows import WindowContext, muted

_STRICTNESS = {PublishMode.AUTO: 0, PublishMode.APPROVE: 1, PublishMode.SHADOW: 2}


class RuleBook:
    """
    Args:
        rules: A loaded set.
        compile_revision: Makes a rule from its stored ``spec``.
    """

    def __init__(self, rules: RuleSet, compile_revision: Callable[[Mapping[str, Any]], Rule]) -> None:
        self.rules = rules
        self.index = RuleIndex(rules.rules)
        self._compile = compile_revision
        self._by_identity = {rule.identity: rule for rule in rules.rules}
        self._by_hash = {rule.hash: rule for rule in rules.rules}
        self._identities = {rule.id: rule.identity for rule in rules.rules}
        self._plans = {plan.id: plan for plan in rules.maintenance}
        self._names = {
            name: {ours: ref.name or ref.group for ours, ref in page.components.items()}
            for name, page in rules.pages.items()
        }
        self.dependents: dict[str, set[str]] = {}
        for rule in rules.rules:
            for other in self.yields_to(rule):
                self.dependents.setdefault(other, set()).add(rule.identity)

    def yields_to(self, rule: Rule) -> tuple[str, ...]:
        """Give the identities of the rules that *rule* yields to."""
        if not isinstance(rule.plan, IncidentPlan):
            return ()
        return tuple(self._identities.get(name, name) for name in rule.plan.yield_to)

    def rank(self, identity: str) -> int:
        """Order rules so that each comes behind those that it yields to; circles are refused when rules are loaded."""
        rule = self._by_identity.get(identity)
        return 1 + max(map(self.rank, self.yields_to(rule)), default=0) if rule else 0

    def woken(self, before: Episode | None, after: Episode) -> list[tuple[str, str]]:
        """Give (rule identity, page) of those that yield to an episode that began or ended."""
        if (before is not None and before.phase.live) == after.phase.live:
            return []
        return sorted((other, after.page) for other in self.dependents.get(after.rule_id, ()))

    def current(self, identity: str) -> Rule | None:
        """Give the rule in force."""
        return self._by_identity.get(identity)

    def revision(self, rule_hash: str) -> Mapping[str, Mapping[str, Any]]:
        """Give a rule revision as the ledger keeps it, under its hash; {} where it is not known here."""
        rule = self._by_hash.get(rule_hash)
        return {rule_hash: rule.spec} if rule else {}

    def followed_by(self, episode: Episode, revision: Callable[[str], Mapping[str, Any] | None]) -> Rule | None:
        """
        Give the rule that an episode follows: a held one the current, any other the revision that opened it.

        Args:
            revision: Gives the stored spec of a rule hash.
        """
        current = self._by_identity.get(episode.rule_id)
        if episode.phase is Phase.HELD:
            return current
        if episode.rule_hash not in self._by_hash:
            spec = revision(episode.rule_hash)
            if spec is None:
                return current
            self._by_hash[episode.rule_hash] = self._compile(spec)
        return self._by_hash[episode.rule_hash]

    def keeps(self, episode: Episode, event: Event, revision: Callable[[str], Mapping[str, Any] | None]) -> bool | None:
        """
        Say whether an episode that follows an older revision still wants a statement of its member, which no rule in
        force wants there; None where that cannot be told.

        Args:
            revision: As for ``followed_by``.
        """
        rule = self.followed_by(episode, revision)
        if rule is None or rule is self._by_identity.get(episode.rule_id):
            return False
        key = episode_key(episode.rule_id, episode.page, episode.group)
        match = next(iter(RuleIndex([rule]).matches(event)), None)
        if match is not None and match.verdict is not Verdict.MATCHED:
            return None
        return match is not None and episode_key(episode.rule_id, episode.page, match.group) == key

    def window_context(self, window: Window) -> WindowContext:
        """Collect what decide may know beside a maintenance window."""
        plan = self._plans.get(window.plan_id)
        config = self.rules.pages.get(window.page)
        return WindowContext(
            plan=plan if plan is not None and window.page in plan.pages else None,
            page_name=config.page if config else window.page,
            publish=config.publish if config else PublishMode.AUTO,
            names=self._names.get(window.page, {}),
        )

    def context(
        self,
        rule: Rule | None,
        page: str,
        yielding: Callable[[tuple[str, ...], str], bool],
        muting: Iterable[Window] = (),
    ) -> Context:
        """Collect what decide may know about a rule and a page; *muting*: the windows that mute, of whatever page."""
        config = self.rules.pages.get(page)
        ceiling = config.publish if config else PublishMode.AUTO
        if rule is None or rule.plan is None:
            return Context(rule=None, page=page)
        yields = self.yields_to(rule)
        return Context(
            rule=rule,
            page=page,
            page_name=config.page if config else page,
            publish=max(ceiling, rule.plan.publish, key=_STRICTNESS.__getitem__),
            names=self._names.get(page, {}),
            yielding=", ".join(yields) if yields and yielding(yields, page) else "",
            muted=muted(muting, page),
        )
