"""Running one external command to its end."""

import errno
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from providers.lab.errors import command_failed, no_space, program_missing

NO_SPACE = os.strerror(errno.ENOSPC)
"""How every C program words a full file system, under LC_ALL=C."""


def run(
    argv: Sequence[str | Path],
    *,
    package: str,
    standard_input: str = "",
    writes: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run ``argv`` and return its standard output.

    ``package`` is the Debian package that carries the program, ``writes`` the file
    that it fills. RW801 when the program is missing, RW808 when ``writes`` found
    no space, RW809 when it failed otherwise.
    """
    program = str(argv[0])
    try:
        finished = subprocess.run(
            [str(argument) for argument in argv],
            input=standard_input,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, **(environment or {}), "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise program_missing(program, package) from error
    if finished.returncode != 0:
        if writes is not None and NO_SPACE in finished.stderr:
            raise no_space(writes, finished.stderr.strip().splitlines()[-1])
        raise command_failed(program, finished.returncode, finished.stderr or finished.stdout)
    return finished.stdout
