"""Rules that change while the worker runs: used whole or not at all, told once, read only when at rest."""

from __future__ import annotations

import random  # noqa: TID251  (seeded)
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker.bootstrap import load_rules
from worker.bootstrap.in_force import InForce, in_force
from worker.bootstrap.reload import Reloader
from worker.core.model import Notice
from worker.core.ruleset import RuleSet
from worker.errors import ConfigError

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECRETS = {"KEY": "k", "TOKEN": "t"}
RULES = """
pages:
  main: {provider: incident_io, page: Acme, api_key: "${KEY}", publish: auto, components: {api: API}}
sources:
  alerts: {kind: alertmanager, auth: {bearer: "${TOKEN}"}}
rules:
  - id: api-down
    source: alerts
    match: {labels.service: api}
    incident:
      page: main
      components: {api: full_outage}
      title: API problems
      say: {open: We look into it., resolve: It is over.}
"""


class Desk:
    """A reloader and what it did."""

    def __init__(self, folder: Path, *, unasked: bool = True) -> None:
        self.folder = folder
        self.notices: list[Notice] = []
        self.counted: list[str] = []
        self.shown: dict[str, float] = {}
        self.wakes = 0
        self.while_loading: Callable[[], object] = lambda: None
        self.force = self._load()
        self.reloader = Reloader(
            folder,
            unasked=unasked,
            current=lambda: self.force.rules,
            load=self._load,
            use=lambda force: setattr(self, "force", force),
            wake=self._wake,
            tell=self.notices.append,
            meter=self,
            clock=lambda: NOW,
        )

    def _load(self) -> InForce:
        before = getattr(self, "force", None)
        loaded = load_rules(self.folder)
        self.while_loading()
        return in_force(loaded, SECRETS, lambda: NOW, lambda notice: None, before)

    def _wake(self) -> None:
        self.wakes += 1

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        self.counted.append(f"{name} {labels['outcome']}")

    def show(self, name: str, value: float) -> None:
        self.shown[name] = value

    @property
    def title(self) -> str:
        return str(self.force.rules.rules[0].plan.title)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(write(tmp_path / "rules", RULES))


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(text)
    return folder


def looks(desk: Desk, times: int = 2) -> int:
    return sum(desk.reloader.look() for _ in range(times))


def test_a_changed_directory_is_read_once_it_is_at_rest(desk: Desk) -> None:
    assert looks(desk) == 0
    write(desk.folder, RULES.replace("API problems", "The API fails"))
    assert desk.reloader.look() == 0
    assert desk.reloader.look() == 1
    assert desk.title == "The API fails"
    assert looks(desk) == 0
    assert desk.counted == ["reloads changed"]
    (notice,) = desk.notices
    assert (notice.code, notice.text.partition(" are in force: ")[2]) == ("rules_changed", "changed rule api-down")


def test_what_is_published_from_now_on_is_told_before_all_else(desk: Desk) -> None:
    write(desk.folder, RULES.replace("publish: auto", "publish: shadow"))
    desk.reloader()
    changed = RULES.replace("It is over.", "It is all over.").replace("{bearer:", "{path_token:")
    write(desk.folder, changed)
    desk.reloader()
    told = [notice.text.partition(" are in force: ")[2] for notice in desk.notices]
    assert told == [
        "page main: publish auto → shadow; changed page main",
        "page main: publish shadow → auto; changed rule api-down; changed source alerts; changed page main",
    ]


def test_that_things_stand_elsewhere_in_the_files_changes_none_of_them(desk: Desk) -> None:
    write(desk.folder, "# moved\n" + RULES)
    assert not desk.reloader().changed
    write(desk.folder, "# moved\n" + RULES.replace("It is over.", "It is all over."))
    assert desk.reloader().said == "changed rule api-down"


