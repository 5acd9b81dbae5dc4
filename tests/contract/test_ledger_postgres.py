"""A ledger in PostgreSQL: what must be true of the server, and what is told when it is not."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.contract.conftest import BORN, Postgres
from tests.fakes.ledger_rows import NOW, action, entry, record_all, signal
from worker.errors import ConfigError, LedgerUnavailable
from worker.ledger import Ledger, open_ledger
from worker.ports import Commit


def opened(url: str, **options: Any) -> Ledger:
    return open_ledger(url, clock=lambda: BORN, **options)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_scheme_means_the_one_driver(postgres: Postgres, scheme: str) -> None:
    ledger = opened(scheme + postgres.emptied().removeprefix("postgresql"))
    assert ledger.describe()["database"].startswith("PostgreSQL ")
    assert ledger.describe()["synchronous_commit"] == "on"
    ledger.close()


def test_without_its_driver_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'statusbridge\[postgres\]'"):
        opened("postgresql://h/d")


def test_a_server_that_forgets_commits_is_refused(postgres: Postgres) -> None:
    url = postgres.emptied() + "&options=-c%20synchronous_commit%3Doff"
    with pytest.raises(ConfigError, match="synchronous_commit is off"):
        opened(url)


def test_an_unreachable_server_is_told_without_the_password() -> None:
    with pytest.raises(LedgerUnavailable) as refused:
        opened("postgresql://user:hunter2@127.0.0.1:1/d")
    assert "127.0.0.1" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_password_is_not_described(postgres: Postgres) -> None:
    ledger = opened(postgres.emptied().replace("postgres:@", "postgres:hunter2@"))
    assert "hunter2" not in str(ledger.describe())
    ledger.close()


def test_a_ledger_to_read_cannot_write(postgres: Postgres) -> None:
    ledger = opened(postgres.emptied(), read_only=True)
    assert ledger.totals()["inbounds"] == 0
    with pytest.raises(LedgerUnavailable, match="read only"):
        ledger.commit(Commit(now=NOW, signals=[signal()]))
    with pytest.raises(LedgerUnavailable, match="read-only"), ledger._database.read() as connection:
        connection.execute(text("DELETE FROM signal"))
    ledger.close()


def test_connections_that_the_server_cut_are_told_and_replaced(postgres: Postgres) -> None:
    ledger = opened(postgres.emptied())
    ledger.commit(Commit(now=NOW, signals=[signal()]))

    def cut(connection: Any) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(LedgerUnavailable):
        ledger._database.write(cut)
    ledger.commit(Commit(now=NOW, signals=[signal(version=1)]))
    assert not isinstance(record_all(ledger, [entry()])[0], Exception)
    ledger.close()


def test_two_workers_share_the_work_each_action_once(postgres: Postgres) -> None:
    url = postgres.emptied()
    one, other = opened(url), opened(url)
    one.commit(Commit(now=NOW, actions=[action(f"rule@page.{number:010}#1") for number in range(20)]))
    claims = [ledger.claim(NOW, timedelta(minutes=1), ["page"]) for _ in range(11) for ledger in (one, other)]
    found = [claim.id for claim in claims if claim]
    assert len(found) == len(set(found)) == 20
    one.close()
    other.close()
