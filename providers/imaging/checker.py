"""Programs that look at a file system without changing it.

Each has a module of its own that builds the argument list and judges the result
in a pure function; this one runs them.
"""

import os
import subprocess
from collections.abc import Callable

from attrs import frozen

_TIMEOUT = 6 * 3600  # seconds; a check of tens of terabytes takes hours
_MOST_OUTPUT = 2000


@frozen
class Outcome:
    """What a program left: its exit code and what it printed."""

    code: int
    output: str


def run(command: list[str], judge: Callable[[Outcome], str]) -> str:
    """Run a checker and return what is wrong, empty where nothing is.

    A checker that cannot run has found something wrong: nothing is proven then.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_TIMEOUT,
            env={**os.environ, "LC_ALL": "C", "PATH": _path()},
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed on the server"
    except subprocess.TimeoutExpired:
        return f"{command[0]} took longer than {_TIMEOUT} seconds"
    return judge(Outcome(done.returncode, done.stdout.decode(errors="replace")))


def summary(program: str, outcome: Outcome) -> str:
    """Return the exit code and the end of the output on one line."""
    lines = [line.strip() for line in outcome.output.splitlines() if line.strip()]
    return f"{program} ended with {outcome.code}: {' / '.join(lines)[-_MOST_OUTPUT:]}"


def _path() -> str:
    """Return a search path that has the system's programs for an unprivileged server too."""
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