def test_what_is_live_is_looked_at_again_and_once_more_for_what_was_under_way(desk: Desk) -> None:
    desk.reloader()
    assert desk.wakes == 1
    looks(desk)
    assert desk.wakes == 2


def test_a_set_with_faults_changes_nothing_and_tells_every_one_of_them_once(desk: Desk) -> None:
    before = desk.force
    write(desk.folder, RULES.replace("labels.service", "label.service").replace("full_outage", "down"))
    assert looks(desk) == 1
    assert desk.force is before
    assert desk.counted == ["reloads refused"]
    assert desk.shown["rules_last_reload_successful"] == 0
    (notice,) = desk.notices
    assert notice.code == "rules_refused"
    assert before.rules.hash[:12] in notice.text
    assert "rules.yaml:9:13: " in notice.text
    assert "rules.yaml:12:25: " in notice.text
    assert looks(desk, 5) == 0
    desk.reloader.ask()
    assert looks(desk) == 1
    assert len(desk.notices) == 1


def test_once_it_is_right_again_the_team_is_told(desk: Desk) -> None:
    write(desk.folder, "rules: [")
    looks(desk)
    write(desk.folder, RULES)
    looks(desk)
    assert [notice.code for notice in desk.notices] == ["rules_refused", "rules_changed"]
    assert desk.notices[1].text.endswith("are in force, as before")
    assert desk.shown["rules_last_reload_successful"] == 1


def test_a_missing_secret_refuses_the_set(desk: Desk) -> None:
    write(desk.folder, RULES.replace("${TOKEN}", "${OTHER}"))
    with pytest.raises(ConfigError, match="`OTHER` is not set"):
        desk.reloader()
    assert desk.force.endpoints["alerts"].secrets == ("t",)


def test_a_directory_that_is_gone_keeps_what_is_in_force(desk: Desk) -> None:
    (desk.folder / "rules.yaml").unlink()
    desk.folder.rmdir()
    assert looks(desk) == 1
    assert "does not exist" in desk.notices[0].text
    assert desk.title == "API problems"


def test_who_asks_is_heard_also_where_nothing_changed(desk: Desk) -> None:
    done = desk.reloader()
    assert (done.hash, done.changed, done.said) == (desk.force.rules.hash, False, "")
    desk.reloader.ask()
    assert desk.reloader.look() == 1
    assert desk.counted == ["reloads unchanged", "reloads unchanged"]
    assert not desk.notices


def test_where_it_is_switched_off_only_asking_counts(tmp_path: Path) -> None:
    desk = Desk(write(tmp_path / "rules", RULES), unasked=False)
    write(desk.folder, RULES.replace("API problems", "The API fails"))
    assert looks(desk, 5) == 0
    desk.reloader.ask()
    assert looks(desk) == 1
    assert desk.title == "The API fails"


def test_a_directory_that_is_exchanged_while_it_is_read_is_read_again(desk: Desk) -> None:
    newer = [RULES.replace("API problems", "Third")]
    write(desk.folder, RULES.replace("API problems", "Second"))

    def exchange() -> None:
        if newer:
            write(desk.folder, newer.pop())

    desk.while_loading = exchange
    desk.reloader()
    assert desk.title == "Third"


def kubernetes(volume: Path, name: str, text: str) -> None:
    """Mount a ConfigMap as the kubelet does: files are links into ``..data``, which is exchanged in one go."""
    data = volume / f"..{name}"
    data.mkdir(parents=True)
    (data / "rules.yaml").write_text(text)
    (volume / "..new").symlink_to(data.name)
    (volume / "..new").replace(volume / "..data")
    if not (volume / "rules.yaml").is_symlink():
        (volume / "rules.yaml").symlink_to("..data/rules.yaml")


def test_the_links_of_a_config_map_are_followed(tmp_path: Path) -> None:
    kubernetes(tmp_path, "first", RULES)
    desk = Desk(tmp_path)
    kubernetes(tmp_path, "second", RULES.replace("API problems", "The API fails"))
    assert looks(desk) == 1
    assert desk.title == "The API fails"


