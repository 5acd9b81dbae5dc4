"""Flags go before variables, variables before defaults; whatever cannot work is refused at the start, all at once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.settings import Settings, from_environment

SECRET = "canary-66cc"


def problems(**environ: str) -> list[str]:
    """Give what is said of an environment."""
    with pytest.raises(ConfigError) as wrong:
        from_environment({}, {f"STATUSBRIDGE_{name.upper()}": value for name, value in environ.items()})
    return [str(problem) for problem in wrong.value.problems]


def test_without_anything_the_defaults_hold() -> None:
    assert from_environment({}, {}) == Settings()
    assert Settings().loopback


def test_a_variable_goes_before_the_default_and_a_flag_before_both() -> None:
    environ = {"STATUSBRIDGE_PORT": "1111", "STATUSBRIDGE_LEDGER": "sqlite:///env.db"}
    assert from_environment({"port": None}, environ).port == 1111
    settings = from_environment({"port": 2222}, environ)
    assert (settings.port, settings.ledger) == (2222, "sqlite:///env.db")


def test_a_flag_of_zero_is_a_flag() -> None:
    assert from_environment({"port": 0}, {"STATUSBRIDGE_PORT": "1111"}).port == 0


def test_an_empty_variable_is_none() -> None:
    assert from_environment({}, {f"STATUSBRIDGE_{f.name.upper()}": "" for f in fields(Settings)}) == Settings()


def test_other_variables_are_nothing_to_us() -> None:
    assert from_environment({}, {"PORT": "1", "statusbridge_port": "2", "STATUSBRIDGE_PORTS": "3"}) == Settings()


VALUES: dict[str, tuple[str, object]] = {
    "rules": ("/etc/rules", Path("/etc/rules")),
    "ledger": ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
    "host": ("127.0.0.2", "127.0.0.2"),
    "port": ("9999", 9999),
    "max_body": ("1000", 1000),
    "backlog": ("7", 7),
    "deliver_threads": ("2", 2),
    "poll": ("0.5", 0.5),
    "reload": ("7.5", 7.5),
    "watch": ("5", 5.0),
    "external_url": ("https://bridge.example.com", "https://bridge.example.com"),
    "widget_ttl": ("5", 5.0),
    "widget_stale": ("60", 60.0),
    "retention_days": ("60", 60),
    "history_days": ("90", 90),
    "log_format": ("json", "json"),
    "log_level": ("debug", "debug"),
    "admin_token": (SECRET, SECRET),
    "calendar_token": (SECRET, SECRET),
    "admin_tokens": (f"ann={'a1' * 32}", f"ann={'a1' * 32}"),
    "session_key": (SECRET * 4, SECRET * 4),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_has_its_variable(name: str) -> None:
    written, value = VALUES[name]
    settings = from_environment({}, {f"STATUSBRIDGE_{name.upper()}": written})
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value) or name == "rules"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "80.5"),
        ("max_body", "5MB"),
        ("max_body", "0"),
        ("backlog", "0"),
        ("deliver_threads", "0"),
        ("deliver_threads", "10000"),
        ("retention_days", "6"),
        ("history_days", "29"),
        ("poll", "0"),
        ("poll", "-2"),
        ("poll", "nan"),
        ("poll", "inf"),
        ("log_format", "xml"),
        ("log_level", "INFO"),
        ("log_level", "trace"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})
    assert f"STATUSBRIDGE_{name.upper()}" in problem
    assert value in problem


def test_all_problems_are_told_at_once() -> None:
    told = problems(port="x", poll="y", log_format="z")
    assert [line.split(":")[0] for line in told] == [
        "STATUSBRIDGE_LOG_FORMAT",
        "STATUSBRIDGE_POLL",
        "STATUSBRIDGE_PORT",
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "localhost"])
def test_listening_for_this_machine_alone_needs_no_token(host: str) -> None:
    assert from_environment({"host": host}, {}).loopback


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org", "127.0.0.1.nip"]
)
def test_listening_for_others_needs_a_token(host: str) -> None:
    (problem,) = problems(host=host)
    assert host in problem
    assert "STATUSBRIDGE_ADMIN_TOKEN" in problem
    assert from_environment({"host": host}, {"STATUSBRIDGE_ADMIN_TOKEN": SECRET}).host == host


def test_a_blank_token_is_no_token() -> None:
    for blank in ("", " ", "\t\n"):
        assert problems(host="0.0.0.0", admin_token=blank)


def test_blanks_around_a_token_are_not_part_of_it() -> None:
    assert from_environment({}, {"STATUSBRIDGE_ADMIN_TOKEN": f" {SECRET}\n"}).admin_token == SECRET


def test_the_token_in_an_address_is_never_that_of_the_admin() -> None:
    (told,) = problems(admin_token=SECRET, calendar_token=SECRET)
    assert "must not be the admin token" in str(told)
    assert SECRET not in str(told)


def test_no_secret_is_in_what_settings_show_of_themselves() -> None:
    environ = {"STATUSBRIDGE_ADMIN_TOKEN": SECRET, "STATUSBRIDGE_LEDGER": f"postgresql://u:{SECRET}@h/d"}
    settings = from_environment({}, environ)
    assert SECRET not in f"{settings!r} {settings}"


# -- several admins


def told(**variables: str) -> str:
    with pytest.raises(ConfigError) as wrong:
        from_environment({}, {f"STATUSBRIDGE_{name}": value for name, value in variables.items()})
    return str(wrong.value)


def test_several_admins_are_named_with_the_hashes_of_their_tokens() -> None:
    ann, bob = "a1" * 32, "b2" * 32
    for between in (" ", ",", ", ", "\n"):
        settings = from_environment({}, {"STATUSBRIDGE_ADMIN_TOKENS": f"ann={ann}{between}bob={bob}"})
        assert settings.admins == {"ann": ann, "bob": bob}
    assert from_environment({}, {}).admins == {}


def test_with_several_admins_it_may_listen_beyond_this_machine() -> None:
    from_environment({"host": "0.0.0.0"}, {"STATUSBRIDGE_ADMIN_TOKENS": f"ann={'a1' * 32}"})


@pytest.mark.parametrize("entry", ["{}", "ann={}x", "={}", "ann={0} ann={0}", "ann"])
def test_what_is_no_hash_is_refused_and_never_shown(entry: str) -> None:
    text = told(ADMIN_TOKENS=entry.format("c3" * 32))
    assert "STATUSBRIDGE_ADMIN_TOKENS: the " in text
    assert "c3" not in text


def test_a_short_key_for_sessions_is_refused() -> None:
    assert "STATUSBRIDGE_SESSION_KEY: is shorter than 32" in told(SESSION_KEY="short")
