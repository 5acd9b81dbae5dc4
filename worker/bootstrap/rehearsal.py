"""
What plays rules without a worker: tests of a rules directory, and stages to play anything on. No secret is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from worker import rules_dir
from worker.bootstrap import load_rules, rule_book
from worker.core.ruleset import RuleSet
from worker.rehearse.coverage import Coverage
from worker.rehearse.places import Places
from worker.rehearse.play import Played, play
from worker.rehearse.reading import Case, read_cases
from worker.rehearse.spec import json_schema
from worker.rehearse.stage import Stage
from worker.sources import SENDERS, SOURCES
from worker.steps.intake import Endpoint


def stage_for(rules: RuleSet, now: datetime) -> Stage:
    """Set a stage for a set of rules, its clock at *now*."""
    endpoints = {name: Endpoint(config, SOURCES[config.kind], ()) for name, config in rules.sources.items()}
    return Stage(rule_book(rules), endpoints, now)


def load_cases(directory: Path) -> tuple[RuleSet, list[Case]]:
    """
    Load a rules directory and its tests.

    Raises:
        ConfigError: All problems of the rules; if there are none, all of the tests.
    """
    rules = load_rules(directory)
    read_file = partial(rules_dir.read_beside, directory)
    files, unread = rules_dir.read_tests(directory)
    return rules, read_cases(files, rules, SENDERS, read_file, unread)


def tests_schema() -> Mapping[str, Any]:
    """Give the JSON Schema of a file of rule tests."""
    senders = [make() for make in SENDERS.values()]
    return json_schema({sender.inline: sender.item for sender in senders})


def play_case(case: Case, rules: RuleSet, coverage: Coverage | None = None) -> Played:
    """
    Play a case on a stage of its own.

    Args:
        coverage: Told what of the rules it reaches.
    """
    stage = stage_for(rules, case.spec.start)
    if coverage is not None:
        stage.heed = coverage.watch(stage)
    return play(case, stage, SENDERS)


def places_in(directory: Path) -> Places:
    """
    Learn where everything stands in a rules directory.

    Raises:
        ConfigError: It cannot be read.
    """
    return Places(rules_dir.read(directory).files, str(directory / rules_dir.TEMPLATES))
