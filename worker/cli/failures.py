"""
What a failure means on the command line: which words, which exit code, and never a traceback.

====  ==========================================================================
code  when
====  ==========================================================================
0     good
1     the answer is no, or what was asked could not be done now
2     wrong configuration or call
130   interrupted
====  ==========================================================================
"""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from worker.cli.console import remark
from worker.errors import ConfigError, LedgerLocked, WorkerError

NO = 1
WRONG = 2
DEBUG = "STATUSBRIDGE_DEBUG"


class Commands(TyperGroup):
    """The root of all commands: every failure of any of them ends here."""

    def invoke(self, ctx: Any) -> Any:
        """
        Run a command.

        Raises:
            Exit: With the code of the failure, after it was told in a line or two.
        """
        try:
            return super().invoke(ctx)
        except Exception as failure:
            if _is_for_typer(failure) or os.environ.get(DEBUG):
                raise
            raise typer.Exit(told(failure)) from None


def _is_for_typer(failure: Exception) -> bool:
    # A wrong call and a chosen exit carry their exit code; a broken pipe is what `| head` leaves behind.
    return hasattr(failure, "exit_code") or isinstance(failure, typer.Abort | BrokenPipeError)


def told(failure: Exception) -> int:
    """Tell a failure on standard error; give the exit code for it."""
    if isinstance(failure, ConfigError):
        for problem in failure.problems:
            remark(str(problem))
        return WRONG
    if isinstance(failure, OSError) and failure.filename is not None:
        remark(f"{failure.filename}: {failure.strerror}")
        return WRONG
    if isinstance(failure, WorkerError):
        remark(str(failure) or type(failure).__name__)
        return WRONG if isinstance(failure, LedgerLocked) else NO
    remark(f"unexpected {type(failure).__name__}: {failure}")
    remark(f"this is a fault of statusbridge; {DEBUG}=1 shows where it happened")
    return NO
