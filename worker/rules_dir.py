"""
The rules directory on disk: its files, its git commit, and the secrets that it points to.

What belongs here: every look at the file system and the environment that rules need. What the files say is for
``core.rules``; a secret's value never stands in a message, a warning or a repr.
"""

from __future__ import annotations

import errno
import gc
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from worker.core import rules
from worker.core.documents import MAX_BYTES
from worker.core.rules import SourceFacts
from worker.core.ruleset import RuleSet, SecretRef
from worker.core.written import Unread
from worker.errors import ConfigError, Problem

TEMPLATES = "templates"
TESTS = "tests"
PAYLOADS = "payloads"
MAX_FILES = 5000
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
MAX_SECRET_BYTES = 64 * 1024

_YAML = (".yaml", ".yml")
_WAY_OUT = "`statusbridge init` writes one to begin with"


def load_directory(
    directory: Path, source_kinds: Mapping[str, SourceFacts], provider_names: Collection[str]
) -> RuleSet:
    """
    Read and compile a rules directory.

    Args:
        directory: As the person named it; all messages use it as it is.
        source_kinds: Every kind of source that there is.
        provider_names: Every provider that there is.

    Raises:
        ConfigError: With every problem at once.
    """
    found = read(directory)
    with _without_collector():
        loaded = rules.load(
            found.files,
            found.templates,
            source_kinds=source_kinds,
            provider_names=provider_names,
            templates_dir=str(directory / TEMPLATES),
            unread=found.unread,
        )
    return replace(loaded, warnings=(*loaded.warnings, *_open_secrets(secret_refs(loaded))))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Loading makes a great many objects that stay: looking through them for garbage costs a third of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- files


class Found(NamedTuple):
    """
    What a rules directory holds.

    Args:
        files: Rule files by their path, as the person knows it.
        templates: Templates by their name below ``templates/``.
        unread: What could not be read, and why; of such a template a stand-in is among the others.
    """

    files: dict[str, str]
    templates: dict[str, str]
    unread: list[Unread]


def read(directory: Path) -> Found:
    """
    Read every rule file, at any depth, and every template.

    Hidden entries are skipped, which also keeps the ``..data`` of a mounted ConfigMap from being read twice; so are
    folders named ``tests`` and ``templates``, but for the templates of the directory itself.

    Raises:
        ConfigError: The directory is missing or empty.
    """
    if not directory.is_dir():
        missing = f"does not exist; name another with --rules, or {_WAY_OUT}"
        file = f"is a file; all files of a directory are read as one set: name that, `{directory.parent}`"
        why = file if directory.exists() else missing
        raise ConfigError([Problem(str(directory), 0, 0, f"the rules directory {why}")])
    folder = directory / TEMPLATES
    paths = [path for path in _walk(directory, {TEMPLATES, TESTS}) if path.suffix in _YAML]
    template_paths = list(_walk(folder, set())) if folder.is_dir() else []
    if not paths:
        raise ConfigError([Problem(str(directory), 0, 0, f"the rules directory holds no *.yaml file; {_WAY_OUT}")])
    files, unread = _texts(paths)
    read_templates, lost = _texts(template_paths)
    templates = {path.relative_to(folder).as_posix(): read_templates.get(str(path), "-") for path in template_paths}
    return Found(files, templates, [*unread, *(replace(file, text="") for file in lost)])


def read_tests(directory: Path) -> tuple[dict[str, str], list[Unread]]:
    """
    Read every file of rule tests: all YAML below ``tests/``, but for what lies in a folder named ``payloads``.

    Returns:
        Path as the person knows it, to content; and what could not be read.

    Raises:
        ConfigError: There is none.
    """
    folder = directory / TESTS
    paths = [path for path in _walk(folder, {PAYLOADS}) if path.suffix in _YAML] if folder.is_dir() else []
    if not paths:
        message = "there are no rule tests here; write one: docs/how-to/test-rules.md shows how"
        raise ConfigError([Problem(str(folder), 0, 0, message)])
    return _texts(paths)


def read_beside(directory: Path, file: str, name: str) -> bytes:
    """
    Read a file that another one names.

    Args:
        directory: The rules directory, which it must not lead out of.
        file: The file that names it, as the person knows it.
        name: Its path from there.

    Raises:
        OSError: It cannot be read, or is outside.
    """
    path = Path(file).parent / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise OSError(f"it is outside of {directory}")
    return _bounded(path, MAX_PAYLOAD_BYTES)


Signature = tuple[tuple[str, int, int, int], ...]
"""Of each file: its path, when it was written, its size, and which file it is."""


def signature(directory: Path, secrets: Iterable[SecretRef] = ()) -> Signature:
    """
    Tell, without reading them, whether the files of a set are still the same: rules, templates, and secrets in files.

    Links are followed, so that a directory is another one once what it points to was exchanged, as Kubernetes does.
    """
    paths: list[Path] = [Path(ref.name) for ref in secrets if ref.kind == "file"]
    with suppress(ConfigError):
        paths += _walk(directory, {TESTS})
    return tuple(sorted(_stamp(path) for path in paths))


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), found.st_mtime_ns, found.st_size, found.st_ino)


