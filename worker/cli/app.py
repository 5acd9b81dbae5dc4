"""All commands in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from worker.cli.backup import backup
from worker.cli.check import check
from worker.cli.console import answer
from worker.cli.demo import demo
from worker.cli.doctor import doctor
from worker.cli.drift import drift
from worker.cli.explain import explain
from worker.cli.failures import Commands
from worker.cli.history import history
from worker.cli.inbox import inbox
from worker.cli.init import init
from worker.cli.interventions import adopt, approve, dismiss, retry
from worker.cli.maintenance import maintenance
from worker.cli.notices import notices
from worker.cli.pages import pages
from worker.cli.pause import pause, resume
from worker.cli.plan import plan
from worker.cli.report import report
from worker.cli.run import run
from worker.cli.sandbox import sandbox
from worker.cli.schema import schema
from worker.cli.send import send
from worker.cli.show import show
from worker.cli.status import status
from worker.cli.testing import rule_tests
from worker.cli.token import token

COMMANDS: Mapping[str, Callable[..., None]] = {
    "init": init,
    "run": run,
    "check": check,
    "test": rule_tests,
    "explain": explain,
    "plan": plan,
    "pages": pages,
    "send": send,
    "status": status,
    "history": history,
    "report": report,
    "show": show,
    "inbox": inbox,
    "notices": notices,
    "approve": approve,
    "dismiss": dismiss,
    "retry": retry,
    "adopt": adopt,
    "pause": pause,
    "resume": resume,
    "drift": drift,
    "backup": backup,
    "doctor": doctor,
    "token": token,
    "sandbox": sandbox,
    "demo": demo,
    "schema": schema,
}
"""Name to function, in the order of ``--help``; its docstring is its help text."""

GROUPS: Mapping[str, typer.Typer] = {"maintenance": maintenance}
"""Name to commands that need a second word."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        answer(f"statusbridge {release()}")
        raise typer.Exit


def release() -> str:
    """Give the version that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("statusbridge")
    except PackageNotFoundError:
        return "0 (not installed)"


@app.callback()
def statusbridge(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """
    Bridge alerts and incidents to a public status page, by rules kept in git.

    \b
    First steps:
      statusbridge demo                  what does it do?
      statusbridge check rules           are the rules right?
      statusbridge doctor --rules rules  is everything here that a worker needs?
      statusbridge run --rules rules     receive webhooks, keep the page up to date
      statusbridge status                does anything need a person?
      statusbridge history               what did the page get, when and why?

    Exit codes: 0 good; 1 the answer is no, or it could not be done now; 2 wrong configuration or call.
    Settings: flags, then STATUSBRIDGE_* in the environment, then defaults.
    """


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)
