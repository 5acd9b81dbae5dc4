"""``schema``: the form of rule files and of their tests, for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.console import document


def schema(
    tests: Annotated[bool, typer.Option("--tests", help="The schema of rule tests instead.")] = False,
) -> None:
    """
    Print the JSON Schema of rule files, for editors.

    \b
    Example: completion and checks while you type, in editors that use yaml-language-server
      statusbridge schema > rules.schema.json
      statusbridge schema --tests > rule-tests.schema.json
      # first line of each rule file:
      # yaml-language-server: $schema=../rules.schema.json

    The schema knows the form of one file. What names refer to, expressions and templates: `statusbridge check`.
    """
    if tests:
        from worker.bootstrap.rehearsal import tests_schema

        document(tests_schema())
        return
    from worker.core.spec import json_schema

    document(json_schema())