def _walk(directory: Path, aside: Collection[str]) -> Iterator[Path]:
    """Give the files below *directory*; a folder that is linked to from several places is entered once."""
    entered: set[Path] = set()
    waiting, found = [directory], 0
    while waiting:
        folder = waiting.pop()
        if (real := folder.resolve()) in entered:
            continue
        entered.add(real)
        for path in sorted(_entries(folder)):
            if path.is_dir():
                waiting.extend([] if path.name in aside else [path])
                continue
            found += 1
            if found > MAX_FILES:
                raise ConfigError([Problem(str(directory), 0, 0, f"there are more than {MAX_FILES} files below it")])
            yield path


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise ConfigError([Problem(str(folder), 0, 0, f"cannot be read: {error.strerror}")]) from None


def _texts(paths: Iterable[Path]) -> tuple[dict[str, str], list[Unread]]:
    """Read text files: by path what could be read, and what could not."""
    texts: dict[str, str] = {}
    unread: list[Unread] = []
    for path in paths:
        try:
            texts[str(path)] = _bounded(path, MAX_BYTES).decode()
        except OSError as error:
            why = f"cannot be read: {error.strerror}; {_WAYS_OUT.get(error.errno or 0, 'mend or remove it')}"
            unread.append(Unread(Problem(str(path), 1, 1, why), None))
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
            problem = Problem(str(path), line, column, "this is not UTF-8; save the file as UTF-8")
            unread.append(Unread(problem, error.object.decode(errors="replace")))
    return texts, unread


_WAYS_OUT = {
    errno.EFBIG: "split it into several files",
    errno.EINVAL: "remove it, or move it out of the directory",
    errno.ENOENT: "mend the link, or remove it",
    errno.ELOOP: "mend the link, or remove it",
    errno.EACCES: "let the user that runs this read it",
}


def _bounded(path: Path, limit: int) -> bytes:
    """Read a regular file of at most *limit* bytes; anything else, such as a pipe, is an OSError."""
    if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: opening a pipe waits for its writer
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit // 1024} KiB")
    return content


# --- git

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"ref: (refs/[\w./-]+)")


def git_commit(directory: Path) -> str:
    """
    Give the commit that is checked out where *directory* lies; "" where there is none.

    Git's files are read as they are documented (gitrepository-layout(5)), so that git need not be installed.
    """
    with suppress(OSError, UnicodeDecodeError):
        for folder in (directory.resolve(), *directory.resolve().parents):
            if (folder / ".git").exists():
                return _head(_git_dir(folder / ".git"))
    return ""


def _git_dir(entry: Path) -> Path:
    """Follow the file that stands in for ``.git`` in worktrees and submodules."""
    if entry.is_dir():
        return entry
    return entry.parent / entry.read_text().removeprefix("gitdir:").strip()


def _head(git: Path) -> str:
    head = (git / "HEAD").read_text().strip()
    ref = _REF.fullmatch(head)
    if ref is None:
        return head if _COMMIT.fullmatch(head) else ""
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
    return next((commit for home in (git, common) if (commit := _loose(home, ref[1]))), "") or _packed(common, ref[1])


def _loose(git: Path, ref: str) -> str:
    path = git / ref
    commit = path.read_text().strip() if ".." not in ref and path.is_file() else ""
    return commit if _COMMIT.fullmatch(commit) else ""


def _packed(git: Path, ref: str) -> str:
    path = git / "packed-refs"
    lines = path.read_text().splitlines() if path.is_file() else []
    found = next((line.split(" ")[0] for line in lines if line.endswith(f" {ref}")), "")
    return found if _COMMIT.fullmatch(found) else ""


# --- secrets


def secret_refs(rule_set: RuleSet) -> list[SecretRef]:
    """Give every place where the set needs a secret."""
    return [
        *(page.api_key for page in rule_set.pages.values() if page.api_key is not None),
        *(secret for source in rule_set.sources.values() for secret in source.auth.secrets),
        *(notice.address for notice in rule_set.notices),
    ]


def resolve_secret(ref: SecretRef, environ: Mapping[str, str]) -> str:
    """
    Fetch a secret; of a file, without one line end after it.

    Args:
        ref: Where it is.
        environ: The environment's variables.

    Raises:
        ConfigError: It is missing or empty. The text names the variable or file and where it is asked for.
    """
    value = environ.get(ref.name) if ref.kind == "env" else _secret_file(ref)
    noun = "environment variable" if ref.kind == "env" else "secret file"
    if value is None:
        raise _no_secret(ref, f"the {noun} `{ref.name}` is not set")
    if not value.strip():
        raise _no_secret(ref, f"the {noun} `{ref.name}` is empty")
    return value


def _secret_file(ref: SecretRef) -> str:
    try:
        text = _bounded(Path(ref.name), MAX_SECRET_BYTES).decode()
    except OSError as error:
        raise _no_secret(ref, f"the secret file `{ref.name}` cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _no_secret(ref, f"the secret file `{ref.name}` is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _no_secret(ref: SecretRef, message: str) -> ConfigError:
    file, line, column = ref.place.rsplit(":", 2) if ref.place.count(":") >= 2 else (ref.place, "0", "0")
    return ConfigError([Problem(file, int(line), int(column), message)])


def _open_secrets(refs: Iterable[SecretRef]) -> Iterator[str]:
    for ref in refs:
        if ref.kind == "file":
            with suppress(OSError):
                if Path(ref.name).stat().st_mode & stat.S_IROTH:
                    yield f"{ref.place}: everybody on this machine can read `{ref.name}`; chmod 600 it"
