"""The json source: a mapping says what a body states, and an item that it fails on says nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.core.conditions import Want, compile_json
from worker.core.model import Event, Inbound, Status, Unreadable
from worker.core.ruleset import AuthConfig, JsonMapping, Program, SourceConfig
from worker.errors import EvaluationFailed, PayloadNotUnderstood
from worker.ports import Statement
from worker.sources._mapping import MAX_ITEMS
from worker.sources.json_mapping import JsonSource

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Says:
    """A program in Python; counts how often it is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer: Callable[[Mapping[str, Any]], Any] = answer if callable(answer) else lambda row: answer
        self.asked = 0

    def evaluate(self, bindings: Mapping[str, Any], event: Event | None = None) -> Any:
        self.asked += 1
        try:
            return self.answer(bindings)
        except (KeyError, TypeError) as error:
            raise EvaluationFailed(f"no such name: {error}") from None


def mapping(each: Mapping[str, Any] | None = None, when: Any = None, **fields: Any) -> JsonMapping:
    programs: dict[str, Program] = {"key": Says("k"), "status": Says("firing")}
    programs |= {name: answer if hasattr(answer, "evaluate") else Says(answer) for name, answer in fields.items()}
    return JsonMapping(
        each=tuple((name, Says(answer)) for name, answer in (each or {}).items()),
        when=Says(when) if when is not None else None,
        fields=programs,
    )


def events(how: JsonMapping | None, body: Any = None, auth: AuthConfig | None = None, **headers: str) -> list[Event]:
    """What is said; raises for the first item that cannot be read."""
    read = statements(how, body, auth, **headers)
    for unreadable in (statement for statement in read if isinstance(statement, Unreadable)):
        raise PayloadNotUnderstood(unreadable.why)
    return [event for event in read if isinstance(event, Event)]


def statements(
    how: JsonMapping | None, body: Any = None, auth: AuthConfig | None = None, **headers: str
) -> Sequence[Statement]:
    config = SourceConfig(name="ci", kind="json", auth=auth or AuthConfig(scheme="none"), mapping=how)
    lowered = {name.replace("_", "-"): value for name, value in headers.items()}
    inbound = Inbound(source="ci", body=json.dumps(body).encode(), headers=lowered, received_at=NOW)
    return JsonSource().normalise(inbound, config)


def test_key_and_status_are_enough() -> None:
    assert events(mapping()) == [Event(source="ci", kind="event", key="k", status=Status.FIRING)]


@pytest.mark.parametrize("status", ["firing", "resolved", "info"])
def test_the_status_is_one_of_three_words(status: str) -> None:
    assert events(mapping(status=status))[0].status == status


@pytest.mark.parametrize("status", ["", "down", "FIRING", None, True, 1, [], {}])
def test_any_other_status_is_refused(status: Any) -> None:
    with pytest.raises(PayloadNotUnderstood, match="item 0: status: must be one of firing, resolved, info"):
        events(mapping(status=status))


@pytest.mark.parametrize(
    ("key", "text"), [("a", "a"), (7, "7"), (7.0, "7"), (1.5, "1.5"), (True, "true"), (2**60, str(2**60))]
)
def test_what_has_one_text_is_taken_as_text(key: Any, text: str) -> None:
    event = events(mapping(key=key, title=key, **{"labels.x": key}))[0]
    assert (event.key, event.title, event.labels["x"]) == (text, text, text)


@pytest.mark.parametrize("value", [[], {}, ["a"]])
def test_what_has_no_one_text_is_refused_by_name(value: Any) -> None:
    for name in ("key", "title", "url", "labels.team"):
        with pytest.raises(PayloadNotUnderstood, match=f"item 0: {name}: neither a text nor a number"):
            events(mapping(None, None, **{name: value}))


@pytest.mark.parametrize("key", ["", None])
def test_a_key_must_be_there(key: Any) -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"^item 0: key: missing$"):
        events(mapping(key=key))


def test_optional_fields_may_be_null() -> None:
    names = ["title", "severity", "severity_rank", "message", "url", "started_at", "private", "test", "status_name"]
    assert events(mapping(None, None, **dict.fromkeys(names))) == events(mapping())


def test_labels_and_annotations_are_maps_of_text_and_leave_out_what_is_empty() -> None:
    fields: dict[str, Any] = {"labels.env": "prod", "labels.a.b": 7, "labels.none": None, "annotations.note": "n"}
    event = events(mapping(None, None, **fields))[0]
    assert (event.labels, event.annotations) == ({"env": "prod", "a.b": "7"}, {"note": "n"})


