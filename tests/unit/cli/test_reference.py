"""Help and reference are complete: every command, option and setting is explained in both."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from worker.cli.app import app
from worker.settings import PREFIX, Settings

DOCS = Path(__file__).parents[3] / "docs" / "reference"


def _commands(command: Any, name: str = "") -> dict[str, Any]:
    """Every command that does something, by what is typed."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {name: command}
    found: dict[str, Any] = {}
    for word, one in inner.items():
        found |= _commands(one, f"{name} {word}".strip())
    return found


ROOT: Any = typer.main.get_command(app)
COMMANDS = _commands(ROOT)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_teaches(name: str) -> None:
    """A sentence, an example and the exit codes for the command; a sentence for each argument and option."""
    command = COMMANDS[name]
    assert command.help, name
    assert "Example" in command.help, name
    assert f"statusbridge {name}" in command.help, name
    mute = [parameter.name for parameter in command.params if not (parameter.help or "").endswith((".", ")", "…"))]
    assert not mute, f"{name}: no help for {mute}"


def test_every_group_of_commands_says_what_it_is_about() -> None:
    groups = [command for command in ROOT.commands.values() if hasattr(command, "commands")]
    assert groups
    assert all(group.help for group in groups)


def test_the_reference_lists_every_command_at_its_head() -> None:
    head = (DOCS / "cli.md").read_text().partition("\n## ")[0]
    assert [name for name in COMMANDS if f"[`{name}`](#{name.replace(' ', '-')})" not in head] == []


def test_every_command_that_can_fail_names_its_exit_codes() -> None:
    without = [name for name, command in COMMANDS.items() if "Exit code" not in command.help]
    assert without in ([], ["schema"])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_names_every_command_and_option(name: str) -> None:
    text = (DOCS / "cli.md").read_text()
    assert f"\n## {name}\n" in text
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for parameter in COMMANDS[name].params:
        for word in [parameter.metavar] if parameter.param_type_name == "argument" else parameter.opts:
            assert f"`{word}" in section, f"{name} {word}"


def test_the_reference_names_the_options_before_any_command() -> None:
    text = (DOCS / "cli.md").read_text()
    for parameter in ROOT.params:
        for word in parameter.opts:
            assert f"`{word}`" in text


def test_the_reference_names_every_setting_with_its_default() -> None:
    text = (DOCS / "settings.md").read_text()
    defaults = Settings()
    for field in fields(Settings):
        row = next((line for line in text.splitlines() if f"| `{PREFIX}{field.name.upper()}`" in line), "")
        assert f"| `{getattr(defaults, field.name)}` |" in row.replace("| none |", "| `` |"), field.name
