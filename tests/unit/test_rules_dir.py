"""The rules directory is read whole and once; secrets are fetched and never told; the examples are good."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker.core.matching import RuleIndex
from worker.core.model import Event, Inbound
from worker.core.ruleset import IncidentPlan, RuleSet, SecretRef
from worker.errors import ConfigError
from worker.rules_dir import MAX_FILES, git_commit, load_directory, read, resolve_secret, secret_refs
from worker.sources import SOURCES

ROOT = Path(__file__).parents[2]


def examples() -> RuleSet:
    return load_directory(ROOT / "rules", SOURCES, ["incident_io"])


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


# --- files


def test_every_yaml_file_at_any_depth_is_read_but_tests_templates_and_hidden_ones(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="a", team__b_yaml="b", tests__c_yaml="c", templates__d_yaml="d", team__tests__e_yaml="e")
    (tmp_path / "f.yml").write_text("f")
    (tmp_path / "README.md").write_text("no rules")
    (tmp_path / ".hidden.yaml").write_text("h")
    write(tmp_path / ".git", g_yaml="g")
    files, templates, unread = read(tmp_path)
    assert not unread
    assert files == {f"{tmp_path}/a.yaml": "a", f"{tmp_path}/f.yml": "f", f"{tmp_path}/team/b.yaml": "b"}
    assert templates == {"d.yaml": "d"}


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    real = tmp_path / "..2026_11_23"
    write(real, a_yaml="a", team__b_yaml="b")
    (tmp_path / "..data").symlink_to(real.name)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "team").symlink_to("..data/team")
    files = read(tmp_path).files
    assert files == {f"{tmp_path}/a.yaml": "a", f"{tmp_path}/team/b.yaml": "b"}


def test_a_folder_that_links_to_itself_is_entered_once(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="a")
    (tmp_path / "again").symlink_to(tmp_path)
    assert list(read(tmp_path).files) == [f"{tmp_path}/a.yaml"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "does not exist; name another with --rules, or `statusbridge init` writes one to begin with"),
        ("file", "is a file; all files of a directory are read as one set: name that, `"),
        ("empty", "holds no *.yaml file; `statusbridge init` writes one to begin with"),
    ],
)
def test_a_directory_without_rules_is_named_with_the_way_out(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / name)
    assert f"{tmp_path / name}: the rules directory {message}" in str(caught.value)


def test_every_file_that_cannot_be_read_is_told_beside_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    write(tmp_path, ok_yaml="rulez: []\n", templates__ok_yaml="x")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "large.yaml").write_text("#" * 300_000)
    (tmp_path / "templates/latin.j2").write_bytes(b"\xe9")
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refused(tmp_path) == [
        "gone.yaml:1:1: cannot be read: No such file or directory; mend the link, or remove it",
        "large.yaml:1:1: cannot be read: larger than 256 KiB; split it into several files",
        "latin.yaml:2:7: this is not UTF-8; save the file as UTF-8",
        "ok.yaml:1:1: unknown key `rulez` at the top of a file; did you mean `rules`?",
        "pipe.yaml:1:1: cannot be read: not a regular file; remove it, or move it out of the directory",
        "templates/latin.j2:1:1: this is not UTF-8; save the file as UTF-8",
    ]


PAGES = """
pages:
  main: {provider: incident_io, page: Acme, publish: shadow, api_key: "${KEY}", components: {api: API}}
sources:
  am: {kind: alertmanager, auth: none}
defaults:
  incident: {page: main, approve: {deadline: 1h}}
"""
RULE = """
rules:
  - id: a
    source: am
    match: {labels.service: api}
    incident:
      components: {api: full_outage, apu: full_outage}
      hold: soon
      title: Problems
      say: {open: We look., resolve: {template: over.j2}}
  - id: b
    source: am
    match: {kind: alert}
    incident:
      page: mian
      yield_to: [elsewhere]
      components: {api: full_outage}
      title: Problems
      say: {open: We look., resolve: Over.}
