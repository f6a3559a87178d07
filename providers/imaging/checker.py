"""Programs that look at a file system without changing it.

Each has a module of its own that builds the argument list; this one runs them.
"""

from collections.abc import Callable

from agent.commands.runner import follow_command
from agent.errors import CommandError, MissingCommandError

_TIMEOUT = 6 * 3600  # seconds; a check of tens of terabytes takes hours
_MOST_OUTPUT = 2000


def ended_well(status: int, words: str) -> bool:  # noqa: ARG001 - others read the words
    """Return whether a program found nothing wrong, by its exit status."""
    return status == 0


def run(argv: list[str], is_good: Callable[[int, str], bool] = ended_well) -> str:
    """Run a checker and return what is wrong, empty where nothing is.

    ``is_good`` is given exit status and output. A checker that cannot run has found
    something wrong: nothing is verified then.
    """
    try:
        done = follow_command(argv, timeout=_TIMEOUT)
    except MissingCommandError:
        return f"{argv[0]} is not installed on the server"
    except CommandError as error:
        return f"{argv[0]} {error.words}"
    return "" if is_good(done.status, done.words) else summary(argv[0], done.status, done.words)


def summary(program: str, status: int, words: str) -> str:
    """Return the exit status and the end of the output on one line."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return f"{program} ended with {status}: {' / '.join(lines)[-_MOST_OUTPUT:]}"
