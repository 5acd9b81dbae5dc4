"""What people, programs and the look at a page ask of a ledger in memory. This file may not write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from worker.core.breaker import BOTH
from worker.core.concerns import Mailbox, Standing, mailbox_name
from worker.core.drift import Sweep, counted
from worker.core.footprints import Footprint
from worker.core.model import (
    PAUSE,
    UNMATCHED,
    Action,
    ActionKind,
    ActionState,
    Episode,
    Flag,
    Inbound,
    Notice,
    Phase,
    Severity,
    Window,
    WindowPhase,
)
from worker.ports import (
    HistoryLine,
    InboundStory,
    Place,
    Received,
    RuleCount,
    Span,
    Story,
    caused_by,
    place_of,
    says,
    spans,
)
from worker.rehearse.shelves import Kept, Shelves


class Questions(Shelves):
    """Implements Footprints, Queries, Recordings and Switches."""

    def footprint(self, aggregate: str) -> Footprint | None:
        with self._lock:
            subject = self.get(aggregate) or self.window(aggregate)
            return self._footprint(subject) if subject else None

    def footprints(self, page: str, since: datetime) -> Sequence[Footprint]:
        with self._lock:
            acted = {
                a.aggregate
                for a in self._actions.values()
                if a.page == page and (a.created_at > since or not a.state.settled)
            }
            subjects: list[Episode | Window] = [self._whole(e) for e in self._episodes.values()]
            subjects += self._chosen(self._windows.values())
            chosen = [s for s in subjects if s.page == page and (s.phase.live or s.id in acted)]
            return [self._footprint(subject) for subject in sorted(chosen, key=lambda subject: subject.id)]

    def sweep(self, page: str) -> Sweep:
        with self._lock:
            return self._sweeps.get(page, Sweep(page=page))

    def _footprint(self, subject: Episode | Window) -> Footprint:
        actions = sorted(self._actions_of.get(subject.id, {}).values(), key=lambda a: a.seq)
        own = self.own_updates(subject.remote_id) if subject.remote_id else frozenset()
        attempts = tuple(attempt for action in actions for attempt in self.attempts(action.id))
        return Footprint(subject=subject, actions=tuple(actions), attempts=attempts, own=own)

    def history(
        self,
        *,
        page: str = "",
        rule_id: str = "",
        states: Collection[ActionState] = (),
        text: str = "",
        since: datetime | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> Sequence[HistoryLine]:
        with self._lock:
            lines = [
                line
                for line in self._lines(self._actions.values())
                if page in ("", line.action.page)
                and rule_id in ("", line.rule_id)
                and (not states or line.action.state in states)
                and (since is None or line.shown_at >= since)
                and (before is None or place_of(line) < before)
                and (not text or says(line.action, text))
            ]
        return sorted(lines, key=place_of, reverse=True)[:limit]

    def episodes(
        self,
        *,
        phases: Collection[Phase] = (),
        page: str = "",
        rule_id: str = "",
        before: tuple[datetime | None, str] | None = None,
        limit: int = 100,
    ) -> Sequence[Episode]:
        def place(end: datetime | None, episode_id: str) -> tuple[datetime, str]:
            return end or datetime.max.replace(tzinfo=UTC), episode_id

        with self._lock:
            found = [
                self._whole(episode)
                for episode in self._episodes.values()
                if (not phases or episode.phase in phases)
                and page in ("", episode.page)
                and rule_id in ("", episode.rule_id)
                and (before is None or place(episode.ended_at, episode.id) < place(*before))
            ]
        return sorted(found, key=lambda episode: place(episode.ended_at, episode.id), reverse=True)[:limit]

    def rule_counts(self) -> Mapping[str, RuleCount]:
        with self._lock:
            wholes = [(e.rule_id, e) for e in self._episodes.values()]
            wholes += [(w.plan_id, w) for w in self._windows.values()]  # type: ignore[misc]
            counts: dict[str, RuleCount] = {}
            for rule_id, each in wholes:
                before = counts.get(rule_id, RuleCount())
                said = [self._said[a] for a in self._actions_of.get(each.id, ()) if a in self._said]
                counts[rule_id] = RuleCount(
                    episodes=before.episodes + 1,
                    live=before.live + each.phase.live,
                    posts=before.posts + len(said),
                    last_at=max([*said, *([before.last_at] if before.last_at else [])], default=None),
                )
        return counts

    def activity(self, since: datetime, step: timedelta, until: datetime) -> Sequence[Span]:
        kept_back = (ActionState.REPLACED, ActionState.DISMISSED, ActionState.SHADOWED)
        with self._lock:
            heard = Counter((at - since) // step for at, *_ in self._heard if since <= at < until)
            posts = [(at, self._actions[action_id]) for action_id, at in self._said.items() if at >= since]
            dropped = [a.created_at for a in self._actions.values() if a.state in kept_back]
            ended = [e.ended_at for e in self._episodes.values() if e.phase is Phase.DISMISSED and e.ended_at]
        return spans(since, step, until, heard, posts, [at for at in (*dropped, *ended) if at >= since])

    def inbounds(
        self,
        *,
        source: str = "",
        states: Collection[str] = (),
        unparsed: bool = False,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Received]:
        with self._lock:
            found = [
                _received(kept)
                for kept in reversed(self._inbounds.values())
                if source in ("", kept.inbound.source)
                and (not states or kept.state in states)
                and (kept.unparsed or not unparsed)
                and (since is None or kept.inbound.received_at >= since)
                and (before is None or kept.inbound.seq < before)
            ]
        return found[:limit]

    def inbound(self, seq: int) -> InboundStory | None:
        with self._lock:
            kept = self._inbounds.get(seq)
            if kept is None:
                return None
            return InboundStory(
                received=_received(kept),
                inbound=kept.inbound,
                heard=sorted((h for *_, h in self._heard if h.inbound_seq == seq), key=lambda line: line.position),
                decisions=[each for each in self._decisions if each.cause == caused_by(kept.inbound)],
            )

    def recorded(self, since: datetime, after: int = 0, limit: int = 1000) -> Sequence[Inbound]:
        with self._lock:
            kept = (kept.inbound for seq, kept in self._inbounds.items() if seq > after)
            return list(islice((inbound for inbound in kept if inbound.received_at >= since), limit))

    def story(self, reference: str) -> Story | None:
        with self._lock:
            called = [e for e in self._episodes.values() if f"{e.rule_id}#{e.number}" == reference]
            episode = self._episodes.get(reference) or (called[0] if len(called) == 1 else None)
            if episode is not None:
                return self._story(self._whole(episode))
            window = self.window(reference)
            return None if window is None else self._story(window)

    def totals(self) -> Mapping[str, int]:
        with self._lock:
            states = Counter(kept.state for kept in self._inbounds.values())
            phases = Counter(e.phase for e in self._episodes.values())
            windows = Counter(w.phase for w in self._windows.values())
            actions = Counter(a.state for a in self._actions.values())
            done = Counter(a.kind for a in self._actions.values() if a.state is ActionState.DONE)
            drifts = [drift for sweep in self._sweeps.values() for drift in sweep.found]
            firing = sum(signal.firing for signal in self._signals.values())
        return {
            "inbounds": sum(states.values()),
            **{f"inbounds_{state}": states[state] for state in ("pending", "parked")},
            "inbounds_unparsed": sum(k.state == "parked" and k.unparsed > 0 for k in self._inbounds.values()),
            "events": len(self._heard),
            "signals_firing": firing,
            "pauses": len(self.flags(PAUSE)),
            "unmatched": len(self.flags(UNMATCHED)),
            "breakers": len(self.flags(*BOTH)),
            **{f"episodes_{phase}": phases[phase] for phase in Phase},
            **{f"windows_{phase}": windows[phase] for phase in WindowPhase},
            **{f"actions_{state}": actions[state] for state in ActionState},
            **{f"actions_done_{kind}": done[kind] for kind in ActionKind},
            **{f"drift_{kind}": count for kind, count in counted(drifts).items()},
        }

    def untaken(self, since: datetime, limit: int) -> Sequence[tuple[int, datetime, Notice]]:
        with self._lock:
            numbered = [(number, at, notice) for number, (at, notice) in enumerate(self._notices, 1)]
        return [each for each in numbered if each[0] not in self._taken and each[1] >= since][:limit]

    def numbered(self, numbers: Collection[int]) -> Sequence[tuple[int, datetime, Notice]]:
        with self._lock:
            return [(n, *self._notices[n - 1]) for n in sorted(numbers) if 0 < n <= len(self._notices)]

    def standing(self) -> Standing:
        with self._lock:
            known = self._memos.get(Standing().name)
        return known if isinstance(known, Standing) else Standing()

    def mailbox(self, receiver: str) -> Mailbox:
        with self._lock:
            known = self._memos.get(mailbox_name(receiver))
        return known if isinstance(known, Mailbox) else Mailbox(receiver=receiver)

    def notices(
        self, limit: int = 100, *, since: datetime | None = None, severity: Severity = Severity.INFO, skip: int = 0
    ) -> Sequence[tuple[datetime, Notice]]:
        with self._lock:
            told = [(at, n) for at, n in self._notices if n.severity >= severity and (since is None or at >= since)]
        return told[::-1][skip : skip + limit]

    def flags(self, *names: str) -> Sequence[Flag]:
        with self._lock:
            return [flag for key, flag in sorted(self._flags.items()) if key[0] in names]

    def sending(self, page: str = "") -> Sequence[str]:
        with self._lock:
            under_way = [a for a in self._actions.values() if a.state is ActionState.SENDING]
        return sorted(action.id for action in under_way if page in ("", action.page))

    def _story(self, about: Episode | Window) -> Story:
        own = sorted(self._actions_of.get(about.id, {}).values(), key=lambda a: a.seq)
        until = about.ended_at
        heard = [
            (at, line)
            for at, noted_at, line in self._heard
            if (member := about.members.get((line.event.source, line.event.key)))
            and noted_at >= member.joined_at
            and (until is None or noted_at <= until)
        ]
        return Story(
            about=about,
            heard=heard,
            decisions=[d for d in self._decisions if d.aggregate == about.id],
            actions=list(self._lines(own)),
            attempts=[attempt for action in own for attempt in self.attempts(action.id)],
        )

    def _lines(self, actions: Iterable[Action]) -> Iterable[HistoryLine]:
        for action in actions:
            episode, window = self._episodes.get(action.aggregate), self._windows.get(action.aggregate)
            yield HistoryLine(
                action=action,
                episode=action.aggregate,
                rule_id=episode.rule_id if episode else window.plan_id if window else "",
                number=episode.number if episode else 0,
                group=episode.group if episode else {},
                said_at=self._said.get(action.id),
                update_id=action.update_id,
                attempts=action.tries,
            )


def _received(kept: Kept) -> Received:
    return Received(
        seq=kept.inbound.seq,
        source=kept.inbound.source,
        received_at=kept.inbound.received_at,
        state=kept.state,
        detail=kept.detail,
        statements=kept.statements,
        unparsed=kept.unparsed,
        size=len(kept.inbound.body),
    )
