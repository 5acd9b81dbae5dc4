"""``schema``: the form of rule files, for editors."""

from __future__ import annotations

from worker.cli.console import document


def schema() -> None:
    """
    Print the JSON Schema of rule files, for editors.

    \b
    Example: completion and checks while you type, in editors that use yaml-language-server
      statusbridge schema > rules.schema.json
      # first line of each rule file:
      # yaml-language-server: $schema=../rules.schema.json

    The schema knows the form of one file. What names refer to, expressions and templates: `statusbridge check`.
    """
    from worker.core.spec import json_schema

    document(json_schema())