def test_times_are_text_numbers_or_times() -> None:
    at = datetime(2026, 11, 23, 9, 12, 4, tzinfo=UTC)
    for written in ("2026-11-23T10:12:04+01:00", 1795425124, 1795425124000, "1795425124", at):
        event = events(mapping(started_at=written, occurred_at=written))[0]
        assert (event.started_at, event.occurred_at) == (at, at)
    with pytest.raises(PayloadNotUnderstood, match="item 0: started_at: not a time"):
        events(mapping(started_at="yesterday"))


def test_a_stamp_that_is_configured_is_in_every_event() -> None:
    for nothing in (None, "", 0, "0001-01-01T00:00:00Z"):
        with pytest.raises(PayloadNotUnderstood, match="occurred_at: missing; a source stamps every event or none"):
            events(mapping(occurred_at=nothing))


@pytest.mark.parametrize("value", ["true", "", 0, 1, []])
def test_marks_are_true_or_false_and_never_guessed(value: Any) -> None:
    for name in ("private", "test"):
        assert getattr(events(mapping(None, None, **{name: True}))[0], name) is True
        with pytest.raises(PayloadNotUnderstood, match=f"item 0: {name}: neither true nor false"):
            events(mapping(None, None, **{name: value}))


@pytest.mark.parametrize(("rank", "number"), [(3, 3), (3.0, 3), (None, 0), (-1, -1)])
def test_a_rank_is_a_whole_number(rank: Any, number: int) -> None:
    assert events(mapping(severity_rank=rank))[0].severity_rank == number
    for wrong in ("3", 2.5, True, float("inf")):
        with pytest.raises(PayloadNotUnderstood, match="item 0: severity_rank: not a whole number"):
            events(mapping(severity_rank=wrong))


def test_each_item_is_an_event_in_their_order_nested_too() -> None:
    body = {"sites": [{"name": "a", "checks": [1, 2]}, {"name": "b", "checks": []}, {"name": "c", "checks": [3]}]}
    each = {"site": lambda row: row["body"]["sites"], "check": lambda row: row["site"]["checks"]}
    said = events(mapping(each, key=lambda row: f"{row['site']['name']}{row['check']}"), body)
    assert [event.key for event in said] == ["a1", "a2", "c3"]


def test_when_leaves_items_out_and_is_true_or_false() -> None:
    each = {"n": lambda row: row["body"]}
    said = events(mapping(each, when=lambda row: row["n"] > 1, key=lambda row: row["n"]), [1, 2, 3])
    assert [event.key for event in said] == ["2", "3"]
    with pytest.raises(PayloadNotUnderstood, match="item 0: when: neither true nor false"):
        events(mapping(when="yes"))


def test_an_item_that_cannot_be_read_is_named_and_costs_no_other() -> None:
    each = {"n": lambda row: row["body"]}
    how = mapping(each, key=lambda row: row["n"]["id"], title=lambda row: row["n"]["name"])
    read = statements(how, [{"id": "a", "name": "A"}, {"id": "b"}, "x", {"id": "d", "name": "D"}])
    assert [statement.key if isinstance(statement, Event) else statement for statement in read] == [
        "a",
        Unreadable(why="item 1: title: no such name: 'name'"),
        Unreadable(why="item 2: key: no such name: string indices must be integers, not 'str'"),
        "d",
    ]


def test_an_error_in_each_refuses_the_whole_body() -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"^each\.n: no such name"):
        statements(mapping({"n": lambda row: row["x"]}))


def test_an_error_names_item_and_field() -> None:
    each = {"n": lambda row: row["body"]}
    with pytest.raises(PayloadNotUnderstood, match=r"^item 1: title: no such name: 'name'$"):
        events(mapping(each, title=lambda row: row["n"]["name"]), [{"name": "a"}, {}])
    with pytest.raises(PayloadNotUnderstood, match=r"^item 0: when: no such name"):
        events(mapping(when=lambda row: row["x"]))


@pytest.mark.parametrize("value", [None, {}, "text", 7])
def test_each_must_give_a_list(value: Any) -> None:
    with pytest.raises(PayloadNotUnderstood, match=r"^each\.n: the expression gave no list$"):
        events(mapping({"n": value}))


def test_a_thousand_items_are_read_and_not_one_more() -> None:
    each = {"n": lambda row: row["body"]}
    assert len(events(mapping(each, key=lambda row: row["n"]), list(range(MAX_ITEMS)))) == MAX_ITEMS
    with pytest.raises(PayloadNotUnderstood, match=r"^each\.n: more than 1000 items$"):
        events(mapping(each), list(range(MAX_ITEMS + 1)))
    squared = {"a": lambda row: row["body"], "b": lambda row: row["body"]}
    with pytest.raises(PayloadNotUnderstood, match=r"^each\.b: more than 1000 items$"):
        events(mapping(squared), list(range(32)))


