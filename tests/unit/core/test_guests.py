"""What may be said of components on somebody else's incident."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.fakes.ledger_rows import action
from worker.core.guests import as_guest
from worker.core.model import ComponentStatus, Content, Directory, RemoteUpdate

EUROPE = Directory(page_id="p", name="P", public_url="", components={"api": ("a",), "europe": ("a", "s")})


def said(
    ours: Mapping[str, str], *updates: tuple[str, Mapping[str, str]], own: tuple[str, ...] = ()
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Say what is posted on an incident whose updates, each an id and statuses, are *updates*."""
    posts = [RemoteUpdate(id=each, message="m", status="identified", components=said) for each, said in updates]
    people = [post for post in posts if post.id not in own]
    content = Content(message="w", components={name: ComponentStatus(status) for name, status in ours.items()})
    post, directory, left = as_guest(action(content=content, remote_id="i", guest=True), EUROPE, posts, people)
    by_id = {
        each: status.value
        for name, status in post.content.components.items()
        for each in directory.components.get(name, (f"unknown {name}",))
    }
    return by_id, left


def test_one_of_a_group_is_left_as_people_said_it_and_the_rest_is_not() -> None:
    assert said({"europe": "degraded_performance"}, ("p1", {"s": "full_outage"}))[0] == {"a": "degraded_performance"}


def test_of_two_names_for_one_component_the_worse_counts() -> None:
    worse = {"api": "operational", "europe": "partial_outage"}
    assert said(worse)[0] == {"a": "partial_outage", "s": "partial_outage"}


@pytest.mark.parametrize("later", ["operational", "degraded_performance"])
def test_what_people_said_last_counts(later: str) -> None:
    ours = {"api": "degraded_performance"}
    assert said(ours, ("p1", {"a": "full_outage"}), ("p2", {"a": later}))[0] == {"a": "degraded_performance"}


def test_what_we_made_worse_goes_back_to_what_people_said() -> None:
    updates = [("p1", {"a": "degraded_performance"}), ("o1", {"a": "full_outage"})]
    assert said({"api": "operational"}, *updates, own=("o1",)) == (
        {"a": "degraded_performance"},
        ("component a stays as people said it: degraded_performance",),
    )


def test_what_we_made_worse_goes_back_to_good_where_people_said_nothing() -> None:
    assert said({"api": "operational"}, ("p1", {}), ("o1", {"a": "full_outage"}), own=("o1",))[0] == {
        "a": "operational"
    }


def test_a_word_of_people_that_we_do_not_know_is_left_alone() -> None:
    assert said({"api": "full_outage"}, ("p1", {"a": "on_fire"})) == (
        {},
        ("component a stays as people said it: on_fire",),
    )


def test_a_name_that_the_page_has_no_more_is_left_for_the_provider_to_tell() -> None:
    assert said({"web": "full_outage"})[0] == {"web": "full_outage"}
