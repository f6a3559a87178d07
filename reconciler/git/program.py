"""Running the program git: for a moment, as a stream, or for as long as it is given.

A repository is a stranger's: its configuration, hooks, attributes and remotes name
programs, and git runs them for those who ask for status, checkout, diff or a missing
object. So every transport is off while reading, and what could still name a program is
overridden.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Final, NamedTuple

from reconciler.errors import SourceError

OVERRIDES: Final = tuple(
    part
    for setting in (
        "core.commitGraph=false",  # parents are what the commits say, not what a cache says
        "core.fsmonitor=false",
        "core.hooksPath=/dev/null",
        "core.warnAmbiguousRefs=true",  # a short name that a branch and a tag have is refused
        "fetch.recurseSubmodules=false",
        "gc.autoDetach=false",  # no process of ours outlives the call
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=60",
    )
    for part in ("-c", setting)
)
READING: Final[Mapping[str, str]] = {
    "GIT_ALLOW_PROTOCOL": "",  # also against the fetch of an object that a partial clone lacks
    "GIT_GRAFT_FILE": "/dev/null/none",  # parents are what the commits say
    "GIT_NO_REPLACE_OBJECTS": "1",  # a commit id means that commit
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}
FETCHING: Final[Mapping[str, str]] = {**READING, "GIT_ALLOW_PROTOCOL": "file:https:ssh"}

_DISCOVERING: Final[Mapping[str, str]] = {**READING, "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"}
_OF_A_CALLER: Final = (
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""What a calling hook leaves in the environment: it is about another repository."""
_DISCOVERED: Final = 4
"""Lines about the repository, where its paths have no line break in them."""
_is_id = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?").fullmatch
_ENGLISH: Final[Mapping[str, str]] = {"LANGUAGE": "C", "LC_ALL": "C"}
_ANYBODYS: Final = ("-c", "safe.directory=*", "-c", "safe.bareRepository=all")
"""A server's or a CI job's repository is another user's, and is only read."""


def run(arguments: Iterable[str]) -> tuple[int, str, str]:
    """Return the exit status of a git that works at once, its output and its standard error.

    Without the line break at their ends. Raises ``SourceError`` RW710 when git is not
    installed, as everything here.
    """
    return _run(arguments, {**os.environ, **_ENGLISH, **READING})


class Discovery(NamedTuple):
    """What git finds from a directory on upwards."""

    git_dir: str
    common: str
    """As seen from where it began."""
    inside: bool
    """Whether that is in the working tree."""
    prefix: str
    """The way there from the top of the working tree, with a slash at the end."""
    commit: str = ""
    """What a name leads to; empty where it was not asked for, or has to be looked at closely."""


def discover(start: str, ref: str = "") -> Discovery | None:
    """Return what git finds at the directory ``start`` or above; None where nothing is sound.

    ``ref`` may name a commit, of which git can tell in the same run.
    """
    if ref:
        lines, stderr = _discovered(start, f"{ref}^{{commit}}")
        # Else it is no commit, a range or ambiguous, or the prefix has a line break in it.
        if len(lines) == _DISCOVERED + 1 and _is_id(lines[-1]) and not stderr:
            *_, commit = lines
            return _discovery(lines[:-1], commit)
    lines, _ = _discovered(start)
    return _discovery(lines) if lines else None


def _discovery(lines: Sequence[str], commit: str = "") -> Discovery:
    git_dir, common, inside, *prefix = lines
    return Discovery(git_dir, common, inside == "true", "\n".join(prefix), commit)


def _discovered(start: str, *further: str) -> tuple[list[str], str]:
    """Return lines about the repository, none where git fails, and what git remarks."""
    environment = {**os.environ, **_ENGLISH, **_DISCOVERING}
    for name in _OF_A_CALLER:
        environment.pop(name, None)
    asked = ("--absolute-git-dir", "--git-common-dir", "--is-inside-work-tree", "--show-prefix")
    status, output, stderr = _run(
        ["-C", start, *OVERRIDES, *_ANYBODYS, "rev-parse", *asked, *further], environment
    )
    return output.split("\n") if status == 0 else [], stderr


@contextmanager
def stream(
    arguments: Iterable[str], standard_input: IO[bytes] | None = None
) -> Iterator[tuple[IO[bytes], Callable[[], tuple[int, str]]]]:
    """Run a git whose output is read while it works.

    Gives its output, and a function that waits for its end and returns its exit status
    and standard error. A git whose output is not wanted to its end is ended.
    """
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.DEVNULL if standard_input is None else standard_input,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **_ENGLISH, **READING},
        )
    except FileNotFoundError as error:
        raise not_installed() from error
    with process:
        output, stderr = process.stdout, process.stderr
        assert output is not None  # noqa: S101 - pipes, as asked for above
        assert stderr is not None  # noqa: S101 - likewise

        def end() -> tuple[int, str]:
            said = stderr.read().decode(errors="replace")
            return process.wait(), said

        try:
            yield output, end
        finally:
            process.kill()


def run_for(
    seconds: float, arguments: Iterable[str], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Return the exit status and the standard error of a git that may wait for others.

    GitPython ends it with all that it started (ssh, a credential helper, gpg) when its
    time is up. Loading GitPython takes a tenth of a second, which matters only where
    little else is to be done.
    """
    try:
        # Here, since GitPython cannot be imported where there is no git.
        from git.cmd import Git  # noqa: PLC0415
        from git.exc import GitCommandNotFound  # noqa: PLC0415
    except ImportError as error:
        raise not_installed() from error
    try:
        status, _, stderr = Git().execute(
            ["git", *arguments],
            with_extended_output=True,
            with_exceptions=False,
            env=environment,
            kill_after_timeout=seconds,
        )
    except GitCommandNotFound as error:
        raise not_installed() from error
    return status, str(stderr)


def not_installed() -> SourceError:
    """Return the error for a computer without git."""
    return SourceError(
        "RW710", "the program git is not installed", "Install it, on Debian with: apt install git"
    )


def _run(arguments: Iterable[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            check=False,
        )
    except FileNotFoundError as error:
        raise not_installed() from error
    output = os.fsdecode(done.stdout).removesuffix("\n")
    return done.returncode, output, done.stderr.decode(errors="replace").removesuffix("\n")