def test_what_does_not_depend_on_the_item_is_evaluated_once() -> None:
    whole, own = Says(lambda row: row["body"]["run"]), Says(lambda row: row["n"])
    said = events(
        mapping({"n": lambda row: row["body"]["items"]}, key=own, **{"labels.run": whole}),
        {"run": 7, "items": list(range(50))},
    )
    assert {event.labels["run"] for event in said} == {"7"}
    assert len({event.key for event in said}) == 50
    assert (whole.asked, own.asked) == (2, 50)  # whole: in vain without the body, then with it


def test_a_long_body_is_not_read_anew_for_every_item_without_end() -> None:
    mixed = Says(lambda row: f"{row['body'][0]}{row['n']}")
    how = mapping({"n": lambda row: row["body"]}, key=mixed)
    assert len(events(how, ["x" * 10_000, *range(99)])) == 100
    with pytest.raises(PayloadNotUnderstood, match=r"^item \d+: key: too long a body .* give it a name in `each`$"):
        events(how, ["x" * 100_000, *range(99)])


@pytest.mark.parametrize(
    "text",
    [
        "has(body.x) ? body.x : n",
        "body.?x.orValue(n)",
        "body == null ? 'none' : 'some'",
        "n in body.list ? 'in' : 'out'",
        "body.list.exists(each, each == n) ? 'in' : 'out'",
        "n == 1 ? 'one' : body.x",
        "n == 1 || body.flag ? 'yes' : 'no'",
        "body.flag || n.oops == 1 ? 'yes' : 'no'",
        "[body.?x, optional.none()].size()",
        "cel.bind(all, body, all.x + string(n))",
        "headers['x-event'] + string(n)",
    ],
)
@pytest.mark.parametrize("flag", [True, False])
def test_to_evaluate_with_less_than_everything_never_changes_the_value(text: str, flag: bool) -> None:
    program, body = compile_json(text, Want.ANY, names=["n"]), {"x": "X", "list": [2], "flag": flag, "items": [1, 2, 3]}
    how = mapping({"n": lambda row: row["body"]["items"]}, key=program)
    try:
        plain = [program.evaluate({"body": body, "headers": {"x-event": "push"}, "n": n}) for n in (1, 2, 3)]
    except EvaluationFailed:
        with pytest.raises(PayloadNotUnderstood):
            events(how, body, x_event="push")
    else:
        assert [event.key for event in events(how, body, x_event="push")] == [str(value) for value in plain]


def test_headers_are_seen_without_those_that_prove_the_sender() -> None:
    seen: list[Mapping[str, str]] = []
    auth = AuthConfig(scheme="header", options={"name": "X-Secret"})
    sent = {"authorization": "a", "cookie": "b", "x_secret": "c", "x_event": "push", "content_type": "text/plain"}
    events(mapping(title=lambda row: seen.append(row["headers"])), None, auth, **sent)
    assert seen == [{"x-event": "push", "content-type": "text/plain"}]


def test_a_source_without_a_mapping_says_so() -> None:
    with pytest.raises(PayloadNotUnderstood, match="no `event` mapping"):
        events(None)


def test_real_expressions_do_as_the_reference_says() -> None:
    """The mapping of the reference page, with the real compiler."""
    texts = {"key": "job.id", "status": "job.ok ? 'resolved' : 'firing'", "labels.env": "job.?env.orValue('')"}
    how = JsonMapping(
        each=(("job", compile_json("body.jobs", Want.LIST, names=[])),),
        when=compile_json("job.?ok.hasValue()", Want.BOOL, names=["job"]),
        fields={name: compile_json(text, Want.TEXT, names=["job"]) for name, text in texts.items()},
    )
    body = {"jobs": [{"id": 1, "ok": False, "env": "prod"}, {"id": 2}, {"id": "3", "ok": True}]}
    assert [(event.key, event.status, event.labels) for event in events(how, body)] == [
        ("1", Status.FIRING, {"env": "prod"}),
        ("3", Status.RESOLVED, {}),
    ]
    said, unread = statements(how, {"jobs": [{"id": 1, "ok": True}, {"id": 2, "ok": "no"}]})
    assert isinstance(said, Event)
    assert isinstance(unread, Unreadable)
    assert unread.why.startswith("item 1: status: ")
    with pytest.raises(PayloadNotUnderstood, match=r"^each\.job: "):
        events(how, {"tasks": []})
