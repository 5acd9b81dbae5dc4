"""
The API for programs: one address for each command that ``core.commands`` knows.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from worker.core.commands import COMMANDS, Command, Done
from worker.web.problems import PROBLEMS

PREFIX = "/api/v1"
Run = Callable[[Command], Done]


def add_commands(app: FastAPI, run: Run) -> None:
    """
    Add the routes.

    Args:
        run: Does a command.
    """
    for name, form in COMMANDS.items():
        app.add_api_route(
            f"{PREFIX}/{name}",
            _endpoint(form, run),
            methods=["POST"],
            summary=(form.__doc__ or "").strip().partition("\n")[0],
            operation_id=name,
            responses=PROBLEMS,
        )


def _endpoint(form: type[Command], run: Run) -> Callable[[Command], Done]:
    def endpoint(command: Command) -> Done:
        return run(command)

    # FastAPI reads the form of the body from here.
    endpoint.__annotations__ = {"command": form, "return": Done}
    return endpoint
