"""Alertmanager: one event an alert, and never a word more than the body says."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.core.model import Event, Inbound, Status, Unreadable
from worker.core.ruleset import AuthConfig, SourceConfig
from worker.errors import PayloadNotUnderstood
from worker.ports import Statement
from worker.sources.alertmanager import Alertmanager

CONFIG = SourceConfig(name="am", kind="alertmanager", auth=AuthConfig(scheme="none"))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def alert(**changes: Any) -> dict[str, Any]:
    plain = {
        "status": "firing",
        "labels": {"alertname": "Slow", "severity": "critical"},
        "annotations": {},
        "startsAt": "2026-11-23T10:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.org/graph",
        "fingerprint": "143af6ded6249bde",
    }
    return plain | changes


def events(*alerts: Any, **top: Any) -> list[Event]:
    """What is said; raises for the first alert that cannot be read."""
    read = statements(*alerts, **top)
    for unreadable in (statement for statement in read if isinstance(statement, Unreadable)):
        raise PayloadNotUnderstood(unreadable.why)
    return [event for event in read if isinstance(event, Event)]


def statements(*alerts: Any, **top: Any) -> Sequence[Statement]:
    body = {"version": "4", "status": "firing", "groupKey": "{}:{}", "truncatedAlerts": 0, "alerts": alerts} | top
    inbound = Inbound(source="am", body=json.dumps(body).encode(), headers={}, received_at=NOW)
    return Alertmanager().normalise(inbound, CONFIG)


def test_the_status_of_an_alert_counts_and_not_the_one_at_the_top() -> None:
    for top in ("firing", "resolved", "whatever"):
        read = events(alert(), alert(status="resolved", fingerprint="b"), status=top)
        assert [event.status for event in read] == [Status.FIRING, Status.RESOLVED]


def test_the_end_that_prometheus_guesses_is_no_stamp() -> None:
    for ends_at in ("2026-11-23T10:04:00Z", "0001-01-01T00:00:00Z", None):
        (event,) = events(alert(status="resolved", endsAt=ends_at))
        assert event.occurred_at is None
        assert event.started_at == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_a_new_start_is_the_same_signal() -> None:
    first, flap = events(alert(), alert(startsAt="2026-11-23T11:00:00.000000001+01:00"))
    assert first.key == flap.key
    assert first.started_at == flap.started_at


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({"severity": "critical", "priority": "P1"}, "critical"),
        ({"priority": "P1"}, "P1"),
        ({"severity": "", "priority": "P1"}, "P1"),
        ({"a": "b"}, ""),
    ],
)
def test_severity_is_the_label_or_else_the_priority(labels: dict[str, str], severity: str) -> None:
    assert events(alert(labels=labels))[0].severity == severity


@pytest.mark.parametrize(
    ("labels", "annotations", "title"),
    [
        ({"alertname": "Slow"}, {"summary": "It is\nslow"}, "It is slow"),
        ({"alertname": "Slow"}, {"summary": ""}, "Slow"),
        ({"alertname": "Slow"}, None, "Slow"),
        ({"a": "b"}, {"description": "x"}, ""),
    ],
)
def test_the_title_is_the_summary_or_else_the_name(labels: Any, annotations: Any, title: str) -> None:
    assert events(alert(labels=labels, annotations=annotations))[0].title == title


def test_without_a_fingerprint_the_labels_make_one_in_any_order() -> None:
    one = events(alert(fingerprint=None, labels={"a": "1", "b": "2"}))[0]
    same = events(alert(fingerprint="", labels={"b": "2", "a": "1"}, status="resolved"))[0]
    other = events(alert(fingerprint=None, labels={"a": "1", "b": "3"}))[0]
    assert one.key == same.key != other.key
    with pytest.raises(PayloadNotUnderstood, match=r"^alerts\[0\]\.fingerprint: missing"):
        events(alert(fingerprint=None, labels={}))


def test_a_truncated_group_that_is_resolved_is_resolved_whole() -> None:
    read = events(alert(status="resolved"), status="resolved", truncatedAlerts=3, groupKey="{}:{a=1}")
    assert [(event.whole_scope, event.status, event.scope) for event in read] == [
        (False, Status.RESOLVED, "{}:{a=1}"),
        (True, Status.RESOLVED, "{}:{a=1}"),
    ]
    assert read[1].key == "{}:{a=1}"


@pytest.mark.parametrize(
    "top",
    [
        {"status": "firing", "truncatedAlerts": 3},
        {"status": "resolved", "truncatedAlerts": 0},
        {"status": "resolved", "truncatedAlerts": None},
        {"status": "resolved", "truncatedAlerts": 3, "groupKey": ""},
    ],
)
def test_of_alerts_that_are_not_listed_nothing_else_is_ever_said(top: dict[str, Any]) -> None:
    assert not any(event.whole_scope for event in events(alert(status="resolved"), **top))


def test_keys_of_the_future_are_ignored() -> None:
    extra = {"notification_reason": "first notification", "routeLabels": {"a": 1}, "nested": [{}]}
    assert events(alert(**extra), **extra) == events(alert())


@pytest.mark.parametrize(
    "body",
    [
        {"text": "[FIRING:1] Slow"},
        {"alerts": "two"},
        {"version": "1", "alerts": []},
        {"version": 4, "alerts": []},
        [],
    ],
)
def test_another_shape_is_refused_with_the_way_out(body: object) -> None:
    inbound = Inbound(source="am", body=json.dumps(body).encode(), headers={}, received_at=NOW)
    with pytest.raises(PayloadNotUnderstood, match="use a source of kind json"):
        Alertmanager().normalise(inbound, CONFIG)


@pytest.mark.parametrize(
    ("unread", "why"),
    [
        ("Slow", r"alerts\[1\]\.not an object"),
        ({"labels": {"a": "b"}}, r"alerts\[1\]\.status: neither"),
        ({"status": "FIRING", "fingerprint": "a"}, r"alerts\[1\]\.status: neither"),
    ],
)
def test_one_alert_that_cannot_be_read_costs_no_other(unread: object, why: str) -> None:
    first, named, last = statements(alert(), unread, alert(fingerprint="b", status="resolved"))
    assert isinstance(first, Event)
    assert isinstance(last, Event)
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert isinstance(named, Unreadable)
    assert re.match(f"{why}.*use a source of kind json", named.why)


def test_one_alert_that_cannot_be_read_is_named() -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"^alerts\[1\]\.labels\.port: not a text"):
        events(alert(), alert(labels={"port": 9100}))
    with pytest.raises(PayloadNotUnderstood, match=r"^alerts\[0\]\.startsAt: not a time"):
        events(alert(startsAt="today"))
