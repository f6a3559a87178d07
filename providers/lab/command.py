"""The rack's external programs: what goes wrong in the words of the lab."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.commands.runner import follow_command, run_command
from agent.errors import CodedError, CommandError, MissingCommandError
from providers.lab.errors import command_failed, no_space, program_missing

NO_SPACE = os.strerror(errno.ENOSPC)
"""How every C program words a full file system, under LC_ALL=C."""

_TIMEOUT = 3600.0  # seconds; a root file system comes over the network


def run(
    argv: Sequence[str | Path],
    *,
    package: str,
    standard_input: str = "",
    writes: Path | None = None,
) -> str:
    """Run ``argv`` and return its standard output.

    ``package`` is the Debian package that carries the program, ``writes`` the file
    that it fills. RW801 when the program is missing, RW808 when ``writes`` found
    no space, RW809 when it failed otherwise.
    """
    try:
        done = run_command(
            [str(argument) for argument in argv],
            timeout=_TIMEOUT,
            standard_input=standard_input.encode(),
            environment={**os.environ, "LC_ALL": "C"},
        )
    except MissingCommandError as error:
        raise program_missing(error.program, package) from error
    except CommandError as error:
        if error.status is None:
            raise
        raise _failure(error.program, error.status, error.words, writes) from error
    return done.stdout.decode("utf-8", "replace")


def follow(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    *,
    package: str,
    writes: Path,
    scratch: Path,
) -> None:
    """Run ``argv`` and pass on each line of its output; errors as ``run``.

    ``scratch`` is where it makes its temporary files.
    """
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(scratch)}
    try:
        done = follow_command(argv, on_line, timeout=_TIMEOUT, environment=environment)
    except MissingCommandError as error:
        raise program_missing(error.program, package) from error
    if done.status != 0:
        raise _failure(argv[0], done.status, done.words, writes)


def _failure(program: str, status: int, words: str, writes: Path | None) -> CodedError:
    full = [line for line in words.splitlines() if NO_SPACE in line]
    if writes is not None and full:
        return no_space(writes, full[-1].strip())
    return command_failed(program, status, words)
