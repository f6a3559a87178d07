"""fsck.f2fs: the repair of an F2FS."""

from collections.abc import Callable
from pathlib import Path

from agent.commands.runner import follow_command
from agent.errors import CommandError

_COMMAND = ("fsck.f2fs", "-f")
_TIMEOUT = 4 * 3600  # seconds
_DONE = (0, 1)


def repair(device: Path, on_line: Callable[[str], None] = lambda _: None) -> str:
    """Repair what can be and return the command that did it; CommandError.

    ``-a`` does nothing for one that was not unmounted: no error was reported in it.
    """
    command = [*_COMMAND, str(device)]
    done = follow_command(command, on_line, timeout=_TIMEOUT)
    if done.status not in _DONE:
        raise CommandError(command, f"ended with status {done.status}", done.words, done.status)
    return " ".join(_COMMAND)
