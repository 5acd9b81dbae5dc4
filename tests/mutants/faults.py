"""
The faults, each as a change of one place in the source, and the tests that must turn red.

A place that is not found exactly once is an error: then the source has moved on, and the fault must follow it.
"""

from __future__ import annotations

from dataclasses import dataclass

DELIVER = "tests/unit/steps/test_deliver.py"
EPISODES = "tests/unit/core/test_episodes.py"
INTERVENTIONS = "tests/unit/steps/test_interventions.py"
OBSERVE = "tests/unit/steps/test_observe.py"
RESTORE = "tests/unit/steps/test_restore.py"
PAUSE = "tests/unit/steps/test_pause.py"
SIM = "tests/sim/test_sim.py::test_some_seeds_go_right"
NOTIFY = "tests/unit/steps/test_notify.py"
WIDGET = "tests/unit/web/test_widget.py"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault.

    Args:
        name: What a careless change would do.
        file: Where, below ``worker/``.
        old: The text that is there.
        new: What stands there instead.
        test: What must catch it, as pytest names it.
        also: What must catch it besides, by itself.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    also: str = ""


FAULTS = (
    Fault(
        "answer before the commit",
        "ledger/writer.py",
        "        try:\n            answers = self._commit(group)\n",
        "        for each in group:\n            if isinstance(each, _Arrival):\n"
        "                _call(each.done, Recorded(1, duplicate=False))\n"
        "        try:\n            answers = self._commit(group)\n",
        "tests/unit/ledger/test_writer.py",
    ),
    Fault(
        "commits that are not synced",
        "ledger/sqlite.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        "tests/unit/ledger/test_sqlite.py",
    ),
    Fault(
        "a 500 is taken for not sent, and sent again",
        "providers/_outcomes.py",
        "        return Result.UNKNOWN if exchange.sent else Result.NOT_SENT\n",
        "        return Result.NOT_SENT\n",
        "tests/unit/providers",
        SIM,
    ),
    Fault(
        "an update is sent again without waiting for a late arrival",
        "steps/_look.py",
        "sent_at + DEADLINE + channel.settle",
        "sent_at",
        f"{DELIVER}::test_an_update_is_sent_once_more_only_after_its_absence_is_proven",
    ),
    Fault(
        "one read proves absence",
        "steps/_look.py",
        "        if action.clean_reads:\n",
        "        if True:\n",
        f"{DELIVER}::test_an_update_is_sent_once_more_only_after_its_absence_is_proven",
    ),
    Fault(
        "an update is sent as often as it takes",
        "core/actions.py",
        "MOST_SENDS = 2\n",
        "MOST_SENDS = 3\n",
        f"{EPISODES}::test_an_update_is_sent_at_most_twice",
    ),
    Fault(
        "nothing is written down before it is sent",
        "steps/deliver.py",
        "        self._committer.commit(Commit(now=now, actions=[sending], lease=LEASE, attempts=[attempt], **kept))\n",
        "",
        f"{DELIVER}::test_the_exact_bytes_are_on_disk_before_the_first_one_leaves",
        SIM,
    ),
    Fault(
        "which posts were there before is not kept",
        "steps/deliver.py",
        "            baseline=baseline,\n",
        "",
        f"{DELIVER}::test_an_update_keeps_which_posts_were_there_before_it",
    ),
    Fault(
        "an old incident that a key brings back is taken for ours",
        "steps/deliver.py",
        "        if shown is not None and shown.status in (IncidentStatus.RESOLVED, WindowStatus.COMPLETE):\n",
        "        if False:\n",
        f"{DELIVER}::test_after_the_loss_of_the_ledger_a_used_key_brings_no_resolved_incident_back_silently",
    ),
    Fault(
        "a key that dies with the ledger",
        "core/drafts.py",
        "    return digest(base, episode.number, episode.next_seq) if again else base\n",
        "    return digest(base, id(draft))\n",
        f"{DELIVER}::test_after_the_loss_of_the_ledger_a_used_key_brings_no_resolved_incident_back_silently",
    ),
    Fault(
        "writes of one incident overtake each other",
        "ledger/outbox.py",
        "    return and_(ACTION.c.settled.is_(False), ACTION.c.workable.is_(True), ~blocked)\n",
        "    return and_(ACTION.c.settled.is_(False), ACTION.c.workable.is_(True))\n",
        "tests/contract/test_ledger.py -k test_an_unsettled_action_blocks_those_behind_it",
    ),
    Fault(
        "resolves wait in line",
        "ledger/outbox.py",
        ".order_by(ACTION.c.urgency, ACTION.c.created_at,",
        ".order_by(ACTION.c.created_at,",
        "tests/contract/test_ledger.py -k test_the_oldest_comes_first_but_resolves_before_all",
    ),
    Fault(
        "a wake-up is lost",
        "core/episodes.py",
        "        draft.wake(ready)\n",
        "        draft.wake()\n",
        f"{EPISODES}::test_a_signal_that_lasts_opens_at_the_end_of_hold",
    ),
    Fault(
        "what the page asked us to wait is not kept",
        "core/retry.py",
        "    earliest = max(now + wait, asked) if asked else now + wait\n",
        "    earliest = now + wait\n",
        f"{DELIVER}::test_what_was_not_sent_is_sent_when_the_page_asks_for_it_and_not_before",
    ),
    Fault(
        "a pause is not looked for before the first byte",
        "steps/deliver.py",
        "        if paused:\n",
        "        if False:\n",
        "tests/unit/steps/test_pause.py",
    ),
    Fault(
        "whatever stands there by now is approved",
        "core/interventions.py",
        "    if asked.order.hash != seen:\n",
        "    if False:\n",
        "tests/unit/steps/test_interventions.py",
    ),
    Fault(
        "brakes are not asked",
        "steps/deliver.py",
        "        if brake is None:\n",
        "        if True:\n",
        "tests/unit/steps/test_brakes.py",
        SIM,
    ),
    Fault(
        "a person's post is no reason to stop",
        "core/actions.py",
        "        self.set(hands_off=True)\n        self.hold(action,",
        "        self.hold(action,",
        f"{DELIVER}::test_a_post_of_a_person_between_two_of_ours_is_hands_off",
    ),
    Fault(
        "everybody may send webhooks",
        "sources/_auth.py",
        "    if not matched:\n",
        "    if False:\n",
        "tests/contract/test_source.py",
    ),
    Fault(
        "private incidents reach every rule",
        "core/matching.py",
        "        if (event.private and not self.takes_private) or (event.test and not self.takes_test):\n",
        "        if event.test and not self.takes_test:\n",
        "tests/unit/steps/test_react.py",
    ),
    Fault(
        "a monitoring that has died is believed",
        "core/drafts.py",
        "        return max(known, default=EVER) if len(known) == len(sinces) else None\n",
        "        return EVER\n",
        "tests/unit/steps/test_canary.py",
    ),
    Fault(
        "hold is not waited for",
        "core/episodes.py",
        "    elif draft.now < ready:\n",
        "    elif False:\n",
        f"{EPISODES}::test_a_blip_shorter_than_hold_never_reaches_the_page",
        SIM,
    ),
    Fault(
        "maintenance mutes nothing",
        "core/episodes.py",
        "    return until if until > draft.now else None\n",
        "    return None\n",
        "tests/unit/steps/test_windows.py",
    ),
    Fault(
        "half of one and half of another set of rules is used",
        "bootstrap/reload.py",
        "            if self._signature() == self._known:\n                return loaded\n",
        "            return loaded\n",
        "tests/unit/test_reload.py::test_a_directory_that_is_exchanged_while_it_is_read_is_read_again",
    ),
    Fault(
        "rule tests overlook what nobody expected",
        "rehearse/verdict.py",
        "        return self.wanted is not None and self.saying is not None and not self.deviations\n",
        "        return self.wanted is None or (self.saying is not None and not self.deviations)\n",
        "tests/unit/cli/test_testing.py",
    ),
    Fault(
        "values of alerts are Markdown",
        "core/markdown.py",
        "def escape(",
        "def escape(value: str, *_: object, **__: object) -> str:\n    return value\n\n\ndef unused(",
        "tests/unit/core/test_markdown.py",
    ),
    Fault(
        "what is not stamped is a repeat for ever",
        "steps/intake.py",
        "    if not statements or not all(isinstance(s, Event) and s.occurred_at for s in statements):\n",
        "    if not statements:\n",
        "tests/unit/web/test_hooks.py",
    ),
    Fault(
        "a switch that cannot be read counts as none",
        "steps/deliver.py",
        "            paused = True\n",
        "            paused = False\n",
        PAUSE,
    ),
    Fault(
        "an approval does not bind the mailing",
        "core/approval.py",
        "asdict(action.content))",
        'asdict(action.content) | {"notify": False})',
        f"{INTERVENTIONS}::TestApprove",
    ),
    Fault(
        "what a person retries is sent without a look",
        "core/interventions.py",
        "    return replace(action, state=ActionState.UNKNOWN, sends=MOST_SENDS - 1, clean_reads=1)\n",
        "    return replace(action, state=ActionState.QUEUED, sends=0)\n",
        f"{INTERVENTIONS}::TestRetry",
    ),
    Fault(
        "on_expiry is not acted upon",
        "core/interventions.py",
        "        if due and action.state",
        "        if False and action.state",
        f"{INTERVENTIONS}::TestApprove",
    ),
    Fault(
        "reading the API opens it",
        "web/guard.py",
        "        if reads and not self._access.closed:\n",
        "        if not self._access.closed:\n",
        "tests/unit/web/test_api.py",
    ),
    Fault(
        "a form needs no word of its session",
        "web/dashboard.py",
        "if visitor is None or not hmac.compare_digest(borne.encode(), visitor.form_token.encode()):",
        "if visitor is None:",
        "tests/unit/web/test_session.py",
    ),
    Fault(
        "a session writes through the API without that word",
        "web/guard.py",
        'if reads or scope["path"].startswith(FORMS) or _bears(headers, visitor):',
        "if True:",
        "tests/unit/web/test_session.py",
    ),
    Fault(
        "a cookie need not be signed",
        "web/session.py",
        'hmac.compare_digest(signature.encode(), self._sign("session", body).encode())',
        "body",
        "tests/unit/web/test_session.py",
    ),
    Fault(
        "what is shown is trusted",
        "web/render.py",
        "        autoescape=True,\n",
        "        autoescape=False,\n",
        "tests/unit/web/test_dashboard.py",
    ),
    Fault(
        "an address with a token opens everything",
        "web/guard.py",
        '        if not token or scope["path"] != CALENDAR or',
        "        if not token or",
        "tests/unit/web/test_calendar.py",
    ),
    Fault(
        "what is said by hand is lost while a write is on its way",
        "core/window_orders.py",
        "        draft.set(given=",
        "        dict(given=",
        "tests/unit/steps/test_window_orders.py",
    ),
    Fault(
        "an overrun has no end",
        "core/windows.py",
        "    if window.extended < overrun.times:\n",
        "    if True:\n",
        "tests/unit/steps/test_window_changes.py",
    ),
    Fault(
        "what is called off is forgotten by a page that drives itself",
        "core/page_windows.py",
        "    if shown.automate != window.automated:\n",
        "    if shown.automate:\n",
        "tests/unit/steps/test_windows_on_a_page.py",
    ),
    Fault(
        "a clock that is set back says a reminder again",
        "core/windows.py",
        "max(due, window.reminded)",
        "due",
        "tests/unit/steps/test_window_clock.py",
    ),
    Fault(
        "a signal that is back gets its old window",
        "core/event_windows.py",
        "digest(key, number) if again else key",
        "key",
        "tests/unit/core/test_event_window_properties.py",
    ),
    Fault(
        "a dead alarm clock is not swept for",
        "scheduler.py",
        "        if self._alarm.overdue(self._clock()) or not alive:\n",
        "        if False:\n",
        "tests/unit/test_scheduler.py",
    ),
    Fault(
        "an alert whose series is gone counts as recovered",
        "sources/grafana.py",
        "    if event.status is Status.RESOLVED and (reason := event.annotations.get(_REASON)):\n",
        "    if event.status is Status.INFO and (reason := event.annotations.get(_REASON)):\n",
        "tests/contract/test_source.py::test_a_body_says_what_the_name_of_its_folder_claims",
    ),
    Fault(
        "a monitor without data counts as recovered",
        "sources/datadog.yaml",
        ".orValue('info')",
        ".orValue('resolved')",
        "tests/contract/test_source.py::test_a_body_says_what_the_name_of_its_folder_claims",
    ),
    Fault(
        "a certificate is fetched from wherever a stranger says",
        "sources/aws_sns.py",
        '    return parts.scheme == "https" and parts.netloc == host\n',
        '    return parts.scheme == "https" and parts.netloc.startswith("sns.")\n',
        "tests/unit/sources/test_aws_sns.py",
    ),
    Fault(
        "a subscription is confirmed that nobody allowed",
        "sources/aws_sns.py",
        '        if config.auth.scheme != SCHEME or not config.auth.options.get("confirm"):\n',
        "        if config.auth.scheme != SCHEME:\n",
        "tests/unit/sources/test_aws_sns.py",
    ),
    Fault(
        "the token in the address is kept",
        "steps/intake.py",
        '    if auth.scheme != "path_token":\n',
        "    if True:\n",
        "tests/contract/test_source_http.py::test_secrets_in_the_address_are_not_kept_and_the_rest_is",
    ),
    Fault(
        "what the page tells of our own posts is news",
        "sources/incident_io.py",
        '    return SharedPost(remote_id=_fields.required(incident, "id"), update_id=_fields.required(update, "id"))\n',
        '    return Event(source=_, kind="post", key=_fields.required(update, "id"), status=Status.FIRING)\n',
        f"{OBSERVE}::test_what_the_page_tells_of_our_own_post_triggers_no_rule_and_only_makes_us_look",
    ),
    Fault(
        "a ledger that was put back is written from before it was matched",
        "ledger/outbox.py",
        "FLAG.c.name.in_([PAUSE, UNMATCHED])",
        "FLAG.c.name.in_([PAUSE])",
        f"{RESTORE}::test_nothing_is_published_before_the_ledger_was_matched_with_the_page",
    ),
    Fault(
        "what a page says beyond a ledger that was put back is taken back",
        "core/drafts.py",
        "unheard=ahead or episode.unheard,",
        "unheard=ahead,",
        f"{RESTORE}::test_what_the_page_says_stands_until_something_is_heard_of_it",
    ),
    Fault(
        "a ledger that was put back is not known as one",
        "ledger/sqlite.py",
        "int(mark) < int(beside)",
        "int(mark) > int(beside)",
        "tests/unit/ledger/test_backup.py",
    ),
    Fault(
        "the page is asked for its widget by everybody who comes",
        "web/widget/snapshots.py",
        "        if page.flight is None and now - page.tried >= self._ttl:\n",
        "        if True:\n",
        f"{WIDGET}::test_the_page_is_asked_once_in_a_while_whatever_the_load",
    ),
    Fault(
        "a widget that is too old is shown all the same",
        "web/widget/snapshots.py",
        "if page.known is None or now - page.known.at >= self._stale:",
        "if page.known is None:",
        f"{WIDGET}::test_while_the_page_is_down_what_is_old_is_shown_and_said_to_be_old_up_to_a_limit",
    ),
    Fault(
        "what waits for approval is shown to everybody",
        "core/summary.py",
        "if each.state is ActionState.DONE and each.content.message]",
        "if each.content.message]",
        "tests/unit/core/test_summary.py",
    ),
    Fault(
        "a notice that was not taken is forgotten",
        "steps/notify.py",
        "            if receipt.taken:\n",
        "            if receipt:\n",
        f"{NOTIFY}::test_nothing_is_lost_while_a_receiver_is_down_and_nobody_else_waits_for_it",
    ),
    Fault(
        "what was told is told again at every look",
        "core/concerns.py",
        "for name, notice in late.items() if name not in standing.open}",
        "for name, notice in late.items()}",
        f"{NOTIFY}::test_an_approval_is_told_when_it_waits_when_its_time_runs_out_and_when_it_is_over",
    ),
    Fault(
        "two workers tell the same",
        "steps/notify.py",
        "            box = self._committed(replace(box, not_before=now + LEASE))\n",
        "",
        f"{NOTIFY}::test_of_two_workers_one_tells",
    ),
)
