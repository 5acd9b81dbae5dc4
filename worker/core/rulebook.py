"""
A rule set in use: found by id and by event, together with the older revisions that live episodes still follow.

Pure but for two caches that depend on content alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, TypeAlias

from worker.core.canary import heard, well_since
from worker.core.drafts import Context
from worker.core.matching import RuleIndex, Verdict, fits
from worker.core.model import (
    Beat,
    Episode,
    Event,
    Origin,
    Phase,
    PublishMode,
    Signal,
    Status,
    Window,
    episode_key,
)
from worker.core.ruleset import EventWindowPlan, IncidentPlan, RelayPlan, Rule, RuleSet, WindowEntry
from worker.core.window_drafts import WindowContext
from worker.core.windows import muted
from worker.errors import ConfigError, EvaluationFailed

Revision: TypeAlias = Callable[[str], Mapping[str, Any] | None]
Firing: TypeAlias = Callable[[Collection[str]], Sequence[Signal]]

_STRICTNESS = {PublishMode.AUTO: 0, PublishMode.APPROVE: 1, PublishMode.SHADOW: 2}


class RuleBook:
    """
    Args:
        rules: A loaded set.
        compile_rule: Makes a rule from its stored ``spec``.
        compile_entry: Makes an entry of ``maintenance`` from that.
    """

    def __init__(
        self,
        rules: RuleSet,
        compile_rule: Callable[[Mapping[str, Any]], Rule],
        compile_entry: Callable[[Mapping[str, Any]], WindowEntry],
    ) -> None:
        self.rules = rules
        self.index = RuleIndex(rules.rules)
        self._compile = compile_rule
        self._compile_entry = compile_entry
        self.canaries = {name: source.canary for name, source in rules.sources.items() if source.canary is not None}
        self._by_identity = {rule.identity: rule for rule in rules.rules}
        self._by_hash = {rule.hash: rule for rule in rules.rules}
        self._identities = {rule.id: rule.identity for rule in rules.rules}
        self._entries = {entry.id: entry for entry in rules.maintenance}
        self._entries_by_hash = {entry.hash: entry for entry in rules.maintenance}
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
        """Give a revision of a rule or an entry as the ledger keeps it, by its hash; {} where it is not known here."""
        found = self._by_hash.get(rule_hash) or self._entries_by_hash.get(rule_hash)
        return {rule_hash: found.spec} if found else {}

    def followed_by(self, episode: Episode, revision: Revision) -> Rule | None:
        """
        Give the rule that an episode follows: a held one the current, any other the revision that opened it.

        Args:
            revision: Gives the stored spec of a rule hash.
        """
        current = self._by_identity.get(episode.rule_id)
        if episode.phase is Phase.HELD:
            return current
        return self._revised(episode.rule_hash, revision) or current

    def _revised(self, rule_hash: str, revision: Revision) -> Rule | None:
        if rule_hash not in self._by_hash:
            spec = revision(rule_hash)
            if spec is None:
                return None
            self._by_hash[rule_hash] = self._compile(spec)
        return self._by_hash[rule_hash]

    def keeps(self, episode: Episode, event: Event, revision: Revision) -> bool | None:
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

    def window_context(self, window: Window, revision: Revision, firing: Firing) -> WindowContext:
        """
        Collect what decide may know beside a maintenance window.

        Args:
            revision: As for ``followed_by``.
            firing: Gives the signals that fire, of some sources.
        """
        config = self.rules.pages.get(window.page)
        context = WindowContext(
            plan=None,
            page_name=config.page if config else window.page,
            publish=config.publish if config else PublishMode.AUTO,
            names=self._names.get(window.page, {}),
        )
        context = self._FOLLOWS[window.origin](self, context, window, revision)
        overrun = context.plan.overrun if context.plan is not None else None
        if overrun is None or not window.phase.live:
            return context
        return replace(context, firing=[signal.event for signal in firing(overrun.sources)])

    def _follows_entry(self, context: WindowContext, window: Window, revision: Revision) -> WindowContext:
        entry = self._entries.get(window.plan_id)
        if entry is not None and window.page in entry.pages:
            return replace(context, plan=entry)
        with suppress(ConfigError):  # then nothing is known of it, and the window ends with words of ours
            if window.plan_hash not in self._entries_by_hash and (spec := revision(window.plan_hash)) is not None:
                self._entries_by_hash[window.plan_hash] = self._compile_entry(spec)
        return replace(context, plan=self._entries_by_hash.get(window.plan_hash), gone=True)

    def _follows_rule(self, context: WindowContext, window: Window, revision: Revision) -> WindowContext:
        rule = self._by_identity.get(window.plan_id)
        if rule is not None and isinstance(rule.plan, EventWindowPlan) and window.page in rule.plan.pages:
            return replace(context, plan=rule.plan, rule=rule)
        rule = None
        with suppress(ConfigError):
            rule = self._revised(window.plan_hash, revision)
        if rule is None or not isinstance(rule.plan, EventWindowPlan):
            return replace(context, gone=True)
        return replace(context, plan=rule.plan, rule=rule, gone=True)

    def _follows_order(self, context: WindowContext, window: Window, revision: Revision) -> WindowContext:
        followed = self._follows_entry(context, window, revision)
        return replace(followed, gone=followed.plan is None)

    def _follows_page(self, context: WindowContext, window: Window, _revision: Revision) -> WindowContext:
        config = self.rules.pages.get(window.page)
        adoption = config.adoption if config else None
        return replace(context, plan=adoption.plan) if adoption is not None else replace(context, gone=True)

    _FOLLOWS: ClassVar = {
        Origin.ENTRY: _follows_entry,
        Origin.RULE: _follows_rule,
        Origin.COMMAND: _follows_order,
        Origin.PAGE: _follows_page,
    }

    def context(
        self,
        rule: Rule | None,
        page: str,
        yielding: Callable[[tuple[str, ...], str], bool],
        muting: Iterable[Window],
        beats: Callable[[], Mapping[str, Beat]],
        now: datetime,
    ) -> Context:
        """
        Collect what decide may know about a rule and a page.

        Args:
            muting: The windows that mute, of whatever page.
            beats: Gives what is known of the canaries, by source; asked only where there are any.
            now: Aware, UTC.
        """
        config = self.rules.pages.get(page)
        ceiling = config.publish if config else PublishMode.AUTO
        if rule is None or isinstance(rule.plan, EventWindowPlan):
            return Context(rule=None, page=page)
        yields, gate = self.yields_to(rule), self._gate(rule)
        return Context(
            rule=rule,
            page=page,
            page_name=config.page if config else page,
            publish=max(ceiling, gate.publish, key=_STRICTNESS.__getitem__),
            approve=gate.approve,
            names=self._names.get(page, {}),
            yielding=", ".join(yields) if yields and yielding(yields, page) else "",
            muted=muted(muting, page),
            canaries=self._canaries_well(beats(), now) if self.canaries else {},
        )

    def in_shadow(self, rule: Rule | None, page: str) -> bool:
        """Say whether nothing of a rule may reach a page now."""
        config = self.rules.pages.get(page)
        if config is not None and config.publish is PublishMode.SHADOW:
            return True
        return rule is not None and self._gate(rule).publish is PublishMode.SHADOW

    def _gate(self, rule: Rule) -> IncidentPlan | RelayPlan:
        """Give the plan that says how far posts may go by themselves: whatever began by an older one, that in force."""
        current = self._by_identity.get(rule.identity, rule).plan
        plan = rule.plan if isinstance(current, EventWindowPlan) else current
        assert not isinstance(plan, EventWindowPlan)
        return plan

    def _canaries_well(self, beats: Mapping[str, Beat], now: datetime) -> Mapping[str, datetime | None]:
        return {name: well_since(beats.get(name), canary.within, now) for name, canary in self.canaries.items()}

    def heard(self, event: Event, at: datetime, beats: Mapping[str, Beat]) -> Beat | None:
        """Take note of an event that is about the canary of its source; None: it is not."""
        canary = self.canaries.get(event.source)
        if canary is None or event.status is Status.INFO:
            return None
        try:
            if not fits((), canary.matchers, event):
                return None
        except EvaluationFailed:
            return None  # a canary that cannot be made out is not heard, and told as gone
        firing = event.status is Status.FIRING
        return heard(beats.get(event.source), event.source, firing=firing, at=at, within=canary.within)