"""


def refused(directory: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_directory(directory, SOURCES, ["incident_io"])
    return [str(problem).removeprefix(f"{directory}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text + "  - [", "pages.yaml:8:3: this does not fit the lines above"),
        (lambda text: text + "# caf\xe9", "pages.yaml:8:6: this is not UTF-8"),
    ],
    ids=["syntax", "encoding"],
)
def test_what_only_follows_from_a_file_that_cannot_be_read_is_not_told(
    tmp_path: Path, change: Callable[[str], str], told: str
) -> None:
    write(tmp_path, rules_yaml=RULE, templates__x="")
    (tmp_path / "templates/over.j2").write_bytes(b"\xe9")
    (tmp_path / "pages.yaml").write_bytes(change(PAGES).encode("latin-1"))
    problems = refused(tmp_path)
    assert problems[0] == (
        "pages.yaml:1:1: names that may stand in this file were not missed: `am`, `defaults`; mend it first"
    )
    assert problems[1].startswith(told)
    assert problems[2:] == [
        "rules.yaml:8:13: `hold` must be a duration like 90s, 3m, 2h, 1d or 1h30m, not `soon`",
        "rules.yaml:15:13: unknown page `mian`",
        "rules.yaml:16:18: unknown rule `elsewhere`",
        "templates/over.j2:1:1: this is not UTF-8; save the file as UTF-8",
    ]


def test_what_stands_under_a_misspelt_key_is_not_missed(tmp_path: Path) -> None:
    write(tmp_path, rules_yaml=RULE.split("  - id: b")[0].replace("{template: over.j2}", "Over."))
    write(tmp_path, pages_yaml=PAGES.replace("pages:", "paegs:"))
    assert refused(tmp_path) == [
        "pages.yaml:1:1: names that may stand in this file were not missed: `main`; mend it first",
        "pages.yaml:2:1: unknown key `paegs` at the top of a file; did you mean `pages`?",
        "rules.yaml:8:13: `hold` must be a duration like 90s, 3m, 2h, 1d or 1h30m, not `soon`",
    ]


def test_a_file_of_which_nothing_is_known_may_hold_every_name(tmp_path: Path) -> None:
    write(tmp_path, rules_yaml=RULE.replace("soon", "3m").replace("{template: over.j2}", "Over."))
    (tmp_path / "pages.yaml").symlink_to("nowhere")
    taken = "`am`, `defaults`, `elsewhere`, `mian`"
    assert refused(tmp_path) == [
        "pages.yaml:1:1: cannot be read: No such file or directory; mend the link, or remove it",
        f"pages.yaml:1:1: names that may stand in this file were not missed: {taken}; mend it first",
    ]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FILES == 5000
    monkeypatch.setattr("worker.rules_dir.MAX_FILES", 3)
    write(tmp_path, a_yaml="", b_yaml="", c_yaml="", d_yaml="")
    with pytest.raises(ConfigError, match="more than 3 files"):
        read(tmp_path)


def test_a_fault_in_a_template_is_told_with_the_template_s_path(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_yaml="rules:\n  - id: a\n    match: {kind: x}\n    incident: {page: p, components: {}, title: t, "
        "say: {open: {template: o.j2}, resolve: r}}\n",
    )
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/o.j2").write_text("We look\nat {{ nothing }}.")
    with pytest.raises(ConfigError) as caught:
        load_directory(tmp_path, {}, [])
    assert f"{tmp_path}/templates/o.j2:2:7: unknown word `nothing`" in str(caught.value)


# --- git


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    write(home / "rules", a_yaml="a")
    _git(home, "init", "-q", "-b", "main")
    _git(home, "add", ".")
    _git(home, "commit", "-q", "-m", "one", "--no-gpg-sign")
    return home


@pytest.mark.skipif(not shutil.which("git"), reason="git makes the repository that is read")
def test_the_commit_is_read_on_a_branch_packed_detached_and_in_a_worktree(repository: Path, tmp_path: Path) -> None:
    head = _git(repository, "rev-parse", "HEAD")
    assert git_commit(repository / "rules") == head
    _git(repository, "pack-refs", "--all")
    assert git_commit(repository / "rules") == head
    _git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert git_commit(tmp_path / "tree/rules") == head
    _git(repository, "checkout", "-q", "--detach")
    assert git_commit(repository / "rules") == head


def test_without_git_or_with_a_strange_one_there_is_no_commit(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    git.mkdir()
    assert git_commit(tmp_path) == ""
    (git / "HEAD").write_text("ref: refs/heads/../../../secret")
    (git / "refs/heads").mkdir(parents=True)
    (tmp_path / "secret").write_text("a" * 40)
    assert git_commit(tmp_path) == ""
    (git / "HEAD").write_bytes(b"\xff\xfe")
    assert git_commit(tmp_path) == ""


# --- secrets


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from file\r\n")
    assert resolve_secret(SecretRef("env", "A"), {"A": "from env\n"}) == "from env\n"
    assert resolve_secret(SecretRef("file", str(path)), {}) == "from file"
    path.write_text("two\n\n")
    assert resolve_secret(SecretRef("file", str(path)), {}) == "two\n"


def test_a_missing_or_empty_secret_names_itself_and_its_place(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    wanted = {
        SecretRef("env", "A", "rules/a.yaml:3:4"): "rules/a.yaml:3:4: the environment variable `A` is not set",
        SecretRef("env", "B", "rules/a.yaml:3:4"): "rules/a.yaml:3:4: the environment variable `B` is empty",
        SecretRef("file", str(empty), "a:1:2"): f"a:1:2: the secret file `{empty}` is empty",
        SecretRef("file", f"{empty}x", "a:1:2"): f"a:1:2: the secret file `{empty}x` cannot be read: No such file",
        SecretRef("file", str(tmp_path), "a:1:2"): f"a:1:2: the secret file `{tmp_path}` cannot be read: not a regular",
        SecretRef("file", f"{tmp_path}/binary"): f"the secret file `{tmp_path}/binary` is not UTF-8 text",
    }
    for ref, message in wanted.items():
        with pytest.raises(ConfigError) as caught:
            resolve_secret(ref, {"B": ""})
        assert str(caught.value).startswith(message)


def test_a_secret_file_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("x")
    write(tmp_path / "rules", a_yaml=f"notices: [{{webhook: '${{file:{secret}}}'}}]\n")
    secret.chmod(0o644)
    assert load_directory(tmp_path / "rules", {}, []).warnings == (
        f"{tmp_path}/rules/a.yaml:1:21: everybody on this machine can read `{secret}`; chmod 600 it",
    )
    secret.chmod(0o600)
    assert load_directory(tmp_path / "rules", {}, []).warnings == ()


# --- the examples


def test_the_examples_load_without_a_warning() -> None:
    rules = examples()
    assert rules.warnings == ()
    named = ("INCIDENT_IO_API_KEY", "ALERTMANAGER_TOKEN", "INCIDENT_IO_WEBHOOK_SECRET", "CI_SECRET", "CHANGES_SECRET")
    assert {str(ref) for ref in secret_refs(rules)} == {f"${{{name}}}" for name in named}


@pytest.mark.parametrize("case", ["group_added", "group_mixed"])
def test_the_examples_match_real_alerts(case: str) -> None:
    rules, body = examples(), (ROOT / f"tests/payloads/alertmanager/{case}/body.json").read_bytes()
    inbound = Inbound(source="alertmanager", body=body, headers={}, received_at=datetime(2026, 11, 23, tzinfo=UTC))
    events = [
        e for e in SOURCES["alertmanager"].normalise(inbound, rules.sources["alertmanager"]) if isinstance(e, Event)
    ]
    rule = next(rule for rule in rules.rules if rule.id == "checkout-outage")
    assert isinstance(rule.plan, IncidentPlan)
    assert events
    for event in events:
        assert [match.rule.id for match in RuleIndex(rules.rules).matches(event)] == ["checkout-outage"]
        assert event.severity in rule.plan.impact.by_name["checkout"]
        assert rule.vars["region"].evaluate({}, event) == "all regions"