def test_a_secret_in_a_file_that_is_exchanged_counts_as_a_change(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    token.chmod(0o600)
    desk = Desk(write(tmp_path / "rules", RULES.replace("${TOKEN}", f"${{file:{token}}}")))
    token.write_text("new-one")
    assert looks(desk) == 1
    assert desk.force.endpoints["alerts"].secrets == ("new-one",)


def test_pages_that_mean_the_same_keep_what_is_known_of_them(desk: Desk) -> None:
    before = desk.force.directories["main"]
    write(desk.folder, "\n# a comment, so that all places move\n" + RULES.replace("API problems", "Else"))
    desk.reloader()
    assert desk.force.directories["main"] is before
    assert desk.force.channels["main"].directory is before
    write(desk.folder, RULES.replace("{api: API}", "{api: Public API}"))
    desk.reloader()
    assert desk.force.directories["main"] is not before


def test_no_secret_is_in_the_words_of_what_is_in_force(desk: Desk) -> None:
    desk.force.keys["main"]  # it is there
    assert "keys" not in repr(desk.force)


# -- a thousand mutants


def mutant(text: str, chance: random.Random) -> str:
    """Change a rule file as a slip of the hand would, once or a few times."""
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        lines = text.splitlines()
        at = chance.randrange(len(lines))
        text = "\n".join(_SLIPS[chance.randrange(len(_SLIPS))](lines, at, chance)) + "\n"
    return text


def _letter(lines: list[str], at: int, chance: random.Random) -> list[str]:
    line = lines[at]
    where = chance.randrange(len(line) + 1)
    lines[at] = line[:where] + chance.choice("abz:{}[]\"'#-|>&*!%@\t 0") + line[where + chance.randrange(2) :]
    return lines


_SLIPS: list[Callable[[list[str], int, random.Random], list[str]]] = [
    _letter,
    _letter,
    lambda lines, at, chance: lines[:at] + lines[at + 1 :] or lines,
    lambda lines, at, chance: [*lines[: at + 1], *lines[at:]],
    lambda lines, at, chance: [*lines[:at], " " * chance.randrange(9) + lines[at].lstrip(), *lines[at + 1 :]],
    lambda lines, at, chance: [*lines[:at], lines[at].replace("m", "x").replace("critical", "1"), *lines[at + 1 :]],
    lambda lines, at, chance: lines[:at] or lines,
]


@pytest.mark.parametrize("seed", range(4))
def test_of_a_thousand_mutated_rule_files_none_that_check_refuses_comes_into_force(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    originals = {path.name: path.read_text() for path in sorted((ROOT / "rules").glob("*.yaml"))}
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in originals.items():
        (folder / name).write_text(text)
    names = {name for text in originals.values() for name in re.findall(r"\$\{([A-Z_]+)\}", text)}
    environ = dict.fromkeys(names, "whsec_" + "A" * 32)
    desk = Mutants(folder, environ)
    refused = used = 0
    for _ in range(250):
        name = chance.choice(list(originals))
        (folder / name).write_text(mutant(originals[name], chance))
        before = desk.force
        try:
            desk.reloader()
        except ConfigError:
            assert desk.force is before
        else:
            assert desk.checked is not None
            assert desk.force.rules is desk.checked
        refused += desk.checked is None
        used += desk.force is not before
        (folder / name).write_text(originals[name])
    assert refused > 75
    assert used > 25


class Mutants(Desk):
    """Keeps what ``check`` makes of the directory: the set, or None where it refuses it."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._environ = environ
        self.checked: RuleSet | None = None
        super().__init__(folder)

    def _load(self) -> InForce:
        self.checked = None
        self.checked = load_rules(self.folder)
        return in_force(self.checked, self._environ, lambda: NOW, lambda notice: None, getattr(self, "force", None))
